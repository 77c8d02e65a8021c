"""Reading SQLite files under both engines: every value exact, or a clear error."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rehearsal.aws.mapping import ColumnType, Engine
from rehearsal.aws.reader import UnfitValue
from rehearsal.aws.sources import Column, Source, SourceError, TableError
from rehearsal.aws.sqlite_values import convert

Read = Callable[..., list[Any]]

UTC = timezone.utc


def write(path: Path, script: str, rows: Iterable[Sequence[Any]] = (), table: str = "t") -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(script)
        for row in rows:
            database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Store values in a column of a declared type and read them back under an engine."""

    def values(engine: Engine, declared: str, stored: Sequence[Any]) -> list[Any]:
        path = tmp_path / "shop.db"
        path.unlink(missing_ok=True)
        write(path, f"CREATE TABLE t (v {declared})", [(value,) for value in stored])
        source = Source.open(f"sqlite:///{path}", engine)
        (table,) = source.tables()
        return [row["v"] for batch in source.stream(table) for row in batch.to_pylist()]

    return values


@pytest.mark.parametrize(
    ("declared", "stored", "mysql", "postgresql"),
    [
        ("INTEGER", [2**63 - 1, -(2**63), None], [2**63 - 1, -(2**63), None], None),
        ("SMALLINT", [-32768, 32767], [-32768, 32767], None),
        ("BOOLEAN", [0, 1, None], [0, 1, None], [False, True, None]),
        ("TINYINT(1)", [1, 0], [1, 0], [1, 0]),
        (
            "BIGINT UNSIGNED",
            [0, 2**63 - 1],
            [Decimal(0), Decimal(2**63 - 1)],
            ["0", str(2**63 - 1)],
        ),
        ("REAL", [0.1, -1e308, 5e-324, 3], [0.1, -1e308, 5e-324, 3.0], None),
        (
            "DECIMAL(10,2)",
            [19.99, 5, "7.10", 0.1, -0.5, None],
            [Decimal(text) for text in ("19.99", "5.00", "7.10", "0.10", "-0.50")] + [None],
            ["19.99", "5.00", "7.10", "0.10", "-0.50", None],
        ),
        ("DECIMAL(3,3)", [0.999, -0.001], [Decimal("0.999"), Decimal("-0.001")], None.__class__),
        ("NUMERIC", [1e20, 0.5], [Decimal(10) ** 20, Decimal("0.5")], ["1" + "0" * 20, "0.5"]),
        ("DECIMAL(65,30)", ["1.5"], ["1.5" + "0" * 29], ["1.5" + "0" * 29]),
        ("VARCHAR(9)", ["naïve 🙂", "", None], ["naïve 🙂", "", None], None),
        ("CHAR(3)", ["é", None], ["é".encode(), None], ["é", None]),
        ("TEXT", [7, "x"], ["7", "x"], None),
        ("BLOB", [b"\x00\xff", b"", "é", None], [b"\x00\xff", b"", "é".encode(), None], None),
        (
            "DATE",
            ["2020-02-29", "0001-01-01", "9999-12-31"],
            ["2020-02-29", "0001-01-01", "9999-12-31"],
            None,
        ),
        ("DATE", ["2020-02-29 00:00:00"], ["2020-02-29"], None),
        ("TIME", ["23:59:59.5", "12:30"], ["23:59:59.5", "12:30:00"], None),
        (
            "DATETIME",
            ["1900-01-01 00:00:00", "2020-01-01T05:06", "2020-01-01", "1969-12-31 23:59:59.999999"],
            [
                datetime(1900, 1, 1, tzinfo=UTC),
                datetime(2020, 1, 1, 5, 6, tzinfo=UTC),
                datetime(2020, 1, 1, tzinfo=UTC),
                datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            ],
            [
                "1900-01-01 00:00:00",
                "2020-01-01 05:06:00",
                "2020-01-01 00:00:00",
                "1969-12-31 23:59:59.999999",
            ],
        ),
        (
            "TIMESTAMP WITH TIME ZONE",
            ["2020-06-01 12:00:00.250+02:00", "2020-06-01T12:00:00Z"],
            [
                datetime(2020, 6, 1, 10, 0, 0, 250000, tzinfo=UTC),
                datetime(2020, 6, 1, 12, tzinfo=UTC),
            ],
            ["2020-06-01 10:00:00.25+00", "2020-06-01 12:00:00+00"],
        ),
        ("JSON", ['{"a": [1]}', 5, None], ['{"a": [1]}', "5", None], None),
        ("YEAR", [1999], [1999], None),
        ("", [1, 2], [1, 2], None),
        ("STRING", ["007", "x"], ["7", "x"], None),
    ],
)
def test_values(
    read: Read, declared: str, stored: list[Any], mysql: list[Any], postgresql: Any
) -> None:
    assert read("mysql", declared, stored) == mysql
    if postgresql is None:
        postgresql = mysql
    elif isinstance(postgresql, type):
        postgresql = [str(value) for value in mysql]
    assert read("postgresql", declared, stored) == postgresql


