"""One transfer run from its start to its end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rehearsal.google import run_time
from rehearsal.google.access import Access, service_account_identity
from rehearsal.google.catalog import Catalog, Table
from rehearsal.google.errors import ApiError
from rehearsal.google.load import LoadError, load
from rehearsal.google.objects import Buckets, DataPath, S3Object, SourceError
from rehearsal.google.transfer_state import (
    FAILED,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    PERMISSION_DENIED,
    RUNNING,
    SUCCEEDED,
    LogLine,
    Run,
)


class RunFailure(Exception):
    """The run ends here, as FAILED, with this code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Runner:
    """Executes runs; *agent* is the service agent's e-mail address."""

    catalog: Catalog
    access: Access
    buckets: Buckets
    agent: str
    clock: Callable[[], datetime]
    fault: Callable[[str], str | None]

    def execute(self, run: Run) -> None:
        """Take *run* from PENDING to SUCCEEDED or FAILED; never raises."""
        run.started = self.clock()
        run.state = RUNNING
        self._say(run, f"Starting to process transfer run {run.name}.")
        try:
            self._transfer(run)
        except RunFailure as failure:
            self._fail(run, failure.code, failure.message)
        except Exception as error:  # a run must end, whatever happens
            self._fail(run, INTERNAL, f"Internal error: {type(error).__name__}: {error}")
        else:
            run.ended = self.clock()
            run.state = SUCCEEDED

    def _fail(self, run: Run, code: int, message: str) -> None:
        self._say(run, message, "ERROR")
        run.error_code, run.error = code, message
        run.ended = self.clock()
        run.state = FAILED

    def _say(self, run: Run, text: str, severity: str = "INFO") -> None:
        run.log.append(LogLine(self.clock(), severity, text))

    def _transfer(self, run: Run) -> None:
        path, uri, table_id = self._resolved(run)
        run.table = table_id
        table = self._destination(run, table_id)
        fault = self.fault(table_id)
        if fault is not None:
            raise RunFailure(INVALID_ARGUMENT, fault)
        objects = self._objects(run, path, uri)
        if not objects:
            self._say(run, f"No new files found matching {uri}.")
            run.rows = 0
            return
        run.rows = self._load(run, table, objects)
        self._say(
            run,
            f"Job completed successfully: {len(objects)} file(s), {run.rows} row(s) loaded into "
            f"{run.config.dataset}.{table_id}. Summary: succeeded 1 jobs, failed 0 jobs.",
        )

    def _resolved(self, run: Run) -> tuple[DataPath, str, str]:
        try:
            uri = run_time.resolve(run.params.data_path, run.run_time)
            table = run_time.resolve(run.params.table, run.run_time)
            return DataPath.parse(uri), uri, table
        except ValueError as error:
            raise RunFailure(INVALID_ARGUMENT, str(error)) from error

    def _destination(self, run: Run, table_id: str) -> Table:
        """The table, which must exist, and which the agent must be allowed to write.

        Source: https://cloud.google.com/bigquery/docs/s3-transfer#limitations and
        https://cloud.google.com/bigquery/docs/enable-transfer-service
        """
        try:
            table = self.catalog.table(run.config.dataset, table_id)
        except ApiError as error:
            hint = " Partition decorators are not served here." if "$" in table_id else ""
            raise RunFailure(
                NOT_FOUND, f"{error.message}. The destination table must exist.{hint}"
            ) from error
        agent = service_account_identity(self.agent)
        policies = (self.catalog.dataset(run.config.dataset).policy(), table.policy)
        if not self.access.allowed(agent, "bigquery.tables.updateData", *policies):
            raise RunFailure(
                PERMISSION_DENIED,
                f"Access Denied: Table {self.catalog.project}:{table.dataset}.{table_id}: "
                f"Permission bigquery.tables.updateData denied to {self.agent}; it needs "
                "roles/bigquery.dataEditor on the dataset",
            )
        return table

    def _objects(self, run: Run, path: DataPath, uri: str) -> Sequence[S3Object]:
        params = run.params
        try:
            objects, listed = self.buckets.list(
                path, params.access_key_id, params.secret_access_key
            )
        except SourceError as error:
            raise RunFailure(PERMISSION_DENIED, str(error)) from error
        since = run.config.last_success() if params.append else None
        if since is not None:
            objects = [found for found in objects if found.modified > since]
        if len(objects) > path.most_files:
            raise RunFailure(
                INVALID_ARGUMENT,
                f"{uri} matches {len(objects)} files; one run may load {path.most_files}",
            )
        self._say(
            run,
            f"Moving data from Amazon S3 to Google Cloud complete: Moved {listed} object(s), of "
            f"which {len(objects)} match {uri}.",
        )
        return objects

    def _load(self, run: Run, table: Table, objects: Sequence[S3Object]) -> int:
        params = run.params
        with tempfile.TemporaryDirectory(dir=self.catalog.store.work) as folder:
            files: list[Path] = []
            try:
                for number, source in enumerate(objects):
                    target = Path(folder) / f"{number:08d}.parquet"
                    self.buckets.fetch(
                        source, target, params.access_key_id, params.secret_access_key
                    )
                    files.append(target)
                return load(
                    self.catalog.store,
                    table,
                    files,
                    [source.uri for source in objects],
                    decimal_targets=params.decimal_targets,
                    append=params.append,
                    now=self.clock(),
                )
            except SourceError as error:
                raise RunFailure(PERMISSION_DENIED, str(error)) from error
            except LoadError as error:
                name = f"{self.catalog.project}:{table.dataset}.{table.id}"
                raise RunFailure(
                    INVALID_ARGUMENT, f"Error while loading into {name}: {error}"
                ) from error
