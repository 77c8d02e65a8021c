"""Chooses which databases stand behind the stack's sources, and declares their tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rehearsal import sample, stack_file
from rehearsal.aws.sources import Source, SourceError, Table
from rehearsal.errors import BadInput
from rehearsal.replication import surroundings
from rehearsal.stack_file import Config

Engine = Literal["mysql", "postgresql"]

_IDENTIFIER = "rehearsal"


@dataclass(frozen=True)
class Actor:
    """An RDS cluster or instance of the local AWS, and the databases on it."""

    identifier: str
    kind: Literal["cluster", "instance"]
    engine: Engine
    databases: dict[str, Source] = field(repr=False)
    expected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cast:
    """The stack's configuration, fitted to the actors that will play its sources."""

    config: Config
    actors: list[Actor]


def of_stack(
    project: Path, folder: Path, stack: str, source: str | None, engine: Engine | None
) -> Cast:
    """Return the cast of *stack*: the database at the URL *source*, else the bundled sample.

    The sample is made in *folder*. Raises BadInput for a stack or a source that will not do.
    """
    config = surroundings.with_certificates(stack_file.load(project, stack), project)
    if source is not None:
        return from_url(config, source, engine)
    return from_sample(config, engine, project, folder)


def from_url(config: Config, url: str, engine: Engine | None) -> Cast:
    """Let the database at *url* play the stack's first source, with all of its tables declared.

    Raises BadInput when the database cannot be read or has no table.
    """
    try:
        source = Source.open(url, engine)
        tables = source.tables()
    except SourceError as error:
        raise BadInput([f"--source: {error}"]) from None
    if not tables:
        raise BadInput([f"--source: {source} has no tables; name a database that has at least one"])
    first = next(iter(stack_file.declared_sources(config)), {})
    kind: Literal["cluster", "instance"] = "instance" if "instance" in first else "cluster"
    identifier = str(first.get(kind, _IDENTIFIER))
    declared = {
        kind: identifier,
        "engine": source.engine,
        "databases": {source.database: _declared_tables(source.engine, tables)},
    }
    fitted = stack_file.with_sources(config, [declared])
    bigquery = fitted.get(stack_file.BIGQUERY)
    own = isinstance(bigquery, dict) and "table_name" in bigquery
    if not own and len({table.schema for table in tables}) > 1:
        fitted = stack_file.with_option(fitted, stack_file.BIGQUERY, table_name=_template(tables))
    expected = tuple(stack_file.declared_tables(declared))
    actor = Actor(identifier, kind, source.engine, {source.database: source}, expected)
    return Cast(fitted, [actor])


def _template(tables: list[Table]) -> str:
    """Return a template under which tables of several schemas keep names of their own."""
    for template in ("{table}", "{schema}_{table}"):
        names = [template.format(schema=t.schema, table=t.name) for t in tables]
        if len({re.sub(r"[^A-Za-z0-9_]", "_", name) for name in names}) == len(names):
            return template
    return "{schema}__{table}"


def from_sample(config: Config, engine: Engine | None, project: Path, folder: Path) -> Cast:
    """Let the bundled sample database play every source that the stack declares.

    Sources declared in a way that the program refuses get no actor; the program tells why.
    """
    path = folder / "sample.db"
    sample.make(path)
    declared = stack_file.declared_sources(config)
    if engine is not None:
        declared = [stack_file.under_engine(source, engine) for source in declared]
        config = stack_file.with_sources(config, declared)
    actors = [actor for source in declared if (actor := _sample_actor(source, project, path))]
    return Cast(config, actors)


def _declared_tables(engine: str, tables: list[Any]) -> Any:
    if engine == "mysql":
        return [table.name for table in tables]
    schemas: dict[str, list[str]] = {}
    for table in tables:
        schemas.setdefault(table.schema, []).append(table.name)
    return schemas


def _sample_actor(source: dict[str, Any], project: Path, path: Path) -> Actor | None:
    kind: Literal["cluster", "instance"] = "instance" if "instance" in source else "cluster"
    identifier, engine = source.get(kind), source.get("engine")
    if not isinstance(identifier, str) or engine not in ("mysql", "postgresql"):
        return None
    opened = Source.open(f"sqlite:///{path}", engine)
    databases = dict.fromkeys(_databases(source, project), opened)
    return Actor(identifier, kind, engine, databases, tuple(stack_file.declared_tables(source)))


def _databases(source: dict[str, Any], project: Path) -> list[str]:
    """Return the names of the databases that a source entry declares, in either of its forms."""
    if isinstance(source.get("databases"), dict):
        return [str(name) for name in source["databases"]]
    try:
        lines = (project / str(source.get("tables_file"))).read_text().splitlines()
    except OSError:
        return []
    named = (line.partition("#")[0].strip().partition(".")[0] for line in lines)
    return [name for name in dict.fromkeys(named) if name]
