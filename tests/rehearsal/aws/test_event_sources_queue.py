"""A function is invoked with a queue's messages as Lambda does it; what fails comes back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.aws.cloud import ACCOUNT, LocalAws
from tests.rehearsal.aws.cloud_kit import REGION, local_aws
from tests.rehearsal.aws.event_source_kit import (
    Keeper,
    make_queue,
    name_of,
    receive,
    send,
    settle,
    url_of,
    wait_for_state,
)

FAILS_WITH_POISON = """
def work(event, records, bodies, inbox):
    if any("poison" in body for body in bodies):
        raise ValueError("poison")
"""
REPORTS_POISON = """
def work(event, records, bodies, inbox):
    return {"batchItemFailures": [
        {"itemIdentifier": record["messageId"]} for record in records if "poison" in record["body"]
    ]}
"""
REPORT = ["ReportBatchItemFailures"]


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as cloud:
        yield cloud


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return name_of(str(request.node.name))


def redriven(aws: LocalAws, name: str, times: int) -> tuple[str, str]:
    """Make a queue that gives messages up after so many receives, and its dead-letter queue."""
    dead = make_queue(aws, f"{name}-dead")
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": times})
    return make_queue(aws, name, RedrivePolicy=policy), dead


def test_an_event_has_the_documented_form(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, queue = Keeper(aws, name, tmp_path), make_queue(aws, name)
    aws.client("sqs").send_message(
        QueueUrl=url_of(aws, queue),
        MessageBody="hello",
        MessageAttributes={
            "kind": {"DataType": "String", "StringValue": "test"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        },
    )
    keeper.read(queue)
    settle(aws)
    ((record,),) = (event["Records"] for event in keeper.events())
    assert re.fullmatch("[0-9a-f-]{36}", record.pop("messageId"))
    assert record.pop("receiptHandle")
    attributes = record.pop("attributes")
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} < set(attributes)
    assert attributes["ApproximateReceiveCount"] == "1"
    assert record == {
        "body": "hello",
        "messageAttributes": {
            "kind": {
                "stringValue": "test",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            },
            "raw": {
                "binaryValue": "AAE=",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Binary",
            },
        },
        "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
        "awsRegion": REGION,
    }


def test_messages_that_succeed_are_gone(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, queue = Keeper(aws, name, tmp_path), make_queue(aws, name)
    send(aws, queue, *(str(number) for number in range(12)))
    mapping = keeper.read(queue)
    settle(aws)
    assert sorted(len(batch) for batch in keeper.batches()) == [2, 10]
    assert receive(aws, queue) == []
    told = aws.client("lambda").get_event_source_mapping(UUID=mapping)
    assert told["LastProcessingResult"] == "OK"


def test_a_batch_may_be_larger_than_what_is_received_at_once(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper, queue = Keeper(aws, name, tmp_path), make_queue(aws, name)
    send(aws, queue, *(str(number) for number in range(25)))
    keeper.read(queue, BatchSize=25, MaximumBatchingWindowInSeconds=300)
    settle(aws)
    assert [len(batch) for batch in keeper.batches()] == [25]


def test_a_failed_message_comes_back_and_ends_with_the_dead(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper = Keeper(aws, name, tmp_path, FAILS_WITH_POISON)
    queue, dead = redriven(aws, name, 3)
    keeper.read(queue, BatchSize=1)
    send(aws, queue, '{"poison": 1}', '{"fine": 1}')
    settle(aws)
    assert sorted(keeper.records()) == ['{"fine": 1}', *['{"poison": 1}'] * 3]
    counts = [
        each["Records"][0]["attributes"]["ApproximateReceiveCount"]
        for each in keeper.events()
        if "poison" in each["Records"][0]["body"]
    ]
    assert counts == ["1", "2", "3"]
    assert receive(aws, dead) == [{"poison": 1}]


def test_without_reporting_a_whole_batch_comes_back(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper = Keeper(aws, name, tmp_path, FAILS_WITH_POISON)
    queue, dead = redriven(aws, name, 2)
    send(aws, queue, '"poison"', '"fine"')
    keeper.read(queue)
    settle(aws)
    assert [sorted(batch) for batch in keeper.batches()] == [['"fine"', '"poison"']] * 2
    assert sorted(receive(aws, dead)) == ["fine", "poison"]


@pytest.mark.parametrize("asked", [True, False])
def test_reported_messages_alone_come_back_where_that_is_switched_on(
    aws: LocalAws, name: str, tmp_path: Path, asked: bool
) -> None:
    keeper = Keeper(aws, name, tmp_path, REPORTS_POISON)
    queue, dead = redriven(aws, name, 2)
    send(aws, queue, '"poison"', '"fine"')
    keeper.read(queue, FunctionResponseTypes=REPORT if asked else [])
    settle(aws)
    again = [['"poison"']] if asked else []
    assert [sorted(batch) for batch in keeper.batches()] == [['"fine"', '"poison"'], *again]
    assert receive(aws, dead) == (["poison"] if asked else [])


def test_waiting_for_the_visibility_timeout_is_shortened_and_working_is_not(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    """With the timeout itself shortened, the message would come while it is being worked on."""
    code = """
