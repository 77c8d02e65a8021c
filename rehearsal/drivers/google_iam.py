"""Members of IAM policies: one class for every type whose name ends in IamMember."""

from __future__ import annotations

import random
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from rehearsal.drivers.google_rest import get_or_none, id_parts
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    NotFound,
    Outputs,
    driver,
)

# Policies are read, changed and written whole; resources are made by several threads at once.
POLICY_CHANGE = threading.Lock()

_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.02
# Google's words for a policy that somebody else changed after it was read (409 ABORTED).
_CONFLICT = "concurrent policy changes"
_ROLE = r"(?:(?:projects|organizations)/[^/ ]+/)?roles/[^/ ]+"
_ID = rf"(?P<resource>[^ ]+?)[/ ](?P<role>{_ROLE})[/ ](?P<member>.+)"


class IamMember(Driver):
    """One member of one role in the IAM policy of a resource.

    Nothing of it can be changed in place. The ids are the one the official provider makes,
    ``RESOURCE/ROLE/MEMBER``, and the one it imports, with blanks in place of the slashes.
    """

    @abstractmethod
    def resource(self, inputs: Inputs) -> str:
        """Return the resource's name, with which the id begins."""

    @abstractmethod
    def properties_of(self, resource: str) -> Outputs:
        """Return the properties that name *resource*."""

    def path(self, resource: str) -> str:
        """Return the REST path of *resource*."""
        return f"/v1/{resource}"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Add the member."""
        resource, role, member = self.resource(inputs), inputs["role"], inputs["member"]
        outputs = self.add(clouds, self.path(resource), role, member)
        return Created(f"{resource}/{role}/{member}", {**inputs, **outputs})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Look for the member in the policy as it is now."""
        resource, role, member = _parts(identifier)
        found = self.find(clouds, self.path(resource), role, member)
        if found is None:
            return None
        named = {**self.properties_of(resource), "role": role, "member": member}
        # Every other member of the policy changes its etag, which says nothing of this one.
        return {**named, **found, **known}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Take the member away; with the last one goes the binding."""
        resource, role, member = _parts(identifier)
        try:
            self.remove(clouds, self.path(resource), role, member)
        except NotFound:
            return

    def add(self, clouds: Clouds, path: str, role: str, member: str) -> Outputs:
        """Add the member to the policy at *path*; returns the outputs it tells."""
        return _etag_of(change_policy(clouds, path, lambda policy: _added(policy, role, member)))

    def find(self, clouds: Clouds, path: str, role: str, member: str) -> Outputs | None:
        """Return the outputs that the policy tells, or None without the member."""
        try:
            policy = read_policy(clouds, path)
        except NotFound:
            return None
        members = (m for b in _bindings(policy, role) for m in b["members"])
        return _etag_of(policy) if member in members else None

    def remove(self, clouds: Clouds, path: str, role: str, member: str) -> None:
        """Take the member out of the policy at *path*."""
        change_policy(clouds, path, lambda policy: _removed(policy, role, member))


def read_policy(clouds: Clouds, path: str) -> Outputs:
    """Read the IAM policy of the resource at *path*."""
    # Secret Manager alone reads with GET.
    return clouds.google.send("GET" if "/secrets/" in path else "POST", f"{path}:getIamPolicy")


def change_policy(clouds: Clouds, path: str, change: Callable[[Outputs], bool]) -> Outputs:
    """Read the policy at *path*, let *change* alter it, and write it if that returns true.

    As Google asks for (https://cloud.google.com/iam/docs/allow-policies#etag): the etag that was
    read is sent back, and where somebody else was faster, everything is done again.
    """
    with POLICY_CHANGE:
        for attempt in range(_ATTEMPTS):
            policy = read_policy(clouds, path)
            if not change(policy):
                return policy
            try:
                return clouds.google.send("POST", f"{path}:setIamPolicy", {"policy": policy})
            except DriverError as error:
                if _CONFLICT not in str(error) or attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
    raise AssertionError("the last attempt returns or raises")


def _added(policy: Outputs, role: str, member: str) -> bool:
    bindings = _bindings(policy, role)
    if any(member in binding["members"] for binding in bindings):
        return False
    if not bindings:
        bindings = [{"role": role, "members": []}]
        policy.setdefault("bindings", []).extend(bindings)
    bindings[0]["members"].append(member)
    return True


def _removed(policy: Outputs, role: str, member: str) -> bool:
    holding = [b for b in _bindings(policy, role) if member in b["members"]]
    for binding in holding:
        binding["members"].remove(member)
    policy["bindings"] = [b for b in policy.get("bindings", []) if b["members"]]
    return bool(holding)


def _bindings(policy: Outputs, role: str) -> list[dict[str, Any]]:
    """The unconditional bindings of *role*."""
    bindings = policy.get("bindings", [])
    return [b for b in bindings if b["role"] == role and not b.get("condition")]


def _etag_of(policy: Outputs) -> Outputs:
    return {"etag": str(policy.get("etag", ""))}


def _parts(identifier: str) -> tuple[str, str, str]:
    parts = id_parts(_ID, identifier)
    return parts["resource"], parts["role"], parts["member"]


@driver
class ProjectIamMember(IamMember):
    """A member of a role on the project."""

    token = "gcp:projects/iAMMember:IAMMember"  # noqa: S105  # a type token
    required = "project role member"
    replace_on = required

    def resource(self, inputs: Inputs) -> str:
        """Return the project."""
        return str(inputs["project"])

    def properties_of(self, resource: str) -> Outputs:
        """Return the project."""
        return {"project": resource.removeprefix("projects/")}

    def path(self, resource: str) -> str:
        """Return the project's path."""
        return f"/v1/projects/{resource.removeprefix('projects/')}"


@driver
class ServiceAccountIamMember(IamMember):
    """A member of a role on a service account."""

    token = "gcp:serviceaccount/iAMMember:IAMMember"  # noqa: S105
    required = "serviceAccountId role member"
    replace_on = required

    def resource(self, inputs: Inputs) -> str:
        """Return the account's full name."""
        return str(inputs["serviceAccountId"])

    def properties_of(self, resource: str) -> Outputs:
        """Return the account's full name."""
        return {"serviceAccountId": resource}


_FULL_ROLES = {
    "OWNER": "roles/bigquery.dataOwner",
    "WRITER": "roles/bigquery.dataEditor",
    "READER": "roles/bigquery.dataViewer",
}
_ENTRY_KEYS = {
    "serviceAccount": "userByEmail",
    "user": "userByEmail",
    "group": "groupByEmail",
    "domain": "domain",
    "iamMember": "iamMember",
}
_SPECIAL_GROUPS = ("projectOwners", "projectReaders", "projectWriters", "allAuthenticatedUsers")


@driver
class DatasetIamMember(IamMember):
    """A member of a role on a dataset, which is an entry of the dataset's access list."""

    token = "gcp:bigquery/datasetIamMember:DatasetIamMember"  # noqa: S105
    required = "datasetId project role member"
    replace_on = required

    def resource(self, inputs: Inputs) -> str:
        """Return the dataset's full name."""
        return f"projects/{inputs['project']}/datasets/{inputs['datasetId']}"

    def properties_of(self, resource: str) -> Outputs:
        """Return project and dataset."""
        return id_parts(r"projects/(?P<project>[^/]+)/datasets/(?P<datasetId>[^/]+)", resource)

    def path(self, resource: str) -> str:
        """Return the dataset's path."""
        return f"/bigquery/v2/{resource}?accessPolicyVersion=3"

    def add(self, clouds: Clouds, path: str, role: str, member: str) -> Outputs:
        """Add an entry to the access list."""
        entry = {"role": role, **_who(member)}
        with POLICY_CHANGE:
            access = clouds.google.get(path).get("access", [])
            if not any(_means(each, entry) for each in access):
                # The official provider sends no etag either.
                clouds.google.send("PATCH", path, {"access": [*access, entry]})
        return {}

    def find(self, clouds: Clouds, path: str, role: str, member: str) -> Outputs | None:
        """Look for the entry."""
        entry = {"role": role, **_who(member)}
        dataset = get_or_none(clouds, path) or {}
        return {} if any(_means(each, entry) for each in dataset.get("access", [])) else None

    def remove(self, clouds: Clouds, path: str, role: str, member: str) -> None:
        """Take the entry out of the access list."""
        entry = {"role": role, **_who(member)}
        with POLICY_CHANGE:
            access = clouds.google.get(path).get("access", [])
            kept = [each for each in access if not _means(each, entry)]
            if kept != access:
                clouds.google.send("PATCH", path, {"access": kept})


def _who(member: str) -> dict[str, str]:
    """The part of an access entry that means *member*, as the official provider writes it."""
    kind, _, who = member.partition(":")
    if who and kind in _ENTRY_KEYS:
        return {_ENTRY_KEYS[kind]: who}
    if member in _SPECIAL_GROUPS:
        return {"specialGroup": member}
    raise DriverError(f"Failed to parse BigQuery Dataset IAM member type: {member}")


def _means(present: Outputs, entry: Outputs) -> bool:
    """Whether the entry that is *present* is *entry*: the API shortens some roles' names."""
    role = present.get("role", "")
    return {**present, "role": _FULL_ROLES.get(role, role)} == entry
