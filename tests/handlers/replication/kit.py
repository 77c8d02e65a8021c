"""What the tests of the replication route share: a flow, records, and small fakes of services."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from botocore.exceptions import ClientError

from replication.flow import Flow

BUCKET = "shop-replication"
STREAM = "shop-page-views"
LABEL = "2026-11-20T03:00:00.000"
SOURCE = f"arn:aws:dynamodb:eu-west-1:111122223333:table/page-views/stream/{LABEL}"

FLOW: dict[str, Any] = {
    "flow": "page-views",
    "database": "analytics",
    "table": "page_views",
    "key": ["page_id", "at"],
    "columns": [
        {"name": "page_id", "path": ["page_id"], "type": "varchar(64)"},
        {"name": "at", "path": ["at"], "type": "bigint"},
        {"name": "hits", "path": ["hits"], "type": "int"},
        {"name": "country", "path": ["client", "country"], "type": "varchar(2)"},
        {"name": "raw", "path": ["raw"], "type": "varbinary(32)"},
    ],
    "schema": None,
}


def flow(**changes: Any) -> Flow:
    return Flow.parse({**FLOW, **changes})


def upsert(*cells: object, of: Flow | None = None) -> bytes:
    """The start of an upsert's line of the flow, and these cells as they are."""
    return f'"{(of or flow()).marks[0]}",{",".join(map(str, cells))}\n'.encode()


def flow_of(kind: str) -> Flow:
    """A flow with one column beside its key, of some type."""
    return flow(
        key=["id"],
        columns=[
            {"name": "id", "path": ["id"], "type": "varchar(8)"},
            {"name": "value", "path": ["value"], "type": kind},
        ],
    )


def record(item: Mapping[str, Any], sequence: int | str = 1, operation: str = "upsert") -> bytes:
    """A record as the stream function makes it."""
    document = {"op": operation, "sequence": str(sequence), "item": item}
    return json.dumps(document, ensure_ascii=False).encode()


def firehose_event(records: Iterable[bytes]) -> dict[str, Any]:
    return {
        "invocationId": "8b5c1d0a-6b0c-4f3e-9d57-5d7f0f1c2a3b",
        "deliveryStreamArn": f"arn:aws:firehose:eu-west-1:111122223333:deliverystream/{STREAM}",
        "region": "eu-west-1",
        "records": [
            {
                "recordId": f"4956{number:04}",
                "approximateArrivalTimestamp": 1763608800000,
                "data": base64.b64encode(data).decode(),
            }
            for number, data in enumerate(records)
        ],
    }


def change(
    sequence: int | str,
    image: Mapping[str, Any] | None,
    *,
    keys: Mapping[str, Any] | None = None,
    name: str = "MODIFY",
    view: str = "NEW_IMAGE",
    source: str = SOURCE,
) -> dict[str, Any]:
    """A record of a DynamoDB stream, as Lambda hands it over."""
    told: dict[str, Any] = {
        "ApproximateCreationDateTime": 1763608800,
        "Keys": keys or {"page_id": {"S": "a"}, "at": {"N": "1"}},
        "SequenceNumber": str(sequence),
        "SizeBytes": 26,
        "StreamViewType": view,
    }
    if image is not None:
        told["NewImage"] = image
    return {
        "eventID": f"event-{sequence}",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": told,
        "eventSourceARN": source,
    }


def placed(number: int | str) -> str:
    """The sequence of a change of the stream SOURCE."""
    return f"20261120030000000{number:0>40}"


@dataclass
class FakeFirehose:
    """Takes records as Firehose does: `answers` say for each call which entries it does not take,
    or raise. When they are used up it takes everything."""

    answers: list[Callable[[int], Any]] = field(default_factory=list)
    accepted: list[bytes] = field(default_factory=list)
    calls: list[list[bytes]] = field(default_factory=list)

    def put_record_batch(self, *, DeliveryStreamName: str, Records: Any) -> Any:
        assert DeliveryStreamName == STREAM
        data = [each["Data"] for each in Records]
        assert 0 < len(data) <= 500
        assert sum(4 * ((len(each) + 2) // 3) for each in data) <= 4 * 1024 * 1024
        assert all(len(each) <= 1_024_000 for each in data)
        self.calls.append(data)
        refused = self.answers.pop(0)(len(data)) if self.answers else set()
        self.accepted += [each for index, each in enumerate(data) if index not in refused]
        return {
            "FailedPutCount": len(refused),
            "RequestResponses": [
                {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
                if index in refused
                else {"RecordId": str(index)}
                for index in range(len(data))
            ],
        }


def refuse(*indexes: int) -> Callable[[int], Any]:
    return lambda size: set(indexes)


def refuse_all(size: int) -> set[int]:
    return set(range(size))


def fail(code: str, status: int = 400) -> Callable[[int], Any]:
    def raise_it(size: int) -> Any:
        raise client_error("PutRecordBatch", code, status)

    return raise_it


def client_error(operation: str, code: str, status: int = 400) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "as the test wants it"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)


@dataclass
class Clock:
    """The time that is left to an invocation; pauses take of it."""

    left: float = 60.0
    pauses: list[float] = field(default_factory=list)

    def seconds_left(self) -> float:
        return self.left

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.left -= seconds


class Log:
    """A logger, and what it has written."""

    def __init__(self) -> None:
        self._written = io.StringIO()
        handler = logging.StreamHandler(self._written)
        handler.setFormatter(LambdaPowertoolsFormatter())
        self.logger = Logger(service="shop")
        self.logger.handlers.clear()
        self.logger.addHandler(handler)

    @property
    def text(self) -> str:
        return self._written.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def metrics_in(text: str) -> dict[str, Any]:
    """The values of the last line of embedded metric format in an output."""
    lines = [json.loads(line) for line in text.splitlines() if '"_aws"' in line]
    last: dict[str, Any] = lines[-1]
    names = [metric["Name"] for metric in last["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    return {name: last[name][0] if len(last[name]) == 1 else last[name] for name in names} | {
        "flow": last["flow"],
        "service": last["service"],
    }


def decoded(answers: Sequence[Mapping[str, Any]]) -> list[bytes]:
    return [base64.b64decode(answer["data"]) for answer in answers]
