"""The records of DynamoDB streams: what ministack writes, as DynamoDB writes it.

ministack numbers them by a clock that may be set back, gives each another stream ARN and no size,
and writes one even where nothing changed; and it counts a table's items at each write. Sources:
DynamoDB Streams API reference, `Record` and `StreamRecord`; DynamoDB developer guide, "Change data
capture for DynamoDB Streams". What it does not mend: items that expire (TTL) leave no record.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.aws.emulator import Emulator
from rehearsal.aws.seams import Seams

# 21 digits, the shortest that StreamRecord allows. The clock comes first, so that a cloud's numbers
# are above those of the one before it: a database may outlive a cloud.
_PER_SECOND = 10**11


class StreamRecords:
    """Mends the records as they are written, and reads them."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._dynamodb = emulator.module("dynamodb")
        self._numbers = itertools.count(int(time.time()) * _PER_SECOND + 1)

    def install(self, seams: Seams) -> None:
        """Put the mended parts in place of ministack's."""
        build, emit = self._dynamodb._build_change_record, self._dynamodb._emit_stream_event

        def built(
            table: Mapping[str, Any], name: str, old: Any, new: Any, view_type: str
        ) -> dict[str, Any]:
            record: dict[str, Any] = build(table, name, old, new, view_type)
            change = record["dynamodb"]
            size = self._dynamodb._item_size_bytes
            images = (change.get(each) for each in ("Keys", "NewImage", "OldImage"))
            change["SizeBytes"] = sum(size(image) for image in images if image)
            record["eventID"] = uuid.uuid4().hex
            record["eventSourceARN"] = table.get("LatestStreamArn", record["eventSourceARN"])
            return record

        def emitted(table: str, name: str, old: Any, new: Any) -> None:
            # A write "that does not change any data in an item" leaves no record.
            if name != "MODIFY" or old != new:
                emit(table, name, old, new)

        seams.replace(self._dynamodb, "_build_change_record", built)
        count = _now_and_then(self._dynamodb._update_counts)
        seams.replace(self._dynamodb, "_update_counts", count)
        seams.replace(self._dynamodb, "_emit_stream_event", emitted)
        seams.replace(self._dynamodb, "_next_stream_seq", lambda: str(next(self._numbers)))

    def exists(self, stream_arn: str) -> bool:
        """Say whether a table writes this stream now."""
        with self._emulator.scope():
            table = self._dynamodb._tables.get(table_of(stream_arn)) or {}
        enabled = (table.get("StreamSpecification") or {}).get("StreamEnabled")
        return bool(enabled) and table.get("LatestStreamArn") == stream_arn

    def partition_key(self, stream_arn: str) -> str:
        """Return the name of the attribute that is the table's partition key."""
        with self._emulator.scope():
            return str(self._dynamodb._tables[table_of(stream_arn)]["pk_name"])

    def start(self, stream_arn: str) -> int:
        """Return the position of the oldest record."""
        return int(self._dynamodb.stream_start_position(table_of(stream_arn), **self._where))

    def end(self, stream_arn: str) -> int:
        """Return the position after the newest record."""
        return int(self._dynamodb.stream_end_position(table_of(stream_arn), **self._where))

    def since(self, stream_arn: str, position: int, limit: int) -> list[dict[str, Any]]:
        """Return up to *limit* records from *position* on."""
        found: list[dict[str, Any]] = self._dynamodb.stream_records_since(
            table_of(stream_arn), position, limit, **self._where
        )
        return found

    @property
    def _where(self) -> dict[str, str]:
        return {"account_id": self._emulator.account, "region": self._emulator.region}


def _now_and_then(count: Callable[[Any], None]) -> Callable[[Any], None]:
    """Have a table counted once a second: ministack goes through all of it after each write.

    DynamoDB counts "approximately every six hours": API reference, `TableDescription`.
    """
    counted: dict[str, float] = {}

    def counting(table: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now - counted.get(table["TableArn"], float("-inf")) >= 1:
            counted[table["TableArn"]] = now
            count(table)

    return counting


def table_of(stream_arn: str) -> str:
    """Return the name of the table whose stream this is."""
    return stream_arn.split(":", 5)[5].split("/")[1]
