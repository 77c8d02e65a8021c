"""Writes traffic to a DynamoDB table through its own API, as an application would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from rehearsal.replication.items import for_boto3
from rehearsal.replication.traffic import Change, Key, Traffic

# DynamoDB, BatchWriteItem: so many requests at most, no two of them for one item.
_BATCH = 25


class Writer:
    """Writes changes in their order for each key; `written` says how many so far.

    Before each request `gate` is called with the number written: who plays a fault there may make
    the writers wait.
    """

    def __init__(self, client: Any, table: str, gate: Callable[[int], None]) -> None:
        self._client = client
        self._table = table
        self._gate = gate
        self._lock = threading.Lock()
        self.written = 0

    def write(self, shares: Iterable[Traffic]) -> None:
        """Write each share of the traffic from a thread of its own; raises what one of them met."""
        failures: list[Exception] = []

        def run(traffic: Traffic) -> None:
            try:
                self._write(traffic)
            except Exception as failure:
                failures.append(failure)

        threads = [threading.Thread(target=run, args=(share,), daemon=True) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _write(self, traffic: Traffic) -> None:
        batch: dict[Key, Change] = {}
        for change in traffic:
            if change.key in batch or len(batch) == _BATCH or change.operation == "add":
                self._send(batch)
            if change.operation == "add":
                self._count(change.key)
            else:
                batch[change.key] = change
        self._send(batch)

    def _send(self, batch: dict[Key, Change]) -> None:
        if not batch:
            return
        self._gate(self.written)
        pending = {self._table: [_request(change) for change in batch.values()]}
        while pending:
            pending = self._client.batch_write_item(RequestItems=pending)["UnprocessedItems"]
        self._add(len(batch))
        batch.clear()

    def _count(self, key: Key) -> None:
        self._gate(self.written)
        self._client.update_item(
            TableName=self._table,
            Key=_key(key),
            UpdateExpression="ADD hits :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        self._add(1)

    def _add(self, count: int) -> None:
        with self._lock:
            self.written += count


def _request(change: Change) -> dict[str, Any]:
    if change.item is None:
        return {"DeleteRequest": {"Key": _key(change.key)}}
    return {"PutRequest": {"Item": for_boto3(change.item)}}


def _key(key: Key) -> dict[str, Any]:
    return {"page_id": {"S": key[0]}, "session": {"S": key[1]}}
