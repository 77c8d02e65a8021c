"""What pydantic found wrong, told as this project tells errors."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from settings.errors import Problems, brief, flow, kind, show, snippet
from settings.shape import Shape, keys

Location = tuple[int | str, ...]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_SECRET_WORDS = ("secret", "password", "passphrase", "token", "credential", "access_key")


def key_path(prefix: str, location: Location) -> str:
    """Return where a value stands: ``data-ferry:snapshot.sources[1].engine``."""
    text = ""
    for part, after in zip(location, (*location[1:], None), strict=True):
        if isinstance(part, int) and after != "[key]":
            text += f"[{part}]"
        elif part != "[key]":
            text += f".{part}"
    return f"{prefix}:{text.removeprefix('.')}"


def value_at(values: object, location: Sequence[int | str]) -> object:
    """Return what is written at a place, or `None`; no place is looked for in a list."""
    for part in location:
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def report(
    error: ErrorDetails,
    model: type[BaseModel],
    prefix: str,
    values: Mapping[str, object],
    problems: Problems,
) -> None:
    """Add one of pydantic's errors about a `model` of `values`, whose keys begin with `prefix`."""
    location, name = error["loc"], error["type"]
    context = error.get("ctx", {})
    right: str | None
    unknown = name in ("extra_forbidden", "invalid_key")
    home = _home_of(location, model) if unknown else None
    if home is not None:
        section, example = home
        problem = f"is not a key here; it belongs to {prefix}:{section}"
        right = f"{prefix}:{snippet(section, {str(location[-1]): example})}"
    elif unknown:
        problem, right = _unknown_key(str(location[-1]), _model_above(model, location))
    elif location[-1] == "[key]":
        problem, right = _renamed(_problem(name, error, context), location, model, values, context)
    else:
        problem = _problem(name, error, context) + _hint(name, _field_at(model, location))
        # A number that is out of its limits is nearest to the one that it passed.
        value = context.get("write", context.get("le", context.get("ge")))
        right = right_value(model, location, value) if name != "too_long" else None
    if len(location) == 1 and home is None and right is not None:
        right = f"{prefix}:{right}"
    problems.add(key_path(prefix, location), problem, right)


def right_value(model: type[BaseModel], location: Location, value: object = None) -> str:
    """Return YAML that would be right at `location`: with `value`, or as the key's example."""
    key = location[-1]
    field = _field_at(model, location)
    example: Any = field.examples[0] if field is not None and field.examples else None
    if isinstance(key, int):
        item = example[0] if isinstance(example, list) else example
        return f"- {flow(item if value is None else value)}"
    if isinstance(example, Mapping) and _is_entry(model, location):
        # The example is the whole mapping's.
        example = next(iter(example.values()))
    return snippet(key, example if value is None else value)


def _problem(name: str, error: ErrorDetails, context: Mapping[str, Any]) -> str:
    given = error["input"]
    if name == "wrong":
        return str(context["problem"])
    if name == "missing":
        return "is missing"
    if name in _EXPECTED:
        if given is None:
            return f"is empty, not {_EXPECTED[name]}"
        return f"{show(given)} is {kind(given)}, not {_EXPECTED[name]}"
    if name == "literal_error":
        return f"{show(given)} is not {context['expected']}"
    if name == "greater_than_equal":
        return f"{show(given)} is less than {context['ge']}"
    if name == "less_than_equal":
        return f"{show(given)} is more than {context['le']}"
    if name in ("too_short", "string_too_short"):
        return "is empty"
    if name == "too_long":
        return f"has {len(given)} entries; at most {context['max_length']} fit"
    return f"{show(given)} is wrong: {error['msg']}"


def _renamed(
    problem: str,
    location: Location,
    model: type[BaseModel],
    values: Mapping[str, object],
    context: Mapping[str, Any],
) -> tuple[str, str | None]:
    """Return the problem of a name, and what it names below a right one, if that loses nothing."""
    *above, name, _ = location
    entries, to = value_at(values, above), context.get("write")
    if to is None or not isinstance(entries, Mapping):
        return problem, None
    if any(other != name and other.lower() == to.lower() for other in entries):
        return problem, None
    field = _field_at(model, location)
    inner = _model_in(field.annotation) if field is not None else None
    value = entries.get(name)
    if inner is not None:
        value = inner.renamed(str(name), value)
    if brief(value):
        return problem, snippet(to, value)
    return f"{problem}; {to} would do", None


def _hint(name: str, field: FieldInfo | None) -> str:
    """Return what a key says of where its value is to be had, when it is missing."""
    extra = field.json_schema_extra if field is not None else None
    if name != "missing" or not isinstance(extra, dict) or "missing_text" not in extra:
        return ""
    return f": {extra['missing_text']}"


def _home_of(location: Location, root: type[BaseModel]) -> tuple[str, Any] | None:
    """Return the section of the stack that a key belongs to, and an example of its value.

    Several sections may have such a key; the one that it is written in comes first.
    """
    name, sections = str(location[-1]), keys(root)
    for section in sorted(sections, key=lambda section: section != location[0]):
        inside = _model_in(sections[section].annotation)
        found = keys(inside).get(name) if inside is not None else None
        if found is not None:
            return section, found.examples[0] if found.examples else found.default
    return None


def _unknown_key(name: str, model: type[BaseModel]) -> tuple[str, str]:
    known = list(keys(model))
    near = difflib.get_close_matches(name, known, n=1)
    key = near[0] if near else known[0]
    if near:
        problem = f"is not a key; perhaps {key} is meant"
    elif any(word in name.lower() for word in _SECRET_WORDS):
        problem = "is not a key; no secret belongs here, the program makes and keeps its own"
        if "secret_arn" in known:
            key = "secret_arn"
            problem = "is not a key; no secret belongs here, only the ARN of the secret it is in"
    else:
        problem = f"is not a key; there are {', '.join(known)}"
    return problem, right_value(model, (key,))


def _field_at(model: type[BaseModel], location: Location) -> FieldInfo | None:
    """Return the field that a location is in: for an element, the one that holds the list."""
    return _walk(model, location)[0]


def is_key(model: type[BaseModel], location: Location) -> bool:
    """Return whether something can stand at a location: a key, an element or an entry."""
    last = location[-1]
    known = isinstance(last, int) or _is_entry(model, location)
    return known or last in keys(_model_above(model, location))


def _is_entry(model: type[BaseModel], location: Location) -> bool:
    """Return whether a location is an entry of a free mapping, such as a label."""
    return _walk(model, location[:-1])[1]


def _walk(model: type[BaseModel], location: Location) -> tuple[FieldInfo | None, bool]:
    """Return the field that a location is in, and whether what comes next is a free name."""
    field, free = None, False
    for part in location:
        if not free and isinstance(part, str) and part in keys(model):
            field = keys(model)[part]
            model = _model_in(field.annotation) or model
            free = _is_mapping(field.annotation)
        else:
            free = False
    return field, free


def _model_above(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """Return the model that the last part of a location is a key of."""
    field = _field_at(model, location[:-1])
    return (_model_in(field.annotation) if field is not None else None) or model


def _is_mapping(annotation: object) -> bool:
    """Return whether an annotation such as ``dict[str, Model] | None`` is of a free mapping."""
    if get_origin(annotation) is dict:
        return True
    return any(_is_mapping(inner) for inner in get_args(annotation))


def _model_in(annotation: object) -> type[Shape] | None:
    """Return the model that an annotation such as ``list[Model] | None`` holds."""
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return annotation
    found = (_model_in(inner) for inner in get_args(annotation))
    return next((inner for inner in found if inner is not None), None)
