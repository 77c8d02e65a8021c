"""Drivers of Secret Manager's secrets and their versions."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rehearsal.drivers.google_rest import (
    abandoned,
    changed,
    get_or_none,
    id_parts,
    picked,
    refuse_protected,
    send_if_there,
    told,
)
from rehearsal.drivers.registry import Clouds, Created, Driver, Inputs, Outputs, driver

_SETTINGS = ("labels", "annotations", "versionDestroyTtl")


@driver
class Secret(Driver):
    """A secret; its values are its versions."""

    token = "gcp:secretmanager/secret:Secret"  # noqa: S105  # a type token
    required = "secretId project replication"
    optional = "labels annotations deletionProtection versionDestroyTtl"
    replace_on = "secretId project replication"
    delete_first = True

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the secret."""
        parent = f"projects/{inputs['project']}/secrets"
        body = {**picked(_SETTINGS, inputs), "replication": _sent(inputs["replication"])}
        path = f"/v1/{parent}?secretId={quote(inputs['secretId'])}"
        secret = clouds.google.send("POST", path, body)
        return Created(f"{parent}/{inputs['secretId']}", {**inputs, "name": secret["name"]})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the secret, not its values."""
        parts = id_parts(r"projects/(?P<project>[^/]+)/secrets/(?P<secretId>[^/]+)", identifier)
        secret = get_or_none(clouds, f"/v1/{identifier}")
        if secret is None:
            return None
        actual = {name: secret.get(name) for name in _SETTINGS}
        replication = _shown(secret["replication"])
        if "replication" in known and _sent(known["replication"]) == secret["replication"]:
            replication = known["replication"]
        outputs = {**told(known, actual), "replication": replication}
        return {**outputs, **parts, "name": secret["name"]}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change what the update mask then names."""
        mask = changed(_SETTINGS, known, inputs)
        if mask:
            path = f"/v1/{identifier}?updateMask={','.join(mask)}"
            clouds.google.send("PATCH", path, picked(mask, inputs))
        return {**inputs, "name": known["name"]}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the secret with its versions, unless it is protected."""
        refuse_protected(known, f"secret {identifier}", default=False)
        send_if_there(clouds, "DELETE", f"/v1/{identifier}")


def _sent(replication: Mapping[str, Any]) -> Outputs:
    """A replication as the API has it, where ``auto`` is called ``automatic``."""
    if "userManaged" in replication:
        return {"userManaged": replication["userManaged"]}
    return {"automatic": replication.get("auto") or {}}


def _shown(replication: Mapping[str, Any]) -> Outputs:
    if "userManaged" in replication:
        return {"userManaged": replication["userManaged"]}
    return {"auto": replication["automatic"]}


@driver
class SecretVersion(Driver):
    """A value of a secret. It is never changed: another value is another version."""

    token = "gcp:secretmanager/secretVersion:SecretVersion"  # noqa: S105
    required = "secret"
    optional = "secretData enabled deletionPolicy isSecretDataBase64"
    replace_on = "secret secretData isSecretDataBase64"
    secret_outputs = "secretData"  # noqa: S105

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Add the version, and disable it if that is wanted."""
        body = {"payload": {"data": self._encoded(inputs)}}
        name = clouds.google.send("POST", f"/v1/{inputs['secret']}:addVersion", body)["name"]
        if not inputs.get("enabled", True):
            clouds.google.send("POST", f"/v1/{name}:disable", {})
        return Created(name, self._outputs(inputs, name))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the state, and the value if Google gives it out; a destroyed version is gone."""
        parts = id_parts(r"(?P<secret>projects/.+/secrets/.+)/versions/[^/]+", identifier)
        version = get_or_none(clouds, f"/v1/{identifier}")
        if version is None or version["state"] == "DESTROYED":
            return None
        enabled = version["state"] == "ENABLED"
        inputs = {**parts, **told(known, {"enabled": enabled}, {"enabled": True})}
        # The value of a disabled version is what it was when it could last be read.
        if enabled:
            data = clouds.google.get(f"/v1/{identifier}:access")["payload"]["data"]
            inputs["secretData"] = self._decoded(data, known)
        return self._outputs(inputs, version["name"])

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Enable or disable the version."""
        verb = "enable" if inputs.get("enabled", True) else "disable"
        clouds.google.send("POST", f"/v1/{identifier}:{verb}", {})
        return self._outputs(inputs, known["name"])

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Destroy the version, or disable it if that is its `deletionPolicy`."""
        gone = abandoned(known, f"secret version {identifier}")
        if gone or self.read(clouds, identifier, known) is None:
            return
        verb = "disable" if known.get("deletionPolicy") == "DISABLE" else "destroy"
        send_if_there(clouds, "POST", f"/v1/{identifier}:{verb}", {})

    @staticmethod
    def _encoded(inputs: Inputs) -> str:
        data = str(inputs.get("secretData", ""))
        return (
            data if inputs.get("isSecretDataBase64") else base64.b64encode(data.encode()).decode()
        )

    @staticmethod
    def _decoded(data: str, known: Inputs) -> str:
        return data if known.get("isSecretDataBase64") else base64.b64decode(data).decode()

    @staticmethod
    def _outputs(inputs: Inputs, name: str) -> Outputs:
        return {**inputs, "name": name, "version": name.rsplit("/", 1)[-1]}
