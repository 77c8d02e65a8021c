"""The export of one source: what starts it, and the state machine that sees it through."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi

from components.alerts import publish_permissions
from components.iam import Statement
from components.state_machine import StateMachine, StateMachineArgs
from components.trigger import (
    EventTrigger,
    EventTriggerArgs,
    InputTransform,
    ScheduleTrigger,
    ScheduleTriggerArgs,
)
from state_machines import export


@dataclass(frozen=True, kw_only=True)
class SnapshotEvents:
    """Export when RDS says that a snapshot was taken; manual ones only when asked for."""

    manual: bool


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Export the newest automated snapshot at these times."""

    expression: str
    timezone: str


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What RDS calls the snapshots of a cluster or an instance."""

    detail_type: str
    source_type: str
    automated_event: str
    manual_event: str
    describe: str
    source_arn: str
    snapshot_arn: str


# AWS, "Amazon RDS event categories and event messages for Aurora" and "... for Amazon RDS".
_KINDS = {
    "cluster": _Kind(
        detail_type="RDS DB Cluster Snapshot Event",
        source_type="CLUSTER_SNAPSHOT",
        automated_event="RDS-EVENT-0169",
        manual_event="RDS-EVENT-0075",
        describe="rds:DescribeDBClusterSnapshots",
        source_arn="cluster",
        snapshot_arn="cluster-snapshot",
    ),
    "instance": _Kind(
        detail_type="RDS DB Snapshot Event",
        source_type="SNAPSHOT",
        automated_event="RDS-EVENT-0091",
        manual_event="RDS-EVENT-0042",
        describe="rds:DescribeDBSnapshots",
        source_arn="db",
        snapshot_arn="snapshot",
    ),
}

# Only what the machine needs: an event's other fields change with RDS's wishes.
_SNAPSHOT_OF_EVENT = InputTransform(
    paths={
        "snapshot_id": "$.detail.SourceIdentifier",
        "snapshot_arn": "$.detail.SourceArn",
        "event_id": "$.id",
    },
    template=(
        '{"snapshot_id": "<snapshot_id>", "snapshot_arn": "<snapshot_arn>",'
        ' "event_id": "<event_id>"}'
    ),
)


@dataclass(frozen=True, kw_only=True)
class SourceExportArgs:
    """The source, where its exports go, and with whose help."""

    source: pulumi.Input[str]
    identifier: str
    kind: Literal["cluster", "instance"]
    export_only: tuple[str, ...] | None
    trigger: SnapshotEvents | Schedule
    bucket: pulumi.Input[str]
    prefix: str
    export_role_arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    topic_arn: pulumi.Input[str]
    topic_key_arn: pulumi.Input[str]
    dead_letter_queue_arn: pulumi.Input[str]
    run_time_offset_hours: int
    runbook_url: str
    log_retention_days: int
    account_id: pulumi.Input[str]
    region: str


class SourceExport(pulumi.ComponentResource):
    """Exports one cluster's or instance's snapshots; its name is the state machine's.

    `source` is `identifier` after it was looked up: the same text, known only once the database
    was found and its engine is the declared one.
    """

    machine_arn: pulumi.Output[str]
    machine_role_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: SourceExportArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:source-export:SourceExport", name, {}, opts)
        machine = StateMachine(
            name,
            StateMachineArgs(
                definition=_definition(args),
                permissions=_permissions(args),
                account_id=args.account_id,
                region=args.region,
                log_retention_days=args.log_retention_days,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        if isinstance(args.trigger, Schedule):
            self._on_schedule(name, args, args.trigger, machine)
        else:
            self._on_events(name, args, args.trigger, machine)
        self.machine_arn = machine.arn
        self.machine_role_arn = machine.role_arn
        self.register_outputs(
            {"machine_arn": self.machine_arn, "machine_role_arn": self.machine_role_arn}
        )

    def _on_schedule(
        self, name: str, args: SourceExportArgs, schedule: Schedule, machine: StateMachine
    ) -> None:
        ScheduleTrigger(
            f"{name}-schedule",
            ScheduleTriggerArgs(
                description=f"Export the newest automated snapshot of {args.identifier}",
                expression=schedule.expression,
                timezone=schedule.timezone,
                input={"scheduled_time": "<aws.scheduler.scheduled-time>"},
                machine_arn=machine.arn,
                dead_letter_queue_arn=args.dead_letter_queue_arn,
                account_id=args.account_id,
                region=args.region,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _on_events(
        self, name: str, args: SourceExportArgs, events: SnapshotEvents, machine: StateMachine
    ) -> None:
        kind = _KINDS[args.kind]
        # "rds:shop-" would match the snapshots of shop-replica as well; their names go on with
        # a year. The state machine checks the source all the same.
        automated: dict[str, list[object]] = {
            "EventID": [kind.automated_event],
            "SourceIdentifier": [{"prefix": f"rds:{args.identifier}-20"}],
        }
        self._on_event(f"{name}-automated", args, automated, machine)
        if events.manual:
            # A manual snapshot's name says nothing of its source: the state machine finds out.
            manual = {"EventID": [kind.manual_event]}
            self._on_event(f"{name}-manual", args, manual, machine)

    def _on_event(
        self,
        name: str,
        args: SourceExportArgs,
        detail: Mapping[str, Sequence[object]],
        machine: StateMachine,
    ) -> None:
        kind = _KINDS[args.kind]
        pattern = {
            "source": ["aws.rds"],
            "detail-type": [kind.detail_type],
            "detail": {"SourceType": [kind.source_type], **detail},
        }
        EventTrigger(
            name,
            EventTriggerArgs(
                description=f"A snapshot of {args.identifier} was taken: export it",
                pattern=json.dumps(pattern),
                transform=_SNAPSHOT_OF_EVENT,
                machine_arn=machine.arn,
                dead_letter_queue_arn=args.dead_letter_queue_arn,
                account_id=args.account_id,
                region=args.region,
            ),
            pulumi.ResourceOptions(parent=self),
        )


def _definition(args: SourceExportArgs) -> pulumi.Output[str]:
    def render(values: dict[str, str]) -> str:
        machine = export.ExportMachine(
            kind=args.kind,
            export_only=args.export_only,
            prefix=args.prefix,
            run_time_offset_hours=args.run_time_offset_hours,
            runbook_url=args.runbook_url,
            **values,
        )
        return json.dumps(export.definition(machine))

    return pulumi.Output.all(
        source=args.source,
        bucket=args.bucket,
        export_role_arn=args.export_role_arn,
        kms_key_arn=args.key_arn,
        topic_arn=args.topic_arn,
    ).apply(render)


def _permissions(args: SourceExportArgs) -> list[Statement]:
    kind = _KINDS[args.kind]
    rds = pulumi.Output.concat(f"arn:aws:rds:{args.region}:", args.account_id, ":")
    snapshots = [pulumi.Output.concat(rds, kind.snapshot_arn, f":rds:{args.identifier}-20*")]
    if isinstance(args.trigger, SnapshotEvents) and args.trigger.manual:
        snapshots = [pulumi.Output.concat(rds, kind.snapshot_arn, ":*")]
    source = pulumi.Output.concat(rds, kind.source_arn, f":{args.identifier}")
    return [
        Statement(sid="FindSnapshot", actions=[kind.describe], resources=[source, *snapshots]),
        Statement(sid="StartExport", actions=["rds:StartExportTask"], resources=snapshots),
        Statement(
            sid="WatchExport",
            actions=["rds:DescribeExportTasks"],
            resources=["*"],
            any_resource_because="an export looked up by its id has no ARN to name",
        ),
        Statement(
            sid="PassExportRole",
            actions=["iam:PassRole"],
            resources=[args.export_role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "export.rds.amazonaws.com"}},
        ),
        Statement(sid="SeeKey", actions=["kms:DescribeKey"], resources=[args.key_arn]),
        Statement(
            sid="GrantKeyToRds",
            actions=["kms:CreateGrant"],
            resources=[args.key_arn],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        Statement(
            sid="AnnounceExport",
            actions=["events:PutEvents"],
            resources=[
                pulumi.Output.concat(
                    f"arn:aws:events:{args.region}:", args.account_id, ":event-bus/default"
                )
            ],
            conditions={"StringEquals": {"events:source": "data-ferry"}},
        ),
        *publish_permissions(args.topic_arn, args.topic_key_arn, args.region),
    ]
