"""The JSON Schemas of flows: read, held to draft 7, and compiled as the transform function will.

Rules encoded (JSON Schema draft 7): beside a ``$ref`` all other keywords are ignored;
``additionalProperties`` knows the properties of its own schema only. fastjsonschema fetches what a
``$ref`` names from wherever it is, so that only such as stay in the document are let through.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import fastjsonschema
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from settings.errors import Problems, kind, show, snippet
from settings.files import FileError, read_text

DRAFT = "http://json-schema.org/draft-07/schema#"
_DRAFT = Draft7Validator(Draft7Validator.META_SCHEMA, format_checker=Draft7Validator.FORMAT_CHECKER)
# How many mistakes of one schema are told at once.
_MOST_MISTAKES = 5

# Where schemas stand in a schema: as a value, in a list, in a mapping.
_SCHEMAS = (
    *("additionalItems", "additionalProperties", "contains", "else", "if", "items", "not"),
    *("propertyNames", "then"),
)
_LISTS = ("allOf", "anyOf", "items", "oneOf")
_MAPPINGS = ("definitions", "dependencies", "patternProperties", "properties")


class _Unfit(Exception):
    """Why a document cannot be the schema of a flow, and where in it; one line, and `more`."""

    def __init__(self, problem: str, pointer: str = "", right: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.pointer = pointer
        self.right = right
        self.more: list[_Unfit] = []


@dataclass(frozen=True)
class Place:
    """What a schema says of one place in an item.

    `types` are the JSON types a value may have there besides null, `None` where that is not plain;
    `problem` says why nothing can stand there. Then `meant` is a like place where something can,
    and `lacking` the property without which there is none.
    """

    types: frozenset[str] | None = None
    max_length: int | None = None
    problem: str | None = None
    meant: tuple[str, ...] | None = None
    lacking: str | None = None


@dataclass(frozen=True)
class JsonSchema:
    """A schema that is right by itself."""

    document: Mapping[str, Any]
    # The file it is from, as messages say it.
    file: str | None = field(default=None)

    def at(self, path: tuple[str, ...]) -> Place:
        """Return what the schema says of a place, as far as that is plain.

        Conditions and alternatives (``if``, ``anyOf`` and the like) are not looked into.
        """
        schema: object = self._target(self.document)
        for index, name in enumerate(path):
            types = _types(schema)
            if types is not None and "object" not in types:
                within = ".".join(path[:index])
                problem = f"the schema says that {within} is {_or(types)}, no object"
                return Place(problem=problem, meant=path[:index])
            above, schema = schema, self._target(_property(schema, name))
            if schema is False:
                problem = f"the schema lets no {'.'.join(path[: index + 1])} be there"
                return Place(problem=problem, meant=_meant(above, path, index), lacking=name)
        longest = schema.get("maxLength") if isinstance(schema, Mapping) else None
        return Place(
            types=_types(schema),
            max_length=longest if isinstance(longest, int) else None,
        )

    def _target(self, schema: object) -> object:
        """Return what a schema refers to, or itself."""
        while isinstance(schema, Mapping) and "$ref" in schema:
            schema = _resolve(self.document, schema["$ref"])
        return schema


def read_schema(value: object, root: Path, path: str, problems: Problems) -> JsonSchema | None:
    """Return the schema that a flow's `schema` is or names, or nothing and note what is wrong."""
    file = value if isinstance(value, str) else None
    document = _document(file, root, path, problems) if file is not None else value
    if document is None:
        return None
    try:
        return JsonSchema(_checked(_as_json(document)), file)
    except _Unfit as first:
        for unfit in (first, *first.more):
            where = f"{path}: {file}#{unfit.pointer}" if file is not None else path
            pointer = f" (at #{unfit.pointer})" if file is None and unfit.pointer else ""
            problems.add(where, f"{unfit.problem}{pointer}", unfit.right)
    return None


def _document(file: str, root: Path, path: str, problems: Problems) -> object:
    try:
        document: object = json.loads(read_text(file, root), parse_constant=_not_json)
    except FileError as error:
        right = snippet("schema", error.meant) if error.meant is not None else None
        problems.add(path, str(error), right)
    except json.JSONDecodeError as error:
        where = f"{path}: {file}:{error.lineno}:{error.colno}"
        problems.add(where, f"is not JSON: {error.msg}", None)
    except RecursionError:
        problems.add(f"{path}: {file}", "is nested too deeply", None)
    except ValueError as error:
        problems.add(f"{path}: {file}", f"is not JSON: {error}", None)
    else:
        if document is None:
            problems.add(f"{path}: {file}", "is null, not a JSON Schema", None)
        return document
    return None


