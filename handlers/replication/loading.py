"""Loading one object: everything it changes in one transaction, once, whatever came before.

1. The object's lines go into a temporary table of the session. Making and filling that commits
   nothing that lasts, and is done before the transaction: nobody waits for S3 with a lock.
2. In the transaction, the target's row in `ferry_targets` is locked: loads of a target take turns.
3. An object that is in the ledger has been loaded: nothing to do.
4. Per key the line with the highest sequence counts, and only if it is higher than the one that is
   known of the key. Deletes and upserts are carried out, the sequences kept, the ledger written.

Nothing between BEGIN and COMMIT commits implicitly (MySQL, "Statements That Cause an Implicit
Commit"). If the connection is lost while it commits, the next attempt learns from the ledger
whether it did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from replication import statements as sql
from replication.database import Database
from replication.database_errors import (
    code_of,
    is_other_columns,
    may_pass,
    said,
    without_values,
)
from replication.flow import Flow
from replication.objects import StoredObject
from replication.statements import Statements
from replication.tables import prepare
from shared.errors import FerryError
from shared.retry import Backoff

BACKOFF = Backoff(attempts=20, first=0.5, longest=15.0)
"""Nearly two minutes of pauses on average, if there is that much time: a failover of Aurora, which
typically takes less than one (AWS, "High availability for Amazon Aurora"), is ridden out."""

SECONDS_NEEDED = 10.0
MAX_LOCK_WAIT = 50

_UNSAFE_STATEMENT = 1592  # with binlog_format=STATEMENT; says nothing of what was read
_OTHER_COLUMNS = "the file was written for other columns than the flow has now"

Source = Callable[[StoredObject], str]
"""Where LOAD DATA finds an object: `s3_source`, or what a test has instead."""


class LoadFailed(FerryError):
    """An object was not loaded; nothing of it is in the target."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What an object brought."""

    lines: int = 0
    upserts: int = 0
    deletes: int = 0
    duplicate: bool = False

    @property
    def stale(self) -> int:
        """Return how many lines changed nothing: later ones of their keys had been there."""
        return self.lines - self.upserts - self.deletes


class Loader:
    """Loads objects of one flow."""

    def __init__(
        self, flow: Flow, database: Database, source: Source, backoff: Backoff = BACKOFF
    ) -> None:
        self._flow = flow
        self._database = database
        self._source = source
        self._backoff = backoff

    def load(self, stored: StoredObject, seconds_left: Callable[[], float]) -> Loaded:
        """Load an object, or find that it has been loaded; try again what may pass."""
        needed = SECONDS_NEEDED + self._backoff.longest
        for attempt in range(1, self._backoff.attempts + 1):
            try:
                return self._load_once(stored, seconds_left())
            except pymysql.MySQLError as error:
                last = attempt == self._backoff.attempts
                if last or not may_pass(error) or seconds_left() < needed:
                    raise LoadFailed(said(error)) from None
            self._backoff.pause(attempt, None)
        raise AssertionError("every last attempt returns or raises")

    def _load_once(self, stored: StoredObject, seconds: float) -> Loaded:
        with self._database.connection(seconds) as connection, connection.cursor() as cursor:
            wait = max(1, min(MAX_LOCK_WAIT, int(seconds / 4)))
            cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (wait,))
            # The target is its owner's, who may have changed it since the last object.
            statements = prepare(cursor, self._flow)
            cursor.execute(sql.FIND_OBJECT, (stored.id,))
            if cursor.fetchone():
                return Loaded(duplicate=True)
            self._stage(cursor, stored, statements)
            return self._apply(connection, cursor, stored, statements)

    def _stage(self, cursor: Cursor, stored: StoredObject, statements: Statements) -> None:
        """Fill the stage; whatever is not as it should be is an error, not a warning."""
        cursor.execute(statements.create_stage())
        cursor.execute(sql.CREATE_CHOSEN)
        try:
            cursor.execute(statements.load(self._source(stored)))
        except pymysql.MySQLError as error:
            if is_other_columns(code_of(error), str(error)):
                raise LoadFailed(f"{_OTHER_COLUMNS}: {said(error)}") from None
            raise
        cursor.execute("SHOW WARNINGS")
        _refuse_warnings(cursor.fetchall())

    def _apply(
        self,
        connection: Connection[Any],
        cursor: Cursor,
        stored: StoredObject,
        statements: Statements,
    ) -> Loaded:
        connection.begin()
        cursor.execute(sql.LOCK_TARGET, (self._flow.table,))
        if not cursor.fetchone():
            raise LoadFailed(f"{sql.TARGETS} has no row for {self._flow.table}; was it deleted?")
        cursor.execute(sql.FIND_OBJECT, (stored.id,))
        if cursor.fetchone():
            connection.rollback()
            return Loaded(duplicate=True)
        cursor.execute(statements.choose())
        loaded = _counted(cursor)
        cursor.execute(statements.delete())
        cursor.execute(statements.upsert())
        cursor.execute(statements.remember())
        cursor.execute(
            sql.ADD_OBJECT,
            (
                *(stored.id, stored.bucket, stored.key, stored.version, stored.sequencer),
                *(self._flow.table, loaded.lines, loaded.upserts, loaded.deletes),
            ),
        )
        connection.commit()
        return loaded


def _refuse_warnings(found: Sequence[Sequence[Any]]) -> None:
    """Raise what SHOW WARNINGS has found, if that is of the lines that were read."""
    warnings = [(code, str(text)) for _, code, text in found if code != _UNSAFE_STATEMENT]
    if warnings:
        code, text = warnings[0]
        why = f"{_OTHER_COLUMNS}: " if is_other_columns(code, text) else ""
        raise LoadFailed(
            f"{why}LOAD DATA warns {len(warnings)} times, first: {code}: {without_values(text)}"
        )


def _counted(cursor: Cursor) -> Loaded:
    cursor.execute(sql.COUNT_LINES)
    ((lines,),) = cursor.fetchall()
    cursor.execute(sql.COUNT_CHOSEN)
    ((upserts, deletes),) = cursor.fetchall()
    return Loaded(lines=int(lines), upserts=int(upserts), deletes=int(deletes))
