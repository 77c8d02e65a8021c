"""Is a column's value what the item's attribute says? Said once more, by other means.

The functions of the route turn DynamoDB's JSON into CSV; this compares DynamoDB's values with what
a driver reads from the table. What both agree on is what the route promises. Strings in columns of
documents, and documents in columns of text, are compared as JSON with exact numbers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

Value = Mapping[str, Any]


def at(item: Mapping[str, Value], path: Sequence[str]) -> Value | None:
    """Return the value at *path* of an item in DynamoDB's JSON, None where there is none."""
    value = item.get(path[0])
    for name in path[1:]:
        value = value["M"].get(name) if value is not None and "M" in value else None
    return value


def matches(value: Value | None, read: Any, type_: str) -> bool:
    """Say whether *read*, of a column of *type_*, is what became of *value*."""
    if value is None or "NULL" in value:
        return read is None
    if read is None:
        return False
    ((kind, content),) = value.items()
    column = type_.partition("(")[0]
    if column == "json" or kind in ("M", "L", "SS", "NS", "BS"):
        return _same(value, json.loads(read, parse_float=Decimal, parse_int=Decimal))
    return bool(_SCALARS.get(column, _number)(kind, content, read))


def _number(kind: str, content: Any, read: Any) -> bool:
    return Decimal(int(content) if kind == "BOOL" else content) == Decimal(read)


def _double(kind: str, content: Any, read: Any) -> bool:
    return kind == "N" and bool(float(content) == read)


def _text(kind: str, content: Any, read: Any) -> bool:
    return kind in ("S", "N") and content == read


def _bytes(kind: str, content: Any, read: Any) -> bool:
    return kind == "B" and base64.b64decode(content) == read


def _date(kind: str, content: Any, read: Any) -> bool:
    return kind == "S" and date.fromisoformat(content) == read


def _time(kind: str, content: Any, read: Any) -> bool:
    if kind == "N":
        when = datetime.fromtimestamp(float(content), timezone.utc)
    else:
        when = datetime.fromisoformat(content.replace("Z", "+00:00"))
    return bool(when.astimezone(timezone.utc).replace(tzinfo=None) == read)


_SCALARS: Mapping[str, Callable[[str, Any, Any], bool]] = {
    "double": _double,
    "varchar": _text,
    "longtext": _text,
    "varbinary": _bytes,
    "longblob": _bytes,
    "date": _date,
    "datetime": _time,
}


def _same(value: Value, document: Any) -> bool:
    """Compare a value with parsed JSON; sets have no order."""
    ((kind, content),) = value.items()
    if kind == "M":
        return (
            isinstance(document, dict)
            and content.keys() == document.keys()
            and all(_same(inner, document[name]) for name, inner in content.items())
        )
    if kind == "L":
        return (
            isinstance(document, list)
            and len(content) == len(document)
            and all(map(_same, content, document))
        )
    if kind in ("SS", "BS"):
        return isinstance(document, list) and sorted(content) == sorted(document)
    if kind == "NS":
        return isinstance(document, list) and sorted(map(Decimal, content)) == sorted(document)
    if kind == "N":
        return isinstance(document, Decimal) and Decimal(content) == document
    return document is None if kind == "NULL" else bool(content == document)
