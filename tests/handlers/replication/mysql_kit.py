"""A loader before a real server. MariaDB has no LOAD DATA FROM S3: the same statement reads the
object from a local file instead, and from there on everything is as in Aurora."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pymysql
from pymysql.connections import Connection
from sqlalchemy import URL

from replication.database import SESSION, SQL_MODE, Database
from replication.flow import Flow
from replication.lines import line_writer
from replication.loading import Loaded, Loader
from replication.objects import StoredObject
from shared.retry import Backoff
from tests.handlers.replication.kit import BUCKET

QUICK = Backoff(attempts=4, first=0.0, longest=0.0)


class LocalDatabase(Database):
    """The database without TLS and login, which the test's server does not ask for."""

    def __init__(self, url: URL, name: str) -> None:
        self._port_here = url.port or 0
        self._name = name
        self.connected = 0

    def _connect(self, patience: float) -> Connection[Any]:
        self.connected += 1
        return pymysql.connect(
            host="127.0.0.1",
            port=self._port_here,
            user="root",
            database=self._name,
            charset="utf8mb4",
            sql_mode=SQL_MODE,
            init_command=SESSION,
            autocommit=True,
            read_timeout=patience,
            local_infile=True,
        )


class Warehouse:
    """A database on the server, objects in a folder, and loaders that take them there."""

    def __init__(self, url: URL, flow: Flow, folder: Path) -> None:
        self.flow = flow
        self.folder = folder
        self._url = url
        self._line = line_writer(flow)
        self._numbers = itertools.count()
        self.admin = pymysql.connect(
            host="127.0.0.1", port=url.port or 0, user="root", autocommit=True, charset="utf8mb4"
        )
        self.sql("SET GLOBAL local_infile = 1")
        self.sql(f"DROP DATABASE IF EXISTS `{flow.database}`")
        self.sql(f"CREATE DATABASE `{flow.database}` CHARACTER SET utf8mb4")
        self.sql(f"USE `{flow.database}`")
        self.loader = self.another_loader()

    def close(self) -> None:
        self.admin.close()

    def another_loader(self, backoff: Backoff = QUICK) -> Loader:
        """As in another process: with its own connection, knowing of nothing."""
        self.database = LocalDatabase(self._url, self.flow.database)
        return Loader(self.flow, self.database, self.source, backoff)

    def source(self, stored: StoredObject) -> str:
        return f"LOCAL INFILE '{self.folder / stored.version}'"

    def sql(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with self.admin.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return cast("list[tuple[Any, ...]]", list(cursor.fetchall()))

    def put(self, records: Iterable[bytes]) -> StoredObject:
        return self.put_lines(b"".join(self._line(data) for data in records))

    def put_lines(self, lines: bytes) -> StoredObject:
        version = f"object-{next(self._numbers)}.csv"
        (self.folder / version).write_bytes(lines)
        return StoredObject(
            bucket=BUCKET,
            key=f"loads/{self.flow.name}/2026/11/20/03/{version}",
            version=version,
            size=len(lines),
            sequencer="00",
            created=0.0,
        )

    def load(self, stored: StoredObject, seconds: float = 60.0) -> Loaded:
        return self.loader.load(stored, lambda: seconds)

    def rows(self) -> list[Mapping[str, Any]]:
        names = [column.name for column in self.flow.columns]
        order = ", ".join(f"`{name}`" for name in self.flow.key)
        chosen = ", ".join(f"`{name}`" for name in names)
        found = self.sql(f"SELECT {chosen} FROM `{self.flow.table}` ORDER BY {order}")
        return [dict(zip(names, row, strict=True)) for row in found]

    def empty(self) -> None:
        """Forget everything that was loaded."""
        for (table,) in self.sql("SHOW TABLES"):
            if table != "ferry_targets":
                self.sql(f"DELETE FROM `{table}`")
