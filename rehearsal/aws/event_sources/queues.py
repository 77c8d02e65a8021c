"""Reading a queue for a mapping: several batches at a time, deleting what succeeded.

What failed comes back when its visibility timeout is over, and after too many times goes where the
queue's redrive policy says. Waiting for that timeout is shortened, the timeout of a running
invocation is not. Source: Lambda developer guide, "Using Lambda with Amazon SQS", "Configuring
scaling behavior for SQS event source mappings" and "Handling errors for an SQS event source".
Locally at most ten batches are worked on at a time, without MaximumConcurrency five, which is what
Lambda begins with.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from rehearsal.aws.event_sources.batches import Batch, Record, failed_keys, fitting, is_full
from rehearsal.aws.event_sources.filters import compile_filters
from rehearsal.aws.event_sources.rules import REPORT
from rehearsal.aws.event_sources.stream import FAILED, OK
from rehearsal.aws.event_sources.surroundings import POLL, Surroundings
from rehearsal.aws.functions import PROCESSES

_FIRST_POLLERS = 5
_PER_RECEIVE = 10


class QueuePoller:
    """Receives messages and invokes a function with them, until it is stopped."""

    def __init__(
        self, mapping: Mapping[str, Any], surroundings: Surroundings, tell: Callable[[str], None]
    ) -> None:
        """Describe a poller; *tell* takes the result of each invocation."""
        self._mapping = mapping
        self._tell = tell
        self._around = surroundings
        self._function = str(mapping["FunctionArn"])
        self._source = str(mapping["EventSourceArn"])
        self._passes = compile_filters(
            mapping.get("FilterCriteria"), surroundings.emulator.eventbridge
        )
        self._stopping = threading.Event()
        self._receiving = threading.Lock()
        self._received: deque[Record] = deque()
        self._repeated: set[str] = set()
        wanted = mapping.get("ScalingConfig", {}).get("MaximumConcurrency", _FIRST_POLLERS)
        self._threads = [
            threading.Thread(target=self._run, name=self._name(number), daemon=True)
            for number in range(min(wanted, PROCESSES))
        ]

    def _name(self, number: int) -> str:
        return f"mapping-{self._mapping['UUID'][:8]}-{number}"

    def start(self) -> None:
        """Begin to receive."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Receive no more; what runs is waited for by `join`."""
        self._stopping.set()

    def join(self) -> int:
        """Wait for the last invocation; a queue has no position to go on from."""
        for thread in self._threads:
            thread.join()
        self._come_back({record.receipt for record in self._received}, shortened=False)
        return 0

    def is_idle(self) -> bool:
        """Say whether the queue is empty: of what is waiting, delayed or being worked on."""
        queue = self._queue()
        return queue is None or not queue["messages"]

    def _run(self) -> None:
        with self._around.telling(self._mapping):
            while not self._stopping.is_set():
                with self._receiving:
                    batch = self._gather()
                if batch:
                    self._work_off(Batch(batch))

    # --- receiving --------------------------------------------------------------------------

    def _queue(self) -> Mapping[str, Any] | None:
        with self._around.emulator.scope():
            found: Mapping[str, Any] | None = self._around.emulator.sqs._queue_by_arn(self._source)
        return found

    def _gather(self) -> tuple[Record, ...]:
        """Return the next batch, when it is full or its window is over; () when stopped."""
        size = self._mapping["BatchSize"]
        window = self._around.waited(float(self._mapping["MaximumBatchingWindowInSeconds"]))
        until: float | None = None
        while not self._stopping.is_set():
            if not is_full(self._received, size):
                self._received.extend(self._receive(size - len(self._received)))
            if self._received and until is None:
                until = time.monotonic() + window
            if until is not None and (is_full(self._received, size) or time.monotonic() >= until):
                count = fitting(self._received, size)
                return tuple(self._received.popleft() for _ in range(count))
            self._stopping.wait(POLL / 2)
        return ()

    def _receive(self, room: int) -> Iterable[Record]:
        """Receive messages where some can be received; drop those that a filter leaves out."""
        queue, now = self._queue(), time.time()
        if queue is None or not any(each["visible_at"] <= now for each in [*queue["messages"]]):
            return []
        # Lambda receives ten at a time; it can mix up no more than it has.
        count = _PER_RECEIVE if self._around.faults.reordered else min(room, _PER_RECEIVE)
        try:
            sqs = self._around.client("sqs", self._function)
            answer = sqs.receive_message(
                QueueUrl=queue["url"],
                MaxNumberOfMessages=count,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except (LookupError, PermissionError, ClientError) as error:
            self._tell(f"PROBLEM: {error}")
            self._stopping.wait(self._around.waited(1.0))
            return []
        messages = self._around.faults.ordered(answer.get("Messages", []))
        events = [_event_record(each, self._source) for each in messages]
        passing = [each for each in events if self._passes(each)]
        self._delete([each["receiptHandle"] for each in events if each not in passing])
        self._count("PolledEventCount", len(events))
        self._count("FilteredOutEventCount", len(events) - len(passing))
        return [_record(each) for each in passing]

    def _count(self, metric: str, events: int) -> None:
        self._around.count(self._mapping, metric, events)

    # --- invoking ---------------------------------------------------------------------------

    def _work_off(self, batch: Batch) -> None:
        invocation = self._around.invoke(self._function, batch.event)
        handles = {record.key: record.receipt for record in batch.records}
        failed: set[str] | None = None
        if invocation is not None and invocation.error is None:
            failed = set()
            if REPORT in self._mapping["FunctionResponseTypes"]:
                failed = failed_keys(invocation.payload, handles)
        failed = set(handles) if failed is None else failed
        self._tell(FAILED if failed else OK)
        self._count("InvokedEventCount", len(batch.records) if invocation else 0)
        self._count("FailedInvokeEventCount", len(failed) if invocation else 0)
        repeated = {
            key
            for key in handles.keys() - failed - self._repeated
            if self._around.faults.duplicates()
        }
        self._repeated |= repeated
        self._delete([handles[key] for key in handles.keys() - failed - repeated])
        self._come_back({handles[key] for key in failed}, shortened=True)
        self._come_back({handles[key] for key in repeated}, shortened=False)

    def _delete(self, handles: list[str]) -> None:
        queue = self._queue()
        for start in range(0, len(handles) if queue else 0, _PER_RECEIVE):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle}
                for number, handle in enumerate(handles[start : start + _PER_RECEIVE])
            ]
            try:
                self._around.client("sqs", self._function).delete_message_batch(
                    QueueUrl=(queue or {})["url"], Entries=entries
                )
                self._count("DeletedEventCount", len(entries))
            except (LookupError, PermissionError, ClientError) as error:
                self._tell(f"PROBLEM: {error}")

    def _come_back(self, handles: set[str], *, shortened: bool) -> None:
        """Have messages come back: at once, or after what is left of their visibility timeout."""
        queue, now = self._queue(), time.time()
        for message in [*queue["messages"]] if queue and handles else []:
            if message.get("receipt_handle") in handles:
                left = max(0.0, message["visible_at"] - now)
                message["visible_at"] = now + (self._around.waited(left) if shortened else 0.0)


def _record(event: Mapping[str, Any]) -> Record:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    return Record(key=event["messageId"], text=text, receipt=event["receiptHandle"])


def _event_record(message: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return a message as it is in a function's event: "Example standard queue message event"."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": source.split(":")[3],
    }


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"stringListValues": [], "binaryListValues": []}
    if "StringValue" in value:
        kept["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        kept["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return {**kept, "dataType": value["DataType"]}
