"""A load from plan to outcome, and everything that can happen to it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from state_machines import load
from tests.state_machines.machines import load_machine
from tests.state_machines.player import Played, each, error, history_events, play, seconds

EVENT = {
    "source": "shop-stg",
    "export_task": "shop-stg-2026112003",
    "hour": "2026112003",
    "run_time": "2026-11-20T03:00:00Z",
    "bucket": "shop-stg-rds-exports-111122223333",
    "prefix": "exports/shop-stg-2026112003",
    "warning": "",
}
INVOKE = "lambda:invoke"
DONE = {"succeeded": 2, "problems": [], "problem_count": 0, "cursor": None}
MISSING = {"table": "shop.users", "kind": "missing", "message": "the export does not hold it"}


def run(event: Any = EVENT, **functions: Any) -> Played:
    answers = {
        "plan": each({"load": 2, "empty": 0, "missing": 0, "skipped": 0}),
        "start-runs": each({"cursor": None}),
        "check-runs": each({"pending": 0, "cursor": None}),
        "settle": each(DONE),
        **{name.replace("_", "-"): answer for name, answer in functions.items()},
    }

    def invoke(arguments: Any) -> Any:
        name = arguments["FunctionName"].partition("-load-")[2]
        return {"StatusCode": 200, "Payload": answers[name](arguments["Payload"])}

    return play(load_machine(), event, {INVOKE: invoke})


def payloads(played: Played, function: str) -> list[Any]:
    return [
        arguments["Payload"]
        for arguments in played.arguments(INVOKE)
        if arguments["FunctionName"].endswith(f"-load-{function}")
    ]


def assert_told(played: Played, *words: str) -> None:
    assert played.failure is not None
    assert played.failure.error == "LoadFailed"
    for text in (played.message, played.failure.cause):
        for word in words:
            assert word in text, text
    (published,) = played.arguments("sns:publish")
    assert published["Subject"] == "data-ferry: load of shop-stg failed"
    assert "https://example.com/runbook" in played.message


def test_an_export_is_loaded() -> None:
    played = run(
        start_runs=each({"cursor": 500}, {"cursor": 1000}, {"cursor": None}),
        check_runs=each(
            {"pending": 900, "cursor": 700},
            {"pending": 400, "cursor": None},
            {"pending": 0, "cursor": None},
        ),
    )
    assert played.failure is None
    assert payloads(played, "plan") == [EVENT]
    assert [p["cursor"] for p in payloads(played, "start-runs")] == [0, 500, 1000]
    assert [p["cursor"] for p in payloads(played, "check-runs")] == [0, 700, 0]
    assert payloads(played, "settle") == [{**EVENT, "cursor": 0}]
    assert not played.arguments("sns:publish")
    # Files become visible to the transfer service five minutes after they were written.
    assert played.waited == pytest.approx(300 + 2 * 60, abs=2)


def test_runs_are_not_requested_for_the_future() -> None:
    ahead = datetime.now(timezone.utc) + timedelta(hours=5)
    played = run({**EVENT, "run_time": ahead.strftime("%Y-%m-%dT%H:%M:%SZ")})
    assert played.failure is None
    assert played.waited == pytest.approx(5 * 3600 + 300 + 60, abs=3)


def test_nothing_to_load_is_settled_at_once() -> None:
    played = run(plan=each({"load": 0, "empty": 3, "missing": 0, "skipped": 0}))
    assert played.failure is None
    assert played.waited < 2
    assert len(payloads(played, "settle")) == 1


@pytest.mark.parametrize("count", [1, 2, 70])
def test_problems_are_told_by_table(count: int) -> None:
    listed = [{**MISSING, "table": f"shop.t{n}"} for n in range(min(count, 50))]
    played = run(settle=each({**DONE, "problems": listed, "problem_count": count}))
    assert_told(played, "shop-stg-2026112003", f"{count} table(s)", "shop.t0 (missing): the export")
    assert ("... and 20 more" in played.message) == (count == 70)


def test_runs_that_do_not_end_are_settled_as_late_and_told() -> None:
    late = {"table": "shop.users", "kind": "late", "message": "its run had not ended in time"}
    played = run(
        check_runs=each({"pending": 1, "cursor": None}),
        settle=each({**DONE, "problems": [late], "problem_count": 1}),
    )
    assert_told(played, "shop.users (late)")
    assert len(payloads(played, "check-runs")) <= load.MAX_ROUNDS
    assert 12 * 3600 <= played.waited < 13 * 3600


def test_a_round_that_gets_nowhere_ends() -> None:
    played = run(check_runs=each({"pending": 9, "cursor": 5}))
    assert played.failure is None
    assert len(payloads(played, "check-runs")) == load.MAX_CHECKS
    assert len(payloads(played, "settle")) == 1


def test_starts_that_get_nowhere_end() -> None:
    played = run(start_runs=each({"cursor": 0}))
    assert len(payloads(played, "start-runs")) == load.MAX_STARTS
    assert len(payloads(played, "settle")) == 1


def test_settling_goes_on_where_it_stopped() -> None:
    played = run(settle=each({**DONE, "cursor": 1}, {**DONE, "cursor": 2}, DONE))
    assert played.failure is None
    assert [p["cursor"] for p in payloads(played, "settle")] == [0, 1, 2]


def test_settling_without_end_is_told() -> None:
    played = run(settle=each({**DONE, "cursor": 1}))
    assert_told(played, "not settled in 50 calls")


def test_an_outage_of_google_passes() -> None:
    away = error("GoogleUnavailable", "503")
    played = run(start_runs=each(away, away, {"cursor": None}))
    assert played.failure is None
    assert len(payloads(played, "start-runs")) == 3


@pytest.mark.parametrize("function", ["plan", "start_runs", "check_runs", "settle"])
def test_a_function_that_fails_is_told(function: str) -> None:
    played = run(**{function: each(error("InvalidInput", "catalog/shop-stg.json is not there"))})
    assert_told(played, "shop-stg-2026112003", "InvalidInput: catalog/shop-stg.json is not there")


@pytest.mark.parametrize("field", ["source", "export_task", "run_time", "bucket", "prefix"])
def test_an_event_that_lacks_something_is_told(field: str) -> None:
    played = run({key: value for key, value in EVENT.items() if key != field})
    assert played.failure is not None
    assert "lacks one of source, export_task" in played.message
    assert not played.arguments(INVOKE)


def test_the_bounds_keep_history_and_timeout_out_of_reach() -> None:
    """At most 25,000 events, and a machine's own timeout would end it unheard."""
    states = load_machine()["States"]
    loops = {
        load.MAX_STARTS: ("Start runs", "Are more to start?"),
        load.MAX_CHECKS: ("Check runs", "Are runs pending?"),
        load.MAX_ROUNDS: ("Wait for runs",),
        load.MAX_SETTLES: ("Settle", "Is everything settled?"),
    }
    once = sum(history_events(state) for state in states.values())
    events = once + sum(
        times * sum(history_events(states[name]) for name in names)
        for times, names in loops.items()
    )
    assert events < 25_000

    quick, slow = load.QUICK_ROUNDS, load.MAX_ROUNDS - load.QUICK_ROUNDS
    waiting = quick * load.QUICK_SECONDS + slow * load.SLOW_SECONDS
    assert waiting >= load.LOAD_SECONDS
    # Starting and looking end by the clock, one call and one wait late at most.
    until_settled = (
        seconds(states["Plan"])
        + (23 + 2) * 3600  # the longest a run time is ahead: offset, later hours of its export
        + load.VISIBLE_SECONDS
        + load.LOAD_SECONDS
        + seconds(states["Check runs"])
        + load.SLOW_SECONDS
    )
    settling = load.MAX_SETTLES * seconds(states["Settle"])
    total = until_settled + settling + seconds(states["Tell failure"])
    assert total < load.TIMEOUT_SECONDS
