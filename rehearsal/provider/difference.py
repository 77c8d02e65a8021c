"""What an update would change of a resource, and whether it can be changed in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rehearsal.drivers.registry import Driver

Kind = Literal["add", "delete", "update"]

# Whatever else is in a key makes the engine, and so us, quote it.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Change:
    """One value that differs; *path* is a Pulumi property path (``rules[0].id``)."""

    path: str
    kind: Kind
    replaces: bool = False


def changes(driver: Driver, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return every value in which two sets of inputs differ, by the deepest path to it.

    A value that is not known yet counts as different from any known one.
    """
    replacing = driver.replace_on.split()
    return [
        Change(path, kind, any(_touches(path, each) for each in replacing))
        for path, kind in _differences("", old, new)
    ]


def _touches(path: str, other: str) -> bool:
    """Say whether one path is, or lies within, the other."""
    longer, shorter = (path, other) if len(path) >= len(other) else (other, path)
    return longer.startswith(shorter) and longer[len(shorter) : len(shorter) + 1] in ("", ".", "[")


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Kind]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _member(
                _below(path, key), key in old, key in new, old.get(key), new.get(key)
            )
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            yield from _member(
                f"{path}[{index}]", index < len(old), index < len(new), before, after
            )
    elif not _same(old, new):
        yield path, "update"


def _member(path: str, was: bool, is_now: bool, old: Any, new: Any) -> Iterator[tuple[str, Kind]]:
    if not was:
        yield path, "add"
    elif not is_now:
        yield path, "delete"
    else:
        yield from _differences(path, old, new)


def _below(path: str, key: str) -> str:
    if not _PLAIN_KEY.fullmatch(key):
        quoted = key.replace('"', '\\"')
        return f'{path}["{quoted}"]'
    return f"{path}.{key}" if path else key


def _same(old: Any, new: Any) -> bool:
    if _is_document(old) and _is_document(new):
        old, new = _parse(old), _parse(new)
    return bool(_typed(old) == _typed(new))


def _typed(value: Any) -> Any:
    """Return *value* in a form in which true is not 1, as which Python takes it."""
    if isinstance(value, Mapping):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return (isinstance(value, bool), value)


def _is_document(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in ("{", "[")


def _parse(text: str) -> Any:
    """Return the document in *text*, or the text itself: policies that mean the same are equal."""
    try:
        return json.loads(text)
    except ValueError:
        return text
