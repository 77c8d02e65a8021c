"""PutRecordBatch, until everything is accepted or time is up.

Rules encoded (AWS, "PutRecordBatch"): at most 500 records and 4 MB in a request; an answer may
have taken some records and not others, and names those by an `ErrorCode` in the order of the
request; the whole request may be turned away as well. "4 MB for the entire request" is taken at its
word: records count as they travel, in base64.

Within one request order can be lost: what is sent again comes after what was taken at once. The
load puts that right by the sequence of each change. From request to request order is kept: none is
sent before the last one is accepted as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import FerryError, redact
from shared.retry import Backoff

MAX_RECORDS = 500
MAX_REQUEST = 4_000_000
SECONDS_TO_SPARE = 12.0
"""What the last attempt may take: the longest pause, and a request that is not answered."""

BACKOFF = Backoff(attempts=8, first=0.2, longest=5.0)

_ENVELOPE = 16  # {"Data":"..."},
_PASSING = frozenset(
    {
        "InternalFailure",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class Firehose(Protocol):
    """The part of the client that is used."""

    def put_record_batch(self, *, DeliveryStreamName: str, Records: Any) -> Any:
        """Send records."""


class DeliveryRefused(FerryError):
    """Firehose will not take a request, however often it is sent."""


class Delivery:
    """One delivery stream; counts what it sent again."""

    def __init__(self, client: Firehose, stream: str, backoff: Backoff = BACKOFF) -> None:
        self._client = client
        self._stream = stream
        self._backoff = backoff
        self.resent = 0

    def send(self, records: Sequence[bytes], seconds_left: Callable[[], float]) -> list[int]:
        """Send records that fit into one request; return the indexes of those not accepted."""
        waiting, fruitless = list(range(len(records))), 0
        for attempt in range(1, self._backoff.attempts + 1):
            before, waiting = len(waiting), self._put(records, waiting)
            last = attempt == self._backoff.attempts
            if not waiting or last or seconds_left() < SECONDS_TO_SPARE:
                break
            # Who gets something through is throttled, not shut out: no reason to wait for longer.
            fruitless = fruitless + 1 if len(waiting) == before else 1
            self._backoff.pause(fruitless, None)
            self.resent += len(waiting)
        return waiting

    def _put(self, records: Sequence[bytes], indexes: list[int]) -> list[int]:
        """Send some of the records once; return those to send again."""
        try:
            answer = self._client.put_record_batch(
                DeliveryStreamName=self._stream,
                Records=[{"Data": records[index]} for index in indexes],
            )
        except BotoCoreError:
            return indexes
        except ClientError as error:
            told = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if told.get("Code") in _PASSING or status >= 500:
                return indexes
            raise DeliveryRefused(
                redact(f"{self._stream}: {told.get('Code')}: {told.get('Message')}")
            ) from None
        if not answer.get("FailedPutCount"):
            return []
        answered = zip(indexes, answer["RequestResponses"], strict=True)
        return [index for index, response in answered if response.get("ErrorCode")]


def deliveries(stream: str) -> Callable[[], Delivery]:
    """Return what begins a delivery; attempts are counted here, so the client makes one."""
    config = Config(
        connect_timeout=2.0, read_timeout=4.0, retries={"total_max_attempts": 1, "mode": "standard"}
    )
    client: Any = boto3.client("firehose", config=config)
    return lambda: Delivery(client, stream)


def requests_of(records: Sequence[bytes]) -> Iterator[range]:
    """Yield the indexes of the records of each request, in order."""
    start = size = 0
    for index, record in enumerate(records):
        more = 4 * -(-len(record) // 3) + _ENVELOPE
        if index > start and (index - start == MAX_RECORDS or size + more > MAX_REQUEST):
            yield range(start, index)
            start, size = index, 0
        size += more
    if records:
        yield range(start, len(records))
