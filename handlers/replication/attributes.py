"""From DynamoDB's JSON to plain JSON, numbers digit by digit.

DynamoDB writes a number as text of up to 38 digits (AWS, "Supported data types"); no type of
Python that `json` writes holds them all, so the JSON is written here. Sets become sorted arrays,
bytes stay the base64 that streams and exports hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import Any

_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class NotDynamoDB(ValueError):
    """What should be an attribute value is none; the text holds no value."""


def json_of_item(item: Mapping[str, Any]) -> str:
    """Return a map of attributes as a JSON object."""
    members = (f"{encode_basestring(name)}:{json_of(value)}" for name, value in item.items())
    return f"{{{','.join(members)}}}"


def json_of(attribute: Mapping[str, Any]) -> str:
    """Return an attribute value, such as ``{"N": "12.50"}``, as JSON."""
    try:
        ((kind, value),) = attribute.items()
        return _WRITERS[kind](value)
    except (AttributeError, KeyError, TypeError, InvalidOperation, ValueError):
        raise NotDynamoDB("not an attribute value of DynamoDB") from None


def _number(text: str) -> str:
    """Return the digits as they are, unless JSON writes them otherwise (``.5``, ``+1``)."""
    if _JSON_NUMBER.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise NotDynamoDB("not a number")
    return str(Decimal(text))


def _array(members: list[str]) -> str:
    return f"[{','.join(members)}]"


_WRITERS: dict[str, Callable[[Any], str]] = {
    "S": encode_basestring,
    "N": _number,
    "B": encode_basestring,
    "BOOL": lambda value: "true" if value else "false",
    "NULL": lambda value: "null",
    "SS": lambda values: _array([encode_basestring(value) for value in sorted(values)]),
    "NS": lambda values: _array([_number(value) for value in sorted(values, key=Decimal)]),
    "BS": lambda values: _array([encode_basestring(value) for value in sorted(values)]),
    "M": json_of_item,
    "L": lambda values: _array([json_of(value) for value in values]),
}
