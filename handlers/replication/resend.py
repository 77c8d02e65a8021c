"""Resend: put records into the delivery stream again. Invoked by hand.

``{"bucket": ..., "key": ...}`` sends one object, ``{"bucket": ..., "prefix": ...}`` all below a
prefix in a folder of the flow or of what Lambda gave up, until time is nearly out. The answer says
how much was sent and, as `next`, with what to invoke the function to go on, or null. Sending twice
is harmless: each change has its sequence.

What an object may hold:

- records that failed, below ``processing-failed/``: those of Firehose and those with a reason, both
  with the record as `rawData`;
- what an event source mapping gave up, with the stream's records in `payload` (AWS, "Retaining
  discarded records for a DynamoDB event source in Lambda"); if `TABLE_NAME` is set, only those of
  that table: another's would go into this flow's rows;
- a table's export in DynamoDB JSON (AWS, "DynamoDB table export output format"), for the first
  fill: its items get the sequence 0, so any change that a stream told of wins. Incremental exports
  are refused, for they do not say which of two changes was the last.

Metrics: `ResendRecords`, `ResendFailures` (changes that cannot be carried, or are not this flow's).
"""

from __future__ import annotations

import binascii
import json
import os
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import IO, Any, TypedDict

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import ClientError

from replication import metrics
from replication.changes import FIRST_SEQUENCE, NotCarried, change_of, encoded, key_hash, table_of
from replication.delivery import MAX_RECORDS, Delivery, deliveries, requests_of
from replication.documents import documents
from replication.flow import configured
from replication.invocation import Context, seconds_left, variable
from shared import telemetry
from shared.errors import FerryError, InvalidInput

SECONDS_TO_SPARE = 30.0

# What lies beside an export's data: manifests, their checksums, and a mark that it began.
_BESIDE = ("manifest-summary.json", "manifest-files.json", ".md5", ".checksum", "_started")


class Next(TypedDict, total=False):
    """An event to go on with: `skip` records of `key` have been sent, and all keys before it."""

    bucket: str
    key: str
    prefix: str
    skip: int


class Answer(TypedDict):
    """What was sent."""

    objects: int
    records: int
    not_carried: int
    next: Next | None


class NotAccepted(FerryError):
    """Firehose did not take the records; the text says with what to go on."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the function needs of the world."""

    service: str
    flow: str
    s3: Any
    delivery: Callable[[], Delivery]
    logger: Logger
    table: str | None = None


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the clients for this function's environment."""
    service = variable("SERVICE_NAME")
    return Services(
        service=service,
        flow=configured().name,
        s3=boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 5})),
        delivery=deliveries(variable("DELIVERY_STREAM")),
        logger=telemetry.logger(service),
        table=os.environ.get("TABLE_NAME") or None,
    )


def handler(event: Mapping[str, Any], context: Context) -> Answer:
    """Answer whoever invokes the function."""
    return resend(event, services(), seconds_left(context))


def resend(
    event: Mapping[str, Any], services: Services, seconds_left: Callable[[], float]
) -> Answer:
    """Send the records of the objects, from where the event says, while there is time."""
    run = _Run(_start(event, services.flow), services, seconds_left)
    try:
        for key in run.objects():
            if not run.send_object(key):
                break
    finally:
        metrics.emit(
            services.service,
            services.flow,
            {"ResendRecords": run.answer["records"], "ResendFailures": run.answer["not_carried"]},
        )
    services.logger.info("sent again", extra={"answer": run.answer})
    return run.answer


def _start(event: Mapping[str, Any], flow: str) -> Next:
    texts = {name: event.get(name) for name in ("bucket", "key", "prefix")}
    skip = event.get("skip", 0)
    if (
        not texts["bucket"]
        or not (texts["key"] or texts["prefix"])
        or any(text is not None and not isinstance(text, str) for text in texts.values())
        or not isinstance(skip, int)
        or skip < 0
    ):
        raise InvalidInput(
            'expected {"bucket": "...", "key": "..."} or {"bucket": "...", "prefix": "..."}, '
            "or the `next` of an answer"
        )
    folders = (f"processing-failed/{flow}/", f"table-exports/{flow}/", "aws/lambda/")
    for place in (texts["key"], texts["prefix"]):
        if place and not place.startswith(folders):
            raise InvalidInput(f"{place} is not below {', '.join(folders[:2])} or {folders[2]}")
    start = Next(bucket=event["bucket"], skip=skip)
    if texts["key"]:
        start["key"] = event["key"]
    if texts["prefix"]:
        start["prefix"] = event["prefix"]
    return start


