"""Reads ``Pulumi.<stack>.yaml`` as the Pulumi CLI would, and fits it to the source at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rehearsal.errors import BadInput

SNAPSHOT = "data-ferry:snapshot"
BIGQUERY = "data-ferry:bigquery"
REPLICATION = "data-ferry:replication"
HANDLERS = "data-ferry:handlers"
REGION = "aws:region"
AWS_ENDPOINTS = "aws:endpoints"
GOOGLE_ENDPOINT = "gcp:bigQueryCustomEndpoint"

# Where the Lambda packages for this machine's own Python are built.
LOCAL_PACKAGES = "build/local"

# PostgreSQL's own name for the schema that a table is in when nobody says otherwise.
DEFAULT_SCHEMA = "public"

Config = dict[str, Any]


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, as the Pulumi CLI does; PyYAML takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                problem = f"the key {key.value} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(project: Path, stack: str) -> Config:
    """Return the configuration of *stack*; BadInput when there is none or it is not YAML."""
    path = project / f"Pulumi.{stack}.yaml"
    try:
        content = yaml.load(path.read_text(), _EachKeyOnce)  # noqa: S506  # a SafeLoader
    except FileNotFoundError:
        stacks = sorted(p.name.split(".")[1] for p in project.glob("Pulumi.*.yaml"))
        raise BadInput(
            [f"--stack {stack}: there is no {path.name}; stacks here: {', '.join(stacks)}"]
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BadInput([f"{path.name}: cannot be read as YAML: {reason}"]) from None
    config = content.get("config") if isinstance(content, dict) else None
    if not isinstance(config, dict):
        raise BadInput([f"{path.name}: write the stack's settings below a `config:` key"])
    return {str(key): value for key, value in config.items()}


def routes(config: Config) -> list[str]:
    """Return the routes of a stack. One that has none is taken for half a snapshot route.

    The program tells then what is missing.
    """
    replication = ["replication"] if REPLICATION in config else []
    snapshot = ["snapshot"] if {SNAPSHOT, BIGQUERY} & config.keys() or not replication else []
    return [*snapshot, *replication]


def declared_sources(config: Config) -> list[dict[str, Any]]:
    """Return the stack's source entries as written; what is not a list of mappings is left out.

    The program tells the user what is wrong with those; this must only not fall over them.
    """
    snapshot = config.get(SNAPSHOT)
    sources = snapshot.get("sources") if isinstance(snapshot, dict) else None
    if not isinstance(sources, list):
        return []
    return [source for source in sources if isinstance(source, dict)]


def declared_tables(source: Mapping[str, Any]) -> list[str]:
    """Return the tables of a source entry, as `db.table` or `db.schema.table`."""
    databases = source.get("databases")
    if not isinstance(databases, dict):
        return []
    tables = []
    for database, inside in databases.items():
        schemas = inside if isinstance(inside, dict) else {None: inside}
        for schema, names in schemas.items():
            parts = [str(database)] if schema is None else [str(database), str(schema)]
            tables += [".".join([*parts, str(n)]) for n in names if isinstance(names, list)]
    return tables


def with_sources(config: Config, sources: list[dict[str, Any]]) -> Config:
    """Return *config* with its declared sources replaced."""
    snapshot = config.get(SNAPSHOT)
    kept = dict(snapshot) if isinstance(snapshot, dict) else {}
    return {**config, SNAPSHOT: {**kept, "sources": sources}}


def with_option(config: Config, key: str, **options: Any) -> Config:
    """Return *config* with *options* set in the mapping at *key*."""
    value = config.get(key)
    kept = dict(value) if isinstance(value, dict) else {}
    return {**config, key: {**kept, **options}}


def without_endpoints(config: Config) -> Config:
    """Return *config* without what it says of where the clouds are."""
    return {
        key: value
        for key, value in config.items()
        if key != AWS_ENDPOINTS and not (key.startswith("gcp:") and key.endswith("CustomEndpoint"))
    }


def under_engine(source: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """Return a source entry as it would be declared under *engine*.

    MySQL has databases of tables, PostgreSQL databases of schemas of tables.
    """
    if source.get("engine") == engine:
        return dict(source)
    databases = source.get("databases")
    if not isinstance(databases, dict):
        return {**source, "engine": engine}
    return {
        **source,
        "engine": engine,
        "databases": {name: _tables_under(engine, tables) for name, tables in databases.items()},
    }


def _tables_under(engine: str, tables: Any) -> Any:
    if engine == "postgresql" and isinstance(tables, list):
        return {DEFAULT_SCHEMA: tables}
    if engine == "mysql" and isinstance(tables, dict):
        return [table for names in tables.values() for table in names]
    return tables
