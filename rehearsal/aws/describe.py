"""The Describe actions of clusters, instances and snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rehearsal.aws.rds_api import ApiError, Parameters, page
from rehearsal.aws.rds_events import Kind
from rehearsal.aws.snapshots import Snapshot

#: Per kind: the noun in parameter names, the answer's list, and the error for an unknown one.
_SERVERS: dict[Kind, tuple[str, str, str]] = {
    "cluster": ("DBCluster", "DBClusters", "DBClusterNotFoundFault"),
    "instance": ("DBInstance", "DBInstances", "DBInstanceNotFound"),
}
_SNAPSHOTS: dict[Kind, tuple[str, str, str]] = {
    "cluster": ("DBClusterSnapshot", "DBClusterSnapshots", "DBClusterSnapshotNotFoundFault"),
    "instance": ("DBSnapshot", "DBSnapshots", "DBSnapshotNotFound"),
}
_FILTERS: dict[Kind, tuple[str, str]] = {
    "cluster": ("db-cluster-id", "db-cluster-snapshot-id"),
    "instance": ("db-instance-id", "db-snapshot-id"),
}


class Described(Protocol):
    """A cluster or instance, whatever is behind it."""

    @property
    def identifier(self) -> str:
        """Its name."""

    @property
    def kind(self) -> Kind:
        """What it is."""

    @property
    def arn(self) -> str:
        """Its ARN."""

    def describe(self) -> dict[str, Any]:
        """The API's DBCluster or DBInstance."""


def describe_servers(
    kind: Kind, servers: Sequence[Described], parameters: Parameters
) -> dict[str, Any]:
    """DescribeDBClusters or DescribeDBInstances."""
    noun, listed, missing = _SERVERS[kind]
    wanted = parameters.get(f"{noun}Identifier")
    found = [
        server
        for server in servers
        if server.kind == kind and (not wanted or wanted in (server.identifier, server.arn))
    ]
    if wanted and not found:
        raise ApiError(missing, f"{noun} {wanted} not found.", 404)
    return page(parameters, listed, [server.describe() for server in found])


def describe_snapshots(
    kind: Kind, snapshots: Sequence[Snapshot], parameters: Parameters
) -> dict[str, Any]:
    """DescribeDBClusterSnapshots or DescribeDBSnapshots.

    "If this identifier is for an automated snapshot, the SnapshotType parameter must also be
    specified": without it, and with another type, such a snapshot is not found.
    """
    noun, listed, missing = _SNAPSHOTS[kind]
    wanted = parameters.get(f"{noun}Identifier")
    type_ = parameters.get("SnapshotType")
    if wanted and type_ is None:
        type_ = "manual"
    server = parameters.get(f"{_SERVERS[kind][0]}Identifier")
    filters = parameters.filters()
    by_server, by_snapshot = _FILTERS[kind]
    found = [
        snapshot
        for snapshot in snapshots
        if snapshot.server.kind == kind
        and (not wanted or wanted in (snapshot.identifier, snapshot.arn))
        and (type_ is None or snapshot.type == type_)
        and (not server or server == snapshot.server.identifier)
        and _passes(filters.get(by_server), snapshot.server.identifier, snapshot.server.arn)
        and _passes(filters.get(by_snapshot), snapshot.identifier, snapshot.arn)
        and _passes(filters.get("snapshot-type"), snapshot.type)
        and _passes(filters.get("engine"), snapshot.server.common()["Engine"])
    ]
    if wanted and not found:
        raise ApiError(missing, f"{noun} {wanted} not found.", 404)
    return page(parameters, listed, [snapshot.describe() for snapshot in found])


def _passes(allowed: list[str] | None, *values: str) -> bool:
    return allowed is None or any(value in allowed for value in values)
