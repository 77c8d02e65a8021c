"""Resend: whatever holds records that failed, or a table's export, goes into the stream again."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any, cast

import boto3
import pytest
from moto import mock_aws

from replication import documents, resend
from replication.delivery import Delivery
from replication.resend import NotAccepted, Services
from shared.errors import InvalidInput
from shared.retry import Backoff
from tests.handlers.replication.kit import (
    BUCKET,
    SOURCE,
    STREAM,
    Clock,
    FakeFirehose,
    Log,
    change,
    metrics_in,
    placed,
    record,
    refuse_all,
)


class Function:
    """The resend function, a bucket and a delivery stream."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name="eu-west-1")
        self.s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        self.firehose = FakeFirehose()
        self.clock = Clock(600.0)
        self.log = Log()
        quick = Backoff(attempts=2, first=0.0, sleep=lambda seconds: None)
        self.services = Services(
            service="shop",
            flow="page-views",
            s3=self.s3,
            delivery=lambda: Delivery(self.firehose, STREAM, quick),
            logger=self.log.logger,
        )

    def put(self, key: str, body: bytes | str) -> None:
        self.s3.put_object(
            Bucket=BUCKET, Key=key, Body=body.encode() if isinstance(body, str) else body
        )

    def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        return dict(resend.resend(event, self.services, self.clock.seconds_left))

    @property
    def sent(self) -> list[Any]:
        return [json.loads(data) for data in self.firehose.accepted]


@pytest.fixture
def function() -> Iterator[Function]:
    with mock_aws():
        yield Function()


def raw(data: bytes) -> str:
    return base64.b64encode(data).decode()


RECORDS = [record({"page_id": str(n), "at": n}, n) for n in range(3)]


def test_what_firehose_could_not_process_goes_as_it_was(
    function: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {
            "attemptsMade": 4,
            "arrivalTimestamp": 1763608800448,
            "errorCode": "Lambda.FunctionError",
            "errorMessage": "The Lambda function was successfully invoked but it returned an error",
            "attemptEndingTimestamp": 1763608861529,
            "rawData": raw(data),
            "lambdaArn": "arn:aws:lambda:eu-west-1:111122223333:function:transform",
        }
        for data in RECORDS
    ]
    key = "processing-failed/page-views/2026/11/20/03/shop-1-2026-11-20-03-00-00-uuid"
    function.put(key, "\n".join(json.dumps(line) for line in lines))
    answer = function({"bucket": BUCKET, "key": key})
    assert answer == {"objects": 1, "records": 3, "not_carried": 0, "next": None}
    assert function.firehose.accepted == RECORDS
    assert metrics_in(capsys.readouterr().out)["ResendRecords"] == 3


def test_what_has_a_reason_goes_as_it_was(function: Function) -> None:
    line = {"recordId": "1", "sequence": "7", "reason": "why", "rawData": raw(RECORDS[0])}
    function.put("processing-failed/page-views/reasons/a.jsonl", json.dumps(line) + "\n")
    function({"bucket": BUCKET, "prefix": "processing-failed/page-views/reasons/"})
    assert function.firehose.accepted == RECORDS[:1]


@pytest.mark.parametrize("as_text", [True, False])
def test_what_a_mapping_gave_up_is_read_from_its_payload(function: Function, as_text: bool) -> None:
    event = {
        "Records": [
            change(7, {"page_id": {"S": "a"}, "at": {"N": "1"}}),
            change(8, None, view="KEYS_ONLY"),
            change(9, None, name="REMOVE"),
        ]
    }
    document = {
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "version": "1.0",
        "DDBStreamBatchInfo": {"shardId": "shardId-1", "batchSize": 3},
        "payload": json.dumps(event) if as_text else event,
    }
    key = "aws/lambda/uuid/shardId-1/2026-11-20T03.00.00-uuid"
    function.put(key, json.dumps(document, indent=2))
    answer = function({"bucket": BUCKET, "key": key})
    assert (answer["records"], answer["not_carried"]) == (2, 1)
    assert [each["sequence"] for each in function.sent] == [placed(7), placed(9)]
    assert function.log.lines[0]["reason"] == "no NewImage: the stream's view type is KEYS_ONLY"


@pytest.mark.parametrize("table", ["page-views", None])
def test_changes_of_another_table_are_counted_and_not_sent(
    function: Function, table: str | None
) -> None:
    function.services = replace(function.services, table=table)
    other = SOURCE.replace("page-views", "page-views-2")
    image = {"page_id": {"S": "a"}, "at": {"N": "1"}}
    for key, source in (("aws/lambda/gave-up/1", other), ("aws/lambda/gave-up/2", SOURCE)):
        records = [change(number, image, source=source) for number in (7, 8)]
        function.put(key, json.dumps({"payload": json.dumps({"Records": records})}))
    answer = function({"bucket": BUCKET, "prefix": "aws/lambda/gave-up/"})
    assert (answer["records"], answer["not_carried"]) == ((2, 2) if table else (4, 0))
    told = [line for line in function.log.lines if line["level"] == "ERROR"]
    if table:
        assert len(function.sent) == 2
        (line,) = told
        assert line["message"] == "changes of another table are not sent"
        assert (line["object"], line["changes"]) == ("aws/lambda/gave-up/1", {"page-views-2": 2})
    else:
        assert told == []


def export(function: Function, count: int, name: str = "part-1.json.gz") -> str:
    lines = "".join(
        json.dumps({"Item": {"page_id": {"S": str(n)}, "price": {"N": f"{n}.50"}}}) + "\n"
        for n in range(count)
    )
    key = f"table-exports/page-views/AWSDynamoDB/01234-abc/data/{name}"
    function.put(key, gzip.compress(lines.encode()))
    return key


