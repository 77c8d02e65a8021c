"""A stack's settings as the rest of the program sees them: complete, checked, immutable.

Nothing here validates: `settings.load` does, and gives these only when all of a stack is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Engine = Literal["mysql", "postgresql"]
SourceKind = Literal["cluster", "instance"]

# AWS, StartExportTask: names with other characters cannot be listed in ExportOnly, and the list
# may have 200 KB.
_EXPORTABLE_NAME = re.compile(r"[A-Za-z0-9_$]+")
_MAX_EXPORT_ONLY_BYTES = 200_000


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a source and the BigQuery table it becomes.

    `schema` repeats the database for MySQL. `target` is the table's name in ``ExportOnly`` and in
    the export's manifest, `path` its folder below the export's root, `destination` the BigQuery
    table id.
    """

    database: str
    schema: str
    name: str
    target: str
    path: str
    destination: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """A database that RDS takes snapshots of; it is looked up, never owned."""

    name: str
    kind: SourceKind
    engine: Engine
    tables: tuple[Table, ...]

    @cached_property
    def partial_export(self) -> bool:
        """Whether RDS can export the declared tables alone; otherwise it exports all of them.

        An odd name makes the whole list illegal, so one such table means the whole snapshot.
        """
        names = (name for t in self.tables for name in (t.database, t.schema, t.name))
        if not all(_EXPORTABLE_NAME.fullmatch(name) for name in names):
            return False
        return len(json.dumps([t.target for t in self.tables])) <= _MAX_EXPORT_ONLY_BYTES


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """What starts an export: RDS's snapshot event, or a schedule in a time zone."""

    kind: Literal["event", "schedule"]
    schedule: str | None
    timezone: str


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The AWS half of the snapshot route."""

    sources: tuple[Source, ...]
    trigger: Trigger
    manual_snapshots: bool
    prefix: str
    retention_days: int
    log_retention_days: int
    reader_key_generation: int


@dataclass(frozen=True, kw_only=True)
class BigQuery:
    """The Google half of the snapshot route."""

    project: str
    project_number: str | None
    location: str
    dataset: str
    table_name: str
    run_time_offset_hours: int
    deletion_protection: bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a flow's table, and where in the item its value stands.

    `type` is MySQL's, normalised: lower case, without blanks, ``text`` as ``longtext``.
    """

    name: str
    path: tuple[str, ...]
    type: str


@dataclass(frozen=True, kw_only=True)
class KeyAttribute:
    """A key attribute of a DynamoDB table, with DynamoDB's own word for its type."""

    name: str
    type: Literal["S", "N", "B"]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One DynamoDB table and the MySQL table that it becomes.

    `table` is the DynamoDB table: made when `create_table`, else looked up. `key` has its partition
    key, then its sort key if it has one, and `key_columns` the names of their columns in that
    order. `target` is the MySQL table in `database`. `schema` is a JSON Schema of draft 7.
    """

    name: str
    table: str
    create_table: bool
    key: tuple[KeyAttribute, ...]
    key_columns: tuple[str, ...]
    database: str
    target: str
    schema: Mapping[str, Any] | None
    columns: tuple[Column, ...]
    batch_size: int
    batching_window_seconds: int
    parallelization_factor: int
    maximum_retry_attempts: int
    maximum_record_age_seconds: int
    transform_buffer_mib: float
    buffer_mib: int
    buffer_seconds: int

    def as_json(self) -> dict[str, Any]:
        """Return what the functions of this flow know of it: the content of their `flow.json`."""
        return {
            "flow": self.name,
            "database": self.database,
            "table": self.target,
            "key": list(self.key_columns),
            "columns": [
                {"name": column.name, "path": list(column.path), "type": column.type}
                for column in self.columns
            ],
            "schema": self.schema,
        }


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The Aurora MySQL cluster that all flows load into; it is looked up, never owned.

    Without `secret_arn` the load functions prove who they are by IAM; without `secret_key_arn` the
    secret has Secrets Manager's own key. `ca_bundle` is a file below the project's folder.
    """

    identifier: str
    user: str
    secret_arn: str | None
    secret_key_arn: str | None
    ca_bundle: str
    modify: bool
    parameter_group_family: str | None


@dataclass(frozen=True, kw_only=True)
class Replication:
    """The replication route.

    Without an `on_failure_bucket` the program makes its own; without an `on_failure_key_arn` that
    bucket has no KMS key of its owner's.
    """

    cluster: Cluster
    flows: tuple[Flow, ...]
    on_failure_bucket: str | None
    on_failure_key_arn: str | None
    retention_days: int
    failed_retention_days: int
    log_retention_days: int
    load_lag_minutes: int


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """Who is told when something fails."""

    emails: tuple[str, ...]
    runbook_url: str


@dataclass(frozen=True, kw_only=True)
class Handlers:
    """The packaged Lambda code: the folder it lies in, and what it was packaged for."""

    path: str
    runtime: str
    architecture: Literal["arm64", "x86_64"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the program needs to know of a stack. A route it does not have is `None`.

    `snapshot` and `bigquery` are the two halves of one route: there are both or neither.
    """

    service: str
    stack: str
    region: str
    snapshot: Snapshot | None
    bigquery: BigQuery | None
    replication: Replication | None
    alerts: Alerts
    labels: Mapping[str, str]
    handlers: Handlers
