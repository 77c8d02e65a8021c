"""Reading tables as Arrow record batches with bounded memory.

A reader is one connection holding one consistent snapshot. What differs between databases (how
tables are found, how a table is selected, how values become Arrow arrays) is left to the reader
of each; the streaming itself is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from rehearsal.aws.mapping import Engine
from rehearsal.aws.tables import Column, SourceError, Table, TableError

BATCH_ROWS = 16_384

#: From about this size on a large object makes a real export fail ("Considerations for DB snapshot
#: exports" in the Amazon RDS user guide, which gives no exact figure).
HUGE_VALUE_BYTES = 500 * 1024 * 1024

#: Rows of unknown width come in small steps first; no fetch asks for more than this many bytes.
_FIRST_FETCH_ROWS = 1
_FETCH_BYTES = 16 * 1024 * 1024
_GROWTH = 4


class UnfitValue(Exception):
    """A value its column's type cannot hold; the text says the kind of value."""


class Reader(ABC):
    """One consistent view of one database."""

    #: The driver's base exception.
    driver_error: ClassVar[type[Exception]]

    def __init__(self, connection: Connection, engine: Engine, database: str) -> None:
        """Take over a connection whose snapshot transaction has begun."""
        self._connection = connection
        self._engine: Engine = engine
        self._database = database
        self._without_value: Counter[tuple[Table, str]] = Counter()

    @abstractmethod
    def begin(self) -> None:
        """Start the snapshot; raises the driver's own errors."""

    @abstractmethod
    def tables(self) -> list[Table]:
        """All base tables of the database, in a stable order; views are none."""

    @abstractmethod
    def _quote(self, name: str) -> str:
        """The name as the database's SQL quotes it."""

    @abstractmethod
    def _from(self, table: Table) -> str:
        """The quoted table, for a FROM clause."""

    @abstractmethod
    def _cursor(self) -> Any:
        """A driver cursor that does not fetch the whole result at once."""

    @abstractmethod
    def _array(self, column: Column, values: Sequence[Any]) -> pa.Array[Any]:
        """A column's values as the Arrow array that is exported; UnfitValue when one is not fit."""

    def _expression(self, column: Column) -> str:
        """The select-list entry that reads a column."""
        return self._quote(column.name)

    def count(self, table: Table) -> int:
        """The number of rows in a table."""
        rows = self._rows(f"SELECT count(*) FROM {self._from(table)}")  # noqa: S608 quoted name
        return int(rows[0][0])

    def stream(self, table: Table, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The table's rows in batches of at most `batch_rows`, fewer when rows are wide."""
        selected = ", ".join(self._expression(column) for column in table.columns)
        query = f"SELECT {selected} FROM {self._from(table)}"  # noqa: S608 names are quoted
        cursor = self._cursor()
        rows = min(_FIRST_FETCH_ROWS, batch_rows)
        try:
            with self._reading(table):
                cursor.execute(query)
            while True:
                with self._reading(table):
                    block = cursor.fetchmany(rows)
                if not block:
                    return
                batch = self._batch(table, block)
                rows = _next_fetch(rows, batch, batch_rows)
                # Kept alive through the yield, the fetched rows would double the memory.
                del block
                yield batch
        finally:
            with self._reading(table):
                cursor.close()

    def notes(self, table: Table) -> list[str]:
        """What a careful reader should know of the rows streamed so far, one line each."""
        return [
            f"{count} zero date(s) in column {column} have no timestamp and became NULL"
            for (of, column), count in sorted(
                self._without_value.items(), key=lambda item: item[0][1]
            )
            if of == table
        ]

    def close(self) -> None:
        """End the snapshot."""
        self._connection.close()

    def _batch(self, table: Table, block: Sequence[Sequence[Any]]) -> pa.RecordBatch:
        arrays: list[pa.Array[Any]] = []
        for column, values in zip(table.columns, zip(*block, strict=True), strict=True):
            try:
                array = self._array(column, values)
            except UnfitValue as unfit:
                raise TableError(
                    f"table {table}: column {column.name} is {column.type.name} but holds {unfit}; "
                    "the engine would not have stored that value, so mend the source data"
                ) from None
            self._refuse_huge(table, column, array)
            missing = array.null_count - values.count(None)
            if missing:
                self._without_value[table, column.name] += missing
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema)

    def _refuse_huge(self, table: Table, column: Column, array: Any) -> None:
        """An export fails on a large object; the size is looked at only where it could be one."""
        if array.nbytes < HUGE_VALUE_BYTES or not _has_length(array.type):
            return
        longest = pc.max(pc.binary_length(array)).as_py()
        if longest >= HUGE_VALUE_BYTES:
            raise SourceError(
                f"table {table}: column {column.name} holds a value of {longest:,} bytes; an "
                f"export fails on large objects of {HUGE_VALUE_BYTES:,} bytes and more"
            )

    def _rows(self, sql: str) -> list[Sequence[Any]]:
        """All rows of a small query."""
        with self._reading("the catalog"):
            cursor = self._connection.connection.cursor()
            try:
                cursor.execute(sql)
                return list(cursor.fetchall())
            finally:
                cursor.close()

    @contextmanager
    def _reading(self, what: Table | str) -> Iterator[None]:
        try:
            yield
        except self.driver_error as error:
            raise self._failure(what, " ".join(str(error).split())) from None

    def _failure(self, what: Table | str, told: str) -> Exception:
        """The error for what the driver told."""
        return SourceError(
            f"{self._engine} database {self._database}: reading {what} failed: {told}"
        )


def _has_length(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_binary(type_)


def _next_fetch(rows: int, batch: pa.RecordBatch, limit: int) -> int:
    """How many rows to ask for next, from the width of the last ones."""
    width = max(1, batch.nbytes // batch.num_rows)
    return max(1, min(rows * _GROWTH, _FETCH_BYTES // width, limit))
