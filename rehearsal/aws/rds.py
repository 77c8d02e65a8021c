"""RDS on this machine: snapshots of local databases, their events, and exports to S3.

It owns the actions a snapshot export takes and answers them as RDS does, refusals included;
everything else is left to the emulator it stands in front of.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rehearsal.aws.aurora import Aurora, Cluster, Clusters
from rehearsal.aws.aurora import Surroundings as AuroraSurroundings
from rehearsal.aws.describe import Described, describe_servers, describe_snapshots
from rehearsal.aws.export_access import Authorize
from rehearsal.aws.export_service import ExportService, Surroundings
from rehearsal.aws.export_task import ExportedTable, ExportRecord
from rehearsal.aws.faults import Fault
from rehearsal.aws.mapping import Engine
from rehearsal.aws.parquet import PartLimits
from rehearsal.aws.rds_api import ApiError, Parameters, Response, answer, refuse
from rehearsal.aws.rds_events import Kind, Moment, snapshot_event
from rehearsal.aws.snapshots import (
    ExportSource,
    Server,
    Snapshot,
    find_export_source,
    snapshot_identifier,
)
from rehearsal.aws.sources import Source

__all__ = ["ExportRecord", "ExportedTable", "Fault", "LocalRds"]

Delegate = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Response]]

_SERVER_ACTIONS: dict[str, tuple[Kind, str]] = {
    "DescribeDBClusters": ("cluster", "DBClusterIdentifier"),
    "DescribeDBInstances": ("instance", "DBInstanceIdentifier"),
}


class LocalRds:
    """Clusters and instances over local databases, with snapshots and exports."""

    def __init__(
        self,
        account: str,
        region: str,
        s3: Callable[[], Any],
        put_events: Callable[[list[dict[str, Any]]], None],
        authorize: Authorize,
        fault: Fault | None = None,
        *,
        role_exists: Callable[[str], bool] = lambda _: True,
        key_exists: Callable[[str], bool] = lambda _: True,
        on_progress: Callable[[ExportRecord], None] = lambda _: None,
        limits: PartLimits | None = None,
        aurora: AuroraSurroundings | None = None,
    ) -> None:
        """Nothing runs until the first export.

        `s3` gives a boto3 client; `put_events` takes EventBridge entries; `authorize` raises
        PermissionError for what a role may not do; `role_exists` and `key_exists` are given the
        role's ARN and the key as the caller named it; `on_progress` is told of every change of
        an export, from its worker's thread; `aurora` is what clusters of Aurora MySQL need that
        are more than a snapshot's source.
        """
        self._account = account
        self._region = region
        self._put_events = put_events
        self._lock = threading.RLock()
        self._servers: dict[str, Server] = {}
        self._snapshots: dict[str, Snapshot] = {}
        outside = Surroundings(
            account, region, s3, put_events, authorize, role_exists, key_exists, on_progress
        )
        self._aurora = aurora
        self._clusters = Clusters(
            account, region, ec2=lambda: self._around_aurora.client("ec2"), role_exists=role_exists
        )
        self._exports = ExportService(self._find_source, outside, limits or PartLimits(), fault)
        self._actions: dict[str, Callable[[Parameters], dict[str, Any]]] = {
            "DescribeDBClusters": lambda given: self._describe_servers("cluster", given),
            "DescribeDBInstances": lambda given: self._describe_servers("instance", given),
            "DescribeDBClusterSnapshots": lambda given: self._describe_snapshots("cluster", given),
            "DescribeDBSnapshots": lambda given: self._describe_snapshots("instance", given),
            "StartExportTask": self._exports.start,
            "DescribeExportTasks": self._exports.describe,
            "CancelExportTask": self._exports.cancel,
        }

    # --- what a rehearsal does with it

    def register(
        self, identifier: str, *, kind: Kind, engine: Engine, databases: Mapping[str, Source]
    ) -> None:
        """A cluster or an instance, with its databases by name."""
        for name, source in databases.items():
            if source.engine != engine:
                raise ValueError(
                    f"{identifier} is {engine} but the source of its database {name} is read as "
                    f"{source.engine}; open the source with engine={engine!r}"
                )
        server = Server(
            identifier=identifier,
            kind=kind,
            engine=engine,
            databases=dict(databases),
            account=self._account,
            region=self._region,
            created=datetime.now(timezone.utc),
        )
        with self._lock:
            self._servers[identifier] = server

    def register_aurora(
        self,
        identifier: str,
        *,
        endpoint: str | None = None,
        port: int = 3306,
        iam_authentication: bool = True,
    ) -> Cluster:
        """An Aurora MySQL cluster in the default VPC; nothing answers there until it is started."""
        return self._clusters.register(
            identifier, endpoint=endpoint, port=port, iam_authentication=iam_authentication
        )

    def aurora(self, identifier: str, folder: Path, authority: Path | None = None) -> Aurora:
        """The database of a registered Aurora cluster, not started yet, in an empty folder.

        The folder *authority* holds the certificate authority of its certificate, or will.
        """
        (cluster,) = (each for each in self._clusters.all() if each.identifier == identifier)
        return Aurora(
            cluster,
            lambda name: self._clusters.parameter(cluster, name),
            self._around_aurora,
            folder,
            authority=authority,
        )

    def take_snapshot(self, identifier: str, *, at: datetime, automated: bool = True) -> str:
        """A snapshot made at a moment, with the events RDS sends of it; returns its identifier."""
        snapshot = self.begin_snapshot(identifier, at=at, automated=automated)
        self.finish_snapshot(snapshot)
        return snapshot

    def begin_snapshot(self, identifier: str, *, at: datetime, automated: bool = True) -> str:
        """A snapshot that is still being created."""
        if at.tzinfo is None:
            raise ValueError(f"a snapshot's time needs a time zone: {at.isoformat()}")
        name = snapshot_identifier(identifier, at, automated)
        with self._lock:
            server = self._servers.get(identifier)
            if server is None:
                raise ValueError(f"{identifier} is not registered; known: {sorted(self._servers)}")
            if name in self._snapshots:
                raise ValueError(f"the snapshot {name} exists already; take it at another minute")
            self._snapshots[name] = Snapshot(name, server, at, automated, available=False)
        self._tell(name, "creating")
        return name

    def finish_snapshot(self, snapshot: str) -> None:
        """The snapshot becomes available."""
        with self._lock:
            self._snapshots[snapshot] = replace(self._snapshots[snapshot], available=True)
        self._tell(snapshot, "created")

    def snapshot_arn(self, snapshot: str) -> str:
        """The ARN of a snapshot."""
        return self._snapshots[snapshot].arn

    def exports(self) -> list[ExportRecord]:
        """All exports in the order of their start."""
        return self._exports.records()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for all exports to end, so many seconds each; False when one has not."""
        return self._exports.wait(timeout)

    def close(self) -> None:
        """Cancel the exports that run and wait for them to stop."""
        self._exports.close()

    # --- requests

    async def handle(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],
        delegate: Delegate,
    ) -> Response:
        """Answer a request of the RDS API, or hand it on.

        Checks reach S3 over HTTP, possibly on this very event loop: they run in a thread. Without
        a running loop the caller drives this coroutine by hand, and it must not suspend.
        """
        parameters = Parameters.of(body, query_params)
        action = parameters.get("Action") or ""
        if not self._owns(action, parameters):
            return await delegate(method, path, headers, body, query_params)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self.respond(action, parameters)
        return await loop.run_in_executor(None, self.respond, action, parameters)

    def respond(self, action: str, parameters: Parameters) -> Response:
        """The response to one of the owned actions."""
        try:
            respond = self._actions.get(action)
            if respond is None:
                return answer(action, self._clusters.respond(action, parameters))
            return answer(action, respond(parameters))
        except ApiError as error:
            return refuse(error)

    def _owns(self, action: str, parameters: Parameters) -> bool:
        """Clusters and instances that are not registered may be the emulator's own."""
        if action not in _SERVER_ACTIONS:
            return action in self._actions or self._clusters.owns(action, parameters)
        kind, parameter = _SERVER_ACTIONS[action]
        wanted = parameters.get(parameter)
        own = [server for server in self._described() if server.kind == kind]
        if wanted is None:
            return bool(own)
        return any(wanted in (server.identifier, server.arn) for server in own)

    def _describe_servers(self, kind: Kind, parameters: Parameters) -> dict[str, Any]:
        return describe_servers(kind, self._described(), parameters)

    def _described(self) -> list[Described]:
        """All that can be looked up; an Aurora cluster also stands for the source of its name."""
        clusters = self._clusters.all()
        names = {cluster.identifier for cluster in clusters}
        sources = [
            server
            for server in self._all_servers()
            if server.kind != "cluster" or server.identifier not in names
        ]
        return [*clusters, *sources]

    @property
    def _around_aurora(self) -> AuroraSurroundings:
        if self._aurora is None:
            raise RuntimeError("this local RDS was not given what Aurora clusters need")
        return self._aurora

    def _describe_snapshots(self, kind: Kind, parameters: Parameters) -> dict[str, Any]:
        return describe_snapshots(kind, self._all_snapshots(), parameters)

    def _find_source(self, arn: str) -> ExportSource:
        return find_export_source(arn, self._all_snapshots(), self._all_servers())

    def _all_servers(self) -> list[Server]:
        with self._lock:
            return list(self._servers.values())

    def _all_snapshots(self) -> list[Snapshot]:
        with self._lock:
            return list(self._snapshots.values())

    def _tell(self, name: str, moment: Moment) -> None:
        snapshot = self._snapshots[name]
        kind, automated = snapshot.server.kind, snapshot.automated
        self._put_events([snapshot_event(snapshot.about, kind, automated, moment, snapshot.at)])
