"""BigQuery's datasets over REST (https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rehearsal.google.access import USER, Access
from rehearsal.google.catalog import Catalog, Dataset, access_member
from rehearsal.google.errors import ApiError, condition_not_met, denied, invalid
from rehearsal.google.resources import check_keys, check_labels, merged, milliseconds, page
from rehearsal.google.roles import BASIC_DATASET_ROLES
from rehearsal.google.routing import NO_CONTENT, Call, Json, Router

_SERVICE = "bigquery.googleapis.com"
_ID = re.compile(r"[A-Za-z0-9_]{1,1024}")
_RESERVED = {"information_schema", "pg_catalog"}  # DuckDB's own schemas
_SETTINGS = {
    *("description", "friendlyName", "labels", "defaultTableExpirationMs", "resourceTags"),
    *("defaultPartitionExpirationMs", "maxTimeTravelHours", "storageBillingModel"),
    *("defaultEncryptionConfiguration", "isCaseInsensitive", "defaultCollation"),
    "defaultRoundingMode",
}
_OUTPUT = {
    *("kind", "etag", "id", "selfLink", "datasetReference", "creationTime", "lastModifiedTime"),
    *("location", "type", "access"),
}
_BASIC_NAMES = {role: name for name, role in BASIC_DATASET_ROLES.items()}
_DEFAULT_ACCESS: tuple[dict[str, Any], ...] = (
    {"role": "WRITER", "specialGroup": "projectWriters"},
    {"role": "OWNER", "specialGroup": "projectOwners"},
    {"role": "OWNER", "userByEmail": USER.name.partition(":")[2]},
    {"role": "READER", "specialGroup": "projectReaders"},
)


class Datasets:
    """The handlers of ``/bigquery/v2/projects/P/datasets``."""

    def __init__(self, catalog: Catalog, access: Access, clock: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._access = access
        self._clock = clock

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/bigquery/v2/projects/{project}/datasets"
        one = base + "/{dataset}"
        for method, path, handler in (
            ("GET", base, self._list),
            ("POST", base, self._insert),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
        ):
            router.add(method, path, handler, _SERVICE)

    def _require(self, call: Call, permission: str, dataset: Dataset) -> None:
        policy = dataset.policy()
        refusal = dataset_denied(self._catalog.project, dataset.id, permission)
        self._access.require(call.identity, permission, refusal, policy)

    def _list(self, call: Call) -> dict[str, Any]:
        visible = [
            d
            for d in self._catalog.datasets()
            if self._access.allowed(call.identity, "bigquery.datasets.get", d.policy())
        ]
        items, more = page(call, visible, "maxResults")
        shown = [
            {
                "kind": "bigquery#dataset",
                "id": f"{self._catalog.project}:{d.id}",
                "datasetReference": self._reference(d.id),
                "location": d.location,
                **({"labels": d.settings["labels"]} if d.settings.get("labels") else {}),
            }
            for d in items
        ]
        return {"kind": "bigquery#datasetList", "datasets": shown, **more}

    def _insert(self, call: Call) -> dict[str, Any]:
        body = call.json()
        dataset_id = str(body.get("datasetReference", {}).get("datasetId", ""))
        refusal = project_denied(self._catalog.project, "bigquery.datasets.create")
        self._access.require(call.identity, "bigquery.datasets.create", refusal)
        if not _ID.fullmatch(dataset_id) or dataset_id.lower() in _RESERVED:
            raise invalid(
                f'Invalid dataset ID "{dataset_id}". Dataset IDs must be alphanumeric (plus '
                "underscores) and must be at most 1024 characters long."
            )
        now = self._clock()
        dataset = Dataset(
            dataset_id,
            str(body.get("location") or "US"),
            self._settings(body),
            self._entries(body["access"]) if body.get("access") else list(_DEFAULT_ACCESS),
            created=now,
            modified=now,
        )
        self._catalog.add_dataset(dataset)
        return self._resource(dataset)

    def _get(self, call: Call) -> dict[str, Any]:
        dataset = self._catalog.dataset(call["dataset"])
        self._require(call, "bigquery.datasets.get", dataset)
        return self._resource(dataset)

    def _patch(self, call: Call) -> dict[str, Any]:
        dataset = self._catalog.dataset(call["dataset"])
        body = call.json()
        outputs = {k: v for k, v in body.items() if k not in _SETTINGS}
        settings = {k: v for k, v in body.items() if k in _SETTINGS}
        return self._write(call, dataset, {**outputs, **merged(dataset.settings, settings)})

    def _update(self, call: Call) -> dict[str, Any]:
        return self._write(call, self._catalog.dataset(call["dataset"]), call.json())

    def _write(self, call: Call, dataset: Dataset, body: Mapping[str, Any]) -> dict[str, Any]:
        self._require(call, "bigquery.datasets.update", dataset)
        if call.if_match not in (None, "*", _etag(dataset)):
            raise condition_not_met()
        location = body.get("location", dataset.location)
        if location != dataset.location:
            raise invalid(f"Cannot change the location of dataset {dataset.id}")
        settings = self._settings(body)
        entries = dataset.access
        if "access" in body:
            entries = self._entries(body["access"], present=dataset.access)
        if entries != dataset.access:
            self._require(call, "bigquery.datasets.setIamPolicy", dataset)
        dataset.settings = settings
        dataset.access = entries
        dataset.modified = self._clock()
        dataset.revision += 1
        return self._resource(dataset)

    def _delete(self, call: Call) -> Json:
        dataset = self._catalog.dataset(call["dataset"])
        self._require(call, "bigquery.datasets.delete", dataset)
        with_tables = call.query.get("deleteContents", "false").lower() == "true"
        self._catalog.remove_dataset(dataset.id, with_tables=with_tables)
        return NO_CONTENT

    def _settings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        check_keys(body, _SETTINGS | _OUTPUT, "dataset")
        check_labels(body.get("labels") or {})
        return {k: v for k, v in body.items() if k in _SETTINGS and v is not None}

    def _entries(
        self, wanted: Any, present: Sequence[Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """The entries *wanted*; those *present* already may be of accounts that are gone."""
        entries: list[dict[str, Any]] = []
        for entry in wanted:
            role = str(entry.get("role", ""))
            normal = {**entry, "role": _BASIC_NAMES.get(role, role)}
            if normal not in present:
                self._check_entry(entry, role)
            if normal not in entries:
                entries.append(normal)
        return entries

    def _check_entry(self, entry: Mapping[str, Any], role: str) -> None:
        if "specialGroup" in entry:
            return
        member = access_member(entry)
        if member is None:
            raise invalid(f"Unsupported access entry: {sorted(entry)}")
        self._access.check_member(member)
        self._access.check_role(BASIC_DATASET_ROLES.get(role, role))

    def _reference(self, dataset: str) -> dict[str, str]:
        return {"projectId": self._catalog.project, "datasetId": dataset}

    def _resource(self, dataset: Dataset) -> dict[str, Any]:
        project = self._catalog.project
        return {
            "kind": "bigquery#dataset",
            "etag": _etag(dataset),
            "id": f"{project}:{dataset.id}",
            "selfLink": (
                f"https://bigquery.googleapis.com/bigquery/v2/projects/{project}"
                f"/datasets/{dataset.id}"
            ),
            "datasetReference": self._reference(dataset.id),
            "access": dataset.access,
            "creationTime": milliseconds(dataset.created),
            "lastModifiedTime": milliseconds(dataset.modified),
            "location": dataset.location,
            "type": "DEFAULT",
            **dataset.settings,
        }


def _etag(dataset: Dataset) -> str:
    return f"{dataset.id}-{dataset.revision}"


def project_denied(project: str, permission: str) -> ApiError:
    """BigQuery's words for a permission missing on the project."""
    return denied(
        f"Access Denied: Project {project}: User does not have {permission} permission in "
        f"project {project}."
    )


def dataset_denied(project: str, dataset: str, permission: str) -> ApiError:
    """BigQuery's words for a permission missing on a dataset."""
    return denied(
        f"Access Denied: Dataset {project}:{dataset}: Permission {permission} denied on dataset "
        f"{project}:{dataset} (or it may not exist)."
    )


def table_denied(project: str, dataset: str, table: str, permission: str) -> ApiError:
    """BigQuery's words for a permission missing on a table."""
    return denied(
        f"Access Denied: Table {project}:{dataset}.{table}: Permission {permission} denied on "
        f"table {project}:{dataset}.{table} (or it may not exist)."
    )
