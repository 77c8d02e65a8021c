"""Tables, their columns, and what can go wrong in reading them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from rehearsal.aws.mapping import ColumnType, Engine, ExportType, export_type

#: Characters that make RDS leave a table out when they occur in one of its column names
#: ("Considerations for DB snapshot exports" in the Amazon RDS user guide).
_REFUSED_IN_COLUMN_NAMES = frozenset(",;{}()\n\t= ")


class SourceError(Exception):
    """A database cannot be read: one line saying what, where, and what would be right."""


class TableError(Exception):
    """One table holds a value that its column's type cannot hold: names table, column, kind."""


@dataclass(frozen=True)
class Column:
    """A column: its name, its type in the database, and what it is exported as."""

    name: str
    type: ColumnType
    export: ExportType

    @classmethod
    def of(cls, engine: Engine, name: str, type_: ColumnType) -> Column:
        """The column with the export type that its engine's mapping gives it."""
        return cls(name, type_, export_type(engine, type_))


@dataclass(frozen=True)
class Table:
    """A table with its columns; `refusal` says why RDS would leave it out of any export."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    refusal: str | None = None

    @property
    def arrow_schema(self) -> pa.Schema:
        """The schema of the table's record batches and Parquet files."""
        return pa.schema([pa.field(column.name, column.export.arrow) for column in self.columns])

    def __str__(self) -> str:
        """Schema and name, as messages name a table."""
        return f"{self.schema}.{self.name}"


def refusal(name: str, columns: tuple[Column, ...]) -> str | None:
    """Why RDS leaves a table with these names out of an export, or None when it does not."""
    if "/" in name:
        return "its name contains '/', which an export cannot write"
    for column in columns:
        bad = sorted(_REFUSED_IN_COLUMN_NAMES.intersection(column.name))
        if bad:
            shown = " ".join(repr(character) for character in bad)
            return f"its column {column.name!r} has characters that Parquet refuses: {shown}"
    if not columns:
        return "it has no columns"
    return None
