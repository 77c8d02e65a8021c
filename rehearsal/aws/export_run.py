"""The work of one export task: read every selected table, write it, write the manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.aws import manifest
from rehearsal.aws.export_access import ExportAccess
from rehearsal.aws.export_rules import export_root, path_part, selected
from rehearsal.aws.export_task import ExportTask
from rehearsal.aws.faults import Fault
from rehearsal.aws.mapping import Engine
from rehearsal.aws.parquet import Destination, PartLimits, TableWriter
from rehearsal.aws.rds_events import Ending
from rehearsal.aws.reader import Reader
from rehearsal.aws.sources import Source
from rehearsal.aws.tables import SourceError, Table, TableError

_SKIPPED_BY_FAULT = "PERMISSIONS_DO_NOT_EXIST"


class Canceled(Exception):
    """The task was asked to stop."""


class ExportFailed(Exception):
    """The export cannot go on; the text is the task's FailureCause."""


@dataclass(frozen=True)
class _Entry:
    """A table to export: where it is read, what the manifest calls it, where it goes."""

    reader: Reader
    table: Table
    target: str
    folder: str


@dataclass(frozen=True)
class ExportRun:
    """Everything a task's worker needs."""

    task: ExportTask
    engine: Engine
    databases: Mapping[str, Source]
    s3: Callable[[], Any]
    access: ExportAccess
    limits: PartLimits
    fault: Fault | None
    on_table_failed: Callable[[str, str], None]

    def run(self) -> Ending:
        """Export; the task always ends, whatever happens."""
        failure: str | None = None
        ending: Ending = "FAILED"
        try:
            with ExitStack() as snapshots:
                self._export(snapshots)
            ending = "COMPLETE"
        except Canceled:
            ending = "CANCELED"
        except (ExportFailed, SourceError) as error:
            failure = str(error)
        except PermissionError as error:
            failure = f"The S3 credential check failed: {error}"
        except (BotoCoreError, Boto3Error, ClientError) as error:
            failure = f"Writing to the S3 bucket failed: {error}"
        # Anything else is a mistake here; a task that never ended would hide it.
        except Exception as error:
            failure = f"Internal failure: {type(error).__name__}: {error}"
        self.task.end(ending, failure=failure)
        return ending

    @property
    def _root(self) -> str:
        return export_root(self.task.request.prefix, self.task.request.identifier)

    def _export(self, snapshots: ExitStack) -> None:
        entries = self._select(self._entries(snapshots))
        s3 = self.s3()
        self.task.begin()
        infos = []
        for number, entry in enumerate(entries, 1):
            self._stop_if_canceled()
            self._export_table(s3, entry)
            if self._fails and number == 1:
                raise ExportFailed("The export failed while extracting data from the snapshot.")
            infos.append(manifest.table_info(self.task.table(entry.target), entry.table.columns))
        self._stop_if_canceled()
        self._write_manifest(s3, infos)

    @property
    def _fails(self) -> bool:
        return self.fault is not None and self.fault.kind in ("export-failed", "export-failed-once")

    def _entries(self, snapshots: ExitStack) -> list[_Entry]:
        """All tables of all databases, each database read from one moment."""
        found = []
        for database, source in self.databases.items():
            reader = snapshots.enter_context(source.snapshot())
            for table in reader.tables():
                # MySQL's schema is the database, under the name that the cluster knows it by.
                schema = database if self.engine == "mysql" else table.schema
                target = f"{schema}.{table.name}"
                folder = f"{path_part(database)}/{path_part(target)}"
                if self.engine == "postgresql":
                    target = f"{database}.{target}"
                found.append(_Entry(reader, table, target, folder))
        return found

    def _select(self, entries: list[_Entry]) -> list[_Entry]:
        """The tables asked for, known to the task with their row counts."""
        wanted = self.task.request.export_only
        chosen = [entry for entry in entries if selected(entry.target, wanted)]
        if not chosen:
            raise ExportFailed(
                "The snapshot holds none of the data to export: "
                + (", ".join(wanted) if wanted else "its databases have no tables")
            )
        if self.fault is not None and self.fault.kind == "table-missing":
            missing = self.fault.table or chosen[0].target
            chosen = [entry for entry in chosen if entry.target != missing]
        for entry in chosen:
            self._stop_if_canceled()
            expected = 0 if entry.table.refusal else entry.reader.count(entry.table)
            self.task.set_table(entry.target, expected_rows=expected)
        return chosen

    def _export_table(self, s3: Any, entry: _Entry) -> None:
        refusal = self._refusal(entry)
        if refusal:
            self.task.set_table(entry.target, status="SKIPPED", warning=refusal)
            return
        self.access.check_write(f"{self._root}/{entry.folder}/1/_SUCCESS")
        self.task.set_table(entry.target, status="IN_PROGRESS")
        request = self.task.request
        destination = Destination(request.bucket, self._root, request.kms_key)
        schema = entry.table.arrow_schema
        with TableWriter(s3, destination, entry.folder, schema, self.limits) as writer:
            try:
                self._copy(entry, writer)
            except TableError as error:
                writer.discard()
                self._table_failed(entry, str(error))
                return
        notes = tuple(entry.reader.notes(entry.table))
        self._set_written(entry, writer, status="COMPLETE", notes=notes)

    def _copy(self, entry: _Entry, writer: TableWriter) -> None:
        for batch in entry.reader.stream(entry.table):
            self._stop_if_canceled()
            writer.write(batch)
            self._set_written(entry, writer)
        writer.finish()

    def _set_written(self, entry: _Entry, writer: TableWriter, **changes: Any) -> None:
        self.task.set_table(
            entry.target, rows=writer.rows, files=writer.files, bytes=writer.bytes, **changes
        )

    def _table_failed(self, entry: _Entry, reason: str) -> None:
        self.task.set_table(entry.target, status="FAILED", warning=reason, rows=0, files=0, bytes=0)
        self.on_table_failed(entry.target, reason)

    def _refusal(self, entry: _Entry) -> str | None:
        if self.fault is not None and self.fault.kind == "table-skipped":
            unlucky = self.fault.table or self.task.tables()[0].name
            if entry.target == unlucky:
                return _SKIPPED_BY_FAULT
        return entry.table.refusal

    def _write_manifest(self, s3: Any, infos: list[dict[str, Any]]) -> None:
        self.task.warning = manifest.warning_message(self.task.tables())
        request = self.task.request
        destination = Destination(request.bucket, self._root, request.kms_key)
        written = manifest.files(self.task, self._root, infos)
        self.access.check_write(next(iter(written)))
        for key, body in written.items():
            s3.put_object(
                Bucket=request.bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                **destination.encryption,
            )

    def _stop_if_canceled(self) -> None:
        if self.task.canceling:
            raise Canceled
