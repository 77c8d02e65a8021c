"""The export state machine: a snapshot's tables to Parquet on S3, and the news of it.

One per source. It describes the snapshot, starts the export under an id that follows from the
snapshot's hour, looks at it until it ends, and puts `Export Completed` on the default event bus.
There is no Lambda in it: nothing to patch, nothing to time out. It always ends told: in success,
or by a message on the alerts topic and then in `Fail`.

Started by EventBridge with ``{"snapshot_id": "rds:...", ...}``, or by EventBridge Scheduler with
``{"scheduled_time": "..."}``, in which case it takes the newest automated snapshot itself.

What the machine's role needs:

* ``rds:DescribeDBClusterSnapshots`` (kind cluster: on the cluster and its cluster snapshots) or
  ``rds:DescribeDBSnapshots`` (kind instance: on the instance and its snapshots);
* ``rds:StartExportTask`` on those snapshots; ``rds:DescribeExportTasks`` on ``*`` (an export task
  has no ARN that a policy could name);
* ``iam:PassRole`` on the export role, for ``export.rds.amazonaws.com``;
* ``kms:DescribeKey`` and ``kms:CreateGrant`` on the export key;
* ``events:PutEvents`` on the default bus; ``sns:Publish`` on the topic (and
  ``kms:GenerateDataKey*``, ``kms:Decrypt`` on the topic's key where it has one).

Rules encoded (AWS, "Amazon RDS API: StartExportTask, DescribeExportTasks",
"DescribeDBClusterSnapshots", "Service integrations with the AWS SDK", Step Functions quotas):

* an automated snapshot's id begins with ``rds:`` and is found only with ``SnapshotType``;
* field names are those of the SDK for Java: ``DbClusterSnapshots``, not ``DBClusterSnapshots``;
* errors the API model does not know (throttling, the limit of five exports in one account,
  missing rights) all arrive as ``Rds.RdsException``: their text tells them apart;
* a partial export's names have nothing but ``A-Z a-z 0-9 $ _``, and its list at most 200 KB;
* an execution has at most 25,000 history events, and its timeout cannot be caught, so every loop
  is counted and ends by itself long before either.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from export_identity import (
    jsonata_export_task_id,
    jsonata_hour,
    jsonata_next_hour,
    jsonata_run_time,
)
from state_machines import asl
from state_machines.asl import State, jsonata, quoted

MAX_LOOKS = 24
"""Looks at a snapshot that is not available yet, five minutes apart: two hours."""

MAX_REFUSALS = 144
"""Times a start is refused for a passing reason, five minutes apart: twelve hours."""

QUICK_POLLS = 120
MAX_POLLS = 560
"""Looks at the export: one a minute for two hours, then every three minutes up to 24 hours."""

QUICK_SECONDS = 60
SLOW_SECONDS = 180
PAUSE_SECONDS = 300

LATER_HOURS = 2
"""Further ids that are tried, each an hour later, when an export fails."""

TIMEOUT_SECONDS = 4 * 24 * 3600
"""More than all loops at their slowest together: a timeout of the machine would be untold."""

MAX_WARNING = 4_000

MAX_EXPORT_ONLY_BYTES = 200_000

_LEGAL_NAME = re.compile(r"[A-Za-z0-9$_]+(\.[A-Za-z0-9$_]+){0,2}")
_CALL_SECONDS = 60
MAX_UNREAD = 10
"""Looks in a row that may fail before someone is told: ten minutes at the least."""

_PASSING_ERRORS = ("Rds.RdsException", "Rds.SdkClientException", "States.Timeout")
_EXISTS = "/ExportTaskAlreadyExists|already exists/i"
_PASSES = (
    "/ExportTaskLimitReached|limit of (5|five)|Throttl|Rate exceeded|RequestLimitExceeded"
    "|InvalidExportSourceState|ServiceUnavailable|InternalFailure|SdkClientException"
    "|States.Timeout|Status Code: 5/i"
)


@dataclass(frozen=True, kw_only=True)
class ExportMachine:
    """What an export machine is made of; `export_only` None exports the whole snapshot."""

    source: str
    kind: str
    export_only: tuple[str, ...] | None
    bucket: str
    prefix: str
    export_role_arn: str
    kms_key_arn: str
    topic_arn: str
    run_time_offset_hours: int
    runbook_url: str


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """How the RDS API speaks of one kind of source."""

    action: str
    snapshots: str
    snapshot_id: str
    snapshot_arn: str
    source_id: str


_KINDS = {
    "cluster": _Kind(
        action="aws-sdk:rds:describeDBClusterSnapshots",
        snapshots="DbClusterSnapshots",
        snapshot_id="DbClusterSnapshotIdentifier",
        snapshot_arn="DbClusterSnapshotArn",
        source_id="DbClusterIdentifier",
    ),
    "instance": _Kind(
        action="aws-sdk:rds:describeDBSnapshots",
        snapshots="DbSnapshots",
        snapshot_id="DbSnapshotIdentifier",
        snapshot_arn="DbSnapshotArn",
        source_id="DbInstanceIdentifier",
    ),
}


def definition(machine: ExportMachine) -> dict[str, Any]:
    """Return the machine's definition."""
    if machine.kind not in _KINDS:
        raise ValueError(f"{machine.source}: kind must be cluster or instance, not {machine.kind}")
    if machine.export_only is not None:
        _check_export_only(machine.source, machine.export_only)
    return asl.machine(
        f"Exports a snapshot of {machine.source} to S3",
        TIMEOUT_SECONDS,
        "Begin",
        {
            **_find_snapshot(machine, _KINDS[machine.kind]),
            **_start(machine),
            **_follow(machine),
            **_end(machine),
        },
    )


