"""From a source's declaration to its tables: the `databases` mapping, or a `tables_file`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from settings.errors import Problems, flow, kind, show, snippet
from settings.files import FileError, read_text
from settings.model import Engine

_MYSQL_NAME_CHARACTERS = 64
_POSTGRESQL_NAME_BYTES = 63
_COMMENT = re.compile(r"(?:^|\s)#.*")
_NOT_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Declared:
    """One table as declared, and the place that says so. MySQL's schema is the database."""

    database: str
    schema: str
    name: str
    where: str

    @property
    def names(self) -> tuple[str, str, str]:
        """Database, schema and table: what tells a table from all others of its source."""
        return self.database, self.schema, self.name


def from_databases(
    databases: object, engine: Engine, path: str, problems: Problems
) -> Iterator[Declared]:
    """Yield the tables of a `databases` mapping that are right; note what is wrong."""
    if not isinstance(databases, Mapping) or not databases:
        problem = "names no database"
        if not isinstance(databases, Mapping):
            problem = f"is {kind(databases)}, not a mapping of databases"
        problems.add(path, problem, snippet("databases", example(engine)))
        return
    for database, content in databases.items():
        where = f"{path}.{database}"
        if not _legal_name(database, engine, where, "database", problems):
            continue
        if engine == "mysql":
            yield from _mysql(database, content, where, problems)
        else:
            yield from _postgresql(database, content, where, problems)


def from_file(
    name: str, root: Path, engine: Engine, path: str, problems: Problems
) -> Iterator[Declared]:
    """Yield the tables of a `tables_file` that are right; note what is wrong, with the line."""
    try:
        text = read_text(name, root)
    except FileError as error:
        right = snippet("tables_file", error.meant or "tables/shop.txt")
        problems.add(path, str(error), right)
        return
    form = "database.table" if engine == "mysql" else "database.schema.table"
    right = "shop.orders" if engine == "mysql" else "ledger.public.accounts"
    empty = True
    for number, line in enumerate(text.splitlines(), start=1):
        entry = _COMMENT.sub("", line).strip()
        if not entry:
            continue
        empty = False
        where = f"{path}: {name}:{number}"
        names = entry.split(".")
        if len(names) != form.count(".") + 1:
            problems.add(where, f"{show(entry)} is not {form}", right)
        elif all(_legal_name(part, engine, where, "name", problems) for part in names):
            schema = names[0] if engine == "mysql" else names[1]
            yield Declared(names[0], schema, names[-1], where)
    if empty:
        problems.add(path, f"{name} names no table", right)


def _mysql(database: str, content: object, where: str, problems: Problems) -> Iterator[Declared]:
    if isinstance(content, Mapping):
        lists = (tables for tables in content.values() if isinstance(tables, list))
        flat = [table for tables in lists for table in tables] or ["users"]
        problems.add(where, "has schemas, and MySQL has none", snippet(database, flat))
        return
    for name, at in _names(content, "mysql", where, database, problems):
        yield Declared(database, database, name, at)


def _postgresql(
    database: str, content: object, where: str, problems: Problems
) -> Iterator[Declared]:
    if not isinstance(content, Mapping):
        tables = content if isinstance(content, list) and content else ["accounts"]
        problem = f"is {kind(content)}, not a mapping, and PostgreSQL's tables lie in schemas"
        problems.add(where, problem, snippet(database, {"public": tables}))
        return
    if not content:
        problems.add(where, "names no schema", snippet(database, {"public": ["accounts"]}))
    for schema, tables in content.items():
        at = f"{where}.{schema}"
        if _legal_name(schema, "postgresql", at, "schema", problems):
            for name, place in _names(tables, "postgresql", at, schema, problems):
                yield Declared(database, schema, name, place)


def _names(
    content: object, engine: Engine, where: str, key: str, problems: Problems
) -> Iterator[tuple[str, str]]:
    """Yield the names of a list of tables that are right, each with its place."""
    if not isinstance(content, list):
        right = [content] if isinstance(content, str) else ["users"]
        problems.add(where, f"is {kind(content)}, not a list of tables", snippet(key, right))
    elif not content:
        problems.add(where, "names no table", snippet(key, ["users"]))
    else:
        for index, name in enumerate(content):
            at = f"{where}[{index}]"
            if _legal_name(name, engine, at, "table", problems):
                yield name, at


def _legal_name(
    name: object, engine: Engine, where: str, what: str, problems: Problems
) -> TypeGuard[str]:
    """Note what keeps a database, schema or table from being exported and loaded.

    Amazon RDS, "Exporting DB snapshot data to Amazon S3": a table with a slash in its name is
    skipped. Google, "Amazon S3 transfers": a ``*`` in the path is a wildcard, and a second one
    changes the meaning of the first. The lengths are those of MySQL and PostgreSQL.
    """
    if not isinstance(name, str):
        text = str(name).lower() if isinstance(name, bool) else str(name)
        right = flow(text) if isinstance(name, (bool, int, float)) else "users"
        problems.add(where, f"{show(name)} is {kind(name)}, not a {what}'s name", right)
        return False
    problem = _name_problem(name, engine)
    if problem is not None:
        problems.add(where, f"{show(name)} cannot be a {what}: {problem}", "users")
    return problem is None


def _name_problem(name: str, engine: Engine) -> str | None:
    if not name.strip() or name != name.strip():
        return "it is empty or has spaces at an end"
    if _NOT_TEXT.search(name):
        return "it has a control character"
    if "/" in name:
        return "RDS skips tables with a / in their name"
    if "*" in name:
        return "BigQuery's transfer would take the * as a wildcard"
    if engine == "mysql" and len(name) > _MYSQL_NAME_CHARACTERS:
        return f"MySQL's names have at most {_MYSQL_NAME_CHARACTERS} characters"
    if engine == "postgresql" and len(name.encode()) > _POSTGRESQL_NAME_BYTES:
        return f"PostgreSQL's names have at most {_POSTGRESQL_NAME_BYTES} bytes"
    return None


def example(engine: object) -> object:
    """Return databases as a source of this engine declares them."""
    if engine == "postgresql":
        return {"ledger": {"public": ["accounts"]}}
    return {"shop": ["users", "orders"]}
