"""Drivers of a project's services, their agents and its custom roles."""

from __future__ import annotations

from rehearsal.drivers.google_rest import (
    abandoned,
    as_known,
    get_or_none,
    id_parts,
    send_if_there,
    told,
)
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    Outputs,
    driver,
    function,
)


@function("gcp:organizations/getProject:getProject")
def _project(clouds: Clouds, arguments: Inputs) -> Outputs:
    project = clouds.google.get(f"/v1/projects/{arguments['projectId']}")
    return {
        "id": f"projects/{project['projectId']}",
        "projectId": project["projectId"],
        "number": project["projectNumber"],
        "name": project.get("name", project["projectId"]),
    }


@driver
class Service(Driver):
    """An API that is on in the project; all else about it matters only when it is deleted."""

    token = "gcp:projects/service:Service"  # noqa: S105  # a type token
    required = "service project"
    optional = (
        "disableOnDestroy disableDependentServices checkIfServiceHasUsageOnDestroy deletionPolicy"
    )
    replace_on = "service project"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Enable the API."""
        project, service = inputs["project"], inputs["service"]
        clouds.google.send(
            "POST", f"/v1/projects/{project}/services:batchEnable", {"serviceIds": [service]}
        )
        return Created(f"{project}/{service}", dict(inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """See whether the API is on."""
        parts = id_parts(r"(?P<project>[^/]+)/(?P<service>[^/]+)", identifier)
        path = f"/v1/projects/{parts['project']}/services/{parts['service']}"
        found = get_or_none(clouds, path)
        return {**known, **parts} if found and found["state"] == "ENABLED" else None

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change nothing in the cloud, which does not know these properties."""
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Leave the API on, unless `disableOnDestroy` was set."""
        if abandoned(known, f"project service {identifier}") or not known.get("disableOnDestroy"):
            return
        body: Outputs = {"disableDependentServices": bool(known.get("disableDependentServices"))}
        if known.get("checkIfServiceHasUsageOnDestroy"):
            body["checkIfServiceHasUsage"] = "CHECK"
        project, _, service = identifier.partition("/")
        send_if_there(clouds, "POST", f"/v1/projects/{project}/services/{service}:disable", body)


@driver
class ServiceIdentity(Driver):
    """A service's own account in the project. Google has no call that reads or deletes one."""

    token = "gcp:projects/serviceIdentity:ServiceIdentity"  # noqa: S105
    required = "service project"
    replace_on = "service project"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Have the account made."""
        path = f"projects/{inputs['project']}/services/{inputs['service']}"
        operation = clouds.google.send("POST", f"/v1beta1/{path}:generateServiceIdentity", {})
        email = operation["response"]["email"]
        return Created(path, {**inputs, "email": email, "member": f"serviceAccount:{email}"})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Believe what is known; as with the official provider, none can be imported."""
        if not known:
            raise DriverError("a service identity cannot be imported")
        return dict(known)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Leave the account where it is."""


@driver
class CustomRole(Driver):
    """A role of the project's own. A deleted one can be brought back for a week, and is."""

    token = "gcp:projects/iAMCustomRole:IAMCustomRole"  # noqa: S105
    required = "project roleId title permissions"
    optional = "description stage"
    replace_on = "roleId project"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the role, or bring a deleted one back and change it."""
        parent = f"projects/{inputs['project']}"
        name = f"{parent}/roles/{inputs['roleId']}"
        present = get_or_none(clouds, f"/v1/{name}")
        if present is None:
            body = {"roleId": inputs["roleId"], "role": self._body(inputs)}
            clouds.google.send("POST", f"/v1/{parent}/roles", body)
        elif present.get("deleted"):
            clouds.google.send("POST", f"/v1/{name}:undelete", {})
            clouds.google.send("PATCH", f"/v1/{name}", self._body(inputs))
        else:
            raise DriverError(f"Custom project role {name} already exists and must be imported")
        return Created(name, {**inputs, "name": name, "deleted": False})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the role; a deleted one is gone."""
        parts = id_parts(r"projects/(?P<project>[^/]+)/roles/(?P<roleId>[^/]+)", identifier)
        role = get_or_none(clouds, f"/v1/{identifier}")
        if role is None or role.get("deleted"):
            return None
        actual = {
            "title": role.get("title"),
            "permissions": as_known(
                known, "permissions", list(role.get("includedPermissions", [])), sorted
            ),
            "description": role.get("description"),
            "stage": role.get("stage"),
        }
        outputs = told(known, actual, {"stage": "GA"})
        return {**outputs, **parts, "name": role["name"], "deleted": False}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change the role."""
        clouds.google.send("PATCH", f"/v1/{identifier}", self._body(inputs))
        return {**inputs, "name": identifier, "deleted": False}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the role, if it is not deleted already."""
        if self.read(clouds, identifier, known) is not None:
            send_if_there(clouds, "DELETE", f"/v1/{identifier}")

    @staticmethod
    def _body(inputs: Inputs) -> Outputs:
        return {
            "title": inputs["title"],
            "description": inputs.get("description", ""),
            "includedPermissions": list(inputs["permissions"]),
            "stage": inputs.get("stage", "GA"),
        }
