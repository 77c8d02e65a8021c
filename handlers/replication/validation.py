"""The flow's JSON Schema (draft-07), compiled once to a Python function by fastjsonschema.

fastjsonschema (BSD-3-Clause, no dependencies, released throughout 2026) writes the checks as
Python source. Of what a record breaks, the reason names the place, the rule and what the rule says;
never the value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
    validate = _compiled(schema)

    def check(item: Any, record: str) -> None:
        try:
            validate(item)
        except Exception:
            _check_again(validate, record)

    return check


def _check_again(validate: Callable[[Any], Any], record: str) -> None:
    try:
        validate(json.loads(record)["item"])
    except fastjsonschema.JsonSchemaValueException as broken:
        raise Unfit(_reason(broken)) from None


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


def _reason(broken: fastjsonschema.JsonSchemaValueException) -> str:
    place = (broken.name or "data").removeprefix("data").lstrip(".") or "the item"
    said = json.dumps(broken.rule_definition, default=str)
    if len(said) > MAX_RULE:
        said = f"{said[: MAX_RULE - 4]} ..."
    return f"{place}: breaks the schema's {broken.rule}: {said}"
