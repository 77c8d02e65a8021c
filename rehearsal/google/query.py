"""GoogleSQL to DuckDB's SQL: names resolved, types kept exact, anonymous columns named.

sqlglot does the translation; what it cannot know (which project, which dataset, what BigQuery
calls an unnamed column) is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from rehearsal.google.errors import ApiError, invalid
from rehearsal.google.schema import quoted

_KINDS: dict[type[exp.Expr], str] = {
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.TruncateTable: "TRUNCATE_TABLE",
}
_EXACT = {"DECIMAL": "DECIMAL(38, 9)", "BIGDECIMAL": "DECIMAL(38, 18)"}


@dataclass(frozen=True)
class TableName:
    """A table a statement mentions."""

    dataset: str
    table: str


@dataclass(frozen=True)
class Statement:
    """A statement DuckDB can run; *target* is the table it changes, *reads* those it reads."""

    sql: str
    kind: str
    reads: tuple[TableName, ...]
    target: TableName | None


def invalid_query(message: str) -> ApiError:
    """400 with the reason BigQuery gives for SQL it refuses."""
    return invalid(message, "invalidQuery")


def translate(
    sql: str,
    *,
    resolve_project: Callable[[str], str],
    default_dataset: str | None,
    catalog: str,
    parameters: Sequence[Mapping[str, Any]] = (),
) -> Statement:
    """Translate one GoogleSQL statement.

    *resolve_project* refuses projects that are not here; *catalog* is DuckDB's database name.
    """
    tree = _parse(sql)
    kind = _kind(tree)
    _set_parameters(tree, parameters)
    _name_columns(tree)
    _exact_types(tree)
    _text_of_bytes(tree)
    reads, target = _resolve_tables(tree, kind, resolve_project, default_dataset, catalog)
    if kind == "TRUNCATE_TABLE" and target is not None:
        text = f"DELETE FROM {_full_name(catalog, target)}"  # noqa: S608
        return Statement(text, kind, (), target)
    return Statement(tree.sql("duckdb"), kind, reads, target)


def _parse(sql: str) -> exp.Expr:
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="bigquery") if tree is not None]
    except sqlglot.errors.SqlglotError as error:
        raise invalid_query(f"Syntax error: {str(error).splitlines()[0]}") from error
    if len(trees) != 1:
        raise invalid_query(f"{len(trees)} statements; one statement per query is served here")
    return trees[0]


def _kind(tree: exp.Expr) -> str:
    if isinstance(tree, exp.Query):
        return "SELECT"
    kind = _KINDS.get(type(tree))
    if kind is None:
        raise invalid_query(
            f"{type(tree).__name__} statements are not served here; SELECT, INSERT, UPDATE, DELETE "
            "and TRUNCATE TABLE are"
        )
    if kind in ("DELETE", "UPDATE") and tree.args.get("where") is None:
        raise invalid_query(f"{kind} must have a WHERE clause")
    return kind


def _set_parameters(tree: exp.Expr, parameters: Sequence[Mapping[str, Any]]) -> None:
    """Put values in place of ``@name`` and ``?``."""
    named = {str(p["name"]).lower(): p for p in parameters if p.get("name")}
    positional = iter([p for p in parameters if not p.get("name")])
    for node in list(tree.find_all(exp.Parameter, exp.Placeholder)):
        if isinstance(node, exp.Parameter):
            parameter = named.get(node.name.lower())
        else:
            parameter = next(positional, None)
        if parameter is None:
            raise invalid_query(f"Query parameter '{node.name or '?'}' not found")
        node.replace(_parameter_value(parameter))


def _parameter_value(parameter: Mapping[str, Any]) -> exp.Expr:
    kind = str(parameter.get("parameterType", {}).get("type", ""))
    value = parameter.get("parameterValue", {})
    if kind in ("ARRAY", "STRUCT", "RANGE") or not kind:
        raise invalid_query(f"Query parameters of type {kind or 'none'} are not served here")
    text = value.get("value")
    inner = exp.Null() if text is None else exp.Literal.string(str(text))
    return exp.Cast(this=inner, to=exp.DataType.build(kind, dialect="bigquery"))


def _name_columns(tree: exp.Expr) -> None:
    """Name unnamed columns ``f0_``, ``f1_``, ... as BigQuery does."""
    select: exp.Expr = tree
    while isinstance(select, exp.SetOperation):
        select = select.left
    if not isinstance(select, exp.Select):
        return
    anonymous = 0
    for column in list(select.expressions):
        if column.output_name or column.is_star or isinstance(column, exp.Star):
            continue
        column.replace(exp.alias_(column.copy(), f"f{anonymous}_", quoted=True))
        anonymous += 1


def _exact_types(tree: exp.Expr) -> None:
    """DuckDB's DECIMAL without figures has 3 decimals; BigQuery's NUMERIC has 9."""
    for node in list(tree.find_all(exp.DataType)):
        exact = _EXACT.get(node.this.name) if node.this in exp.DataType.Type else None
        if exact and not node.expressions:
            node.replace(exp.DataType.build(exact, dialect="duckdb"))


def _text_of_bytes(tree: exp.Expr) -> None:
    """MySQL's CHAR arrives as BYTES; where BigQuery would put U+FFFD, this is an error."""
    for node in list(tree.find_all(exp.SafeConvertBytesToString)):
        node.replace(exp.Anonymous(this="decode", expressions=[node.this]))