def _check_export_only(source: str, names: tuple[str, ...]) -> None:
    """Refuse a list that RDS would refuse every night."""
    illegal = [name for name in names if not _LEGAL_NAME.fullmatch(name)]
    size = len(json.dumps(names).encode())
    if names and not illegal and size <= MAX_EXPORT_ONLY_BYTES:
        return
    if illegal:
        why = f"{illegal[0]!r} is not database.table or database.schema.table of A-Z a-z 0-9 $ _"
    else:
        why = f"{size} bytes of at most {MAX_EXPORT_ONLY_BYTES}" if names else "the list is empty"
    raise ValueError(
        f"{source}: no legal ExportOnly: {why}; give None to export the whole snapshot"
    )


def _find_snapshot(machine: ExportMachine, kind: _Kind) -> dict[str, State]:
    """From the trigger to a snapshot that is there, is ours and can be exported."""
    by_id = {kind.snapshot_id: jsonata("$snapshot_id")}
    newest = {kind.source_id: machine.source, "SnapshotType": "automated"}
    pending = "['', 'creating', 'copying', 'pending']"
    return {
        "Begin": asl.assign(
            {
                "snapshot_id": jsonata(
                    "$type($states.input.snapshot_id) = 'string' ? $states.input.snapshot_id : ''"
                ),
                "snapshot": {"arn": "", "source": "", "status": "", "hour": ""},
                "export": {"status": "", "arn": "", "bucket": "", "failure": "", "warning": ""},
                "export_hour": "",
                "export_task": "",
                "existed": False,
                "looks": 0,
                "refusals": 0,
                "polls": 0,
                "unread": 0,
                "later_hours": 0,
                "reason": "",
            },
            "How was it started?",
        ),
        "How was it started?": asl.choice(
            [
                ("$snapshot_id = ''", "Find newest snapshot"),
                ("$substring($snapshot_id, 0, 4) = 'rds:'", "Describe automated snapshot"),
            ],
            "Describe manual snapshot",
        ),
        "Find newest snapshot": _describe(kind, newest, _newest(kind)),
        "Describe automated snapshot": _describe(
            kind, {**by_id, "SnapshotType": "automated"}, _first(kind)
        ),
        "Describe manual snapshot": _describe(kind, by_id, _first(kind)),
        "Is it ours and there?": asl.choice(
            [
                (
                    f"$snapshot.source != '' and $snapshot.source != {quoted(machine.source)}",
                    "Not ours",
                ),
                ("$snapshot.status = 'available' and $snapshot.hour != ''", "Name export"),
                (f"$snapshot.status in {pending} and $looks < {MAX_LOOKS}", "Wait for snapshot"),
            ],
            "Snapshot cannot be exported",
        ),
        "Wait for snapshot": asl.wait(PAUSE_SECONDS, "How was it started?"),
        "Snapshot cannot be exported": asl.assign(
            {
                "reason": jsonata(
                    "'no snapshot that can be exported: ' & ($snapshot.arn = ''"
                    " ? 'RDS shows none' : $snapshot.arn & ' is ' & $snapshot.status)"
                )
            },
            "Tell failure",
        ),
        "Not ours": {"Type": "Succeed", "Comment": "Another source's snapshot, alike in name"},
    }


def _describe(kind: _Kind, arguments: dict[str, str], found: str) -> State:
    return asl.task(
        kind.action,
        arguments,
        "Is it ours and there?",
        timeout=_CALL_SECONDS,
        retriers=[asl.retry(_PASSING_ERRORS, attempts=2, seconds=10)],
        catchers=asl.catch_all(
            "Tell failure", {"reason": asl.error_text("the snapshot could not be described")}
        ),
        assign={"snapshot": jsonata(_snapshot(kind, found)), "looks": jsonata("$looks + 1")},
    )


