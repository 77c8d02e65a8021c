"""Drivers of service accounts and workload identity federation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rehearsal.drivers.google_rest import (
    changed,
    get_or_none,
    id_parts,
    picked,
    send_if_there,
    told,
)
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    Inputs,
    Outputs,
    driver,
)

_ACCOUNT_TEXTS = ("displayName", "description")


@driver
class Account(Driver):
    """A service account."""

    token = "gcp:serviceaccount/account:Account"  # noqa: S105  # a type token
    required = "accountId project"
    optional = "displayName description disabled createIgnoreAlreadyExists"
    replace_on = "accountId project"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the account, or take the one there is if `createIgnoreAlreadyExists` says so."""
        account = self._made(clouds, inputs)
        if inputs.get("disabled"):
            clouds.google.send("POST", f"/v1/{account['name']}:disable", {})
        return Created(account["name"], self._outputs(inputs, account))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the account."""
        account = get_or_none(clouds, f"/v1/{identifier}")
        if account is None:
            return None
        actual = {name: account.get(name) for name in (*_ACCOUNT_TEXTS, "disabled")}
        named = {
            "project": account["projectId"],
            "accountId": account["email"].partition("@")[0],
        }
        return self._outputs({**told(known, actual), **named}, account)

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change the texts; turn the account on or off."""
        if changed(["disabled"], known, inputs):
            verb = "disable" if inputs.get("disabled") else "enable"
            clouds.google.send("POST", f"/v1/{identifier}:{verb}", {})
        mask = changed(_ACCOUNT_TEXTS, known, inputs)
        if mask:
            body = {"serviceAccount": picked(mask, inputs), "updateMask": ",".join(mask)}
            clouds.google.send("PATCH", f"/v1/{identifier}", body)
        return self._outputs(inputs, clouds.google.get(f"/v1/{identifier}"))

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the account."""
        send_if_there(clouds, "DELETE", f"/v1/{identifier}")

    @staticmethod
    def _made(clouds: Clouds, inputs: Inputs) -> Outputs:
        project, account_id = inputs["project"], inputs["accountId"]
        parent = f"/v1/projects/{project}/serviceAccounts"
        if inputs.get("createIgnoreAlreadyExists"):
            email = f"{account_id}@{project}.iam.gserviceaccount.com"
            present = get_or_none(clouds, f"{parent}/{email}")
            if present is not None:
                return present
        body = {"accountId": account_id, "serviceAccount": picked(_ACCOUNT_TEXTS, inputs)}
        return clouds.google.send("POST", parent, body)

    @staticmethod
    def _outputs(inputs: Inputs, account: Outputs) -> Outputs:
        email = account["email"]
        return {
            **inputs,
            "email": email,
            "member": f"serviceAccount:{email}",
            "name": account["name"],
            "uniqueId": account.get("uniqueId", ""),
        }


class _Federated(Driver):
    """What pools and their providers share; *settings* can be changed in place.

    A deleted one keeps its id for 30 days, so that another of that id cannot be made.
    """

    settings: ClassVar[Sequence[str]]
    defaults: ClassVar[Outputs] = {}
    form: ClassVar[str]

    def made(self, clouds: Clouds, parent: str, key: str, inputs: Inputs) -> Created:
        """Make what is called as the input *key* says."""
        path = f"/v1/{parent}?{key}={inputs[key]}"
        operation = clouds.google.send("POST", path, picked(self.settings, inputs))
        # The operation's response is the resource (here operations are done at once).
        made = operation["response"]
        return Created(f"{parent}/{inputs[key]}", self._outputs(inputs, made))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the resource; a deleted one is gone."""
        parts = id_parts(self.form, identifier)
        found = get_or_none(clouds, f"/v1/{identifier}")
        if found is None or found["state"] == "DELETED":
            return None
        actual = {name: found.get(name) for name in self.settings}
        return self._outputs({**told(known, actual, self.defaults), **parts}, found)

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change what the update mask then names."""
        mask = changed(self.settings, known, inputs)
        if mask:
            path = f"/v1/{identifier}?updateMask={','.join(mask)}"
            clouds.google.send("PATCH", path, picked(mask, inputs))
        return self._outputs(inputs, known)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the resource, if it is not deleted already."""
        if self.read(clouds, identifier, known) is not None:
            send_if_there(clouds, "DELETE", f"/v1/{identifier}")

    @staticmethod
    def _outputs(inputs: Inputs, found: Inputs) -> Outputs:
        return {**inputs, "name": found["name"], "state": found["state"]}


_POOL = (
    r"projects/(?P<project>[^/]+)/locations/global/workloadIdentityPools/"
    r"(?P<workloadIdentityPoolId>[^/]+)"
)
_TEXTS = ("displayName", "description", "disabled")


@driver
class WorkloadIdentityPool(_Federated):
    """A pool of identities from elsewhere."""

    token = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"  # noqa: S105
    required = "workloadIdentityPoolId project"
    optional = "displayName description disabled"
    replace_on = "workloadIdentityPoolId project"
    settings = _TEXTS
    form = _POOL

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the pool."""
        parent = f"projects/{inputs['project']}/locations/global/workloadIdentityPools"
        return self.made(clouds, parent, "workloadIdentityPoolId", inputs)


# What Google gives an AWS provider without a mapping
# (https://cloud.google.com/iam/docs/workload-identity-federation-with-other-clouds).
_DEFAULT_MAPPING = {
    "google.subject": "assertion.arn",
    "attribute.aws_role": (
        "assertion.arn.contains('assumed-role') ? "
        "assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' + "
        "assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn"
    ),
}


@driver
class WorkloadIdentityPoolProvider(_Federated):
    """An AWS account whose roles a pool lets in."""

    token = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"  # noqa: S105
    required = "workloadIdentityPoolId workloadIdentityPoolProviderId project aws"
    optional = "displayName description attributeMapping attributeCondition disabled"
    replace_on = "workloadIdentityPoolId workloadIdentityPoolProviderId project"
    settings = (*_TEXTS, "aws", "attributeMapping", "attributeCondition")
    defaults: ClassVar[Outputs] = {"attributeMapping": _DEFAULT_MAPPING}
    form = rf"{_POOL}/providers/(?P<workloadIdentityPoolProviderId>[^/]+)"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the provider."""
        pool = (
            f"projects/{inputs['project']}/locations/global/workloadIdentityPools/"
            f"{inputs['workloadIdentityPoolId']}"
        )
        parent = f"{pool}/providers"
        return self.made(clouds, parent, "workloadIdentityPoolProviderId", inputs)
