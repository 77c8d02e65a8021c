"""Service Usage and Resource Manager: the project itself.

Source: https://cloud.google.com/service-usage/docs/reference/rest and
https://cloud.google.com/resource-manager/reference/rest/v1/projects
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Any

from rehearsal.google.access import Access
from rehearsal.google.errors import invalid
from rehearsal.google.iam import permission_denied
from rehearsal.google.project import Project
from rehearsal.google.resources import page
from rehearsal.google.routing import Call, Router

_USAGE = "serviceusage.googleapis.com"
_MANAGER = "cloudresourcemanager.googleapis.com"
_NAME = re.compile(r"[a-z0-9-]+\.googleapis\.com")
_MOST_AT_ONCE = 20


class Services:
    """The handlers of ``/v1/projects/P`` and ``/v1/projects/P/services``."""

    def __init__(self, project: Project, access: Access) -> None:
        self._project = project
        self._access = access

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/v1/projects/{project}"
        service = base + "/services/{service}"
        for method, path, handler in (
            ("GET", f"{base}/services", self._list),
            ("POST", f"{base}/services:batchEnable", self._batch_enable),
            ("GET", service, self._get),
            ("POST", f"{service}:enable", self._enable),
            ("POST", f"{service}:disable", self._disable),
            ("GET", "/v1/operations/{operation}", self._operation_done),
            (
                "POST",
                "/v1beta1/projects/{project}/services/{service}:generateServiceIdentity",
                self._generate_identity,
            ),
        ):
            router.add(method, path, handler, _USAGE)
        for method, path, handler in (
            ("GET", base, self._project_resource),
            ("POST", f"{base}:getIamPolicy", self._get_policy),
            ("POST", f"{base}:setIamPolicy", self._set_policy),
        ):
            router.add(method, path, handler, _MANAGER)

    def _require(self, call: Call, permission: str) -> None:
        self._access.require(call.identity, permission, permission_denied(permission))

    def _list(self, call: Call) -> dict[str, Any]:
        self._require(call, "serviceusage.services.list")
        wanted = call.query.get("filter", "state:ENABLED")
        if wanted != "state:ENABLED":
            raise invalid(f"The filter {wanted!r} is not served here; state:ENABLED is")
        items, more = page(call, sorted(self._project.enabled))
        return {"services": [self._service(name) for name in items], **more}

    def _get(self, call: Call) -> dict[str, Any]:
        self._require(call, "serviceusage.services.get")
        return self._service(call["service"])

    def _batch_enable(self, call: Call) -> dict[str, Any]:
        names = call.json().get("serviceIds") or []
        if not 1 <= len(names) <= _MOST_AT_ONCE:
            raise invalid(f"{len(names)} services; 1 to {_MOST_AT_ONCE} can be enabled at once")
        return self._enabled(call, names)

    def _enable(self, call: Call) -> dict[str, Any]:
        return self._enabled(call, [call["service"]])

    def _enabled(self, call: Call, names: Iterable[str]) -> dict[str, Any]:
        self._require(call, "serviceusage.services.enable")
        wanted = [str(name) for name in names]
        for name in wanted:
            if not _NAME.fullmatch(name):
                raise invalid(f"Not found: service {name!r}; such as bigquery.googleapis.com")
        self._project.enabled.update(wanted)
        return _operation({"services": [self._service(name) for name in wanted]})

    def _disable(self, call: Call) -> dict[str, Any]:
        self._require(call, "serviceusage.services.disable")
        self._project.enabled.discard(call["service"])
        return _operation({"service": self._service(call["service"])})

    def _operation_done(self, call: Call) -> dict[str, Any]:
        """All operations are done when their call returns."""
        return {"name": f"operations/{call['operation']}", "done": True, "response": {}}

    def _generate_identity(self, call: Call) -> dict[str, Any]:
        self._require(call, "serviceusage.services.enable")
        service = call["service"]
        self._project.agents.add(service)
        email = self._project.agent_email(service)
        return _operation({"email": email, "uniqueId": f"1{zlib.crc32(email.encode()):020d}"})

    def _service(self, name: str) -> dict[str, Any]:
        project = f"projects/{self._project.number}"
        return {
            "name": f"{project}/services/{name}",
            "parent": project,
            "config": {"name": name},
            "state": "ENABLED" if name in self._project.enabled else "DISABLED",
        }

    def _project_resource(self, call: Call) -> dict[str, Any]:
        self._require(call, "resourcemanager.projects.get")
        return {
            "projectNumber": self._project.number,
            "projectId": self._project.id,
            "name": self._project.id,
            "lifecycleState": "ACTIVE",
            "createTime": "2024-01-01T00:00:00.000Z",
        }

    def _get_policy(self, call: Call) -> dict[str, Any]:
        self._require(call, "resourcemanager.projects.getIamPolicy")
        return self._access.project_policy.resource()

    def _set_policy(self, call: Call) -> dict[str, Any]:
        self._require(call, "resourcemanager.projects.setIamPolicy")
        return self._access.replace(self._access.project_policy, call.json())


def _operation(response: dict[str, Any]) -> dict[str, Any]:
    return {"name": "operations/done", "done": True, "response": response}
