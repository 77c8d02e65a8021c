"""The bundled sample: the same rows each time, and everything an export should be tried on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rehearsal import sample
from rehearsal.aws.mapping import Engine
from rehearsal.aws.sources import Source

COUNTS = {"city": 58, "country": 30, "countrylanguage": 44, "orders": 5000, "users": 2000}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sample") / "sample.db"
    sample.make(made)
    return made


def query(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchone()[0]


def test_it_is_the_same_every_time(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.db"
    again.write_text("something else")
    sample.make(again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_every_row_can_be_exported(path: Path, engine: Engine) -> None:
    source = Source.open(f"sqlite:///{path}", engine)
    tables = {table.name: table for table in source.tables()}
    assert {name: source.count(table) for name, table in tables.items()} == COUNTS
    assert all(table.refusal is None for table in tables.values())
    for name, table in tables.items():
        assert sum(batch.num_rows for batch in source.stream(table)) == COUNTS[name]


def test_references_hold(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    capitals = (
        "SELECT count(*) FROM country JOIN city ON city.ID = country.Capital "
        "AND city.CountryCode = country.Code"
    )
    with_capital = "SELECT count(*) FROM country WHERE Capital IS NOT NULL"
    assert query(path, capitals) == query(path, with_capital) == 29
    assert query(path, "SELECT count(DISTINCT Code2) FROM country") == COUNTS["country"]


@pytest.mark.parametrize(
    "condition",
    [
        "country WHERE IndepYear IS NULL",
        "country WHERE HeadOfState IS NULL",
        "country WHERE HeadOfState IS NOT NULL",
        "country WHERE IndepYear < 0",
        "users WHERE created_at < '1970-01-01'",
        "users WHERE balance < 0",
        "users WHERE score IS NULL",
        "users WHERE length(avatar) = 0",
        "users WHERE length(name) <> length(CAST(name AS BLOB))",
        "users WHERE NOT active",
        "orders WHERE gift IS NULL",
        "orders WHERE note LIKE '%' || char(10) || '%'",
        "orders WHERE placed_at < '1970-01-01'",
    ],
)
def test_it_holds_what_pipelines_get_wrong(path: Path, condition: str) -> None:
    assert query(path, f"SELECT count(*) FROM {condition}") > 0


def test_settings_are_json(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT settings FROM users WHERE settings IS NOT NULL").fetchall()
    assert all(json.loads(settings)["theme"] for (settings,) in rows)
