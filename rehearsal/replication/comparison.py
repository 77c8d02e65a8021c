"""Compares a DynamoDB table with the MySQL table that is its copy, row for row, value for value."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rehearsal.replication.values import Value, at, matches

# So many differences are told; the rest is counted.
_TOLD = 10


@dataclass
class Differences:
    """What differs: `told` are lines about the first few of `count`."""

    items: int = 0
    rows: int = 0
    count: int = 0
    told: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Count a difference, and tell of it while there are few."""
        self.count += 1
        if len(self.told) < _TOLD:
            self.told.append(line)


def compare(
    items: Iterator[Mapping[str, Value]], rows: Sequence[Sequence[Any]], flow: Mapping[str, Any]
) -> Differences:
    """Hold the *items* of the table against the *rows* of its copy.

    *flow* has the `columns` (`name`, `path`, `type`) in the order of the rows' values, and the
    names of the `key` columns.
    """
    columns = flow["columns"]
    where = [[column["name"] for column in columns].index(name) for name in flow["key"]]
    copied = {tuple(row[i] for i in where): row for row in rows}
    found = Differences(rows=len(rows))
    if len(copied) != len(rows):
        found.add(f"{len(rows) - len(copied)} rows have the key of another one")
    for item in items:
        found.items += 1
        key = tuple(_key(item, columns[i]) for i in where)
        row = copied.pop(key, None)
        if row is None:
            found.add(f"{key} is in DynamoDB and not in the copy")
            continue
        for column, read in zip(columns, row, strict=True):
            value = at(item, column["path"])
            if not matches(value, read, column["type"]):
                found.add(f"{key}: {column['name']} is {read!r}, and {value!r} in DynamoDB")
    for key in copied:
        found.add(f"{key} is in the copy and not in DynamoDB")
    return found


def _key(item: Mapping[str, Value], column: Mapping[str, Any]) -> Any:
    """Return a key attribute as the driver reads its column."""
    value = at(item, column["path"]) or {}
    if "B" in value:
        return b64decode(value["B"])
    if "N" in value:
        whole = column["type"] in ("int", "bigint")
        return int(value["N"]) if whole else Decimal(value["N"])
    return value.get("S")
