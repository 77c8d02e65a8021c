"""What becomes of a batch: how it is cut, and what is left of it after its function failed.

Sources: Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda",
"Retain discarded records for a DynamoDB event source in Lambda" (splitting a batch does not consume
the retry quota) and "Implementing error handling for SQS message processing"; the payload limit is
that of an invocation. Inferred: a partial response that names the first record is no progress, so
that `BisectBatchOnFunctionError` halves the batch as after any other failure.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rehearsal.aws.limits import LAMBDA_PAYLOAD_BYTES

_HEAD, _TAIL = b'{"Records": [', b"]}"


@dataclass(frozen=True)
class Record:
    """A record of a stream or a message of a queue, as it is in a function's event.

    `key` is what it is told by in a response. Of a stream: its `position`, and when it was
    `created`, in seconds since the epoch. Of a queue: the `receipt` to delete it with.
    """

    key: str
    text: bytes
    position: int = 0
    created: float = 0.0
    receipt: str = ""


@dataclass(frozen=True)
class Batch:
    """Records for one invocation, and how often it failed and was tried with them."""

    records: tuple[Record, ...]
    failures: int = 0
    invocations: int = 0

    @property
    def event(self) -> bytes:
        """Return the event of an invocation with these records."""
        return _HEAD + b",".join(record.text for record in self.records) + _TAIL

    def exhausted(self, retries: int) -> bool:
        """Say whether *retries* retries (-1: without end) were not enough."""
        return 0 <= retries < self.failures

    def after_failure(self, at: int, *, bisect: bool) -> list[Batch]:
        """Return what is to be done after a failure at the record with index *at*.

        What comes before that record is done with. A failure as a whole is one at the first record.
        """
        tried = replace(self, invocations=self.invocations + 1)
        if at:
            return [replace(tried, records=self.records[at:], failures=0 if bisect else 1)]
        if bisect and len(self.records) > 1:
            middle = len(self.records) // 2
            halves = (self.records[:middle], self.records[middle:])
            return [replace(tried, records=half, failures=0) for half in halves]
        return [replace(tried, failures=self.failures + 1)]


def fitting(records: Iterable[Record], size: int) -> int:
    """Return how many of the first *records* are a batch: at most *size*, and at most 6 MB."""
    count, total = 0, len(_HEAD) + len(_TAIL)
    for record in records:
        total += len(record.text) + 1
        if count == size or (count and total > LAMBDA_PAYLOAD_BYTES):
            break
        count += 1
    return count


def is_full(records: Sequence[Record] | deque[Record], size: int) -> bool:
    """Say whether a batch of *size* has no room for one more record like these."""
    return len(records) >= size or fitting(records, size) < len(records)


def failed_keys(response: bytes, keys: Iterable[str]) -> set[str] | None:
    """Return which of *keys* a response reports as failed; None where all of them failed.

    A response that is empty or reports nothing means success, one that cannot be understood or that
    names something else means failure.
    """
    known = set(keys)
    try:
        told: Any = json.loads(response)
        failures = told.get("batchItemFailures") if told else None
        identifiers = [each.get("itemIdentifier") for each in failures or ()]
    except (ValueError, AttributeError, TypeError):
        return None
    if all(isinstance(each, str) and each in known for each in identifiers):
        return set(identifiers)
    return None
