"""What the drivers of AWS services share: properties as the APIs name them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rehearsal.drivers.registry import DriverError, Inputs, Outputs
from rehearsal.drivers.wire import same_json

# A property's name in Pulumi -> its name in the API, with the names inside it where it has any.
Names = Mapping[str, "str | tuple[str, Names]"]


def fields(names: Names, inputs: Inputs) -> dict[str, Any]:
    """Return those *inputs* that have *names*, as the API takes them.

    Properties inside of properties must all have names: nothing is dropped without a word.
    """
    wire: dict[str, Any] = {}
    for key, name in names.items():
        value = inputs.get(key)
        if value is None:
            continue
        if isinstance(name, str):
            wire[name] = number(value)
        else:
            wire[name[0]] = _inner_fields(key, name[1], value)
    return wire


def _inner_fields(of: str, names: Names, inputs: Inputs) -> dict[str, Any]:
    unknown = sorted(key for key in inputs.keys() - names.keys() if inputs[key] is not None)
    if unknown:
        raise DriverError(f"{of}: the driver does not know {', '.join(unknown)}")
    return fields(names, inputs)


def number(value: Any) -> Any:
    """Return a whole number as int: the engine has floats only, botocore refuses them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def properties(names: Names, answer: Mapping[str, Any]) -> Outputs:
    """Return what an API answers, as Pulumi names it."""
    found: Outputs = {}
    for key, name in names.items():
        wire, inner = (name, None) if isinstance(name, str) else name
        value = answer.get(wire)
        if value is not None:
            found[key] = value if inner is None else properties(inner, value)
    return found


def as_read(known: Inputs, told: Iterable[str], seen: Inputs, defaults: Inputs) -> Outputs:
    """Return *known* with the properties that the cloud tells as they were *seen* there.

    A known property that was not seen is gone. One that nobody mentioned and that is at the
    cloud's default is not mentioned now.
    """
    kept = {key: value for key, value in known.items() if key not in set(told)}
    return {**kept, **_worth_telling(known, seen, defaults)}


def _worth_telling(known: Inputs, seen: Inputs, defaults: Inputs) -> Outputs:
    shown: Outputs = {}
    for key, value in seen.items():
        default = defaults.get(key)
        if isinstance(value, dict) and default and key in known:
            shown[key] = _worth_telling(known[key] or {}, value, default)
        elif key in known or value != default:
            shown[key] = value
    return shown


def same_document(known: Any, actual: str) -> str:
    """Return *actual* as *known* is written, when both are the same document.

    Any other is returned as it is: these services give a text back as it was put. Some take texts
    that are no JSON.
    """
    try:
        return str(known) if same_json(known, actual) == known else actual
    except ValueError:
        return actual


def same_set(known: Any, actual: list[str]) -> list[str]:
    """Return *actual* in the order of *known*, where both hold the same."""
    same = known is not None and sorted(known) == sorted(actual)
    return list(known) if same else actual