def _first(kind: _Kind) -> str:
    return f"$states.result.{kind.snapshots}[0]"


def _newest(kind: _Kind) -> str:
    """Return the snapshot being made, should there be one, else the newest available.

    Taking yesterday's while today's is being made would load yesterday's data once more and leave
    today's for tomorrow.
    """
    return (
        f"($all := $states.result.{kind.snapshots}; $made := $all[Status = 'available'];"
        " $being_made := $all[Status = 'creating'];"
        " $exists($being_made) ? $being_made[0] : ($made^(>SnapshotCreateTime))[0])"
    )


def _snapshot(kind: _Kind, found: str) -> str:
    """Return what is kept of a snapshot: all strings, empty where RDS says nothing (yet)."""
    status = "$exists($found.Status) ? $lowercase($found.Status) : ''"
    arn = f"$found.{kind.snapshot_arn}"
    source = f"$found.{kind.source_id}"
    hour = jsonata_hour("$found.SnapshotCreateTime")
    return (
        f"($found := {found}; {{"
        f"'arn': $exists({arn}) ? {arn} : '',"
        f" 'source': $exists({source}) ? {source} : '',"
        f" 'status': {status},"
        f" 'hour': $exists($found.SnapshotCreateTime) ? {hour} : ''"
        "})"
    )


def _start(machine: ExportMachine) -> dict[str, State]:
    """Start the export; an export that exists already is as good, one too many is waited out."""
    arguments: dict[str, Any] = {
        "ExportTaskIdentifier": jsonata("$export_task"),
        "SourceArn": jsonata("$snapshot.arn"),
        "S3BucketName": machine.bucket,
        "S3Prefix": machine.prefix,
        "IamRoleArn": machine.export_role_arn,
        "KmsKeyId": machine.kms_key_arn,
    }
    if machine.export_only is not None:
        arguments["ExportOnly"] = list(machine.export_only)
    refused = {
        "reason": asl.error_text("the export was refused"),
        "refusals": jsonata("$refusals + 1"),
    }
    exists = {
        "ErrorEquals": ["Rds.ExportTaskAlreadyExistsException"],
        "Output": {},
        "Next": "Adopt export",
    }
    return {
        "Name export": asl.assign(
            {
                "export_hour": jsonata("$snapshot.hour"),
                "export_task": jsonata(jsonata_export_task_id(machine.source, "$snapshot.hour")),
            },
            "Start export",
        ),
        "Start export": asl.task(
            "aws-sdk:rds:startExportTask",
            arguments,
            "Wait for export",
            timeout=_CALL_SECONDS,
            # Not Rds.RdsException: that is also a right that is missing. Its text decides below.
            retriers=[
                asl.retry(["Rds.SdkClientException", "States.Timeout"], attempts=2, seconds=10)
            ],
            catchers=[exists, *asl.catch_all("Why was it refused?", refused)],
        ),
        "Why was it refused?": asl.choice(
            [
                (f"$contains($reason, {_EXISTS})", "Adopt export"),
                (
                    f"$contains($reason, {_PASSES}) and $refusals < {MAX_REFUSALS}",
                    "Wait to start",
                ),
            ],
            "Tell failure",
        ),
        "Wait to start": asl.wait(PAUSE_SECONDS, "Start export"),
        "Adopt export": asl.assign({"existed": True, "reason": ""}, "Read export"),
    }


