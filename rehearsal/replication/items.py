"""DynamoDB's JSON as the wire has it, and as boto3 has it: they differ in binary values."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any


def for_boto3(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item whose binary values are base64, as boto3 takes it: as bytes."""
    return {name: _converted(value, base64.b64decode) for name, value in item.items()}


def from_boto3(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as boto3 gave it, its binary values as base64."""
    return {name: _converted(value, _encoded) for name, value in item.items()}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _converted(value: Mapping[str, Any], binary: Any) -> dict[str, Any]:
    ((kind, content),) = value.items()
    if kind == "B":
        return {kind: binary(content)}
    if kind == "BS":
        return {kind: [binary(each) for each in content]}
    if kind == "M":
        return {kind: {name: _converted(inner, binary) for name, inner in content.items()}}
    if kind == "L":
        return {kind: [_converted(inner, binary) for inner in content]}
    return {kind: content}
