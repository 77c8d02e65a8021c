"""What the lives of Google's resources need to exist before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rehearsal.drivers import Clouds
from rehearsal.drivers.google_iam import read_policy
from tests.rehearsal.drivers.lifecycle import NUMBER, PROJECT

TRANSFERS = "bigquerydatatransfer.googleapis.com"
APIS = (TRANSFERS, "iam.googleapis.com", "secretmanager.googleapis.com", "sts.googleapis.com")
POOLS = f"projects/{PROJECT}/locations/global/workloadIdentityPools"


def enable(clouds: Clouds) -> dict[str, Any]:
    """Enable the APIs that are tested here."""
    path = f"/v1/projects/{PROJECT}/services:batchEnable"
    clouds.google.send("POST", path, {"serviceIds": list(APIS)})
    return {}


def dataset(name: str, location: str = "EU") -> Callable[[Clouds], dict[str, Any]]:
    """Make a dataset."""

    def make(clouds: Clouds) -> dict[str, Any]:
        body = {"datasetReference": {"datasetId": name}, "location": location}
        clouds.google.send("POST", f"/bigquery/v2/projects/{PROJECT}/datasets", body)
        return {"datasetId": name}

    return make


def account(clouds: Clouds, account_id: str) -> str:
    """Make a service account; returns its e-mail address."""
    enable(clouds)
    path = f"/v1/projects/{PROJECT}/serviceAccounts"
    return str(clouds.google.send("POST", path, {"accountId": account_id})["email"])


def secret(name: str) -> Callable[[Clouds], dict[str, Any]]:
    """Make a secret, called as the API calls it: with the project's number."""

    def make(clouds: Clouds) -> dict[str, Any]:
        enable(clouds)
        path = f"/v1/projects/{PROJECT}/secrets?secretId={name}"
        clouds.google.send("POST", path, {"replication": {"automatic": {}}})
        return {"secret": f"projects/{NUMBER}/secrets/{name}"}

    return make


def grant(clouds: Clouds, path: str, role: str, member: str) -> None:
    """Bind *member* to *role* at *path*, as somebody would by hand."""
    policy = read_policy(clouds, path)
    bindings = [*policy.get("bindings", []), {"role": role, "members": [member]}]
    clouds.google.send("POST", f"{path}:setIamPolicy", {"policy": {"bindings": bindings}})


def members(clouds: Clouds, path: str, role: str) -> list[str] | None:
    """Return the members of *role* at *path*, None without a binding."""
    for binding in read_policy(clouds, path).get("bindings", []):
        if binding["role"] == role:
            return list(binding["members"])
    return None


def transfer_owner(clouds: Clouds, account_id: str) -> str:
    """Make a service account that can own transfers."""
    email = account(clouds, account_id)
    identity = f"/v1beta1/projects/{PROJECT}/services/{TRANSFERS}:generateServiceIdentity"
    agent = clouds.google.send("POST", identity, {})["response"]["email"]
    path = f"/v1/projects/{PROJECT}"
    grant(clouds, path, "roles/bigquery.admin", f"serviceAccount:{email}")
    creator = "roles/iam.serviceAccountTokenCreator"
    grant(clouds, f"{path}/serviceAccounts/{email}", creator, f"serviceAccount:{agent}")
    return email