def _as_json(document: object) -> object:
    """Return what the function will read of a document; YAML has values that JSON has not."""
    try:
        return json.loads(json.dumps(document, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise _Unfit(f"is not JSON: {error}") from None
    except RecursionError:
        raise _Unfit("is nested too deeply") from None


def _not_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number in JSON")


def _checked(document: object) -> Mapping[str, Any]:
    """Return the document if it can be the schema of a flow's items, or raise `_Unfit`."""
    if not isinstance(document, Mapping):
        raise _Unfit(f"is {kind(document)}, not a JSON Schema or the name of its file")
    draft = document.get("$schema", DRAFT)
    if not isinstance(draft, str) or draft.rstrip("#") != DRAFT.rstrip("#"):
        raise _Unfit(f"{show(draft)} is not draft 7", "/$schema", snippet("$schema", DRAFT))
    try:
        _check_draft(document)
        _check_references(document)
        if "$ref" in document:
            raise _Unfit("is a $ref, beside which nothing else is read: put here what it leads to")
        if document.get("type") != "object":
            raise _Unfit("does not say that an item is an object", "/type", "type: object")
        _check_compiles(document)
        return document
    except RecursionError:
        raise _Unfit("is nested too deeply") from None


def _check_draft(schema: Mapping[str, Any], pointer: str = "") -> None:
    """Raise `_Unfit` for what the draft forbids in a schema that stands at `pointer`."""
    mistakes = []
    for error in islice(_DRAFT.iter_errors(schema), _MOST_MISTAKES):
        # Of alternatives none of which is met, the one that is nearest to it.
        near = best_match([error]) or error
        reason = near.message if len(near.message) <= 120 else f"{near.message[:120]}..."
        at = "".join(f"/{_escaped(str(part))}" for part in near.absolute_path)
        mistakes.append(_Unfit(f"is not a JSON Schema of draft 7: {reason}", f"{pointer}{at}"))
    if mistakes:
        mistakes[0].more = mistakes[1:]
        raise mistakes[0]


def _check_references(document: Mapping[str, Any]) -> None:
    """Raise `_Unfit` for a reference out of the document, or to what is no schema in it.

    What is referred to may stand where no schema is looked for, and is then held to the draft here.
    """
    waiting, seen = [("", document)], {""}
    while waiting:
        for pointer, schema in _schemas(waiting[0][1], waiting.pop(0)[0]):
            if "$id" in schema and pointer:
                problem = "has an $id, by which references mean something else: leave it out"
                raise _Unfit(problem, f"{pointer}/$id")
            if "$ref" not in schema:
                continue
            found = _referred(document, schema["$ref"], f"{pointer}/$ref")
            target = schema["$ref"].removeprefix("#")
            if target not in seen and isinstance(found, Mapping):
                _check_draft(found, target)
                seen.add(target)
                waiting.append((target, found))


def _referred(document: Mapping[str, Any], reference: str, pointer: str) -> object:
    if reference != "#" and not reference.startswith("#/"):
        problem = f"{show(reference)} is not in this schema, and no other is fetched"
        raise _Unfit(problem, pointer)
    try:
        found = _resolve(document, reference)
    except LookupError:
        found = None
    if not isinstance(found, (Mapping, bool)):
        raise _Unfit(f"{show(reference)} leads to no schema", pointer)
    if _circles(document, reference):
        raise _Unfit(f"{show(reference)} leads in a circle", pointer)
    return found


def _circles(document: Mapping[str, Any], reference: object) -> bool:
    """Return whether a reference leads to itself, which would be followed for ever."""
    seen: set[object] = set()
    while isinstance(reference, str) and reference.startswith("#") and reference not in seen:
        seen.add(reference)
        try:
            found = _resolve(document, reference)
        except LookupError:
            return False
        reference = found.get("$ref") if isinstance(found, Mapping) else None
    return isinstance(reference, str) and reference in seen


def _schemas(schema: object, pointer: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a schema and all that stand in it, each with its place."""
    if not isinstance(schema, Mapping):
        return
    yield pointer, schema
    for key in _SCHEMAS:
        yield from _schemas(schema.get(key), f"{pointer}/{key}")
    for key in _LISTS:
        inner = schema.get(key)
        for index, each in enumerate(inner if isinstance(inner, list) else ()):
            yield from _schemas(each, f"{pointer}/{key}/{index}")
    for key in _MAPPINGS:
        for name, each in schema.get(key, {}).items():
            yield from _schemas(each, f"{pointer}/{key}/{_escaped(str(name))}")


def _resolve(document: object, reference: str) -> object:
    """Return what a reference in the document leads to, or raise `LookupError`."""
    found = document
    for part in reference.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and re.fullmatch(r"[0-9]{1,9}", name):
            found = found[int(name)]
        elif isinstance(found, Mapping):
            found = found[name]
        else:
            raise LookupError(reference)
    return found


def _check_compiles(document: Mapping[str, Any]) -> None:
    """Compile a copy, for fastjsonschema writes into what it is given.

    What it compiles to is Python, so that an odd schema can fail in as many ways.
    """
    try:
        fastjsonschema.compile(copy.deepcopy(dict(document)), use_default=False)
    except RecursionError:
        raise
    except Exception as error:
        raise _Unfit(f"cannot be compiled: {str(error) or type(error).__name__}") from None


def _types(schema: object) -> frozenset[str] | None:
    types = schema.get("type") if isinstance(schema, Mapping) else None
    if types is None:
        return None
    return frozenset([types] if isinstance(types, str) else types) - {"null"}


def _property(schema: object, name: str) -> object:
    """Return the schema of a property; `True` where not plainly one schema holds."""
    if not isinstance(schema, Mapping):
        return schema if schema is False else True
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    if any(re.search(pattern, name) for pattern in schema.get("patternProperties", {})):
        return True
    return schema.get("additionalProperties", True)


def _meant(schema: object, path: tuple[str, ...], index: int) -> tuple[str, ...] | None:
    """Return the path with the property of the schema that is most like the one at `index`."""
    names = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    near = difflib.get_close_matches(path[index], names, n=1)
    return (*path[:index], near[0], *path[index + 1 :]) if near else None


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _or(words: frozenset[str]) -> str:
    return " or ".join(sorted(words)) or "null"
