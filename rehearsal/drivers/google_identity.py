"""Drivers of service accounts and workload identity federation."""

from __future__ import annotations

from rehearsal.drivers.google_project import add_member
from rehearsal.drivers.registry import Clouds, Created, Inputs, driver


@driver(
    "gcp:serviceaccount/account:Account",
    "accountId project displayName description disabled createIgnoreAlreadyExists",
)
def _account(clouds: Clouds, inputs: Inputs) -> Created:
    account = clouds.google.send(
        "POST",
        f"/v1/projects/{inputs['project']}/serviceAccounts",
        {
            "accountId": inputs["accountId"],
            "serviceAccount": {"displayName": inputs.get("displayName", "")},
        },
    )
    email = account["email"]
    return Created(
        account["name"],
        {
            **inputs,
            "email": email,
            "member": f"serviceAccount:{email}",
            "name": account["name"],
            "uniqueId": account.get("uniqueId", ""),
        },
    )


@driver("gcp:serviceaccount/iAMMember:IAMMember", "serviceAccountId role member")
def _account_member(clouds: Clouds, inputs: Inputs) -> Created:
    account = inputs["serviceAccountId"]
    etag = add_member(clouds, f"/v1/{account}", inputs["role"], inputs["member"])
    return Created(f"{account}/{inputs['role']}/{inputs['member']}", {**inputs, "etag": etag})


@driver(
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",
    "workloadIdentityPoolId project displayName description disabled",
)
def _pool(clouds: Clouds, inputs: Inputs) -> Created:
    parent = f"projects/{inputs['project']}/locations/global/workloadIdentityPools"
    pool_id = inputs["workloadIdentityPoolId"]
    pool = clouds.google.send(
        "POST",
        f"/v1/{parent}?workloadIdentityPoolId={pool_id}",
        {"displayName": inputs.get("displayName", "")},
    )
    name = pool.get("response", pool).get("name")
    return Created(f"{parent}/{pool_id}", {**inputs, "name": name, "state": "ACTIVE"})


@driver(
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider",
    "workloadIdentityPoolId workloadIdentityPoolProviderId project displayName description aws "
    "attributeMapping attributeCondition disabled",
)
def _provider(clouds: Clouds, inputs: Inputs) -> Created:
    pool_id = inputs["workloadIdentityPoolId"]
    provider_id = inputs["workloadIdentityPoolProviderId"]
    parent = (
        f"projects/{inputs['project']}/locations/global/workloadIdentityPools/{pool_id}/providers"
    )
    body = {
        "displayName": inputs.get("displayName", ""),
        "aws": {"accountId": inputs["aws"]["accountId"]},
    }
    for key in ("attributeMapping", "attributeCondition"):
        if key in inputs:
            body[key] = inputs[key]
    provider = clouds.google.send(
        "POST", f"/v1/{parent}?workloadIdentityPoolProviderId={provider_id}", body
    )
    name = provider.get("response", provider).get("name")
    return Created(f"{parent}/{provider_id}", {**inputs, "name": name, "state": "ACTIVE"})
