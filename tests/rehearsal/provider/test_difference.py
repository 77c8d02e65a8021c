"""What the engine is told to have changed, and what of it makes a new resource."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.drivers.registry import Driver
from rehearsal.provider.difference import changes
from tests.rehearsal.provider.plugin import UNKNOWN


class Transfer(Driver):
    """A type of which three paths cannot be changed in place."""

    token = "test:index:Transfer"
    required = "name params rules labels"
    replace_on = "name params.data_path rule.tls.version"

    def create(self, *_: Any) -> NoReturn:
        raise NotImplementedError

    def read(self, *_: Any) -> NoReturn:
        raise NotImplementedError

    def delete(self, *_: Any) -> NoReturn:
        raise NotImplementedError


def told(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Return path -> kind, as the engine shows it."""
    return {each.path: each.kind for each in changes(Transfer(), old, new)}


def replacing(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [each.path for each in changes(Transfer(), old, new) if each.replaces]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": "update"}),
        ({}, {"a": 1}, {"a": "add"}),
        ({"a": 1}, {}, {"a": "delete"}),
        ({"a": 1}, {"a": None}, {"a": "update"}),
        ({"a": True}, {"a": 1}, {"a": "update"}),
        ({"a": 5}, {"a": "5"}, {"a": "update"}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 1, "d": 3}}}, {"a.b.d": "update"}),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, {"a.b": "delete", "a.c": "add"}),
        ({"a": {}}, {"a": []}, {"a": "update"}),
        ({"a": {"b": 1}}, {"a": "b"}, {"a": "update"}),
        ({}, {"a": {"b": 1}}, {"a": "add"}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a[1]": "update"}),
        ({"a": [1]}, {"a": [1, 2, 3]}, {"a[1]": "add", "a[2]": "add"}),
        ({"a": [1, 2]}, {"a": []}, {"a[0]": "delete", "a[1]": "delete"}),
        ({"a": [{"b": [1]}]}, {"a": [{"b": [2]}]}, {"a[0].b[0]": "update"}),
    ],
)
def test_each_value_that_differs_is_told_by_its_path(old, new, changed) -> None:
    assert told(old, new) == changed


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("plain_Key9", "labels.plain_Key9"),
        ("9lives", "labels.9lives"),
        ("attribute.aws_role", 'labels["attribute.aws_role"]'),
        ("a[0]", 'labels["a[0]"]'),
        ("aws:cloudformation", 'labels["aws:cloudformation"]'),
        ('say "hi"', r'labels["say \"hi\""]'),
        ("größe", 'labels["größe"]'),
        ("a\\b", 'labels["a\\b"]'),
    ],
)
def test_a_key_is_quoted_as_the_engine_quotes_it(key: str, path: str) -> None:
    """As PropertyPath.String of pulumi/pulumi does: only a quote is escaped."""
    assert told({"labels": {key: 1}}, {"labels": {key: 2}}) == {path: "update"}
    assert told({"labels": {}}, {"labels": {key: {"in": 2}}}) == {path: "add"}
    assert told({"labels": {key: {"in": 1}}}, {"labels": {key: {"in": 2}}}) == {
        f"{path}.in": "update"
    }


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"name": "a"}, {"name": "b"}, ["name"]),
        ({}, {"name": "b"}, ["name"]),
        ({"params": {"data_path": "a"}}, {"params": {"data_path": "b"}}, ["params.data_path"]),
        ({"params": {}}, {"params": {"data_path": "b"}}, ["params.data_path"]),
        # With the parent goes, or comes, the value.
        ({"params": {"data_path": "a"}}, {}, ["params"]),
        ({}, {"params": {"data_path": "a"}}, ["params"]),
        ({"params": {"data_path": "a"}}, {"params": UNKNOWN}, ["params"]),
        # What lies below cannot be changed either.
        ({"params": {"data_path": ["a"]}}, {"params": {"data_path": ["b"]}}, None),
        ({"name": {"first": "a"}}, {"name": {"first": "b"}}, ["name.first"]),
        ({"rule": {"tls": {"version": 1}}}, {"rule": {"tls": {}}}, ["rule.tls.version"]),
        ({"rule": {"tls": {"version": 1}}}, {"rule": {}}, ["rule.tls"]),
    ],
)
def test_what_cannot_be_changed_in_place_replaces(old, new, paths) -> None:
    assert replacing(old, new) == (["params.data_path[0]"] if paths is None else paths)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"params": {"data_path_x": "a"}}, {"params": {"data_path_x": "b"}}),
        ({"params": {"data": "a"}}, {"params": {"data": "b"}}),
        ({"data_path": "a"}, {"data_path": "b"}),
        ({"names": "a"}, {"names": "b"}),
        ({"nam": "a"}, {"nam": "b"}),
        ({"labels": {"name": "a"}}, {"labels": {"name": "b"}}),
        ({"labels": {"params.data_path": 1}}, {"labels": {"params.data_path": 2}}),
        ({"rule": {"tls": {"ciphers": 1}}}, {"rule": {"tls": {"ciphers": 2}}}),
    ],
)
def test_what_only_looks_like_it_is_changed_in_place(old, new) -> None:
    assert told(old, new)
    assert replacing(old, new) == []


