"""Drivers of a project's services, their agents, its IAM and its secrets."""

from __future__ import annotations

import base64
import threading
from typing import Any

from rehearsal.drivers.registry import Clouds, Created, Inputs, Outputs, driver, function

# Policies are read, changed and written whole; resources are made by several threads at once.
POLICY_CHANGE = threading.Lock()


def add_member(clouds: Clouds, resource: str, role: str, member: str) -> str:
    """Add *member* to *role* in the IAM policy of *resource* (a REST path); returns the etag.

    Reads, changes and writes the whole policy, as Google's provider does for its IamMember
    resources (https://cloud.google.com/iam/docs/granting-changing-revoking-access).
    """
    get = "GET" if "/secrets/" in resource else "POST"
    with POLICY_CHANGE:
        policy = clouds.google.send(get, f"{resource}:getIamPolicy")
        bindings: list[dict[str, Any]] = policy.setdefault("bindings", [])
        binding = next((b for b in bindings if b["role"] == role), None)
        if binding is None:
            binding = {"role": role, "members": []}
            bindings.append(binding)
        if member not in binding["members"]:
            binding["members"].append(member)
        changed = clouds.google.send("POST", f"{resource}:setIamPolicy", {"policy": policy})
    return str(changed.get("etag", ""))


@function("gcp:organizations/getProject:getProject")
def _project(clouds: Clouds, arguments: Inputs) -> Outputs:
    project = clouds.google.get(f"/v1/projects/{arguments['projectId']}")
    return {
        "id": f"projects/{project['projectId']}",
        "projectId": project["projectId"],
        "number": project["projectNumber"],
        "name": project.get("name", project["projectId"]),
    }


@driver(
    "gcp:projects/service:Service",
    "service project disableOnDestroy disableDependentServices checkIfServiceHasUsageOnDestroy "
    "deletionPolicy",
)
def _service(clouds: Clouds, inputs: Inputs) -> Created:
    project = inputs["project"]
    clouds.google.send(
        "POST",
        f"/v1/projects/{project}/services:batchEnable",
        {"serviceIds": [inputs["service"]]},
    )
    return Created(f"{project}/{inputs['service']}", dict(inputs))


@driver("gcp:projects/serviceIdentity:ServiceIdentity", "service project")
def _service_identity(clouds: Clouds, inputs: Inputs) -> Created:
    path = f"projects/{inputs['project']}/services/{inputs['service']}"
    operation = clouds.google.send("POST", f"/v1beta1/{path}:generateServiceIdentity", {})
    email = operation["response"]["email"]
    return Created(path, {**inputs, "email": email, "member": f"serviceAccount:{email}"})


@driver("gcp:projects/iAMMember:IAMMember", "project role member")
def _project_member(clouds: Clouds, inputs: Inputs) -> Created:
    etag = add_member(clouds, f"/v1/projects/{inputs['project']}", inputs["role"], inputs["member"])
    name = f"{inputs['project']}/{inputs['role']}/{inputs['member']}"
    return Created(name, {**inputs, "etag": etag})


@driver(
    "gcp:projects/iAMCustomRole:IAMCustomRole",
    "project roleId title description permissions stage",
)
def _custom_role(clouds: Clouds, inputs: Inputs) -> Created:
    role = clouds.google.send(
        "POST",
        f"/v1/projects/{inputs['project']}/roles",
        {
            "roleId": inputs["roleId"],
            "role": {
                "title": inputs["title"],
                "description": inputs.get("description", ""),
                "includedPermissions": list(inputs["permissions"]),
                "stage": inputs.get("stage", "GA"),
            },
        },
    )
    return Created(role["name"], {**inputs, "name": role["name"]})


@driver(
    "gcp:secretmanager/secret:Secret",
    "secretId project replication labels annotations deletionProtection versionDestroyTtl",
)
def _secret(clouds: Clouds, inputs: Inputs) -> Created:
    secret = clouds.google.send(
        "POST",
        f"/v1/projects/{inputs['project']}/secrets?secretId={inputs['secretId']}",
        {"replication": {"automatic": {}}, "labels": inputs.get("labels", {})},
    )
    return Created(
        f"projects/{inputs['project']}/secrets/{inputs['secretId']}",
        {**inputs, "name": secret["name"]},
    )


@driver(
    "gcp:secretmanager/secretVersion:SecretVersion",
    "secret secretData enabled deletionPolicy isSecretDataBase64",
)
def _secret_version(clouds: Clouds, inputs: Inputs) -> Created:
    data = base64.b64encode(inputs["secretData"].encode()).decode()
    version = clouds.google.send(
        "POST", f"/v1/{inputs['secret']}:addVersion", {"payload": {"data": data}}
    )
    return Created(
        version["name"],
        {**inputs, "name": version["name"], "version": version["name"].rsplit("/", 1)[-1]},
    )


@driver("gcp:secretmanager/secretIamMember:SecretIamMember", "project secretId role member")
def _secret_member(clouds: Clouds, inputs: Inputs) -> Created:
    secret = inputs["secretId"]
    path = secret if "/" in secret else f"projects/{inputs['project']}/secrets/{secret}"
    etag = add_member(clouds, f"/v1/{path}", inputs["role"], inputs["member"])
    return Created(f"{path}/{inputs['role']}/{inputs['member']}", {**inputs, "etag": etag})
