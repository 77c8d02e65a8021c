"""DynamoDB's JSON becomes plain JSON with the very same values."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import Binary, TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st

from replication.attributes import NotDynamoDB, json_of, json_of_item

# A number has up to 38 significant digits, and lies between 1E-130 and 9.99...E+125.
digits = st.integers(-(10**38) + 1, 10**38 - 1)
numbers = st.builds(
    lambda number, place: Decimal(number).scaleb(place), digits, st.integers(-90, 80)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.builds(lambda value: {"S": value}, texts),
    st.builds(lambda value: {"N": str(value)}, numbers),
    st.builds(lambda value: {"N": format(value.scaleb(-38), "f")}, digits.map(Decimal)),
    st.builds(lambda value: {"B": base64.b64encode(value).decode()}, st.binary(max_size=8)),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda value: {"SS": value}, st.lists(texts, min_size=1, max_size=4, unique=True)),
    st.builds(
        lambda values: {"NS": [str(value) for value in values]},
        st.lists(digits, min_size=1, max_size=4, unique=True),
    ),
    st.builds(
        lambda values: {"BS": [base64.b64encode(value).decode() for value in values]},
        st.lists(st.binary(max_size=4), min_size=1, max_size=4, unique=True),
    ),
)
attributes = st.recursive(
    scalars,
    lambda inner: (
        st.builds(lambda value: {"L": value}, st.lists(inner, max_size=4))
        | st.builds(lambda value: {"M": value}, st.dictionaries(texts, inner, max_size=4))
    ),
    max_leaves=12,
)


def plain(value: Any) -> Any:
    """What boto3 makes of an attribute, as JSON can say it."""
    if isinstance(value, Binary):
        # boto3 takes bytes; streams and exports hold base64, which is what stays.
        return bytes(value.value).decode()  # type: ignore[attr-defined]
    if isinstance(value, set):
        return sorted((plain(each) for each in value), key=lambda each: each)
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value


def bytes_in(attribute: Any) -> Any:
    """An attribute as boto3 wants it: base64 as bytes."""
    ((kind, value),) = attribute.items()
    if kind == "B":
        return {kind: value.encode()}
    if kind == "BS":
        return {kind: [each.encode() for each in value]}
    if kind == "L":
        return {kind: [bytes_in(each) for each in value]}
    if kind == "M":
        return {kind: {name: bytes_in(each) for name, each in value.items()}}
    return attribute


@given(attributes)
def test_every_attribute_means_what_boto3_reads_in_it(attribute: dict[str, Any]) -> None:
    expected = plain(TypeDeserializer().deserialize(bytes_in(attribute)))
    read = json.loads(json_of(attribute), parse_float=Decimal, parse_int=Decimal)
    assert read == expected


@pytest.mark.parametrize(
    ("written", "json_text"),
    [
        ("12.50", "12.50"),
        ("-0", "-0"),
        ("1E+125", "1E+125"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        (".5", "0.5"),
        ("+7", "7"),
        ("007", "7"),
        ("5.", "5"),
    ],
)
def test_digits_stay_as_they_are_where_json_has_them(written: str, json_text: str) -> None:
    assert json_of({"N": written}) == json_text


def test_text_is_escaped_as_json_and_no_more() -> None:
    item = {"ü": {"S": 'é"\\\n\x00😀'}}
    assert json_of_item(item) == '{"ü":"é\\"\\\\\\n\\u0000😀"}'
    assert json.loads(json_of_item(item)) == {"ü": 'é"\\\n\x00😀'}


@pytest.mark.parametrize(
    "attribute",
    [
        *({}, {"S": "a", "N": "1"}, {"X": "a"}, {"N": "NaN"}, {"N": "Infinity"}, {"N": "1_0"}),
        *({"N": "one"}, {"N": 1}, {"S": 1}, {"M": []}, {"L": [{"N": "x"}]}, "S", None),
    ],
)
def test_what_is_no_attribute_is_refused_without_its_value(attribute: Any) -> None:
    with pytest.raises(NotDynamoDB, match=r"^not a"):
        json_of(attribute)
