"""What people see of an outcome, whatever route it is of: a table, notes, and one last line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """A line of the table, and whether all is well with what it tells of."""

    cells: tuple[str, ...]
    is_well: bool


@dataclass(frozen=True)
class Sheet:
    """The table, what else is to be noted, and the verdict; `texts` are columns without numbers."""

    columns: Sequence[str]
    texts: frozenset[str]
    lines: Sequence[Line]
    verdict: str
    notes: Sequence[str] = field(default_factory=list)


def number(value: int | None) -> str:
    """Return a number as people read it; a hyphen where there is none."""
    return "-" if value is None else f"{value:,}"
