"""Source databases: any SQLite, MySQL, MariaDB or PostgreSQL database by its SQLAlchemy URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy import Engine as SqlEngine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from rehearsal.aws.mapping import Engine
from rehearsal.aws.mysql_reader import MysqlReader
from rehearsal.aws.postgresql_reader import PostgresqlReader
from rehearsal.aws.reader import BATCH_ROWS, Reader
from rehearsal.aws.sqlite_reader import SqliteReader, connect
from rehearsal.aws.tables import Column, SourceError, Table, TableError

__all__ = ["Column", "Source", "SourceError", "Table", "TableError"]

_EXAMPLES = (
    "sqlite:///path/to/file.db, mysql+pymysql://user:password@host:3306/database or "
    "postgresql+psycopg://user:password@host:5432/database"
)
_DRIVERS = {
    "sqlite": "sqlite",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
_ENGINES: dict[str, Engine] = {"mysql": "mysql", "postgresql": "postgresql"}
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Source:
    """One readable database, seen as a MySQL or as a PostgreSQL database."""

    engine: Engine
    database: str
    _url: URL = field(repr=False)

    @classmethod
    def open(cls, url: str, engine: Engine | None = None) -> Source:
        """The database at a URL, connected to once so that a mistake shows at once.

        A SQLite file can be read as either engine (MySQL when none is given); the others are
        what they are.
        """
        parsed = _parse(url)
        own = _ENGINES.get(parsed.get_backend_name())
        if engine is not None and own is not None and engine != own:
            raise SourceError(
                f"{_shown(parsed)} is a {own} database and cannot be read as {engine}; "
                f"use --engine {own} or leave it out"
            )
        source = cls(own or engine or "mysql", _database_name(parsed), parsed)
        with source.snapshot():
            return source

    def tables(self) -> list[Table]:
        """The base tables of the database."""
        with self.snapshot() as reader:
            return reader.tables()

    def count(self, table: Table) -> int:
        """The number of rows in a table."""
        with self.snapshot() as reader:
            return reader.count(table)

    def stream(self, table: Table, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """A table's rows under the engine's export mapping, with bounded memory."""
        with self.snapshot() as reader:
            yield from reader.stream(table, batch_rows)

    @contextmanager
    def snapshot(self) -> Iterator[Reader]:
        """A reader whose every answer comes from one moment of the database."""
        reader = self._reader()
        try:
            yield reader
        finally:
            reader.close()

    def __str__(self) -> str:
        """The URL without its password."""
        return _shown(self._url)

    def _reader(self) -> Reader:
        kind = _READERS[self._url.get_backend_name()]
        reader: Reader | None = None
        try:
            reader = kind(_sql_engine(self._url).connect(), self.engine, self.database)
            reader.begin()
        # Drivers fail in many ways, from their own errors to a TypeError for an unknown option.
        except Exception as error:
            if reader is not None:
                reader.close()
            raise SourceError(
                f"cannot open {self}: {_reason(error, self._url)}; {_advice(self._url)}"
            ) from None
        return reader


_READERS: dict[str, type[Reader]] = {
    "sqlite": SqliteReader,
    "mysql": MysqlReader,
    "postgresql": PostgresqlReader,
}


def _parse(url: str) -> URL:
    """The URL with an installed driver, naming a database."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The text itself may hold a password: it is not shown.
        raise SourceError(f"this is no database URL; one looks like {_EXAMPLES}") from None
    backend = parsed.get_backend_name()
    if backend not in _DRIVERS:
        raise SourceError(f"{backend} databases cannot be read; give a URL like {_EXAMPLES}")
    parsed = parsed.set(drivername=_DRIVERS[backend])
    if not parsed.database or parsed.database == ":memory:":
        raise SourceError(f"{_shown(parsed)} names no database; give a URL like {_EXAMPLES}")
    return parsed


def _path(url: URL) -> Path:
    """The file of a SQLite URL, also of one written as `file:path?options`."""
    return Path((url.database or "").removeprefix("file:").partition("?")[0])


def _database_name(url: URL) -> str:
    """The database's name; that of a SQLite file is its stem, made a name RDS can export."""
    if url.get_backend_name() == "sqlite":
        return re.sub(r"[^A-Za-z0-9_]", "_", _path(url).stem)
    return url.database or ""


def _sql_engine(url: URL) -> SqlEngine:
    backend = url.get_backend_name()
    if backend == "sqlite":
        path = _path(url)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)
    options: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS}
    options |= {"charset": "utf8mb4"} if backend == "mysql" else {"client_encoding": "utf-8"}
    return create_engine(url, connect_args=options, poolclass=NullPool)


def _shown(url: URL) -> str:
    """The URL with its password, and any secret among its options, masked."""
    options = {key: "***" if "pass" in key.lower() else value for key, value in url.query.items()}
    return url.set(query=options).render_as_string(hide_password=True)


def _reason(error: Exception, url: URL) -> str:
    """What the driver says, in one line and without the password."""
    told: Any = getattr(error, "orig", None) or error
    # pymysql's errors are (number, text) pairs.
    text = str(told.args[1]) if len(told.args) == 2 else str(told)
    for secret in (url.password, *_secret_options(url)):
        if secret:
            text = text.replace(str(secret), "***")
    return " ".join(text.split())


def _secret_options(url: URL) -> list[str]:
    return [str(value) for key, value in url.query.items() if "pass" in key.lower()]


def _advice(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return "give the path of an existing SQLite database, like sqlite:///path/to/file.db"
    return "check that the server runs, and the URL's host, port, user, password and database"
