"""Reading PostgreSQL databases.

Whatever the export writes as text is fetched as the output of the type's own function, so
numbers, dates, arrays and ranges look exactly as the server prints them, in UTC.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import psycopg
import pyarrow as pa

from rehearsal.aws.mapping import ColumnType
from rehearsal.aws.reader import Reader, UnfitValue
from rehearsal.aws.tables import Column, Table, refusal

_OUTPUT = """
    SET LOCAL timezone = 'UTC';
    SET LOCAL datestyle = 'ISO, MDY';
    SET LOCAL intervalstyle = 'postgres';
    SET LOCAL extra_float_digits = 1;
    SET LOCAL bytea_output = 'hex';
"""

# A partition's rows are read through its parent table. Temporary tables belong to a session.
_TABLES = """
    SELECT n.nspname, c.relname, c.relpersistence = 'u',
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
    ORDER BY n.nspname, c.relname
"""

_COLUMNS = """
    SELECT table_schema::text, table_name::text, column_name::text, data_type::text,
           character_maximum_length::int, numeric_precision::int, numeric_scale::int,
           datetime_precision::int
    FROM information_schema.columns
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
    ORDER BY table_schema, table_name, ordinal_position
"""

#: Types whose text the driver hands over as it is. A cast of CHARACTER would cut its blanks.
_PLAIN_TEXT = frozenset({"text", "character varying", "character"})


class PostgresqlReader(Reader):
    """One REPEATABLE READ transaction over all schemas of a PostgreSQL database."""

    driver_error = psycopg.Error

    def begin(self) -> None:
        """Start the transaction with output settings that do not depend on the server's."""
        self._cursor_number = itertools.count()
        self._raw.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._raw.read_only = True
        self._raw.execute(_OUTPUT)

    @property
    def _raw(self) -> Any:
        return self._connection.connection.dbapi_connection

    def tables(self) -> list[Table]:
        """Tables of all schemas but the system's; those RDS could not read say so."""
        described: dict[tuple[str, str], list[Column]] = {}
        for schema, name, column, *type_ in self._rows(_COLUMNS):
            found = Column.of("postgresql", column, ColumnType(*type_))
            described.setdefault((schema, name), []).append(found)
        tables = []
        for schema, name, unlogged, readable in self._rows(_TABLES):
            columns = tuple(described.get((schema, name), ()))
            reason = _refusal(name, columns, unlogged, readable)
            tables.append(Table(schema, name, columns, reason))
        return tables

    def _quote(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def _from(self, table: Table) -> str:
        return f"{self._quote(table.schema)}.{self._quote(table.name)}"

    def _expression(self, column: Column) -> str:
        quoted = self._quote(column.name)
        as_text = pa.types.is_string(column.export.arrow) and column.type.name not in _PLAIN_TEXT
        if not as_text:
            return quoted
        # A cast to text has its own ideas of some types (it adds a mask to an INET address). As
        # `IS NULL` is true of a row of NULLs, it cannot tell such a value from a missing one.
        return f"CASE WHEN {quoted} IS DISTINCT FROM NULL THEN format('%s', {quoted}) END"

    def _cursor(self) -> Any:
        # Binary results arrive as Python numbers and bytes without being printed and parsed.
        return self._raw.cursor(name=f"export_{next(self._cursor_number)}", binary=True)

    def _array(self, column: Column, values: Sequence[Any]) -> Any:
        try:
            return pa.array(values, column.export.arrow)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            raise UnfitValue(f"a value the driver did not read as {column.type.name}") from None


def _refusal(name: str, columns: tuple[Column, ...], unlogged: bool, readable: bool) -> str | None:
    if not readable:
        return "PERMISSIONS_DO_NOT_EXIST"
    if unlogged:
        return "it is an unlogged table, which snapshots do not hold"
    return refusal(name, columns)
