"""What a flow is: the table it fills, its key, its columns and its schema.

The program puts it into a Lambda layer as ``python/ferry_flow/flow.json``; a layer's ``python``
folder is on the path of Python functions (AWS, "Packaging your layer content"). It is read once,
when the function starts: a flow that is wrong fails before it has touched a record.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from replication.column_types import ColumnType
from shared.errors import InvalidInput

LAYER = "ferry_flow"
RESERVED = "ferry_"
"""How the loader's own columns and tables begin: a flow's columns may not."""

_NAME = re.compile(r"[^\x00`]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the target, and where in an item its value is."""

    name: str
    path: tuple[str, ...]
    type: ColumnType


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One DynamoDB table's way into one table of the cluster."""

    name: str
    database: str
    table: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    schema: Mapping[str, Any] | None

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Flow:
        """Read flow.json; what is wrong is said in one line."""
        try:
            columns = tuple(_column(each) for each in document["columns"])
            flow = cls(
                name=document["flow"],
                database=document["database"],
                table=document["table"],
                key=tuple(document["key"]),
                columns=columns,
                schema=document["schema"],
            )
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"flow.json: {type(error).__name__}: {error}") from None
        flow.check()
        return flow

    def check(self) -> None:
        """Hold the names against each other."""
        names = [column.name for column in self.columns]
        if len({name.lower() for name in names}) < len(names):
            raise InvalidInput("flow.json: two columns have the same name")
        for name in (self.database, self.table, *names):
            if not _NAME.fullmatch(name) or (name in names and name.startswith(RESERVED)):
                raise InvalidInput(f"flow.json: {name!r} is not a name for a column or table")
        missing = [name for name in self.key if name not in names]
        if missing or not self.key:
            raise InvalidInput(f"flow.json: key names {missing}, which are not columns")
        for column in self.key_columns:
            if not column.type.is_key:
                raise InvalidInput(f"flow.json: {column.name}: {column.type} cannot be a key")

    @property
    def marks(self) -> tuple[str, str]:
        """Return how the lines of upserts and of deletes begin: with a word for these columns.

        A file lies on S3 for a while. Should the columns be others when it is loaded, its values
        would go astray; so a line says for which columns it was written.
        """
        told = "\n".join(f"{column.name} {column.type}" for column in self.columns)
        digest = hashlib.sha256(told.encode()).hexdigest()[:8]
        return f"U-{digest}", f"D-{digest}"

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """Return the columns of the primary key, in its order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)


def _column(document: Mapping[str, Any]) -> Column:
    return Column(
        name=document["name"],
        path=tuple(document["path"]),
        type=ColumnType.parse(document["type"]),
    )


@lru_cache(maxsize=1)
def configured() -> Flow:
    """Return the flow of this function's layer."""
    return Flow.parse(json.loads(_layer_file("flow.json")))


def certificates() -> str:
    """Return the certificates of RDS, which the load function's layer holds as PEM."""
    return _layer_file("rds-ca.pem")


def _layer_file(name: str) -> str:
    try:
        return resources.files(LAYER).joinpath(name).read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise InvalidInput(f"the function has no layer with {LAYER}/{name}") from None