class _Run:
    """One invocation: where it is, and what it has sent."""

    def __init__(self, start: Next, services: Services, seconds_left: Callable[[], float]) -> None:
        self._start = start
        self._services = services
        self._seconds_left = seconds_left
        self._delivery = services.delivery()
        self.answer = Answer(objects=0, records=0, not_carried=0, next=None)

    def objects(self) -> Iterator[str]:
        """Yield the keys of the objects to send, a page at a time."""
        first, prefix = self._start.get("key"), self._start.get("prefix")
        if first:
            yield first
        if not prefix:
            return
        pages = self._services.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._start["bucket"], Prefix=prefix, **({"StartAfter": first} if first else {})
        )
        for page in pages:
            for found in page.get("Contents", []):
                if found["Size"] and not found["Key"].endswith(_BESIDE):
                    yield found["Key"]

    def send_object(self, key: str) -> bool:
        """Send an object's records; say whether there is time for more."""
        skipped = self._start.get("skip", 0) if key == self._start.get("key") else 0
        records = islice(self._records(self._open(key), key), skipped, None)
        sent = skipped
        while part := list(islice(records, MAX_RECORDS)):
            # The first part always goes: a function with a short timeout moves slowly.
            begun = any(self.answer[count] for count in ("objects", "records", "not_carried"))
            if begun and self._seconds_left() < SECONDS_TO_SPARE:
                self.answer["next"] = self._go_on(key, sent)
                return False
            self._send(part, key, sent)
            sent += len(part)
        self.answer["objects"] += 1
        return True

    def _open(self, key: str) -> IO[bytes]:
        bucket = self._start["bucket"]
        try:
            body: IO[bytes] = self._services.s3.get_object(Bucket=bucket, Key=key)["Body"]
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in ("AccessDenied", "NoSuchKey"):
                raise
            # S3 says so of both (GetObject, "Permissions").
            reason = f"{code}: it is not there, or may not be read"
            raise InvalidInput(f"s3://{bucket}/{key}: {reason}") from None
        return body

    def _send(self, part: list[bytes | None], key: str, sent: int) -> None:
        data = [record for record in part if record is not None]
        for request in requests_of(data):
            if self._delivery.send(data[request.start : request.stop], self._seconds_left):
                go_on = json.dumps(self._go_on(key, sent))
                raise NotAccepted(
                    f"Firehose did not accept the records in time; go on with {go_on}"
                )
        self.answer["records"] += len(data)
        self.answer["not_carried"] += len(part) - len(data)

    def _go_on(self, key: str, sent: int) -> Next:
        following = Next(bucket=self._start["bucket"], key=key, skip=sent)
        if "prefix" in self._start:
            following["prefix"] = self._start["prefix"]
        return following

    def _records(self, body: IO[bytes], key: str) -> Iterator[bytes | None]:
        """Yield the records of an object; None for one that cannot be carried, which is logged."""
        for document in documents(body, key):
            if "rawData" in document:
                yield _raw(document, key)
            elif "payload" in document:
                yield from self._changes(_payload(document, key), key)
            elif set(document) == {"Item"}:
                yield self._exported(document["Item"], key)
            else:
                raise InvalidInput(f"{key} holds neither failed records nor a full export")

    def _changes(self, records: list[dict[str, Any]], key: str) -> Iterator[bytes | None]:
        """Yield the changes of the flow's table; None for what is another's, told in one line."""
        ours = self._services.table
        others = Counter(str(table_of(each)) for each in records if ours and table_of(each) != ours)
        if others:
            self._services.logger.error(
                "changes of another table are not sent",
                extra={"object": key, "changes": dict(others), "table": ours},
            )
        for record in records:
            yield None if str(table_of(record)) in others else self._change(record)

    def _change(self, record: Mapping[str, Any]) -> bytes | None:
        try:
            return change_of(record).data
        except NotCarried as reason:
            told = {"sequence": record["dynamodb"]["SequenceNumber"], "key": key_hash(record)}
            self._tell(reason, told)
            return None

    def _exported(self, item: Mapping[str, Any], key: str) -> bytes | None:
        try:
            return encoded("upsert", FIRST_SEQUENCE, item)
        except NotCarried as reason:
            self._tell(reason, {"object": key})
            return None

    def _tell(self, reason: NotCarried, told: Mapping[str, str]) -> None:
        extra = {**told, "reason": str(reason)}
        self._services.logger.error("a change cannot be carried", extra=extra)


def _raw(document: Mapping[str, Any], key: str) -> bytes:
    try:
        return b64decode(document["rawData"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidInput(f"{key} has a rawData that is not base64") from None


def _payload(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the stream records that a mapping gave up: the event, as text within JSON."""
    payload = document["payload"]
    try:
        event = json.loads(payload) if isinstance(payload, str) else payload
        records: list[dict[str, Any]] = event["Records"]
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(f"{key} has a payload that is no event of a stream") from None
    return records
