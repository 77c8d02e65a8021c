"""From a JSON value to a field of the loader's CSV: one converter per column, made once.

A converter returns what the csv module is to write: text, which it quotes, or a number, which it
does not. It refuses what the column's type cannot hold exactly, by a reason that names the column
and the rule, never the value: nothing is cut, rounded or guessed.

Rules encoded (MySQL, "Integer Types", "The DATE, DATETIME, and TIMESTAMP Types", "The JSON Data
Type"; RFC 3339, section 5.6). A DATETIME holds the years 1000 to 9999 and six digits of a second.
The path of a column that is not there, or is NULL at any place, is NULL; the empty string is text.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, TypeAlias

from replication import exact_json
from replication.column_types import ColumnType
from replication.flow import Column

Field: TypeAlias = "str | int | float | Decimal"
Converter: TypeAlias = Callable[[Any], Field]

_EPOCH = datetime(1970, 1, 1)  # a DATETIME has no zone; this one means UTC
_MICROSECOND = timedelta(microseconds=1)
_FIRST_YEAR = 1000
_INTEGERS = {"int": 2**31, "bigint": 2**63}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]{1,6})0*)?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_EXACT = Context(prec=1_000)


class Unfit(ValueError):
    """A value that its column cannot hold; the text is the reason and holds no value."""


class _Null(int):
    """The bare word NULL: the csv module takes it for a number, and does not quote it."""

    def __str__(self) -> str:
        return "NULL"


NULL = _Null()


def converter(column: Column) -> Converter:
    """Return the converter of a column's values that are not NULL."""
    return _MAKERS[column.type.kind](".".join(column.path), column.type)


def _varchar(name: str, kind: ColumnType) -> Converter:
    size = kind.size
    long = f"{name}: longer than {size} characters"
    wrong = f"{name}: not a string, which {kind} is for"

    def convert(value: Any) -> Field:
        if type(value) is not str:
            raise Unfit(wrong)
        if len(value) > size:
            raise Unfit(long)
        return value

    return convert


def _longtext(name: str, kind: ColumnType) -> Converter:
    def convert(value: Any) -> Field:
        return value if type(value) is str else exact_json.dumps(value)

    return convert


def _json(name: str, kind: ColumnType) -> Converter:
    wrong = f"{name}: has a number that MySQL's json does not hold exactly; use longtext"

    def convert(value: Any) -> Field:
        try:
            return exact_json.dumps(value, for_mysql=True)
        except exact_json.NotHeld:
            raise Unfit(wrong) from None

    return convert


def _boolean(name: str, kind: ColumnType) -> Converter:
    wrong = f"{name}: neither true nor false"

    def convert(value: Any) -> Field:
        if value is True or value is False:
            return int(value)
        if type(value) is int and value in (0, 1):
            return value
        raise Unfit(wrong)

    return convert


def _integer(name: str, kind: ColumnType) -> Converter:
    bound = _INTEGERS[kind.kind]
    wrong = f"{name}: not a whole number that {kind} holds"

    def convert(value: Any) -> Field:
        if type(value) is not int:
            value = _whole(value, wrong)
        if -bound <= value < bound:
            return int(value)
        raise Unfit(wrong)

    return convert


def _whole(value: Any, wrong: str) -> int:
    """Return the whole number that was written with a point or an exponent."""
    number = _number(value, wrong)
    if number.adjusted() > 30 or number != number.to_integral_value():
        raise Unfit(wrong)
    return int(number)


def _number(value: Any, wrong: str) -> Decimal:
    if type(value) is Decimal:
        return value
    if type(value) is float:
        return Decimal(repr(value))
    if type(value) is int:
        return Decimal(value)
    raise Unfit(wrong)


def _decimal(name: str, kind: ColumnType) -> Converter:
    wrong = f"{name}: not a number"
    long = f"{name}: has more digits than {kind} holds"
    last_place = Decimal(1).scaleb(-kind.scale)
    # Refuses what has too many digits with as many after the point, or would have to be rounded.
    exact = Context(prec=kind.size, traps=[InvalidOperation, Inexact])
    scale, digits = kind.scale, kind.size - kind.scale

    def convert(value: Any) -> Field:
        if type(value) is float:
            # Most numbers are short, and seen to fit by their text.
            text = repr(value)
            whole, _, fraction = text.partition(".")
            if len(fraction) <= scale and len(whole) <= digits and "e" not in text:
                return value
        number = _number(value, wrong)
        try:
            number.quantize(last_place, context=exact)
        except ArithmeticError:
            raise Unfit(long) from None
        return number

    return convert


def _double(name: str, kind: ColumnType) -> Converter:
    wrong = f"{name}: not a number that double holds"

    def convert(value: Any) -> Field:
        if type(value) is float:
            return value
        number = _number(value, wrong)
        if math.isinf(number):
            raise Unfit(wrong)
        return number

    return convert


def _date(name: str, kind: ColumnType) -> Converter:
    wrong = f"{name}: not a date such as 2026-11-20 in the years 1000 to 9999"

    def convert(value: Any) -> Field:
        if type(value) is str and _DATE.fullmatch(value):
            try:
                if date.fromisoformat(value).year >= _FIRST_YEAR:
                    return value
            except ValueError:
                pass
        raise Unfit(wrong)

    return convert


def _datetime(name: str, kind: ColumnType) -> Converter:
    wrong = (
        f"{name}: not a time such as 2026-11-20T03:05:12Z, or seconds since 1970, "
        "in the years 1000 to 9999 and of at most six digits of a second"
    )

    def convert(value: Any) -> Field:
        try:
            text = _from_text(value) if type(value) is str else _from_seconds(value, wrong)
        except (ValueError, OverflowError):
            raise Unfit(wrong) from None
        if text < "1000":
            raise Unfit(wrong)
        return text

    return convert


def _from_text(value: str) -> str:
    """Return a time of RFC 3339 as MySQL writes it, in UTC."""
    found = _RFC3339.fullmatch(value)
    if not found:
        raise ValueError("not RFC 3339")
    day, time, fraction, sign, hours, minutes = found.groups()
    text = f"{day} {time}"
    local = datetime.fromisoformat(text)  # refuses a 30th of February
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        text = (local - offset if sign == "+" else local + offset).isoformat(" ")
    return f"{text}.{fraction}" if fraction else text


def _from_seconds(value: Any, wrong: str) -> str:
    """Return the time that is so many seconds after 1970, in UTC."""
    if type(value) is int:
        return (_EPOCH + timedelta(seconds=value)).isoformat(" ")
    micros = _whole(_number(value, wrong).scaleb(6, _EXACT), wrong)
    return (_EPOCH + micros * _MICROSECOND).isoformat(" ", "microseconds")


def _binary(name: str, kind: ColumnType) -> Converter:
    size = kind.size
    wrong = f"{name}: not bytes in base64, which {kind} is for"
    long = f"{name}: longer than {size} bytes"

    def convert(value: Any) -> Field:
        if type(value) is not str:
            raise Unfit(wrong)
        try:
            content = b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise Unfit(wrong) from None
        if size and len(content) > size:
            raise Unfit(long)
        return b64encode(content).decode("ascii")

    return convert


_MAKERS: dict[str, Callable[[str, ColumnType], Converter]] = {
    "varchar": _varchar,
    "longtext": _longtext,
    "json": _json,
    "boolean": _boolean,
    "int": _integer,
    "bigint": _integer,
    "decimal": _decimal,
    "double": _double,
    "date": _date,
    "datetime": _datetime,
    "varbinary": _binary,
    "longblob": _binary,
}
