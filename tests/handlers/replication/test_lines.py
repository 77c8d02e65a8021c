"""Records, keys, paths, deletes and the schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from replication.conversion import Unfit
from replication.lines import line_writer, sequence_of
from shared.errors import InvalidInput
from tests.handlers.replication.kit import FLOW, flow, record, upsert

ITEM = {"page_id": "a", "at": 1}


def test_a_delete_is_its_key_and_nothing_else() -> None:
    # A column that shows a key's attribute once more is no key column.
    twin = {"name": "twin", "path": ["page_id"], "type": "varchar(64)"}
    of = flow(columns=[*FLOW["columns"], twin], schema={"required": ["hits"]})
    line = line_writer(of)(record({**ITEM, "hits": 5}, 7, "delete")).decode()
    assert line == f'"{of.marks[1]}",7,"a",1,NULL,NULL,NULL,NULL\n'


def test_an_upsert_is_the_flows_columns_in_their_order() -> None:
    write = line_writer(flow())
    item = {"client": {"country": "DE", "x": 1}, "unknown": 1, "hits": 3, **ITEM}
    assert write(record(item, "100000000003498069978")) == upsert(
        100000000003498069978, '"a"', 1, 3, '"DE"', "NULL"
    )


def test_a_line_says_for_which_columns_it_was_written() -> None:
    """Values of a file that was written before a change of the columns would go astray."""
    columns = FLOW["columns"]
    wider = [*columns[:2], {**columns[2], "type": "bigint"}, *columns[3:]]
    swapped = [*columns[:3], columns[4], columns[3]]
    marks = {flow(columns=each).marks for each in (columns, wider, swapped, columns[:4])}
    assert len(marks) == 4
    moved = [*columns[:2], {**columns[2], "path": ["counts", "hits"]}, *columns[3:]]
    assert flow(columns=moved).marks == flow().marks


@pytest.mark.parametrize("client", [None, {}, {"country": None}])
def test_a_way_that_ends_early_is_null(client: Any) -> None:
    write = line_writer(flow())
    assert write(record({**ITEM, "client": client})).endswith(b",1,NULL,NULL,NULL\n")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (record({"page_id": "a"}), "at: missing or NULL, and part of the key"),
        (record({"page_id": None, "at": 1}), "page_id: missing or NULL, and part of the key"),
        (record({"at": 1}, 1, "delete"), "page_id: missing or NULL, and part of the key"),
        (record({**ITEM, "client": "DE"}), "country: to be found in what is not a map"),
        (record(ITEM, "1.5"), "the record's sequence is not a text of 1 to 57 digits"),
        (record(ITEM, ""), "the record's sequence"),
        (record(ITEM, "9" * 58), "the record's sequence"),
        (record(ITEM, "\u0661"), "the record's sequence"),
        (record(ITEM, 1, "update"), "the record's op is neither upsert nor delete"),
        (b'{"op":"upsert","sequence":"1","item":[]}', "the record has no item"),
        (b'{"op":"upsert","sequence":1,"item":{}}', "the record's sequence"),
        (b"[]", "the record is not a JSON object"),
        (b"\xff", "the record is not JSON in UTF-8"),
        (b"", "the record is not JSON in UTF-8"),
        (b"[" * 100_000, "the record is not JSON in UTF-8"),
        (b'{"op":NaN}', "the record is not JSON in UTF-8"),
    ],
)
def test_a_record_that_cannot_be_a_line_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unfit) as told:
        line_writer(flow())(data)
    assert str(told.value).startswith(reason)


def test_the_sequence_is_found_even_of_a_record_that_failed() -> None:
    assert sequence_of(record({}, 7)) == "7"
    assert sequence_of(b"no json") is None


SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["hits"],
    "properties": {
        "hits": {"type": "integer", "minimum": 0},
        "client": {"type": "object", "properties": {"country": {"enum": ["DE", "FR"]}}},
        "share": {"type": "number", "minimum": 0.1, "exclusiveMaximum": 0.7, "multipleOf": 0.1},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "when": {"type": "string", "format": "date-time"},
        "card": {"type": "string", "pattern": "^[0-9]{4}$"},
        "level": {"enum": [0.1, 1, None]},
        "kind": {"if": {"const": 1}, "then": {"const": 1}, "else": {"type": "string"}},
        "calls": {"additionalProperties": {"type": "number"}},
        "os.name": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    "rest",
    [
        '"hits":0',
        '"hits":1.0',
        '"hits":1E2',
        '"hits":123456789012345678901234567890',
        '"hits":1,"share":0.1',
        '"hits":1,"share":0.6',
        '"hits":1,"share":0.60000000000000000000',
        '"hits":1,"level":0.1',
        '"hits":1,"level":0.10000000000000000000',
        '"hits":1,"level":null',
        '"hits":1,"tags":["a","b"],"kind":1',
        '"hits":1,"when":"2026-11-20T03:05:12Z"',
    ],
)
def test_numbers_are_held_against_the_schema_as_json_numbers(rest: str) -> None:
    write = line_writer(flow(columns=FLOW["columns"][:2], schema=SCHEMA))
    data = f'{{"op":"upsert","sequence":"1","item":{{"page_id":"a","at":1,{rest}}}}}'
    assert write(data.encode()).endswith(b'",1,"a",1\n')


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ('"x":1', 'the item: breaks the schema\'s required: ["hits"]'),
        ('"hits":-1', "hits: breaks the schema's minimum: 0"),
        ('"hits":"4111-1111"', 'hits: breaks the schema\'s type: "integer"'),
        ('"hits":true', 'hits: breaks the schema\'s type: "integer"'),
        ('"hits":1,"client":{"country":"X"}', 'client.country: breaks the schema\'s enum: ["DE"'),
        ('"hits":1,"share":0.7', "share: breaks the schema's exclusiveMaximum: 0.7"),
        ('"hits":1,"share":0.05', "share: breaks the schema's minimum: 0.1"),
        ('"hits":1,"share":0.15', "share: breaks the schema's multipleOf: 0.1"),
        ('"hits":1,"tags":["a",1]', 'tags[1]: breaks the schema\'s type: "string"'),
        ('"hits":1,"tags":["a","a"]', "tags: breaks the schema's uniqueItems: true"),
        ('"hits":1,"when":"4111"', 'when: breaks the schema\'s format: "date-time"'),
        ('"hits":1,"card":"4111-1111"', 'card: breaks the schema\'s pattern: "^[0-9]{4}$"'),
        ('"hits":1,"os.name":1', 'os.name: breaks the schema\'s type: "string"'),
        # Who was called is content, though it is a name in the item.
        ('"hits":1,"calls":{"4111":"x"}', 'calls.*: breaks the schema\'s type: "number"'),
        ('"hits":1,"calls":{"a[4111]\\n":"x"}', 'calls.*: breaks the schema\'s type: "number"'),
    ],
)
def test_a_broken_schema_is_a_place_and_a_rule(rest: str, reason: str) -> None:
    write = line_writer(flow(schema=SCHEMA))
    data = f'{{"op":"upsert","sequence":"1","item":{{"page_id":"a","at":1,{rest}}}}}'
    with pytest.raises(Unfit) as told:
        write(data.encode())
    assert str(told.value).startswith(reason)
    assert "4111" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_schema_changes_no_value() -> None:
    schema = {"properties": {"hits": {"default": 5}}}
    assert b",1,NULL," in line_writer(flow(schema=schema))(record(ITEM))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "strnig"}, "flow.json: the schema is wrong: Unknown type"),
        ({"$ref": "https://example.com/s.json"}, "refers to https://example.com/s.json"),
    ],
)
def test_a_schema_that_is_wrong_is_told_before_any_record(schema: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as told:
        line_writer(flow(schema=schema))
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": [{"name": "a", "path": ["a"]}]}, "flow.json: KeyError: 'type'"),
        (
            {"columns": [{"name": "a", "path": ["a"], "type": "enum"}]},
            "'enum' is not a column type",
        ),
        ({"key": []}, "key names []"),
        ({"key": ["page_id", "nope"]}, "key names ['nope'], which are not columns"),
        ({"columns": [*FLOW["columns"], FLOW["columns"][0]]}, "two columns have the same name"),
        (
            {"columns": [*FLOW["columns"], {"name": "HITS", "path": ["x"], "type": "int"}]},
            "two columns have the same name",
        ),
        (
            {"columns": [*FLOW["columns"], {"name": "ferry_op", "path": ["x"], "type": "int"}]},
            "'ferry_op' is not a name",
        ),
        ({"table": "a`b"}, "'a`b' is not a name"),
        ({"key": ["page_id", "raw", "hits", "country"]}, None),
        (
            {"key": ["day"], "columns": [{"name": "day", "path": ["day"], "type": "date"}]},
            "day: date cannot be a key",
        ),
    ],
)
def test_a_flow_that_is_wrong_is_one_line(changes: dict[str, Any], said: str | None) -> None:
    if said is None:
        assert len(flow(**changes).key_columns) == 4
        return
    with pytest.raises(InvalidInput) as told:
        flow(**changes)
    assert said in str(told.value)


@pytest.mark.parametrize(
    "kind",
    [
        *("varchar(0)", "varchar(16384)", "varbinary(0)", "decimal(66,0)", "decimal(5,6)"),
        *("decimal(40,31)", "VARCHAR(3)", "text", "int unsigned", "datetime", "tinyint(2)"),
    ],
)
def test_only_the_types_of_the_contract_are_taken(kind: str) -> None:
    with pytest.raises(InvalidInput, match="is not a column type"):
        flow(columns=[*FLOW["columns"], {"name": "x", "path": ["x"], "type": kind}])


def test_a_type_is_written_as_mysql_does() -> None:
    for kind in ("varchar(64)", "longtext", "tinyint(1)", "decimal(12,4)", "datetime(6)", "json"):
        columns = [*FLOW["columns"], {"name": "x", "path": ["x"], "type": kind}]
        assert str(flow(columns=columns).columns[-1].type) == kind
    assert json.dumps(FLOW)
