"""Checked conversion of SQLite's values to the engine type of their column.

SQLite stores any kind of value in any column. A real engine would have refused what does not fit
its column, so RDS never meets such a value; here it is an `UnfitValue`, never a silent change.
Conversions look at a whole column at once and go value by value only to find the culprit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rehearsal.aws.mapping import TIMESTAMP_MICROS, Engine
from rehearsal.aws.reader import UnfitValue
from rehearsal.aws.tables import Column

Values = Sequence[Any]
Array = Any  # pyarrow's stubs make every array generic in its scalar type

_RANGES = {
    "tinyint": (-(2**7), 2**7 - 1),
    "tinyint unsigned": (0, 2**8 - 1),
    "smallint": (-(2**15), 2**15 - 1),
    "smallint unsigned": (0, 2**16 - 1),
    "mediumint": (-(2**23), 2**23 - 1),
    "mediumint unsigned": (0, 2**24 - 1),
    "int": (-(2**31), 2**31 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "int unsigned": (0, 2**32 - 1),
    "year": (0, 2155),
}
_DATE_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)"
    r"(?:\.(?P<fraction>\d{1,6})0*)? ?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_TIME = re.compile(r"-?\d{2,3}:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZERO_DATE = re.compile(r"\d{4}-00-\d\d|\d{4}-\d\d-00")
_MIDNIGHT = re.compile(r"[T ]00:00(:00(\.0+)?)?$")
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def convert(engine: Engine, column: Column, values: Values) -> Array:
    """The values as the array that is exported for the column."""
    return _CONVERSIONS.get(column.type.name, _texts)(engine, column, values)


def _kinds(values: Values) -> set[type]:
    return set(map(type, values)) - {type(None)}


def _only(values: Values, *allowed: type) -> None:
    """Refuse values of any other kind."""
    for kind in _kinds(values) - set(allowed):
        raise UnfitValue(_NAMES.get(kind, kind.__name__))


_NAMES: dict[type, str] = {
    int: "an integer",
    float: "a fractional number",
    str: "text",
    bytes: "binary data",
}


def _integers(_engine: Engine, column: Column, values: Values) -> Array:
    _only(values, int)
    array: Any = pa.array(values, pa.int64())
    low, high = _RANGES.get(column.type.name, (-(2**63), 2**63 - 1))
    found: Any = pc.min_max(array).as_py()
    if found["min"] is not None and (found["min"] < low or found["max"] > high):
        raise UnfitValue(f"an integer outside {low} to {high}")
    return array.cast(column.export.arrow)


def _booleans(_engine: Engine, _column: Column, values: Values) -> Array:
    _only(values, int)
    if not {0, 1, None}.issuperset(values):
        raise UnfitValue("an integer other than 0 and 1")
    return pa.array([None if value is None else value == 1 for value in values], pa.bool_())


def _doubles(engine: Engine, _column: Column, values: Values) -> Array:
    _only(values, int, float)
    if int in _kinds(values) and any(
        type(value) is int and int(float(value)) != value for value in values
    ):
        raise UnfitValue("an integer with more digits than a double keeps")
    if engine == "mysql" and any(type(value) is float and math.isinf(value) for value in values):
        raise UnfitValue("infinity, which MySQL does not store")
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _decimals(engine: Engine, column: Column, values: Values) -> Array:
    _only(values, int, float, str)
    texts = [None if value is None else _digits(column, value) for value in values]
    if pa.types.is_decimal(column.export.arrow):
        try:
            return pa.array(texts, pa.string()).cast(column.export.arrow)
        except pa.ArrowInvalid:
            decimals = [None if text is None else _decimal(column, text) for text in texts]
            return pa.array(decimals, column.export.arrow)
    return pa.array([None if text is None else _numeric(column, text) for text in texts])


def _digits(column: Column, value: int | float | str) -> str:
    """The number as text; of a float, the decimal at the column's scale that it stands for.

    SQLite turns decimal text into the nearest float or one beside it, whose shortest name may then
    have more decimals than were written (https://www.sqlite.org/floatingpoint.html). A float
    further away than that was never such a decimal, and keeps all its digits.
    """
    text = str(value)
    scale = column.type.scale
    if not isinstance(value, float) or scale is None or len(text.partition(".")[2]) <= scale:
        return text
    try:
        rounded = Decimal(text).quantize(Decimal(1).scaleb(-scale), context=Context(prec=60))
    except InvalidOperation:  # no decimal type has so many digits
        return text
    near = (value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf))
    return format(rounded, "f") if float(rounded) in near else text


def _decimal(column: Column, text: str) -> Decimal:
    """The number exactly, at the column's scale."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise UnfitValue("text that is no number") from None
    precision, scale = column.type.precision, column.type.scale or 0
    if not number.is_finite():
        raise UnfitValue("a number that is not finite")
    if precision is None:
        return number
    sign, digits, exponent = number.as_tuple()
    whole = "".join(map(str, digits)) + "0" * max(0, int(exponent) + scale)
    surplus = max(0, -int(exponent) - scale)
    if surplus and whole[-surplus:].strip("0"):
        raise UnfitValue(f"a number with more than {scale} decimal(s)")
    kept = (whole[:-surplus] if surplus else whole).lstrip("0")
    if len(kept) > precision:
        raise UnfitValue(f"a number with more than {precision - scale} digit(s) before the point")
    return Decimal((sign, tuple(map(int, kept)), -scale))


def _numeric(column: Column, text: str) -> str:
    """The number as the engines print it: no exponent, all declared decimals."""
    number = _decimal(column, text)
    printed = format(number, "f")
    return printed.removeprefix("-") if not number else printed


def _texts(_engine: Engine, column: Column, values: Values) -> Array:
    """Text; numbers too, as SQLite makes them of text in columns it does not know to be text."""
    _only(values, str, int, float)
    if _kinds(values) - {str}:
        values = [None if value is None else str(value) for value in values]
    return pa.array(values, column.export.arrow)


def _json(engine: Engine, column: Column, values: Values) -> Array:
    _only(values, str, int, float)
    for value in values:
        if isinstance(value, str):
            try:
                json.loads(value)
            except ValueError:
                raise UnfitValue("text that is no JSON") from None
    return _texts(engine, column, values)


def _bytes(_engine: Engine, _column: Column, values: Values) -> Array:
    _only(values, bytes, str)
    return pa.array(values, pa.binary())


def _dates(engine: Engine, _column: Column, values: Values) -> Array:
    _only(values, str)
    texts: Any = pa.array(values, pa.string())
    try:
        texts.cast(pa.date32())
    except pa.ArrowInvalid:
        return pa.array([None if text is None else _date(engine, text) for text in values])
    return texts


def _date(engine: Engine, text: str) -> str:
    # A column of dates is often written with a midnight behind each.
    day = _MIDNIGHT.sub("", text)
    if engine == "mysql" and _ZERO_DATE.fullmatch(day):
        return day
    try:
        # Newer versions of Python would also read other ways of writing a date.
        if _DAY.fullmatch(day):
            return date.fromisoformat(day).isoformat()
    except ValueError:
        pass
    raise UnfitValue("text that is no date (YYYY-MM-DD)")


def _times(_engine: Engine, _column: Column, values: Values) -> Array:
    _only(values, str)
    for text in values:
        if text is not None and not _TIME.fullmatch(text):
            raise UnfitValue("text that is no time (HH:MM:SS)")
    return pa.array(
        [None if text is None else text + ":00" * (text.count(":") == 1) for text in values],
        pa.string(),
    )


def _instants(engine: Engine, values: Values) -> Array:
    """Date and time texts as microseconds; MySQL's zero dates as NULL."""
    _only(values, str)
    texts: Any = pa.array(values, pa.string())
    try:
        return texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        micros = [None if text is None else _micros(engine, text) for text in values]
        return pa.array(micros, pa.int64()).cast(pa.timestamp("us"))


def _micros(engine: Engine, text: str) -> int | None:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise UnfitValue("text that is no date and time (YYYY-MM-DD HH:MM:SS)")
    if engine == "mysql" and _ZERO_DATE.fullmatch(match["day"]):
        return None
    time = (match["time"] or "00:00") + (":00" if len(match["time"] or "00:00") == 5 else "")
    try:
        moment = datetime.fromisoformat(f"{match['day']} {time}")
    except ValueError:
        raise UnfitValue("a date and time that does not exist") from None
    micros = (moment - _EPOCH) // _MICROSECOND + int((match["fraction"] or "0").ljust(6, "0"))
    return micros - _zone_micros(match["zone"])


def _zone_micros(zone: str | None) -> int:
    if not zone or zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return (offset if zone[0] == "+" else -offset) // _MICROSECOND


def _timestamps(engine: Engine, column: Column, values: Values) -> Array:
    """MySQL: an instant. PostgreSQL: the text that its own output has for it, in UTC."""
    instants = _instants(engine, values)
    if column.export.arrow == TIMESTAMP_MICROS:
        return instants.view(TIMESTAMP_MICROS)
    texts = pc.replace_substring_regex(instants.cast(pa.string()), r"(\.\d*?)0*$", r"\1")
    texts = pc.replace_substring_regex(texts, r"\.$", "")
    if column.type.name == "timestamp with time zone":
        return pc.binary_join_element_wise(texts, pa.scalar("+00"), pa.scalar(""))
    return texts


_CONVERSIONS: dict[str, Callable[[Engine, Column, Values], Array]] = {
    **dict.fromkeys((*_RANGES, "bigint"), _integers),
    **dict.fromkeys(("decimal", "numeric", "bigint unsigned"), _decimals),
    **dict.fromkeys(("double", "double precision"), _doubles),
    **dict.fromkeys(("datetime", "timestamp"), _timestamps),
    **dict.fromkeys(("timestamp without time zone", "timestamp with time zone"), _timestamps),
    **dict.fromkeys(("time", "time without time zone"), _times),
    **dict.fromkeys(("longblob", "bytea", "binary", "varbinary"), _bytes),
    **dict.fromkeys(("json", "jsonb"), _json),
    "boolean": _booleans,
    "date": _dates,
}
