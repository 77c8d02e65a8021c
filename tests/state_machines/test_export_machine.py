"""A day of the export machine, and everything that can happen to it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from state_machines import export
from tests.state_machines.machines import export_machine
from tests.state_machines.player import Played, each, error, history_events, play, seconds

SNAPSHOT = "rds:shop-stg-2026-11-20-03-05"
ARN = f"arn:aws:rds:eu-west-1:111122223333:cluster-snapshot:{SNAPSHOT}"
EVENT = {"snapshot_id": SNAPSHOT, "snapshot_arn": ARN, "event_id": "e"}
SCHEDULED = {"scheduled_time": "2026-11-20T03:30:00Z"}

DESCRIBE = "aws-sdk:rds:describeDBClusterSnapshots"
START = "aws-sdk:rds:startExportTask"
READ = "aws-sdk:rds:describeExportTasks"
PUT = "events:putEvents"
TELL = "sns:publish"


def snapshot(**changes: Any) -> dict[str, Any]:
    return {
        "DbClusterSnapshotIdentifier": SNAPSHOT,
        "DbClusterSnapshotArn": ARN,
        "DbClusterIdentifier": "shop-stg",
        "SnapshotCreateTime": "2026-11-20T03:05:41.123Z",
        "Status": "available",
        **changes,
    }


def snapshots(*found: dict[str, Any]) -> dict[str, Any]:
    return {"DbClusterSnapshots": list(found)}


def export_is(status: str, **more: Any) -> Callable[[Any], dict[str, Any]]:
    def answer(arguments: Any) -> dict[str, Any]:
        task = {"ExportTaskIdentifier": arguments["ExportTaskIdentifier"], "SourceArn": ARN}
        return {"ExportTasks": [{**task, "Status": status, **more}]}

    return answer


def run(event: Any = EVENT, *, machine: Any = None, **answers: Any) -> Played:
    world = {
        DESCRIBE: each(snapshots(snapshot())),
        START: each({"Status": "STARTING"}),
        READ: each(export_is("STARTING"), export_is("IN_PROGRESS"), export_is("COMPLETE")),
        PUT: each({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}),
        **answers,
    }
    return play(machine or export_machine(), event, world)


def started(played: Played) -> list[str]:
    return [arguments["ExportTaskIdentifier"] for arguments in played.arguments(START)]


def assert_told(played: Played, *words: str) -> None:
    """It failed, by way of one message; both name source and reason."""
    assert played.failure is not None
    assert played.failure.error == "ExportFailed"
    for text in (played.message, played.failure.cause):
        for word in ("shop-stg", *words):
            assert word in text, text
    assert "https://example.com/runbook" in played.message
    assert ":execution:" in played.message
    assert not played.arguments(PUT)


def test_a_snapshot_is_exported_and_announced() -> None:
    played = run()
    assert played.failure is None
    assert played.arguments(DESCRIBE) == [
        {"DbClusterSnapshotIdentifier": SNAPSHOT, "SnapshotType": "automated"}
    ]
    assert played.arguments(START) == [
        {
            "ExportTaskIdentifier": "shop-stg-2026112003",
            "SourceArn": ARN,
            "S3BucketName": "shop-stg-rds-exports-111122223333",
            "S3Prefix": "exports",
            "IamRoleArn": "arn:aws:iam::111122223333:role/shop-stg-export",
            "KmsKeyId": "arn:aws:kms:eu-west-1:111122223333:key/1",
            "ExportOnly": ["shop.orders", "shop.users"],
        }
    ]
    assert played.arguments(PUT) == [
        {
            "Entries": [
                {
                    "Source": "data-ferry",
                    "DetailType": "Export Completed",
                    "EventBusName": "default",
                    "Detail": {
                        "source": "shop-stg",
                        "export_task": "shop-stg-2026112003",
                        "hour": "2026112003",
                        "run_time": "2026-11-20T03:00:00Z",
                        "bucket": "shop-stg-rds-exports-111122223333",
                        "prefix": "exports/shop-stg-2026112003",
                        "warning": "",
                    },
                }
            ]
        }
    ]
    assert not played.arguments(TELL)
    assert played.waited == pytest.approx(3 * 60, abs=2)


def test_the_whole_snapshot_and_a_later_run_time() -> None:
    played = run(machine=export_machine(export_only=None, run_time_offset_hours=23))
    assert "ExportOnly" not in played.arguments(START)[0]
    detail = played.arguments(PUT)[0]["Entries"][0]["Detail"]
    assert (detail["hour"], detail["run_time"]) == ("2026112003", "2026-11-21T02:00:00Z")


def test_an_instance() -> None:
    arn = "arn:aws:rds:eu-west-1:111122223333:snapshot:rds:shop-stg-2026-11-20-03-05"
    found = {
        "DbSnapshotArn": arn,
        "DbInstanceIdentifier": "shop-stg",
        "SnapshotCreateTime": "2026-11-20T03:05:41Z",
        "Status": "available",
    }
    describe = "aws-sdk:rds:describeDBSnapshots"
    played = run(
        machine=export_machine(kind="instance"), **{describe: each({"DbSnapshots": [found]})}
    )
    assert played.failure is None
    assert played.arguments(describe) == [
        {"DbSnapshotIdentifier": SNAPSHOT, "SnapshotType": "automated"}
    ]
    assert played.arguments(START)[0]["SourceArn"] == arn


def test_a_manual_snapshot_is_found_without_its_type() -> None:
    played = run({"snapshot_id": "before-migration"})
    assert played.arguments(DESCRIBE) == [{"DbClusterSnapshotIdentifier": "before-migration"}]
    assert played.failure is None


def test_a_source_alike_in_name_is_left_alone() -> None:
    """`rds:prod-` also begins the snapshots of `prod-replica`."""
    played = run(**{DESCRIBE: each(snapshots(snapshot(DbClusterIdentifier="shop-stg-replica")))})
    assert played.failure is None
    assert played.visited[-1] == "Not ours"
    assert not played.arguments(START)


def test_a_schedule_takes_the_newest_snapshot() -> None:
    older = snapshot(
        SnapshotCreateTime="2026-11-19T03:05:41.999Z", DbClusterSnapshotArn=f"{ARN}-older"
    )
    failed = snapshot(SnapshotCreateTime="2026-11-21T03:05:41Z", Status="failed")
    played = run(SCHEDULED, **{DESCRIBE: each(snapshots(older, snapshot(), failed, older))})
    assert played.arguments(DESCRIBE) == [
        {"DbClusterIdentifier": "shop-stg", "SnapshotType": "automated"}
    ]
    assert played.arguments(START)[0]["SourceArn"] == ARN
    assert started(played) == ["shop-stg-2026112003"]


def test_a_schedule_does_not_take_yesterdays_snapshot_while_todays_is_made() -> None:
    yesterday = snapshot(SnapshotCreateTime="2026-11-19T03:05:41Z", DbClusterSnapshotArn="old")
    today = snapshot(Status="creating")
    del today["SnapshotCreateTime"]
    played = run(
        SCHEDULED,
        **{DESCRIBE: each(snapshots(yesterday, today), snapshots(yesterday, snapshot()))},
    )
    assert played.arguments(START)[0]["SourceArn"] == ARN
    assert played.visited.count("Wait for snapshot") == 1


@pytest.mark.parametrize("event", [EVENT, SCHEDULED])
def test_a_snapshot_that_is_never_there_is_told(event: dict[str, str]) -> None:
    played = run(event, **{DESCRIBE: each(snapshots())})
    assert_told(played, "RDS shows none")
    assert len(played.arguments(DESCRIBE)) == export.MAX_LOOKS
    assert played.waited == pytest.approx((export.MAX_LOOKS - 1) * 300, abs=5)


def test_a_snapshot_that_failed_is_told_at_once() -> None:
    played = run(**{DESCRIBE: each(snapshots(snapshot(Status="failed")))})
    assert_told(played, f"{ARN} is failed")
    assert len(played.arguments(DESCRIBE)) == 1


def test_a_snapshot_that_is_gone_is_told() -> None:
    gone = error("Rds.DbClusterSnapshotNotFoundException", f"{SNAPSHOT} not found")
    assert_told(run(**{DESCRIBE: each(gone)}), "could not be described", "not found")


def test_throttling_passes() -> None:
    throttled = error("Rds.RdsException", "Rate exceeded (Service: Rds, Status Code: 400)")
    played = run(
        **{
            DESCRIBE: each(throttled, snapshots(snapshot())),
            START: each(throttled, {}),
            READ: each(throttled, export_is("COMPLETE")),
        }
    )
    assert played.failure is None
    assert len(played.arguments(START)) == 2


def test_an_answer_too_large_is_told() -> None:
    """`States.ALL` would have let it through."""
    played = run(SCHEDULED, **{DESCRIBE: each(error("States.DataLimitExceeded", "262144"))})
    assert_told(played, "States.DataLimitExceeded")


@pytest.mark.parametrize(
    "exists",
    [
        error("Rds.ExportTaskAlreadyExistsException", "exists"),
        error("Rds.RdsException", "The export task with the ID x already exists. (Status 400)"),
    ],
)
def test_an_event_that_comes_twice_adopts_the_export(exists: Any) -> None:
    played = run(**{START: each(exists)})
    assert played.failure is None
    assert len(played.arguments(PUT)) == 1
    assert len(played.arguments(START)) == 1


def test_another_snapshot_of_the_same_hour_gets_an_id_of_its_own() -> None:
    """Say, a manual snapshot ten minutes after the automated one."""

    def owner(arguments: Any) -> Any:
        first = arguments["ExportTaskIdentifier"] == "shop-stg-2026112003"
        return export_is("COMPLETE", SourceArn="another" if first else ARN)(arguments)

    played = run(
        **{START: each(error("Rds.ExportTaskAlreadyExistsException"), {}), READ: each(owner)}
    )
    assert started(played) == ["shop-stg-2026112003", "shop-stg-2026112004"]
    detail = played.arguments(PUT)[0]["Entries"][0]["Detail"]
    assert detail["hour"] == "2026112004"


def test_the_export_of_another_stack_is_not_taken_for_its_own() -> None:
    """Ids are one namespace for an account and Region; the other export is in another bucket."""

    def owner(arguments: Any) -> Any:
        first = arguments["ExportTaskIdentifier"] == "shop-stg-2026112003"
        where = {"S3Bucket": "of-another-stack"} if first else {}
        return export_is("COMPLETE", SourceArn=ARN, **where)(arguments)

    played = run(
        **{START: each(error("Rds.ExportTaskAlreadyExistsException"), {}), READ: each(owner)}
    )
    assert started(played) == ["shop-stg-2026112003", "shop-stg-2026112004"]


LIMIT = error(
    "Rds.RdsException",
    "You have reached the limit of 5 concurrent export tasks. (Service: Rds, Status Code: 400, "
    "Error Code: ExportTaskLimitReachedFault)",
)


def test_the_limit_of_five_exports_is_waited_out() -> None:
    played = run(**{START: each(LIMIT, LIMIT, {})})
    assert played.failure is None
    assert started(played) == ["shop-stg-2026112003"] * 3
    assert played.waited == pytest.approx(2 * 300 + 3 * 60, abs=2)


def test_a_limit_that_never_ends_is_told() -> None:
    played = run(**{START: each(LIMIT)})
    assert_told(played, "shop-stg-2026112003", "limit of 5")
    assert len(started(played)) == export.MAX_REFUSALS


@pytest.mark.parametrize(
    "refusal",
    [
        error("Rds.RdsException", "User is not authorized to perform: rds:StartExportTask"),
        error("Rds.InvalidExportOnlyException", "table shop.userz does not exist"),
        error("Rds.KmsKeyNotAccessibleException", "KMS key check failed"),
    ],
)
def test_a_refusal_for_good_is_told_at_once(refusal: Any) -> None:
    played = run(**{START: each(refusal)})
    assert_told(played, "shop-stg-2026112003", refusal.error, refusal.cause)
    assert len(started(played)) == 1


def test_a_failed_export_is_tried_under_the_next_hours_id() -> None:
    """An id cannot be used again; the path and the run time follow the new hour together."""
    late = snapshot(SnapshotCreateTime="2026-12-31T23:59:59Z")
    played = run(
        **{
            DESCRIBE: each(snapshots(late)),
            READ: each(export_is("FAILED", FailureCause="out of luck"), export_is("COMPLETE")),
        }
    )
    assert started(played) == ["shop-stg-2026123123", "shop-stg-2027010100"]
    detail = played.arguments(PUT)[0]["Entries"][0]["Detail"]
    assert detail["hour"] == "2027010100"
    assert detail["run_time"] == "2027-01-01T00:00:00Z"
    assert detail["prefix"] == "exports/shop-stg-2027010100"


def test_an_export_that_fails_three_times_is_told() -> None:
    played = run(**{READ: each(export_is("FAILED", FailureCause="KMS key check failed"))})
    assert started(played) == [f"shop-stg-202611200{hour}" for hour in (3, 4, 5)]
    assert_told(played, "shop-stg-2026112005 failed: KMS key check failed")


def test_a_canceled_export_is_told_and_not_started_again() -> None:
    played = run(**{READ: each(export_is("CANCELING"), export_is("CANCELED"))})
    assert_told(played, "shop-stg-2026112003", "canceled")
    assert len(started(played)) == 1


def test_the_case_of_a_status_does_not_matter() -> None:
    assert run(**{READ: each(export_is("complete"))}).failure is None


def test_an_export_that_is_not_shown_yet_is_looked_at_again() -> None:
    missing = error("Rds.ExportTaskNotFoundException")
    played = run(**{READ: each(missing, {"ExportTasks": []}, export_is("COMPLETE"))})
    assert played.failure is None


def test_an_export_is_not_given_up_because_nobody_can_look_at_it() -> None:
    throttled = error("Rds.RdsException", "Rate exceeded (Service: Rds, Status Code: 400)")
    unread = [throttled] * 3 * (export.MAX_UNREAD - 1)
    assert run(**{READ: each(*unread, export_is("COMPLETE"))}).failure is None


def test_an_export_that_can_never_be_looked_at_is_told() -> None:
    refused = error("Rds.RdsException", "not authorized to perform: rds:DescribeExportTasks")
    played = run(**{READ: each(refused)})
    assert_told(played, "could not be read", "not authorized")
    assert len(played.arguments(READ)) == 3 * export.MAX_UNREAD


def test_a_snapshot_that_is_being_exported_for_someone_else_is_waited_for() -> None:
    """RDS runs one export of a snapshot at a time."""
    busy = error("Rds.InvalidExportSourceStateException", "The snapshot is being exported.")
    assert run(**{START: each(busy, {})}).failure is None


def test_a_warning_travels_with_the_announcement() -> None:
    warning = '{"skippedTables":[{"tableName":"shop.users"}]}' + " " * 10_000
    played = run(**{READ: each(export_is("COMPLETE", WarningMessage=warning))})
    said = played.arguments(PUT)[0]["Entries"][0]["Detail"]["warning"]
    assert said == warning[: export.MAX_WARNING]


def test_an_export_without_end_is_told_before_the_machine_times_out() -> None:
    """And before its history is full: a machine that hits either limit tells nobody."""
    throttled = error("Rds.RdsException", "Rate exceeded")
    slow = itertools.cycle([throttled, throttled, export_is("IN_PROGRESS")])
    played = run(
        **{START: each(*[LIMIT] * 100, {}), READ: lambda arguments: each(next(slow))(arguments)}
    )
    assert_told(played, f"still IN_PROGRESS after {export.MAX_POLLS} looks")
    assert played.waited > 24 * 3600
    assert played.events < 25_000


def test_an_announcement_that_fails_is_told() -> None:
    played = run(**{PUT: each(error("EventBridge.FailedEntry", "no"))})
    assert played.failure is not None
    assert len(played.arguments(PUT)) == 5
    assert "could not be announced" in played.message


def test_a_message_that_cannot_be_sent_still_ends_in_failure() -> None:
    played = run(
        **{READ: each(export_is("CANCELED")), TELL: each(error("SNS.AuthorizationErrorException"))}
    )
    assert played.failure is not None
    assert played.failure.error == "ExportFailed"
    assert "canceled" in played.failure.cause
    assert len(played.arguments(TELL)) == 4


def test_a_cause_is_cut() -> None:
    played = run(**{START: each(error("Rds.InvalidParameterException", "x" * 30_000))})
    assert len(played.message) < 2_000


def test_the_bounds_hold_a_day_and_neither_history_nor_timeout_is_reached() -> None:
    """At most 25,000 events, and a machine's own timeout would end it unheard.

    Worst case: every loop to its end, every attempt of every call in vain, and slow.
    """
    states = export_machine()["States"]
    loops = {
        export.MAX_LOOKS: (
            "How was it started?",
            "Find newest snapshot",
            "Is it ours and there?",
            "Wait for snapshot",
        ),
        export.MAX_REFUSALS: ("Start export", "Why was it refused?", "Wait to start"),
        export.MAX_POLLS: ("Wait for export", "Read export", "How is the export?"),
    }
    once = sum(history_events(state) for state in states.values())
    events = once * (1 + export.LATER_HOURS) + sum(
        times * sum(history_events(states[name]) for name in names)
        for times, names in loops.items()
    )
    assert events < 25_000

    quick, slow = export.QUICK_POLLS, export.MAX_POLLS - export.QUICK_POLLS
    following = quick * export.QUICK_SECONDS + slow * export.SLOW_SECONDS
    assert following >= 24 * 3600
    pauses = following + (export.MAX_LOOKS + export.MAX_REFUSALS) * export.PAUSE_SECONDS
    calls = sum(
        times * sum(seconds(states[name]) for name in names if states[name]["Type"] == "Task")
        for times, names in loops.items()
    )
    ends = sum(seconds(states[name]) for name in ("Announce", "Tell failure"))
    assert pauses + calls + ends < export.TIMEOUT_SECONDS
