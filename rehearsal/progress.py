"""Tells what a rehearsal is doing while it does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

# How often someone reading a log, not a terminal, hears that an act is still going on.
_LOG_SECONDS = 5.0


class Progress:
    """Prints each act with its duration; on a terminal a line that moves, elsewhere plain lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.status("")
        self._act = ""
        self._last = 0.0
        self.seconds: dict[str, float] = {}

    @contextmanager
    def act(self, key: str, title: str) -> Iterator[None]:
        """Time what is done inside under *key*, and tell of it."""
        began = self._last = time.monotonic()
        self._act = title
        if self._console.is_terminal:
            self._live.update(title)
            self._live.start()
        try:
            yield
        finally:
            self._live.stop()
            took = time.monotonic() - began
            self.seconds[key] = self.seconds.get(key, 0.0) + took
        self._console.print(f"  {self._act}  [dim]{took:.1f} s[/dim]", highlight=False)

    def say(self, text: str) -> None:
        """Tell how far the act is."""
        self._act = text
        if self._console.is_terminal:
            self._live.update(text)
        elif time.monotonic() - self._last > _LOG_SECONDS:
            self._last = time.monotonic()
            self._console.print(f"  ... {text}", highlight=False)