@pytest.mark.parametrize(
    ("declared", "stored", "kind"),
    [
        ("INTEGER", "many", "text"),
        ("INTEGER", 1.5, "a fractional number"),
        ("INTEGER", b"\x01", "binary data"),
        ("SMALLINT", 32768, "an integer outside -32768 to 32767"),
        ("DECIMAL(4,2)", "ten", "text that is no number"),
        ("DECIMAL(4,2)", 1.005, "a number with more than 2 decimal"),
        ("DECIMAL(4,2)", 123.0, "a number with more than 2 digit"),
        ("DECIMAL(4,2)", b"1", "binary data"),
        ("REAL", "abc", "text"),
        ("TEXT", b"abc", "binary data"),
        ("DATE", "31/12/2020", "text that is no date"),
        ("DATE", "2020-02-30", "text that is no date"),
        ("DATE", 20200101, "an integer"),
        ("DATE", "2020-W01-1", "text that is no date"),
        ("DATETIME", "yesterday", "text that is no date and time"),
        ("DATETIME", "2020-02-30 00:00:00", "a date and time that does not exist"),
        ("DATETIME", "2020-01-01 00:00:00.1234567", "text that is no date and time"),
        ("DATETIME", 1577836800, "an integer"),
        ("TIME", "noon", "text that is no time"),
        ("JSON", "{", "text that is no JSON"),
        ("BLOB", 5, "an integer"),
    ],
)
@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_a_value_the_engine_could_not_hold_is_an_error(
    read: Read, engine: Engine, declared: str, stored: Any, kind: str
) -> None:
    with pytest.raises(TableError) as told:
        read(engine, declared, [None, stored])
    assert "column v " in str(told.value)
    assert kind in str(told.value)
    assert ".t" in str(told.value)


def test_mysql_zero_dates(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(
        path,
        "CREATE TABLE t (d DATE, at DATETIME)",
        [("0000-00-00", "0000-00-00 00:00:00"), ("2020-05-00", None), (None, "2020-01-01")],
    )
    with Source.open(f"sqlite:///{path}", "mysql").snapshot() as reader:
        (table,) = reader.tables()
        rows = [row for batch in reader.stream(table) for row in batch.to_pylist()]
        assert [row["d"] for row in rows] == ["0000-00-00", "2020-05-00", None]
        assert [row["at"] for row in rows] == [None, None, datetime(2020, 1, 1, tzinfo=UTC)]
        assert reader.notes(table) == [
            "1 zero date(s) in column at have no timestamp and became NULL"
        ]


moments = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59))
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
thrifty = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@thrifty
@given(st.lists(st.integers(-(10**15) + 1, 10**15 - 1), min_size=1), st.integers(0, 9))
def test_decimals_stored_as_floats_are_exact(read: Read, units: list[int], scale: int) -> None:
    # Fifteen digits are what a float keeps, and what SQLite turns into one.
    numbers = [Decimal(unit).scaleb(-scale) for unit in units]
    stored = [f"{number:f}" for number in numbers]
    assert read("mysql", f"DECIMAL(24,{scale})", stored) == numbers
    assert read("postgresql", f"DECIMAL(24,{scale})", stored) == stored