import time

def work(event, records, bodies, inbox):
    time.sleep(1.5)
    if len(list(inbox.glob("*.json"))) < 2:
        raise ValueError("once")
"""
    keeper = Keeper(aws, name, tmp_path, code)
    queue = make_queue(aws, name, VisibilityTimeout="600")
    keeper.read(queue)
    send(aws, queue, "one")
    started = time.monotonic()
    settle(aws)
    assert keeper.records() == ["one", "one"]
    assert time.monotonic() - started < 30


def test_no_more_at_a_time_than_the_mapping_says(aws: LocalAws, name: str, tmp_path: Path) -> None:
    code = """
import time

def work(event, records, bodies, inbox):
    mine = inbox / f"{records[0]['messageId']}.running"
    mine.touch()
    (inbox / f"{len(list(inbox.glob('*.running')))}.seen").touch()
    time.sleep(0.1)
    mine.unlink()
"""
    keeper, queue = Keeper(aws, name, tmp_path, code), make_queue(aws, name)
    send(aws, queue, *(str(number) for number in range(12)))
    keeper.read(queue, BatchSize=1, ScalingConfig={"MaximumConcurrency": 2})
    settle(aws)
    assert sorted(path.stem for path in keeper.inbox.glob("*.seen"))[-1] == "2"
    assert len(keeper.records()) == 12


def test_throttled_messages_come_back(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, queue = Keeper(aws, name, tmp_path), make_queue(aws, name)
    lambda_ = aws.client("lambda")
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    keeper.read(queue)
    send(aws, queue, "one")
    assert not aws.event_sources.wait_idle(0.3)
    lambda_.delete_function_concurrency(FunctionName=name)
    settle(aws)
    assert keeper.records() == ["one"]
    (event,) = keeper.events()
    assert int(event["Records"][0]["attributes"]["ApproximateReceiveCount"]) > 1


def test_filters_leave_messages_out_and_delete_them(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper, queue = Keeper(aws, name, tmp_path), make_queue(aws, name)
    pattern = json.dumps({"body": {"kind": ["view"], "n": [{"numeric": [">", 1]}]}})
    keeper.read(queue, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    wanted, unwanted = '{"kind": "view", "n": 2}', '{"kind": "view", "n": 1}'
    send(aws, queue, wanted, unwanted, "no json", '{"kind": "click", "n": 2}')
    settle(aws)
    assert keeper.records() == [wanted]


def test_text_is_filtered_as_text(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, queue = Keeper(aws, name, tmp_path), make_queue(aws, name)
    pattern = json.dumps({"body": [{"prefix": "view"}]})
    keeper.read(queue, FilterCriteria={"Filters": [{"Pattern": pattern}]})
    send(aws, queue, "view 1", "click 1")
    settle(aws)
    assert keeper.records() == ["view 1"]


def test_nothing_is_received_while_a_mapping_is_off(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper, queue = Keeper(aws, name, tmp_path), make_queue(aws, name)
    mapping = keeper.read(queue)
    lambda_: Any = aws.client("lambda")
    lambda_.update_event_source_mapping(UUID=mapping, Enabled=False)
    wait_for_state(aws, mapping, "Disabled")
    send(aws, queue, "one")
    assert aws.event_sources.is_idle()
    assert keeper.records() == []
    lambda_.update_event_source_mapping(UUID=mapping, Enabled=True)
    wait_for_state(aws, mapping, "Enabled")
    settle(aws)
    assert keeper.records() == ["one"]
