"""The way of records through one delivery stream: buffer, transformation, buffer, S3.

A thread of the stream's own carries them, so that a slow function holds up its own stream only. It
waits for sizes and times, not by looking again and again. Sources: Amazon Data Firehose developer
guide, "Understand data delivery in Amazon Data Firehose" (a failing delivery to S3 is retried for
24 hours, then the data is lost), "Transform source data" (both buffers), "Duplicate records".
Retries wait longer and longer; how long, AWS does not say. Records for the error output and for the
backup wait in buffers of their own.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.aws.firehose_buffer import Buffer, Record
from rehearsal.aws.firehose_delivery import Delivery, Parcel, Roles, pack
from rehearsal.aws.firehose_settings import Destination
from rehearsal.aws.firehose_transform import Invoke, Transformer

_KEPT_SECONDS = 24 * 60 * 60
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 30, 900

_AT_ONCE = -math.inf
"""An interval after which everything in a buffer is due."""


class _Stopped(Exception):
    """The stream is gone while its records were on their way."""


@dataclass(frozen=True)
class Surroundings:
    """What the streams of an account share; *wait_scale* shortens all their waits."""

    region: str
    invoke: Invoke
    roles: Roles
    report: Callable[[str], None]
    faults: DeliveryFaults
    wait_scale: float


class Pipeline:
    """Takes records and delivers them."""

    def __init__(
        self, name: str, arn: str, destination: Destination, version: int, outside: Surroundings
    ) -> None:
        self._name = name
        self._arn = arn
        self._destination, self._version = destination, version
        self._outside = outside
        self._delivery = Delivery(arn, outside.roles, outside.report)
        self._transformer = Transformer(
            arn,
            outside.region,
            invoke=outside.invoke,
            authorize=lambda by: outside.roles.authorize_invocation(by, arn),
            pause=self._pause,
        )
        self._changed = threading.Condition()
        self._source, self._transformed = Buffer(), Buffer()
        self._failed, self._backup = Buffer(), Buffer()
        self._parcels: list[Parcel] = []
        self._duplicates = 0
        self._is_busy = self._is_closed = False
        self._is_delivered = True
        self._flushes_wanted = self._flushes_done = 0
        self._thread = threading.Thread(target=self._run, name=f"firehose-{name}", daemon=True)
        self._thread.start()

    # --- use ------------------------------------------------------------------------------------

    def put(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Take records, each with its id."""
        arrived, now = int(time.time() * 1000), time.monotonic()
        taken = [Record(id, data, arrived, now) for id, data in records]
        with self._changed:
            self._source.add(taken)
            self._changed.notify_all()

    def reconfigure(self, destination: Destination, version: int) -> None:
        """Deliver by another configuration from now on, what waits as well."""
        with self._changed:
            self._destination, self._version = destination, version
            self._changed.notify_all()

    def begin_flush(self) -> int:
        """Have everything delivered that is here now; `wait_flushed` takes the number returned."""
        with self._changed:
            self._flushes_wanted += 1
            self._changed.notify_all()
            return self._flushes_wanted

    def wait_flushed(self, number: int, timeout: float) -> bool:
        """Wait for a flush; False when not all of it has been delivered within the time."""
        with self._changed:
            self._changed.wait_for(lambda: self._flushes_done >= number or self._is_closed, timeout)
            return self._flushes_done >= number and self._is_delivered

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits here or is on its way."""
        with self._changed:
            return not self._is_busy and not self._waiting()

    def close(self) -> int:
        """Stop, without waiting for what is on its way; return how many records were not."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            return self._waiting()

    def join(self) -> None:
        """Wait for the thread of a closed pipeline to end."""
        self._thread.join()

    def _waiting(self) -> int:
        buffered = len(self._source) + len(self._transformed) + len(self._failed)
        return buffered + len(self._backup) + sum(parcel.records for parcel in self._parcels)

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._is_closed and not self._has_work():
                    due = self._next_due()
                    self._changed.wait(None if due is None else due - time.monotonic())
                if self._is_closed:
                    return
                flush = self._flushes_wanted
                is_flush = flush > self._flushes_done
                self._is_busy = True
            delivered = self._try_to_work(everything=is_flush)
            with self._changed:
                if is_flush:
                    self._is_delivered = delivered
                self._flushes_done = flush
                self._is_busy = False
                self._changed.notify_all()

    def _try_to_work(self, everything: bool) -> bool:
        try:
            return self._work(everything)
        except _Stopped:
            return False
        except Exception as error:  # a mistake in here must not end the stream silently
            self._outside.report(f"{self._arn} lost records: {type(error).__name__}: {error}")
            return False

    def _has_work(self) -> bool:
        due = self._next_due()
        is_due = due is not None and due <= time.monotonic()
        return is_due or self._flushes_wanted > self._flushes_done

    def _next_due(self) -> float | None:
        to = self._destination
        dues = [
            self._source.due(*self._source_hints()),
            self._transformed.due(to.size, self._scaled(to.interval)),
            self._failed.due(to.size, self._scaled(to.interval)),
            *(parcel.next_try for parcel in self._parcels),
        ]
        if to.backup:
            dues.append(self._backup.due(to.backup.size, self._scaled(to.backup.interval)))
        return min((due for due in dues if due is not None), default=None)

    def _source_hints(self) -> tuple[float, float]:
        """Return size and interval of the buffer before the function; without one there is none."""
        by = self._destination.transformation
        return (by.size, self._scaled(by.interval)) if by else (math.inf, _AT_ONCE)

    def _scaled(self, seconds: float) -> float:
        return seconds * self._outside.wait_scale

    def _pause(self, retry: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, self._scaled(2.0 ** min(retry, 6)))
            if self._is_closed:
                raise _Stopped

    # --- the way --------------------------------------------------------------------------------

    def _work(self, everything: bool) -> bool:
        """Carry what is due as far as it goes; False when an object was not delivered."""
        with self._changed:
            to, version = self._destination, self._version
            size, interval = self._source_hints()
            now = time.monotonic()
            batches = self._source.take(size, _AT_ONCE if everything else interval, now)
        for batch in batches:
            self._carry(self._as_delivered(batch), to, version)
        self._pack(self._transformed, to, version, everything)
        self._pack(self._failed, to, version, everything, failed=True)
        self._pack(self._backup, to.backup or to, version, everything)
        return self._deliver(everything)

    def _as_delivered(self, batch: list[Record]) -> list[Record]:
        """Return a batch with the faults of an at-least-once service in it."""
        twice = [record for record in batch if self._outside.faults.duplicates()]
        return self._outside.faults.ordered([*batch, *map(self._duplicate, twice)])

    def _duplicate(self, record: Record) -> Record:
        self._duplicates += 1
        return record._replace(id=f"{record.id}{self._duplicates:06d}")

    def _carry(self, batch: list[Record], to: Destination, version: int) -> None:
        """Bring a batch to the buffers before S3."""
        if to.backup:
            with self._changed:
                self._backup.add(batch)
        if to.transformation is None:
            with self._changed:
                self._transformed.add(batch)
            return
        outcome = self._transformer.transform(to.transformation, batch)
        for failure in outcome.failures:
            self._delivery.log(to, version, failure, to.transformation.function)
        with self._changed:
            self._transformed.add(outcome.delivered)
            self._failed.add(outcome.failed)

    def _pack(
        self,
        buffer: Buffer,
        to: Destination,
        version: int,
        everything: bool,
        *,
        failed: bool = False,
    ) -> None:
        """Make objects of what is due in a buffer."""
        with self._changed:
            interval = _AT_ONCE if everything else self._scaled(to.interval)
            batches = buffer.take(to.size, interval, time.monotonic())
        for batch in batches:
            ordered = self._outside.faults.ordered(batch)
            parcel = pack(self._name, version, to, ordered, failed=failed)
            with self._changed:
                self._parcels.append(parcel)

    def _deliver(self, everything: bool) -> bool:
        """Try the objects that are due; what cannot be delivered is tried again later."""
        all_delivered = True
        with self._changed:
            now = time.monotonic()
            due = [each for each in self._parcels if everything or each.next_try <= now]
        for parcel in due:
            if self._is_closed:
                raise _Stopped
            is_done = self._delivery.deliver(parcel)
            all_delivered &= is_done
            now = time.monotonic()
            if not is_done and now - parcel.since > self._scaled(_KEPT_SECONDS):
                is_done = True
                self._outside.report(
                    f"{self._arn} lost {parcel.records} records: {parcel.key} could not be "
                    f"delivered within 24 hours"
                )
            with self._changed:
                if is_done:
                    self._parcels.remove(parcel)
                wait = min(_FIRST_RETRY_SECONDS * 2 ** min(parcel.tries, 5), _LAST_RETRY_SECONDS)
                parcel.next_try = now + self._scaled(wait)
                parcel.tries += 1
        return all_delivered
