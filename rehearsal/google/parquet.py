"""Parquet files into BigQuery columns.

Types follow https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#type_conversions
and, for decimals, ``decimalTargetTypes`` of
https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad. What cannot be
held exactly is an error: no value is rounded, cut or guessed.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.google.schema import DUCKDB_DIGITS, Field, SchemaError, check_names, quoted
from rehearsal.google.store import literal

_NUMERIC_DIGITS, _NUMERIC_SCALE = 29, 9
_BIGNUMERIC_DIGITS, _BIGNUMERIC_SCALE = 38, 38

_TYPES = {
    ("BOOLEAN", ""): "BOOLEAN",
    ("FLOAT", ""): "FLOAT",
    ("DOUBLE", ""): "FLOAT",
    ("INT96", ""): "TIMESTAMP",
    ("BYTE_ARRAY", ""): "BYTES",
    ("BYTE_ARRAY", "ENUM"): "BYTES",
    ("BYTE_ARRAY", "UTF8"): "STRING",
    ("FIXED_LEN_BYTE_ARRAY", ""): "BYTES",
    ("INT32", "DATE"): "DATE",
    ("INT32", "TIME_MILLIS"): "TIME",
    ("INT64", "TIME_MICROS"): "TIME",
    ("INT64", "TIMESTAMP_MILLIS"): "TIMESTAMP",
    ("INT64", "TIMESTAMP_MICROS"): "TIMESTAMP",
    **{("INT32", a): "INTEGER" for a in ("", "INT_8", "INT_16", "INT_32")},
    **{("INT32", a): "INTEGER" for a in ("UINT_8", "UINT_16", "UINT_32")},
    **{("INT64", a): "INTEGER" for a in ("", "INT_64", "UINT_64")},
}
#: BigQuery's years end where DuckDB's do not
#: (https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#timestamp_type).
_RANGES = {
    "TIMESTAMP": "TIMESTAMPTZ '{}-01-01 00:00:00+00'",
    "DATE": "DATE '{}-01-01'",
}


@dataclass(frozen=True)
class Node:
    """One element of a Parquet schema; *annotation* is what its bytes mean."""

    name: str
    physical: str
    annotation: str
    precision: int
    scale: int
    duckdb_type: str
    children: tuple[Node, ...]

    def difference(self, other: Node) -> str | None:
        """How *other* differs, if it does."""
        mine, its = self._kind(), other._kind()
        if mine != its:
            return f"{self.name}: {mine} in one, {its} in the other"
        return next((f"{self.name}.{d}" for d in _differences(self.children, other.children)), None)

    def _kind(self) -> str:
        figures = f"({self.precision},{self.scale})" if self.annotation == "DECIMAL" else ""
        return f"{self.physical or 'group'} {self.annotation}{figures}".strip()


@dataclass(frozen=True)
class FileSchema:
    """The columns of one file; *required* are those that cannot be null."""

    nodes: tuple[Node, ...]
    required: frozenset[str]


@dataclass(frozen=True)
class Column:
    """A BigQuery column and the SQL that makes it from the Parquet column."""

    field: Field
    expression: str


def read_schemas(cursor: Any, files: Sequence[Path]) -> list[FileSchema]:
    """The schemas of *files*, in their order."""
    names = ", ".join(literal(str(path)) for path in files)
    columns = (
        "file_name, name, type, coalesce(repetition_type, ''), coalesce(num_children, 0), "
        "converted_type, logical_type, coalesce(precision, 0), coalesce(scale, 0), duckdb_type"
    )
    # The order is asked for: the database is told not to keep one by itself, to save memory.
    source = f"parquet_schema([{names}]) ORDER BY file_name, column_id"
    cursor.execute(f"SELECT {columns} FROM {source}")  # noqa: S608
    by_file = {
        name: list(rows) for name, rows in itertools.groupby(cursor.fetchall(), lambda row: row[0])
    }
    return [_file_schema(by_file[str(path)]) for path in files]


def _file_schema(rows: list[tuple[Any, ...]]) -> FileSchema:
    remaining = iter(rows)
    root = next(remaining)
    required: set[str] = set()

    def node() -> Node:
        _, name, physical, repetition, count, converted, logical, precision, scale, duck = next(
            remaining
        )
        children = tuple(node() for _ in range(count))
        if repetition == "REQUIRED":
            required.add(name)
        return Node(
            name,
            physical or "",
            _annotation(converted, logical),
            precision,
            scale,
            duck or "",
            children,
        )

    nodes = tuple(node() for _ in range(root[4]))
    return FileSchema(nodes, frozenset(required & {n.name for n in nodes}))


def _annotation(converted: str | None, logical: str | None) -> str:
    """One word for the older converted type or the newer logical type."""
    if converted:
        return str(converted)
    if not logical:
        return ""
    kind = logical.partition("(")[0]
    if kind in ("TimestampType", "TimeType"):
        word = kind.removesuffix("Type").upper()
        for unit, mark in (("MILLIS", "MilliSeconds"), ("MICROS", "MicroSeconds")):
            if f"{unit}={mark}" in logical:
                return f"{word}_{unit}"
        return f"{word}_NANOS"
    return {"StringType": "UTF8", "EnumType": "ENUM", "DateType": "DATE"}.get(kind, kind)


def require_same(schemas: Sequence[FileSchema], names: Sequence[str]) -> None:
    """Raise SchemaError unless all files have the same columns in the same order."""
    for schema, name in zip(schemas[1:], names[1:], strict=True):
        for difference in _differences(schemas[0].nodes, schema.nodes):
            raise SchemaError(
                f"the files have different schemas: column {difference} ({names[0]} and {name})"
            )


def _differences(ours: tuple[Node, ...], theirs: tuple[Node, ...]) -> list[str]:
    found: list[str] = []
    for mine, its in itertools.zip_longest(ours, theirs):
        if mine is None or its is None:
            found.append(f"{(mine or its).name}: missing in one of them")
        elif mine.name != its.name:
            found.append(f"{mine.name}: in its place the other has {its.name}")
        else:
            difference = mine.difference(its)
            if difference:
                found.append(difference)
    return found


def columns_of(schemas: Sequence[FileSchema], decimal_targets: Collection[str]) -> list[Column]:
    """The BigQuery columns of files that have the same schema."""
    required = frozenset.intersection(*(schema.required for schema in schemas))
    columns: list[Column] = []
    for node in schemas[0].nodes:
        column = _column(node, quoted(node.name), decimal_targets, 0)
        if node.name in required and column.field.mode == "NULLABLE":
            field = Field(
                node.name, column.field.type, "REQUIRED", column.field.fields, column.field.scale
            )
            column = Column(field, column.expression)
        columns.append(column)
    check_names([column.field for column in columns])
    return columns


def _column(node: Node, value: str, targets: Collection[str], depth: int) -> Column:
    if node.annotation == "LIST":
        return _list(node, value, targets, depth)
    if node.children and not node.annotation:
        return _struct(node, value, targets, depth)
    if node.annotation == "DECIMAL":
        return _decimal(node, value, targets)
    kind = _TYPES.get((node.physical, node.annotation))
    if kind is None:
        raise SchemaError(
            f"column {node.name} is {node._kind()}, a combination BigQuery does not load"
        )
    return Column(Field(node.name, kind), _converted(node, kind, value))


def _converted(node: Node, kind: str, value: str) -> str:
    if kind == "TIMESTAMP" and node.duckdb_type != "TIMESTAMP WITH TIME ZONE":
        value = f"({value} AT TIME ZONE 'UTC')"
    if kind in _RANGES:
        bound = _RANGES[kind]
        first, end = bound.format("0001"), bound.format("10000")
        return _guarded(f"{value} < {first} OR {value} >= {end}", value, node, f"not a {kind}")
    if kind == "INTEGER":
        return f"CAST({value} AS BIGINT)"
    if kind == "BYTES" and node.annotation == "ENUM":
        return f"CASE WHEN {value} IS NOT NULL THEN encode(CAST({value} AS VARCHAR)) END"
    return value


def _guarded(wrong: str, value: str, node: Node, what: str) -> str:
    message = literal(f"column {node.name} has a value that is {what} in BigQuery: ")
    return f"CASE WHEN {wrong} THEN error({message} || CAST({value} AS VARCHAR)) ELSE {value} END"


def decimal_target(precision: int, scale: int, targets: Collection[str]) -> str:
    """The type a DECIMAL(precision, scale) becomes, given the types the configuration allows."""
    digits = precision - scale
    if "NUMERIC" in targets and digits <= _NUMERIC_DIGITS and scale <= _NUMERIC_SCALE:
        return "NUMERIC"
    if "BIGNUMERIC" in targets and digits <= _BIGNUMERIC_DIGITS and scale <= _BIGNUMERIC_SCALE:
        return "BIGNUMERIC"
    for widest in ("STRING", "BIGNUMERIC"):
        if widest in targets:
            return widest
    return "NUMERIC"


def _decimal(node: Node, value: str, targets: Collection[str]) -> Column:
    if node.precision > DUCKDB_DIGITS:
        raise SchemaError(
            f"column {node.name} is DECIMAL({node.precision},{node.scale}); the local BigQuery "
            f"holds at most {DUCKDB_DIGITS} digits exactly (RDS exports wider decimals as strings)"
        )
    kind = decimal_target(node.precision, node.scale, targets)
    if kind == "STRING":
        return Column(Field(node.name, kind), f"CAST({value} AS VARCHAR)")
    if kind == "BIGNUMERIC":
        return Column(Field(node.name, kind, scale=node.scale), value)
    return Column(Field(node.name, kind), _exact(node.name, value, node.scale, _NUMERIC_SCALE))


def _exact(name: str, value: str, scale: int, target_scale: int) -> str:
    """A cast to 38 digits of which *target_scale* are decimals, refusing to round."""
    target = f"CAST({value} AS DECIMAL({DUCKDB_DIGITS},{target_scale}))"
    if scale <= target_scale:
        return target
    back = f"CAST({target} AS DECIMAL({DUCKDB_DIGITS},{scale}))"
    node = Node(name, "", "", 0, 0, "", ())
    return _guarded(f"{back} <> {value}", target, node, f"longer than {target_scale} decimals")


def _struct(node: Node, value: str, targets: Collection[str], depth: int) -> Column:
    parts = [_column(c, f"{value}.{quoted(c.name)}", targets, depth) for c in node.children]
    inner = ", ".join(f"{quoted(p.field.name)} := {p.expression}" for p in parts)
    field = Field(node.name, "RECORD", fields=tuple(part.field for part in parts))
    return Column(field, f"CASE WHEN {value} IS NOT NULL THEN struct_pack({inner}) END")


def _list(node: Node, value: str, targets: Collection[str], depth: int) -> Column:
    """Without list inference, which transfers lack, a list stays ``list[].element``."""
    repeated = node.children[0]
    if len(repeated.children) != 1:
        raise SchemaError(f"column {node.name} is a list without a single element type")
    item = f"item{depth}"
    element = _column(repeated.children[0], item, targets, depth + 1)
    pack = f"struct_pack({quoted(element.field.name)} := {element.expression})"
    inner = Field(repeated.name, "RECORD", "REPEATED", (element.field,))
    return Column(
        Field(node.name, "RECORD", fields=(inner,)),
        f"CASE WHEN {value} IS NOT NULL THEN struct_pack({quoted(repeated.name)} := "
        f"list_transform({value}, lambda {item}: {pack})) END",
    )


def appended(columns: Sequence[Column], table: Sequence[Field]) -> list[Column]:
    """*columns* as they go into a table that has rows already; SchemaError if they do not fit."""
    present = {field.name.lower(): field for field in table}
    result: list[Column] = []
    for column in columns:
        field = present.pop(column.field.name.lower(), None)
        if field is None:
            raise SchemaError(f"column {column.field.name} is not in the table")
        if (field.type, field.fields) != (column.field.type, column.field.fields):
            raise SchemaError(
                f"column {field.name} has changed type from {field.type} to {column.field.type}"
            )
        expression = column.expression
        if field.type == "BIGNUMERIC" and field.scale != column.field.scale:
            expression = _exact(field.name, expression, column.field.scale, field.scale)
        result.append(Column(field, expression))
    for field in present.values():
        if field.mode == "REQUIRED":
            raise SchemaError(f"required column {field.name} is missing in the files")
    return result
