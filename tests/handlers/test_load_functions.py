"""The four functions as Lambda calls them, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from load import check_runs, plan, services, settle, start_runs
from load.bigquery import BigQuery, Table
from load.transfer import Run, Transfers
from shared.errors import InvalidInput
from tests.handlers.world import EVENT, PREFIX, VARIABLES, World, config

Handler = Callable[[Mapping[str, Any], Any], Any]


class Memory:
    """Transfers and tables without a network: these configs' runs fail, all others succeed."""

    def __init__(self, failing: set[str]) -> None:
        self._failing = failing

    def adopt_or_start(self, of: str, run_time: str) -> Run:
        return Run(name=f"{of}/runs/1", state="PENDING", run_time=run_time, started=None, error="")

    def get(self, name: str) -> Run:
        failed = name.partition("/runs/")[0] in self._failing
        state = "FAILED" if failed else "SUCCEEDED"
        return Run(name=name, state=state, run_time="", started=None, error="m" * 2_000)

    def table(self, dataset: str, table: str) -> Table:
        return Table(rows=1, location="EU", modified=None)


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 900_000


@pytest.fixture
def deployed(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for module in (plan, start_runs, check_runs, settle):
        monkeypatch.setattr(module, "services", lambda: world.services)
    return world


def call(handler: Handler, **more: Any) -> dict[str, Any]:
    """Both ways through JSON, as between Step Functions and Lambda; no answer is large."""
    text = json.dumps(handler(json.loads(json.dumps({**EVENT, **more})), Context()))
    assert len(text.encode()) <= 32 * 1024
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_a_load_from_plan_to_outcome(deployed: World) -> None:
    deployed.declare("users", "orders", "carts")
    deployed.exported("users", "orders")
    assert call(plan.handler)["load"] == 2
    assert call(start_runs.handler, cursor=0) == {"cursor": None}
    assert call(check_runs.handler, cursor=0) == {"pending": 0, "cursor": None}
    answer = call(settle.handler, cursor=0)
    assert answer["succeeded"] == 2
    assert [problem["table"] for problem in answer["problems"]] == ["shop.carts"]


def test_loaded_again_after_its_cause_is_mended(deployed: World) -> None:
    """What was good stays as it is; what was not is loaded."""
    deployed.declare("users", "orders")
    deployed.exported("users", "orders")
    deployed.google.ends_as[config("orders")] = ("FAILED", "no rights")
    for handler in (plan.handler, start_runs.handler, check_runs.handler):
        call(handler)
    assert call(settle.handler)["problem_count"] == 1
    deployed.google.ends_as.clear()
    for handler in (plan.handler, start_runs.handler, check_runs.handler):
        call(handler)
    assert call(settle.handler) == {
        "succeeded": 2,
        "problems": [],
        "problem_count": 0,
        "cursor": None,
    }
    assert len(deployed.google.runs[config("users")]) == 1
    assert len(deployed.google.runs[config("orders")]) == 2


def test_ten_thousand_tables(deployed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer stays small, and no call looks at all tables for each table.

    Google and the listing answer from memory here: HTTP alone would take minutes.
    """
    names = [f"table_{number:05}" for number in range(10_000)]
    deployed.declare(*names)
    for start in range(0, len(names), 100):
        part = names[start : start + 100]
        deployed.manifest(
            [{"target": f"shop.{name}", "status": "COMPLETE"} for name in part],
            part=f"{start + 1}_to_{start + 100}",
        )
    monkeypatch.setattr(plan, "_has_files", lambda storage, folder: PREFIX in folder)
    memory = Memory({config(name) for name in names[::100]})
    deployed.services = replace(
        deployed.services, transfers=cast("Transfers", memory), bigquery=cast("BigQuery", memory)
    )
    assert call(plan.handler)["load"] == 10_000
    cursor, calls = 0, 0
    while cursor is not None:
        cursor = call(start_runs.handler, cursor=cursor)["cursor"]
        calls += 1
    assert calls == 20
    cursor = 0
    while cursor is not None:
        answer = call(check_runs.handler, cursor=cursor)
        cursor = answer["cursor"]
    assert answer["pending"] == 0
    cursor = 0
    while cursor is not None:
        answer = call(settle.handler, cursor=cursor)
        cursor = answer["cursor"]
    assert answer["succeeded"] == 9_900
    assert answer["problem_count"] == 100
    assert len(answer["problems"]) == 50


def test_a_wrong_event_is_refused_before_anything_is_done(deployed: World) -> None:
    for handler in (plan.handler, start_runs.handler, check_runs.handler, settle.handler):
        with pytest.raises(InvalidInput, match="lacks source"):
            handler({}, Context())
    assert not deployed.google.calls


def test_the_clients_are_made_once_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    services.services.cache_clear()
    try:
        made = services.services()
        assert made is services.services()
        assert made.service == "shop-stg"
        assert made.storage("b").bucket == "b"
    finally:
        services.services.cache_clear()
