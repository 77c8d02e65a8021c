"""Google's errors during one call, told apart: some tables', or everybody's.

A table Google refuses, or has no time for while others go through, is that table's problem and
does not stop the rest. When nothing goes through at all it is an outage: the call then fails as a
whole, without holding it against the tables, and the state machine calls again later.
"""

from __future__ import annotations

import threading

from aws_lambda_powertools import Logger

from load.worklist import ENDED_BADLY, TableWork
from shared.errors import GoogleError, GoogleUnavailable

LOGGED = 50


class Faults:
    """What went wrong, and how much did not; filled by many threads."""

    def __init__(self) -> None:
        self.good = 0
        self.bad: list[tuple[TableWork, GoogleError]] = []
        self._lock = threading.Lock()

    def fine(self) -> None:
        """Count a table that went through."""
        with self._lock:
            self.good += 1

    def add(self, table: TableWork, error: GoogleError) -> None:
        """Note a table's error."""
        with self._lock:
            self.bad.append((table, error))

    def is_outage(self) -> bool:
        """Did nothing go through, for a reason that may pass?"""
        unavailable = (isinstance(error, GoogleUnavailable) for _, error in self.bad)
        return bool(self.bad) and not self.good and all(unavailable)

    def mark_failed(self, doing: str) -> None:
        """Hold the errors against their tables."""
        for table, error in self.bad:
            table.state, table.error = ENDED_BADLY[0], f"{doing}: {error}"

    def report(self, logger: Logger, message: str) -> None:
        """Log the errors, the first of them if there are many."""
        for table, error in self.bad[:LOGGED]:
            logger.warning(message, extra={"table": table.name, "error": str(error)})
        if len(self.bad) > LOGGED:
            logger.warning(message, extra={"further_tables": len(self.bad) - LOGGED})

    def raise_outage(self) -> None:
        """Fail the call when it is an outage; the error names a table."""
        if self.is_outage():
            table, error = self.bad[0]
            more = f" (and {len(self.bad) - 1} more)" if len(self.bad) > 1 else ""
            raise GoogleUnavailable(f"{table.name}{more}: {error}")
