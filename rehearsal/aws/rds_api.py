"""The RDS query protocol: form parameters in, XML out."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

Response = tuple[int, dict[str, str], bytes]

_NAMESPACE = "http://rds.amazonaws.com/doc/2014-10-31/"

#: Element names of list entries; lists not named here use the protocol's `member`.
_ENTRIES = {
    "ExportTasks": "ExportTask",
    "DBClusterSnapshots": "DBClusterSnapshot",
    "DBSnapshots": "DBSnapshot",
    "DBClusters": "DBCluster",
    "DBInstances": "DBInstance",
    "DBClusterMembers": "DBClusterMember",
    "AvailabilityZones": "AvailabilityZone",
    "TagList": "Tag",
    "VpcSecurityGroups": "VpcSecurityGroupMembership",
    "AssociatedRoles": "DBClusterRole",
    "DBSubnetGroups": "DBSubnetGroup",
    "Subnets": "Subnet",
    "DBClusterParameterGroups": "DBClusterParameterGroup",
    "Parameters": "Parameter",
}

# XML 1.0 has no way to write these characters.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class ApiError(Exception):
    """An error response: its wire code, its message and its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """The error as the service would send it."""
        super().__init__(message)
        self.code = code
        self.status = status


class Parameters:
    """A request's parameters.

    Names are compared without regard to case: AWS has a single spelling of each, but the emulated
    Step Functions service spells acronyms in its own way (`KMSKeyId`, `IAMRoleArn`).
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        """Parameters by their flattened name, such as `ExportOnly.member.1`."""
        self._values = {name.lower(): value for name, value in pairs.items()}

    @classmethod
    def of(cls, body: bytes, query: Mapping[str, Any]) -> Parameters:
        """The parameters of a request, from its form body and its query string."""
        pairs = {
            name: str(value[0] if isinstance(value, list) else value)
            for name, value in query.items()
        }
        pairs.update(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        return cls(pairs)

    def get(self, name: str) -> str | None:
        """A parameter, or None when it is absent."""
        return self._values.get(name.lower())

    def required(self, name: str) -> str:
        """A parameter that the action cannot do without."""
        value = self.get(name)
        if not value:
            raise ApiError("MissingParameter", f"The request must contain the parameter {name}")
        return value

    def many(self, name: str) -> list[str]:
        """A list parameter's values in order, whatever its entries are called."""
        pattern = re.compile(rf"{re.escape(name.lower())}\.\w+\.(\d+)")
        found = [(pattern.fullmatch(key), value) for key, value in self._values.items()]
        return [value for _, value in sorted((int(m[1]), value) for m, value in found if m)]

    def records(self, name: str) -> list[dict[str, str]]:
        """A list parameter's structures in order; their members' names are in lower case."""
        pattern = re.compile(rf"{re.escape(name.lower())}\.\w+\.(\d+)\.(\w+)")
        found: dict[int, dict[str, str]] = {}
        for key, value in self._values.items():
            match = pattern.fullmatch(key)
            if match:
                found.setdefault(int(match[1]), {})[match[2]] = value
        return [found[number] for number in sorted(found)]

    def names(self) -> set[str]:
        """The names of all parameters in lower case, of lists and structures the first part."""
        return {name.partition(".")[0] for name in self._values}

    def filters(self) -> dict[str, list[str]]:
        """The `Filters` of a Describe action, by name."""
        pattern = re.compile(r"filters\.\w+\.(\d+)\.name")
        numbers = [pattern.fullmatch(key) for key in self._values]
        return {
            self._values[found[0]]: self.many(f"{found[0].removesuffix('.name')}.values")
            for found in numbers
            if found
        }


def answer(action: str, result: Mapping[str, Any]) -> Response:
    """A successful response in the shape of the RDS API."""
    body = (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{_members(result)}'
        f"</{action}Result><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId>"
        f"</ResponseMetadata></{action}Response>"
    )
    return 200, {"Content-Type": "text/xml"}, body.encode()


def refuse(error: ApiError) -> Response:
    """An error response in the shape of the RDS API."""
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{error.code}</Code>'
        f"<Message>{_text(str(error))}</Message></Error><RequestId>{uuid.uuid4()}</RequestId>"
        "</ErrorResponse>"
    )
    return error.status, {"Content-Type": "text/xml"}, body.encode()


def page(parameters: Parameters, name: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One page of a Describe answer: `MaxRecords` (20 to 100) entries after `Marker`."""
    most = parameters.get("MaxRecords") or "100"
    if not most.isdigit() or not 20 <= int(most) <= 100:
        raise ApiError(
            "InvalidParameterValue",
            f"Invalid value {most} for MaxRecords. Must be between 20 and 100",
        )
    marker = parameters.get("Marker") or "0"
    if not marker.isdigit():
        raise ApiError("InvalidParameterValue", f"Marker is invalid: {marker}")
    start = int(marker)
    end = start + int(most)
    return {name: list(entries[start:end]), "Marker": str(end) if end < len(entries) else None}


def _members(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_content(name, value)}</{name}>"
        for name, value in values.items()
        if value is not None
    )


def _content(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return _members(value)
    if isinstance(value, list | tuple):
        entry = _ENTRIES.get(name, "member")
        return "".join(f"<{entry}>{_content(entry, item)}</{entry}>" for item in value)
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        utc = value.astimezone(timezone.utc)
        return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
    return escape(_NOT_XML.sub("\ufffd", str(value)))
