"""What starts a state machine: an event on the default bus, or a schedule.

Both retry for a day, and both leave what could not be delivered in a dead-letter queue: a start
that was lost is a day of data that nobody misses until somebody does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement
from export_identity import shorten

MAX_NAME = 64  # of rules, schedules and roles
# Both services' own maximum age; EventBridge allows 185 attempts in it.
MAX_EVENT_AGE_SECONDS = 86_400
MAX_EVENT_ATTEMPTS = 185


@dataclass(frozen=True, kw_only=True)
class InputTransform:
    """What of an event a target gets: names and JSON paths, and the template over the names."""

    paths: Mapping[str, str]
    template: str


@dataclass(frozen=True, kw_only=True)
class EventTriggerArgs:
    """The events that start the machine and what it is told of them."""

    description: str
    pattern: pulumi.Input[str]
    transform: InputTransform | None = None
    input_path: str | None = None
    machine_arn: pulumi.Input[str]
    dead_letter_queue_arn: pulumi.Input[str]
    account_id: pulumi.Input[str]
    region: str


class EventTrigger(pulumi.ComponentResource):
    """An EventBridge rule on the default bus that starts the machine."""

    def __init__(
        self, name: str, args: EventTriggerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:trigger:EventTrigger", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        rule_name = shorten(name, MAX_NAME)
        rule = aws.cloudwatch.EventRule(
            name,
            name=rule_name,
            description=args.description,
            event_pattern=args.pattern,
            opts=child,
        )
        rule_arn = pulumi.Output.concat(
            f"arn:aws:events:{args.region}:", args.account_id, f":rule/{rule_name}"
        )
        role = aws.iam.Role(
            name,
            name=rule_name,
            assume_role_policy=iam.trust(
                "events.amazonaws.com", _only_from(args.account_id, rule_arn)
            ),
            opts=child,
        )
        permissions = aws.iam.RolePolicy(
            name,
            name="start",
            role=role.name,
            policy=iam.policy(_start(args.machine_arn)),
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            name,
            rule=rule.name,
            target_id="machine",
            arn=args.machine_arn,
            role_arn=role.arn,
            retry_policy={
                "maximum_event_age_in_seconds": MAX_EVENT_AGE_SECONDS,
                "maximum_retry_attempts": MAX_EVENT_ATTEMPTS,
            },
            dead_letter_config={"arn": args.dead_letter_queue_arn},
            input_path=args.input_path,
            input_transformer=(
                {
                    "input_paths": args.transform.paths,
                    "input_template": args.transform.template,
                }
                if args.transform
                else None
            ),
            # An event that arrives before the permission would go to the dead-letter queue.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions]),
        )
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class ScheduleTriggerArgs:
    """When the machine starts, and what it is given."""

    description: str
    expression: str
    timezone: str
    input: Mapping[str, Any]
    machine_arn: pulumi.Input[str]
    dead_letter_queue_arn: pulumi.Input[str]
    account_id: pulumi.Input[str]
    region: str


class ScheduleTrigger(pulumi.ComponentResource):
    """An EventBridge Scheduler schedule that starts the machine, to the minute."""

    def __init__(
        self, name: str, args: ScheduleTriggerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:trigger:ScheduleTrigger", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        schedule_name = shorten(name, MAX_NAME)
        # AWS, "Confused deputy prevention in EventBridge Scheduler": the source is the group of
        # the schedule, not the schedule.
        group_arn = pulumi.Output.concat(
            f"arn:aws:scheduler:{args.region}:", args.account_id, ":schedule-group/default"
        )
        role = aws.iam.Role(
            name,
            name=schedule_name,
            assume_role_policy=iam.trust(
                "scheduler.amazonaws.com", _only_from(args.account_id, group_arn)
            ),
            opts=child,
        )
        permissions = aws.iam.RolePolicy(
            name,
            name="start",
            role=role.name,
            policy=iam.policy(
                _start(args.machine_arn),
                # Scheduler writes to its dead-letter queue with this role, not as a service.
                Statement(
                    sid="KeepFailures",
                    actions=["sqs:SendMessage"],
                    resources=[args.dead_letter_queue_arn],
                ),
            ),
            opts=child,
        )
        aws.scheduler.Schedule(
            name,
            name=schedule_name,
            group_name="default",
            description=args.description,
            schedule_expression=args.expression,
            schedule_expression_timezone=args.timezone,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": args.machine_arn,
                "role_arn": role.arn,
                "input": json.dumps(args.input),
                "retry_policy": {
                    "maximum_event_age_in_seconds": MAX_EVENT_AGE_SECONDS,
                    "maximum_retry_attempts": MAX_EVENT_ATTEMPTS,
                },
                "dead_letter_config": {"arn": args.dead_letter_queue_arn},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions]),
        )
        self.register_outputs({})


def _only_from(account_id: pulumi.Input[str], source_arn: pulumi.Input[str]) -> iam.Conditions:
    return {
        "StringEquals": {"aws:SourceAccount": account_id},
        "ArnEquals": {"aws:SourceArn": source_arn},
    }


def _start(machine_arn: pulumi.Input[str]) -> Statement:
    return Statement(sid="Start", actions=["states:StartExecution"], resources=[machine_arn])
