"""The replication route, played: an application writes, the copy must hold the same in the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rehearsal import scenario, stage
from rehearsal.aws.aurora import Aurora
from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.cast import Cast
from rehearsal.errors import BadInput
from rehearsal.outcome import Problem
from rehearsal.progress import Progress
from rehearsal.replication import flows, surroundings
from rehearsal.replication.comparison import Differences
from rehearsal.replication.failures import Refused
from rehearsal.replication.flows import Flow
from rehearsal.replication.outcome import ACTS, FlowOutcome, ReplicationOutcome
from rehearsal.replication.route import Route
from rehearsal.replication.traffic import Traffic

_WRITERS = 2
_POISON_EVERY = 1000
# The database crashes when so much of the traffic is written, and is back after so many seconds.
_DOWN_AT, _DOWN_SECONDS = 0.4, 5.0
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

    Raises BadInput for a stack that the program refuses, or without a table that the traffic fits.
    """
    began = time.monotonic()
    scenario.package_handlers(project, progress)
    faults = how.faults()
    with stage.built(cast, folder / "bigquery.duckdb", faults=faults, aurora=folder) as clouds:
        config, password = surroundings.with_secret(clouds.aws, cast.config)
        deployment = scenario.deploy_stack(
            project, replace(cast, config=config), stack, clouds, progress
        )
        # Deployed first: what is wrong with the stack itself is what its owner wants to hear.
        route = Route(clouds, deployment, config, playable_flow(cast, stack), password)
        shares = _traffic(how)
        with progress.act("write", "Writing"):
            _write(route, shares, how, progress)
        with progress.act("arrive", "Waiting for what is on its way"):
            route.settle(lambda: progress.say("Waiting for what is on its way"))
        outcome = ReplicationOutcome(stack, dict(deployment.resources), faults=dict(faults.struck))
        if how.crashes_database:
            outcome.faults["database down"] = 1
        with progress.act("compare", "Comparing"):
            _compare(route, shares, outcome)
        outcome.problems.extend(_idle_faults(faults, how, shares))
    outcome.seconds = {act: progress.seconds.get(act, 0.0) for act in ACTS}
    outcome.seconds["total"] = time.monotonic() - began
    return outcome


def playable_flow(cast: Cast, stack: str) -> Flow:
    """Return the flow whose table the traffic fits; BadInput where there is none."""
    for flow in flows.declared_flows(cast.config):
        if flow.key == _KEY:
            return flow
    raise BadInput(
        [
            f"--route replication: the stack {stack} deploys, but no flow of it has the key of the "
            "page views that the rehearsal writes: partition_key {page_id: S}, sort_key "
            f"{{session: S}}; play the stack local, and see yours with make preview STACK={stack}"
        ]
    )


def _traffic(how: Play) -> list[Traffic]:
    return [
        Traffic(
            seed=how.seed,
            changes=how.changes // _WRITERS + (share < how.changes % _WRITERS),
            poison_every=how.poison_every,
            share=share,
            of=_WRITERS,
        )
        for share in range(_WRITERS)
    ]


def _write(route: Route, shares: list[Traffic], how: Play, progress: Progress) -> None:
    crash = _Crash(route.aurora, how.changes * _DOWN_AT if how.crashes_database else None)

    def gate(written: int) -> None:
        crash.look(written)
        progress.say(f"Writing: {written:,} of {how.changes:,} changes to {route.flow.table}")

    route.write(shares, gate)
    crash.end()
    written = sum(sum(share.counts.values()) for share in shares)
    progress.say(f"Writing: {written:,} changes to {route.flow.table}")


def _compare(route: Route, shares: list[Traffic], outcome: ReplicationOutcome) -> None:
    """Put into *outcome* what has become of the traffic."""
    differences, refused = route.differences(), route.refused()
    flow = route.flow
    outcome.flows.append(
        FlowOutcome(
            flow=flow.name,
            table=flow.table,
            target=f"{flow.database}.{flow.target}",
            changes={
                kind: sum(share.counts[kind] for share in shares) for kind in shares[0].counts
            },
            items=differences.items,
            rows=differences.rows,
            differences=differences.count,
            refused=dict(refused.reasons),
            objects=route.objects(),
        )
    )
    poisons = set().union(*(share.poisons for share in shares))
    outcome.problems.extend(_problems(route, differences, poisons, refused))
    written = sum(len(share.items) for share in shares)
    if differences.items != written:
        told = f"the table has {differences.items:,} items, and {written:,} were left in it"
        outcome.problems.append(Problem(flow.name, "not written", told))


def _problems(
    route: Route, differences: Differences, poisons: set[str], refused: Refused
) -> Iterator[Problem]:
    name = route.flow.name
    unmeant = sum(refused.reasons.values()) - len(poisons)
    if unmeant > 0:
        reasons = "; ".join(refused.reasons)
        told = f"{unmeant:,} changes that were meant to be good: {reasons}"
        yield Problem(name, "refused", f"{told}. The traffic is page views, as schemas/ has them")
    for line in differences.told:
        yield Problem(name, "differs", line)
    if differences.count > len(differences.told):
        rest = differences.count - len(differences.told)
        yield Problem(name, "differs", f"and {rest:,} more")
    for missing in sorted(poisons - refused.notes):
        yield Problem(name, "lost", f"{missing} is not below processing-failed/")
    for key in route.discarded():
        yield Problem(name, "discarded", f"Lambda gave up on a batch: {key}")
    if waiting := route.dead_letters():
        yield Problem(name, "not loaded", f"{waiting} files are in the dead-letter queue")
    for text in route.aws.problems:
        yield Problem("the rehearsal", "would be refused", text)


def _idle_faults(faults: DeliveryFaults, how: Play, shares: list[Traffic]) -> Iterator[Problem]:
    """Tell of faults that were to strike and did not: nothing was rehearsed then."""
    if how.poison_every and not any(share.poisons for share in shares):
        yield Problem("the rehearsal", "no fault", "poison: no change; write more changes")
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
