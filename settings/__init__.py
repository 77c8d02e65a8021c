"""Typed stack settings: everything a user can get wrong is caught here, before anything is made.

`load` turns a stack's configuration into `Settings` or raises `SettingsError`, which carries every
error of the stack at once; `from_pulumi` does so for the running program.
"""

from __future__ import annotations

from settings.errors import SettingsError
from settings.load import from_pulumi, load
from settings.model import (
    Alerts,
    BigQuery,
    Cluster,
    Column,
    Engine,
    Flow,
    Handlers,
    KeyAttribute,
    Replication,
    Settings,
    Snapshot,
    Source,
    SourceKind,
    Table,
    Trigger,
)

__all__ = [
    "Alerts",
    "BigQuery",
    "Cluster",
    "Column",
    "Engine",
    "Flow",
    "Handlers",
    "KeyAttribute",
    "Replication",
    "Settings",
    "SettingsError",
    "Snapshot",
    "Source",
    "SourceKind",
    "Table",
    "Trigger",
    "from_pulumi",
    "load",
]
