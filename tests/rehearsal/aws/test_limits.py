from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.aws import limits
from rehearsal.aws.limits import LimitError


def test_a_payload_may_have_256_kib_and_not_a_byte_more() -> None:
    exact = "x" * (limits.PAYLOAD_BYTES - 2)  # two quotes
    limits.check_payload(exact, "the output of state 'A'")
    with pytest.raises(LimitError, match=r"state 'A' has 262,145 bytes; the maximum is 262,144"):
        limits.check_payload(exact + "x", "the output of state 'A'")


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=5))
def test_sizes_count_bytes_of_utf8_json(value: object) -> None:
    assert limits.json_size([value]) == limits.json_size(value) + 2


def test_bytes_are_counted_and_not_characters() -> None:
    assert limits.json_size("é") == 4


def test_all_variables_together_have_10_mib() -> None:
    limits.check_variables({"a": "x" * 1000})
    with pytest.raises(LimitError, match="10 MiB"):
        limits.check_variables({str(i): "x" * limits.PAYLOAD_BYTES for i in range(40)})


def test_a_history_has_25000_events() -> None:
    limits.check_history(24_999)
    with pytest.raises(LimitError, match=r"maximum number of history events \(25000\)"):
        limits.check_history(25_000)


@pytest.mark.parametrize("name", ["shop-stg-export-shop-stg", "a" * 80, "x_y.z", "Ünïcode"])
def test_names_of_machines(name: str) -> None:
    limits.check_name(name, "state machine")


@pytest.mark.parametrize("name", ["", "a" * 81, "rds:shop", "a b", "a/b", "a?", "a\x85b"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(LimitError, match="state machine name"):
        limits.check_name(name, "state machine")


def test_a_definition_has_1_mib() -> None:
    limits.check_definition("x" * 1024 * 1024)
    with pytest.raises(LimitError, match="1 MiB"):
        limits.check_definition("x" * (1024 * 1024 + 1))


def test_the_entries_of_a_put_events_request_count_together() -> None:
    entry = {"Source": "data-ferry", "DetailType": "Export Completed", "Detail": "{}"}
    assert limits.event_entry_size(entry) == 10 + 16 + 2
    assert limits.event_entry_size({**entry, "Time": 1, "Resources": ["arn"]}) == 28 + 14 + 3
    half = {**entry, "Detail": "x" * 150_000}
    limits.check_event_entries([half])
    with pytest.raises(LimitError, match="Export Completed"):
        limits.check_event_entries([half, half])


def test_a_lambda_payload_has_6_mb() -> None:
    limits.check_lambda_payload(6 * 1024 * 1024, "plan", "request")
    with pytest.raises(LimitError, match="the request of function plan"):
        limits.check_lambda_payload(6 * 1024 * 1024 + 1, "plan", "request")
