"""The flow's JSON Schema (draft-07), compiled once to a Python function by fastjsonschema.

fastjsonschema (BSD-3-Clause, no dependencies, released throughout 2026) writes the checks as
Python source. Of what a record breaks, the reason names the place, the rule and what the rule says;
never the value, nor a name that is the record's and not the schema's: in a map from addresses to
numbers the names are content too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, NoReturn

import fastjsonschema

from replication.conversion import Unfit
from shared.errors import InvalidInput

MAX_RULE = 120

Check = Callable[[Any, str], None]


def checker(schema: Mapping[str, Any] | None) -> Check | None:
    """Return a function that holds an item against the schema, or None if there is none.

    It takes the item and the text of its record. A number of more than 15 digits comes as a
    Decimal, which the generated code does not always compare as JSON numbers: what it refuses is
    looked at again with doubles, as every other validator would.
    """
    if schema is None:
        return None
    validate, declared = _compiled(schema), frozenset(_declared(schema))

    def check(item: Any, record: str) -> None:
        try:
            validate(item)
        except Exception:
            _check_again(validate, record, declared)

    return check


def _check_again(validate: Callable[[Any], Any], record: str, declared: Set[str]) -> None:
    try:
        validate(json.loads(record)["item"])
    except fastjsonschema.JsonSchemaValueException as broken:
        raise Unfit(_reason(broken, declared)) from None


def _declared(schema: Any) -> Iterator[str]:
    """Yield the names of all properties that a schema speaks of."""
    if isinstance(schema, list):
        schema = dict(enumerate(schema))
    if isinstance(schema, dict):
        properties = schema.get("properties")
        yield from properties if isinstance(properties, dict) else ()
        for inner in schema.values():
            yield from _declared(inner)


def _compiled(schema: Mapping[str, Any]) -> Callable[[Any], Any]:
    try:
        compiled: Callable[[Any], Any] = fastjsonschema.compile(
            dict(schema), handlers={"http": _no_network, "https": _no_network}, use_default=False
        )
    except fastjsonschema.JsonSchemaDefinitionException as error:
        raise InvalidInput(f"flow.json: the schema is wrong: {error}") from None
    return compiled


def _no_network(uri: str) -> NoReturn:
    raise InvalidInput(f"flow.json: the schema refers to {uri}, which is not fetched")


def _reason(broken: fastjsonschema.JsonSchemaValueException, declared: Set[str]) -> str:
    place = _place((broken.name or "data").removeprefix("data"), declared) or "the item"
    said = json.dumps(broken.rule_definition, default=str)
    if len(said) > MAX_RULE:
        said = f"{said[: MAX_RULE - 4]} ..."
    return f"{place}: breaks the schema's {broken.rule}: {said}"


def _place(path: str, declared: Set[str]) -> str:
    """Return a path such as ``.client.tags[2]`` as far as its names are declared, then a star."""
    place = ""
    while path:
        index = re.match(r"\[[0-9]+\]", path)
        inside = [n for n in declared if re.match(rf"\.{re.escape(n)}(?=[.\[]|$)", path)]
        step = index.group() if index else f".{max(inside, key=len)}" if inside else ""
        if not step:
            return f"{place}.*".lstrip(".")
        place, path = place + step, path[len(step) :]
    return place.lstrip(".")
