"""The tables of the load: made when missing, looked at when they are there.

DynamoDB tells keys apart byte by byte: case, accents and trailing spaces count. So do collations
that compare code points and do not pad: `utf8mb4_0900_bin` of MySQL 8.0.17, `utf8mb4_nopad_bin` of
MariaDB (MySQL, "Trailing Space Handling in Comparisons"; MariaDB, "NO PAD Collations"). A server
has one of the two. A target that is there is left as it is, but no two keys may be one in it.
"""

from __future__ import annotations

from typing import Any, Protocol

import pymysql

from replication.database_errors import NO_SUCH_TABLE, code_of
from replication.flow import Flow
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
    "SELECT COLUMN_NAME, DATA_TYPE, COLLATION_NAME FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
)
_UNIQUE = (
    "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS "
    "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND NON_UNIQUE = 0"
)


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


def _check_columns(cursor: Cursor, flow: Flow) -> None:
    cursor.execute(_COLUMNS, (flow.table,))
    found = {name.lower(): (kind.lower(), collation) for name, kind, collation in cursor.fetchall()}
    missing = [column.name for column in flow.columns if column.name.lower() not in found]
    if missing:
        raise WrongTable(
            f"table {flow.database}.{flow.table} lacks the columns {', '.join(missing)}; "
            "add them, or take them out of the flow"
        )
    for column in flow.key_columns:
        kind, collation = found[column.name.lower()]
        if kind != column.type.kind or (collation and collation not in _COLLATIONS):
            told = f"{kind} COLLATE {collation}" if collation else kind
            raise WrongTable(
                f"key column {flow.database}.{flow.table}.{column.name} is {told}; it must be "
                f"{column.type}, of text with a collation that tells all keys of DynamoDB apart "
                f"({' or '.join(_COLLATIONS)})"
            )


def _check_keys(cursor: Cursor, flow: Flow) -> None:
    """The primary key must be the flow's, and nothing else may be unique: it could be in the way
    of a change, or lead it to another row."""
    cursor.execute(_UNIQUE, (flow.table,))
    indexes: dict[str, set[tuple[str, bool]]] = {}
    for index, column, prefix in cursor.fetchall():
        indexes.setdefault(index, set()).add((column.lower(), prefix is None))
    key = {(name.lower(), True) for name in flow.key}
    if indexes != {"PRIMARY": key}:
        raise WrongTable(
            f"table {flow.database}.{flow.table} must have the primary key "
            f"({', '.join(flow.key)}) and no other unique index"
        )
