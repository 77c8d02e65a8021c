"""The alarms that remain when a state machine could not tell of its failure itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.metric_alarm import Audience, Metric, Notice, above, silent, waiting

# How an execution ends badly, the words for it, and the section of the runbook.
_BAD_ENDS = {
    "ExecutionsFailed": ("failed", "alarms"),
    "ExecutionsTimedOut": ("took longer than allowed", "a-machine-timed-out"),
    "ExecutionsAborted": ("was stopped by hand", "run-an-export-again"),
}
_HOUR_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """What is watched, and who hears of it.

    `machines` are all state machines by name. `daily` are those of them that run once a day at
    least; an hour more than a day and the time an export takes is when their silence is news.
    """

    machines: Mapping[str, pulumi.Input[str]]
    daily: Sequence[str]
    silence_hours: int
    queue_name: pulumi.Input[str]
    topic_arn: pulumi.Input[str]
    runbook_url: str


class Alarms(pulumi.ComponentResource):
    """Alarms on lost events, on every bad end of every state machine, and on silence.

    RDS sends its events "on a best effort basis": a snapshot nobody heard of leaves no trace of a
    failure. Only the alarm on silence finds it.
    """

    def __init__(
        self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:alarms:Alarms", name, {}, opts)
        audience = Audience(topic_arn=args.topic_arn, runbook_url=args.runbook_url)
        above(
            f"{name}-lost-events",
            self,
            waiting(args.queue_name),
            0,
            Notice(
                "An event could not start a state machine and waits in the dead-letter queue.",
                "an-event-waits-in-the-dead-letter-queue",
            ),
            audience,
        )
        for machine, arn in args.machines.items():
            for metric, (words, section) in _BAD_ENDS.items():
                above(
                    f"{machine}-{metric}",
                    self,
                    _executions(metric, arn),
                    0,
                    Notice(f"An execution of {machine} {words}.", section),
                    audience,
                )
        for machine in args.daily:
            # AWS, PutMetricAlarm: periods of an hour may be looked at for seven days.
            silent(
                f"{machine}-silence",
                self,
                _executions("ExecutionsSucceeded", args.machines[machine]),
                Notice(
                    f"No execution of {machine} succeeded for {args.silence_hours} hours.",
                    "silence",
                ),
                audience,
                period_seconds=_HOUR_SECONDS,
                periods=args.silence_hours,
            )
        self.register_outputs({})


def _executions(name: str, machine_arn: pulumi.Input[str]) -> Metric:
    return Metric(
        namespace="AWS/States",
        name=name,
        dimensions={"StateMachineArn": machine_arn},
        statistic="Sum",
    )