DOCUMENT: dict[str, Any] = {"Statement": [{"Action": ["s3:Get*"], "Deny": True}], "Version": "x"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (json.dumps(DOCUMENT), json.dumps(DOCUMENT, indent=2)),
        (json.dumps(DOCUMENT), json.dumps(dict(reversed(DOCUMENT.items())))),
        ("[1, 2]", "[1,2]"),
        ('{"a": "ü"}', '{"a": "\\u00fc"}'),
        ('{"a": 1.0}', '{"a": 1}'),
    ],
)
def test_documents_that_mean_the_same_are_no_difference(old: str, new: str) -> None:
    assert told({"policy": old}, {"policy": new}) == {}
    assert told({"rules": [{"policy": old}]}, {"rules": [{"policy": new}]}) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[1, 2]", "[2, 1]"),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": 1, "b": null}'),
        ('{"a": "1 2"}', '{"a": "12"}'),
        ("{a: 1}", "{a:  1}"),
        ("[not json", "[no json"),
        ("{}", "[]"),
        ("1", "1.0"),
        ("word", " word"),
    ],
)
def test_documents_and_words_that_differ_are_told(old: str, new: str) -> None:
    assert told({"policy": old}, {"policy": new}) == {"policy": "update"}


def test_what_is_not_known_yet_differs_from_everything_known() -> None:
    old = {"a": "x", "b": {"c": 1}, "d": [1], "e": "same"}
    new = {"a": UNKNOWN, "b": {"c": UNKNOWN}, "d": UNKNOWN, "e": "same", "f": UNKNOWN}
    assert told(old, new) == {"a": "update", "b.c": "update", "d": "update", "f": "add"}


# Few keys and values, so that two drawings often meet.
TEXTS = st.sampled_from(["a", "b", "[1]", "[ 1]", "[true]", '{"a":1,"b":2}', '{"b":2, "a":1.0}'])
LEAVES = st.none() | st.booleans() | st.integers(0, 2) | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c.d", "params"]), inner, max_size=3)
    ),
    max_leaves=8,
)
INPUTS = st.dictionaries(st.sampled_from(["name", "params", "rules", "labels"]), VALUES)


def meaning(value: Any) -> str:
    """Return a text that is the same for what means the same."""
    return json.dumps(_parsed(value), sort_keys=True)


def _parsed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _parsed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_parsed(item) for item in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        # The only decimal here is a whole number.
        return ["document", json.loads(value, parse_float=lambda text: int(float(text)))]
    return value


@given(INPUTS)
def test_nothing_differs_from_itself(inputs) -> None:
    assert changes(Transfer(), inputs, inputs) == []


@given(INPUTS, INPUTS)
def test_only_what_means_the_same_has_no_difference(old, new) -> None:
    assert (not told(old, new)) == (meaning(old) == meaning(new))


@given(INPUTS, INPUTS)
def test_the_way_back_touches_the_same_paths(old, new) -> None:
    there, back = changes(Transfer(), old, new), changes(Transfer(), new, old)
    assert [(each.path, each.replaces) for each in there] == [
        (each.path, each.replaces) for each in back
    ]
    opposite = {"add": "delete", "delete": "add", "update": "update"}
    assert [each.kind for each in there] == [opposite[each.kind] for each in back]


@given(INPUTS, INPUTS)
def test_each_path_is_told_once(old, new) -> None:
    paths = [each.path for each in changes(Transfer(), old, new)]
    assert len(paths) == len(set(paths))
