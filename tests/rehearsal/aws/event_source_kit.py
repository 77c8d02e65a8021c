"""What the tests of event source mappings share: tables, queues, and functions that keep events."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rehearsal.aws.cloud import ACCOUNT, LocalAws
from tests.rehearsal.aws.cloud_kit import REGION, make_function, statement

READS_STREAMS = [
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:DescribeStream",
    "dynamodb:ListStreams",
]
READS_QUEUES = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]

# Keeps every event it gets, then does what the test says; `records` and `bodies` are at hand.
_KEEPS = """
import json, os, pathlib, time

def handler(event, context):
    records = event["Records"]
    bodies = [each.get("body") or each["dynamodb"].get("NewImage", {}) for each in records]
    name = f"{time.time_ns()}-{os.getpid()}"
    inbox = pathlib.Path(os.environ["INBOX"])
    (inbox / f"{name}.part").write_text(json.dumps(event))
    (inbox / f"{name}.part").rename(inbox / f"{name}.json")
    return work(event, records, bodies, inbox)

"""
SUCCEEDS = "def work(event, records, bodies, inbox):\n    return None\n"


def name_of(test: str) -> str:
    """Return a name for what a test makes, which no other test has."""
    words = re.sub("[^a-z0-9]+", "-", test.removeprefix("test_").lower())
    return f"{words[:40].strip('-')}-{zlib.crc32(test.encode()) % 10_000}"


def make_table(aws: LocalAws, name: str, view: str = "NEW_AND_OLD_IMAGES", **more: Any) -> str:
    """Make a table with the keys `id` and `n` and a stream; return the stream's ARN."""
    made = aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "n", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": view},
        **more,
    )
    return str(made["TableDescription"]["LatestStreamArn"])


def put(aws: LocalAws, table: str, identifier: str, n: int = 0, **attributes: Any) -> None:
    """Put an item; attributes are given as DynamoDB has them."""
    item = {"id": {"S": identifier}, "n": {"N": str(n)}, **attributes}
    aws.client("dynamodb").put_item(TableName=table, Item=item)


def make_queue(aws: LocalAws, name: str, **attributes: str) -> str:
    """Make a queue; return its ARN."""
    aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def url_of(aws: LocalAws, queue_arn: str) -> str:
    """Return the URL of a queue."""
    name = queue_arn.rpartition(":")[2]
    return str(aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def send(aws: LocalAws, queue_arn: str, *bodies: str) -> None:
    """Send messages."""
    for body in bodies:
        aws.client("sqs").send_message(QueueUrl=url_of(aws, queue_arn), MessageBody=body)


def receive(aws: LocalAws, queue_arn: str) -> list[Any]:
    """Return the JSON of all messages that can be received now."""
    found: list[Any] = []
    while True:
        answer = aws.client("sqs").receive_message(
            QueueUrl=url_of(aws, queue_arn), MaxNumberOfMessages=10
        )
        if not answer.get("Messages"):
            return found
        found += [json.loads(each["Body"]) for each in answer["Messages"]]


class Keeper:
    """A function that keeps its events in *folder*, and a mapping of it to a source."""

    def __init__(
        self,
        aws: LocalAws,
        name: str,
        folder: Path,
        code: str = SUCCEEDS,
        *statements: Mapping[str, Any],
        **options: Any,
    ) -> None:
        self.aws = aws
        self.name = name
        self.inbox = folder / name
        self.inbox.mkdir()
        self.arn = make_function(
            aws,
            name,
            _KEEPS + code,
            statement(READS_STREAMS, f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/*"),
            statement(READS_QUEUES, f"arn:aws:sqs:{REGION}:{ACCOUNT}:*"),
            *statements,
            Environment={"Variables": {"INBOX": str(self.inbox)}},
            **options,
        )

    def read(self, source: str, **settings: Any) -> str:
        """Map a source to the function; return the UUID when the mapping is enabled."""
        if ":dynamodb:" in source:
            settings = {"StartingPosition": "TRIM_HORIZON", **settings}
        made = self.aws.client("lambda").create_event_source_mapping(
            EventSourceArn=source, FunctionName=self.name, **settings
        )
        identifier = str(made["UUID"])
        wait_for_state(self.aws, identifier, "Enabled")
        return identifier

    def events(self) -> list[dict[str, Any]]:
        """Return the events that the function got, in the order it got them."""
        return [json.loads(path.read_text()) for path in sorted(self.inbox.glob("*.json"))]

    def processes(self) -> set[str]:
        """Return which processes the function had."""
        return {path.stem.rpartition("-")[2] for path in self.inbox.glob("*.json")}

    def batches(self) -> list[list[str]]:
        """Return the batches: bodies of messages, or `<id>/<n>` of stream records."""
        return [[_name(each) for each in event["Records"]] for event in self.events()]

    def records(self) -> list[str]:
        """Return what the function got, whatever the batches were."""
        return [name for batch in self.batches() for name in batch]


def _name(record: dict[str, Any]) -> str:
    if "body" in record:
        return str(record["body"])
    keys = record["dynamodb"]["Keys"]
    return f"{keys['id']['S']}/{keys['n']['N']}"


def wait_for_state(aws: LocalAws, identifier: str, state: str) -> None:
    """Wait until a mapping is in a state."""
    deadline = time.monotonic() + 10
    while True:
        found = aws.client("lambda").get_event_source_mapping(UUID=identifier)["State"]
        if found == state:
            return
        assert time.monotonic() < deadline, f"still {found}"
        time.sleep(0.01)


def settle(aws: LocalAws, seconds: float = 20) -> None:
    """Wait until the mappings have nothing left to do."""
    assert aws.event_sources.wait_idle(seconds)
