"""Secret Manager (https://cloud.google.com/secret-manager/docs/reference/rest)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rehearsal.google.access import Access, Policy
from rehearsal.google.errors import already_exists, denied, failed_precondition, invalid, not_found
from rehearsal.google.project import Project
from rehearsal.google.resources import check_labels, page, rfc3339
from rehearsal.google.routing import Call, Router

_SERVICE = "secretmanager.googleapis.com"
_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_LARGEST = 64 * 1024
_SETTINGS = {
    *("labels", "annotations", "ttl", "expireTime", "rotation", "topics", "versionAliases"),
    *("versionDestroyTtl", "replication"),
}


@dataclass
class Version:
    """One version; a destroyed one has no data. *doomed* is when it is to be destroyed, if ever."""

    name: str
    created: datetime
    data: bytes = field(repr=False)
    state: str = "ENABLED"
    doomed: datetime | None = None

    def resource(self) -> dict[str, Any]:
        """The version as the API shows it: without the data."""
        return {
            "name": self.name,
            "createTime": rfc3339(self.created),
            "state": self.state,
            "etag": f'"{self.state.lower()}"',
            "replicationStatus": {"automatic": {}},
            **({"scheduledDestroyTime": rfc3339(self.doomed)} if self.doomed else {}),
        }

    def put(self, state: str) -> None:
        """Enter *state*, which ends any wait for another one."""
        self.state, self.doomed = state, None
        if state == "DESTROYED":
            self.data = b""


@dataclass
class Secret:
    """A secret and its versions, the first one numbered 1."""

    name: str
    created: datetime
    settings: dict[str, Any]
    versions: list[Version] = field(default_factory=list)
    policy: Policy = field(default_factory=Policy)

    def resource(self) -> dict[str, Any]:
        """The secret as the API shows it."""
        return {
            "name": self.name,
            "createTime": rfc3339(self.created),
            "etag": f'"{len(self.versions)}"',
            **self.settings,
        }


class Secrets:
    """The handlers of ``/v1/projects/P/secrets``."""

    def __init__(self, project: Project, access: Access, clock: Callable[[], datetime]) -> None:
        self._project = project
        self._access = access
        self._clock = clock
        self._secrets: dict[str, Secret] = {}

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/v1/projects/{project}/secrets"
        one = base + "/{secret}"
        version = one + "/versions/{version}"
        for method, path, handler in (
            ("GET", base, self._list),
            ("POST", base, self._create),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("DELETE", one, self._delete),
            ("POST", one + ":addVersion", self._add_version),
            ("GET", one + ":getIamPolicy", self._get_policy),
            ("POST", one + ":setIamPolicy", self._set_policy),
            ("GET", one + "/versions", self._list_versions),
            ("GET", version, self._get_version),
            ("GET", version + ":access", self._access_version),
            ("POST", version + ":enable", self._enable),
            ("POST", version + ":disable", self._disable),
            ("POST", version + ":destroy", self._destroy),
        ):
            router.add(method, path, handler, _SERVICE)

    def _secret(self, call: Call, permission: str) -> Secret:
        secret = self._secrets.get(call["secret"])
        name = f"projects/{self._project.number}/secrets/{call['secret']}"
        policies = () if secret is None else (secret.policy,)
        refusal = denied(
            f"Permission '{permission}' denied for resource '{name}' (or it may not exist).",
            reason="forbidden",
        )
        self._access.require(call.identity, permission, refusal, *policies)
        if secret is None:
            raise not_found(f"Secret [{name}] not found.")
        for version in secret.versions:
            if version.doomed is not None and version.doomed <= self._clock():
                version.put("DESTROYED")
        return secret

    def _version(self, call: Call, permission: str) -> Version:
        secret = self._secret(call, permission)
        wanted = call["version"]
        if wanted == "latest":
            wanted = str(len(secret.versions))
        if not wanted.isdecimal() or not 1 <= int(wanted) <= len(secret.versions):
            raise not_found(f"Secret Version [{secret.name}/versions/{call['version']}] not found.")
        return secret.versions[int(wanted) - 1]

    def _list(self, call: Call) -> dict[str, Any]:
        permission = "secretmanager.secrets.list"
        refusal = denied(f"Permission '{permission}' denied for resource (or it may not exist).")
        self._access.require(call.identity, permission, refusal)
        items, more = page(call, list(self._secrets.values()))
        secrets = [secret.resource() for secret in items]
        return {"secrets": secrets, "totalSize": len(self._secrets), **more}

    def _create(self, call: Call) -> dict[str, Any]:
        permission = "secretmanager.secrets.create"
        refusal = denied(f"Permission '{permission}' denied for resource (or it may not exist).")
        self._access.require(call.identity, permission, refusal)
        secret_id = call.query.get("secretId", "")
        if not _ID.fullmatch(secret_id):
            raise invalid(
                f"The provided Secret ID [{secret_id}] does not match the expected format "
                "[[a-zA-Z_0-9-]+], at most 255 characters"
            )
        body = call.json()
        if not body.get("replication"):
            raise invalid("The field secret.replication is required, e.g. {automatic: {}}")
        check_labels(body.get("labels") or {})
        name = f"projects/{self._project.number}/secrets/{secret_id}"
        if secret_id in self._secrets:
            raise already_exists(f"Secret [{name}] already exists.")
        settings = {k: v for k, v in body.items() if k in _SETTINGS}
        secret = Secret(name, self._clock(), settings)
        self._secrets[secret_id] = secret
        return secret.resource()

    def _get(self, call: Call) -> dict[str, Any]:
        return self._secret(call, "secretmanager.secrets.get").resource()

    def _patch(self, call: Call) -> dict[str, Any]:
        secret = self._secret(call, "secretmanager.secrets.update")
        body = call.json()
        check_labels(body.get("labels") or {})
        mask = [name for name in call.query.get("updateMask", "").split(",") if name]
        if not mask:
            raise invalid("The update mask must name the fields to change.")
        for name in mask:
            key = re.sub(r"_([a-z])", lambda m: m[1].upper(), name)
            if key not in _SETTINGS or key == "replication":
                raise invalid(f"The field {name} of a secret cannot be updated.")
            if key in body:
                secret.settings[key] = body[key]
            else:
                secret.settings.pop(key, None)
        return secret.resource()

    def _delete(self, call: Call) -> dict[str, Any]:
        self._secret(call, "secretmanager.secrets.delete")
        del self._secrets[call["secret"]]
        return {}

    def _add_version(self, call: Call) -> dict[str, Any]:
        secret = self._secret(call, "secretmanager.versions.add")
        payload = call.json().get("payload") or {}
        try:
            data = base64.b64decode(payload.get("data", ""), validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise invalid(
                "Invalid value at 'payload.data' (TYPE_BYTES), Base64 decoding failed"
            ) from error
        if not data or len(data) > _LARGEST:
            raise invalid(f"The payload has {len(data)} bytes; 1 to {_LARGEST} are allowed")
        checksum = payload.get("dataCrc32c")
        if checksum is not None and int(checksum) != crc32c(data):
            raise invalid("The checksum of the payload does not match its data")
        number = len(secret.versions) + 1
        version = Version(f"{secret.name}/versions/{number}", self._clock(), data)
        secret.versions.append(version)
        return version.resource()

    def _list_versions(self, call: Call) -> dict[str, Any]:
        secret = self._secret(call, "secretmanager.versions.list")
        items, more = page(call, list(reversed(secret.versions)))
        versions = [version.resource() for version in items]
        return {"versions": versions, "totalSize": len(secret.versions), **more}

    def _get_version(self, call: Call) -> dict[str, Any]:
        return self._version(call, "secretmanager.versions.get").resource()

    def _access_version(self, call: Call) -> dict[str, Any]:
        version = self._version(call, "secretmanager.versions.access")
        if version.state != "ENABLED":
            raise failed_precondition(
                f"Secret Version [{version.name}] is in {version.state} state."
            )
        payload = {
            "data": base64.b64encode(version.data).decode(),
            "dataCrc32c": str(crc32c(version.data)),
        }
        return {"name": version.name, "payload": payload}

    def _change(self, call: Call, permission: str, state: str) -> dict[str, Any]:
        version = self._version(call, permission)
        if version.state == "DESTROYED":
            raise failed_precondition(f"Secret Version [{version.name}] is in DESTROYED state.")
        version.put(state)
        return version.resource()

    def _enable(self, call: Call) -> dict[str, Any]:
        return self._change(call, "secretmanager.versions.enable", "ENABLED")

    def _disable(self, call: Call) -> dict[str, Any]:
        return self._change(call, "secretmanager.versions.disable", "DISABLED")

    def _destroy(self, call: Call) -> dict[str, Any]:
        """Destroy a version; where the secret has a `versionDestroyTtl`, only disable it till then.

        Source: https://cloud.google.com/secret-manager/docs/delay-destruction-of-secret-versions
        """
        permission = "secretmanager.versions.destroy"
        delay = self._secret(call, permission).settings.get("versionDestroyTtl")
        if not delay:
            return self._change(call, permission, "DESTROYED")
        self._change(call, permission, "DISABLED")
        version = self._version(call, permission)
        version.doomed = self._clock() + timedelta(seconds=float(delay.rstrip("s")))
        return version.resource()

    def _get_policy(self, call: Call) -> dict[str, Any]:
        return self._secret(call, "secretmanager.secrets.getIamPolicy").policy.resource()

    def _set_policy(self, call: Call) -> dict[str, Any]:
        secret = self._secret(call, "secretmanager.secrets.setIamPolicy")
        return self._access.replace(secret.policy, call.json())


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum of RFC 3720, appendix B.4."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF
