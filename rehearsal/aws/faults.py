"""Faults that a rehearsal can put into the exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "export-failed",  # every export task ends FAILED
    "export-failed-once",  # the first export task ends FAILED, later ones do not
    "table-missing",  # a table is left out without a word
    "table-skipped",  # a table is left out, and the manifest and WarningMessage say so
    "export-limit",  # the first two StartExportTask calls meet the limit of concurrent exports
]


@dataclass(frozen=True)
class Fault:
    """A fault; `table` is a manifest target such as `shop.users`, by default the first table."""

    kind: FaultKind
    table: str | None = None