@pytest.mark.parametrize(
    ("scale", "value"), [(2, 12345678901234.566), (0, 1234567890123456.5), (9, 1 / 3), (2, 1.5e300)]
)
def test_a_float_that_is_no_decimal_of_the_column_is_not_bent_to_one(
    scale: int, value: float
) -> None:
    column = Column.of("mysql", "v", ColumnType("decimal", precision=20, scale=scale))
    with pytest.raises(UnfitValue):
        convert("mysql", column, [value])


@given(st.lists(st.integers(-(10**38) + 1, 10**38 - 1), min_size=1), st.integers(0, 38))
def test_decimal_texts_are_exact(units: list[int], scale: int) -> None:
    with localcontext(Context(prec=60)):
        numbers = [Decimal(unit).scaleb(-scale) for unit in units]
    kinds: list[tuple[Engine, str]] = [("mysql", "decimal"), ("postgresql", "numeric")]
    for engine, name in kinds:
        column = Column.of(engine, "v", ColumnType(name, precision=38, scale=scale))
        texts_ = [f"{number:f}" for number in numbers]
        found = convert(engine, column, texts_).to_pylist()
        assert found == (numbers if engine == "mysql" else texts_)


@thrifty
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1))
def test_doubles_are_exact(read: Read, numbers: list[float]) -> None:
    assert read("mysql", "DOUBLE", numbers) == numbers


@thrifty
@given(st.lists(moments, min_size=1))
def test_moments_are_exact(read: Read, stored: list[datetime]) -> None:
    written = [moment.isoformat(" ") for moment in stored]
    assert read("mysql", "DATETIME", written) == [moment.replace(tzinfo=UTC) for moment in stored]
    for text, moment in zip(read("postgresql", "TIMESTAMP", written), stored, strict=True):
        assert (
            datetime.strptime(text.ljust(19), "%Y-%m-%d %H:%M:%S" + ".%f" * ("." in text)) == moment
        )
        assert not text.endswith(("0", ".")) or "." not in text


@thrifty
@given(st.lists(texts, min_size=1))
def test_texts_are_exact(read: Read, stored: list[str]) -> None:
    assert read("mysql", "TEXT", stored) == stored
    assert read("mysql", "CHAR(9)", stored) == [text.encode() for text in stored]


def test_names_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(path, 'CREATE TABLE "or""der`s $ü" ("select" INT, "a%b" TEXT)')
    write(path, 'CREATE TABLE "group" ("from" INT)', [(1,)], table='"group"')
    source = Source.open(f"sqlite:///{path}")
    assert [table.name for table in source.tables()] == ["group", 'or"der`s $ü']
    assert [source.count(table) for table in source.tables()] == [1, 0]
    assert [list(source.stream(table)) for table in source.tables()][1] == []


