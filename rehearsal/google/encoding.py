"""Values as BigQuery's REST API writes them.

Every cell is ``{"v": text or null}``; a repeated one a list of cells, a record ``{"f": [cells]}``
(https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/list). Timestamps follow
``formatOptions`` (https://cloud.google.com/bigquery/docs/reference/rest/v2/DataFormatOptions).
"""

from __future__ import annotations

import base64
import enum
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from rehearsal.google.errors import invalid
from rehearsal.google.schema import Field

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_INT64 = range(-(2**63), 2**63)
_NUMERIC_INTEGER_DIGITS = 29
_NUMERIC_SCALE = 9

_INTEGERS = {
    *("tinyint", "smallint", "integer", "bigint", "hugeint"),
    *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
}
_SIMPLE = {
    **dict.fromkeys(_INTEGERS, "INTEGER"),
    "varchar": "STRING",
    "blob": "BYTES",
    "double": "FLOAT",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
    "timestamp with time zone": "TIMESTAMP",
    "timestamp": "DATETIME",
    "date": "DATE",
    "time": "TIME",
    "json": "JSON",
    '"null"': "INTEGER",
    "null": "INTEGER",
}


class Timestamps(enum.Enum):
    """How TIMESTAMP cells are written."""

    FLOAT64 = "seconds with a fraction"
    INT64 = "microseconds"
    ISO8601_STRING = "2024-01-31T10:00:00.000000Z"


def timestamps_of(options: Mapping[str, Any]) -> Timestamps:
    """The way the caller asked for."""
    output = options.get("timestampOutputFormat")
    if output in (None, "", "TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED"):
        int64 = str(options.get("useInt64Timestamp", "")).lower() == "true"
        return Timestamps.INT64 if int64 else Timestamps.FLOAT64
    if output not in Timestamps.__members__:
        raise invalid(f"Invalid value at 'format_options.timestamp_output_format', {output!r}")
    return Timestamps[str(output)]


def field_of(name: str, kind: Any) -> Field:
    """The BigQuery column of a query result's DuckDB type."""
    ident = str(kind.id)
    if ident in ("list", "array"):
        element = field_of(name, dict(kind.children)["child"])
        if element.mode == "REPEATED":
            raise invalid(f"Column {name} is an array of arrays, which is not supported")
        return Field(name, element.type, "REPEATED", element.fields)
    if ident == "struct":
        return Field(name, "RECORD", fields=tuple(field_of(n, k) for n, k in kind.children))
    if ident == "decimal":
        parts = dict(kind.children)
        integer_digits = parts["precision"] - parts["scale"]
        fits = integer_digits <= _NUMERIC_INTEGER_DIGITS and parts["scale"] <= _NUMERIC_SCALE
        return Field(name, "NUMERIC" if fits else "BIGNUMERIC", scale=parts["scale"])
    known = _SIMPLE.get(str(kind).lower()) or _SIMPLE.get(ident.lower())
    if known is None:
        raise invalid(f"Column {name} has type {kind}, which BigQuery does not know")
    return Field(name, known)


def row_of(values: Sequence[Any], fields: Sequence[Field], how: Timestamps) -> dict[str, Any]:
    """One row."""
    return {"f": [{"v": cell(v, f, how)} for v, f in zip(values, fields, strict=True)]}


def cell(value: Any, field: Field, how: Timestamps) -> Any:
    """The value of one cell."""
    if field.mode == "REPEATED":
        return [{"v": _single(item, field, how)} for item in value or ()]
    return _single(value, field, how)


def _single(value: Any, field: Field, how: Timestamps) -> Any:
    if value is None:
        return None
    if field.type == "RECORD":
        return row_of([value[f.name] for f in field.fields], field.fields, how)
    if field.type == "TIMESTAMP":
        return _timestamp(value, how)
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if value not in _INT64:
            raise invalid(f"int64 overflow: {value}", "invalidQuery")
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value)


def _decimal(value: Decimal) -> str:
    # Not Decimal.normalize(), which rounds to the 28 digits of the default context.
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _timestamp(value: datetime, how: Timestamps) -> str:
    moment = value.astimezone(timezone.utc)
    if how is Timestamps.ISO8601_STRING:
        return moment.strftime(f"{moment.year:04d}-%m-%dT%H:%M:%S.%fZ")
    microseconds = (moment - _EPOCH) // _MICROSECOND
    if how is Timestamps.INT64:
        return str(microseconds)
    return str(Decimal(microseconds).scaleb(-6))
