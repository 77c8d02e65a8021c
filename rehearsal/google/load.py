"""One load: Parquet files on disk into one table, all rows or none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from rehearsal.google.catalog import Table
from rehearsal.google.parquet import Column, appended, columns_of, read_schemas, require_same
from rehearsal.google.schema import SchemaError, quoted
from rehearsal.google.store import Store, literal


class LoadError(Exception):
    """The files cannot be loaded; the table is as it was."""


def load(
    store: Store,
    table: Table,
    files: Sequence[Path],
    names: Sequence[str],
    *,
    decimal_targets: Collection[str],
    append: bool,
    now: datetime,
) -> int:
    """Load *files* (called *names* in messages) into *table*; returns the number of rows.

    Without *append* the table's rows and schema are replaced by those of the files.
    """
    try:
        with store.cursor() as cursor:
            schemas = read_schemas(cursor, files)
        require_same(schemas, names)
        columns = columns_of(schemas, decimal_targets)
        if append and table.fields is not None:
            columns = appended(columns, table.fields)
        return _insert(store, table, files, columns, append=append, now=now)
    except SchemaError as error:
        raise LoadError(str(error)) from error
    except duckdb.Error as error:
        raise LoadError(_first_line(error)) from error


def _insert(
    store: Store,
    table: Table,
    files: Sequence[Path],
    columns: Sequence[Column],
    *,
    append: bool,
    now: datetime,
) -> int:
    source = _source(files)
    fresh = table.fields is None or not append
    fields = tuple(column.field for column in columns)
    target = store.name(table.dataset, table.id)
    into = ", ".join(quoted(field.name) for field in fields)
    values = ", ".join(column.expression for column in columns)
    with store.lock:
        with store.transaction() as cursor:
            if fresh:
                store.create_table(cursor, table.dataset, table.id, fields)
            try:
                cursor.execute(f"INSERT INTO {target} ({into}) SELECT {values} FROM {source}")  # noqa: S608
            except duckdb.Error as error:
                raise LoadError(_culprit(store, columns, source, error)) from error
            rows = int(cursor.fetchone()[0])
        if fresh:
            table.fields = fields
        table.touch(now)
    return rows


def _source(files: Sequence[Path]) -> str:
    names = ", ".join(literal(str(path)) for path in files)
    return f"read_parquet([{names}], hive_partitioning = false)"


def _culprit(store: Store, columns: Sequence[Column], source: str, error: Any) -> str:
    """The message of *error*, with the column it comes from, found by reading one at a time."""
    for column in columns:
        with store.cursor() as cursor:
            try:
                cursor.execute(f"SELECT count({column.expression}) FROM {source}")  # noqa: S608
            except duckdb.Error as cause:
                return f"column {column.field.name} ({column.field.type}): {_first_line(cause)}"
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
