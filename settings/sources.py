"""From the declared sources to the ones the program works with, checked against each other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from export_identity import source_key, table_path, table_target
from settings.errors import Problems, snippet
from settings.model import Engine, Source, SourceKind, Table
from settings.schema import NAMESPACE, SourceShape
from settings.tables import Declared, example, from_databases, from_file

_MAX_TABLE_ID = 1024
# From the shortest to the most telling; the first that keeps all tables apart is proposed.
_TEMPLATES = (
    "{database}_{table}",
    "{schema}_{table}",
    "{source}_{table}",
    "{database}_{schema}_{table}",
    "{source}_{database}_{table}",
    "{source}_{database}_{schema}_{table}",
    "{source}__{database}__{schema}__{table}",
)


@dataclass(frozen=True)
class _Candidate:
    """A source and the place it was declared at."""

    path: str
    name: str
    kind: SourceKind
    engine: Engine
    declared: tuple[Declared, ...]


def build_sources(
    values: Sequence[object], template: str | None, root: Path, problems: Problems
) -> tuple[Source, ...]:
    """Return the sources, noting what is wrong between them and what is wrong with their tables.

    What the schema finds wrong is noted already; a source it finds wrong is checked as far as it
    can be and then left out. `template` is `None` when the tables' names cannot be told.
    """
    candidates: list[_Candidate] = []
    names: dict[str, tuple[str, str]] = {}
    for index, value in enumerate(values):
        path = f"{NAMESPACE}:snapshot.sources[{index}]"
        if isinstance(value, Mapping):
            _check_choices(value, path, problems)
            _check_name(value, path, names, problems)
            candidates += _candidate(value, path, root, problems)
    if template is not None:
        _check_destinations(candidates, template, problems)
    return tuple(_source(candidate, template or "{table}") for candidate in candidates)


def _check_choices(value: Mapping[str, object], path: str, problems: Problems) -> None:
    """Note a source that says not one but both or neither of two things."""
    choices = (
        ("cluster", "instance", "shop-prod"),
        ("databases", "tables_file", example(value.get("engine"))),
    )
    for one, other, sample in choices:
        given = [key for key in (one, other) if value.get(key) is not None]
        if not given:
            problems.add(path, f"has neither {one} nor {other}", snippet(one, sample))
        elif len(given) > 1:
            # The shorter of two right answers: a file's name rather than all of its tables.
            right = min((snippet(key, value[key]) for key in given), key=len)
            problems.add(path, f"has both {one} and {other}", right)


def _check_name(
    value: Mapping[str, object],
    path: str,
    seen: dict[str, tuple[str, str]],
    problems: Problems,
) -> None:
    """Note a source that would share its export ids, and so its folders, with an earlier one."""
    kind = "instance" if value.get("cluster") is None else "cluster"
    name = value.get(kind)
    if not isinstance(name, str):
        return
    first, place = seen.setdefault(source_key(name), (name, path))
    if place == path:
        return
    problem = f"{name} is declared already, at {place.rpartition('.')[2]}"
    # A long name is cut in export ids, and could meet a name that was written like the cut one.
    if first != name:
        problem = f"{name} and {first} would have the same export ids"
    problems.add(
        f"{path}.{kind}",
        f"{problem}; a source is declared once, with all its databases",
        snippet(kind, f"{name[:60]}-2"),
    )


def _candidate(
    value: Mapping[str, object], path: str, root: Path, problems: Problems
) -> list[_Candidate]:
    """Return the source, or nothing where the schema found it wrong."""
    try:
        shape = SourceShape.model_validate(value)
    except ValidationError:
        return []
    declared = tuple(_declared(shape, path, root, problems))
    _check_repeats(shape.engine, declared, path, problems)
    kind: SourceKind = "instance" if shape.cluster is None else "cluster"
    name = shape.cluster or shape.instance or ""
    return [_Candidate(path, name, kind, shape.engine, declared)]


def _declared(shape: SourceShape, path: str, root: Path, problems: Problems) -> Iterator[Declared]:
    if shape.databases is not None:
        yield from from_databases(shape.databases, shape.engine, f"{path}.databases", problems)
    elif shape.tables_file is not None:
        place = f"{path}.tables_file"
        yield from from_file(shape.tables_file, root, shape.engine, place, problems)


def _check_repeats(
    engine: Engine, declared: Sequence[Declared], path: str, problems: Problems
) -> None:
    """Note tables declared twice, and tables that RDS would export into one folder."""
    seen: dict[str, Declared] = {}
    for table in declared:
        first = seen.setdefault(table_path(engine, *table.names), table)
        if first is table:
            continue
        target, place = table_target(engine, *table.names), first.where.removeprefix(f"{path}.")
        if first.names == table.names:
            problem, right = f"{target} is listed already, at {place}", f"{target} only once"
        else:
            other = table_target(engine, *first.names)
            problem = f"RDS would export {target} and {other} (at {place}) into one folder"
            right = f"only one of them, {other}"
        problems.add(table.where, problem, right)


def _check_destinations(
    candidates: Sequence[_Candidate], template: str, problems: Problems
) -> None:
    """Note BigQuery tables that several tables would be loaded into, each overwriting the last."""
    key = f"{NAMESPACE}:bigquery.table_name"
    by_name = _by_destination(candidates, template)
    clashes = {name: origins for name, origins in by_name.items() if len(origins) > 1}
    if clashes:
        right = snippet("table_name", _better_template(candidates))
    for name, origins in clashes.items():
        labels = " and ".join(_label(*origin) for origin in origins[:3])
        more = f" and {len(origins) - 3} more" if len(origins) > 3 else ""
        problems.add(key, f"{labels}{more} would all be loaded into the table {name}", right)
    for name in by_name:
        if not 1 <= len(name) <= _MAX_TABLE_ID:
            problem = f"would name a table with {len(name)} characters; BigQuery takes 1 to 1,024"
            problems.add(key, problem, snippet("table_name", "{table}"))


def _by_destination(
    candidates: Sequence[_Candidate], template: str
) -> dict[str, list[tuple[_Candidate, Declared]]]:
    found: dict[str, list[tuple[_Candidate, Declared]]] = defaultdict(list)
    for candidate in candidates:
        distinct = {table.names: table for table in candidate.declared}
        for table in distinct.values():
            found[_destination(template, candidate, table)].append((candidate, table))
    return found


def _better_template(candidates: Sequence[_Candidate]) -> str:
    total = sum(len({table.names for table in c.declared}) for c in candidates)
    for template in _TEMPLATES:
        if len(_by_destination(candidates, template)) == total:
            return template
    return _TEMPLATES[-1]


def _label(candidate: _Candidate, table: Declared) -> str:
    return f"{candidate.name} {table_target(candidate.engine, *table.names)}"


def _destination(template: str, candidate: _Candidate, table: Declared) -> str:
    """Return the BigQuery table id: what a table id cannot hold becomes ``_``."""
    text = template.format(
        source=candidate.name, database=table.database, schema=table.schema, table=table.name
    )
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def _source(candidate: _Candidate, template: str) -> Source:
    engine = candidate.engine
    tables = tuple(
        Table(
            database=t.database,
            schema=t.schema,
            name=t.name,
            target=table_target(engine, *t.names),
            path=table_path(engine, *t.names),
            destination=_destination(template, candidate, t),
        )
        for t in candidate.declared
    )
    return Source(name=candidate.name, kind=candidate.kind, engine=engine, tables=tables)
