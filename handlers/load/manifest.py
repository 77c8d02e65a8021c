"""The export's own account of itself: ``export_tables_info_*.json``.

There are several files when there are many tables, and all are read. `COMPLETE` of the export as a
whole says little: a table can be skipped with a warning, and only here is that told by table.

Rules encoded (AWS, "Exporting DB snapshot data to Amazon S3" and "File naming convention"):

* an entry's `target` is ``database.table`` (MySQL) or ``database.schema.table`` (PostgreSQL);
* an entry that carries a `warningMessage` may have a whole database, or a schema, as its target.
  It then holds for every table in it: an export that says it is not whole is not loaded as if it
  were, and the table is named to someone instead;
* MySQL has no schemas. Should the database stand in the schema's place, the table is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.storage import Storage

COMPLETE = "COMPLETE"
MAX_REASON = 200


@dataclass(kw_only=True)
class Manifest:
    """What is known of each target; a reason where it cannot be loaded, else None."""

    files: int = 0
    _targets: dict[str, str | None] = field(default_factory=dict)
    _wider: dict[str, str] = field(default_factory=dict)
    _empty: set[str] = field(default_factory=set)

    def add(self, document: Mapping[str, Any]) -> None:
        """Take in one file."""
        self.files += 1
        for entry in document.get("perTableStatus") or []:
            target = str(entry.get("target", ""))
            reason = _reason(entry)
            self._targets[target] = self._targets.get(target) or reason
            if reason:
                self._wider[target] = reason
            if entry.get("sizeGB") == 0:
                self._empty.add(target)

    def knows(self, name: str) -> bool:
        """Is the table, or something it belongs to, spoken of?"""
        return self._entry(name) is not None or self._warning(name) is not None

    def reason(self, name: str) -> str | None:
        """Return why the table cannot be loaded, or None."""
        entry = self._entry(name)
        return (self._targets[entry] if entry else None) or self._warning(name)

    def is_empty(self, name: str) -> bool:
        """Does the manifest give the table's size as nothing?"""
        return self._entry(name) in self._empty

    def _entry(self, name: str) -> str | None:
        database = name.partition(".")[0]
        return next((t for t in (name, f"{database}.{name}") if t in self._targets), None)

    def _warning(self, name: str) -> str | None:
        parts = name.split(".")
        wider = (".".join(parts[:length]) for length in range(1, len(parts)))
        found = ((target, self._wider[target]) for target in wider if target in self._wider)
        return next((f"{target}: {reason}" for target, reason in found), None)


def read(storage: Storage, prefix: str) -> Manifest | None:
    """Return the manifest of the export below `prefix`, or None when it has none."""
    manifest = Manifest()
    for key in _files(storage.keys(f"{prefix}/export_tables_info_")):
        document = storage.read(key)
        if document is not None:
            manifest.add(document)
    return manifest if manifest.files else None


def _files(keys: Iterable[str]) -> Iterable[str]:
    return (key for key in keys if key.endswith(".json"))


def _reason(entry: Mapping[str, Any]) -> str | None:
    warning = entry.get("warningMessage")
    if warning:
        return f"the export warns: {str(warning)[:MAX_REASON]}"
    status = str(entry.get("status") or "without a status")
    return None if status.upper() == COMPLETE else f"its export is {status}, not {COMPLETE}"
