"""What the transform writes, LOAD DATA reads back exactly: any value of any type, in MariaDB."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from replication.changes import change_of
from tests.handlers.replication.kit import change, flow
from tests.handlers.replication.mysql_kit import Warehouse

TYPES = {
    "text": "longtext",
    "short": "varchar(20)",
    "flag": "tinyint(1)",
    "small": "int",
    "large": "bigint",
    "exact": "decimal(38,9)",
    "widest": "decimal(65,30)",
    "approximate": "double",
    "day": "date",
    "moment": "datetime(6)",
    "second": "datetime(6)",
    "document": "json",
    "anything": "longtext",
    "bytes": "varbinary(20)",
    "blob": "longblob",
}


@pytest.fixture
def warehouse(mariadb: URL, tmp_path: Path) -> Iterator[Warehouse]:
    columns = [{"name": name, "path": [name], "type": kind} for name, kind in TYPES.items()]
    key = {"name": "id", "path": ["id"], "type": "varchar(8)"}
    made = Warehouse(mariadb, flow(key=["id"], columns=[key, *columns]), tmp_path)
    yield made
    made.close()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# What CSV, MySQL and this route's NULL make special.
SPECIAL = ['"', ",", "\n", "\r", "\\", "N", "NULL", "\x00", "'", " ", "%", "\u2028", "é", "😀"]
awkward = st.lists(st.sampled_from(SPECIAL), max_size=20).map("".join)
numbers = st.decimals(-(10**29) + 1, 10**29 - 1, places=9)
doubles = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
moments = st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30))


def documents(numbers: st.SearchStrategy[Decimal]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts | numbers,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ).filter(lambda value: value is not None)


def attribute(value: Any) -> dict[str, Any]:
    """A value as DynamoDB writes it."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, float):
        return {"N": repr(value)}
    if isinstance(value, bytes):
        return {"B": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return {"L": [attribute(each) for each in value]}
    if isinstance(value, dict):
        return {"M": {name: attribute(each) for name, each in value.items()}}
    return {"S": value}


ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "text": texts | awkward,
        "short": awkward.filter(lambda text: len(text) <= 20),
        "flag": st.booleans(),
        "small": st.integers(-(2**31), 2**31 - 1),
        "large": st.integers(-(2**63), 2**63 - 1),
        "exact": numbers,
        "widest": st.decimals(-(10**8) + 1, 10**8 - 1, places=30),
        "approximate": doubles,
        "day": st.dates(date(1000, 1, 1)),
        "moment": moments,
        "second": st.decimals(-(10**9), 10**10, places=6),
        "document": documents(st.decimals(-(10**9), 10**9, places=6)),
        "anything": documents(numbers).filter(lambda value: not isinstance(value, str)),
        "bytes": st.binary(max_size=20),
        "blob": st.binary(max_size=60),
    },
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(items=st.lists(ITEMS, min_size=1, max_size=4), data=st.data())
def test_every_value_is_read_back_exactly(
    warehouse: Warehouse, items: list[dict[str, Any]], data: st.DataObject
) -> None:
    warehouse.empty()
    records = []
    for number, item in enumerate(items):
        image = {name: attribute(written(name, value, data)) for name, value in item.items()}
        records.append(change_of(change(number, {"id": {"S": str(number)}, **image})).data)
    warehouse.load(warehouse.put(records))
    for item, row in zip(items, warehouse.rows(), strict=True):
        for name in TYPES:
            assert same(name, item.get(name), row[name]), (name, item.get(name), row[name])


def written(name: str, value: Any, data: st.DataObject) -> Any:
    """A value as an application would put it into its item."""
    if isinstance(value, datetime):
        hours = data.draw(st.integers(-14, 14))
        zone = timezone(timedelta(hours=hours)) if abs(hours) < 13 else timezone.utc
        return value.replace(tzinfo=timezone.utc).astimezone(zone).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def same(name: str, value: Any, read: Any) -> bool:
    if value is None:
        return read is None
    if name in {"document", "anything"}:
        return bool(_plain(json.loads(read, parse_float=Decimal)) == _plain(value))
    if name == "second":
        return bool(read == datetime(1970, 1, 1) + timedelta(microseconds=int(value * 10**6)))
    return bool(read == value)


def _plain(value: Any) -> Any:
    """Numbers by value: JSON does not tell 1 from 1.0."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float, Decimal)):
        return ("number", Decimal(value))
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def test_a_bare_null_is_not_the_text_null_nor_the_empty_text(warehouse: Warehouse) -> None:
    images: list[dict[str, Any]] = [
        {"text": {"S": "NULL"}, "short": {"S": ""}, "bytes": {"B": ""}},
        {"text": {"NULL": True}, "short": {"NULL": True}, "bytes": {"NULL": True}},
        {},
    ]
    warehouse.load(
        warehouse.put(
            change_of(change(number, {"id": {"S": str(number)}, **image})).data
            for number, image in enumerate(images)
        )
    )
    found = [(row["text"], row["short"], row["bytes"]) for row in warehouse.rows()]
    assert found == [("NULL", "", b""), (None, None, None), (None, None, None)]
