"""JSONata as AWS Step Functions evaluates it.

Rules: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html. An expression
is a string `{% ... %}`; `$states` and the execution's variables are its only inputs; an expression
that returns nothing is an error, and so is one that returns a function. `$eval` is not offered;
`$partition`, `$range`, `$hash`, `$random`, `$uuid` and `$parse` are added.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonata.jsonata as engine
from jsonata import jexception, utils

OPEN, CLOSE = "{%", "%}"

# The engine prints "Proc not found" to standard output before it raises; the rehearsal's standard
# output belongs to its report.
vars(engine)["print"] = lambda *_args, **_kwargs: None

_NULL = utils.Utils.NULL_VALUE


class QueryError(Exception):
    """An expression cannot be evaluated; becomes States.QueryEvaluationError."""


def is_expression(value: Any) -> bool:
    """Tell whether *value* is a string meant as a JSONata expression."""
    return isinstance(value, str) and value.startswith(OPEN)


def evaluate(template: Any, bindings: Mapping[str, Any], where: str, now_millis: int) -> Any:
    """Evaluate every expression inside *template* and return plain JSON.

    *where* is the field's path for error messages (`Arguments/Bucket`), *now_millis* the instant
    that `$now()` and `$millis()` answer.
    """
    if is_expression(template):
        return _expression(template, bindings, where, now_millis)
    if isinstance(template, Mapping):
        return {
            key: evaluate(value, bindings, f"{where}/{key}", now_millis)
            for key, value in template.items()
        }
    if isinstance(template, list):
        return [
            evaluate(value, bindings, f"{where}[{index}]", now_millis)
            for index, value in enumerate(template)
        ]
    return template


def _expression(text: str, bindings: Mapping[str, Any], where: str, now_millis: int) -> Any:
    if not text.endswith(CLOSE) or len(text) < len(OPEN) + len(CLOSE):
        raise QueryError(f"The JSONata expression of the field '{where}' does not end with '%}}'.")
    source = text[len(OPEN) : -len(CLOSE)].strip()
    shown = f"The JSONata expression '{source}' specified for the field '{where}'"
    try:
        # A new instance each time: the engine keeps the running one in a thread-local.
        program = engine.Jsonata(source)
        program.set_output_convert_nulls(False)
        for name, function in _functions(now_millis).items():
            program.register_lambda(name, function)
        for name, value in bindings.items():
            program.assign(name, _to_engine(value))
        result = program.evaluate(None)
    except jexception.JException as error:
        raise QueryError(f"{shown} threw an error during evaluation. {error}") from error
    except Exception as error:  # the engine meets bad data with exceptions of every kind
        raise QueryError(
            f"{shown} threw an error during evaluation. {type(error).__name__}: {error}"
        ) from error
    if result is None:
        raise QueryError(f"{shown} returned nothing (undefined).")
    return _from_engine(result, shown)


def _to_engine(value: Any) -> Any:
    """Copy JSON for the engine, which knows null by a value of its own (None is "nothing")."""
    if value is None:
        return _NULL
    if isinstance(value, Mapping):
        return {key: _to_engine(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_engine(item) for item in value]
    return value


def _from_engine(value: Any, shown: str) -> Any:
    """Copy a result back into plain JSON, refusing what JSON cannot hold."""
    if value is None or value is _NULL:
        return None
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise QueryError(f"{shown} returned a number that JSON cannot hold.")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, Mapping):
        return {str(key): _from_engine(item, shown) for key, item in value.items()}
    if isinstance(value, Sequence):
        # By index: the engine's ranges do not iterate to their own end.
        return [_from_engine(value[index], shown) for index in range(len(value))]
    raise QueryError(f"{shown} returned an unsupported result type.")


def _functions(now_millis: int) -> dict[str, Callable[..., Any]]:
    return {
        "partition": _partition,
        "range": _range,
        "hash": _hash,
        "random": _random,
        "uuid": lambda: str(uuid.uuid4()),
        "parse": _parse,
        "eval": _no_eval,
        "millis": lambda: now_millis,
        "now": lambda *args: _now(now_millis, *args),
    }


def _now(now_millis: int, picture: str | None = None, timezone: str | None = None) -> Any:
    from jsonata.functions import Functions

    return Functions.datetime_from_millis(now_millis, picture, timezone)


def _no_eval(*_args: Any) -> Any:
    raise ValueError("$eval is not supported by Step Functions; use $parse for JSON text")


def _partition(items: Any = None, size: Any = None) -> Any:
    if items is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int | float) or size < 1:
        raise ValueError("$partition needs a size of at least 1")
    step = math.floor(size)
    listed = list(items) if isinstance(items, list) else [items]
    return [listed[start : start + step] for start in range(0, len(listed), step)]


def _range(first: Any = None, last: Any = None, step: Any = None) -> Any:
    if not all(_is_number(value) for value in (first, last, step)) or step == 0:
        raise ValueError("$range needs a first value, a last value and a step that is not 0")
    count = math.floor((last - first) / step) + 1
    if count > 1000:
        raise ValueError("$range returns at most 1000 values")
    return [first + index * step for index in range(max(count, 0))]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384"}
_HASHES["SHA-512"] = "sha512"


def _hash(text: Any = None, algorithm: str = "SHA-256") -> Any:
    if text is None:
        return None
    if algorithm not in _HASHES:
        raise ValueError(f"$hash knows {', '.join(_HASHES)}, not {algorithm}")
    return hashlib.new(_HASHES[algorithm], str(text).encode()).hexdigest()


def _random(seed: Any = None) -> float:
    # Repeatable for a seed, as in the service; no secret is drawn from it.
    return random.Random(seed).random()  # noqa: S311


def _parse(text: Any = None) -> Any:
    return None if text is None else _to_engine(json.loads(text))
