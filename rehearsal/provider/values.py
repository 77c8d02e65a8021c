"""Between the protocol's structs and plain values.

The engine's wire form marks what plain JSON cannot say: an unknown is a string of its own, a
secret and an archive are objects with a signature. Unknowns and archives stay as they are; secrets
are taken out of their wrapping. The engine keeps track of what is secret, and marks the answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

# Constants of Pulumi's wire form (pulumi/pulumi, sdk/go/common/resource/sig and plugin/rpc.go).
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  # a marker, and no secret


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return a struct as a dict; whole numbers, which a struct holds as floats, as integers."""
    return {key: _whole(value) for key, value in json_format.MessageToDict(struct).items()}


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _whole(value["value"])
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value


def struct(values: Mapping[str, Any], secrets: Iterable[str] = ()) -> struct_pb2.Struct:
    """Return plain values as a struct, those of the properties *secrets* marked as secret."""
    hidden = {
        name: {_SIGNATURE: _SECRET, "value": values[name]}
        for name in secrets
        if name in values and values[name] != UNKNOWN
    }
    return json_format.ParseDict({**values, **hidden}, struct_pb2.Struct())


def has_unknown(value: Any) -> bool:
    """Say whether anything in *value* is not known yet."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return bool(value == UNKNOWN)
