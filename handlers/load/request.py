"""What every function of the load is called with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.errors import InvalidInput

_TEXTS = ("source", "export_task", "run_time", "bucket", "prefix")
_RUN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Context(Protocol):
    """The part of Lambda's context that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left to this call."""


@dataclass(frozen=True, kw_only=True)
class LoadRequest:
    """The detail of `Export Completed`, and where to go on."""

    source: str
    export_task: str
    run_time: str
    bucket: str
    prefix: str
    warning: str = ""
    cursor: int = 0

    @classmethod
    def parse(cls, event: Mapping[str, Any]) -> LoadRequest:
        """Read an event; what is wrong with it is said by field."""
        wrong = [name for name in _TEXTS if not isinstance(event.get(name), str) or not event[name]]
        if wrong:
            raise InvalidInput(f"the event lacks {', '.join(wrong)} (expected non-empty strings)")
        if not _RUN_TIME.fullmatch(event["run_time"]):
            raise InvalidInput(
                f"run_time is {event['run_time']!r}; expected a time such as 2026-11-20T03:00:00Z"
            )
        cursor = event.get("cursor") or 0
        if not isinstance(cursor, (int, float)) or cursor < 0 or cursor != int(cursor):
            raise InvalidInput(f"cursor is {cursor!r}; expected a whole number from 0, or null")
        texts = {name: event[name] for name in _TEXTS}
        return cls(**texts, warning=str(event.get("warning") or ""), cursor=int(cursor))

    @property
    def catalog_key(self) -> str:
        """Return the S3 key of the source's declared tables."""
        return f"catalog/{self.source}.json"

    @property
    def work_key(self) -> str:
        """Return the S3 key of this load's state."""
        return f"loads/{self.export_task}/work.json"
