"""BigQuery's tables and their rows over REST.

Source: https://cloud.google.com/bigquery/docs/reference/rest/v2/tables and .../tabledata.
Views, external tables and snapshots are not served.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rehearsal.google.access import Access
from rehearsal.google.catalog import Catalog, Table
from rehearsal.google.datasets import dataset_denied, table_denied
from rehearsal.google.encoding import row_of, timestamps_of
from rehearsal.google.errors import invalid
from rehearsal.google.resources import check_keys, check_labels, merged, milliseconds, page
from rehearsal.google.routing import NO_CONTENT, Call, Json, Router
from rehearsal.google.schema import Field, fields_from_resource, quoted

_SERVICE = "bigquery.googleapis.com"
_ID = re.compile(r"[\w\- ]{1,1024}")
_MOST_ROWS = 10_000
_SETTINGS = {
    *("description", "friendlyName", "labels", "expirationTime", "timePartitioning"),
    *("rangePartitioning", "clustering", "requirePartitionFilter", "encryptionConfiguration"),
    *("resourceTags", "tableConstraints", "maxStaleness", "defaultCollation"),
    "defaultRoundingMode",
}
_OUTPUT = {
    *("kind", "etag", "id", "selfLink", "tableReference", "type", "numBytes", "numRows"),
    *("numLongTermBytes", "creationTime", "lastModifiedTime", "location", "schema"),
}


class Tables:
    """The handlers of ``/bigquery/v2/projects/P/datasets/D/tables``."""

    def __init__(self, catalog: Catalog, access: Access, clock: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._access = access
        self._clock = clock

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables"
        one = base + "/{table}"
        for method, path, handler in (
            ("GET", base, self._list),
            ("POST", base, self._insert),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
            ("GET", one + "/data", self._rows),
            ("POST", one + ":getIamPolicy", self._get_policy),
            ("POST", one + ":setIamPolicy", self._set_policy),
        ):
            router.add(method, path, handler, _SERVICE)

    def _table(self, call: Call, permission: str) -> Table:
        table = self._catalog.table(call["dataset"], call["table"])
        refusal = table_denied(self._catalog.project, table.dataset, table.id, permission)
        dataset = self._catalog.dataset(table.dataset)
        self._access.require(call.identity, permission, refusal, dataset.policy(), table.policy)
        return table

    def _require_on_dataset(self, call: Call, permission: str) -> None:
        dataset = self._catalog.dataset(call["dataset"])
        refusal = dataset_denied(self._catalog.project, dataset.id, permission)
        self._access.require(call.identity, permission, refusal, dataset.policy())

    def _list(self, call: Call) -> dict[str, Any]:
        self._require_on_dataset(call, "bigquery.tables.list")
        dataset = self._catalog.dataset(call["dataset"])
        tables = [dataset.tables[name] for name in sorted(dataset.tables)]
        items, more = page(call, tables, "maxResults")
        shown = [
            {
                "kind": "bigquery#table",
                "id": f"{self._catalog.project}:{t.dataset}.{t.id}",
                "tableReference": self._reference(t),
                "type": "TABLE",
                "creationTime": milliseconds(t.created),
                **{k: t.settings[k] for k in ("labels", "timePartitioning") if k in t.settings},
            }
            for t in items
        ]
        return {"kind": "bigquery#tableList", "tables": shown, "totalItems": len(tables), **more}

    def _insert(self, call: Call) -> dict[str, Any]:
        self._require_on_dataset(call, "bigquery.tables.create")
        body = call.json()
        table_id = str(body.get("tableReference", {}).get("tableId", ""))
        if not _ID.fullmatch(table_id):
            raise invalid(
                f'Invalid table ID "{table_id}". Table IDs have letters, digits, _, - and blanks, '
                "at most 1024 of them."
            )
        now = self._clock()
        table = Table(
            call["dataset"],
            table_id,
            _fields(body),
            self._settings(body),
            created=now,
            modified=now,
        )
        self._catalog.add_table(table)
        return self._resource(table)

    def _get(self, call: Call) -> dict[str, Any]:
        return self._resource(self._table(call, "bigquery.tables.get"))

    def _patch(self, call: Call) -> dict[str, Any]:
        table = self._table(call, "bigquery.tables.update")
        body = call.json()
        outputs = {k: v for k, v in body.items() if k not in _SETTINGS}
        settings = {k: v for k, v in body.items() if k in _SETTINGS}
        return self._write(table, {**outputs, **merged(table.settings, settings)})

    def _update(self, call: Call) -> dict[str, Any]:
        return self._write(self._table(call, "bigquery.tables.update"), call.json())

    def _write(self, table: Table, body: Mapping[str, Any]) -> dict[str, Any]:
        settings = self._settings(body)
        wanted = _fields(body)
        with self._catalog.store.lock:
            if wanted is not None and wanted != table.fields:
                self._change_schema(table, wanted)
            table.settings = settings
            table.touch(self._clock())
        return self._resource(table)

    def _change_schema(self, table: Table, wanted: tuple[Field, ...]) -> None:
        """Columns may be added (nullable, at the end), nothing else.

        Source: https://cloud.google.com/bigquery/docs/managing-table-schemas
        """
        present = table.fields or ()
        for old, new in zip(present, wanted, strict=False):
            if (old.name, old.type, old.mode) != (new.name, new.type, new.mode):
                raise self._mismatch(table, old)
        if len(wanted) < len(present):
            raise self._mismatch(table, present[len(wanted)])
        added = wanted[len(present) :]
        with self._catalog.store.transaction() as cursor:
            if table.fields is None:
                self._catalog.store.create_table(cursor, table.dataset, table.id, wanted)
            for field in added if table.fields is not None else ():
                if field.mode == "REQUIRED":
                    raise invalid(
                        f"Cannot add required fields to an existing schema ({field.name})"
                    )
                name = self._catalog.store.name(table.dataset, table.id)
                cursor.execute(f"ALTER TABLE {name} ADD COLUMN {field.duckdb_column()}")
        table.fields = wanted

    def _mismatch(self, table: Table, field: Field) -> Exception:
        return invalid(
            f"Provided Schema does not match Table {self._catalog.project}:{table.dataset}."
            f"{table.id}. Field {field.name} is {field.type} {field.mode} and can be neither "
            "removed nor changed."
        )

    def _delete(self, call: Call) -> Json:
        table = self._table(call, "bigquery.tables.delete")
        self._catalog.remove_table(table.dataset, table.id)
        return NO_CONTENT

    def _rows(self, call: Call) -> dict[str, Any]:
        table = self._table(call, "bigquery.tables.getData")
        total, _ = table.measure(self._catalog.store)
        answer: dict[str, Any] = {"kind": "bigquery#tableDataList", "totalRows": str(total)}
        fields = _selected(table, call.query.get("selectedFields"))
        if not fields:
            return answer
        size = min(call.integer("maxResults", _MOST_ROWS), _MOST_ROWS)
        rows, token = self._read(call, table, fields, size)
        how = timestamps_of(
            {
                k.rpartition(".")[2]: v
                for k, v in call.query.items()
                if k.startswith("formatOptions.")
            }
        )
        answer["rows"] = [row_of(row, fields, how) for row in rows]
        return {**answer, "pageToken": token} if token else answer

    def _read(
        self, call: Call, table: Table, fields: tuple[Field, ...], size: int
    ) -> tuple[list[tuple[Any, ...]], str | None]:
        """At most *size* rows after the page token (a row id), and the token of the next page."""
        columns = ", ".join(quoted(field.name) for field in fields)
        after = call.integer("pageToken", 0)
        skip = 0 if after else call.integer("startIndex", 0)
        name = self._catalog.store.name(table.dataset, table.id)
        with self._catalog.store.cursor() as cursor:
            cursor.execute(
                f"SELECT rowid + 1, {columns} FROM {name} WHERE rowid >= ? "  # noqa: S608
                "ORDER BY rowid LIMIT ? OFFSET ?",
                [after, size + 1, skip],
            )
            rows = cursor.fetchall()
        shown = rows[:size]
        token = str(shown[-1][0]) if shown and len(rows) > size else None
        return [row[1:] for row in shown], token

    def _get_policy(self, call: Call) -> dict[str, Any]:
        return self._table(call, "bigquery.tables.getIamPolicy").policy.resource()

    def _set_policy(self, call: Call) -> dict[str, Any]:
        table = self._table(call, "bigquery.tables.setIamPolicy")
        return self._access.replace(table.policy, call.json())

    def _settings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        check_keys(body, _SETTINGS | _OUTPUT, "table")
        check_labels(body.get("labels") or {})
        return {k: v for k, v in body.items() if k in _SETTINGS and v is not None}

    def _reference(self, table: Table) -> dict[str, str]:
        return {
            "projectId": self._catalog.project,
            "datasetId": table.dataset,
            "tableId": table.id,
        }

    def _resource(self, table: Table) -> dict[str, Any]:
        project = self._catalog.project
        rows, size = table.measure(self._catalog.store)
        schema = (
            {"schema": {"fields": [f.resource() for f in table.fields]}} if table.fields else {}
        )
        return {
            "kind": "bigquery#table",
            "etag": f"{table.id}-{table.revision}",
            "id": f"{project}:{table.dataset}.{table.id}",
            "selfLink": (
                f"https://bigquery.googleapis.com/bigquery/v2/projects/{project}"
                f"/datasets/{table.dataset}/tables/{table.id}"
            ),
            "tableReference": self._reference(table),
            "type": "TABLE",
            "numRows": str(rows),
            "numBytes": str(size),
            "numLongTermBytes": "0",
            "creationTime": milliseconds(table.created),
            "lastModifiedTime": milliseconds(table.modified),
            "location": self._catalog.dataset(table.dataset).location,
            **schema,
            **table.settings,
        }


def _fields(body: Mapping[str, Any]) -> tuple[Field, ...] | None:
    fields = (body.get("schema") or {}).get("fields")
    return fields_from_resource(fields) if fields else None


def _selected(table: Table, names: str | None) -> tuple[Field, ...]:
    fields = table.fields or ()
    if not names:
        return fields
    wanted = names.split(",")
    unknown = set(wanted) - {field.name for field in fields}
    if unknown:
        raise invalid(f"No such field: {sorted(unknown)[0]}")
    return tuple(field for field in fields if field.name in wanted)
