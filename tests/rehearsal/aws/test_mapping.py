"""The type mapping of RDS exports, type by type, down to the Parquet file's own schema."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rehearsal.aws.mapping import ColumnType, ExportType, export_type

MYSQL = [
    ("bigint", ("INT64", "NONE", 0)),
    ("bigint unsigned", ("FIXED_LEN_BYTE_ARRAY", "DECIMAL", 9)),
    ("int", ("INT32", "NONE", 0)),
    ("int unsigned", ("INT64", "NONE", 0)),
    ("mediumint", ("INT32", "NONE", 0)),
    ("mediumint unsigned", ("INT64", "NONE", 0)),
    ("smallint", ("INT32", "NONE", 0)),
    ("smallint unsigned", ("INT32", "NONE", 0)),
    ("tinyint", ("INT32", "NONE", 0)),
    ("tinyint unsigned", ("INT32", "INT_16", 0)),
    ("year", ("INT32", "NONE", 0)),
    ("double", ("DOUBLE", "NONE", 0)),
    ("double unsigned", ("DOUBLE", "NONE", 0)),
    ("float", ("DOUBLE", "NONE", 0)),
    ("datetime", ("INT64", "TIMESTAMP_MICROS", 0)),
    ("timestamp", ("INT64", "TIMESTAMP_MICROS", 0)),
    ("date", ("BYTE_ARRAY", "UTF8", 0)),
    ("time", ("BYTE_ARRAY", "UTF8", 0)),
    ("char", ("BYTE_ARRAY", "NONE", 0)),
    ("varchar", ("BYTE_ARRAY", "UTF8", 0)),
    ("tinytext", ("BYTE_ARRAY", "UTF8", 0)),
    ("longtext", ("BYTE_ARRAY", "UTF8", 0)),
    ("enum", ("BYTE_ARRAY", "UTF8", 0)),
    ("set", ("BYTE_ARRAY", "UTF8", 0)),
    ("json", ("BYTE_ARRAY", "UTF8", 0)),
    ("bit", ("BYTE_ARRAY", "NONE", 0)),
    ("binary", ("BYTE_ARRAY", "NONE", 0)),
    ("varbinary", ("BYTE_ARRAY", "NONE", 0)),
    ("blob", ("BYTE_ARRAY", "NONE", 0)),
    ("longblob", ("BYTE_ARRAY", "NONE", 0)),
    ("geometry", ("BYTE_ARRAY", "NONE", 0)),
    ("multipolygon", ("BYTE_ARRAY", "NONE", 0)),
]
POSTGRESQL = [
    ("bigint", ("INT64", "NONE", 0)),
    ("integer", ("INT32", "NONE", 0)),
    ("smallint", ("INT32", "INT_16", 0)),
    ("real", ("FLOAT", "NONE", 0)),
    ("double precision", ("DOUBLE", "NONE", 0)),
    ("boolean", ("BOOLEAN", "NONE", 0)),
    ("bytea", ("BYTE_ARRAY", "NONE", 0)),
    *(
        (name, ("BYTE_ARRAY", "UTF8", 0))
        for name in (
            *("numeric", "money", "character", "character varying", "text", "date"),
            *("time without time zone", "timestamp without time zone"),
            *("timestamp with time zone", "interval", "json", "jsonb", "uuid", "ARRAY"),
            *("USER-DEFINED", "int4range", "inet", "bit", "xml", "tsvector", "point"),
        )
    ),
]


def parquet_column(export: ExportType) -> tuple[str, str, int]:
    """Physical type, converted type and length of the column in a file written as exports are."""
    file = io.BytesIO()
    schema = pa.schema([pa.field("c", export.arrow)])
    pq.write_table(schema.empty_table(), file, store_schema=False, store_decimal_as_integer=True)
    column: Any = pq.ParquetFile(file).schema.column(0)
    return column.physical_type, column.converted_type, column.length


@pytest.mark.parametrize(("name", "expected"), MYSQL)
def test_mysql_types(name: str, expected: tuple[str, str, int]) -> None:
    export = export_type("mysql", ColumnType(name))
    assert parquet_column(export) == expected


@pytest.mark.parametrize(("name", "expected"), POSTGRESQL)
def test_postgresql_types(name: str, expected: tuple[str, str, int]) -> None:
    export = export_type("postgresql", ColumnType(name))
    assert parquet_column(export) == expected


@pytest.mark.parametrize(
    ("precision", "scale", "expected", "named"),
    [
        (1, 0, ("INT32", "DECIMAL", 0), "int32 (DECIMAL(1,0))"),
        (9, 2, ("INT32", "DECIMAL", 0), "int32 (DECIMAL(9,2))"),
        (10, 0, ("INT64", "DECIMAL", 0), "int64 (DECIMAL(10,0))"),
        (18, 18, ("INT64", "DECIMAL", 0), "int64 (DECIMAL(18,18))"),
        (19, 0, ("FIXED_LEN_BYTE_ARRAY", "DECIMAL", 9), "fixed_len_byte_array(9) (DECIMAL(19,0))"),
        (
            38,
            9,
            ("FIXED_LEN_BYTE_ARRAY", "DECIMAL", 16),
            "fixed_len_byte_array(16) (DECIMAL(38,9))",
        ),
        (39, 0, ("BYTE_ARRAY", "UTF8", 0), "binary (UTF8)"),
        (65, 30, ("BYTE_ARRAY", "UTF8", 0), "binary (UTF8)"),
    ],
)
def test_mysql_decimals_by_their_digits(
    precision: int, scale: int, expected: tuple[str, str, int], named: str
) -> None:
    export = export_type("mysql", ColumnType("decimal", precision=precision, scale=scale))
    assert parquet_column(export) == expected
    assert export.parquet == named


@pytest.mark.parametrize("precision", range(1, 39))
def test_manifest_names_the_width_that_parquet_uses(precision: int) -> None:
    export = export_type("mysql", ColumnType("decimal", precision=precision, scale=0))
    physical, _, length = parquet_column(export)
    written = f"{physical.lower()}({length})" if length else physical.lower()
    assert export.parquet == f"{written} (DECIMAL({precision},0))"


def test_unsigned_decimal_is_a_decimal() -> None:
    export = export_type("mysql", ColumnType("decimal unsigned", precision=10, scale=2))
    assert export.arrow == pa.decimal128(10, 2)
