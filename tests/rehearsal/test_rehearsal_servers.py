"""Real MariaDB and PostgreSQL servers all the way to BigQuery, value by value.

What is expected is written down here, from AWS's page on data conversion in exports and Google's
page on loading Parquet; nothing of the rehearsal's own mapping is asked.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from sqlalchemy import URL

from tests.rehearsal.databases import mariadb, postgresql
from tests.rehearsal.playing import Played, rehearse

__all__ = ["mariadb", "postgresql"]

BYTES, STRING, INT64, FLOAT64 = "BLOB", "VARCHAR", "BIGINT", "DOUBLE"
BOOL, TIMESTAMP, NUMERIC = "BOOLEAN", "TIMESTAMP WITH TIME ZONE", "DECIMAL(38,9)"
BIGNUMERIC_10 = "DECIMAL(38,10)"
PASSWORD = "hush-Hush/9@x"
WIDEST = "9" * 28 + "." + "9" * 10
NOBODY = "00000000-0000-0000-0000-000000000000"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


# What is declared, the SQL of two rows' values, and what BigQuery holds.
Types = dict[str, tuple[str, Sequence[str], str, Sequence[Any]]]

MYSQL: Types = {
    "big": (
        "BIGINT",
        ["-9223372036854775808", "9223372036854775807"],
        INT64,
        [-(2**63), 2**63 - 1],
    ),
    "huge": (
        "BIGINT UNSIGNED",
        ["0", "18446744073709551615"],
        NUMERIC,
        [Decimal(0), Decimal(18446744073709551615)],
    ),
    "int_u": ("INT UNSIGNED", ["0", "4294967295"], INT64, [0, 4294967295]),
    "medium": ("MEDIUMINT", ["-8388608", "8388607"], INT64, [-8388608, 8388607]),
    "tiny_u": ("TINYINT UNSIGNED", ["0", "255"], INT64, [0, 255]),
    "yes": ("BOOLEAN", ["TRUE", "FALSE"], INT64, [1, 0]),
    "year": ("YEAR", ["1901", "2155"], INT64, [1901, 2155]),
    "price": (
        "DECIMAL(5,2)",
        ["-999.99", "0.01"],
        NUMERIC,
        [Decimal("-999.99"), Decimal("0.01")],
    ),
    "middle": (
        "DECIMAL(18,9)",
        ["-999999999.999999999", "0.000000001"],
        NUMERIC,
        [Decimal("-999999999.999999999"), Decimal("0.000000001")],
    ),
    "wide": (
        "DECIMAL(38,10)",
        [WIDEST, f"-{WIDEST}"],
        BIGNUMERIC_10,
        [Decimal(WIDEST), Decimal(f"-{WIDEST}")],
    ),
    "wider": (
        "DECIMAL(65,30)",
        [f"-{'9' * 35}.{'9' * 30}", "0"],
        STRING,
        [
            f"-{'9' * 35}.{'9' * 30}",
            f"0.{'0' * 30}",
        ],
    ),
    "odd": ("DOUBLE", ["1.7976931348623157e308", "-0.1"], FLOAT64, [1.7976931348623157e308, -0.1]),
    "coarse": ("FLOAT", ["16777216", "-0.5"], FLOAT64, [16777216.0, -0.5]),
    "letters": ("CHAR(4)", ["'é ab'", "''"], BYTES, ["é ab".encode(), b""]),
    "words": ("VARCHAR(30)", ["'naïve 🙂'", "''"], STRING, ["naïve 🙂", ""]),
    "text": ("LONGTEXT", ["REPEAT('日本', 5000)", "'a\\n\"b'"], STRING, ["日本" * 5000, 'a\n"b']),
    "kind": ("ENUM('new','käuflich')", ["'käuflich'", "'new'"], STRING, ["käuflich", "new"]),
    "flags": ("SET('a','b')", ["'a,b'", "''"], STRING, ["a,b", ""]),
    "json": ("JSON", ['\'{"a": [1, "ü"]}\'', "'null'"], STRING, ['{"a": [1, "ü"]}', "null"]),
    "day": ("DATE", ["'1000-01-01'", "'9999-12-31'"], STRING, ["1000-01-01", "9999-12-31"]),
    "hour": ("TIME", ["'-838:59:59'", "'27:00:01'"], STRING, ["-838:59:59", "27:00:01"]),
    "at": (
        "DATETIME(6)",
        ["'1969-12-31 23:59:59.999999'", "'1000-01-01 00:00:00.000001'"],
        TIMESTAMP,
        [utc(1969, 12, 31, 23, 59, 59, 999999), utc(1000, 1, 1, 0, 0, 0, 1)],
    ),
    "seen": (
        "TIMESTAMP",
        ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
        TIMESTAMP,
        [utc(1970, 1, 1, 0, 0, 1), utc(2038, 1, 19, 3, 14, 7)],
    ),
    "bits": ("BIT(10)", ["b'1000000001'", "0"], BYTES, [b"\x02\x01", b"\x00\x00"]),
    "fixed": ("BINARY(4)", ["'ab'", "x'00ff'"], BYTES, [b"ab\x00\x00", b"\x00\xff\x00\x00"]),
    "loose": ("VARBINARY(8)", ["x'00ff'", "''"], BYTES, [b"\x00\xff", b""]),
    "blob": ("BLOB", ["x'fffe00'", "''"], BYTES, [b"\xff\xfe\x00", b""]),
    "größe": ("TEXT", ["'groß'", "''"], STRING, ["groß", ""]),
    "order": ("INT", ["1", "2"], INT64, [1, 2]),
}

POSTGRESQL: Types = {
    "big": (
        "bigint",
        ["-9223372036854775808", "9223372036854775807"],
        INT64,
        [-(2**63), 2**63 - 1],
    ),
    "whole": ("integer", ["-2147483648", "2147483647"], INT64, [-(2**31), 2**31 - 1]),
    "small": ("smallint", ["-32768", "32767"], INT64, [-32768, 32767]),
    "coarse": (
        "real",
        ["0.1", "16777216"],
        FLOAT64,
        [struct.unpack("f", struct.pack("f", 0.1))[0], 16777216.0],
    ),
    "odd": ("double precision", ["'NaN'", "-0.1"], FLOAT64, ["nan", -0.1]),
    "yes": ("boolean", ["true", "false"], BOOL, [True, False]),
    "raw": ("bytea", ["'\\x00ff'", "''"], BYTES, [b"\x00\xff", b""]),
    "wide": ("numeric(38,10)", [WIDEST, f"-{WIDEST}"], STRING, [WIDEST, f"-{WIDEST}"]),
    "price": ("numeric(10,2)", ["0.5", "-1"], STRING, ["0.50", "-1.00"]),
    "free": ("numeric", ["'NaN'", "1e-20"], STRING, ["NaN", "0.00000000000000000001"]),
    "money": ("money", ["1234.5", "-1"], STRING, ["$1,234.50", "-$1.00"]),
    "letters": ("char(4)", ["'é'", "''"], STRING, ["é   ", "    "]),
    "words": ("varchar(30)", ["'naïve 🙂'", "''"], STRING, ["naïve 🙂", ""]),
    "text": ("text", ["repeat('日本', 5000)", "E'a\\n\"b'"], STRING, ["日本" * 5000, 'a\n"b']),
    "day": ("date", ["'0001-01-01'", "'infinity'"], STRING, ["0001-01-01", "infinity"]),
    "hour": ("time", ["'23:59:59.000001'", "'24:00'"], STRING, ["23:59:59.000001", "24:00:00"]),
    "at": (
        "timestamp",
        ["'1969-12-31 23:59:59.999999'", "'0044-03-15 BC'"],
        STRING,
        ["1969-12-31 23:59:59.999999", "0044-03-15 00:00:00 BC"],
    ),
    "seen": (
        "timestamptz",
        ["'1969-12-31 23:59:59.5-05'", "'2026-01-01 00:00:00+09'"],
        STRING,
        ["1970-01-01 04:59:59.5+00", "2025-12-31 15:00:00+00"],
    ),
    "span": ("interval", ["'1 day 02:00'", "'-1 mon'"], STRING, ["1 day 02:00:00", "-1 mons"]),
    "numbers": ("integer[]", ["'{1,NULL,-3}'", "'{}'"], STRING, ["{1,NULL,-3}", "{}"]),
    "tags": (
        "text[]",
        ["ARRAY['a b','\"','ü']", "'{{a},{b}}'"],
        STRING,
        [
            '{"a b","\\"",ü}',
            "{{a},{b}}",
        ],
    ),
    "who": ("uuid", [f"'{NOBODY}'"] * 2, STRING, [NOBODY] * 2),
    "json": ("json", ['\'{"b":1,  "a":2}\'', "'null'"], STRING, ['{"b":1,  "a":2}', "null"]),
    "jsonb": (
        "jsonb",
        ['\'{"b":1,  "a":["ü"]}\'', "'null'"],
        STRING,
        [
            '{"a": ["ü"], "b": 1}',
            "null",
        ],
    ),
    "range": ("int4range", ["'[1,5)'", "'empty'"], STRING, ["[1,5)", "empty"]),
    "net": ("inet", ["'10.0.0.1'", "'::1/64'"], STRING, ["10.0.0.1", "::1/64"]),
    "mood": ("mood", ["'glücklich'", "'so so'"], STRING, ["glücklich", "so so"]),
    "größe": ("text", ["'groß'", "''"], STRING, ["groß", ""]),
    "order": ("integer", ["1", "2"], INT64, [1, 2]),
}


def statements(types: Types, table: str, quote: str) -> list[str]:
    """Return the SQL that makes the table, with two rows of values and one of NULLs."""
    names = [f"{quote}{name}{quote}" for name in types]
    columns = ", ".join(
        f"{name} {declared} NULL"
        for name, (declared, *_) in zip(names, types.values(), strict=True)
    )
    made = [f"CREATE TABLE {table} (id INT PRIMARY KEY, {columns})"]
    for row in (0, 1):
        values = ", ".join(literals[row] for _, literals, _, _ in types.values())
        made.append(f"INSERT INTO {table} VALUES ({row}, {values})")
    return [*made, f"INSERT INTO {table} (id) VALUES (2)"]


def check_every_type(played: Played, table: str, types: Types) -> None:
    found, rows = played.table(table)
    assert found == {"id": INT64, **{name: type_ for name, (_, _, type_, _) in types.items()}}
    arrived = dict(zip(found, zip(*rows, strict=True), strict=True))
    assert arrived.pop("id") == (0, 1, 2)
    readable = {
        name: ["nan" if value != value else value for value in values]
        for name, values in arrived.items()
    }
    assert readable == {name: [*values, None] for name, (_, _, _, values) in types.items()}


def check_well(played: Played, rows: dict[str, int]) -> None:
    assert played.status == 0, played.output + played.errors
    assert "All well" in played.output
    assert "Traceback" not in played.errors
    (export,) = played.json["exports"]
    assert {t["name"]: t["rows"] for t in export["tables"]} == rows
    assert PASSWORD not in played.told


def test_every_type_of_mariadb(mariadb: URL, tmp_path: Path) -> None:
    connection = pymysql.connect(
        host=mariadb.host, port=mariadb.port or 0, user="root", autocommit=True, charset="utf8mb4"
    )
    with connection, connection.cursor() as cursor:
        for statement in (
            "SET time_zone = '+00:00'",
            "CREATE DATABASE rehearsed CHARACTER SET utf8mb4",
            f"CREATE USER rehearser@'%' IDENTIFIED BY '{PASSWORD}'",
            "GRANT SELECT ON rehearsed.* TO rehearser@'%'",
            "USE rehearsed",
            *statements(MYSQL, "every_type", "`"),
            "CREATE TABLE `orders$2024` (id INT PRIMARY KEY, total DECIMAL(10,2))",
            "INSERT INTO `orders$2024` VALUES (1, 9.99), (2, -0.01)",
            "CREATE TABLE `order` (id INT PRIMARY KEY)",
            "CREATE VIEW everything AS SELECT id FROM every_type",
            # From 0 to 250,000: several parts, each from another range of the key.
            "CREATE TABLE many (id INT PRIMARY KEY, word VARCHAR(20))",
            "INSERT INTO many SELECT seq, CONCAT('w', seq % 97) FROM seq_0_to_250000",
        ):
            cursor.execute(statement)
    url = mariadb.set(database="rehearsed", username="rehearser", password=PASSWORD)
    played = rehearse(tmp_path, "--source", url.render_as_string(hide_password=False))
    rows = {"every_type": 3, "orders$2024": 2, "order": 0, "many": 250_001}
    check_well(played, {f"rehearsed.{table}": count for table, count in rows.items()})
    check_every_type(played, "every_type", MYSQL)
    assert played.table("orders_2024") == (
        {"id": INT64, "total": NUMERIC},
        [(1, Decimal("9.99")), (2, Decimal("-0.01"))],
    )
    is_equal = played.table("many")[1] == [(n, f"w{n % 97}") for n in range(250_001)]
    assert is_equal


def test_every_type_of_postgresql(postgresql: URL, tmp_path: Path) -> None:
    server = f"host={postgresql.host} port={postgresql.port} user=admin"
    with psycopg.connect(f"{server} dbname=postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE rehearsed")
    with psycopg.connect(f"{server} dbname=rehearsed", autocommit=True) as connection:
        for statement in (
            "CREATE TYPE mood AS ENUM ('so so', 'glücklich')",
            *statements(POSTGRESQL, "every_type", '"'),
            "CREATE SCHEMA sales",
            "CREATE TABLE users (id integer PRIMARY KEY, name text)",
            "CREATE TABLE sales.users (id integer PRIMARY KEY, score real)",
            "INSERT INTO users VALUES (1, 'Ada'), (2, NULL)",
            "INSERT INTO sales.users VALUES (1, 0.5)",
            'CREATE TABLE sales."order" (id integer PRIMARY KEY)',
            "CREATE VIEW everything AS SELECT id FROM every_type",
        ):
            connection.execute(statement.encode())
    url = postgresql.set(database="rehearsed", password=PASSWORD)
    played = rehearse(tmp_path, "--source", url.render_as_string(hide_password=False))
    rows = {"public.every_type": 3, "public.users": 2, "sales.users": 1, "sales.order": 0}
    check_well(played, {f"rehearsed.{table}": count for table, count in rows.items()})
    # Two tables of one name: their schemas keep them apart.
    check_every_type(played, "public_every_type", POSTGRESQL)
    users = ({"id": INT64, "name": STRING}, [(1, "Ada"), (2, None)])
    assert played.table("public_users") == users
    assert played.table("sales_users") == ({"id": INT64, "score": FLOAT64}, [(1, 0.5)])
