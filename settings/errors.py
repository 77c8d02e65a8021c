"""Settings errors: one line each, saying where, what is wrong, and what would be right.

Where that cannot be told from what is written, nothing is said to write: a made-up value is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import yaml

_SHOWN_CHARACTERS = 60
_BRIEF_CHARACTERS = 120


class SettingsError(Exception):
    """Everything that is wrong with a stack's configuration; `errors` has one line for each."""

    def __init__(self, errors: Iterable[str]) -> None:
        """Keep the lines; the exception's text is all of them."""
        self.errors = list(errors)
        super().__init__("\n".join(self.errors))


class Problems:
    """The errors found so far: checking goes on after each, so that all are told at once."""

    def __init__(self) -> None:
        """Start with none."""
        self.lines: list[str] = []

    def add(self, path: str, problem: str, write: str | None) -> None:
        """Note that the value at `path` is wrong, why, and the YAML that would be right, if any."""
        advice = "" if write is None else f"; write  {write}"
        self.lines.append(_printable(f"{path}: {problem}{advice}"))


def flow(value: object) -> str:
    """Return a value as YAML that fits on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True
    )
    return text.strip().removesuffix("...").strip()


def snippet(key: object, value: object) -> str:
    """Return ``key: value`` as YAML that fits on one line, and between braces too."""
    return f"{flow(key)}: {flow([value])[1:-1]}"


def show(value: object) -> str:
    """Return a value as a message may quote it: on one line, and not much of it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def brief(value: object) -> bool:
    """Return whether a value that a user wrote is short enough for a message to repeat it."""
    return len(json.dumps(value, ensure_ascii=False, default=str)) <= _BRIEF_CHARACTERS


def kind(value: object) -> str:
    """Return what a YAML value is, in a user's words."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a true/false value"
    names = {str: "text", int: "a whole number", float: "a number", list: "a list"}
    return names.get(type(value), "a mapping")


def _printable(text: str) -> str:
    """Return a text with line ends and the like escaped: names come from users and may have any."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
