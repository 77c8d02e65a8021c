"""Where records of a stream go that a mapping gives up: a queue, a topic or a bucket.

A queue and a topic are told which records they were, a bucket gets them as well. Source: Lambda
developer guide, "Retain discarded records for a DynamoDB event source in Lambda", with its sample
records and the name of the object. They are sent with the permissions of the function's role.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from rehearsal.aws.event_sources.batches import Batch, Record

SHARD = "shardId-00000000000000000000-00000000"
"""ministack's streams have one shard."""

RETRIES_EXHAUSTED, TOO_OLD = "RetryAttemptsExhausted", "RecordAgeExceeded"

Client = Callable[[str], Any]


@dataclass(frozen=True)
class Discarded:
    """Records that are given up, and why.

    `version` and `error` are those of the last invocation with them, if there was one; `error` is
    None as well where the function reported failures without failing itself.
    """

    batch: Batch
    condition: str
    function_arn: str
    stream_arn: str
    request_id: str
    version: str = "$LATEST"
    error: str | None = None

    def metadata(self, now: datetime) -> dict[str, Any]:
        """Return what every destination is told."""
        first, last = self.batch.records[0], self.batch.records[-1]
        response = {"statusCode": 200, "executedVersion": self.version}
        if self.error is not None:
            response["functionError"] = self.error
        return {
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": self.function_arn,
                "condition": self.condition,
                "approximateInvokeCount": self.batch.invocations,
            },
            **({"responseContext": response} if self.batch.invocations else {}),
            "version": "1.0",
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z",
            "DDBStreamBatchInfo": {
                "shardId": SHARD,
                "startSequenceNumber": first.key,
                "endSequenceNumber": last.key,
                "approximateArrivalOfFirstRecord": _arrival(first),
                "approximateArrivalOfLastRecord": _arrival(last),
                "batchSize": len(self.batch.records),
                "streamArn": self.stream_arn,
            },
        }


def _arrival(record: Record) -> str:
    moment = datetime.fromtimestamp(record.created, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def object_key(mapping: str, now: datetime) -> str:
    """Return the name of the object with the records that the mapping with this UUID discards."""
    day, second = now.strftime("%Y/%m/%d"), now.strftime("%Y-%m-%dT%H.%M.%S")
    return f"aws/lambda/{mapping}/{SHARD}/{day}/{second}-{uuid.uuid4()}"


def needed(destination: str) -> Mapping[str, str]:
    """Return the actions that sending needs, and on what; ValueError for no such destination."""
    service = destination.split(":")[2] if destination.count(":") >= 5 else ""
    if service == "sqs" and not destination.endswith(".fifo"):
        return {"sqs:SendMessage": destination}
    if service == "sns" and not destination.endswith(".fifo"):
        return {"sns:Publish": destination}
    if service == "s3":
        return {"s3:PutObject": f"{destination}/aws/lambda/*", "s3:ListBucket": destination}
    raise ValueError(f"The destination ARN {destination} is invalid.")


def send(discarded: Discarded, destination: str, mapping: str, client: Client) -> None:
    """Send to *destination*; *client* makes clients of AWS services with the role's permissions."""
    now = datetime.now(timezone.utc)
    told, service = discarded.metadata(now), destination.split(":")[2]
    if service == "s3":
        body = json.dumps({**told, "payload": discarded.batch.event.decode()}).encode()
        bucket = destination.rpartition(":")[2]
        client("s3").put_object(Bucket=bucket, Key=object_key(mapping, now), Body=body)
    elif service == "sns":
        client("sns").publish(TopicArn=destination, Message=json.dumps(told))
    else:
        sqs = client("sqs")
        account, queue = destination.split(":")[4:]
        url = f"{sqs.meta.endpoint_url}/{account}/{queue}"
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(told))