def test_an_export_is_upserts_that_any_change_overtakes(function: Function) -> None:
    folder = "table-exports/page-views/AWSDynamoDB/01234-abc"
    export(function, 1_100)
    function.put(f"{folder}/_started", b"")
    function.put(f"{folder}/manifest-summary.json", '{"version": "2020-06-30"}')
    function.put(f"{folder}/manifest-summary.md5", "abc==")
    function.put(f"{folder}/manifest-files.json", '{"itemCount": 1100}\n')
    answer = function({"bucket": BUCKET, "prefix": f"{folder}/"})
    assert answer == {"objects": 1, "records": 1_100, "not_carried": 0, "next": None}
    assert len(function.firehose.calls) == 3
    assert function.firehose.accepted[7] == (
        b'{"op":"upsert","sequence":"0","item":{"page_id":"7","price":7.50}}'
    )


def test_it_stops_in_time_and_goes_on_where_it_was(function: Function) -> None:
    export(function, 1_300, "part-1.json.gz")
    export(function, 700, "part-2.json.gz")
    event: dict[str, Any] | None = {"bucket": BUCKET, "prefix": "table-exports/page-views/"}
    function.clock.left = 1.0
    invocations = 0
    while event:
        answer = function(event)
        assert answer["records"] in (500, 300, 200)
        event = answer["next"]
        invocations += 1
    assert invocations == 5
    assert len(function.sent) == 2_000
    assert [each["item"]["page_id"] for each in function.sent] == [
        *(str(n) for n in range(1_300)),
        *(str(n) for n in range(700)),
    ]


def test_it_stops_in_time_also_where_nothing_can_be_sent(function: Function) -> None:
    for number in range(3):
        records = [change(number, None, view="KEYS_ONLY")]
        function.put(f"aws/lambda/gave-up/{number}", json.dumps({"payload": {"Records": records}}))
    function.clock.left = 1.0
    answer = function({"bucket": BUCKET, "prefix": "aws/lambda/gave-up/"})
    assert (answer["records"], answer["not_carried"]) == (0, 1)
    assert answer["next"] == {
        "bucket": BUCKET,
        "prefix": "aws/lambda/gave-up/",
        "key": "aws/lambda/gave-up/1",
        "skip": 0,
    }


@pytest.mark.parametrize(
    "place", ["processing-failed/pageviews/", "loads/page-views/", "aws/", "table-exports/other/"]
)
def test_what_is_no_folder_of_the_flow_is_told(function: Function, place: str) -> None:
    """Its role may not read it either, and IAM's words would have an operator look for a right."""
    for name in ("prefix", "key"):
        with pytest.raises(
            InvalidInput, match=rf"^{place} is not below processing-failed/page-views/"
        ):
            function({"bucket": BUCKET, name: place})


def test_an_object_that_is_not_there_is_told(function: Function) -> None:
    with pytest.raises(InvalidInput, match=r"NoSuchKey: it is not there, or may not be read$"):
        function({"bucket": BUCKET, "key": "aws/lambda/none"})


def test_what_firehose_does_not_take_is_told_with_where_to_go_on(function: Function) -> None:
    key = export(function, 700)
    function.firehose.answers = [lambda size: set(), refuse_all, refuse_all]
    with pytest.raises(NotAccepted) as told:
        function({"bucket": BUCKET, "prefix": "table-exports/page-views/"})
    go_on = json.loads(str(told.value).partition("go on with ")[2])
    assert go_on == {
        "bucket": BUCKET,
        "prefix": "table-exports/page-views/",
        "key": key,
        "skip": 500,
    }
    assert function(go_on)["records"] == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            '{"Metadata": {}, "Keys": {}, "NewImage": {}}',
            "neither failed records nor a full export",
        ),
        ('{"rawData": "no base64"}', "a rawData that is not base64"),
        ('{"payload": "no json"}', "a payload that is no event of a stream"),
        ('{"rawData": "AAAA"}\ngarbage', "is not JSON"),
        ('{"rawData": "AA', "is not JSON"),
        ("[]", "is JSON, but not an object"),
    ],
)
def test_what_is_something_else_is_one_clear_error(
    function: Function, body: str, said: str
) -> None:
    function.put("processing-failed/page-views/object", body)
    with pytest.raises(InvalidInput) as told:
        function({"bucket": BUCKET, "key": "processing-failed/page-views/object"})
    assert said in str(told.value)


@pytest.mark.parametrize(
    "event",
    [
        *({}, {"bucket": BUCKET}, {"key": "a"}, {"bucket": BUCKET, "key": 1}),
        *({"bucket": BUCKET, "key": "a", "skip": -1}, {"bucket": BUCKET, "prefix": ""}),
    ],
)
def test_an_event_that_is_wrong_is_told(function: Function, event: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        function(event)


@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
def test_documents_are_found_however_the_bytes_come(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(documents, "CHUNK", chunk)
    body = '{"a": "é😀"}\n\n{"b": "}{"}{"c":\n {"d": 1}}\n \n'.encode()
    found = [{"a": "é😀"}, {"b": "}{"}, {"c": {"d": 1}}]
    assert list(documents.documents(io.BytesIO(body), "x")) == found
    assert list(documents.documents(io.BytesIO(gzip.compress(body)), "x.gz")) == found
    assert list(documents.documents(io.BytesIO(b""), "x")) == []


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT", 1_000_000)

    class Endless(io.RawIOBase):
        begun = False

        def read(self, size: int = -1) -> bytes:
            begin, self.begun = not self.begun, True
            return b'{"a":"' if begin else b"x" * size

    with pytest.raises(InvalidInput):
        list(documents.documents(cast("IO[bytes]", Endless()), "x"))
