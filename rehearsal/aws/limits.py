"""Service quotas that the emulator does not enforce and a real run would hit.

Sources: Step Functions service quotas
(https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html), EventBridge PutEvents
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html) and Lambda quotas
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

PAYLOAD_BYTES = 256 * 1024
"""State input, output, task result and variable of a Standard workflow (hard)."""

VARIABLES_TOTAL_BYTES = 10 * 1024 * 1024
"""All variables of one execution together."""

HISTORY_EVENTS = 25_000
"""Events of one Standard execution (hard); the execution fails when it would write more."""

DEFINITION_BYTES = 1024 * 1024
"""Definition of a state machine."""

NAME_LENGTH = 80
"""Name of a state machine or of an execution."""

EVENT_ENTRY_BYTES = 256 * 1024
"""One PutEvents request, counted over its entries as AWS counts them."""

LAMBDA_PAYLOAD_BYTES = 6 * 1024 * 1024
"""Request and response of a synchronous invocation."""

# Brackets, wildcards, control characters and the like are refused in names of machines and
# executions: CreateStateMachine API reference, parameter `name`.
_NAME_FORBIDDEN = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")


class LimitError(Exception):
    """A quota is broken; the message says which, by how much, and where."""


def json_size(value: Any) -> int:
    """Return the bytes *value* takes as compact UTF-8 JSON, which is what the quotas count."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def check_payload(value: Any, what: str) -> None:
    """Raise LimitError when *value* is too large to be a state's input, output or variable."""
    size = json_size(value)
    if size > PAYLOAD_BYTES:
        raise LimitError(
            f"{what} has {size:,} bytes; the maximum is {PAYLOAD_BYTES:,} bytes (256 KiB)"
        )


def check_variables(variables: Mapping[str, Any]) -> None:
    """Raise LimitError when the variables of an execution together are too large."""
    size = json_size(dict(variables))
    if size > VARIABLES_TOTAL_BYTES:
        raise LimitError(
            f"the variables have {size:,} bytes; the maximum is {VARIABLES_TOTAL_BYTES:,} (10 MiB)"
        )


def check_history(events: int) -> None:
    """Raise LimitError when one more event would not fit in an execution's history."""
    if events >= HISTORY_EVENTS:
        raise LimitError(
            f"The execution reached the maximum number of history events ({HISTORY_EVENTS})."
        )


def check_name(name: str, what: str) -> None:
    """Raise LimitError when *name* is no name for a state machine or an execution."""
    if not 1 <= len(name) <= NAME_LENGTH:
        raise LimitError(
            f"{what} name '{name}' has {len(name)} characters; 1 to {NAME_LENGTH} are allowed"
        )
    forbidden = _NAME_FORBIDDEN.search(name)
    if forbidden:
        raise LimitError(f"{what} name '{name}' has the forbidden character {forbidden[0]!r}")


def check_definition(definition: str) -> None:
    """Raise LimitError when the definition of a state machine is too large."""
    size = len(definition.encode())
    if size > DEFINITION_BYTES:
        raise LimitError(
            f"the definition has {size:,} bytes; the maximum is {DEFINITION_BYTES:,} (1 MiB)"
        )


def event_entry_size(entry: Mapping[str, Any]) -> int:
    """Return the size of a PutEvents entry by AWS's own rule.

    14 bytes for Time when given, and the UTF-8 bytes of Source, DetailType, Detail and each
    Resource ("Calculating Amazon EventBridge event entry size").
    """
    size = 14 if entry.get("Time") is not None else 0
    for field in ("Source", "DetailType", "Detail"):
        size += len(str(entry.get(field) or "").encode())
    return size + sum(len(str(resource).encode()) for resource in entry.get("Resources") or ())


def check_event_entries(entries: list[Mapping[str, Any]]) -> None:
    """Raise LimitError when the entries of one PutEvents request are too large together."""
    size = sum(event_entry_size(entry) for entry in entries)
    if size > EVENT_ENTRY_BYTES:
        names = ", ".join(sorted({str(entry.get("DetailType")) for entry in entries}))
        raise LimitError(
            f"Total size of the entries in the request is over the limit: {size:,} bytes of "
            f"{EVENT_ENTRY_BYTES:,} ({names})"
        )


def check_lambda_payload(size: int, function: str, direction: str) -> None:
    """Raise LimitError when a synchronous invocation's request or response is too large."""
    if size > LAMBDA_PAYLOAD_BYTES:
        raise LimitError(
            f"the {direction} of function {function} has {size:,} bytes; "
            f"the maximum is {LAMBDA_PAYLOAD_BYTES:,} (6 MB)"
        )
