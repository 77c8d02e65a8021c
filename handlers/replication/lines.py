"""From a record of the delivery stream to a line of CSV that LOAD DATA reads back exactly.

A record is ``{"op": "upsert" | "delete", "sequence": "<digits>", "item": {...}}``. A line is one of
the flow's marks (for an upsert or a delete), the sequence and the flow's columns, by RFC 4180 with
a newline: text in quotes, quotes in it doubled, no other escapes, numbers and the word NULL bare,
bytes as base64. Of a delete all but the key columns are NULL, and its item is not held against the
schema: it has nothing but the key.

The csv module writes it (its ``QUOTE_NONNUMERIC`` quotes what is not a number) and hands each line
to a file's ``write``; here that is `str.encode`, whose answer `writerow` returns. The newline is
added here: the module would look for it at every character, though all text is quoted.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

from replication import exact_json
from replication.conversion import NULL, Converter, Unfit, converter
from replication.flow import Column, Flow
from replication.validation import checker

MAX_SEQUENCE_DIGITS = 57  # a stream's label, and its SequenceNumber: see `changes`

LineWriter: TypeAlias = Callable[[bytes], bytes]
# Of a column: the attribute, the way into it, the converter, what to say if there must be a value.
_Step: TypeAlias = "tuple[str | None, tuple[str, ...], Converter, str | None]"


def line_writer(flow: Flow) -> LineWriter:
    """Return the function that makes a line of a record; it raises Unfit with the reason.

    This is where the transform's time goes: everything that does not depend on the record is made
    here, once, and nothing is made per record but its values.
    """
    check = checker(flow.schema)
    upsert = [_step(column, flow) for column in flow.columns]
    # No attribute has the name None: whatever the item has, these columns are NULL.
    delete = [
        step if column.name in flow.key else (None, *step[1:])
        for column, step in zip(flow.columns, upsert, strict=True)
    ]
    upserted, deleted = flow.marks
    write = _csv_row()

    def line(data: bytes) -> bytes:
        text, record = _parsed(data)
        operation, item = record.get("op"), record.get("item")
        if type(item) is not dict:
            raise Unfit("the record has no item")
        if operation == "upsert":
            if check:
                check(item, text)
            return write(_fill([upserted, _sequence(record)], item, upsert)) + b"\n"
        if operation == "delete":
            return write(_fill([deleted, _sequence(record)], item, delete)) + b"\n"
        raise Unfit("the record's op is neither upsert nor delete")

    return line


def sequence_of(data: bytes) -> str | None:
    """Return the sequence of a record, as far as it can be read."""
    try:
        return str(_sequence(_parsed(data)[1]))
    except Unfit:
        return None


def _parsed(data: bytes) -> tuple[str, dict[str, Any]]:
    try:
        text = data.decode()
        record = exact_json.loads(text)
    except (ValueError, ArithmeticError, RecursionError):
        raise Unfit("the record is not JSON in UTF-8") from None
    if type(record) is not dict:
        raise Unfit("the record is not a JSON object")
    return text, record


def _sequence(record: dict[str, Any]) -> int:
    digits = record.get("sequence")
    if (
        type(digits) is str
        and len(digits) <= MAX_SEQUENCE_DIGITS
        and digits.isascii()
        and digits.isdigit()
    ):
        return int(digits)
    raise Unfit(f"the record's sequence is not a text of 1 to {MAX_SEQUENCE_DIGITS} digits")


def _step(column: Column, flow: Flow) -> _Step:
    name = ".".join(column.path)
    needed = f"{name}: missing or NULL, and part of the key" if column.name in flow.key else None
    return column.path[0], column.path[1:], converter(column), needed


def _fill(row: list[Any], item: dict[Any, Any], steps: list[_Step]) -> list[Any]:
    """Append the columns' values to a row."""
    for name, way, convert, needed in steps:
        value = item.get(name)
        if way and value is not None:
            value = _inside(value, way)
        if value is not None:
            row.append(convert(value))
        elif needed:
            raise Unfit(needed)
        else:
            row.append(NULL)
    return row


def _inside(value: Any, way: tuple[str, ...]) -> Any:
    """Return what is inside a map of maps, or None."""
    for name in way:
        if type(value) is not dict:
            raise Unfit(f"{name}: to be found in what is not a map")
        value = value.get(name)
        if value is None:
            break
    return value


def _csv_row() -> Callable[[list[Any]], bytes]:
    # Nothing is ever escaped: the character that would be is in no text that has a UTF-8. Without
    # one, Python 3.10 takes NUL for it.
    writer = csv.writer(
        SimpleNamespace(write=str.encode),
        quoting=csv.QUOTE_NONNUMERIC,
        lineterminator="",
        escapechar="\ud800",
    )
    return cast("Callable[[list[Any]], bytes]", writer.writerow)
