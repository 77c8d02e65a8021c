"""Drivers of datasets, tables and transfer configurations."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from rehearsal.drivers.google_project import POLICY_CHANGE
from rehearsal.drivers.registry import Clouds, Created, Inputs, driver


@driver(
    "gcp:bigquery/dataset:Dataset",
    "datasetId project location labels description friendlyName deleteContentsOnDestroy "
    "maxTimeTravelHours storageBillingModel",
)
def _dataset(clouds: Clouds, inputs: Inputs) -> Created:
    project, dataset = inputs["project"], inputs["datasetId"]
    body: dict[str, Any] = {
        "datasetReference": {"projectId": project, "datasetId": dataset},
        "location": inputs.get("location", "US"),
        "labels": inputs.get("labels", {}),
    }
    for key in ("description", "friendlyName", "maxTimeTravelHours", "storageBillingModel"):
        if key in inputs:
            body[key] = inputs[key]
    clouds.google.send("POST", f"/bigquery/v2/projects/{project}/datasets", body)
    return Created(f"projects/{project}/datasets/{dataset}", dict(inputs))


@driver("gcp:bigquery/datasetIamMember:DatasetIamMember", "datasetId project role member")
def _dataset_member(clouds: Clouds, inputs: Inputs) -> Created:
    path = f"/bigquery/v2/projects/{inputs['project']}/datasets/{inputs['datasetId']}"
    kind, _, who = inputs["member"].partition(":")
    key = {"serviceAccount": "userByEmail", "user": "userByEmail", "group": "groupByEmail"}.get(
        kind, "iamMember"
    )
    entry = {"role": inputs["role"], key: inputs["member"] if key == "iamMember" else who}
    with POLICY_CHANGE:
        access = list(clouds.google.get(f"{path}?accessPolicyVersion=3").get("access", []))
        if entry not in access:
            access.append(entry)
        clouds.google.send("PATCH", f"{path}?accessPolicyVersion=3", {"access": access})
    name = f"projects/{inputs['project']}/datasets/{inputs['datasetId']}"
    return Created(f"{name}/{inputs['role']}/{inputs['member']}", dict(inputs))


@driver(
    "gcp:bigquery/table:Table",
    "datasetId tableId project schema labels description friendlyName deletionProtection",
)
def _table(clouds: Clouds, inputs: Inputs) -> Created:
    project, dataset, table = inputs["project"], inputs["datasetId"], inputs["tableId"]
    body: dict[str, Any] = {
        "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
        "labels": inputs.get("labels", {}),
    }
    if "schema" in inputs:
        body["schema"] = {"fields": json.loads(inputs["schema"])}
    for key in ("description", "friendlyName"):
        if key in inputs:
            body[key] = inputs[key]
    path = f"/bigquery/v2/projects/{project}/datasets/{dataset}/tables"
    clouds.google.send("POST", path, body)
    name = f"projects/{project}/datasets/{dataset}/tables/{table}"
    return Created(name, dict(inputs))


@driver(
    "gcp:bigquery/dataTransferConfig:DataTransferConfig",
    "dataSourceId displayName destinationDatasetId params sensitiveParams location project "
    "schedule scheduleOptions serviceAccountName disabled dataRefreshWindowDays "
    "notificationPubsubTopic emailPreferences encryptionConfiguration deletionPolicy",
)
def _transfer_config(clouds: Clouds, inputs: Inputs) -> Created:
    # Google's provider merges the sensitive parameters into params on the wire.
    secret = {
        wire: inputs.get("sensitiveParams", {})[key]
        for key, wire in (("secretAccessKey", "secret_access_key"),)
        if key in inputs.get("sensitiveParams", {})
    }
    body: dict[str, Any] = {
        "dataSourceId": inputs["dataSourceId"],
        "displayName": inputs["displayName"],
        "destinationDatasetId": inputs["destinationDatasetId"],
        "params": {**inputs["params"], **secret},
    }
    for key in ("schedule", "disabled", "notificationPubsubTopic", "dataRefreshWindowDays"):
        if key in inputs:
            body[key] = inputs[key]
    if "scheduleOptions" in inputs:
        body["scheduleOptions"] = dict(inputs["scheduleOptions"])
    parent = f"projects/{inputs['project']}/locations/{inputs['location'].lower()}"
    query = ""
    if "serviceAccountName" in inputs:
        query = f"?serviceAccountName={quote(inputs['serviceAccountName'])}"
    config = clouds.google.send("POST", f"/v1/{parent}/transferConfigs{query}", body)
    return Created(config["name"], {**inputs, "name": config["name"]})
