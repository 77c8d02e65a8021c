"""The stream function: what goes into the delivery stream, and from where Lambda tries again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from replication.changes import MAX_RECORD
from replication.delivery import BACKOFF, Delivery, requests_of
from replication.lines import MAX_SEQUENCE_DIGITS
from replication.stream import Services, deliver
from shared.retry import Backoff
from tests.handlers.replication.kit import (
    SOURCE,
    STREAM,
    Clock,
    FakeFirehose,
    Log,
    change,
    fail,
    metrics_in,
    placed,
    refuse,
    refuse_all,
)


class Function:
    """The stream function with everything around it."""

    def __init__(self, *answers: Callable[[int], Any], left: float = 60.0) -> None:
        self.firehose = FakeFirehose(list(answers))
        self.clock = Clock(left)
        self.log = Log()
        backoff = Backoff(
            attempts=BACKOFF.attempts,
            first=BACKOFF.first,
            longest=BACKOFF.longest,
            sleep=self.clock.sleep,
            dice=lambda: 1.0,
        )
        self.services = Services(
            service="shop",
            flow="page-views",
            delivery=lambda: Delivery(self.firehose, STREAM, backoff),
            logger=self.log.logger,
        )

    def __call__(self, records: list[dict[str, Any]]) -> list[str]:
        answer = deliver(records, self.services, self.clock.seconds_left)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    @property
    def sequences(self) -> list[str]:
        return [json.loads(data)["sequence"] for data in self.firehose.accepted]


def changes(count: int, first: int = 100) -> list[dict[str, Any]]:
    return [change(first + n, {"page_id": {"S": "a"}}) for n in range(count)]


def test_a_change_is_its_new_image_and_a_removal_its_key() -> None:
    function = Function()
    image = {"page_id": {"S": "é"}, "price": {"N": "12.50"}}
    assert function([change(7, image, name="INSERT"), change(8, None, name="REMOVE")]) == []
    assert function.firehose.accepted == [
        f'{{"op":"upsert","sequence":"{placed(7)}",'
        '"item":{"page_id":"é","price":12.50}}'.encode(),
        f'{{"op":"delete","sequence":"{placed(8)}","item":{{"page_id":"a","at":1}}}}'.encode(),
    ]


def test_a_batch_goes_in_requests_of_500_in_order() -> None:
    function = Function()
    assert function(changes(1_201)) == []
    assert [len(call) for call in function.firehose.calls] == [500, 500, 201]
    assert function.sequences == [placed(100 + n) for n in range(1_201)]


@given(st.lists(st.integers(1, MAX_RECORD), max_size=40) | st.lists(st.just(10), max_size=1_600))
def test_requests_keep_both_limits_and_every_record(sizes: list[int]) -> None:
    records = [bytes(size) for size in sizes]
    requests = list(requests_of(records))
    assert [index for request in requests for index in request] == list(range(len(records)))
    for request in requests:
        assert 0 < len(request) <= 500
        encoded = sum(4 * ((sizes[index] + 2) // 3) for index in request)
        assert encoded <= 4_000_000


def test_only_what_was_not_accepted_is_sent_again(capsys: pytest.CaptureFixture[str]) -> None:
    function = Function(refuse(1, 3), refuse(0))
    assert function(changes(5)) == []
    assert [len(call) for call in function.firehose.calls] == [5, 2, 1]
    assert sorted(function.sequences) == [placed(number) for number in range(100, 105)]
    # What gets through is no reason to wait for longer and longer.
    assert function.clock.pauses == [0.2, 0.2]
    assert metrics_in(capsys.readouterr().out) == {
        "StreamRecords": 5,
        "StreamResends": 3,
        "StreamFailures": 0,
        "flow": "page-views",
        "service": "shop",
    }


def unreachable(size: int) -> Any:
    raise EndpointConnectionError(endpoint_url="https://firehose.eu-west-1.amazonaws.com")


@pytest.mark.parametrize(
    "answer",
    [
        *(fail("ServiceUnavailableException", 503), fail("ThrottlingException"), unreachable),
        *(fail("InternalFailure", 500), fail("AnythingNew", 502)),
    ],
)
def test_a_request_that_is_turned_away_is_sent_again(answer: Callable[[int], Any]) -> None:
    function = Function(answer, answer)
    assert function(changes(3)) == []
    assert [len(call) for call in function.firehose.calls] == [3, 3, 3]


def test_nothing_is_sent_after_what_was_finally_not_accepted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    function = Function(refuse(), refuse_all, *[refuse_all] * BACKOFF.attempts)
    assert function(changes(1_400)) == ["600"]
    assert [len(call) for call in function.firehose.calls] == [500] * (1 + BACKOFF.attempts)
    assert len(function.firehose.accepted) == 500
    assert metrics_in(capsys.readouterr().out)["StreamFailures"] == 900
    assert function.log.lines[-1]["sequence"] == "600"


def test_the_lowest_of_a_request_is_where_lambda_goes_on() -> None:
    function = Function(*[lambda size: {size - 1, size - 2} if size > 2 else {0, 1}] * 20)
    assert function(changes(5)) == ["103"]


def test_it_stops_in_time() -> None:
    function = Function(*[refuse_all] * 20, left=13.0)
    assert function(changes(1)) == ["100"]
    assert function.clock.left >= 11.0
    late = Function(left=1.0)
    assert late(changes(501)) == ["600"]
    assert len(late.firehose.calls) == 1


def test_a_refusal_for_good_is_not_repeated() -> None:
    function = Function(fail("ResourceNotFoundException"))
    assert function(changes(3)) == ["100"]
    assert len(function.firehose.calls) == 1
    assert "ResourceNotFoundException" in function.log.lines[-1]["reason"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (change(102, None, view="KEYS_ONLY"), "no NewImage: the stream's view type is KEYS_ONLY"),
        (
            change(102, {"secret": {"S": "x" * MAX_RECORD}}),
            "1,024,107 bytes; Firehose takes 1,024,000",
        ),
        (change(102, {"secret": {"N": "x"}}), "not an item of DynamoDB: NotDynamoDB"),
        (change(102, {"secret": {"S": "\ud800"}}), "not an item of DynamoDB: UnicodeEncodeError"),
    ],
)
def test_a_change_that_cannot_be_carried_is_reported_and_the_others_go(
    bad: dict[str, Any], reason: str
) -> None:
    function = Function()
    assert function([*changes(2), bad, *changes(2, 103)]) == ["102"]
    assert function.sequences == [placed(number) for number in (100, 101, 103, 104)]
    (line,) = function.log.lines
    assert (line["sequence"], line["reason"]) == ("102", reason)
    assert len(line["key"]) == 16
    assert "secret" not in function.log.text
    assert "xxx" not in function.log.text


def test_the_largest_record_that_firehose_takes_goes() -> None:
    frame = len(f'{{"op":"upsert","sequence":"{placed(7)}","item":{{"a":""}}}}')
    function = Function()
    assert function([change(7, {"a": {"S": "x" * (MAX_RECORD - frame)}})]) == []
    assert len(function.firehose.accepted[0]) == MAX_RECORD
    assert function([change(7, {"a": {"S": "x" * (MAX_RECORD - frame + 1)}})]) == ["7"]


def test_a_later_stream_is_later_whatever_its_numbers() -> None:
    """A table that was made again, or its stream switched off and on, may begin lower."""
    function = Function()
    later = SOURCE.replace("03:00:00.000", "03:00:00.001")
    image = {"page_id": {"S": "a"}, "at": {"N": "1"}}
    assert function([change("9" * 40, image), change(7, None, name="REMOVE", source=later)]) == []
    old, new = function.sequences
    assert (old, new) == ("20261120030000000" + "9" * 40, "20261120030000001" + "0" * 39 + "7")
    assert len(old) == len(new) == MAX_SEQUENCE_DIGITS
    assert int(new) > int(old)


@pytest.mark.parametrize(
    ("number", "source", "reason"),
    [
        ("102", "arn:aws:dynamodb:x:1:table/page-views/stream/x", "the label of a stream"),
        ("102", "arn:aws:dynamodb:x:1:table/page-views", "the label of a stream"),
        ("1" * 41, SOURCE, "SequenceNumber is not of 1 to 40 digits"),
    ],
)
def test_a_change_whose_place_cannot_be_told_is_not_carried(
    number: str, source: str, reason: str
) -> None:
    function = Function()
    image = {"page_id": {"S": "a"}}
    assert function([change(number, image, source=source), *changes(1)]) == [number]
    assert len(function.firehose.accepted) == 1
    assert reason in function.log.lines[0]["reason"]


def test_sequences_are_compared_as_numbers() -> None:
    function = Function()
    bad = [change(number, None) for number in ("1000", "999")]
    assert function(bad) == ["999"]
