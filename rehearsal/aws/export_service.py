"""StartExportTask, DescribeExportTasks and CancelExportTask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.aws.export_access import Authorize, ExportAccess, KeyRefused, key_arn
from rehearsal.aws.export_rules import (
    MAX_CONCURRENT_EXPORTS,
    check_export_only,
    check_identifier,
    check_prefix,
    export_root,
)
from rehearsal.aws.export_run import ExportRun
from rehearsal.aws.export_task import RUNNING, ExportRecord, ExportRequest, ExportTask
from rehearsal.aws.faults import Fault
from rehearsal.aws.parquet import PartLimits
from rehearsal.aws.rds_api import ApiError, Parameters, page
from rehearsal.aws.rds_events import export_event, table_failed_event
from rehearsal.aws.snapshots import ExportSource, Server

#: The first calls that the fault `export-limit` turns away.
_CALLS_OVER_LIMIT = 2

#: Names of DescribeExportTasks' filters and the fields they look at.
_FILTERS = {
    "export-task-identifier": "ExportTaskIdentifier",
    "s3-bucket": "S3Bucket",
    "source-arn": "SourceArn",
    "status": "Status",
}


@dataclass(frozen=True)
class Surroundings:
    """What exports reach outside of RDS."""

    account: str
    region: str
    s3: Callable[[], Any]
    put_events: Callable[[list[dict[str, Any]]], None]
    authorize: Authorize
    role_exists: Callable[[str], bool]
    key_exists: Callable[[str], bool]
    on_progress: Callable[[ExportRecord], None]


class ExportService:
    """The export tasks of one account and Region."""

    def __init__(
        self,
        find_source: Callable[[str], ExportSource],
        outside: Surroundings,
        limits: PartLimits,
        fault: Fault | None,
    ) -> None:
        """No task exists yet; `find_source` tells what a SourceArn names, or raises ApiError."""
        self._find_source = find_source
        self._outside = outside
        self._limits = limits
        self._fault = fault
        self._lock = threading.RLock()
        self._tasks: dict[str, ExportTask] = {}
        self._workers: list[threading.Thread] = []
        self._starts = 0

    # --- the actions

    def start(self, parameters: Parameters) -> dict[str, Any]:
        """StartExportTask."""
        server, request = self._request(parameters)
        # Before all other checks, so that repeating a call never depends on what the first did.
        self._check_new(request)
        access = self._check_access(request)
        with self._lock:
            self._check_new(request)
            self._check_running(request)
            task = ExportTask(request, self._outside.on_progress)
            self._tasks[request.identifier] = task
            self._start_worker(task, server, access)
        return task.describe()

    def describe(self, parameters: Parameters) -> dict[str, Any]:
        """DescribeExportTasks, with all its filters."""
        identifier = parameters.get("ExportTaskIdentifier")
        if identifier:
            self._task(identifier)
        wanted = parameters.filters()
        for name in wanted:
            if name not in _FILTERS:
                raise ApiError("InvalidParameterValue", f"Unrecognized filter name: {name}")
        for name in ("ExportTaskIdentifier", "SourceArn", "SourceType"):
            value = parameters.get(name)
            if value:
                wanted[name] = [value]
        with self._lock:
            tasks = [task.describe() for task in self._tasks.values()]
        return page(parameters, "ExportTasks", [task for task in tasks if _passes(task, wanted)])

    def cancel(self, parameters: Parameters) -> dict[str, Any]:
        """CancelExportTask."""
        task = self._task(parameters.required("ExportTaskIdentifier"))
        if not task.cancel():
            raise ApiError(
                "InvalidExportTaskStateFault",
                f"The export task {task.request.identifier} can't be canceled: it is "
                f"{task.status}.",
            )
        return task.describe()

    # --- for the rehearsal

    def records(self) -> list[ExportRecord]:
        """All tasks in the order of their start."""
        with self._lock:
            return [task.record() for task in self._tasks.values()]

    def wait(self, timeout: float | None) -> bool:
        """Wait for all tasks, so many seconds each; False when one still runs."""
        with self._lock:
            workers = list(self._workers)
        for worker in workers:
            worker.join(timeout)
        return not any(worker.is_alive() for worker in workers)

    def close(self) -> None:
        """Cancel what runs and wait for it to stop."""
        with self._lock:
            tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        self.wait(None)

    # --- checks

    def _task(self, identifier: str) -> ExportTask:
        with self._lock:
            task = self._tasks.get(identifier)
        if task is None:
            raise ApiError(
                "ExportTaskNotFound",
                f"The export task with the ID {identifier} doesn't exist.",
                404,
            )
        return task

    def _request(self, parameters: Parameters) -> tuple[Server, ExportRequest]:
        """The request, once everything in it is well formed and its source is there."""
        identifier = parameters.required("ExportTaskIdentifier")
        arn = parameters.required("SourceArn")
        bucket = parameters.required("S3BucketName")
        role_arn = parameters.required("IamRoleArn")
        key = parameters.required("KmsKeyId")
        prefix = parameters.get("S3Prefix") or None
        check_identifier(identifier)
        check_prefix(prefix or "")
        source = self._find_source(arn)
        only = tuple(parameters.many("ExportOnly"))
        check_export_only(source.server.engine, only)
        return source.server, ExportRequest(
            identifier=identifier,
            source=source.server.identifier,
            about=source.about,
            snapshot_time=source.at,
            export_only=only,
            bucket=bucket,
            prefix=prefix,
            role_arn=role_arn,
            kms_key=key,
        )

    def _check_new(self, request: ExportRequest) -> None:
        with self._lock:
            if request.identifier in self._tasks:
                raise ApiError(
                    "ExportTaskAlreadyExists",
                    f"The export task with the ID {request.identifier} already exists.",
                )

    def _check_access(self, request: ExportRequest) -> ExportAccess:
        """Role, bucket and key: that they are there, and that the role may use them."""
        outside = self._outside
        if not outside.role_exists(request.role_arn):
            missing = f"The IAM role {request.role_arn} doesn't exist."
            raise ApiError("IamRoleNotFound", missing, 404)
        self._check_bucket(request.bucket)
        if not outside.key_exists(request.kms_key):
            missing = f"The KMS key check failed: the key {request.kms_key} doesn't exist."
            raise ApiError("KMSKeyNotAccessibleFault", missing)
        key = key_arn(request.kms_key, outside.account, outside.region)
        access = ExportAccess(
            outside.authorize, request.role_arn, request.bucket, key, outside.region
        )
        try:
            access.check_all(export_root(request.prefix, request.identifier), request.identifier)
        except KeyRefused as refused:
            told = f"The KMS key check failed: {refused}"
            raise ApiError("KMSKeyNotAccessibleFault", told) from None
        except PermissionError as refused:
            raise ApiError(
                "IamRoleMissingPermissions",
                "The IAM role requires additional permissions to export to an Amazon S3 bucket: "
                f"{refused}",
            ) from None
        return access

    def _check_bucket(self, bucket: str) -> None:
        try:
            location = self._outside.s3().get_bucket_location(Bucket=bucket)["LocationConstraint"]
        # A name that S3 could not have is refused before it is sent.
        except (ClientError, BotoCoreError) as error:
            raise ApiError(
                "InvalidS3BucketFault",
                f"The S3 bucket {bucket} doesn't exist or cannot be reached: {error}",
            ) from None
        if (location or "us-east-1") != self._outside.region:
            raise ApiError(
                "InvalidS3BucketFault",
                f"The S3 bucket {bucket} isn't located in the current AWS Region "
                f"{self._outside.region} but in {location or 'us-east-1'}.",
            )

    def _check_running(self, request: ExportRequest) -> None:
        """One running export per source, five per account and Region."""
        running = [task for task in self._tasks.values() if task.status in RUNNING]
        for task in running:
            if task.request.about.arn == request.about.arn:
                raise ApiError(
                    "InvalidExportSourceState",
                    f"{request.about.arn} is being exported by the task "
                    f"{task.request.identifier}; a snapshot has one export at a time.",
                )
        self._starts += 1
        turned_away = self._has_fault("export-limit") and self._starts <= _CALLS_OVER_LIMIT
        if turned_away or len(running) >= MAX_CONCURRENT_EXPORTS:
            raise ApiError(
                "ExportTaskLimitReachedFault",
                f"You have reached the limit of {MAX_CONCURRENT_EXPORTS} concurrent export tasks",
            )

    def _has_fault(self, kind: str) -> bool:
        return self._fault is not None and self._fault.kind == kind

    # --- workers

    def _start_worker(self, task: ExportTask, server: Server, access: ExportAccess) -> None:
        later_than_first = len(self._tasks) > 1
        spared = self._has_fault("export-failed-once") and later_than_first
        run = ExportRun(
            task=task,
            engine=server.engine,
            databases=server.databases,
            s3=self._outside.s3,
            access=access,
            limits=self._limits,
            fault=None if spared else self._fault,
            on_table_failed=lambda table, reason: self._tell_of_table(task, table, reason),
        )
        worker = threading.Thread(
            target=self._work, args=(run,), name=f"export {task.request.identifier}", daemon=True
        )
        self._workers.append(worker)
        worker.start()

    def _work(self, run: ExportRun) -> None:
        ending = run.run()
        event = export_event(run.task.request.about, ending, datetime.now(timezone.utc))
        self._outside.put_events([event])

    def _tell_of_table(self, task: ExportTask, table: str, reason: str) -> None:
        """The event exists for cluster snapshots only."""
        about = task.request.about
        if about.subject == "cluster":
            now = datetime.now(timezone.utc)
            event = table_failed_event(about, task.request.identifier, table, reason, now)
            self._outside.put_events([event])


def _passes(task: dict[str, Any], wanted: dict[str, list[str]]) -> bool:
    """Whether a task has one of the wanted values in every field asked about."""
    for name, values in wanted.items():
        found = task[_FILTERS.get(name, name)]
        # A status is lower case in the filter and upper case in the answer.
        if (found.lower() if name == "status" else found) not in values:
            return False
    return True
