"""What every REST resource here has in common: times, labels, pages, names of operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from rehearsal.google.errors import invalid
from rehearsal.google.routing import Call

T = TypeVar("T")

#: Source: https://cloud.google.com/resource-manager/docs/labels-overview#requirements
_LABEL_KEY = re.compile(r"(?!\d)[^\W_A-Z][\w-]{0,62}")
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")
_MOST_LABELS = 64


def rfc3339(moment: datetime) -> str:
    """A time as the v1 APIs write it."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def milliseconds(moment: datetime) -> str:
    """A time as BigQuery writes it."""
    return str(int(moment.timestamp() * 1000))


def parse_rfc3339(text: str, where: str) -> datetime:
    """The time written in *text*, which must carry a zone."""
    match = re.fullmatch(
        r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})", str(text)
    )
    if match is None:
        raise invalid(f"Invalid value at '{where}' (TYPE_TIMESTAMP), \"{text}\"")
    fraction = (match[2] or "").ljust(6, "0")[:6]
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        return datetime.fromisoformat(f"{match[1]}.{fraction}{zone}")
    except ValueError as error:
        raise invalid(f"Invalid value at '{where}' (TYPE_TIMESTAMP), \"{text}\"") from error


def check_labels(labels: Any) -> None:
    """Refuse labels Google would refuse: they are lower case throughout."""
    if not isinstance(labels, Mapping):
        raise invalid("labels must be an object of strings")
    if len(labels) > _MOST_LABELS:
        raise invalid(f"{len(labels)} labels; at most {_MOST_LABELS} are allowed")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            raise invalid(f"Invalid label key {key!r}: lower-case letters, digits, _ and - only")
        if not _LABEL_VALUE.fullmatch(str(value)) or value != str(value).lower():
            raise invalid(f"Invalid label value {value!r} of {key!r}: lower case, _ and - only")


def check_keys(body: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    """Refuse a field that the resource does not have, as Google's JSON parser does."""
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise invalid(
            f"Invalid JSON payload received. Unknown name \"{unknown[0]}\" at '{what}': "
            "Cannot find field."
        )


def masked(call: Call, present: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """*present* with the fields of *body* that the update mask names; without one, with all.

    A field that is named and not sent goes (https://google.aip.dev/161).
    """
    text = call.query.get("updateMask") or str(call.json().get("updateMask") or "")
    names = [camel(name) for name in text.split(",") if name] or list(body)
    kept = {name: value for name, value in present.items() if name not in names}
    return {**kept, **{name: body[name] for name in names if name in body}}


def camel(name: str) -> str:
    """A field's name as JSON has it."""
    head, *tail = name.strip().split("_")
    return head + "".join(part.capitalize() for part in tail)


def merged(present: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """*present* after BigQuery's ``patch``: null takes a field or a label away (RFC 7396)."""
    result = {name: value for name, value in {**present, **patch}.items() if value is not None}
    if isinstance(patch.get("labels"), Mapping):
        labels = {**(present.get("labels") or {}), **patch["labels"]}
        result["labels"] = {name: value for name, value in labels.items() if value is not None}
    return {name: value for name, value in result.items() if value != {}}


def page(
    call: Call, items: Sequence[T], size_name: str = "pageSize"
) -> tuple[Sequence[T], dict[str, str]]:
    """One page of *items* and the ``nextPageToken`` field, if there is another page."""
    size = call.integer(size_name, 0) or len(items) or 1
    start = call.integer("pageToken", 0)
    end = start + size
    return items[start:end], ({"nextPageToken": str(end)} if end < len(items) else {})
