"""Drivers of datasets and tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rehearsal.drivers.google_rest import (
    as_known,
    get_or_none,
    id_parts,
    picked,
    refuse_protected,
    send_if_there,
    told,
)
from rehearsal.drivers.registry import Clouds, Created, Driver, Inputs, Outputs, driver

_API = "/bigquery/v2"
_DATASET_SETTINGS = (
    *("labels", "description", "friendlyName", "maxTimeTravelHours", "storageBillingModel"),
)
_DATASET_DEFAULTS = {
    "location": "US",
    "maxTimeTravelHours": "168",
    "storageBillingModel": "LOGICAL",
}


@driver
class Dataset(Driver):
    """A dataset; who may use it is the matter of other resources, and yet not quite.

    `accesses` is an output: the access list as of the last refresh. An update writes the dataset
    whole, with that list, as the official provider does: what was granted since then is taken back
    (github.com/pulumi/pulumi-gcp/issues/3908).
    """

    token = "gcp:bigquery/dataset:Dataset"  # noqa: S105  # a type token
    required = "datasetId project"
    optional = f"location deleteContentsOnDestroy {' '.join(_DATASET_SETTINGS)}"
    replace_on = "datasetId project location"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the dataset."""
        project, dataset = inputs["project"], inputs["datasetId"]
        body = {
            "datasetReference": {"projectId": project, "datasetId": dataset},
            "location": inputs.get("location", "US"),
            **picked(_DATASET_SETTINGS, inputs),
        }
        made = clouds.google.send("POST", f"{_API}/projects/{project}/datasets", body)
        return Created(
            f"projects/{project}/datasets/{dataset}", {**inputs, "accesses": made["access"]}
        )

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read location and settings."""
        parts = id_parts(r"projects/(?P<project>[^/]+)/datasets/(?P<datasetId>[^/]+)", identifier)
        dataset = get_or_none(clouds, f"{_API}/{identifier}")
        if dataset is None:
            return None
        actual = {name: dataset.get(name) for name in _DATASET_SETTINGS}
        actual["location"] = as_known(known, "location", dataset["location"], str.lower)
        accesses = as_known(known, "accesses", dataset["access"], _entries)
        return {**told(known, actual, _DATASET_DEFAULTS), **parts, "accesses": accesses}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the dataset anew, with the access list of the last refresh."""
        body = {
            "datasetReference": {"projectId": inputs["project"], "datasetId": inputs["datasetId"]},
            "access": known["accesses"],
            **picked(_DATASET_SETTINGS, inputs),
        }
        clouds.google.send("PUT", f"{_API}/{identifier}", body)
        return {**inputs, "accesses": known["accesses"]}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the dataset; BigQuery refuses one with tables without deleteContentsOnDestroy."""
        contents = "true" if known.get("deleteContentsOnDestroy") else "false"
        send_if_there(clouds, "DELETE", f"{_API}/{identifier}?deleteContents={contents}")


def _entries(accesses: Any) -> list[str]:
    """An access list as what it says: the order of its entries means nothing."""
    return sorted(json.dumps(entry, sort_keys=True) for entry in accesses or [])


_TABLE_SETTINGS = ("labels", "description", "friendlyName")
_TABLE = r"projects/(?P<project>[^/]+)/datasets/(?P<datasetId>[^/]+)/tables/(?P<tableId>[^/]+)"


@driver
class Table(Driver):
    """A table. Without a schema of its own it has, and keeps, the one that was loaded into it."""

    token = "gcp:bigquery/table:Table"  # noqa: S105
    required = "datasetId tableId project"
    optional = "schema labels description friendlyName deletionProtection"
    replace_on = "tableId datasetId project"
    delete_first = True

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the table."""
        parent = f"projects/{inputs['project']}/datasets/{inputs['datasetId']}/tables"
        clouds.google.send("POST", f"{_API}/{parent}", self._body(inputs, inputs.get("schema")))
        return Created(f"{parent}/{inputs['tableId']}", dict(inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read schema and settings."""
        parts = id_parts(_TABLE, identifier)
        table = get_or_none(clouds, f"{_API}/{identifier}")
        if table is None:
            return None
        actual = {name: table.get(name) for name in _TABLE_SETTINGS}
        fields = table.get("schema", {}).get("fields")
        schema = json.dumps(fields, separators=(",", ":")) if fields else None
        actual["schema"] = as_known(known, "schema", schema, _columns)
        return {**told(known, actual), **parts}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the table anew, as the official provider does, with the schema it is known to have.

        `schema` is computed as well: taking it from the program changes nothing.
        """
        schema = inputs.get("schema", known.get("schema"))
        clouds.google.send("PUT", f"{_API}/{identifier}", self._body(inputs, schema))
        return {**inputs, **({"schema": schema} if schema else {})}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the table, whose `deletionProtection` is on unless the program turned it off."""
        refuse_protected(known, f"table {identifier}", default=True)
        send_if_there(clouds, "DELETE", f"{_API}/{identifier}")

    @staticmethod
    def _body(inputs: Inputs, schema: str | None) -> Outputs:
        reference = {
            "projectId": inputs["project"],
            "datasetId": inputs["datasetId"],
            "tableId": inputs["tableId"],
        }
        body = {"tableReference": reference, **picked(_TABLE_SETTINGS, inputs)}
        return {**body, "schema": {"fields": json.loads(schema)}} if schema else body


_TYPES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}


def _columns(schema: Any) -> list[dict[str, Any]]:
    """What a schema says: BigQuery knows some types by two names, and fills in the mode."""
    fields = json.loads(schema) if schema else []
    return [_column(field) for field in fields]


def _column(field: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(field.get("type", "")).upper()
    inner = field.get("fields", [])
    return {
        **field,
        "type": _TYPES.get(kind, kind),
        "mode": str(field.get("mode") or "NULLABLE").upper(),
        "description": field.get("description") or "",
        "fields": [_column(each) for each in inner],
    }
