"""BigQuery's table schemas: reading, checking, and their types in DuckDB.

Type names are the ones the REST API returns
(https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.google.errors import invalid

_ALIASES = {
    "INT64": "INTEGER",
    "INT": "INTEGER",
    "BIGINT": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_DUCKDB_TYPES = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "JSON": "JSON",
    "NUMERIC": "DECIMAL(38,9)",
}
_MODES = ("NULLABLE", "REQUIRED", "REPEATED")

#: Source: https://cloud.google.com/bigquery/docs/schemas#column_names
_FORBIDDEN_PREFIXES = (
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
    "_CHANGE_TYPE",
    "_CHANGE_TIMESTAMP",
)
_NAME_LENGTH = 300
#: Source: https://cloud.google.com/bigquery/docs/schemas#flexible-column-names
_FORBIDDEN_CHARACTERS = re.compile(r"[!\"$()*,./;?@\[\\\]^`{}~\x00-\x1f]")

#: DuckDB's widest exact decimal; BIGNUMERIC is wider, see Field.scale.
DUCKDB_DIGITS = 38
_DEFAULT_BIGNUMERIC_SCALE = 18


class SchemaError(ValueError):
    """A schema BigQuery would refuse; the message names the column."""


@dataclass(frozen=True)
class Field:
    """One column.

    *scale* is where a BIGNUMERIC's point stands in DuckDB, whose decimals have 38 digits against
    BigQuery's 76: a value that does not fit is an error, never a rounded value.
    """

    name: str
    type: str
    mode: str = "NULLABLE"
    fields: tuple[Field, ...] = ()
    scale: int = _DEFAULT_BIGNUMERIC_SCALE
    description: str | None = None

    def resource(self) -> dict[str, Any]:
        """The column as the REST API shows it."""
        shown: dict[str, Any] = {"name": self.name, "type": self.type, "mode": self.mode}
        if self.fields:
            shown["fields"] = [field.resource() for field in self.fields]
        if self.description:
            shown["description"] = self.description
        return shown

    def duckdb_type(self) -> str:
        """The column's type in DuckDB."""
        if self.type == "RECORD":
            inner = ", ".join(f"{quoted(f.name)} {f.duckdb_type()}" for f in self.fields)
            single = f"STRUCT({inner})"
        elif self.type == "BIGNUMERIC":
            single = f"DECIMAL({DUCKDB_DIGITS},{self.scale})"
        else:
            single = _DUCKDB_TYPES[self.type]
        return f"{single}[]" if self.mode == "REPEATED" else single

    def duckdb_column(self) -> str:
        """The column's definition in a CREATE TABLE."""
        required = " NOT NULL" if self.mode == "REQUIRED" else ""
        return f"{quoted(self.name)} {self.duckdb_type()}{required}"


def quoted(name: str) -> str:
    """*name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def fields_from_resource(fields: Iterable[Mapping[str, Any]]) -> tuple[Field, ...]:
    """The columns of a ``schema.fields`` list; a wrong one is refused with 400."""
    try:
        columns = tuple(_field(field) for field in fields)
        check_names(columns)
    except SchemaError as error:
        raise invalid(str(error)) from error
    return columns


def _field(resource: Mapping[str, Any]) -> Field:
    name = str(resource.get("name", ""))
    kind = str(resource.get("type", "")).upper()
    kind = _ALIASES.get(kind, kind)
    mode = str(resource.get("mode") or "NULLABLE").upper()
    if kind not in _DUCKDB_TYPES and kind not in ("RECORD", "BIGNUMERIC"):
        raise SchemaError(f"Invalid value for type: {resource.get('type')!r} of field {name}")
    if mode not in _MODES:
        raise SchemaError(f"Invalid value for mode: {mode!r} of field {name}")
    inner = tuple(_field(field) for field in resource.get("fields", ()))
    if (kind == "RECORD") != bool(inner):
        raise SchemaError(f"Field {name} is type {kind} but has {len(inner)} fields in its schema")
    scale = int(resource.get("scale", _DEFAULT_BIGNUMERIC_SCALE))
    return Field(name, kind, mode, inner, scale, resource.get("description"))


def check_names(fields: Sequence[Field], where: str = "") -> None:
    """Raise SchemaError for a column name BigQuery refuses, nested ones included."""
    seen: dict[str, str] = {}
    for field in fields:
        path = f"{where}{field.name}"
        _check_name(field.name, path)
        other = seen.setdefault(field.name.lower(), field.name)
        if other is not field.name:
            raise SchemaError(
                f"Duplicate field name: {path} (names that differ only in case, here {other!r} "
                f"and {field.name!r}, are the same column in BigQuery)"
            )
        check_names(field.fields, f"{path}.")


def _check_name(name: str, path: str) -> None:
    if not name:
        raise SchemaError(f"Invalid field name {path!r}: it is empty")
    if len(name) > _NAME_LENGTH:
        raise SchemaError(
            f"Invalid field name {path!r}: it has {len(name)} characters, at most {_NAME_LENGTH} "
            "are allowed"
        )
    for prefix in _FORBIDDEN_PREFIXES:
        if name.upper().startswith(prefix):
            raise SchemaError(f"Invalid field name {path!r}: the prefix {prefix} is reserved")
    character = _FORBIDDEN_CHARACTERS.search(name)
    if character:
        raise SchemaError(f"Invalid field name {path!r}: it contains {character[0]!r}")
