"""Looking at runs until they end."""

from __future__ import annotations

from typing import Any

import pytest

from load import check_runs as module
from load.check_runs import Checked, check_runs
from load.plan import plan
from load.request import LoadRequest
from load.start_runs import start_runs
from shared.errors import GoogleUnavailable
from tests.handlers.world import EVENT, REQUEST, Fault, World, config, plenty, runs_out_after

TABLES = ("users", "orders", "carts")


@pytest.fixture
def started(world: World) -> World:
    world.declare(*TABLES)
    world.exported(*TABLES)
    plan(REQUEST, world.services)
    start_runs(REQUEST, world.services, plenty)
    return world


def check(world: World, cursor: int | None = None, **clock: Any) -> Checked:
    request = LoadRequest.parse({**EVENT, "cursor": cursor})
    return check_runs(request, world.services, clock.get("seconds_left", plenty))


def looks(world: World) -> int:
    return world.google.count("GET .*/runs/")


def test_runs_are_followed_to_their_end(started: World) -> None:
    for table in TABLES:
        started.google.ends_as[config(table)] = ("RUNNING", None)
    assert check(started) == {"pending": 3, "cursor": None}
    started.google.ends_as = {
        config("orders"): ("FAILED", "Provided Schema does not match"),
        config("carts"): ("CANCELLED", None),
    }
    assert check(started) == {"pending": 0, "cursor": None}
    work = started.work
    assert [work[t]["state"] for t in TABLES] == ["SUCCEEDED", "FAILED", "CANCELLED"]
    assert work["users"]["error"] is None
    assert work["orders"]["error"] == "Provided Schema does not match"
    assert "no message" in work["carts"]["error"]
    assert work["users"]["started"] == "2026-11-20T04:00:00Z"


def test_runs_that_have_ended_are_not_looked_at_again(started: World) -> None:
    check(started)
    before = looks(started)
    assert check(started) == {"pending": 0, "cursor": None}
    assert looks(started) == before


def test_a_run_that_cannot_be_looked_at_is_looked_at_next_time(started: World) -> None:
    started.google.faults.append(Fault("transferConfigs/users/runs/1", 503, times=5))
    assert check(started) == {"pending": 1, "cursor": None}
    assert check(started) == {"pending": 0, "cursor": None}


def test_an_outage_fails_the_call(started: World) -> None:
    started.google.faults.append(Fault("/runs/", 500))
    with pytest.raises(GoogleUnavailable, match="and 2 more"):
        check(started)


def test_little_time_stops_it(started: World) -> None:
    answer = check(started, seconds_left=runs_out_after(1))
    assert answer["cursor"] in {1, 2}
    assert answer["pending"] >= 1
    while answer["cursor"] is not None:
        answer = check(started, cursor=answer["cursor"], seconds_left=lambda: 1.0)
    assert answer == {"pending": 0, "cursor": None}


def test_a_chunk_at_a_time(started: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    assert check(started) == {"pending": 1, "cursor": 2}
    assert check(started, cursor=2) == {"pending": 0, "cursor": None}


def test_a_secret_in_a_runs_error_is_not_stored(started: World) -> None:
    message = "InvalidAccessKeyId: AKIAIOSFODNN7EXAMPLE does not exist"
    started.google.ends_as[config("users")] = ("FAILED", message)
    check(started)
    assert started.work["users"]["error"] == "InvalidAccessKeyId: [hidden] does not exist"
