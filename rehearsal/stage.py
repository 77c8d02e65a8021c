"""Both local clouds, started together and stopped together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rehearsal import drivers, stack_file
from rehearsal.aws.aurora import Aurora
from rehearsal.aws.cloud import LocalAws
from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.aws.faults import Fault, FaultKind
from rehearsal.aws.step_functions import ExecutionRecord
from rehearsal.cast import Cast
from rehearsal.faults import FaultChoice
from rehearsal.google.server import LocalGoogle
from rehearsal.google_api import GoogleApi
from rehearsal.ports import ANY_PORTS, Ports
from rehearsal.replication import flows, surroundings

_PROJECT = "local-project"
_PROJECT_NUMBER = "123456789012"
_REGION = "eu-west-1"
_ROOT = Path(__file__).resolve().parent.parent

# These strike in the local AWS; the others are played by the scenario or the local Google Cloud.
_RDS_FAULTS: dict[str, FaultKind] = {kind: kind for kind in get_args(FaultKind)}
_TRANSFER_ERROR = "Error while reading data: the rehearsal was told to let this transfer fail"


@dataclass(frozen=True)
class Stage:
    """The running clouds, and a deployer's access to them."""

    aws: LocalAws
    google: LocalGoogle
    google_api: GoogleApi
    project: str
    aurora: Aurora | None = None

    @property
    def clouds(self) -> drivers.Clouds:
        """The clouds as the drivers want them."""
        return drivers.Clouds(self.aws, self.google_api)

    def executions_of(self, machines: set[str]) -> list[ExecutionRecord]:
        """Return what has been played so far of the state machines with these ARNs."""
        names = {arn.rsplit(":", 1)[-1] for arn in machines}
        return [execution for execution in self.aws.executions() if execution.machine in names]


@contextmanager
def built(
    cast: Cast,
    database: Path,
    fault: FaultChoice | None = None,
    ports: Ports = ANY_PORTS,
    faults: DeliveryFaults | None = None,
    aurora: Path | None = None,
) -> Iterator[Stage]:
    """Start both clouds with the cast's databases in the local RDS; stop them at the end.

    *database* is the DuckDB file behind BigQuery; *aurora* an empty folder for the database of the
    cluster that the replication route loads, which runs only where one is given. Raises BadInput
    when a port is taken, or where that database is not installed.
    """
    bigquery: Any = cast.config.get(stack_file.BIGQUERY)
    bigquery = bigquery if isinstance(bigquery, dict) else {}
    project = str(bigquery.get("project", _PROJECT))
    region = _region(cast.config)
    rds_fault = None
    if fault is not None and fault.name in _RDS_FAULTS:
        rds_fault = Fault(_RDS_FAULTS[fault.name], fault.table)
    ports.check()
    aws = LocalAws(region, fault=rds_fault, faults=faults, port=ports.aws)
    with aws:
        google = LocalGoogle(
            project,
            project_number=str(bigquery.get("project_number", _PROJECT_NUMBER)),
            aws_endpoint=aws.endpoint,
            aws_region=region,
            database=database,
            fail_transfers_of=_failing(fault),
            port=ports.google,
        )
        with google:
            aws.environment["GOOGLE_API_ROOT"] = google.endpoint
            for actor in cast.actors:
                aws.rds.register(
                    actor.identifier,
                    kind=actor.kind,
                    engine=actor.engine,
                    databases=actor.databases,
                )
            surroundings.make(aws, cast.config)
            api = GoogleApi(google.endpoint)
            try:
                with _cluster(aws, cast, aurora) as running:
                    yield Stage(aws, google, api, project, running)
            finally:
                api.close()


def _region(config: stack_file.Config) -> str:
    """Return the stack's Region; where it says none that can be one, the program tells."""
    declared = config.get(stack_file.REGION)
    known = isinstance(declared, str) and re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", declared)
    return str(declared) if known else _REGION


@contextmanager
def _cluster(aws: LocalAws, cast: Cast, folder: Path | None) -> Iterator[Aurora | None]:
    """Run the database of the stack's cluster in *folder*, if there is one."""
    declared = flows.cluster(cast.config)
    if folder is None or declared is None:
        yield None
        return
    authority = surroundings.authority_of(_ROOT)
    with aws.rds.aurora(str(declared["identifier"]), folder, authority) as running:
        yield running


def _failing(fault: FaultChoice | None) -> Callable[[str], str | None] | None:
    """Return what lets the transfer of one table fail: of the fault's, or of the first to run."""
    if fault is None or fault.name != "transfer-failed":
        return None
    victims = _destinations(fault.table) if fault.table else set()

    def error_of(table: str) -> str | None:
        if not victims:
            victims.add(table)
        return _TRANSFER_ERROR if table in victims else None

    return error_of


def _destinations(target: str) -> set[str]:
    """Return what `db.table` may be called in BigQuery, under the templates in use."""
    parts = target.split(".")
    names = (joint.join(parts[-length:]) for length in (1, 2, 3) for joint in ("_", "__"))
    return {re.sub(r"[^A-Za-z0-9_]", "_", name) for name in names}
