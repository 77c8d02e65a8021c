"""Reading a SQLite file as if it were a MySQL or a PostgreSQL database.

The file is opened read-only and nothing is created beside it. Its tables appear under the
database's name (MySQL, which has no schemas) or under `public` (PostgreSQL).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rehearsal.aws.mapping import ColumnType
from rehearsal.aws.reader import Reader
from rehearsal.aws.sqlite_types import content_type, declared_type
from rehearsal.aws.sqlite_values import Array, convert
from rehearsal.aws.tables import Column, Table, TableError, refusal

#: Tables that the full-text and R-tree modules keep beside a virtual table.
_SHADOWS = (
    *("_data", "_idx", "_content", "_docsize", "_config", "_segments", "_segdir", "_stat"),
    *("_node", "_parent", "_rowid"),
)

#: `hidden` in table_xinfo: a virtual table's own columns; 2 and 3 are generated columns, which
#: the engines export like any other.
_HIDDEN = 1


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection to an existing file.

    A file in WAL mode without a log beside it is opened as immutable: nobody has it open, and
    SQLite would otherwise create the log and its index even for a reader.
    """
    mode = "mode=ro"
    if _write_ahead(path) and not path.with_name(path.name + "-wal").exists():
        mode = "immutable=1"
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{mode}",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
    )


def _write_ahead(path: Path) -> bool:
    """Whether the header's read version (byte 19) says WAL."""
    with path.open("rb") as file:
        return file.read(20)[19:20] == b"\x02"


class SqliteReader(Reader):
    """One read transaction over a SQLite file."""

    driver_error = sqlite3.Error

    def begin(self) -> None:
        """Start the transaction; SQLite takes its snapshot at the first read."""
        cursor = self._connection.connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT count(*) FROM sqlite_master")
        cursor.close()

    def tables(self) -> list[Table]:
        """Ordinary tables; neither virtual tables nor what their modules keep are any."""
        listed = self._rows(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' "
            r"AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name"
        )
        virtual = {name for name, sql in listed if sql.upper().startswith("CREATE VIRTUAL")}
        shadows = {name + suffix for name in virtual for suffix in _SHADOWS}
        return [self._table(name) for name, _ in listed if name not in virtual | shadows]

    def _table(self, name: str) -> Table:
        described = self._rows(f"PRAGMA table_xinfo({self._quote(name)})")
        columns = tuple(
            Column.of(self._engine, column, self._type(name, column, declared))
            for _, column, declared, _, _, _, hidden in described
            if hidden != _HIDDEN
        )
        schema = self._database if self._engine == "mysql" else "public"
        return Table(schema, name, columns, refusal(name, columns))

    def _type(self, table: str, column: str, declared: str) -> ColumnType:
        known = declared_type(self._engine, declared)
        if known is not None:
            return known
        query = f"SELECT DISTINCT typeof({self._quote(column)}) FROM "  # noqa: S608 quoted name
        kinds = self._rows(query + self._quote(table))
        return content_type(self._engine, {kind for (kind,) in kinds})

    def _quote(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def _from(self, table: Table) -> str:
        return self._quote(table.name)

    def _cursor(self) -> Any:
        return self._connection.connection.cursor()

    def _failure(self, what: Table | str, told: str) -> Exception:
        # SQLite stores any bytes as text; the driver names the column and shows the text.
        undecodable = re.match(r"Could not decode to UTF-8 column '(.*?)' with text", told)
        if undecodable:
            return TableError(
                f"table {what}: column {undecodable[1]} holds text that is not UTF-8; the engine "
                "would not have stored that value, so mend the source data"
            )
        return super()._failure(what, told)

    def _array(self, column: Column, values: Sequence[Any]) -> Array:
        return convert(self._engine, column, values)
