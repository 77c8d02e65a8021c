"""What a Lambda processor is asked, and what becomes of records, whatever it answers."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rehearsal.aws.functions import Invocation, ThrottledError
from tests.rehearsal.aws.cloud_kit import REGION, make_function, make_role, statement
from tests.rehearsal.aws.firehose_kit import (
    FUNCTION,
    LOGGING,
    QUICK,
    STREAM,
    STREAM_ARN,
    TO_BUCKET,
    TO_LOG,
    Shop,
    data_of,
    ok,
    open_shop,
    processing,
)

Entry = dict[str, Any]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop(wait_scale=QUICK) as opened:
        yield opened


@pytest.fixture
def patient() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened


def transformed(shop: Shop, *parameters: tuple[str, str]) -> None:
    """Make a stream with the function, and a log group for its errors."""
    shop.create(CloudWatchLoggingOptions=LOGGING, ProcessingConfiguration=processing(*parameters))


def each(change: Callable[[Entry], Entry | None]) -> Callable[[Entry], Entry]:
    """Answer with what *change* makes of every record that would be Ok; None leaves it out."""

    def answer(event: Entry) -> Entry:
        returned = [(data_of(record), ok(record, data_of(record))) for record in event["records"]]
        changed = [change(entry) if data == b"bad;" else entry for data, entry in returned]
        return {"records": [entry for entry in changed if entry is not None]}

    return answer


# --- the invocation -----------------------------------------------------------------------------


def test_the_event_is_the_documented_one(shop: Shop) -> None:
    transformed(shop)
    before = int(time.time() * 1000)
    shop.put("Zoë;".encode(), b"\x00\xff;")
    assert shop.delivered() == "Zoë;".encode().upper() + b"\x00\xff;"
    (event,) = shop.function.events
    assert event.keys() == {"invocationId", "deliveryStreamArn", "region", "records"}
    assert event["deliveryStreamArn"] == STREAM_ARN
    assert event["region"] == REGION
    assert [data_of(record) for record in event["records"]] == ["Zoë;".encode(), b"\x00\xff;"]
    for record in event["records"]:
        assert record.keys() == {"recordId", "approximateArrivalTimestamp", "data"}
        assert before <= record["approximateArrivalTimestamp"] <= int(time.time() * 1000)
    assert len({record["recordId"] for record in event["records"]}) == 2
    assert shop.failed() == []
    assert shop.aws.problems == []


def test_dropped_records_leave_nothing(shop: Shop) -> None:
    transformed(shop)
    shop.function.answer = each(
        lambda entry: {"recordId": entry["recordId"], "result": "Dropped", "data": ""}
    )
    shop.put(b"good;", b"bad;", b"fine;")
    assert shop.delivered() == b"good;fine;"
    assert len(shop.keys()) == 1
    assert shop.logged() == []


def test_a_function_may_leave_the_data_out_of_what_it_drops(shop: Shop) -> None:
    transformed(shop)
    shop.function.answer = each(lambda entry: {"recordId": entry["recordId"], "result": "Dropped"})
    shop.put(b"good;", b"bad;")
    assert shop.delivered() == b"good;"


@pytest.mark.parametrize(
    ("change", "code", "logged"),
    [
        (
            lambda entry: {**entry, "result": "ProcessingFailed"},
            "Lambda.ProcessingFailedStatus",
            False,
        ),
        (lambda _: None, "Lambda.MissingRecordId", True),
        (lambda entry: {**entry, "recordId": "moon"}, "Lambda.MissingRecordId", True),
        (lambda entry: {**entry, "data": None}, "Lambda.InvalidReturnFormat", True),
    ],
)
def test_one_record_fails_alone(
    shop: Shop, change: Callable[[Entry], Entry | None], code: str, logged: bool
) -> None:
    transformed(shop)
    shop.function.answer = each(change)
    shop.put(b"good;", b"bad;", b"fine;")
    (failed,) = shop.failed()
    assert failed["errorCode"] == code
    assert base64.b64decode(failed["rawData"]) == b"bad;"
    assert failed["attemptsMade"] == 1
    assert shop.delivered("loads/2") == b"good;fine;"
    assert [event["errorCode"] for event in shop.logged()] == ([code] if logged else [])


def test_a_failed_record_is_told_in_full(shop: Shop) -> None:
    transformed(shop)
    shop.function.answer = each(lambda entry: {**entry, "result": "ProcessingFailed"})
    before = int(time.time() * 1000)
    shop.put(b"bad;")
    (line,) = shop.failed()
    (record,) = shop.function.events[0]["records"]
    assert list(line) == [
        *("rawData", "errorCode", "errorMessage", "attemptsMade", "arrivalTimestamp"),
        *("attemptEndingTimestamp", "lambdaARN"),
    ]
    assert line["errorMessage"] == "ProcessingFailed status set for record"
    assert line["lambdaARN"] == FUNCTION
    assert line["arrivalTimestamp"] == record["approximateArrivalTimestamp"]
    assert before <= line["arrivalTimestamp"] <= line["attemptEndingTimestamp"]


def test_an_id_that_comes_twice_fails_its_record(shop: Shop) -> None:
    transformed(shop)

    def twice(event: Entry) -> Entry:
        first, second = event["records"]
        return {"records": [ok(first, b"a;"), ok(first, b"b;"), ok(second, b"c;")]}

    shop.function.answer = twice
    shop.put(b"bad;", b"good;")
    (failed,) = shop.failed()
    assert failed["errorCode"] == "Lambda.DuplicatedRecordId"
    assert shop.delivered("loads/2") == b"c;"


def test_an_id_that_nobody_asked_for_is_overlooked(shop: Shop) -> None:
    transformed(shop)
    shop.function.answer = lambda event: {
        "records": [ok(event["records"][0], b"a;"), ok({"recordId": "moon"}, b"b;")]
    }
    shop.put(b"good;")
    assert shop.delivered() == b"a;"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (each(lambda entry: {**entry, "result": "Fine"}), "Lambda.FunctionError"),
        (each(lambda entry: {**entry, "data": "no base64!"}), "Lambda.FunctionError"),
        (lambda _: {"records": ["moon"]}, "Lambda.JsonProcessingException"),
        (lambda _: {"records": {}}, "Lambda.JsonProcessingException"),
        (lambda _: Invocation(b"<html>"), "Lambda.JsonProcessingException"),
        (lambda _: None, "Lambda.MissingRecordId"),
        (lambda _: {"records": []}, "Lambda.MissingRecordId"),
    ],
)
def test_an_answer_that_cannot_be_understood_fails_the_batch(
    shop: Shop, answer: Callable[[Entry], Any], code: str
) -> None:
    transformed(shop)
    shop.function.answer = answer
    shop.put(b"good;", b"bad;")
    failed = shop.failed()
    assert [base64.b64decode(line["rawData"]) for line in failed] == [b"good;", b"bad;"]
    assert {line["errorCode"] for line in failed} == {code}
    assert {line["attemptsMade"] for line in failed} == {1}, "an answer is final"
    assert [event["errorCode"] for event in shop.logged()] == [code]
    assert shop.logged()[0]["processor"] == FUNCTION


# --- failed invocations ---------------------------------------------------------------------------


def function_error(_: Entry) -> Invocation:
    return Invocation(b'{"errorMessage": "boom", "errorType": "ValueError"}', "Unhandled")


def throttled(_: Entry) -> Invocation:
    raise ThrottledError("Rate Exceeded.")


def missing(_: Entry) -> Invocation:
    raise LookupError("Function not found")


def broken(_: Entry) -> Invocation:
    raise RuntimeError("a mistake")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (broken, "Lambda.InternalServerError"),
        (function_error, "Lambda.FunctionError"),
        (throttled, "Lambda.InvokeLimitExceeded"),
        (missing, "Lambda.ResourceNotFound"),
    ],
)
@pytest.mark.parametrize("retries", [0, 1, None])
def test_a_failed_invocation_is_retried(
    shop: Shop, answer: Callable[[Entry], Any], code: str, retries: int | None
) -> None:
    transformed(shop, *([("NumberOfRetries", str(retries))] if retries is not None else []))
    shop.function.answer = answer
    shop.put(b"one;", b"two;")
    attempts = 1 + (3 if retries is None else retries)
    failed = shop.failed()
    assert [base64.b64decode(line["rawData"]) for line in failed] == [b"one;", b"two;"]
    assert {line["errorCode"] for line in failed} == {code}
    assert {line["attemptsMade"] for line in failed} == {attempts}
    assert [event["errorCode"] for event in shop.logged()] == [code] * attempts
    events = shop.function.events
    assert len(events) == len({event["invocationId"] for event in events}) == attempts
    assert all(event["records"] == events[0]["records"] for event in events)


def test_a_retry_that_works_loses_nothing(shop: Shop) -> None:
    transformed(shop)
    answers = iter([function_error, throttled])
    shouted = shop.function.answer
    shop.function.answer = lambda event: next(answers, shouted)(event)
    shop.put(b"one;")
    assert shop.delivered() == b"ONE;"
    assert len(shop.function.events) == 3
    codes = [event["errorCode"] for event in shop.logged()]
    assert codes == ["Lambda.FunctionError", "Lambda.InvokeLimitExceeded"]


def test_a_request_over_six_megabytes_fails(patient: Shop) -> None:
    """The size of the buffer counts data alone: many small records are a large request."""
    shop = patient
    del shop.aws.functions.invoke
    make_function(shop.aws, "views-transform", "def handler(event, context): return event")
    transformed(
        shop,
        *[("BufferSizeInMBs", "3"), ("BufferIntervalInSeconds", "900")],
        ("NumberOfRetries", "0"),
    )
    for _ in range(100):
        shop.put(*[b"a"] * 500)
    failed = shop.failed()
    assert len(failed) == 50_000
    assert {line["errorCode"] for line in failed} == {"Lambda.RequestEntityTooLargeException"}
    assert "6291456 bytes" in failed[0]["errorMessage"]


def test_a_response_over_six_megabytes_fails(shop: Shop) -> None:
    del shop.aws.functions.invoke
    code = """
