"""The ways in which a rehearsal ends early."""

from __future__ import annotations


class BadInput(Exception):
    """What the user gave is wrong: each of *lines* says what, where, and what would be right."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class RehearsalFailed(Exception):
    """The rehearsal could not be played to its end; the message says where and why."""
