"""What a rehearsal of the replication route found, flow by flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rehearsal.outcome import Problem
from rehearsal.sheet import Line, Sheet, number

_COLUMNS = (
    *("flow", "table", "copy", "inserts", "updates", "deletes"),
    *("items", "rows", "differ", "refused", "files"),
)

#: What is timed.
ACTS = ("deploy", "write", "arrive", "compare", "total")


@dataclass(frozen=True)
class FlowOutcome:
    """One flow: what was written to its table, what its copy holds, and what was refused.

    `changes` counts what was written by kind; `refused` are the changes found below
    `processing-failed/`, by reason; `objects` the files that were loaded.
    """

    flow: str
    table: str
    target: str
    changes: dict[str, int]
    items: int
    rows: int
    differences: int
    refused: dict[str, int]
    objects: int

    @property
    def is_equal(self) -> bool:
        """Does the copy hold what the table holds?"""
        return self.differences == 0


@dataclass
class ReplicationOutcome:
    """Everything a rehearsal of the route has to tell."""

    stack: str
    resources: dict[str, int] = field(default_factory=lambda: {"aws": 0, "gcp": 0})
    flows: list[FlowOutcome] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ACTS, 0.0))

    @property
    def is_good(self) -> bool:
        """Did every change arrive, once, and was there one?"""
        return bool(self.flows) and not self.problems

    def sheet(self) -> Sheet:
        """Return the outcome as people read it: a line for each flow."""
        return Sheet(
            columns=_COLUMNS,
            texts=frozenset({"flow", "table", "copy"}),
            lines=[Line(_cells(flow), flow.is_equal) for flow in self.flows],
            notes=[
                *(f"fault: {name} {count:,} times" for name, count in sorted(self.faults.items())),
                *(
                    f"{flow.flow}: {count:,} refused: {reason}"
                    for flow in self.flows
                    for reason, count in sorted(flow.refused.items())
                ),
            ],
            verdict=self._verdict(),
        )

    def _verdict(self) -> str:
        changes = sum(sum(flow.changes.values()) for flow in self.flows)
        made = self.resources.get("aws", 0)
        total = self.seconds.get("total", 0.0)
        what = f"{changes:,} changes, {made} AWS resources, {total:.1f} s"
        if self.is_good:
            return f"All well: each copy holds what its table holds, value for value ({what})."
        if not self.problems:
            return f"Nothing was carried ({what})."
        count = len(self.problems)
        return f"{count} problem{'s' if count > 1 else ''} ({what})."

    def as_json(self) -> dict[str, Any]:
        """Return the outcome in the form promised to scripts (see docs/rehearsal.md)."""
        return {
            "stack": self.stack,
            "route": "replication",
            "resources": self.resources,
            "flows": [vars(flow) for flow in self.flows],
            "faults": self.faults,
            "problems": [vars(problem) for problem in self.problems],
            "seconds": {act: round(seconds, 3) for act, seconds in self.seconds.items()},
        }


def _cells(flow: FlowOutcome) -> tuple[str, ...]:
    kinds = (flow.changes.get(kind, 0) for kind in ("inserts", "updates", "deletes"))
    numbers = (flow.items, flow.rows, flow.differences, sum(flow.refused.values()), flow.objects)
    return (flow.flow, flow.table, flow.target, *map(number, kinds), *map(number, numbers))
