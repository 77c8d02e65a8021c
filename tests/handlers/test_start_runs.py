"""Starting runs: each once, however often it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from load import start_runs as module
from load.plan import plan
from load.request import LoadRequest
from load.start_runs import Started, start_runs
from shared.errors import GoogleUnavailable, InvalidInput
from tests.handlers.world import (
    EVENT,
    REQUEST,
    RUN_TIME,
    Fault,
    World,
    config,
    plenty,
    runs_out_after,
)

TABLES = ("users", "orders", "carts")


@pytest.fixture
def planned(world: World) -> World:
    world.declare(*TABLES)
    world.exported(*TABLES)
    plan(REQUEST, world.services)
    return world


def start(world: World, cursor: int | None = None, **clock: Any) -> Started:
    request = LoadRequest.parse({**EVENT, "cursor": cursor})
    return start_runs(request, world.services, clock.get("seconds_left", plenty))


def starts(world: World) -> int:
    return world.google.count("POST .*:startManualRuns")


def test_each_table_gets_a_run_for_the_exports_time(planned: World) -> None:
    assert start(planned) == {"cursor": None}
    asked = [call.body for call in planned.google.calls if "startManualRuns" in call.path]
    assert asked == [{"requestedRunTime": RUN_TIME}] * 3
    assert planned.work["users"]["run"] == f"{config('users')}/runs/1"
    assert planned.work["users"]["state"] == "PENDING"


def test_started_again_nothing_is_started(planned: World) -> None:
    start(planned)
    assert start(planned) == {"cursor": None}
    assert starts(planned) == 3


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED"])
def test_a_run_that_is_there_is_adopted(planned: World, state: str) -> None:
    """A call that died after it had started runs, before it could store them."""
    planned.google.add_run(config("users"), "2026-11-20T03:00:00.000Z", state=state)
    planned.google.add_run(config("users"), state="FAILED")
    start(planned)
    assert starts(planned) == 2
    assert planned.work["users"]["run"] == f"{config('users')}/runs/1"
    assert planned.work["users"]["state"] == state


def test_runs_that_failed_or_are_of_another_hour_are_not_adopted(planned: World) -> None:
    planned.google.add_run(config("users"), state="FAILED")
    planned.google.add_run(config("users"), state="CANCELLED")
    planned.google.add_run(config("users"), "2026-11-19T03:00:00Z", state="SUCCEEDED")
    start(planned)
    assert planned.work["users"]["run"] == f"{config('users')}/runs/4"


def test_a_start_without_a_clear_answer_is_not_repeated_blindly(planned: World) -> None:
    """The run was started, the answer was a 503: it is found, not started once more."""
    planned.google.faults.append(Fault("users:startManualRuns", 503, times=1, done=True))
    start(planned)
    assert starts(planned) == 3
    assert len(planned.google.runs[config("users")]) == 1
    assert planned.work["users"]["run"] == f"{config('users')}/runs/1"


def test_a_run_that_fails_at_once_keeps_its_error(planned: World) -> None:
    planned.google.run_states[config("users")] = ("FAILED", "the access key is not active")
    start(planned)
    assert planned.work["users"]["state"] == "FAILED"
    assert planned.work["users"]["error"] == "the access key is not active"


def test_too_many_requests_pass(planned: World) -> None:
    planned.google.faults.append(Fault(":startManualRuns", 429, times=2))
    assert start(planned) == {"cursor": None}
    assert [planned.work[t]["state"] for t in TABLES] == ["PENDING"] * 3


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_a_table_google_will_not_start_fails_alone(planned: World, status: int) -> None:
    planned.google.faults.append(Fault("orders:startManualRuns", status, message="not this one"))
    assert start(planned) == {"cursor": None}
    orders = planned.work["orders"]
    assert orders["state"] == "FAILED"
    assert orders["error"].startswith("its run could not be started: POST bigquerydatatransfer")
    assert "not this one" in orders["error"]
    assert planned.work["users"]["state"] == "PENDING"


def test_an_outage_is_not_held_against_the_tables(planned: World) -> None:
    planned.google.faults.append(Fault("/runs$|:startManualRuns", 503))
    with pytest.raises(GoogleUnavailable, match=r"^shop\.\w+ \(and 2 more\): .* 503 as scripted"):
        start(planned)
    assert [planned.work[t]["state"] for t in TABLES] == [None] * 3
    planned.google.faults.clear()
    assert start(planned) == {"cursor": None}
    assert [planned.work[t]["state"] for t in TABLES] == ["PENDING"] * 3


def test_a_chunk_at_a_time(planned: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    assert start(planned) == {"cursor": 2}
    assert starts(planned) == 2
    assert start(planned, cursor=2) == {"cursor": None}
    assert starts(planned) == 3


def test_little_time_stops_it_and_progress_is_kept(planned: World) -> None:
    answer = start(planned, seconds_left=runs_out_after(1))
    done = [table for table in TABLES if planned.work[table]["run"]]
    assert 1 <= len(done) < 3
    assert answer["cursor"] in {1, 2}
    while answer["cursor"] is not None:
        answer = start(planned, cursor=answer["cursor"], seconds_left=lambda: 1.0)
    assert starts(planned) == 3


def test_only_tables_to_load_get_a_run(world: World) -> None:
    world.declare("users", "ghosts")
    world.exported("users")
    plan(REQUEST, world.services)
    start(world)
    assert starts(world) == 1


def test_a_load_that_was_not_planned(world: World) -> None:
    with pytest.raises(InvalidInput, match=r"work\.json is not there; the load is planned first"):
        start(world)
