"""JSON whose numbers keep their digits.

A double holds every decimal number of up to 15 significant digits exactly enough to give the same
number back (C's ``DBL_DIG``; Python's ``repr`` is the shortest text that reads as the same double).
Such a number is parsed as a float, or an int if it is written as one: schema rules compare it as
any validator does, the encoder written in C writes it, and MySQL's JSON type holds it. A longer
one is a Decimal, which that encoder refuses, and is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, NoReturn

_SAFE_LENGTH = 16  # 15 digits and the point
_SAFE_INTEGER_LENGTH = 18  # fewer digits than 2 ** 63
_MIN_INTEGER = -(2**63)
_MAX_INTEGER = 2**64 - 1


class NotHeld(ValueError):
    """A value has a number that MySQL's JSON type does not hold."""


def _fraction(text: str) -> float | Decimal:
    if len(text) <= _SAFE_LENGTH and "e" not in text and "E" not in text:
        return float(text)
    return Decimal(text)


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _SAFE_INTEGER_LENGTH else Decimal(text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _not_safe(value: object) -> NoReturn:
    raise TypeError(type(value).__name__)


_decoder = json.JSONDecoder(parse_float=_fraction, parse_int=_integer, parse_constant=_no_constant)
_encoder = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False, default=_not_safe
)


def loads(text: str) -> Any:
    """Parse JSON; a ValueError says that it is none."""
    value, end = _decoder.raw_decode(text)
    if end != len(text) and text[end:].strip():
        raise ValueError("more than one JSON value")
    return value


def dumps(value: Any, *, for_mysql: bool = False) -> str:
    """Return a value as JSON, every number with exactly its value.

    `for_mysql` refuses a number that MySQL's JSON type would change: it keeps whole numbers of 64
    bits, signed or unsigned, and reads all others as doubles (MySQL, "The JSON Data Type").
    """
    try:
        return _encoder.encode(value)
    except TypeError:
        if for_mysql and not all(_is_held(number) for number in _decimals(value)):
            raise NotHeld from None
        return "".join(_pieces(value))


def _is_held(number: Decimal) -> bool:
    if _MIN_INTEGER <= number <= _MAX_INTEGER and number == number.to_integral_value():
        return True
    return Decimal(repr(float(number))) == number


def _decimals(value: Any) -> Iterator[Decimal]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _decimals(each)
    elif isinstance(value, Decimal):
        yield value


def _pieces(value: Any) -> Iterator[str]:
    """Yield the JSON of a value that has a Decimal somewhere."""
    if isinstance(value, Decimal):
        yield str(value)
    elif isinstance(value, dict):
        yield "{"
        for number, (name, each) in enumerate(value.items()):
            yield f"{',' if number else ''}{encode_basestring(name)}:"
            yield from _pieces(each)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, each in enumerate(value):
            yield "," if number else ""
            yield from _pieces(each)
        yield "]"
    else:
        yield _encoder.encode(value)
