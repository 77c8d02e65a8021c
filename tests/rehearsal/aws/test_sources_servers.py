"""Reading real MariaDB and PostgreSQL servers: every type of the mapping, value by value."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from rehearsal.aws.sources import Source, SourceError, Table
from tests.rehearsal.databases import mariadb, postgresql

__all__ = ["mariadb", "postgresql"]

UTC = timezone.utc

thrifty = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)


@pytest.fixture
def mysql(mariadb: URL) -> Iterator[tuple[pymysql.cursors.Cursor, str]]:
    """A fresh MariaDB database: a cursor in it, and its URL."""
    connection = pymysql.connect(
        host=mariadb.host, port=mariadb.port or 0, user="root", autocommit=True, charset="utf8mb4"
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("DROP DATABASE IF EXISTS shop")
        cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        cursor.execute("USE shop")
        yield cursor, mariadb.set(database="shop").render_as_string()


@pytest.fixture
def postgres(postgresql: URL) -> Iterator[tuple[psycopg.Connection[Any], str]]:
    """A fresh PostgreSQL database: a connection to it, and its URL."""
    server = f"host={postgresql.host} port={postgresql.port} user=admin"
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS ledger WITH (FORCE)")
        admin.execute("CREATE DATABASE ledger")
    with psycopg.connect(f"{server} dbname=ledger", autocommit=True) as connection:
        yield connection, postgresql.set(database="ledger").render_as_string()


def only_table(url: str) -> tuple[Source, Table]:
    source = Source.open(url)
    (table,) = source.tables()
    return source, table


def rows_through_parquet(source: Source, table: Table, folder: Path) -> list[dict[str, Any]]:
    """The table's rows after a Parquet file with the export's settings."""
    batches = list(source.stream(table))
    path = folder / "rows.parquet"
    pq.write_table(
        pa.Table.from_batches(batches, schema=table.arrow_schema),
        path,
        store_schema=False,
        store_decimal_as_integer=True,
    )
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


MYSQL_COLUMNS: list[tuple[str, Sequence[str], Sequence[Any]]] = [
    # declared type, SQL literals, values in Parquet
    ("BIGINT", ["-9223372036854775808", "9223372036854775807"], [-(2**63), 2**63 - 1]),
    ("BIGINT UNSIGNED", ["0", "18446744073709551615"], [Decimal(0), Decimal(2**64 - 1)]),
    ("INT", ["-2147483648", "2147483647"], [-(2**31), 2**31 - 1]),
    ("INT UNSIGNED", ["0", "4294967295"], [0, 2**32 - 1]),
    ("INT(8) ZEROFILL", ["7", "42"], [7, 42]),
    ("MEDIUMINT", ["-8388608", "8388607"], [-(2**23), 2**23 - 1]),
    ("MEDIUMINT UNSIGNED", ["0", "16777215"], [0, 2**24 - 1]),
    ("SMALLINT", ["-32768", "32767"], [-32768, 32767]),
    ("SMALLINT UNSIGNED", ["0", "65535"], [0, 65535]),
    ("TINYINT", ["-128", "127"], [-128, 127]),
    ("TINYINT UNSIGNED", ["0", "255"], [0, 255]),
    ("BOOLEAN", ["TRUE", "FALSE"], [1, 0]),
    ("YEAR", ["1901", "2155"], [1901, 2155]),
    ("DECIMAL(5,2)", ["-999.99", "0.01"], [Decimal("-999.99"), Decimal("0.01")]),
    ("DECIMAL(18,6) UNSIGNED", ["0", "1.5"], [Decimal("0.000000"), Decimal("1.500000")]),
    (
        "DECIMAL(38,9)",
        ["-99999999999999999999999999999.999999999", "12345678901234567890123456789.123456789"],
        [
            Decimal("-99999999999999999999999999999.999999999"),
            Decimal("12345678901234567890123456789.123456789"),
        ],
    ),
    ("DECIMAL(39,1)", ["1" * 38 + ".5", "-0.1"], ["1" * 38 + ".5", "-0.1"]),
    ("DOUBLE", ["1.7976931348623157e308", "-0.1"], [1.7976931348623157e308, -0.1]),
    ("FLOAT", ["16777216", "0.1"], [16777216.0, 0.1]),
    ("CHAR(4)", ["'é ab'", "''"], ["é ab".encode(), b""]),
    ("VARCHAR(30)", ["'naïve 🙂'", "''"], ["naïve 🙂", ""]),
    ("VARCHAR(30) CHARACTER SET latin1", ["'Größe'", "' '"], ["Größe", " "]),
    ("TEXT", ["'line\\nline'", "'\\\\ \\' \" ` %'"], ["line\nline", "\\ ' \" ` %"]),
    ("LONGTEXT", ["REPEAT('日本', 5000)", "''"], ["日本" * 5000, ""]),
    ("ENUM('new','käuflich')", ["'käuflich'", "'new'"], ["käuflich", "new"]),
    ("SET('a','b','c')", ["'a,c'", "''"], ["a,c", ""]),
    ("JSON", ['\'{"a": [1, "ü"]}\'', "'null'"], ['{"a": [1, "ü"]}', "null"]),
    ("DATE", ["'1000-01-01'", "'9999-12-31'"], ["1000-01-01", "9999-12-31"]),
    ("DATE", ["'0000-00-00'", "'2020-00-00'"], ["0000-00-00", "2020-00-00"]),
    ("TIME", ["'-838:59:59'", "'27:00:01'"], ["-838:59:59", "27:00:01"]),
    ("TIME(6)", ["'838:59:59'", "'00:00:00.000001'"], ["838:59:59.000000", "00:00:00.000001"]),
    (
        "DATETIME",
        ["'0001-01-01 00:00:00'", "'1969-12-31 23:59:59'"],
        [datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)],
    ),
    (
        "DATETIME(6)",
        ["'9999-12-31 23:59:59.999999'", "'2020-02-29 12:00:00.5'"],
        [
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2020, 2, 29, 12, 0, 0, 500000, tzinfo=UTC),
        ],
    ),
    ("DATETIME", ["'0000-00-00 00:00:00'", "'2020-00-10 00:00:00'"], [None, None]),
    ("BIT(1)", ["b'1'", "b'0'"], [b"\x01", b"\x00"]),
    ("BIT(10)", ["b'1000000001'", "0"], [b"\x02\x01", b"\x00\x00"]),
    ("BINARY(4)", ["'ab'", "x'00ff'"], [b"ab\x00\x00", b"\x00\xff\x00\x00"]),
    ("VARBINARY(8)", ["x'00ff'", "''"], [b"\x00\xff", b""]),
    ("BLOB", ["x'fffe00'", "''"], [b"\xff\xfe\x00", b""]),
    ("LONGBLOB", ["REPEAT(x'00', 70000)", "''"], [b"\x00" * 70000, b""]),
    (
        "POINT",
        ["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(0 0)')"],
        [
            struct.pack("<IBIdd", 0, 1, 1, 1.0, 2.0),
            struct.pack("<IBIdd", 0, 1, 1, 0.0, 0.0),
        ],
    ),
    (
        "UUID",
        ["'123e4567-e89b-12d3-a456-426655440000'"] * 2,
        ["123e4567-e89b-12d3-a456-426655440000"] * 2,
    ),
    ("INET6", ["'::1'", "'2001:db8::ff00:42:8329'"], ["::1", "2001:db8::ff00:42:8329"]),
]


def test_mysql_values(mysql: tuple[pymysql.cursors.Cursor, str], tmp_path: Path) -> None:
    cursor, url = mysql
    declared = ", ".join(f"c{n} {column} NULL" for n, (column, _, _) in enumerate(MYSQL_COLUMNS))
    cursor.execute(f"CREATE TABLE t (id INT PRIMARY KEY, {declared})")
    for row in (0, 1):
        literals = ", ".join(literal[row] for _, literal, _ in MYSQL_COLUMNS)
        cursor.execute(f"INSERT INTO t VALUES ({row}, {literals})")
    cursor.execute("INSERT INTO t (id) VALUES (2)")
    source, table = only_table(url)
    rows = rows_through_parquet(source, table, tmp_path)
    for number, (column, _, values) in enumerate(MYSQL_COLUMNS):
        name = f"c{number}"
        assert [row[name] for row in rows] == [*values, None], column


def test_mysql_timestamps_are_utc(
    mysql: tuple[pymysql.cursors.Cursor, str], tmp_path: Path
) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE t (at TIMESTAMP(6) NULL)")
    cursor.execute("SET time_zone = '+09:00'")
    cursor.execute("INSERT INTO t VALUES ('2020-01-01 09:00:00.25')")
    assert rows_through_parquet(*only_table(url), tmp_path) == [
        {"at": datetime(2020, 1, 1, 0, 0, 0, 250000, tzinfo=UTC)}
    ]


def test_mysql_zero_dates_are_noted(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE t (at DATETIME NULL)")
    cursor.execute("INSERT INTO t VALUES ('0000-00-00'), (NULL), ('2020-01-01'), ('0000-00-00')")
    with Source.open(url).snapshot() as reader:
        (table,) = reader.tables()
        assert sum(batch.num_rows for batch in reader.stream(table)) == 4
        assert reader.notes(table) == [
            "2 zero date(s) in column at have no timestamp and became NULL"
        ]


def test_mysql_tables_and_names(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE `orders$2024` (`select` INT, `a``b%s` INT, `größe` INT)")
    cursor.execute("INSERT INTO `orders$2024` VALUES (1, 2, 3)")
    cursor.execute("CREATE TABLE `group` (`bad name` INT)")
    cursor.execute("CREATE VIEW everything AS SELECT * FROM `orders$2024`")
    cursor.execute("CREATE SEQUENCE numbers")
    cursor.execute("CREATE TABLE kept (a INT) WITH SYSTEM VERSIONING")
    source = Source.open(url)
    assert [(table.schema, table.name) for table in source.tables()] == [
        ("shop", "group"),
        ("shop", "kept"),
        ("shop", "orders$2024"),
    ]
    group, _, orders = source.tables()
    assert "'bad name'" in str(group.refusal)
    assert source.count(orders) == 1
    assert [batch.to_pylist() for batch in source.stream(orders)] == [
        [{"select": 1, "a`b%s": 2, "größe": 3}]
    ]


def test_mysql_manifest_fields(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE t (a VARCHAR(7), b DECIMAL(7,3), c DATETIME(3), d INT UNSIGNED)")
    types = [column.type for column in only_table(url)[1].columns]
    assert [type_.name for type_ in types] == ["varchar", "decimal", "datetime", "int unsigned"]
    assert (types[0].length, types[1].precision, types[1].scale) == (7, 7, 3)
    assert types[2].time_precision == 3


def test_mysql_snapshot_is_consistent(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE a (n INT)")
    cursor.execute("CREATE TABLE b (n INT)")
    cursor.execute("INSERT INTO a VALUES (1)")
    with Source.open(url).snapshot() as reader:
        a, b = reader.tables()
        cursor.execute("INSERT INTO a VALUES (2)")
        cursor.execute("INSERT INTO b VALUES (2)")
        assert (reader.count(a), reader.count(b)) == (1, 0)
        assert [batch.to_pylist() for batch in reader.stream(a)] == [[{"n": 1}]]


def test_mysql_float_keeps_every_bit(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE t (f FLOAT)")

    @thrifty
    @given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
    def holds(stored: list[float]) -> None:
        cursor.execute("DELETE FROM t")
        cursor.executemany("INSERT INTO t VALUES (%s)", [(repr(value),) for value in stored])
        source, table = only_table(url)
        found = [row["f"] for batch in source.stream(table) for row in batch.to_pylist()]
        assert sorted(map(_single, found)) == sorted(stored)

    holds()


def _single(value: float) -> float:
    single: float = struct.unpack("f", struct.pack("f", value))[0]
    return single


def test_mysql_random_values(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, d DECIMAL(38,10), at DATETIME(6), v TEXT, b BLOB)"
    )
    row = st.tuples(
        st.decimals(-(10**27), 10**27, places=10),
        st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),
        texts,
        st.binary(max_size=40),
    )

    @thrifty
    @given(st.lists(row, min_size=1, max_size=20))
    def holds(rows: list[tuple[Any, ...]]) -> None:
        cursor.execute("DELETE FROM t")
        cursor.executemany(
            "INSERT INTO t VALUES (%s, %s, %s, %s, %s)", [(n, *row) for n, row in enumerate(rows)]
        )
        source, table = only_table(url)
        found = [tuple(row.values()) for batch in source.stream(table) for row in batch.to_pylist()]
        assert found == [
            (n, number, at.replace(tzinfo=UTC), text, data)
            for n, (number, at, text, data) in enumerate(rows)
        ]

    holds()


def test_mysql_streams(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE t (n INT)")
    cursor.execute("INSERT INTO t SELECT seq FROM seq_1_to_50000")
    source, table = only_table(url)
    batches = list(source.stream(table, batch_rows=8000))
    assert max(batch.num_rows for batch in batches) == 8000
    assert sum(batch.num_rows for batch in batches) == source.count(table) == 50000
    # A stream that is given up leaves nothing hanging.
    next(source.stream(table, batch_rows=10))


def test_mysql_password_is_never_told(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE OR REPLACE USER clerk IDENTIFIED BY 'sesame'")
    wrong = url.replace("root@", "clerk:sesame2@")
    with pytest.raises(SourceError, match="Access denied") as told:
        Source.open(wrong)
    assert "sesame2" not in str(told.value)
    with pytest.raises(SourceError, match="Unknown database 'nowhere'"):
        Source.open(url.replace("/shop", "/nowhere"))


def test_engine_must_be_the_servers_own(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    with pytest.raises(SourceError, match="is a mysql database and cannot be read as postgresql"):
        Source.open(mysql[1], "postgresql")


POSTGRESQL_COLUMNS: list[tuple[str, Sequence[str], Sequence[Any]]] = [
    ("bigint", ["-9223372036854775808", "9223372036854775807"], [-(2**63), 2**63 - 1]),
    ("integer", ["-2147483648", "2147483647"], [-(2**31), 2**31 - 1]),
    ("smallint", ["-32768", "32767"], [-32768, 32767]),
    ("real", ["0.1", "16777216"], [_single(0.1), 16777216.0]),
    ("double precision", ["0.1", "1.7976931348623157e308"], [0.1, 1.7976931348623157e308]),
    ("boolean", ["true", "false"], [True, False]),
    ("bytea", ["'\\x00ff'", "''"], [b"\x00\xff", b""]),
    ("numeric", ["'NaN'", "1e40"], ["NaN", "1" + "0" * 40]),
    ("numeric(38,9)", ["-0.1", "1" * 29], ["-0.100000000", "1" * 29 + ".000000000"]),
    ("money", ["1234.5", "-1"], ["$1,234.50", "-$1.00"]),
    ("character(4)", ["'é'", "'abcd'"], ["é   ", "abcd"]),
    ("character varying(9)", ["'naïve 🙂'", "''"], ["naïve 🙂", ""]),
    ("text", ["E'a\\nb %s'", "''"], ["a\nb %s", ""]),
    ("name", ["'pg'", "'x'"], ["pg", "x"]),
    ("date", ["'0001-01-01'", "'infinity'"], ["0001-01-01", "infinity"]),
    ("date", ["'0044-03-15 BC'", "'9999-12-31'"], ["0044-03-15 BC", "9999-12-31"]),
    ("time", ["'24:00'", "'00:00:00.000001'"], ["24:00:00", "00:00:00.000001"]),
    ("time with time zone", ["'12:00+02'", "'00:00-05:30'"], ["12:00:00+02", "00:00:00-05:30"]),
    (
        "timestamp",
        ["'1900-01-01'", "'2020-06-01 12:00:00.25'"],
        ["1900-01-01 00:00:00", "2020-06-01 12:00:00.25"],
    ),
    (
        "timestamptz",
        ["'2020-06-01 12:00+09'", "'-infinity'"],
        ["2020-06-01 03:00:00+00", "-infinity"],
    ),
    (
        "interval",
        ["'1 mon 2 days 03:04:05.6'", "'-1 year'"],
        ["1 mon 2 days 03:04:05.6", "-1 years"],
    ),
    ("json", ['\'{"b":1,  "a":null}\'', "'[]'"], ['{"b":1,  "a":null}', "[]"]),
    ("jsonb", ['\'{"b":1,  "a":"ü"}\'', "'1'"], ['{"a": "ü", "b": 1}', "1"]),
    (
        "uuid",
        ["'123e4567-e89b-12d3-a456-426655440000'"] * 2,
        ["123e4567-e89b-12d3-a456-426655440000"] * 2,
    ),
    ("integer[]", ["'{1,NULL,3}'", "'{}'"], ["{1,NULL,3}", "{}"]),
    ("text[]", ["ARRAY['a,b','\"']", "ARRAY['ü']"], ['{"a,b","\\""}', "{ü}"]),
    ("int4range", ["'[1,5)'", "'empty'"], ["[1,5)", "empty"]),
    ("inet", ["'10.0.0.1/8'", "'::1'"], ["10.0.0.1/8", "::1"]),
    (
        "macaddr",
        ["'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"],
        ["08:00:2b:01:02:03", "08:00:2b:01:02:04"],
    ),
    ("bit(3)", ["B'101'", "B'000'"], ["101", "000"]),
    ("xml", ["'<a/>'", "'<b>ü</b>'"], ["<a/>", "<b>ü</b>"]),
    ("point", ["'(1,2)'", "'(0,0.5)'"], ["(1,2)", "(0,0.5)"]),
    ("tsvector", ["'a b'", "''"], ["'a' 'b'", ""]),
    ("mood", ["'happy'", "'sad'"], ["happy", "sad"]),
    ("address", ["ROW('x y', 1)", "ROW(NULL, NULL)"], ['("x y",1)', "(,)"]),
    ("positive", ["1", "2"], [1, 2]),
    ("oid", ["1", "4294967295"], ["1", "4294967295"]),
]


def test_postgresql_values(postgres: tuple[psycopg.Connection[Any], str], tmp_path: Path) -> None:
    connection, url = postgres
    connection.execute("CREATE TYPE mood AS ENUM ('happy', 'sad')")
    connection.execute("CREATE TYPE address AS (street text, number int)")
    connection.execute("CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
    columns = enumerate(POSTGRESQL_COLUMNS)
    declared = ", ".join(f"c{n} {column} NULL" for n, (column, _, _) in columns)
    connection.execute(f"CREATE TABLE t (id int PRIMARY KEY, {declared})".encode())
    for row in (0, 1):
        literals = ", ".join(literal[row] for _, literal, _ in POSTGRESQL_COLUMNS)
        connection.execute(f"INSERT INTO t VALUES ({row}, {literals})".encode())
    connection.execute("INSERT INTO t (id) VALUES (2)")
    source, table = only_table(url)
    rows = rows_through_parquet(source, table, tmp_path)
    for number, (column, _, values) in enumerate(POSTGRESQL_COLUMNS):
        name = f"c{number}"
        assert [row[name] for row in rows] == [*values, None], column


def test_postgresql_original_types(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    connection, url = postgres
    connection.execute("CREATE TYPE mood AS ENUM ('happy')")
    connection.execute("CREATE DOMAIN code AS varchar(7)")
    connection.execute("CREATE TABLE t (a mood, b int[], c code, d numeric(9,2), e timestamp(3))")
    types = [column.type for column in only_table(url)[1].columns]
    assert [type_.name for type_ in types] == [
        *("USER-DEFINED", "ARRAY", "character varying", "numeric", "timestamp without time zone")
    ]
    assert (types[2].length, types[3].precision, types[3].scale) == (7, 9, 2)
    assert types[4].time_precision == 3


def test_postgresql_tables_and_names(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    connection, url = postgres
    for statement in (
        'CREATE SCHEMA "größer"',
        'CREATE TABLE "größer"."or""ders$" ("select" int, "a%b" text)',
        """INSERT INTO "größer"."or""ders$" VALUES (1, 'x')""",
        "CREATE TABLE users (id int)",
        "CREATE VIEW everyone AS SELECT * FROM users",
        "CREATE MATERIALIZED VIEW frozen AS SELECT * FROM users",
        "CREATE UNLOGGED TABLE volatile (a int)",
        "CREATE TABLE events (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE events_2020 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)",
        "INSERT INTO events VALUES ('2021-01-01')",
        "CREATE TABLE bare ()",
    ):
        connection.execute(statement.encode())
    connection.execute("CREATE TEMPORARY TABLE scratch (a int)")
    source = Source.open(url)
    tables = {(table.schema, table.name): table for table in source.tables()}
    assert set(tables) == {
        ("größer", 'or"ders$'),
        ("public", "bare"),
        ("public", "events"),
        ("public", "users"),
        ("public", "volatile"),
    }
    orders = tables["größer", 'or"ders$']
    assert [batch.to_pylist() for batch in source.stream(orders)] == [[{"select": 1, "a%b": "x"}]]
    assert source.count(tables["public", "events"]) == 1
    assert "unlogged" in str(tables["public", "volatile"].refusal)
    assert "no columns" in str(tables["public", "bare"].refusal)


def test_postgresql_tables_without_rights(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    connection, url = postgres
    connection.execute("DROP ROLE IF EXISTS clerk")
    connection.execute("CREATE ROLE clerk LOGIN")
    connection.execute("CREATE TABLE secret (a int)")
    connection.execute("CREATE TABLE shared (a int)")
    connection.execute("GRANT SELECT ON shared TO clerk")
    source = Source.open(url.replace("admin@", "clerk@"))
    assert {table.name: table.refusal for table in source.tables()} == {
        "secret": "PERMISSIONS_DO_NOT_EXIST",
        "shared": None,
    }
    connection.execute("DROP OWNED BY clerk")
    connection.execute("DROP ROLE clerk")


def test_postgresql_snapshot_is_consistent(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    connection, url = postgres
    connection.execute("CREATE TABLE a (n int)")
    connection.execute("CREATE TABLE b (n int)")
    with Source.open(url).snapshot() as reader:
        a, b = reader.tables()
        connection.execute("INSERT INTO a VALUES (2)")
        connection.execute("INSERT INTO b VALUES (2)")
        assert (reader.count(a), reader.count(b)) == (0, 0)
        assert list(reader.stream(b)) == []


def test_postgresql_random_values(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    connection, url = postgres
    connection.execute(
        "CREATE TABLE t (id int, d numeric, at timestamp, f float8, v text, b bytea)"
    )
    row = st.tuples(
        st.decimals(-(10**40), 10**40, places=12),
        st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),
        st.floats(allow_nan=False),
        texts,
        st.binary(max_size=40),
    )

    @thrifty
    @given(st.lists(row, min_size=1, max_size=20))
    def holds(rows: list[tuple[Any, ...]]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM t")
            cursor.executemany(
                "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s)",
                [(n, *row) for n, row in enumerate(rows)],
            )
        source, table = only_table(url)
        found = [tuple(row.values()) for batch in source.stream(table) for row in batch.to_pylist()]
        assert [
            (
                n,
                Decimal(number),
                datetime.fromisoformat(at.ljust(26, "0") if "." in at else at),
                *rest,
            )
            for n, number, at, *rest in found
        ] == [(n, *row) for n, row in enumerate(rows)]

    holds()


def test_postgresql_streams(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    connection, url = postgres
    connection.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 50000) n")
    source, table = only_table(url)
    batches = list(source.stream(table, batch_rows=8000))
    assert max(batch.num_rows for batch in batches) == 8000
    assert sum(batch.num_rows for batch in batches) == source.count(table) == 50000
    next(source.stream(table, batch_rows=10))


def test_postgresql_says_what_is_wrong(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    with pytest.raises(SourceError, match='database "nowhere" does not exist'):
        Source.open(postgres[1].replace("/ledger", "/nowhere"))


def test_a_table_that_vanishes_is_told(postgres: tuple[psycopg.Connection[Any], str]) -> None:
    connection, url = postgres
    connection.execute("CREATE TABLE t (a int)")
    source, table = only_table(url)
    connection.execute("DROP TABLE t")
    with pytest.raises(SourceError, match=r"reading public\.t failed: relation .* does not exist"):
        list(source.stream(table))


def test_mysql_bytes_that_are_no_text(mysql: tuple[pymysql.cursors.Cursor, str]) -> None:
    cursor, url = mysql
    cursor.execute("CREATE TABLE t (a TEXT CHARACTER SET binary)")
    cursor.execute("INSERT INTO t VALUES (x'ff')")
    # What MySQL calls TEXT CHARACTER SET binary is a BLOB.
    source, table = only_table(url)
    assert [batch.to_pylist() for batch in source.stream(table)] == [[{"a": b"\xff"}]]