def handler(event, context):
    return {"records": [
        {"recordId": each["recordId"], "result": "Ok", "data": "A" * 4_000_000}
        for each in event["records"]
    ]}
"""
    make_function(shop.aws, "views-transform", code)
    transformed(shop, ("NumberOfRetries", "0"))
    shop.put(b"one;", b"two;")
    assert {line["errorCode"] for line in shop.failed()} == {"Lambda.FunctionError"}


def test_a_function_of_the_local_lambda_transforms(shop: Shop) -> None:
    del shop.aws.functions.invoke
    code = """
import base64

def handler(event, context):
    if any(base64.b64decode(each["data"]) == b"boom;" for each in event["records"]):
        raise ValueError("boom")
    return {"records": [{**each, "result": "Ok"} for each in event["records"]]}
"""
    make_function(shop.aws, "views-transform", code)
    transformed(shop, ("NumberOfRetries", "1"))
    shop.put(b"one;", b"two;")
    assert shop.delivered() == b"one;two;"
    shop.put(b"boom;")
    (failed,) = shop.failed()
    assert (failed["errorCode"], failed["attemptsMade"]) == ("Lambda.FunctionError", 2)


# --- who may invoke -------------------------------------------------------------------------------


def test_a_role_that_may_not_invoke(shop: Shop) -> None:
    shop.allow(TO_BUCKET, TO_LOG)
    transformed(shop)
    shop.put(b"one;")
    (failed,) = shop.failed()
    assert (failed["errorCode"], failed["attemptsMade"]) == ("Lambda.InvokeAccessDenied", 4)
    assert shop.function.events == []
    (problem,) = shop.aws.problems
    assert f"lambda:InvokeFunction on resource: {FUNCTION}" in problem
    assert {event["errorCode"] for event in shop.logged()} == {"Lambda.InvokeAccessDenied"}


def test_a_qualified_function_is_another_resource(shop: Shop) -> None:
    shop.create(ProcessingConfiguration=processing(("LambdaArn", f"{FUNCTION}:live")))
    shop.put(b"one;")
    (failed,) = shop.failed()
    assert failed["errorCode"] == "Lambda.InvokeAccessDenied"


def test_a_processor_may_have_a_role_of_its_own(shop: Shop) -> None:
    shop.allow(TO_BUCKET)
    invoking = statement("lambda:InvokeFunction", FUNCTION)
    role = make_role(shop.aws, "transforming", "firehose.amazonaws.com", invoking)
    shop.create(ProcessingConfiguration=processing(("RoleArn", role)))
    shop.put(b"one;")
    assert shop.delivered() == b"ONE;"
    shop.aws.client("iam").update_assume_role_policy(
        RoleName="transforming",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        ),
    )
    shop.put(b"two;")
    assert [line["errorCode"] for line in shop.failed()] == ["Lambda.AssumeRoleAccessDenied"]
    assert any("sts:AssumeRole" in problem for problem in shop.aws.problems)


# --- the buffer before the function -------------------------------------------------------------


def test_the_function_is_asked_when_the_buffer_is_full(patient: Shop) -> None:
    shop = patient
    transformed(shop, ("BufferSizeInMBs", "0.2"), ("BufferIntervalInSeconds", "900"))
    shop.put(*[b"a" * 1024] * 204)
    assert not shop.function.invoked.wait(0.2), "205 KiB fill it"
    shop.put(b"a" * 1024)
    assert shop.function.invoked.wait(20)
    assert not shop.aws.firehose.is_idle(), "the buffer before S3 waits for itself"
    assert shop.keys() == []


def test_the_function_is_asked_when_its_interval_is_over(shop: Shop) -> None:
    transformed(shop, ("BufferSizeInMBs", "3"), ("BufferIntervalInSeconds", "1"))
    shop.put(b"one;")
    assert shop.function.invoked.wait(20)


def test_large_buffers_are_split(patient: Shop) -> None:
    shop = patient
    transformed(shop, ("BufferSizeInMBs", "1"), ("BufferIntervalInSeconds", "900"))
    first = threading.Event()
    shouted = shop.function.answer

    def held(event: Entry) -> Entry:
        assert first.wait(20)
        answer: Entry = shouted(event)
        return answer

    shop.function.answer = held
    for _ in range(10):
        shop.put(*[b"a" * 1024] * 500)
    first.set()
    assert len(shop.delivered()) == 10 * 500 * 1024
    sizes = [sum(len(data_of(r)) for r in e["records"]) for e in shop.function.events]
    assert max(sizes) == 1024 * 1024


def test_a_slow_function_holds_up_its_own_stream_only(shop: Shop) -> None:
    transformed(shop)
    shop.create("orders", Prefix="orders/")
    go_on = threading.Event()
    shouted = shop.function.answer

    def held(event: Entry) -> Entry:
        assert go_on.wait(20)
        answer: Entry = shouted(event)
        return answer

    shop.function.answer = held
    shop.put(b"slow;")
    assert shop.function.invoked.wait(20)
    shop.put(b"quick;", name="orders")
    assert shop.aws.firehose.flush(timeout=0.5) is False
    assert b"".join(map(shop.body, shop.keys("orders/"))) == b"quick;"
    go_on.set()
    assert shop.delivered() == b"SLOW;"


def test_processing_that_is_switched_off_leaves_records_as_they_are(patient: Shop) -> None:
    shop = patient
    transformed(shop, ("BufferSizeInMBs", "3"), ("BufferIntervalInSeconds", "900"))
    shop.put(b"one;")
    shop.update(ProcessingConfiguration=processing(enabled=False))
    shop.put(b"two;")
    assert shop.delivered() == b"one;two;"
    assert shop.function.events == []


def test_a_cloud_that_stops_ends_what_waits() -> None:
    asked = threading.Event()

    def never(_: Entry) -> Invocation:
        asked.set()
        raise ThrottledError("Rate Exceeded.")

    with open_shop(wait_scale=100) as shop:
        transformed(shop)
        shop.function.answer = never
        shop.put(b"one;")
        shop.aws.firehose._streams[STREAM].pipeline.begin_flush()
        assert asked.wait(20)
    assert len(shop.function.events) == 1, "the retry waits"
    assert not [each for each in threading.enumerate() if each.name.startswith("firehose-")]
