"""The comparison finds every difference there can be between a table and its copy."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from rehearsal.replication.comparison import compare
from rehearsal.replication.values import matches

DIGITS = "12345678901234567890123456789012345678"

EQUAL: list[tuple[dict[str, Any] | None, Any, str]] = [
    (None, None, "bigint"),
    ({"NULL": True}, None, "varchar(9)"),
    ({"S": ""}, "", "varchar(9)"),
    ({"S": "ü 🦄"}, "ü 🦄", "longtext"),
    ({"N": DIGITS}, Decimal(DIGITS), "decimal(65,20)"),
    ({"N": "1.50"}, Decimal("1.5"), "decimal(65,20)"),
    ({"N": "7"}, 7, "bigint"),
    ({"BOOL": True}, 1, "tinyint(1)"),
    ({"N": "0.5"}, 0.5, "double"),
    ({"B": "AAH/"}, b"\x00\x01\xff", "varbinary(9)"),
    ({"S": "2024-02-29"}, date(2024, 2, 29), "date"),
    ({"S": "2024-02-29T01:00:00+01:00"}, datetime(2024, 2, 29), "datetime(6)"),
    ({"N": "1.5"}, datetime(1970, 1, 1, 0, 0, 1, 500_000), "datetime(6)"),
    ({"SS": ["b", "a"]}, '["a", "b"]', "json"),
    ({"NS": ["10", "9"]}, "[9, 10]", "json"),
    ({"M": {"a": {"L": [{"N": "1.10"}, {"NULL": True}]}}}, '{"a": [1.1, null]}', "longtext"),
    ({"S": "{"}, "{", "longtext"),
    ({"S": "text"}, '"text"', "json"),
]
DIFFERENT: list[tuple[dict[str, Any] | None, Any, str]] = [
    (None, "", "varchar(9)"),
    ({"S": ""}, None, "varchar(9)"),
    ({"NULL": True}, "NULL", "varchar(9)"),
    ({"S": "a"}, "a ", "varchar(9)"),
    ({"S": "ü"}, "Ã¼", "longtext"),
    ({"N": DIGITS}, Decimal("1.2345678901234567e37"), "decimal(65,20)"),
    ({"BOOL": True}, 0, "tinyint(1)"),
    ({"B": "AAH/"}, b"AAH/", "varbinary(9)"),
    ({"S": "2024-02-29T01:00:00+01:00"}, datetime(2024, 2, 29, 1), "datetime(6)"),
    ({"SS": ["a"]}, '["a", "a"]', "json"),
    ({"L": [{"N": "1"}, {"N": "2"}]}, "[2, 1]", "json"),
    ({"M": {"a": {"N": "1"}}}, '{"a": "1"}', "json"),
    ({"M": {"a": {"N": "1"}}}, '{"a": 1, "b": 2}', "json"),
    ({"M": {"a": {"BOOL": True}}}, '{"a": false}', "json"),
    ({"M": {"a": {"NULL": True}}}, "{}", "json"),
]


@pytest.mark.parametrize(("value", "read", "type_"), EQUAL)
def test_these_are_the_same(value: dict[str, Any] | None, read: Any, type_: str) -> None:
    assert matches(value, read, type_)


@pytest.mark.parametrize(("value", "read", "type_"), DIFFERENT)
def test_these_are_not(value: dict[str, Any] | None, read: Any, type_: str) -> None:
    assert not matches(value, read, type_)


FLOW = {
    "key": ["id"],
    "columns": [
        {"name": "id", "path": ["id"], "type": "bigint"},
        {"name": "city", "path": ["at", "city"], "type": "varchar(9)"},
    ],
}


def item(number: int, city: str) -> dict[str, Any]:
    return {"id": {"N": str(number)}, "at": {"M": {"city": {"S": city}}}}


def differences(rows: list[tuple[Any, ...]], *items: dict[str, Any]) -> list[str]:
    found = compare(iter(items), rows, FLOW)
    assert found.count == len(found.told)
    return found.told


def test_a_copy_is_equal_in_any_order() -> None:
    found = compare(iter([item(1, "a"), item(2, "b")]), [(2, "b"), (1, "a")], FLOW)
    assert (found.items, found.rows, found.count) == (2, 2, 0)


def test_each_difference_is_told() -> None:
    (missing,) = differences([], item(1, "a"))
    assert missing == "(1,) is in DynamoDB and not in the copy"
    (extra,) = differences([(1, "a")])
    assert extra == "(1,) is in the copy and not in DynamoDB"
    (double,) = differences([(1, "a"), (1, "a")], item(1, "a"))
    assert double == "1 rows have the key of another one"
    (other,) = differences([(1, "b")], item(1, "a"))
    assert other.startswith("(1,): city is 'b'")


def test_many_differences_are_counted() -> None:
    found = compare(iter(item(n, "a") for n in range(25)), [], FLOW)
    assert (found.count, len(found.told)) == (25, 10)
