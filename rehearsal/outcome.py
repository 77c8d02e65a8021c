"""What a rehearsal found: exports, loads, problems, and how long each act took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich import filesize

from rehearsal.sheet import Line, Sheet, number

_COLUMNS = ("source", "table", "in source", "exported", "in BigQuery", "files", "size", "state")

#: What is timed.
ACTS = ("deploy", "export", "load", "total")


@dataclass(frozen=True)
class TableOutcome:
    """One declared table on its way: rows at each station, and how its load ended.

    Rows are None where a station never saw the table.
    """

    source: str
    name: str
    dataset: str
    table: str
    source_rows: int | None
    exported_rows: int | None
    loaded_rows: int | None
    files: int
    bytes: int
    state: str

    @property
    def is_equal(self) -> bool:
        """Are source, export and BigQuery at one?"""
        return self.source_rows == self.exported_rows == self.loaded_rows


@dataclass(frozen=True)
class Problem:
    """Something that a team would be told of; *table* is `db.table`, or the source's name."""

    table: str
    kind: str
    message: str


@dataclass(frozen=True)
class Export:
    """An export task as it ended, with the tables it wrote."""

    source: str
    export_task: str
    status: str
    tables: list[dict[str, Any]]


@dataclass
class Outcome:
    """Everything a rehearsal has to tell."""

    stack: str
    resources: dict[str, int] = field(default_factory=lambda: {"aws": 0, "gcp": 0})
    exports: list[Export] = field(default_factory=list)
    tables: list[TableOutcome] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ACTS, 0.0))

    @property
    def is_good(self) -> bool:
        """Did everything arrive, and was there something to arrive?"""
        return bool(self.tables) and not self.problems

    def sheet(self) -> Sheet:
        """Return the outcome as people read it: a line for each table."""
        # A source of its own in every row helps only where there are several.
        first = 0 if len({table.source for table in self.tables}) > 1 else 1
        return Sheet(
            columns=_COLUMNS[first:],
            texts=frozenset({"source", "table", "state"}),
            lines=[Line(tuple(_cells(table)[first:]), _is_well(table)) for table in self.tables],
            notes=[
                f"{told['name']}: {note}"
                for export in self.exports
                for told in export.tables
                for note in told.get("notes", [])
            ],
            verdict=self._verdict(),
        )

    def _verdict(self) -> str:
        rows = sum(table.loaded_rows or 0 for table in self.tables)
        made = f"{self.resources.get('aws', 0)} AWS and {self.resources.get('gcp', 0)} Google"
        total = self.seconds.get("total", 0.0)
        what = f"{len(self.tables)} tables, {rows:,} rows, {made} resources, {total:.1f} s"
        if self.is_good:
            return (
                f"All well: as many rows in source, export and BigQuery, for every table ({what})."
            )
        if not self.problems:
            return f"Nothing was carried ({what})."
        count = len(self.problems)
        return f"{count} problem{'s' if count > 1 else ''} ({what})."

    def as_json(self) -> dict[str, Any]:
        """Return the outcome in the form promised to scripts (see docs/rehearsal.md)."""
        return {
            "stack": self.stack,
            "resources": self.resources,
            "exports": [vars(export) for export in self.exports],
            "loads": [
                {
                    "dataset": table.dataset,
                    "table": table.table,
                    "state": table.state,
                    "rows": table.loaded_rows,
                }
                for table in self.tables
            ],
            "problems": [vars(problem) for problem in self.problems],
            "seconds": {act: round(seconds, 3) for act, seconds in self.seconds.items()},
        }


def _is_well(table: TableOutcome) -> bool:
    return table.is_equal and table.state == "SUCCEEDED"


def _cells(table: TableOutcome) -> list[str]:
    return [
        table.source,
        table.name,
        number(table.source_rows),
        number(table.exported_rows),
        number(table.loaded_rows),
        number(table.files),
        filesize.decimal(table.bytes),
        table.state,
    ]