def _follow(machine: ExportMachine) -> dict[str, State]:
    """Look at the export until it ends; after a failure try the next hour's id."""
    found = "$states.result.ExportTasks[0]"

    def field(name: str, limit: int = asl.MAX_CAUSE) -> str:
        return f"$exists($found.{name}) ? $substring($found.{name}, 0, {limit}) : ''"

    kept = (
        f"($found := {found}; {{'status': $uppercase({field('Status')}),"
        f" 'arn': {field('SourceArn')}, 'bucket': {field('S3Bucket')},"
        f" 'failure': {field('FailureCause')},"
        f" 'warning': {field('WarningMessage', MAX_WARNING)}}})"
    )
    next_hour = jsonata_next_hour("$export_hour")
    other_snapshot = "$export.arn != '' and $export.arn != $snapshot.arn"
    other_bucket = f"$export.bucket != '' and $export.bucket != {quoted(machine.bucket)}"
    return {
        "Wait for export": asl.wait(
            jsonata(f"$polls < {QUICK_POLLS} ? {QUICK_SECONDS} : {SLOW_SECONDS}"), "Read export"
        ),
        "Read export": asl.task(
            "aws-sdk:rds:describeExportTasks",
            {"ExportTaskIdentifier": jsonata("$export_task")},
            "How is the export?",
            timeout=_CALL_SECONDS,
            # Not found is tried again too: the export was started a moment ago.
            retriers=[
                asl.retry(
                    [*_PASSING_ERRORS, "Rds.ExportTaskNotFoundException"], attempts=2, seconds=10
                )
            ],
            catchers=asl.catch_all(
                "Is RDS out of reach?",
                {
                    "reason": asl.error_text("the export could not be read"),
                    "polls": jsonata("$polls + 1"),
                    "unread": jsonata("$unread + 1"),
                },
            ),
            assign={"export": jsonata(kept), "polls": jsonata("$polls + 1"), "unread": 0},
        ),
        # The export goes on whether or not anyone can look at it.
        "Is RDS out of reach?": asl.choice(
            [(f"$unread < {MAX_UNREAD}", "Wait for export")], "Tell failure"
        ),
        "How is the export?": asl.choice(
            [
                (f"$existed and ({other_snapshot} or {other_bucket})", "The id is taken"),
                ("$export.status = 'COMPLETE'", "Announce"),
                ("$export.status = 'FAILED'", "Export failed"),
                ("$export.status = 'CANCELED'", "Export was canceled"),
                (f"$polls < {MAX_POLLS}", "Wait for export"),
            ],
            "Export takes too long",
        ),
        # Ids are one namespace for the whole account and Region: another stack may export too.
        "The id is taken": asl.assign(
            {
                "reason": jsonata(
                    "$export_task & ' is the export of ' & $export.arn & ' to ' & $export.bucket"
                )
            },
            "Is another hour left?",
        ),
        "Export failed": asl.assign(
            {"reason": jsonata("$export_task & ' failed: ' & $export.failure")},
            "Is another hour left?",
        ),
        "Is another hour left?": asl.choice(
            [(f"$later_hours < {LATER_HOURS}", "Take next hour")], "Tell failure"
        ),
        "Take next hour": asl.assign(
            {
                "export_hour": jsonata(next_hour),
                "export_task": jsonata(jsonata_export_task_id(machine.source, next_hour)),
                "later_hours": jsonata("$later_hours + 1"),
                "existed": False,
            },
            "Start export",
        ),
        "Export was canceled": asl.assign({"reason": "the export was canceled"}, "Tell failure"),
        "Export takes too long": asl.assign(
            {
                "reason": jsonata(
                    f"'the export was still ' & $export.status & ' after {MAX_POLLS} looks;"
                    " it may yet end, but nothing waits for it'"
                )
            },
            "Tell failure",
        ),
    }


def _end(machine: ExportMachine) -> dict[str, State]:
    """Announce the export, or tell of its failure."""
    detail = {
        "source": machine.source,
        "export_task": jsonata("$export_task"),
        "hour": jsonata("$export_hour"),
        "run_time": jsonata(jsonata_run_time("$export_hour", machine.run_time_offset_hours)),
        "bucket": machine.bucket,
        "prefix": jsonata(f"{quoted(machine.prefix + '/')} & $export_task"),
        "warning": jsonata("$export.warning"),
    }
    named = "($export_task = '' ? '(none yet)' : $export_task)"
    text = f"{quoted(f'Source: {machine.source}; export: ')} & {named} & '; reason: ' & $reason"
    message = (
        f"{quoted(f'The export of {machine.source} failed; its tables keep their last load.')}"
        f" & '\\n\\nSource: ' & {quoted(machine.source)} & '\\nExport: ' & {named}"
        " & '\\nReason: ' & $reason & '\\nExecution: ' & $states.context.Execution.Id"
        f" & '\\nWhat to do: ' & {quoted(machine.runbook_url)}"
    )
    return {
        "Announce": asl.task(
            "events:putEvents",
            {
                "Entries": [
                    {
                        "Source": "data-ferry",
                        "DetailType": "Export Completed",
                        "EventBusName": "default",
                        "Detail": detail,
                    }
                ]
            },
            "Exported",
            timeout=_CALL_SECONDS,
            # Announcing twice is harmless (loads are idempotent), not announcing is a day lost:
            # every failure is tried again.
            retriers=[asl.retry(["States.TaskFailed", "States.Timeout"], attempts=4, seconds=10)],
            catchers=asl.catch_all(
                "Tell failure",
                {"reason": asl.error_text("the export is complete but could not be announced")},
            ),
        ),
        "Exported": {"Type": "Succeed"},
        "Tell failure": asl.publish(
            machine.topic_arn,
            f"data-ferry: export of {machine.source} failed"[: asl.MAX_SUBJECT],
            jsonata(message),
            "Failed",
        ),
        "Failed": asl.fail("ExportFailed", text),
    }
