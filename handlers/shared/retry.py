"""Trying again, within bounds.

Rules encoded (Google, "Retry strategy" and BigQuery "Error messages"): 429, 500, 502, 503 and 504
may pass, and so may a 403 whose reason is a rate limit; `Retry-After` says for how long to wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_PASSING = frozenset({429, 500, 502, 503, 504})
_PASSING_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "backendError"})


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How often, and how long apart; the clock and the dice can be replaced."""

    attempts: int = 5
    first: float = 1.0
    longest: float = 16.0
    longest_asked_for: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep)
    dice: Callable[[], float] = field(default=random.random)

    def pause(self, attempt: int, asked_for: str | None) -> None:
        """Wait after failed attempt number `attempt` (from 1): full jitter, or as was asked for."""
        seconds = _seconds(asked_for)
        if seconds is None:
            seconds = self.dice() * min(self.longest, self.first * 2 ** (attempt - 1))
        self.sleep(min(seconds, self.longest_asked_for))


def may_pass(status: int, reason: str | None) -> bool:
    """Is this answer worth another attempt?"""
    return status in _PASSING or (status == 403 and reason in _PASSING_REASONS)


def _seconds(retry_after: str | None) -> float | None:
    """Return `Retry-After` in seconds; its rare form as a date counts as not given."""
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
