"""The driver of transfer configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rehearsal.drivers.google_rest import (
    abandoned,
    as_known,
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
    DriverError,
    Inputs,
    Outputs,
    driver,
)

_SECRET = "secret_access_key"  # noqa: S105  # the parameter's name
# What the official provider names in the update mask when it changes: neither sensitiveParams nor
# encryptionConfiguration (google-beta, resource_bigquery_data_transfer_config.go).
_MASKED = (
    *("displayName", "destinationDatasetId", "schedule", "scheduleOptions", "emailPreferences"),
    *("notificationPubsubTopic", "dataRefreshWindowDays", "disabled", "params"),
)
_UNMASKED = ("sensitiveParams", "encryptionConfiguration")
_SENT = (*(name for name in _MASKED if name != "params"), "encryptionConfiguration")
# The API writes the multi-regions' names in lower case, their documentation in upper case.
_MULTI_REGIONS = ("eu", "us")


@driver
class DataTransferConfig(Driver):
    """A transfer configuration. What only Pulumi knows of it is `deletionPolicy`."""

    token = "gcp:bigquery/dataTransferConfig:DataTransferConfig"  # noqa: S105  # a type token
    required = "dataSourceId displayName params project"
    optional = (
        "destinationDatasetId sensitiveParams location schedule scheduleOptions "
        "serviceAccountName disabled dataRefreshWindowDays notificationPubsubTopic "
        "emailPreferences encryptionConfiguration deletionPolicy"
    )
    replace_on = (
        "dataSourceId location project params.data_path params.destination_table_name_template"
    )
    secret_outputs = "sensitiveParams"  # noqa: S105  # a property's name

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the configuration."""
        location = inputs.get("location", "US").lower()
        parent = f"projects/{inputs['project']}/locations/{location}"
        path = f"/v1/{parent}/transferConfigs{_owner(inputs, '?')}"
        name = clouds.google.send("POST", path, _body(inputs))["name"]
        return Created(name, {**inputs, "name": name})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the configuration, of which Google keeps the secret to itself."""
        name = _name(identifier)
        config = get_or_none(clouds, f"/v1/{name}")
        if config is None:
            return None
        actual = {key: config.get(key) for key in _SENT}
        actual["serviceAccountName"] = config.get("ownerInfo", {}).get("email")
        actual["dataSourceId"] = config["dataSourceId"]
        actual["params"] = _shown_params(config.get("params", {}), known)
        return {**told(known, actual), **self._place(clouds, name, known), "name": name}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change what the update mask then names.

        The secret has no entry of its own: it is sent with `params`, and a change of the secret
        alone sends an empty mask, just as the official provider does. Whoever changes the secret
        changes the access key's id with it.
        """
        name = _name(identifier)
        mask = changed(_MASKED, known, inputs)
        if inputs.get("serviceAccountName") and changed(["serviceAccountName"], known, inputs):
            mask.insert(0, "serviceAccountName")
        if mask or changed((*_UNMASKED, "serviceAccountName"), known, inputs):
            path = f"/v1/{name}?updateMask={','.join(mask)}{_owner(inputs, '&')}"
            clouds.google.send("PATCH", path, _body(inputs))
        return {**inputs, "name": name}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the configuration, if its `deletionPolicy` has nothing against it."""
        if not abandoned(known, "BigqueryDataTransferConfig"):
            send_if_there(clouds, "DELETE", f"/v1/{_name(identifier)}")

    @staticmethod
    def _place(clouds: Clouds, name: str, known: Inputs) -> Outputs:
        """Project and location, of which the name has the number and the lower case."""
        parts = id_parts(
            r"projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/transferConfigs/[^/]+",
            name,
        )
        location = parts["location"]
        if location in _MULTI_REGIONS:
            location = location.upper()
        location = as_known(known, "location", location, str.lower)
        project = known.get("project")
        if project is None:
            project = clouds.google.get(f"/v1/projects/{parts['project']}")["projectId"]
        at_default = location == "US" and "location" not in known
        return {"project": project, **({} if at_default else {"location": location})}


def _name(identifier: str) -> str:
    """The name in an id: the id itself, or what follows the project in an import's."""
    return identifier.rsplit(" ", 1)[-1]


def _owner(inputs: Inputs, separator: str) -> str:
    account = inputs.get("serviceAccountName")
    return f"{separator}serviceAccountName={quote(account)}" if account else ""


def _body(inputs: Inputs) -> Outputs:
    """The configuration as it is sent: with the secret among the parameters."""
    params, sensitive = inputs["params"], inputs.get("sensitiveParams") or {}
    secret = sensitive.get("secretAccessKey") or sensitive.get("secretAccessKeyWo")
    if secret and _SECRET in params:
        raise DriverError(f"{_SECRET} is both in params and in sensitiveParams")
    return {
        **picked(_SENT, inputs),
        "dataSourceId": inputs["dataSourceId"],
        "params": {**params, **({_SECRET: secret} if secret else {})},
    }


def _shown_params(params: Mapping[str, Any], known: Inputs) -> dict[str, str]:
    """The parameters as strings, the secret as it is known, if it is known as one of them."""
    shown = {key: _text(value) for key, value in params.items() if key != _SECRET}
    secret = known.get("params", {}).get(_SECRET)
    return {**shown, **({_SECRET: secret} if secret else {})}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
