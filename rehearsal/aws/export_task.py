"""An export task: what was asked for, how far it is, and what it has exported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Literal

from rehearsal.aws.rds_events import Ending, EventSource

Status = Literal["STARTING", "IN_PROGRESS", "COMPLETE", "CANCELING", "CANCELED", "FAILED"]
TableStatus = Literal["PENDING", "IN_PROGRESS", "COMPLETE", "SKIPPED", "FAILED"]

RUNNING: tuple[Status, ...] = ("STARTING", "IN_PROGRESS", "CANCELING")

_GIGABYTE = 1024**3


@dataclass(frozen=True)
class ExportedTable:
    """One table of an export.

    `expected_rows` were counted before it began. `warning` says why a table is not in the export;
    `notes` what to know of one that is.
    """

    name: str
    rows: int = 0
    files: int = 0
    bytes: int = 0
    status: TableStatus = "PENDING"
    expected_rows: int = 0
    warning: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportRecord:
    """An export as it stands; `source` is the identifier of the cluster or instance."""

    id: str
    source: str
    status: Status
    failure: str | None
    tables: tuple[ExportedTable, ...]
    warning: str | None = None


@dataclass(frozen=True)
class ExportRequest:
    """What StartExportTask was given, with the snapshot it names."""

    identifier: str
    source: str
    about: EventSource
    snapshot_time: datetime | None
    export_only: tuple[str, ...]
    bucket: str
    prefix: str | None
    role_arn: str
    kms_key: str


@dataclass
class ExportTask:
    """A task's state, changed by its worker and read by the API."""

    request: ExportRequest
    on_change: Callable[[ExportRecord], None]
    status: Status = "STARTING"
    failure: str | None = None
    warning: str | None = None
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    ended: datetime | None = None
    _tables: dict[str, ExportedTable] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def tables(self) -> tuple[ExportedTable, ...]:
        """The tables in the order of their export."""
        with self._lock:
            return tuple(self._tables.values())

    def table(self, name: str) -> ExportedTable:
        """One table."""
        with self._lock:
            return self._tables[name]

    def set_table(self, name: str, **changes: Any) -> None:
        """Change what is known of a table and tell the watcher."""
        with self._lock:
            known = self._tables.get(name, ExportedTable(name))
            self._tables[name] = replace(known, **changes)
        self.on_change(self.record())

    def begin(self) -> None:
        """Extraction starts, unless the task is being canceled."""
        with self._lock:
            if self.status == "STARTING":
                self.status = "IN_PROGRESS"
        self.on_change(self.record())

    def cancel(self) -> bool:
        """Ask a task to stop; False when it is not one that still can."""
        with self._lock:
            if self.status not in ("STARTING", "IN_PROGRESS"):
                return False
            self.status = "CANCELING"
        self.on_change(self.record())
        return True

    @property
    def canceling(self) -> bool:
        """Whether the task was asked to stop."""
        return self.status == "CANCELING"

    def end(self, status: Ending, *, failure: str | None = None) -> None:
        """The task's last change."""
        with self._lock:
            self.status, self.failure = status, failure
            self.ended = datetime.now(timezone.utc)
        self.on_change(self.record())

    def record(self) -> ExportRecord:
        """The task as a program outside sees it."""
        with self._lock:
            request = self.request
            return ExportRecord(
                request.identifier,
                request.source,
                self.status,
                self.failure,
                self.tables(),
                self.warning,
            )

    def progress(self) -> int:
        """Percent of rows written."""
        if self.status == "COMPLETE":
            return 100
        tables = self.tables()
        expected = sum(table.expected_rows for table in tables)
        written = sum(table.rows for table in tables)
        return min(99, 100 * written // expected) if expected else 0

    @property
    def gigabytes(self) -> float:
        """What has been written so far."""
        return sum(table.bytes for table in self.tables()) / _GIGABYTE

    def describe(self) -> dict[str, Any]:
        """The API's `ExportTask`."""
        with self._lock:
            request = self.request
            return {
                "ExportTaskIdentifier": request.identifier,
                "SourceArn": request.about.arn,
                "ExportOnly": list(request.export_only) or None,
                "SnapshotTime": request.snapshot_time,
                "TaskStartTime": self.started,
                "TaskEndTime": self.ended,
                "S3Bucket": request.bucket,
                "S3Prefix": request.prefix,
                "IamRoleArn": request.role_arn,
                "KmsKeyId": request.kms_key,
                "Status": self.status,
                "PercentProgress": self.progress(),
                "TotalExtractedDataInGB": int(self.gigabytes),
                "FailureCause": self.failure,
                "WarningMessage": self.warning,
                "SourceType": "CLUSTER" if request.about.subject == "live" else "SNAPSHOT",
            }
