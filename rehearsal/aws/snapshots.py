"""Registered clusters and instances, their snapshots, and how the API describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from rehearsal.aws.mapping import Engine
from rehearsal.aws.rds_api import ApiError
from rehearsal.aws.rds_events import EventSource, Kind
from rehearsal.aws.sources import Source

_PORTS = {"mysql": 3306, "postgresql": 5432}
_ENGINES: dict[tuple[Kind, Engine], tuple[str, str]] = {
    ("cluster", "mysql"): ("aurora-mysql", "8.0.mysql_aurora.3.08.0"),
    ("cluster", "postgresql"): ("aurora-postgresql", "16.6"),
    ("instance", "mysql"): ("mysql", "8.0.40"),
    ("instance", "postgresql"): ("postgres", "16.6"),
}


@dataclass(frozen=True)
class Server:
    """A database cluster or instance."""

    identifier: str
    kind: Kind
    engine: Engine
    databases: Mapping[str, Source]
    account: str
    region: str
    created: datetime

    @property
    def arn(self) -> str:
        """The ARN of the cluster or instance."""
        noun = "cluster" if self.kind == "cluster" else "db"
        return f"arn:aws:rds:{self.region}:{self.account}:{noun}:{self.identifier}"

    def describe(self) -> dict[str, Any]:
        """The API's DBCluster or DBInstance."""
        return self._cluster() if self.kind == "cluster" else self._instance()

    def common(self) -> dict[str, Any]:
        """What clusters, instances and snapshots have in common."""
        engine, version = _ENGINES[self.kind, self.engine]
        return {
            "Engine": engine,
            "EngineVersion": version,
            "AllocatedStorage": 1,
            "MasterUsername": "admin",
            "IAMDatabaseAuthenticationEnabled": False,
        }

    def _cluster(self) -> dict[str, Any]:
        return {
            **self.common(),
            "DBClusterIdentifier": self.identifier,
            "DBClusterArn": self.arn,
            "DbClusterResourceId": f"cluster-{self.resource_id}",
            "Status": "available",
            "EngineMode": "provisioned",
            "Endpoint": self._host,
            "Port": _PORTS[self.engine],
            "ClusterCreateTime": self.created,
            "BackupRetentionPeriod": 7,
            "MultiAZ": False,
            "StorageEncrypted": True,
            "AvailabilityZones": [f"{self.region}a"],
            "DBClusterMembers": [],
            "TagList": [],
        }

    def _instance(self) -> dict[str, Any]:
        return {
            **self.common(),
            "DBInstanceIdentifier": self.identifier,
            "DBInstanceArn": self.arn,
            "DbiResourceId": f"db-{self.resource_id}",
            "DBInstanceStatus": "available",
            "DBInstanceClass": "db.t4g.medium",
            "Endpoint": {"Address": self._host, "Port": _PORTS[self.engine]},
            "InstanceCreateTime": self.created,
            "BackupRetentionPeriod": 7,
            "MultiAZ": False,
            "StorageEncrypted": True,
            "AvailabilityZone": f"{self.region}a",
            "TagList": [],
        }

    @property
    def resource_id(self) -> str:
        """The part of AWS's own id that does not change with the identifier's spelling."""
        return hashlib.sha256(self.arn.encode()).hexdigest()[:26].upper()

    @property
    def _host(self) -> str:
        return f"{self.identifier}.{self.resource_id[:12].lower()}.{self.region}.rds.amazonaws.com"


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a cluster or instance."""

    identifier: str
    server: Server
    at: datetime
    automated: bool
    available: bool

    @property
    def arn(self) -> str:
        """The snapshot's ARN; that of an automated one has `rds:` in its last part."""
        noun = "cluster-snapshot" if self.server.kind == "cluster" else "snapshot"
        server = self.server
        return f"arn:aws:rds:{server.region}:{server.account}:{noun}:{self.identifier}"

    @property
    def about(self) -> EventSource:
        """The snapshot as the subject of events."""
        return EventSource(self.server.kind, self.identifier, self.arn)

    @property
    def type(self) -> str:
        """The API's SnapshotType."""
        return "automated" if self.automated else "manual"

    def describe(self) -> dict[str, Any]:
        """The API's DBClusterSnapshot or DBSnapshot."""
        server = self.server
        common = {
            **server.common(),
            "SnapshotCreateTime": self.at if self.available else None,
            "Status": "available" if self.available else "creating",
            "SnapshotType": self.type,
            "PercentProgress": 100 if self.available else 0,
            "Port": _PORTS[server.engine],
            "TagList": [],
        }
        if server.kind == "cluster":
            return {
                **common,
                "DBClusterSnapshotIdentifier": self.identifier,
                "DBClusterIdentifier": server.identifier,
                "DBClusterSnapshotArn": self.arn,
                "DbClusterResourceId": f"cluster-{server.resource_id}",
                "ClusterCreateTime": server.created,
                "StorageEncrypted": True,
            }
        return {
            **common,
            "DBSnapshotIdentifier": self.identifier,
            "DBInstanceIdentifier": server.identifier,
            "DBSnapshotArn": self.arn,
            "DbiResourceId": f"db-{server.resource_id}",
            "InstanceCreateTime": server.created,
            "Encrypted": True,
        }


def snapshot_identifier(identifier: str, at: datetime, automated: bool) -> str:
    """RDS's own name for an automated snapshot; the same without `rds:` for a manual one."""
    stamp = at.astimezone(timezone.utc).strftime("%Y-%m-%d-%H-%M")
    return f"{'rds:' if automated else ''}{identifier}-{stamp}"


@dataclass(frozen=True)
class ExportSource:
    """What an export reads: a server, through a snapshot made `at` a moment or as it is now."""

    server: Server
    about: EventSource
    at: datetime | None


def find_export_source(
    arn: str, snapshots: Sequence[Snapshot], servers: Sequence[Server]
) -> ExportSource:
    """What StartExportTask's SourceArn names: an available snapshot, or a cluster itself."""
    for snapshot in snapshots:
        if snapshot.arn == arn and snapshot.available:
            return ExportSource(snapshot.server, snapshot.about, snapshot.at)
        if snapshot.arn == arn:
            raise ApiError(
                "InvalidExportSourceState",
                f"The snapshot {snapshot.identifier} is in the state creating; only an available "
                "snapshot can be exported.",
            )
    for server in servers:
        if server.arn == arn and server.kind == "cluster":
            return ExportSource(server, EventSource("live", server.identifier, arn), None)
    for part, code, noun in _NOT_FOUND:
        if part in arn:
            raise ApiError(code, f"{noun} {arn} not found.", 404)
    raise ApiError(
        "InvalidParameterValue",
        f"The SourceArn {arn} is not the ARN of a DB snapshot, a DB cluster snapshot or a DB "
        "cluster.",
    )


_NOT_FOUND = (
    (":cluster-snapshot:", "DBClusterSnapshotNotFoundFault", "DBClusterSnapshot"),
    (":snapshot:", "DBSnapshotNotFound", "DBSnapshot"),
    (":cluster:", "DBClusterNotFoundFault", "DBCluster"),
)
