"""The transform function: every record answered, every poison record found with its reason."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest

from replication import transform
from replication.lines import line_writer
from replication.reasons import Poison, Reasons
from replication.transform import MAX_RESPONSE, Services
from tests.handlers.replication.kit import (
    BUCKET,
    Log,
    client_error,
    decoded,
    firehose_event,
    flow,
    flow_of,
    metrics_in,
    record,
    upsert,
)

ITEM = {"page_id": "a", "at": 1}


@dataclass
class FakeBucket:
    """Keeps what is put; or does not, as S3 sometimes."""

    works: bool = True
    objects: dict[str, bytes] = field(default_factory=dict)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> Any:
        assert Bucket == BUCKET
        if not self.works:
            raise client_error("PutObject", "SlowDown", 503)
        self.objects[Key] = Body


def services(bucket: FakeBucket, log: Log, **changes: Any) -> Services:
    made = flow(**changes)
    return Services(
        service="shop",
        flow=made.name,
        line=line_writer(made),
        reasons=Reasons(bucket, BUCKET, made.name),
        logger=log.logger,
    )


def test_every_record_comes_back_in_order(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = FakeBucket()
    event = firehose_event([record({**ITEM, "hits": n}, n) for n in range(3)])
    answer = transform.transform(event, services(bucket, log))["records"]
    assert [each["recordId"] for each in answer] == ["49560000", "49560001", "49560002"]
    assert {each["result"] for each in answer} == {"Ok"}
    assert decoded(answer) == [upsert(n, '"a"', 1, n, "NULL", "NULL") for n in range(3)]
    assert bucket.objects == {}
    assert metrics_in(capsys.readouterr().out) == {
        "RecordsTransformed": 3,
        "RecordsFailed": 0,
        "flow": "page-views",
        "service": "shop",
    }


def test_poison_is_stored_with_its_reason_and_then_dropped(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = FakeBucket()
    bad = [record({**ITEM, "hits": "secret"}, 7), b"no json, a secret", record({"at": 1}, 9)]
    event = firehose_event([record(ITEM, 1), *bad, record(ITEM, 2)])
    answer = transform.transform(event, services(bucket, log))["records"]
    assert [each["result"] for each in answer] == ["Ok", "Dropped", "Dropped", "Dropped", "Ok"]
    ((key, body),) = bucket.objects.items()
    now = datetime.now(timezone.utc)
    assert key.startswith(f"processing-failed/page-views/reasons/{now:%Y/%m/%d}/")
    assert key.endswith("/8b5c1d0a-6b0c-4f3e-9d57-5d7f0f1c2a3b.jsonl")
    lines = [json.loads(line) for line in body.splitlines()]
    assert [base64.b64decode(line.pop("rawData")) for line in lines] == bad
    assert lines == [
        {
            "recordId": "49560001",
            "sequence": "7",
            "reason": "hits: not a whole number that int holds",
        },
        {"recordId": "49560002", "sequence": None, "reason": "the record is not JSON in UTF-8"},
        {
            "recordId": "49560003",
            "sequence": "9",
            "reason": "page_id: missing or NULL, and part of the key",
        },
    ]
    assert log.lines[-1]["object"] == key
    assert "secret" not in log.text
    assert metrics_in(capsys.readouterr().out)["RecordsFailed"] == 3


def test_poison_that_could_not_be_stored_is_left_to_firehose_as_it_came(log: Log) -> None:
    bad = record({**ITEM, "hits": "secret"}, 7)
    event = firehose_event([record(ITEM, 1), bad])
    answer = transform.transform(event, services(FakeBucket(works=False), log))["records"]
    assert [each["result"] for each in answer] == ["Ok", "ProcessingFailed"]
    assert decoded(answer)[1] == bad
    assert log.lines[-1]["reasons"] == ["1 x hits: not a whole number that int holds"]
    assert "secret" not in log.text


def test_no_record_takes_its_buffer_along(log: Log) -> None:
    bucket = FakeBucket()
    event = firehose_event(
        [record(ITEM, 1), b'{"op":"upsert","sequence":"1","item":{"page_id":"\\ud800","at":1}}']
    )
    event["records"].append({"recordId": "x", "data": "not base64!"})
    huge = b'{"op":"upsert","sequence":"1","item":{"page_id":"a","at":1e9999999999999999999}}'
    event["records"].append({"recordId": "y", "data": base64.b64encode(huge).decode()})
    answer = transform.transform(event, services(bucket, log))["records"]
    assert [each["result"] for each in answer] == ["Ok", "Dropped", "Dropped", "Dropped"]
    (body,) = bucket.objects.values()
    assert [json.loads(line)["reason"] for line in body.splitlines()] == [
        "the record has half a surrogate pair, which is no text",
        "the record is not base64",
        "the record is not JSON in UTF-8",
    ]


@pytest.mark.parametrize("works", [True, False])
def test_the_answer_fits_into_6_mb_and_no_record_is_lost(log: Log, works: bool) -> None:
    """Lines that are all quotes are twice as long as their records."""
    bucket = FakeBucket(works)
    made = flow_of("longtext")
    handler = Services(
        service="shop",
        flow=made.name,
        line=line_writer(made),
        reasons=Reasons(bucket, BUCKET, made.name),
        logger=log.logger,
    )
    quotes = [[""] * 33_000 for _ in range(30)]
    records = [record({"id": str(n), "value": value}, n) for n, value in enumerate(quotes)]
    records = [each.replace(b'", "', b'","') for each in records]
    event = firehose_event(records)
    answer = transform.transform(event, handler)["records"]
    assert len(json.dumps({"records": answer})) <= 6 * 1024 * 1024
    fine = [each for each in answer if each["result"] == "Ok"]
    assert 0 < len(fine) < 30
    other = {each["result"] for each in answer} - {"Ok"}
    assert other == ({"Dropped"} if works else {"ProcessingFailed"})
    if works:
        (body,) = bucket.objects.values()
        failed = [json.loads(line) for line in body.splitlines()]
        assert len(failed) == 30 - len(fine)
        assert {line["reason"] for line in failed} == {transform._TOO_LARGE}
        again = firehose_event([base64.b64decode(line["rawData"]) for line in failed])
        second = transform.transform(again, handler)["records"]
        assert sum(each["result"] == "Ok" for each in second) == len(failed)
    assert MAX_RESPONSE < 6 * 1024 * 1024


def test_reasons_are_one_object_per_invocation() -> None:
    bucket = FakeBucket()
    hour = datetime(2026, 11, 20, 3, 59, tzinfo=timezone.utc)
    poison = [Poison("1", "7", "why", "AAAA")]
    for _ in range(2):
        key = Reasons(bucket, BUCKET, "page-views").store("../id", poison, hour)
        assert key == "processing-failed/page-views/reasons/2026/11/20/03/---id.jsonl"
    assert list(bucket.objects) == [key]
    assert json.loads(bucket.objects[key])["reason"] == "why"
