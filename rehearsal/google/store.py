"""The one DuckDB file: one DuckDB schema per dataset, tables under their BigQuery names."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from rehearsal.google.schema import Field, quoted

_MEMORY_LIMIT = "512MB"
_THREADS = 2


class Store:
    """A DuckDB database in *path*; *work* is a directory it may use and removes at the end."""

    def __init__(self, path: Path, work: Path) -> None:
        self.path = path
        self.work = work
        #: Held by whoever changes tables or the catalogue, so that both change together.
        self.lock = threading.RLock()
        self._connection: Any = None
        self._catalog = ""

    def open(self) -> None:
        """Open or create the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True, exist_ok=True)
        self._connection = duckdb.connect(
            str(self.path),
            config={
                "memory_limit": _MEMORY_LIMIT,
                "threads": _THREADS,
                "preserve_insertion_order": False,
                "temp_directory": str(self.work / "spill"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        # Queries come from users: they reach tables, not this machine's files.
        self._connection.execute(f"SET allowed_directories = [{literal(str(self.work))}]")
        self._connection.execute("SET enable_external_access = false")
        self._catalog = self._connection.execute("SELECT current_database()").fetchone()[0]

    def close(self) -> None:
        """Write everything into the file and let go of it."""
        if self._connection is None:
            return
        # DuckDB would do so on closing, but keep silent where the disk is full.
        self._connection.execute("CHECKPOINT")
        self._connection.close()
        self._connection = None
        shutil.rmtree(self.work, ignore_errors=True)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        """A connection of its own, for one thread."""
        with contextlib.closing(self._connection.cursor()) as cursor:
            yield cursor

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """The lock, and a cursor whose changes happen together or not at all."""
        with self.lock, self.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
            except BaseException:
                with contextlib.suppress(duckdb.Error):
                    cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def name(self, dataset: str, table: str | None = None) -> str:
        """The full SQL name of a dataset or table (with the catalogue, so never ambiguous)."""
        parts = [self._catalog, dataset] + ([table] if table is not None else [])
        return ".".join(quoted(part) for part in parts)

    @property
    def catalog(self) -> str:
        """DuckDB's name of the database."""
        return self._catalog

    def create_dataset(self, dataset: str) -> None:
        """Make an empty schema; what an earlier rehearsal left there goes."""
        with self.transaction() as cursor:
            if dataset != "main":  # every DuckDB database has this one
                cursor.execute(f"DROP SCHEMA IF EXISTS {self.name(dataset)} CASCADE")
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {self.name(dataset)}")

    def drop_dataset(self, dataset: str) -> None:
        """Remove a schema with its tables."""
        if dataset != "main":
            with self.transaction() as cursor:
                cursor.execute(f"DROP SCHEMA IF EXISTS {self.name(dataset)} CASCADE")

    def create_table(self, cursor: Any, dataset: str, table: str, fields: Sequence[Field]) -> None:
        """Make an empty table, in the caller's transaction, in place of one that may be there."""
        columns = ", ".join(field.duckdb_column() for field in fields)
        cursor.execute(f"CREATE OR REPLACE TABLE {self.name(dataset, table)} ({columns})")

    def drop_table(self, dataset: str, table: str) -> None:
        """Remove a table."""
        with self.transaction() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {self.name(dataset, table)}")

    def count(self, dataset: str, table: str) -> int:
        """How many rows a table has."""
        with self.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {self.name(dataset, table)}")  # noqa: S608
            return int(cursor.fetchone()[0])

    def size(self, dataset: str, table: str, fields: Sequence[Field]) -> int:
        """The logical bytes of a table (https://cloud.google.com/bigquery/pricing#data)."""
        terms = " + ".join(
            f"coalesce(sum({_bytes_of(quoted(field.name), field)}), 0)" for field in fields
        )
        with self.cursor() as cursor:
            cursor.execute(f"SELECT {terms} FROM {self.name(dataset, table)}")  # noqa: S608
            return int(cursor.fetchone()[0])


def literal(text: str) -> str:
    """*text* as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


_FIXED_BYTES = {"BOOLEAN": 1, "NUMERIC": 16, "BIGNUMERIC": 32}


def _bytes_of(expression: str, field: Field, depth: int = 0) -> str:
    """SQL for the bytes of one value: strings 2 + length, NULL 0, records their parts."""
    if field.mode == "REPEATED":
        item = f"x{depth}"
        single = Field(field.name, field.type, fields=field.fields)
        inner = _bytes_of(item, single, depth + 1)
        return f"list_sum(list_transform({expression}, lambda {item}: {inner}))"
    if field.type == "RECORD":
        parts = (_bytes_of(f"{expression}.{quoted(f.name)}", f, depth) for f in field.fields)
        return " + ".join(f"coalesce({part}, 0)" for part in parts)
    if field.type in ("STRING", "JSON"):
        return f"2 + strlen({expression})"
    if field.type == "BYTES":
        return f"2 + octet_length({expression})"
    size = _FIXED_BYTES.get(field.type, 8)
    return f"CASE WHEN {expression} IS NOT NULL THEN {size} END"
