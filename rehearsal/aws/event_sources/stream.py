"""Reading a DynamoDB stream for a mapping: in order within a partition key, in parallel beside it.

A shard's records are dealt to as many lanes as `ParallelizationFactor` says, by their partition
key; a lane has one invocation at a time. The checkpoint is before the oldest record that a lane is
not done with, so that a mapping that is changed or switched off and on again delivers what came
after it once more, as in AWS. Source: Lambda developer guide, "Using AWS Lambda with Amazon
DynamoDB" and "Polling and batching streams".
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rehearsal.aws.event_sources import destinations
from rehearsal.aws.event_sources.batches import Batch, Record, failed_keys, fitting, is_full
from rehearsal.aws.event_sources.destinations import Discarded
from rehearsal.aws.event_sources.filters import compile_filters
from rehearsal.aws.event_sources.rules import REPORT, check_reading, destination_of
from rehearsal.aws.event_sources.surroundings import POLL, Surroundings
from rehearsal.aws.functions import Invocation

# How far a shard is read ahead of its checkpoint, so that a lane that is stuck stops the others.
_AHEAD = 20_000

# How long, in seconds, a role that was seen to have its permissions is not looked at again.
_TRUSTED = 1.0

OK, FAILED = "OK", "PROBLEM: Function call failed"


class Shard:
    """The records between the checkpoint and what was read last, dealt to lanes."""

    def __init__(
        self, mapping: Mapping[str, Any], surroundings: Surroundings, position: int
    ) -> None:
        self._mapping = mapping
        self._around = surroundings
        self._records = surroundings.records
        self._arn = str(mapping["EventSourceArn"])
        self._passes = compile_filters(
            mapping.get("FilterCriteria"), surroundings.emulator.eventbridge
        )
        self._key = ""
        self._next = position
        self._unfinished: set[int] = set()
        self.lanes: tuple[deque[Record], ...] = tuple(
            deque() for _ in range(mapping["ParallelizationFactor"])
        )
        self._lock = threading.Lock()

    @property
    def checkpoint(self) -> int:
        """Return the position from where on not everything is done with."""
        with self._lock:
            return min(self._unfinished, default=self._next)

    def read(self) -> None:
        """Deal what is new in the stream, as far as it may be read ahead."""
        with self._lock:
            room = _AHEAD - len(self._unfinished)
            start = max(self._next, self._records.start(self._arn))
            found = self._records.since(self._arn, start, room) if room > 0 else []
            own = [
                (position, record)
                for position, record in enumerate(found, start)
                if record["eventSourceARN"] == self._arn
            ]
            passing = [(position, record) for position, record in own if self._passes(record)]
            for position, record in passing:
                self._deal(position, record)
            self._next = start + len(found)
        self._around.count(self._mapping, "PolledEventCount", len(own))
        self._around.count(self._mapping, "FilteredOutEventCount", len(own) - len(passing))

    def _deal(self, position: int, record: Mapping[str, Any]) -> None:
        change = record["dynamodb"]
        self._key = self._key or self._records.partition_key(self._arn)
        partition = json.dumps(change["Keys"].get(self._key), sort_keys=True).encode()
        dealt = Record(
            key=change["SequenceNumber"],
            text=json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(),
            position=position,
            created=float(change["ApproximateCreationDateTime"]),
        )
        self._unfinished.add(position)
        self.lanes[zlib.crc32(partition) % len(self.lanes)].append(dealt)

    def finish(self, records: tuple[Record, ...]) -> None:
        """Note that nothing more happens with these."""
        with self._lock:
            self._unfinished.difference_update(record.position for record in records)

    def is_full(self, lane: deque[Record], size: int) -> bool:
        """Say whether a lane has a whole batch; others deal to it meanwhile."""
        with self._lock:
            return is_full(lane, size)

    def take(self, lane: deque[Record], size: int) -> tuple[Record, ...]:
        """Take the next batch of at most *size* records out of a lane."""
        with self._lock:
            return tuple(lane.popleft() for _ in range(fitting(lane, size)))

    def is_read(self) -> bool:
        """Say whether there is nothing new in the stream."""
        return self._next >= self._records.end(self._arn)

    def is_idle(self) -> bool:
        """Say whether everything in the stream is done with."""
        with self._lock:
            return not self._unfinished and self.is_read()


class StreamPoller:
    """Reads a stream and invokes a function with it, until it is stopped."""

    def __init__(
        self,
        mapping: Mapping[str, Any],
        surroundings: Surroundings,
        position: int,
        tell: Callable[[str], None],
    ) -> None:
        """Describe a poller; *tell* takes the result of each invocation."""
        self._mapping = mapping
        self._tell = tell
        self._around = surroundings
        self._function = str(mapping["FunctionArn"])
        self.shard = Shard(mapping, surroundings, position)
        self._trusted_until = 0.0
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=self._name(number), daemon=True)
            for number, lane in enumerate(self.shard.lanes)
        ]

    def _name(self, number: int) -> str:
        return f"mapping-{self._mapping['UUID'][:8]}-{number}"

    def start(self) -> None:
        """Begin to read."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Read no more; what runs is waited for by `join`."""
        self._stopping.set()

    def join(self) -> int:
        """Wait for the last invocation; return the position to go on from."""
        for thread in self._threads:
            thread.join()
        return self.shard.checkpoint

    def is_idle(self) -> bool:
        """Say whether everything in the stream is done with."""
        return self.shard.is_idle()

    def _run(self, lane: deque[Record]) -> None:
        with self._around.telling(self._mapping):
            while not self._stopping.is_set():
                records = self._gather(lane)
                if records:
                    self._work_off(Batch(records))

    # --- reading ----------------------------------------------------------------------------

    def _gather(self, lane: deque[Record]) -> tuple[Record, ...]:
        """Return the next batch, when it is full or its window is over; () when stopped."""
        size = self._mapping["BatchSize"]
        window = self._around.waited(float(self._mapping["MaximumBatchingWindowInSeconds"]))
        until: float | None = None
        while not self._stopping.is_set():
            if self._may_read():
                self.shard.read()
            if lane and until is None:
                until = time.monotonic() + window
            if until is not None and (time.monotonic() >= until or self.shard.is_full(lane, size)):
                return self.shard.take(lane, size)
            self._stopping.wait(POLL)
        return ()

    def _may_read(self) -> bool:
        """Say whether there is something to read, and the role may."""
        if self.shard.is_read():
            return False
        if time.monotonic() < self._trusted_until:
            return True
        source = str(self._mapping["EventSourceArn"])
        try:
            role = str(self._around.function(self._function)["Role"])
            check_reading(role, source, self._around.authorize)
        except (LookupError, PermissionError) as error:
            self._tell(f"PROBLEM: {error}")
            self._around.report(f"mapping {self._mapping['UUID']}: {error}")
            self._stopping.wait(self._around.waited(1.0))
            return False
        self._trusted_until = time.monotonic() + _TRUSTED
        return True

    # --- invoking ---------------------------------------------------------------------------

    def _work_off(self, batch: Batch) -> None:
        """Invoke until nothing of the batch is left, or the poller is stopped."""
        work, unable = deque([batch]), 0
        while work and not self._stopping.is_set():
            first = self._without_old(work.popleft())
            if not first.records:
                continue
            invocation = self._around.invoke(self._function, first.event)
            if self._stopping.is_set() and (invocation is None or invocation.error):
                return  # what was interrupted is read again
            if invocation is None:
                unable += 1
                work.appendleft(first)
                self._stopping.wait(self._around.backoff(unable))
                continue
            unable = 0
            self._count("InvokedEventCount", len(first.records))
            work.extendleft(reversed(self._judged(first, invocation)))

    def _without_old(self, batch: Batch) -> Batch:
        """Discard the records that are older than the mapping allows."""
        oldest = self._mapping["MaximumRecordAgeInSeconds"]
        limit = time.time() - oldest if oldest >= 0 else 0.0
        old = tuple(itertools.takewhile(lambda record: record.created < limit, batch.records))
        if not old:
            return batch
        self._discard(replace(batch, records=old), destinations.TOO_OLD, None)
        return replace(batch, records=batch.records[len(old) :])

    def _judged(self, batch: Batch, invocation: Invocation) -> list[Batch]:
        """Return what is left to do of a batch after its invocation."""
        at = self._failed_at(batch, invocation)
        self._tell(OK if at is None else FAILED)
        if at is None:
            if self._around.faults.duplicates():
                self._around.invoke(self._function, batch.event)
            self._finish(batch.records)
            return []
        self._count("FailedInvokeEventCount", len(batch.records) - at)
        self._finish(batch.records[:at])
        rest = batch.after_failure(at, bisect=self._mapping["BisectBatchOnFunctionError"])
        if rest[0].exhausted(self._mapping["MaximumRetryAttempts"]):
            self._discard(rest[0], destinations.RETRIES_EXHAUSTED, invocation)
            return rest[1:]
        self._stopping.wait(self._around.backoff(rest[0].failures))
        return rest

    def _count(self, metric: str, events: int) -> None:
        self._around.count(self._mapping, metric, events)

    def _failed_at(self, batch: Batch, invocation: Invocation) -> int | None:
        """Return the index of the record that failed first, None after success."""
        if invocation.error is not None:
            return 0
        if REPORT not in self._mapping["FunctionResponseTypes"]:
            return None
        keys = [record.key for record in batch.records]
        failed = failed_keys(invocation.payload, keys)
        if failed is None:
            return 0
        return min(map(keys.index, failed), default=None)

    def _finish(self, records: tuple[Record, ...]) -> None:
        if records:
            self._around.note_age(self._function, records[-1].created)
        self.shard.finish(records)

    def _discard(self, batch: Batch, condition: str, last: Invocation | None) -> None:
        """Give records up, and tell the destination for them, if there is one."""
        destination = destination_of(self._mapping)
        discarded = Discarded(
            batch,
            condition,
            self._function,
            str(self._mapping["EventSourceArn"]),
            last.request_id if last else self._around.emulator.responses.new_uuid(),
            last.version if last else "$LATEST",
            last.error if last else None,
        )
        try:
            if destination:
                destinations.send(
                    discarded,
                    destination,
                    str(self._mapping["UUID"]),
                    lambda service: self._around.client(service, self._function),
                )
                self._count("OnFailureDestinationDeliveredEventCount", len(batch.records))
            else:
                self._count("DroppedEventCount", len(batch.records))
        except Exception as error:
            self._around.report(
                f"mapping {self._mapping['UUID']}: {len(batch.records)} records are lost, their "
                f"destination {destination} does not take them: {error}"
            )
        self.shard.finish(batch.records)
