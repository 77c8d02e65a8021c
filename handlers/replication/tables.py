"""The tables of the load: made when missing, looked at when they are there.

DynamoDB tells keys apart byte by byte: case, accents and trailing spaces count. So do collations
that compare code points and do not pad: `utf8mb4_0900_bin` of MySQL 8.0.17, `utf8mb4_nopad_bin` of
MariaDB (MySQL, "Trailing Space Handling in Comparisons"; MariaDB, "NO PAD Collations"). A server
has one of the two. A target that is there is left as it is, but no two keys may be one in it, and
each column must hold whatever the flow's type holds (see `_holds`): what did not fit would be found
out late, and what loses trailing spaces, digits or parts of a second not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import pymysql

from replication.database_errors import NO_SUCH_TABLE, code_of
from replication.flow import Column, Flow
from replication.statements import (
    ADD_TARGET,
    CREATE_OBJECTS,
    CREATE_TARGETS,
    FIND_TARGET,
    OBJECTS,
    TARGETS,
    Statements,
)
from shared.errors import FerryError

_COLLATIONS = ("utf8mb4_0900_bin", "utf8mb4_nopad_bin")
_FIND_COLLATIONS = (
    "SELECT COLLATION_NAME FROM information_schema.COLLATIONS WHERE COLLATION_NAME IN (%s, %s)"
)
_COLUMNS = (
    "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COLLATION_NAME, CHARACTER_OCTET_LENGTH, "
    "NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
)
_UNIQUE = (
    "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND NON_UNIQUE = 0"
)
# Per kind of a flow: what may stand in its place. CHAR and BINARY may not: the one drops trailing
# spaces, the other pads. MariaDB's json is a longtext.
_TEXTS = frozenset({"varchar", "tinytext", "text", "mediumtext", "longtext"})
_BYTES = frozenset({"varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_PLACES = {
    "varchar": _TEXTS,
    "longtext": frozenset({"longtext"}),
    "json": frozenset({"json", "longtext"}),
    "boolean": frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"}),
    "int": frozenset({"int", "bigint"}),
    "bigint": frozenset({"bigint"}),
    "decimal": frozenset({"decimal"}),
    "double": frozenset({"double"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"datetime"}),
    "varbinary": _BYTES,
    "longblob": frozenset({"longblob"}),
}
_SIGNED = frozenset({"int", "bigint", "decimal", "double"})
_OCTETS = {"varchar": 4, "varbinary": 1}  # of a character of utf8mb4, of a byte
_FRACTION = 6  # digits of a second


class Cursor(Protocol):
    """The part of a cursor that is used."""

    def execute(self, query: str, args: Any = None) -> int:
        """Run a statement."""

    def fetchall(self) -> Any:
        """Return the rows of the answer."""


class WrongTable(FerryError):
    """The target is there, but the flow cannot be loaded into it."""


def prepare(cursor: Cursor, flow: Flow) -> Statements:
    """Make what is missing, check the target; return the statements that are right here.

    Tables that are there are not created again, so the user needs that privilege only once. These
    statements commit, and belong before a transaction.
    """
    statements = Statements(flow, _collation(cursor))
    for table, create in (
        (statements.target, statements.create_target()),
        (statements.keys, statements.create_keys()),
        (TARGETS, CREATE_TARGETS),
        (OBJECTS, CREATE_OBJECTS),
    ):
        if not _exists(cursor, table):
            cursor.execute(create)
    # An INSERT that finds its row waits for whoever has locked it: a load that is under way.
    cursor.execute(FIND_TARGET, (flow.table,))
    if not cursor.fetchall():
        cursor.execute(ADD_TARGET, (flow.table,))
    _check_columns(cursor, flow)
    _check_keys(cursor, flow)
    return statements


def _collation(cursor: Cursor) -> str:
    cursor.execute(_FIND_COLLATIONS, _COLLATIONS)
    found = {row[0] for row in cursor.fetchall()}
    for collation in _COLLATIONS:
        if collation in found:
            return collation
    raise WrongTable(
        f"the server has none of the collations {', '.join(_COLLATIONS)}; "
        "it must be MySQL 8.0.17 (Aurora MySQL 3) or MariaDB 10.6, or later"
    )


def _exists(cursor: Cursor, table: str) -> bool:
    try:
        cursor.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608  # a quoted identifier
    except pymysql.ProgrammingError as error:
        if code_of(error) == NO_SUCH_TABLE:
            return False
        raise
    return True


@dataclass(frozen=True)
class _Found:
    """A column of the target, as `information_schema.COLUMNS` has it."""

    kind: str
    full: str
    collation: str | None
    octets: int | None
    digits: int | None
    scale: int | None
    fraction: int | None

    def __str__(self) -> str:
        return f"{self.full} COLLATE {self.collation}" if self.collation else self.full


def _check_columns(cursor: Cursor, flow: Flow) -> None:
    cursor.execute(_COLUMNS, (flow.table,))
    found = {
        name.lower(): _Found(kind.lower(), full.lower(), *rest)
        for name, kind, full, *rest in cursor.fetchall()
    }
    missing = [column.name for column in flow.columns if column.name.lower() not in found]
    if missing:
        raise WrongTable(
            f"table {flow.database}.{flow.table} lacks the columns {', '.join(missing)}; "
            "add them, or take them out of the flow"
        )
    wrong = [
        f"{column.name} is {there}; it must be {_wanted(column, flow)}"
        for column in flow.columns
        for there in [found[column.name.lower()]]
        if not (_holds_key(there, column) if column.name in flow.key else _holds(there, column))
    ]
    if wrong:
        raise WrongTable(
            f"table {flow.database}.{flow.table} has columns that do not hold what the flow "
            f"brings: {', and '.join(wrong)}"
        )


def _wanted(column: Column, flow: Flow) -> str:
    if column.name not in flow.key or column.type.kind != "varchar":
        return str(column.type)
    return (
        f"{column.type}, with a collation that tells all keys of DynamoDB apart "
        f"({' or '.join(_COLLATIONS)})"
    )


def _holds(there: _Found, column: Column) -> bool:
    """Does the column hold every value of the flow's type, and give it back as it was?"""
    wanted = column.type
    if there.kind not in _PLACES[wanted.kind]:
        return False
    if wanted.kind in _SIGNED and "unsigned" in there.full:
        return False
    if there.collation and not there.collation.startswith("utf8mb4"):
        return False
    if wanted.kind in _OCTETS:
        return (there.octets or 0) >= wanted.size * _OCTETS[wanted.kind]
    if wanted.kind == "decimal":
        digits, scale = there.digits or 0, there.scale or 0
        return scale >= wanted.scale and digits - scale >= wanted.size - wanted.scale
    return wanted.kind != "datetime" or (there.fraction or 0) >= _FRACTION


def _holds_key(there: _Found, column: Column) -> bool:
    """Does the column also tell all keys apart, as the key of an index, without a prefix?"""
    if not _holds(there, column):
        return False
    if column.type.kind == "decimal":
        return (there.digits, there.scale) == (column.type.size, column.type.scale)
    if column.type.kind in _OCTETS and there.kind != column.type.kind:
        return False
    return not there.collation or there.collation in _COLLATIONS


def _check_keys(cursor: Cursor, flow: Flow) -> None:
    """The primary key must be the flow's, and nothing else may be unique: it could be in the way
    of a change, or lead it to another row. Of an index on an expression the column is NULL."""
    cursor.execute(_UNIQUE, (flow.table,))
    indexes: dict[str, set[tuple[str, bool]]] = {}
    for index, column, prefix in cursor.fetchall():
        indexes.setdefault(index, set()).add(((column or "").lower(), prefix is None))
    key = {(name.lower(), True) for name in flow.key}
    if indexes != {"PRIMARY": key}:
        raise WrongTable(
            f"table {flow.database}.{flow.table} must have the primary key "
            f"({', '.join(flow.key)}) and no other unique index; "
            f"its unique indexes are: {', '.join(sorted(indexes)) or 'none'}"
        )