def _resolve_tables(
    tree: exp.Expr,
    kind: str,
    resolve_project: Callable[[str], str],
    default_dataset: str | None,
    catalog: str,
) -> tuple[tuple[TableName, ...], TableName | None]:
    common = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    target_node = None if kind == "SELECT" else next(iter(tree.find_all(exp.Table)), None)
    reads: list[TableName] = []
    target: TableName | None = None
    for node in list(tree.find_all(exp.Table)):
        if not isinstance(node.this, exp.Identifier):
            raise invalid_query(f"Table-valued function not found: {node.this.sql('bigquery')}")
        if not node.db and node.name.lower() in common:
            continue
        name = _table_name(node, resolve_project, default_dataset)
        _requalify_columns(tree, node, name)
        _rename(node, name, catalog)
        if node is target_node:
            target = name
        else:
            reads.append(name)
    if kind in ("DELETE", "UPDATE") and target is not None:
        reads.append(target)
    return tuple(dict.fromkeys(reads)), target


def _table_name(
    node: exp.Table, resolve_project: Callable[[str], str], default_dataset: str | None
) -> TableName:
    if node.catalog:
        resolve_project(node.catalog)
    dataset = node.db or default_dataset
    if not dataset:
        raise invalid_query(
            f'Table "{node.name}" must be qualified with a dataset (e.g. dataset.table).'
        )
    if node.name.upper().startswith("INFORMATION_SCHEMA"):
        raise invalid_query(
            "INFORMATION_SCHEMA views are not served here; use the REST API's lists"
        )
    return TableName(dataset, node.name)


def _requalify_columns(tree: exp.Expr, node: exp.Table, name: TableName) -> None:
    """``project.dataset.table.column`` is written with the table's name alone in DuckDB."""
    for column in tree.find_all(exp.Column):
        if column.args.get("db") and column.text("db") == name.dataset:
            column.set("catalog", None)
            column.set("db", None)


def _rename(node: exp.Table, name: TableName, catalog: str) -> None:
    alias = node.alias or name.table
    node.set("this", exp.to_identifier(name.table, quoted=True))
    node.set("db", exp.to_identifier(name.dataset, quoted=True))
    node.set("catalog", exp.to_identifier(catalog, quoted=True))
    if not node.args.get("alias") and not isinstance(node.parent, (exp.Insert, exp.Schema)):
        node.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))


def _full_name(catalog: str, name: TableName) -> str:
    return ".".join(quoted(part) for part in (catalog, name.dataset, name.table))
