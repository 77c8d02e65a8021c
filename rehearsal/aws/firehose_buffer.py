"""Records, and the buffers they wait in until there is enough of them or enough time has passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Record(NamedTuple):
    """A record: when it arrived (milliseconds since 1970), and since when it is in its buffer.

    `since` is of the monotonic clock.
    """

    id: str
    data: bytes
    arrived: int
    since: float


class Buffer:
    """Records in the order they came, given out in batches of about a size."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Sequence[Record]) -> None:
        """Put *records* behind those that wait."""
        self._records.extend(records)
        self._bytes += sum(len(record.data) for record in records)

    def due(self, size: float, interval: float) -> float | None:
        """Return when the first batch is due on the monotonic clock; None when nothing waits.

        It is due at once when *size* bytes are there, else *interval* seconds after its oldest
        record came.
        """
        if not self._records:
            return None
        since = self._records[0].since
        return since if self._bytes >= size else since + interval

    def take(self, size: float, interval: float, now: float) -> list[list[Record]]:
        """Take the batches out that are due at *now*, each with the record that filled it."""
        batches = []
        while (due := self.due(size, interval)) is not None and due <= now:
            batches.append(self._first(size))
        return batches

    def _first(self, size: float) -> list[Record]:
        count = bytes_in = 0
        for record in self._records:
            count += 1
            bytes_in += len(record.data)
            if bytes_in >= size:
                break
        batch = self._records[:count]
        del self._records[:count]
        self._bytes -= bytes_in
        return batch