def test_only_tables_are_found(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(
        path,
        "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, twice AS (id * 2));"
        "CREATE VIEW everyone AS SELECT * FROM users;"
        "CREATE VIRTUAL TABLE search USING fts5(body);"
        "CREATE TEMP TABLE scratch (x);"
        "CREATE INDEX by_id ON users (id);"
        "INSERT INTO users (id) VALUES (21);",
    )
    source = Source.open(f"sqlite:///{path}", "postgresql")
    (users,) = source.tables()
    assert (users.schema, users.name) == ("public", "users")
    # A generated column is exported like any other.
    assert [batch.to_pylist() for batch in source.stream(users)] == [[{"id": 21, "twice": 42}]]


@pytest.mark.parametrize(
    "name", ["a b", "a,b", "a;b", "a{b", "a}b", "a(b", "a)b", "a\nb", "a\tb", "a=b"]
)
def test_columns_that_exports_refuse(tmp_path: Path, name: str) -> None:
    path = tmp_path / "shop.db"
    write(path, f'CREATE TABLE t ("{name}" INT)')
    (table,) = Source.open(f"sqlite:///{path}").tables()
    assert table.refusal is not None
    assert repr(name) in table.refusal


def test_a_table_name_with_a_slash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(path, 'CREATE TABLE "in/out" (a INT); CREATE TABLE fine (a INT);')
    refusals = {t.name: t.refusal for t in Source.open(f"sqlite:///{path}").tables()}
    assert refusals["fine"] is None
    assert "'/'" in str(refusals["in/out"])


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_reading_creates_nothing(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "shop.db"
    write(path, f"PRAGMA journal_mode = {journal}; CREATE TABLE t (a INT);", [(1,)])
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    source = Source.open(f"sqlite:///{path}")
    assert source.count(source.tables()[0]) == 1
    assert (
        {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
        == before
        == {"shop.db": path.stat().st_mtime_ns}
    )


def test_a_snapshot_does_not_see_later_writes(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(path, "PRAGMA journal_mode = wal; CREATE TABLE t (a INT);", [(1,)])
    with closing(sqlite3.connect(path)) as writer:
        # A log that exists shows that the file is in use.
        writer.execute("INSERT INTO t VALUES (2)")
        writer.commit()
        source = Source.open(f"sqlite:///{path}")
        with source.snapshot() as reader:
            (table,) = reader.tables()
            writer.execute("INSERT INTO t VALUES (3)")
            writer.commit()
            assert reader.count(table) == 2
            assert sum(batch.num_rows for batch in reader.stream(table)) == 2
        assert source.count(table) == 3


def test_batches_are_bounded_in_rows_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(path, "CREATE TABLE t (a BLOB)", ((b"x" * 400_000,) for _ in range(200)))
    write(path, "CREATE TABLE thin (a INT)", ((number,) for number in range(5000)), table="thin")
    source = Source.open(f"sqlite:///{path}")
    wide, thin = source.tables()
    assert [table.name for table in (wide, thin)] == ["t", "thin"]
    assert max(batch.nbytes for batch in source.stream(wide)) < 2 * 16 * 1024 * 1024 * 2
    batches = list(source.stream(thin, batch_rows=1000))
    assert max(batch.num_rows for batch in batches) == 1000
    assert [value for batch in batches for value in batch.column(0).to_pylist()] == list(
        range(5000)
    )


def test_a_source_is_read_from_any_thread(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(path, "CREATE TABLE t (a INT)", [(1,)])
    source = Source.open(f"sqlite:///{path}")
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(source.count(source.tables()[0])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [1, 1, 1, 1]


def test_the_database_is_named_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my shop-1.db"
    write(path, "CREATE TABLE t (a INT)")
    source = Source.open(f"sqlite:///{path}", "mysql")
    assert source.database == "my_shop_1"
    assert source.tables()[0].schema == "my_shop_1"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("shop.db", "no database URL"),
        ("sqlite://", "names no database"),
        ("sqlite:///:memory:", "names no database"),
        ("sqlite:////nowhere/shop.db", "no file /nowhere/shop.db"),
        ("oracle+oracledb://u:sesame@h/x", "oracle databases cannot be read"),
        ("mysql+pymysql://u:sesame@127.0.0.1:1", "names no database"),
        ("mysql+pymysql://u:sesame@127.0.0.1:1/shop", "Connection refused"),
        ("postgresql+psycopg://u:sesame@127.0.0.1:1/shop", "Connection refused"),
        ("postgres://u@127.0.0.1:1/shop?password=sesame", "Connection refused"),
        ("mysql://u:sesame@127.0.0.1:port/shop", "no database URL"),
        ("mysql://u:sesame@127.0.0.1:1/shop?colour=sesame", "unexpected keyword"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(url: str, says: str) -> None:
    with pytest.raises(SourceError) as told:
        Source.open(url)
    message = str(told.value)
    assert says in message
    assert "\n" not in message
    assert "sesame" not in message.replace("colour=sesame", "")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.write_text("id,name\n" * 100)
    with pytest.raises(SourceError, match="file is not a database"):
        Source.open(f"sqlite:///{path}")


def test_text_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    write(path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (CAST(x'ff' AS TEXT));")
    source = Source.open(f"sqlite:///{path}")
    with pytest.raises(TableError, match=r"shop\.t.*UTF-8"):
        list(source.stream(source.tables()[0]))


def test_json_columns_are_text(read: Read) -> None:
    document = json.dumps({"ü": [1, None]}, ensure_ascii=False)
    assert read("postgresql", "JSONB", [document]) == [document]


def test_far_moments(read: Read) -> None:
    far = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(1970, 1, 1)]
    found = read("mysql", "DATETIME", [moment.isoformat(" ") for moment in far])
    assert [
        (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for at in found
    ] == [
        -62135596800000000,
        253402300799999999,
        0,
    ]
