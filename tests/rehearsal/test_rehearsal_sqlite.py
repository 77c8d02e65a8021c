"""A hostile SQLite file all the way to BigQuery, under both engines, value by value.

What is expected is written down here, from AWS's page on data conversion in exports and Google's
page on loading Parquet; nothing of the rehearsal's own mapping is asked.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.playing import Played, once, rehearse

BYTES, STRING, INT64, FLOAT64 = "BLOB", "VARCHAR", "BIGINT", "DOUBLE"
BOOL, TIMESTAMP, NUMERIC = "BOOLEAN", "TIMESTAMP WITH TIME ZONE", "DECIMAL(38,9)"
ENGINES = ["mysql", "postgresql"]
# The file's name is no name of a database; what is left of it is.
FILE, DATABASE = "Größe 2024.db", "Gr__e_2024"
# Parts have a little over 200,000 rows, batch folders three parts: four parts in two folders.
MANY = 700_123
SMALL = [f"t{number:02}" for number in range(50)]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


@dataclass(frozen=True)
class Column:
    """A column, what SQLite is given, and what BigQuery holds afterwards."""

    name: str
    declared: str
    stored: Sequence[Any]
    mysql: tuple[str, Sequence[Any]]
    postgresql: tuple[str, Sequence[Any]]

    def under(self, engine: str) -> tuple[str, Sequence[Any]]:
        return self.mysql if engine == "mysql" else self.postgresql


def same(name: str, declared: str, type_: str, values: Sequence[Any]) -> Column:
    return Column(name, declared, values, (type_, values), (type_, values))


ID = same("id", "INTEGER PRIMARY KEY", INT64, [-(2**63), -1, 2**63 - 1])
COLUMNS = [
    ID,
    same("big", "BIGINT", INT64, [2**63 - 1, None, -(2**63)]),
    same("small", "SMALLINT", INT64, [-32768, None, 32767]),
    same("odd", "DOUBLE", FLOAT64, [5e-324, None, -1.7976931348623157e308]),
    same("short", "VARCHAR(40)", STRING, ["", None, "naïve 🙂 ‮מזל"]),
    same("long", "TEXT", STRING, ["two\nlines\t\"'\\", None, "日本" * 5000]),
    same("raw", "BLOB", BYTES, [b"", None, bytes(range(256))]),
    same("day", "DATE", STRING, ["1969-07-20", None, "0001-01-01"]),
    same("hour", "TIME", STRING, ["00:00:00", None, "23:59:59"]),
    same("settings", "JSON", STRING, ['{"ü": [1, null]}', None, "[]"]),
    same("größe", "TEXT", STRING, ["klein", None, "groß"]),
    same("日本語", "INTEGER", INT64, [1, None, 0]),
    same("order", "INTEGER", INT64, [7, None, -7]),
    Column(
        "code",
        "CHAR(4)",
        ["DE", None, "é ab"],
        (BYTES, [b"DE", None, "é ab".encode()]),
        (STRING, ["DE", None, "é ab"]),
    ),
    Column("yes", "BOOLEAN", [1, None, 0], (INT64, [1, None, 0]), (BOOL, [True, None, False])),
    Column("tiny", "TINYINT(1)", [1, None, 0], (INT64, [1, None, 0]), (INT64, [1, None, 0])),
    Column(
        "price",
        "DECIMAL(14,4)",
        ["-0.0001", None, "9999999999.99"],
        (NUMERIC, [Decimal("-0.0001"), None, Decimal("9999999999.99")]),
        (STRING, ["-0.0001", None, "9999999999.9900"]),
    ),
    Column(
        "fine",
        "DECIMAL(38,10)",
        ["-12345.0123456789", None, "0.0000000001"],
        ("DECIMAL(38,10)", [Decimal("-12345.0123456789"), None, Decimal("0.0000000001")]),
        (STRING, ["-12345.0123456789", None, "0.0000000001"]),
    ),
    Column(
        "at",
        "DATETIME",
        ["1969-12-31 23:59:59.999999", None, "1000-01-01 00:00:00.000001"],
        (TIMESTAMP, [utc(1969, 12, 31, 23, 59, 59, 999999), None, utc(1000, 1, 1, 0, 0, 0, 1)]),
        (STRING, ["1969-12-31 23:59:59.999999", None, "1000-01-01 00:00:00.000001"]),
    ),
    Column(
        "seen",
        "TIMESTAMP",
        ["1931-05-17 04:30:00", None, "9999-12-31 23:59:59.5"],
        (TIMESTAMP, [utc(1931, 5, 17, 4, 30), None, utc(9999, 12, 31, 23, 59, 59, 500000)]),
        (STRING, ["1931-05-17 04:30:00", None, "9999-12-31 23:59:59.5"]),
    ),
]
# Table -> its name in BigQuery; each has an id and a text.
PLAIN = {
    "order": "order",
    "select": "select",
    "orders$2024": "orders_2024",
    "größe": "gr__e",
    "日本": "__",
    "two words": "two_words",
    "a.b": "a_b",
    "MixedCase": "MixedCase",
    **{name: name for name in SMALL},
}
EMPTY = "nothing_yet"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows_of(table: str) -> list[tuple[Any, ...]]:
    """The rows of a plain table; no two tables have the same."""
    return [(number, f"{table} {number}") for number in range(len(table))]


def make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        declared = ", ".join(f"{quoted(each.name)} {each.declared}" for each in COLUMNS)
        database.execute(f"CREATE TABLE every_type ({declared})")
        places = ", ".join("?" * len(COLUMNS))
        database.executemany(
            f"INSERT INTO every_type VALUES ({places})",
            zip(*(each.stored for each in COLUMNS), strict=True),
        )
        database.execute(f"CREATE TABLE {EMPTY} (id INTEGER PRIMARY KEY, name TEXT)")
        database.execute("CREATE TABLE many (id INTEGER PRIMARY KEY, n BIGINT, word VARCHAR(20))")
        database.executemany("INSERT INTO many VALUES (?, ?, ?)", many_rows())
        for table in PLAIN:
            database.execute(f"CREATE TABLE {quoted(table)} (id INTEGER PRIMARY KEY, word TEXT)")
            database.executemany(f"INSERT INTO {quoted(table)} VALUES (?, ?)", rows_of(table))


def many_rows() -> list[tuple[Any, ...]]:
    return [
        (number, number * number - 10**9, None if number % 7 == 0 else f"w{number % 1000}")
        for number in range(1, MANY + 1)
    ]


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, worker_id: str, engine: str) -> Played:
    def play(folder: Path) -> Played:
        path = folder / FILE
        make_database(path)
        return rehearse(folder, "--source", f"sqlite:///{path}", "--engine", engine)

    return once(tmp_path_factory, worker_id, f"sqlite-{engine}", play)


def test_all_is_well(played: Played) -> None:
    assert played.status == 0, played.output + played.errors
    last = played.output.splitlines()[-1]
    rows = MANY + 3 + sum(len(rows_of(table)) for table in PLAIN)
    assert last.startswith("All well: ")
    assert f"(61 tables, {rows:,} rows, " in last
    assert "Traceback" not in played.errors
    assert "Warning" not in played.errors


def test_every_type_arrives_value_by_value(played: Played, engine: str) -> None:
    types, rows = played.table("every_type")
    expected = {each.name: each.under(engine) for each in COLUMNS}
    assert types == {name: type_ for name, (type_, _) in expected.items()}
    arrived = dict(zip(types, zip(*rows, strict=True), strict=True))
    # First by column, as pytest then names the one that is wrong.
    assert {name: list(values) for name, values in arrived.items()} == {
        name: list(values) for name, (_, values) in expected.items()
    }
    assert rows == list(zip(*(values for _, values in expected.values()), strict=True))


def test_every_table_arrives_under_its_name(played: Played) -> None:
    for table, name in PLAIN.items():
        assert played.table(name) == ({"id": INT64, "word": STRING}, rows_of(table)), table


def test_a_large_table_arrives_whole_from_several_batch_folders(played: Played) -> None:
    types, rows = played.table("many")
    assert types == {"id": INT64, "n": INT64, "word": STRING}
    # `==` alone, as a comparison that fails would otherwise be explained for minutes.
    is_equal = rows == many_rows()
    assert is_equal
    (export,) = played.json["exports"]
    (many,) = [table for table in export["tables"] if table["name"].endswith(".many")]
    assert many["rows"] == MANY
    assert many["files"] == 4


def test_nothing_else_is_in_bigquery(played: Played) -> None:
    with played.bigquery() as database:
        found = database.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
        ).fetchall()
    assert {schema for schema, _ in found} == {"ferry_local_rds_data"}
    # An empty table has no file that would say what its columns are.
    assert {name for _, name in found} - {EMPTY} == {"every_type", "many", *PLAIN.values()}


def test_the_json_is_what_scripts_were_promised(played: Played, engine: str) -> None:
    document = played.json
    assert set(document) == {"stack", "resources", "exports", "loads", "problems", "seconds"}
    assert document["stack"] == "local"
    assert set(document["resources"]) == {"aws", "gcp"}
    assert all(type(count) is int and count > 30 for count in document["resources"].values())
    assert document["problems"] == []
    assert set(document["seconds"]) == {"deploy", "export", "load", "total"}
    assert all(type(value) is float and value > 0 for value in document["seconds"].values())
    assert document["seconds"]["total"] >= sum(
        document["seconds"][act] for act in ("deploy", "export", "load")
    )
    rows = {table: len(rows_of(table)) for table in PLAIN}
    rows |= {"every_type": 3, "many": MANY, EMPTY: 0}
    (export,) = document["exports"]
    assert set(export) == {"source", "export_task", "status", "tables"}
    assert (export["source"], export["status"]) == ("shop-local", "COMPLETE")
    assert re.fullmatch(r"shop-local-\d{10}", export["export_task"])
    stem = DATABASE if engine == "mysql" else f"{DATABASE}.public"
    assert {t["name"]: t["rows"] for t in export["tables"]} == {
        f"{stem}.{table}": count for table, count in rows.items()
    }
    for table in export["tables"]:
        # Beside what was promised there may be notes for a careful reader.
        assert set(table) - {"notes"} == {"name", "rows", "files", "bytes"}
        assert all(type(table[key]) is int for key in ("rows", "files", "bytes"))
        assert (table["files"] > 0) == (table["bytes"] > 0) == (table["rows"] > 0)
    names = PLAIN | {"every_type": "every_type", "many": "many", EMPTY: EMPTY}
    assert sorted(document["loads"], key=lambda load: str(load["table"])) == sorted(
        (
            {
                "dataset": "ferry_local_rds_data",
                "table": names[table],
                "state": "SUCCEEDED",
                "rows": count,
            }
            for table, count in rows.items()
        ),
        key=lambda load: str(load["table"]),
    )


def test_people_are_told_of_every_table(played: Played) -> None:
    for table in (*PLAIN, "every_type", "many", EMPTY):
        line = re.search(rf"^.*\.{re.escape(table)}  .*$", played.output, re.MULTILINE)
        assert line, table
        assert line[0].split()[-1] == "SUCCEEDED"
        assert f".{table}</td>" in played.html
    assert "All well" in played.html
    # The page can be sent to someone and opened anywhere.
    assert not re.search(r"(src|href)=", played.html)
