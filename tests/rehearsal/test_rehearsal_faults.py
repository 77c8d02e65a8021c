"""What goes wrong on the way is told, per table; what mends itself is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.playing import Played, config_of, project_with, rehearse


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A source with three small tables: ``shop.items``, ``shop.orders`` and ``shop.users``."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("items", "orders", "users"):
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT)")
            database.execute(f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b')")
    return f"sqlite:///{path}"


def loads(played: Played) -> dict[str, tuple[str, int]]:
    return {load["table"]: (load["state"], load["rows"]) for load in played.json["loads"]}


def check_told(played: Played, victims: dict[str, str]) -> None:
    """Are exactly the victims named with their reasons, to people, to scripts and on the page?"""
    assert played.status == 1, played.output + played.errors
    assert "Traceback" not in played.output + played.errors
    assert set(played.problems()) == set(victims), played.problems()
    for problem in played.json["problems"]:
        assert set(problem) == {"table", "kind", "message"}
        assert all(type(value) is str and value for value in problem.values())
    for table, reason in victims.items():
        kind, message = played.problems()[table]
        assert reason in f"{kind}: {message}"
        assert f"problem  {table}: {kind}: {message}" in played.output
        assert f"<b>{table}</b>: {kind}" in played.html
    count = len(victims)
    assert f"{count} problem{'s' if count > 1 else ''} (" in played.output.splitlines()[-1]
    assert "All well" not in played.told


@pytest.mark.parametrize(
    ("fault", "victim", "reason"),
    [
        ("table-missing:shop.orders", "shop.orders", "missing"),
        ("table-skipped:shop.orders", "shop.orders", "PERMISSIONS_DO_NOT_EXIST"),
        ("transfer-failed:shop.orders", "shop.orders", "told to let this transfer fail"),
    ],
)
def test_a_table_that_does_not_arrive_is_named_and_the_others_arrive(
    shop: str, tmp_path: Path, fault: str, victim: str, reason: str
) -> None:
    played = rehearse(tmp_path, "--source", shop, "--fault", fault)
    check_told(played, {victim: reason})
    arrived = loads(played)
    state, rows = arrived.pop("orders")
    assert state != "SUCCEEDED"
    assert rows == 0
    assert arrived == {"items": ("SUCCEEDED", 2), "users": ("SUCCEEDED", 2)}


@pytest.mark.parametrize(
    ("fault", "reason", "beside"),
    [
        ("export-failed", "The export failed while extracting data from the snapshot.", {}),
        # The rehearsal tells besides which call it was that AWS refused.
        ("reader-key-revoked", "Amazon S3 refused", {"the rehearsal": "InvalidAccessKeyId"}),
    ],
)
def test_when_nothing_arrives_every_table_is_named(
    shop: str, tmp_path: Path, fault: str, reason: str, beside: dict[str, str]
) -> None:
    played = rehearse(tmp_path, "--source", shop, "--fault", fault)
    tables = ("shop.items", "shop.orders", "shop.users")
    check_told(played, {**dict.fromkeys(tables, reason), **beside})
    assert {rows for _, rows in loads(played).values()} == {0}
    statuses = {export["status"] for export in played.json["exports"]}
    assert statuses == ({"FAILED"} if fault == "export-failed" else {"COMPLETE"})


@pytest.mark.parametrize("fault", ["export-failed-once", "export-limit", "duplicate-event"])
def test_what_mends_itself_is_no_problem(shop: str, tmp_path: Path, fault: str) -> None:
    played = rehearse(tmp_path, "--source", shop, "--fault", fault)
    assert played.status == 0, played.output
    assert played.json["problems"] == []
    assert set(loads(played).values()) == {("SUCCEEDED", 2)}
    statuses = [export["status"] for export in played.json["exports"]]
    # The next hour's export carried the day; a second event or a limit made no second export.
    once = ["FAILED", "COMPLETE"] if fault == "export-failed-once" else ["COMPLETE"]
    assert sorted(statuses) == sorted(once)
    tasks = [export["export_task"] for export in played.json["exports"]]
    assert len(set(tasks)) == len(tasks)


def test_a_declared_table_that_the_source_lacks_is_named(tmp_path: Path) -> None:
    config = config_of("local")
    config["data-ferry:snapshot"]["sources"][0]["databases"]["shop"].append("refunds")
    project = project_with(tmp_path / "project", "refunds", config)
    played = rehearse(tmp_path, "--stack", "refunds", project=project)
    check_told(played, {"shop.refunds": "missing"})
    assert loads(played)["users"] == ("SUCCEEDED", 2000)
    assert loads(played)["refunds"][1] == 0


def test_a_schedule_starts_the_exports_too(tmp_path: Path) -> None:
    config = config_of("local")
    snapshot: dict[str, Any] = config["data-ferry:snapshot"]
    snapshot["trigger"] = {"schedule": "cron(30 3 * * ? *)", "timezone": "Europe/Berlin"}
    project = project_with(tmp_path / "project", "nightly", config)
    played = rehearse(tmp_path, "--stack", "nightly", project=project)
    assert played.status == 0, played.output
    assert {state for state, _ in loads(played).values()} == {"SUCCEEDED"}
    (export,) = played.json["exports"]
    assert export["status"] == "COMPLETE"


@pytest.mark.parametrize("stack", ["stg", "prod"])
def test_the_committed_stacks_play_the_sample(tmp_path: Path, stack: str) -> None:
    played = rehearse(tmp_path, "--stack", stack)
    assert played.status == 0, played.output + played.errors
    assert played.json["stack"] == stack
    assert {export["source"] for export in played.json["exports"]} == {
        f"shop-{stack}",
        f"world-{stack}",
    }
    rows = {"users": 2000, "orders": 5000, "city": 58, "country": 30, "countrylanguage": 44}
    assert loads(played) == {table: ("SUCCEEDED", count) for table, count in rows.items()}
    assert {load["dataset"] for load in played.json["loads"]} == {f"shop_{stack}_rds_data"}
