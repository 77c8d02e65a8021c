"""The replication route, played: an application writes, the copy must hold the same in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal import deploy, scenario, stage
from rehearsal.aws.aurora import Aurora
from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.cast import Cast
from rehearsal.errors import BadInput, RehearsalFailed
from rehearsal.outcome import Problem
from rehearsal.progress import Progress
from rehearsal.replication import failures, flows, owner
from rehearsal.replication.comparison import Differences, compare
from rehearsal.replication.flows import Flow
from rehearsal.replication.items import from_boto3
from rehearsal.replication.outcome import ACTS, FlowOutcome, ReplicationOutcome
from rehearsal.replication.traffic import Traffic
from rehearsal.replication.writer import Writer

_WRITERS = 2
_POISON_EVERY = 1000
# The database crashes when so much of the traffic is written, and is back after so many seconds.
_DOWN_AT, _DOWN_SECONDS = 0.4, 5.0
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 900.0
# The traffic writes page views: a table must have such a key to take them.
_KEY = {"page_id": "S", "session": "S"}

_SHARES: Mapping[str, Mapping[str, Any]] = {
    "function-crash": {"crashed": 0.1},
    "records-rejected": {"rejected": 1 / 3},
    "duplicates": {"duplicated": 0.1},
    "reordered": {"reordered": True},
}


@dataclass(frozen=True)
class Play:
    """How much is written, from which seed, and which faults strike meanwhile."""

    changes: int
    seed: int = 0
    fault: str | None = None

    def faults(self) -> DeliveryFaults:
        """Return the faults of delivery that the chosen fault stands for."""
        shares: dict[str, Any] = {}
        for name, share in _SHARES.items():
            if self._has(name):
                shares |= share
        return DeliveryFaults(seed=self.seed, **shares)

    @property
    def crashes_database(self) -> bool:
        """Does the database crash halfway?"""
        return self._has("database-down")

    @property
    def poison_every(self) -> int:
        """Every how many changes one is bad; 0 for none."""
        return _POISON_EVERY if self._has("poison") else 0

    def _has(self, fault: str) -> bool:
        return self.fault in (fault, "everything")


def play(
    project: Path, cast: Cast, stack: str, folder: Path, progress: Progress, how: Play
) -> ReplicationOutcome:
    """Play the route of *stack*; the databases lie in *folder*.

    Raises BadInput where the stack has no such route or a table that the traffic does not fit.
    """
    flow = playable_flow(cast, stack)
    began = time.monotonic()
    scenario.package_handlers(project, progress)
    faults = how.faults()
    with stage.built(cast, folder / "bigquery.duckdb", faults=faults, aurora=folder) as clouds:
        deployment = scenario.deploy_stack(project, cast, stack, clouds, progress)
        route = _Route(clouds, deployment, cast, flow)
        outcome = route.play(how, faults, progress)
    outcome.seconds = {act: progress.seconds.get(act, 0.0) for act in ACTS}
    outcome.seconds["total"] = time.monotonic() - began
    return outcome


def playable_flow(cast: Cast, stack: str) -> Flow:
    """Return the flow whose table the traffic fits; BadInput where there is none."""
    if flows.cluster(cast.config) is None:
        raise BadInput(
            [f"--route replication: the stack {stack} has no data-ferry:replication; try local"]
        )
    for flow in flows.declared_flows(cast.config):
        if flow.key == _KEY:
            return flow
    raise BadInput(
        [
            f"--route replication: no flow of the stack {stack} has the key of the page views that "
            "the rehearsal writes: partition_key {page_id: S}, sort_key {session: S}"
        ]
    )


class _Route:
    """One flow of a deployed stack, and what is done with it."""

    def __init__(
        self, clouds: stage.Stage, deployment: deploy.Deployment, cast: Cast, flow: Flow
    ) -> None:
        assert clouds.aurora is not None  # noqa: S101  # the stage was built with one
        self._aurora: Aurora = clouds.aurora
        self._aws = clouds.aws
        self._deployment = deployment
        self._flow = flow
        self._bucket = str(deployment.outputs["replication_bucket"])
        cluster = flows.cluster(cast.config) or {}
        owner.make_user(self._aurora, str(cluster["user"]), None, [flow.database])
        owner.give_access(
            self._aws,
            str(cluster["identifier"]),
            deployment.outputs,
            modified=bool(cluster.get("modify")),
        )

    def play(self, how: Play, faults: DeliveryFaults, progress: Progress) -> ReplicationOutcome:
        """Write, wait until all has arrived, and compare."""
        shares = [
            Traffic(
                seed=how.seed,
                changes=how.changes // _WRITERS + (share < how.changes % _WRITERS),
                poison_every=how.poison_every,
                share=share,
                of=_WRITERS,
            )
            for share in range(_WRITERS)
        ]
        with progress.act("write", "Writing"):
            self._write(shares, how, progress)
        with progress.act("arrive", "Waiting for what is on its way"):
            self._arrive(progress)
        with progress.act("compare", "Comparing"):
            return self._compare(shares, faults)

    def _write(self, shares: list[Traffic], how: Play, progress: Progress) -> None:
        crash = _Crash(self._aurora, how.changes * _DOWN_AT if how.crashes_database else None)

        def gate(written: int) -> None:
            crash.look(written)
            progress.say(f"Writing: {written:,} of {how.changes:,} changes to {self._flow.table}")

        Writer(self._aws.client("dynamodb"), self._flow.table, gate).write(shares)
        crash.end()

    def _arrive(self, progress: Progress) -> None:
        """Wait until nothing is on its way: not in the stream, not in Firehose, not in a queue."""
        began = time.monotonic()
        while True:
            self._aws.event_sources.wait_idle(_PATIENCE_SECONDS)
            self._aws.firehose.flush()
            if self._aws.event_sources.is_idle() and self._aws.firehose.is_idle():
                return
            if time.monotonic() - began > _PATIENCE_SECONDS:
                raise RehearsalFailed(f"changes are still on their way after {_PATIENCE_SECONDS} s")
            progress.say("Waiting for what is on its way")
            time.sleep(_LOOK_SECONDS)

    def _compare(self, shares: list[Traffic], faults: DeliveryFaults) -> ReplicationOutcome:
        differences = compare(self._items(), self._rows(), _columns_of(self._flow))
        refused = failures.read(self._aws.client("s3"), self._bucket, self._flow.name)
        outcome = ReplicationOutcome(
            self._deployment.stack, dict(self._deployment.resources), faults=dict(faults.struck)
        )
        outcome.flows.append(self._outcome(shares, differences, refused))
        outcome.problems.extend(self._problems(shares, differences, refused))
        outcome.problems.extend(_idle_faults(faults))
        return outcome

    def _outcome(
        self, shares: list[Traffic], differences: Differences, refused: failures.Refused
    ) -> FlowOutcome:
        changes = {kind: sum(share.counts[kind] for share in shares) for kind in shares[0].counts}
        flow = self._flow
        return FlowOutcome(
            flow=flow.name,
            table=flow.table,
            target=f"{flow.database}.{flow.target}",
            changes=changes,
            items=differences.items,
            rows=differences.rows,
            differences=differences.count,
            refused=dict(refused.reasons),
            objects=self._objects(),
        )

    def _problems(
        self, shares: list[Traffic], differences: Differences, refused: failures.Refused
    ) -> Iterator[Problem]:
        name = self._flow.name
        for line in differences.told:
            yield Problem(name, "differs", line)
        if differences.count > len(differences.told):
            rest = differences.count - len(differences.told)
            yield Problem(name, "differs", f"and {rest:,} more")
        poisons = set().union(*(share.poisons for share in shares))
        for missing in sorted(poisons - refused.notes):
            yield Problem(name, "lost", f"{missing} is not below {failures.FAILED}/")
        if not poisons:
            for reason, count in refused.reasons.items():
                yield Problem(name, "refused", f"{count:,} changes: {reason}")
        for key in failures.discarded(self._aws.client("s3"), self._bucket):
            yield Problem(name, "discarded", f"Lambda gave up on a batch: {key}")
        if waiting := self._dead_letters():
            yield Problem(name, "not loaded", f"{waiting} files are in the dead-letter queue")
        for text in self._aws.problems:
            yield Problem("the rehearsal", "would be refused", text)

    def _items(self) -> Iterator[Mapping[str, Any]]:
        pages = self._aws.client("dynamodb").get_paginator("scan")
        for page in pages.paginate(TableName=self._flow.table, ConsistentRead=True):
            yield from map(from_boto3, page["Items"])

    def _rows(self) -> list[tuple[Any, ...]]:
        names = ", ".join(f"`{column['name']}`" for column in self._flow.columns)
        with (
            self._aurora.master(self._flow.database) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SELECT {names} FROM `{self._flow.target}`")  # noqa: S608
            return list(cursor.fetchall())

    def _objects(self) -> int:
        pages = self._aws.client("s3").get_paginator("list_objects_v2")
        prefix = f"loads/{self._flow.name}/"
        found = pages.paginate(Bucket=self._bucket, Prefix=prefix)
        return sum(page["KeyCount"] for page in found)

    def _dead_letters(self) -> int:
        url = self._deployment.outputs["flows"][self._flow.name]["dead_letter_queue"]
        name = "ApproximateNumberOfMessages"
        answer = self._aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(answer["Attributes"][name])


def _columns_of(flow: Flow) -> dict[str, Any]:
    return {"columns": flow.columns, "key": flow.key_columns}


def _idle_faults(faults: DeliveryFaults) -> Iterator[Problem]:
    """Tell of faults that were to strike and did not: nothing was rehearsed then."""
    for fault in ("rejected", "duplicated", "reordered", "crashed"):
        if getattr(faults, fault) and not faults.struck[fault]:
            yield Problem("the rehearsal", "no fault", f"{fault}: never; write more changes")


class _Crash:
    """The database's crash: once, when *at* changes are written; nothing where that is None."""

    def __init__(self, aurora: Aurora, at: float | None) -> None:
        self._aurora = aurora
        self._at = at
        self._lock = threading.Lock()
        self._back: threading.Timer | None = None

    def look(self, written: int) -> None:
        """Let the database crash if it is time."""
        with self._lock:
            if self._at is None or self._back is not None or written < self._at:
                return
            self._aurora.take_down()
            self._back = threading.Timer(_DOWN_SECONDS, self._aurora.bring_up)
            self._back.start()

    def end(self) -> None:
        """Return when the database is up again."""
        if self._back is not None:
            self._back.join()
