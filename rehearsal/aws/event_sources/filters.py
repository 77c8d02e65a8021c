"""FilterCriteria of event source mappings: which records a function is invoked with.

Source: Lambda developer guide, "Control which events Lambda sends to your function". The syntax is
that of EventBridge's event patterns, and so is ministack's matcher. The body of a message is
matched as JSON where the pattern wants an object in it; a body that is none is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Matches = Callable[[Mapping[str, Any]], bool]


class InvalidPattern(ValueError):
    """A pattern that is no pattern; the message says why."""


def compile_filters(criteria: Mapping[str, Any] | None, eventbridge: Any) -> Matches:
    """Return what tells whether a record passes; *eventbridge* is ministack's module."""
    filters = (criteria or {}).get("Filters") or []
    compiled = [_compile(each.get("Pattern"), eventbridge) for each in filters]

    def passes(record: Mapping[str, Any]) -> bool:
        return not compiled or any(one(record) for one in compiled)

    return passes


def _compile(text: Any, eventbridge: Any) -> Matches:
    if not isinstance(text, str):
        raise InvalidPattern("Invalid filter pattern definition.")
    alternatives, why = eventbridge._parse_pattern_text(text)
    if alternatives is None:
        raise InvalidPattern(f"Invalid filter pattern definition. {why}")

    def matches(record: Mapping[str, Any]) -> bool:
        return any(
            eventbridge._matches_detail(_seen_by(record, each), each) for each in alternatives
        )

    return matches


def _seen_by(record: Mapping[str, Any], pattern: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record with its body as the pattern looks at it."""
    if "body" not in record or not isinstance(pattern.get("body"), Mapping):
        return record
    try:
        return {**record, "body": json.loads(record["body"])}
    except ValueError:
        return {key: value for key, value in record.items() if key != "body"}
