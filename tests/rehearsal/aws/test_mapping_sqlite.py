"""Which engine type a type declared in SQLite stands for."""

from __future__ import annotations

import pytest

from rehearsal.aws.mapping import ColumnType
from rehearsal.aws.sqlite_types import content_type, declared_type


@pytest.mark.parametrize(
    ("declared", "mysql", "postgresql"),
    [
        ("INTEGER", "bigint", "bigint"),
        ("int", "bigint", "bigint"),
        ("INT(11)", "bigint", "bigint"),
        ("BIGINT UNSIGNED", "bigint unsigned", "numeric"),
        ("UNSIGNED BIG INT", "bigint unsigned", "numeric"),
        ("int(10) unsigned", "bigint unsigned", "numeric"),
        ("SMALLINT", "smallint", "smallint"),
        ("smallint unsigned", "smallint unsigned", "integer"),
        ("TINYINT(1)", "tinyint", "smallint"),
        ("MEDIUMINT", "mediumint", "integer"),
        ("BOOLEAN", "tinyint", "boolean"),
        ("bool", "tinyint", "boolean"),
        ("REAL", "double", "double precision"),
        ("DOUBLE PRECISION", "double", "double precision"),
        ("FLOAT", "double", "double precision"),
        ("DOUBLE UNSIGNED", "double", "double precision"),
        ("TEXT", "longtext", "text"),
        ("CLOB", "longtext", "text"),
        ("NVARCHAR(160)", "varchar", "character varying"),
        ("CHARACTER VARYING(20)", "varchar", "character varying"),
        ("CHAR(3)", "char", "character"),
        ("BLOB", "longblob", "bytea"),
        ("VARBINARY(16)", "varbinary", "bytea"),
        ("DATE", "date", "date"),
        ("TIME", "time", "time without time zone"),
        ("DATETIME", "datetime", "timestamp without time zone"),
        ("TIMESTAMP(6)", "datetime", "timestamp without time zone"),
        ("timestamp with time zone", "timestamp", "timestamp with time zone"),
        ("JSON", "json", "json"),
        ("YEAR", "year", "smallint"),
    ],
)
def test_declared_types(declared: str, mysql: str, postgresql: str) -> None:
    as_mysql = declared_type("mysql", declared)
    as_postgresql = declared_type("postgresql", declared)
    assert as_mysql is not None
    assert as_postgresql is not None
    assert (as_mysql.name, as_postgresql.name) == (mysql, postgresql)


@pytest.mark.parametrize(
    ("declared", "precision", "scale"),
    [
        ("DECIMAL(10,2)", 10, 2),
        ("numeric ( 38 , 9 )", 38, 9),
        ("DECIMAL(12)", 12, 0),
        ("DECIMAL(9,3) UNSIGNED", 9, 3),
    ],
)
def test_decimals_keep_precision_and_scale(declared: str, precision: int, scale: int) -> None:
    assert declared_type("mysql", declared) == ColumnType(
        "decimal", precision=precision, scale=scale
    )
    assert declared_type("postgresql", declared) == ColumnType(
        "numeric", precision=precision, scale=scale
    )


def test_decimal_without_precision() -> None:
    assert declared_type("mysql", "DECIMAL") == ColumnType("decimal", precision=38, scale=9)
    assert declared_type("postgresql", "NUMERIC") == ColumnType("numeric")


def test_lengths_are_kept() -> None:
    assert declared_type("mysql", "VARCHAR(52)") == ColumnType("varchar", length=52)
    assert declared_type("postgresql", "CHAR(3)") == ColumnType("character", length=3)


@pytest.mark.parametrize(
    "declared", ["", "STRING", "UUID", "ENUM('a','b')", "POINT", "FOO(1,2,3)", "INT UNSIGNED FOO"]
)
def test_what_says_nothing_is_left_to_the_content(declared: str) -> None:
    assert declared_type("mysql", declared) is None


@pytest.mark.parametrize(
    ("kinds", "mysql", "postgresql"),
    [
        ({"integer", "null"}, "bigint", "bigint"),
        ({"integer", "real"}, "double", "double precision"),
        ({"text"}, "longtext", "text"),
        ({"text", "integer"}, "longtext", "text"),
        ({"blob"}, "longblob", "bytea"),
        ({"null"}, "longtext", "text"),
        (set(), "longtext", "text"),
    ],
)
def test_content_types(kinds: set[str], mysql: str, postgresql: str) -> None:
    assert content_type("mysql", kinds).name == mysql
    assert content_type("postgresql", kinds).name == postgresql
