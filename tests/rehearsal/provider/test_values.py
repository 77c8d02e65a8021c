"""Values cross the protocol unchanged, but for the marks of what is secret."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.provider.values import has_unknown, plain, struct
from tests.rehearsal.provider.plugin import UNKNOWN, secret, wire

# A struct holds numbers as doubles: whole ones are exact up to 2**53.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
PROPERTIES = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)


@given(PROPERTIES)
def test_what_is_sent_arrives(values: dict[str, Any]) -> None:
    assert plain(struct(values)) == values


@given(PROPERTIES)
def test_a_property_that_was_marked_secret_arrives_as_it_was(values: dict[str, Any]) -> None:
    assert plain(struct(values, secrets=values)) == values


@given(PROPERTIES, VALUES)
def test_a_secret_is_unwrapped_however_deep(values: dict[str, Any], hidden: Any) -> None:
    nested = [secret({"inner": secret(hidden), "more": [secret(hidden)]})]
    sent = struct({**values, "deep": nested})
    assert plain(sent) == {**values, "deep": [{"inner": hidden, "more": [hidden]}]}


@pytest.mark.parametrize("value", [1, 30, 0, -7, 2**40])
def test_a_whole_number_is_an_integer_again(value: int) -> None:
    """A client of the cloud would write 30.0 otherwise, and be refused."""
    (arrived,) = plain(struct({"days": [value]}))["days"]
    assert repr(arrived) == repr(value)


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_stays_one(value: bool) -> None:
    assert plain(struct({"enabled": value}))["enabled"] is value


def test_only_the_named_properties_are_marked() -> None:
    values = {"id": "AKIA", "key": "hush", "params": {"key": "hush"}}
    assert wire(struct(values, ["key"])) == {**values, "key": secret("hush")}
    assert wire(struct(values, ["params"])) == {**values, "params": secret({"key": "hush"})}


def test_a_property_that_is_not_there_is_not_made_up_by_its_mark() -> None:
    assert wire(struct({"id": "AKIA"}, ["key"])) == {"id": "AKIA"}


def test_an_unknown_stays_unknown_to_the_engine() -> None:
    """Inside a secret, the engine would take the mark of it for the value."""
    assert wire(struct({"key": UNKNOWN}, ["key"])) == {"key": UNKNOWN}
    assert plain(struct({"key": UNKNOWN})) == {"key": UNKNOWN}


@given(PROPERTIES)
def test_known_values_have_nothing_unknown(values: dict[str, Any]) -> None:
    assert not has_unknown(values)


@pytest.mark.parametrize("value", [UNKNOWN, [1, UNKNOWN], {"a": [{"b": UNKNOWN}]}])
def test_an_unknown_is_found_however_deep(value: Any) -> None:
    assert has_unknown({"known": 1, "nested": value})
