"""What the drivers of Google's resources share: absence, ids, and what a read shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rehearsal.drivers.registry import Clouds, DriverError, Inputs, NotFound, Outputs


def get_or_none(clouds: Clouds, path: str) -> Outputs | None:
    """GET *path*; None where there is nothing."""
    try:
        return clouds.google.get(path)
    except NotFound:
        return None


def send_if_there(
    clouds: Clouds, method: str, path: str, body: Mapping[str, Any] | None = None
) -> None:
    """Send, for instance a DELETE, to what may be gone already."""
    try:
        clouds.google.send(method, path, body)
    except NotFound:
        return


def id_parts(pattern: str, identifier: str) -> dict[str, str]:
    """Return the named parts of an id; DriverError, naming the form, for another id."""
    match = re.fullmatch(pattern, identifier)
    if match is None:
        form = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern)
        raise DriverError(f"the id {identifier!r} is not of the form {form}")
    return match.groupdict()


def told(
    known: Inputs, actual: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> Outputs:
    """Return *known* with the optional properties as the cloud tells them in *actual*.

    A value that means what is known stays as it is known. One that is the cloud's default (in
    *defaults*, else empty) and is not known is left out, so that an import shows none of them.
    """
    result = {key: value for key, value in known.items() if key not in actual}
    for key, value in actual.items():
        default = (defaults or {}).get(key)
        meant = _core(default if value is None else value)
        if key in known and _core(default if known[key] is None else known[key]) == meant:
            result[key] = known[key]
        elif meant != _core(default):
            result[key] = value
    return result


def as_known(known: Inputs, key: str, actual: Any, meaning: Callable[[Any], Any]) -> Any:
    """Return *actual*; as it is known, where both have the same *meaning*."""
    if key in known and actual is not None and meaning(known[key]) == meaning(actual):
        return known[key]
    return actual


def changed(names: Iterable[str], old: Inputs, new: Inputs) -> list[str]:
    """Return those of *names* whose values differ."""
    return [name for name in names if _core(old.get(name)) != _core(new.get(name))]


def picked(names: Iterable[str], inputs: Inputs) -> Outputs:
    """Return the inputs called *names* that are given."""
    return {name: inputs[name] for name in names if name in inputs}


def abandoned(known: Inputs, what: str) -> bool:
    """Whether `deletionPolicy` leaves the resource alone; DriverError if it forbids to delete."""
    policy = known.get("deletionPolicy", "DELETE")
    if policy == "PREVENT":
        raise DriverError(
            f'cannot destroy {what} without setting deletion_policy="DELETE" and running pulumi up'
        )
    return bool(policy == "ABANDON")


def refuse_protected(known: Inputs, what: str, *, default: bool) -> None:
    """Raise DriverError where `deletionProtection` is on."""
    if known.get("deletionProtection", default):
        raise DriverError(
            f"cannot destroy {what} without setting deletion_protection=false and running pulumi up"
        )


def _core(value: Any) -> Any:
    """A value without the parts that say nothing: Google leaves out what is empty or off."""
    if isinstance(value, Mapping):
        parts = {key: _core(item) for key, item in value.items()}
        return {key: item for key, item in parts.items() if item is not None} or None
    if isinstance(value, list):
        return [_core(item) for item in value] or None
    return value or None
