"""Requests of the Firehose API held against its own model, and its answers and errors.

botocore's client checks types and required members and leaves lengths, patterns and enumerations to
the service. The service's ValidationException is written here from the same model. Protocol: AWS
JSON 1.1, "Common Errors" of the Amazon Data Firehose API reference.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape

Response = tuple[int, dict[str, Any], Any]

_JAVA_ONLY = "\\p{"
"""Character classes that Python's `re` has not; the patterns of tags have them."""


class ApiError(Exception):
    """An error of the API: its code and message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def invalid(message: str) -> ApiError:
    """Return the error for a value that Firehose does not take."""
    return ApiError("InvalidArgumentException", message)


def answer(result: Mapping[str, Any]) -> Response:
    """Return the response that says *result*."""
    return _response(200, result)


def refusal(error: ApiError) -> Response:
    """Return the response that says *error*."""
    return _response(error.status, {"__type": error.code, "message": str(error)})


def _response(status: int, content: Mapping[str, Any]) -> Response:
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    return status, headers, json.dumps(content).encode()


def check_request(operation: str, request: Mapping[str, Any]) -> None:
    """Raise ValidationException where *request* breaks a constraint of the model."""
    broken = list(_broken(_input_shape(operation), request, ""))
    if broken:
        raise ApiError(
            "ValidationException",
            f"{len(broken)} validation error{'s' if len(broken) > 1 else ''} detected: "
            + "; ".join(broken),
        )


def constraint(path: str, told: str) -> ApiError:
    """Return the ValidationException for one broken constraint."""
    return ApiError("ValidationException", f"1 validation error detected: {_failed(path, told)}")


def _failed(path: str, told: str) -> str:
    return f"Value at '{path}' failed to satisfy constraint: {told}"


@lru_cache(maxsize=1)
def _model() -> ServiceModel:
    loader = botocore.session.Session().get_component("data_loader")
    return ServiceModel(loader.load_service_model("firehose", "service-2"), "firehose")


@lru_cache(maxsize=64)
def _input_shape(operation: str) -> Any:
    return _model().operation_model(operation).input_shape


def operations() -> frozenset[str]:
    """Return the names of all operations of the API."""
    return frozenset(_model().operation_names)


def _broken(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield what of *value* breaks the constraints of its shape."""
    if shape.type_name == "structure":
        yield from _broken_structure(shape, value, path)
    elif shape.type_name == "list":
        yield from _broken_length(shape, value, path)
        for number, entry in enumerate(value, 1):
            yield from _broken(shape.member, entry, f"{path}.{number}.member")
    elif shape.type_name == "string":
        yield from _broken_string(shape, value, path)
    elif shape.type_name == "integer":
        bounds = shape.metadata
        if "max" in bounds and value > bounds["max"]:
            yield _failed(path, f"Member must have value less than or equal to {bounds['max']}")
        if "min" in bounds and value < bounds["min"]:
            yield _failed(path, f"Member must have value greater than or equal to {bounds['min']}")


def _broken_structure(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    start = f"{path}." if path else ""
    for name, member in shape.members.items():
        inner = f"{start}{name[:1].lower()}{name[1:]}"
        if value.get(name) is not None:
            yield from _broken(member, value[name], inner)
        elif name in shape.required_members:
            yield _failed(inner, "Member must not be null")


def _broken_string(shape: Shape, value: str, path: str) -> Iterator[str]:
    yield from _broken_length(shape, value, path)
    pattern, choices = shape.metadata.get("pattern"), shape.metadata.get("enum")
    if choices and value not in choices:
        yield _failed(path, f"Member must satisfy enum value set: [{', '.join(choices)}]")
    if pattern and _JAVA_ONLY not in pattern and not re.fullmatch(pattern, value, re.DOTALL):
        yield _failed(path, f"Member must satisfy regular expression pattern: {pattern}")


def _broken_length(shape: Shape, value: Any, path: str) -> Iterator[str]:
    bounds = shape.metadata
    if "max" in bounds and len(value) > bounds["max"]:
        yield _failed(path, f"Member must have length less than or equal to {bounds['max']}")
    if "min" in bounds and len(value) < bounds["min"]:
        yield _failed(path, f"Member must have length greater than or equal to {bounds['min']}")
