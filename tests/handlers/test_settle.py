"""The outcome of every table: told, counted, and cut to what a state machine can carry."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from load import settle as module
from load.check_runs import check_runs
from load.plan import plan
from load.request import LoadRequest
from load.settle import Settled, settle
from load.start_runs import start_runs
from shared.errors import GoogleUnavailable
from tests.handlers.world import EVENT, REQUEST, Fault, World, config, plenty, runs_out_after

Capture = pytest.CaptureFixture[str]


def loaded(world: World, *tables: str, also: tuple[str, ...] = ()) -> World:
    world.declare(*tables, *also)
    world.exported(*tables)
    plan(REQUEST, world.services)
    start_runs(REQUEST, world.services, plenty)
    check_runs(REQUEST, world.services, plenty)
    return world


def settled(world: World, cursor: int = 0, **clock: Any) -> Settled:
    request = LoadRequest.parse({**EVENT, "cursor": cursor})
    return settle(request, world.services, clock.get("seconds_left", plenty))


def metrics(capture: Capture) -> dict[str, dict[str, Any]]:
    """Embedded metric lines by table."""
    lines = [json.loads(line) for line in capture.readouterr().out.splitlines()]
    return {line["table"]: line for line in lines if "_aws" in line}


def test_success_is_counted(world: World, capsys: Capture) -> None:
    loaded(world, "users", "orders")
    world.google.tables["orders"] = {"numRows": "12345678901"}
    assert settled(world) == {"succeeded": 2, "problems": [], "problem_count": 0, "cursor": None}
    line = metrics(capsys)["orders"]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "data-ferry"
    assert [sorted(dimensions) for dimensions in directive["Dimensions"]] == [["service", "table"]]
    assert {metric["Name"] for metric in directive["Metrics"]} == {
        "RowsLoaded",
        "LoadSucceeded",
        "LoadFailed",
    }
    assert (line["service"], line["table"]) == ("shop-stg", "orders")
    assert line["RowsLoaded"] == [12345678901.0]
    assert (line["LoadSucceeded"], line["LoadFailed"]) == ([1.0], [0.0])
    assert world.work["orders"]["rows"] == 12345678901


def test_settled_again_nothing_is_counted_twice(world: World, capsys: Capture) -> None:
    loaded(world, "users")
    first = settled(world)
    assert list(metrics(capsys)) == ["users"]
    assert settled(world) == first
    assert metrics(capsys) == {}


def test_a_table_whose_export_is_empty_is_emptied(world: World, capsys: Capture) -> None:
    world.declare("users")
    world.exported("users", files=0)
    plan(REQUEST, world.services)
    assert settled(world)["succeeded"] == 1
    (query,) = [call.body for call in world.google.calls if call.path.endswith("/queries")]
    assert query["query"] == "TRUNCATE TABLE `shop-analytics-stg.shop_stg_rds_data.users`"
    assert query["location"] == "EU"
    assert query["useLegacySql"] is False
    assert world.google.tables["users"]["numRows"] == "0"
    assert metrics(capsys)["users"]["RowsLoaded"] == [0.0]


def test_an_empty_table_that_is_empty_already_is_left_alone(world: World) -> None:
    world.declare("users")
    world.google.tables["users"] = {"numRows": "0"}
    world.exported("users", files=0)
    plan(REQUEST, world.services)
    assert settled(world)["succeeded"] == 1
    assert world.google.count("queries") == 0


def test_every_kind_of_problem_is_named(world: World, capsys: Capture) -> None:
    tables = ("good", "failed", "late", "skipped", "stale")
    world.declare(*tables, "missing")
    world.exported(*tables)
    entries = [{"target": f"shop.{t}", "status": "COMPLETE"} for t in tables]
    entries[3]["warningMessage"] = "PERMISSIONS_DO_NOT_EXIST"
    world.manifest(entries)
    plan(REQUEST, world.services)
    start_runs(REQUEST, world.services, plenty)
    world.google.ends_as = {
        config("failed"): ("FAILED", "Provided Schema does not match"),
        config("late"): ("RUNNING", None),
    }
    world.google.tables["good"]["lastModifiedTime"] = "1795147260000"  # 2026-11-20T04:01:00Z
    world.google.tables["stale"]["lastModifiedTime"] = "1795060860000"  # a day before
    check_runs(REQUEST, world.services, plenty)
    answer = settled(world)
    assert answer["succeeded"] == 1
    assert answer["problem_count"] == 5
    found = {
        problem["table"]: (problem["kind"], problem["message"]) for problem in answer["problems"]
    }
    assert {name: kind for name, (kind, _) in found.items()} == {
        f"shop.{kind}": kind for kind in ("failed", "late", "skipped", "stale", "missing")
    }
    assert found["shop.failed"][1].startswith("Provided Schema does not match (projects/")
    assert "RUNNING" in found["shop.late"][1]
    assert "PERMISSIONS_DO_NOT_EXIST" in found["shop.skipped"][1]
    assert "the export does not hold it" in found["shop.missing"][1]
    assert "the run found no file" in found["shop.stale"][1]
    lines = metrics(capsys)
    assert len(lines) == 6
    assert lines["late"]["LoadFailed"] == [1.0]
    assert lines["late"]["LoadSucceeded"] == [0.0]
    assert "RowsLoaded" not in lines["late"]


def test_a_run_that_was_never_started_is_a_problem(world: World) -> None:
    world.declare("users")
    world.exported("users")
    plan(REQUEST, world.services)
    (problem,) = settled(world)["problems"]
    assert problem["kind"] == "failed"
    assert problem["message"] == "no run was started for it in time"


def test_a_table_that_is_gone_from_bigquery_fails_alone(world: World) -> None:
    loaded(world, "users", "orders")
    del world.google.tables["users"]
    answer = settled(world)
    assert answer["succeeded"] == 1
    (problem,) = answer["problems"]
    assert (problem["table"], problem["kind"]) == ("shop.users", "failed")
    assert "404 Not found: Table users" in problem["message"]


def test_an_outage_settles_only_what_needs_no_google(world: World, capsys: Capture) -> None:
    loaded(world, "users", "orders", also=("missing",))
    world.google.faults.append(Fault("/tables/", 503))
    with pytest.raises(GoogleUnavailable, match=r"shop\.\w+ \(and 1 more\)"):
        settled(world)
    assert list(metrics(capsys)) == ["missing"]
    world.google.faults.clear()
    answer = settled(world)
    assert (answer["succeeded"], answer["problem_count"]) == (2, 1)


def test_a_truncation_that_takes_its_time_is_waited_for(world: World) -> None:
    world.declare("users")
    world.exported("users", files=0)
    plan(REQUEST, world.services)
    serve = world.google._bigquery

    def slowly(call: Any) -> Any:
        status, answer = serve(call)
        return status, {**answer, "jobComplete": False} if call.method == "POST" else answer

    world.google._bigquery = slowly  # type: ignore[method-assign]
    assert settled(world)["succeeded"] == 1
    assert world.google.count("GET .*/queries/j") == 1


def test_little_time_hands_back_a_cursor(world: World, capsys: Capture) -> None:
    loaded(world, "a", "b", "c")
    answer = settled(world, seconds_left=runs_out_after(1))
    assert answer["cursor"] == 1
    seen = [*metrics(capsys)]
    while answer["cursor"] is not None:
        answer = settled(world, cursor=answer["cursor"], seconds_left=lambda: 1.0)
        seen += metrics(capsys)
    assert sorted(seen) == ["a", "b", "c"]
    assert answer["succeeded"] == 3


def test_a_chunk_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    loaded(world, "a", "b", "c")
    assert settled(world)["cursor"] == 1
    assert settled(world, cursor=1) == {
        "succeeded": 3,
        "problems": [],
        "problem_count": 0,
        "cursor": None,
    }


def test_many_problems_are_cut_and_counted(world: World) -> None:
    names = [f"t{number:04}_{'ü' * 200}" for number in range(120)]
    world.declare(*names)
    plan(REQUEST, world.services)
    answer = settled(world)
    assert answer["problem_count"] == 120
    assert 5 <= len(answer["problems"]) <= 50
    assert len(json.dumps(answer).encode()) <= 32 * 1024


def test_no_secret_is_logged(world: World, capsys: Capture) -> None:
    world.google.ends_as[config("users")] = ("FAILED", "key AKIAIOSFODNN7EXAMPLE is not known")
    stream = io.StringIO()
    world.services = replace(world.services, logger=Logger(service="heard", stream=stream))
    loaded(world, "users")
    settled(world)
    said = stream.getvalue() + "".join(capsys.readouterr())
    assert "key [hidden] is not known" in said
    for secret in ("AKIA", "ya29.", "the-secret-access-key"):
        assert secret not in said
