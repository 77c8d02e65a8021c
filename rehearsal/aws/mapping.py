"""How RDS turns database columns into Parquet columns.

The rules are those of the page "Data conversion when exporting to an Amazon S3 bucket" of the
Amazon RDS and Aurora user guides; one function per engine family. They are written down once, as
pure functions of what the engine's `information_schema.columns` says of a column, and know
nothing of how the values are read.

What `expectedExportedType` looks like in the manifest is not documented by AWS. The spellings
`int32`, `int64`, `double`, `float`, `boolean` and `binary (UTF8)` are those that programs reading
real manifests look for; the others follow the same pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Engine = Literal["mysql", "postgresql"]

#: Parquet's TIMESTAMP_MICROS is an instant in UTC; a type without zone would lose the annotation.
TIMESTAMP_MICROS = pa.timestamp("us", tz="UTC")

#: The widest decimal that Parquet readers share; wider columns are exported as text.
MAX_DECIMAL_DIGITS = 38


@dataclass(frozen=True)
class ColumnType:
    """A column's type in the words of the engine's `information_schema.columns`."""

    name: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    time_precision: int | None = None


@dataclass(frozen=True)
class ExportType:
    """What a column becomes: the type written, and its name in the manifest."""

    arrow: pa.DataType
    parquet: str


_INT16 = ExportType(pa.int16(), "int32 (INT_16)")
_INT32 = ExportType(pa.int32(), "int32")
_INT64 = ExportType(pa.int64(), "int64")
_FLOAT = ExportType(pa.float32(), "float")
_DOUBLE = ExportType(pa.float64(), "double")
_BOOLEAN = ExportType(pa.bool_(), "boolean")
_BYTES = ExportType(pa.binary(), "binary")
_STRING = ExportType(pa.string(), "binary (UTF8)")
_TIMESTAMP = ExportType(TIMESTAMP_MICROS, "int64 (TIMESTAMP_MICROS)")

_MYSQL = {
    "bigint": _INT64,
    "int": _INT32,
    "int unsigned": _INT64,
    "mediumint": _INT32,
    "mediumint unsigned": _INT64,
    "smallint": _INT32,
    "smallint unsigned": _INT32,
    "tinyint": _INT32,
    "tinyint unsigned": _INT16,
    "year": _INT32,
    "double": _DOUBLE,
    "float": _DOUBLE,
    "datetime": _TIMESTAMP,
    "timestamp": _TIMESTAMP,
    # Bytes without the STRING annotation: BigQuery loads all of these as BYTES, CHAR included.
    "char": _BYTES,
    "bit": _BYTES,
    "binary": _BYTES,
    "varbinary": _BYTES,
    "tinyblob": _BYTES,
    "blob": _BYTES,
    "mediumblob": _BYTES,
    "longblob": _BYTES,
    "vector": _BYTES,
    "geometry": _BYTES,
    "point": _BYTES,
    "linestring": _BYTES,
    "polygon": _BYTES,
    "multipoint": _BYTES,
    "multilinestring": _BYTES,
    "multipolygon": _BYTES,
    "geometrycollection": _BYTES,
    "geomcollection": _BYTES,
}

_POSTGRESQL = {
    "bigint": _INT64,
    "integer": _INT32,
    "smallint": _INT16,
    "real": _FLOAT,
    "double precision": _DOUBLE,
    "boolean": _BOOLEAN,
    "bytea": _BYTES,
}


def export_type(engine: Engine, column: ColumnType) -> ExportType:
    """The Parquet type RDS gives a column of this engine."""
    return mysql_export_type(column) if engine == "mysql" else postgresql_export_type(column)


def mysql_export_type(column: ColumnType) -> ExportType:
    """The mapping of Aurora MySQL, RDS for MySQL and RDS for MariaDB.

    Everything not listed is text: VARCHAR, the TEXT family, ENUM, SET, JSON, and also DATE and
    TIME, and MariaDB's UUID and INET types.
    """
    if column.name == "bigint unsigned":
        return decimal_export_type(20, 0)
    if column.name.removesuffix(" unsigned") == "decimal":
        return decimal_export_type(column.precision or 10, column.scale or 0)
    name = column.name
    # Zero or negative is all that UNSIGNED excludes of a floating point number.
    if name in ("double unsigned", "float unsigned"):
        name = name.removesuffix(" unsigned")
    return _MYSQL.get(name, _STRING)


def postgresql_export_type(column: ColumnType) -> ExportType:
    """The mapping of Aurora PostgreSQL and RDS for PostgreSQL.

    Only the integers, the floats, BOOLEAN and BYTEA have a Parquet type of their own; NUMERIC,
    dates, times, JSON, UUID, arrays, ranges, enums and all others are text.
    """
    return _POSTGRESQL.get(column.name, _STRING)


def decimal_export_type(precision: int, scale: int) -> ExportType:
    """MySQL's DECIMAL: INT32, INT64 or fixed-length bytes by its digits; text beyond 38."""
    if precision > MAX_DECIMAL_DIGITS:
        return _STRING
    if precision <= 9:
        physical = "int32"
    elif precision <= 18:
        physical = "int64"
    else:
        physical = f"fixed_len_byte_array({_bytes_for(precision)})"
    return ExportType(pa.decimal128(precision, scale), f"{physical} (DECIMAL({precision},{scale}))")


def _bytes_for(digits: int) -> int:
    """The bytes a signed number of so many decimal digits takes."""
    return (int(10**digits - 1).bit_length() + 8) // 8
