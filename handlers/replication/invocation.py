"""What an invocation brings along: its environment, and how long it may go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from shared.errors import InvalidInput


class Context(Protocol):
    """The part of Lambda's context that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left to this call."""


def seconds_left(context: Context) -> Callable[[], float]:
    """Return a clock that says how long this call may go on."""
    return lambda: context.get_remaining_time_in_millis() / 1000


def variable(name: str) -> str:
    """Return an environment variable that the program sets."""
    value = os.environ.get(name)
    if not value:
        raise InvalidInput(f"environment variable {name} is not set on this function")
    return value
