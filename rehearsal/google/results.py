"""The rows of a query, kept until its pages have been fetched, on disk when there are many."""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

_CHUNK_ROWS = 1_000
_IN_MEMORY_BYTES = 1 << 20

Row = tuple[Any, ...]


class Rows:
    """Rows written once and read by position."""

    def __init__(self, directory: Path) -> None:
        # Closed by close(), when the job is forgotten.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=_IN_MEMORY_BYTES, dir=str(directory)
        )
        self._offsets: list[int] = []
        self._lock = threading.Lock()
        self.total = 0

    def write(self, chunks: Iterable[Sequence[Row]]) -> None:
        """Append *chunks*, each of exactly *chunk_rows* rows but the last."""
        for chunk in chunks:
            self._offsets.append(self._file.tell())
            pickle.dump(chunk, self._file, protocol=pickle.HIGHEST_PROTOCOL)
            self.total += len(chunk)

    @staticmethod
    def chunks_of(cursor: Any) -> Iterator[list[Row]]:
        """The result of a DuckDB cursor in chunks."""
        while chunk := cursor.fetchmany(_CHUNK_ROWS):
            yield chunk

    def read(self, start: int, count: int) -> list[Row]:
        """Rows *start* to *start + count*."""
        rows: list[Row] = []
        first = start // _CHUNK_ROWS
        with self._lock:
            for index in range(first, len(self._offsets)):
                if index * _CHUNK_ROWS >= start + count:
                    break
                self._file.seek(self._offsets[index])
                rows.extend(pickle.load(self._file))  # noqa: S301  # written by this object
        return rows[start - first * _CHUNK_ROWS :][:count]

    def close(self) -> None:
        """Give the space back."""
        self._file.close()
