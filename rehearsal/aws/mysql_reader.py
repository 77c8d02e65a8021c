"""Reading MySQL and MariaDB databases.

Values are fetched as the text (or the bytes) of the wire protocol and parsed by Arrow, so that no
number passes through a Python float and no date through a Python datetime: MySQL knows dates that
Python does not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
from pymysql.cursors import SSCursor

from rehearsal.aws.mapping import TIMESTAMP_MICROS, ColumnType
from rehearsal.aws.reader import Reader, UnfitValue
from rehearsal.aws.tables import Column, Table, refusal

_BEGIN = (
    # Not strict about what is read, and no quoting surprises from the server's own settings.
    "SET SESSION sql_mode = ''",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)

_TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY table_name
"""

_COLUMNS = """
    SELECT table_name, column_name, LOWER(data_type), LOWER(column_type),
           character_maximum_length, numeric_precision, numeric_scale, datetime_precision
    FROM information_schema.columns WHERE table_schema = DATABASE()
    ORDER BY table_name, ordinal_position
"""

#: 0001-01-01, the first day that Parquet readers and BigQuery share.
_FIRST_INSTANT = -62_135_596_800_000_000


class MysqlReader(Reader):
    """One consistent snapshot of a MySQL or MariaDB database."""

    driver_error = pymysql.err.Error

    def begin(self) -> None:
        """Start the snapshot in UTC, with values as the protocol carries them."""
        raw: Any = self._connection.connection.dbapi_connection
        raw.decoders = {}
        cursor = raw.cursor()
        for statement in _BEGIN:
            cursor.execute(statement)

    def tables(self) -> list[Table]:
        """Base tables of the connected database."""
        described: dict[str, list[Column]] = {}
        for name, column, *type_ in self._rows(_COLUMNS):
            found = Column.of("mysql", column, _column_type(type_))
            described.setdefault(name, []).append(found)
        tables = []
        for (name,) in self._rows(_TABLES):
            columns = tuple(described.get(name, ()))
            tables.append(Table(self._database, name, columns, refusal(name, columns)))
        return tables

    def _quote(self, name: str) -> str:
        return "`" + name.replace("`", "``") + "`"

    def _from(self, table: Table) -> str:
        return self._quote(table.name)

    def _expression(self, column: Column) -> str:
        # MySQL prints a FLOAT with six digits; as a double it keeps all it has.
        quoted = self._quote(column.name)
        if column.type.name.startswith("float"):
            return f"{quoted} + 0e0"
        # The driver does not know MySQL's VECTOR to be bytes.
        return f"CAST({quoted} AS BINARY)" if column.type.name == "vector" else quoted

    def _cursor(self) -> Any:
        raw: Any = self._connection.connection.dbapi_connection
        return raw.cursor(SSCursor)

    def _array(self, column: Column, values: Sequence[Any]) -> Any:
        target = column.export.arrow
        try:
            if pa.types.is_binary(target):
                return pa.array(values, target)
            texts: Any = pa.array(values, pa.string())
        except (pa.ArrowInvalid, UnicodeError):
            raise UnfitValue("bytes that are no UTF-8 text") from None
        if target == TIMESTAMP_MICROS:
            return _instants(texts).view(TIMESTAMP_MICROS)
        if column.type.name.startswith("float"):
            return pa.array([None if text is None else _shortest(text) for text in values], target)
        return texts.cast(target)


def _column_type(row: Sequence[Any]) -> ColumnType:
    data_type, column_type, *numbers = row
    length, precision, scale, time_precision = (
        None if number is None else int(number) for number in numbers
    )
    unsigned = " unsigned" if " unsigned" in column_type else ""
    return ColumnType(data_type + unsigned, length, precision, scale, time_precision)


def _instants(texts: Any) -> Any:
    """Date and time texts as microseconds; dates that no calendar has are NULL."""
    try:
        instants = texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        impossible = pc.match_substring_regex(texts, r"^(0000-|\d{4}-00|\d{4}-\d\d-00)")
        instants = pc.if_else(impossible, None, texts).cast(pa.timestamp("us"))
    before = pc.less(instants.cast(pa.int64()), pa.scalar(_FIRST_INSTANT))
    return pc.if_else(before, None, instants)


def _shortest(text: str) -> float:
    """The double of the shortest decimal text that still names the same 32-bit float.

    A FLOAT of 0.1 widened bit by bit is 0.10000000149011612; this gives 0.1, and no two different
    floats become the same double.
    """
    widened = float(text)
    single = struct.pack("f", widened)
    for digits in (6, 7, 8):
        short = float(f"{widened:.{digits}g}")
        if abs(short) <= _MAX_FLOAT and struct.pack("f", short) == single:
            return short
    return widened


_MAX_FLOAT = struct.unpack("f", b"\xff\xff\x7f\x7f")[0]
