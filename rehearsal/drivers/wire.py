"""What drivers share in reading values back: when two ways of writing mean the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

Tags = Mapping[str, str]


def same_json(known: Any, actual: Any) -> str | None:
    """Return *actual* as text; as *known* is written, when both are the same document.

    Clouds give a policy back with other white space or order than it was put with; botocore even
    parses some. None stands for a policy that is not there.
    """
    if actual is None:
        return None
    document = json.loads(actual) if isinstance(actual, str) else actual
    if isinstance(known, str) and _parsed(known) == document:
        return known
    return json.dumps(document, separators=(",", ":"))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def aws_tags(tags: Tags, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return tags as most AWS APIs take them."""
    return [{key: name, value: text} for name, text in tags.items()]


def from_aws_tags(
    tags: Iterable[Mapping[str, str]], key: str = "Key", value: str = "Value"
) -> dict[str, str]:
    """Return tags as Pulumi has them."""
    return {each[key]: each[value] for each in tags}


def known_tags(known: Mapping[str, Any], actual: Tags) -> dict[str, Any]:
    """Return ``{"tags": actual}``, or nothing where there are none and none are known."""
    return {"tags": dict(actual)} if actual or "tags" in known else {}


def change_tags(
    old: Tags,
    new: Tags,
    untag: Callable[[list[str]], Any],
    tag: Callable[[dict[str, str]], Any],
) -> None:
    """Remove the tags that are gone, then set those that are new or have another value."""
    gone = sorted(old.keys() - new.keys())
    set_anew = {name: value for name, value in new.items() if old.get(name) != value}
    if gone:
        untag(gone)
    if set_anew:
        tag(set_anew)


def or_none(call: Callable[..., Any], *codes: str, **arguments: Any) -> Any:
    """Return what a boto3 method answers, or None where it fails with one of the error *codes*.

    Every other error is the caller's.
    """
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in codes:
            return None
        raise
