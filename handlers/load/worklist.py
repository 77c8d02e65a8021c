"""The state of one load, kept in S3: what is to be done with each table, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from load.request import LoadRequest
from shared.errors import InvalidInput
from shared.storage import Storage

LOAD, EMPTY, MISSING, SKIPPED = "load", "empty", "missing", "skipped"

SUCCEEDED = "SUCCEEDED"
UNDER_WAY = ("PENDING", "RUNNING")
ENDED_BADLY = ("FAILED", "CANCELLED")

GOOD = "succeeded"


@dataclass(kw_only=True)
class TableWork:
    """One declared table.

    `disposition` is what the export makes of it, `run` and `state` its transfer run, `error` that
    run's error, `outcome` the end: `succeeded`, or the kind of problem with its `message`.
    """

    name: str
    table: str
    transfer_config: str
    disposition: str
    reason: str | None = None
    run: str | None = None
    state: str | None = None
    started: str | None = None
    error: str | None = None
    rows: int | None = None
    outcome: str | None = None
    message: str | None = None

    def is_unstarted(self) -> bool:
        """Is a run to be started?"""
        return self.disposition == LOAD and self.run is None and self.state is None

    def is_pending(self) -> bool:
        """Has a run been started that is not known to have ended?"""
        return self.disposition == LOAD and self.run is not None and not self.has_ended()

    def has_ended(self) -> bool:
        """Will the run's state not change any more?"""
        return self.state == SUCCEEDED or self.state in ENDED_BADLY


@dataclass(kw_only=True)
class Work:
    """All declared tables of one source."""

    source: str
    export_task: str
    run_time: str
    dataset: str
    tables: list[TableWork]


_FIELDS = {field.name for field in fields(TableWork)}


def load(storage: Storage, request: LoadRequest) -> Work | None:
    """Return the stored state of this load, or None before it was planned."""
    document = storage.read(request.work_key)
    return None if document is None else _parse(document)


def require(storage: Storage, request: LoadRequest) -> Work:
    """Return the stored state of a load that was planned."""
    work = load(storage, request)
    if work is None:
        raise InvalidInput(
            f"s3://{storage.bucket}/{request.work_key} is not there; the load is planned first"
        )
    return work


def save(storage: Storage, request: LoadRequest, work: Work) -> None:
    """Store the state."""
    document = vars(work) | {"tables": [vars(table) for table in work.tables]}
    storage.write(request.work_key, document)


def _parse(document: Mapping[str, Any]) -> Work:
    """Read a stored state; fields that another version wrote are left aside."""
    tables = [
        TableWork(**{key: value for key, value in table.items() if key in _FIELDS})
        for table in document["tables"]
    ]
    return Work(
        source=document["source"],
        export_task=document["export_task"],
        run_time=document["run_time"],
        dataset=document["dataset"],
        tables=tables,
    )
