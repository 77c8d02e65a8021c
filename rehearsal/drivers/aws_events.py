"""Drivers of EventBridge rules and targets, and of Scheduler's schedules."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.aws_shapes import Names, as_read, fields, properties, same_document
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    Outputs,
    driver,
)
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, or_none

_GONE = "ResourceNotFoundException"

_RULE: Names = {
    "name": "Name",
    "description": "Description",
    "eventPattern": "EventPattern",
    "state": "State",
}
_RULE_DEFAULTS = {"description": "", "state": "ENABLED", "tags": {}}


@driver
class EventRule(Driver):
    """A rule of the default bus."""

    token = "aws:cloudwatch/eventRule:EventRule"  # noqa: S105  # a type token
    required = "name eventPattern"
    optional = "description state tags region"
    replace_on = "name region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the rule with its tags."""
        arn = self._put(clouds, inputs, Tags=aws_tags(inputs.get("tags", {})))
        return Created(inputs["name"], {**inputs, "arn": arn})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the rule and its tags."""
        events = clouds.aws.client("events")
        rule = or_none(events.describe_rule, _GONE, Name=identifier)
        if rule is None:
            return None
        tags = events.list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]
        seen = {**properties(_RULE, rule), "tags": from_aws_tags(tags)}
        if "eventPattern" in seen:
            seen["eventPattern"] = same_document(known.get("eventPattern"), seen["eventPattern"])
        told = as_read(known, (*_RULE, "tags"), {**_RULE_DEFAULTS, **seen}, _RULE_DEFAULTS)
        return {**told, "arn": rule["Arn"]}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the rule anew; its tags have calls of their own."""
        events = clouds.aws.client("events")
        arn = self._put(clouds, inputs)
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: events.untag_resource(ResourceARN=arn, TagKeys=gone),
            lambda tags: events.tag_resource(ResourceARN=arn, Tags=aws_tags(tags)),
        )
        return {**inputs, "arn": arn}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the rule, after its targets."""
        or_none(clouds.aws.client("events").delete_rule, _GONE, Name=identifier)

    @staticmethod
    def _put(clouds: Clouds, inputs: Inputs, **tags: Any) -> str:
        wire = fields(_RULE, {**_RULE_DEFAULTS, **inputs})
        return str(clouds.aws.client("events").put_rule(**wire, **tags)["RuleArn"])


_DELIVERY: Names = {
    "retryPolicy": (
        "RetryPolicy",
        {
            "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
            "maximumRetryAttempts": "MaximumRetryAttempts",
        },
    ),
    "deadLetterConfig": ("DeadLetterConfig", {"arn": "Arn"}),
}
_TARGET: Names = {
    "targetId": "Id",
    "arn": "Arn",
    "roleArn": "RoleArn",
    "input": "Input",
    "inputPath": "InputPath",
    "inputTransformer": (
        "InputTransformer",
        {"inputPaths": "InputPathsMap", "inputTemplate": "InputTemplate"},
    ),
    **_DELIVERY,
}


@driver
class EventTarget(Driver):
    """Where a rule of the default bus sends what it matches."""

    token = "aws:cloudwatch/eventTarget:EventTarget"  # noqa: S105
    required = "rule targetId arn"
    optional = "roleArn input inputPath inputTransformer deadLetterConfig retryPolicy region"
    replace_on = "rule targetId region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the target."""
        return Created(
            f"{inputs['rule']}-{inputs['targetId']}", self.update(clouds, "", inputs, {})
        )

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Look for the target among those of its rule."""
        rule, target_id = self._place(identifier, known)
        answer = or_none(clouds.aws.client("events").list_targets_by_rule, _GONE, Rule=rule)
        for target in answer["Targets"] if answer else []:
            if target["Id"] == target_id:
                seen = {"rule": rule, **properties(_TARGET, target)}
                if "input" in seen:
                    seen["input"] = same_document(known.get("input"), seen["input"])
                return as_read(known, ("rule", *_TARGET), seen, {})
        return None

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the target anew, whole."""
        answer = clouds.aws.client("events").put_targets(
            Rule=inputs["rule"], Targets=[fields(_TARGET, inputs)]
        )
        for failed in answer["FailedEntries"]:
            raise DriverError(f"{failed.get('ErrorCode')}: {failed.get('ErrorMessage')}")
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Take the target from its rule."""
        rule, target_id = self._place(identifier, known)
        events = clouds.aws.client("events")
        or_none(events.remove_targets, _GONE, Rule=rule, Ids=[target_id])

    @staticmethod
    def _place(identifier: str, known: Inputs) -> tuple[str, str]:
        """Return rule and target: the id, rule-target, could be cut at more than one place."""
        if "rule" in known and "targetId" in known:
            return known["rule"], known["targetId"]
        rule, slash, target_id = identifier.partition("/")
        if not slash:
            raise DriverError(f"import a target as rule/target, not {identifier}")
        return rule, target_id


_SCHEDULE: Names = {
    "name": "Name",
    "groupName": "GroupName",
    "description": "Description",
    "scheduleExpression": "ScheduleExpression",
    "scheduleExpressionTimezone": "ScheduleExpressionTimezone",
    "flexibleTimeWindow": (
        "FlexibleTimeWindow",
        {"mode": "Mode", "maximumWindowInMinutes": "MaximumWindowInMinutes"},
    ),
    "target": (
        "Target",
        {"arn": "Arn", "roleArn": "RoleArn", "input": "Input", **_DELIVERY},
    ),
    "state": "State",
}
_SCHEDULE_DEFAULTS = {
    "groupName": "default",
    "description": "",
    "scheduleExpressionTimezone": "UTC",
    "state": "ENABLED",
}


@driver
class Schedule(Driver):
    """A schedule. Schedules have no tags; their groups have."""

    token = "aws:scheduler/schedule:Schedule"  # noqa: S105
    required = "name scheduleExpression flexibleTimeWindow target"
    optional = "description groupName scheduleExpressionTimezone state region"
    replace_on = "name groupName region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the schedule."""
        wire = self._wire(inputs)
        arn = clouds.aws.client("scheduler").create_schedule(**wire)["ScheduleArn"]
        return Created(f"{wire['GroupName']}/{wire['Name']}", {**inputs, "arn": arn})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the schedule."""
        group, _, name = identifier.rpartition("/")
        schedule = or_none(
            clouds.aws.client("scheduler").get_schedule, _GONE, GroupName=group, Name=name
        )
        if schedule is None:
            return None
        seen = properties(_SCHEDULE, schedule)
        if "input" in seen["target"]:
            known_input = known.get("target", {}).get("input")
            seen["target"]["input"] = same_document(known_input, seen["target"]["input"])
        # An import tells the group even where it is the default one: a program that mentions it
        # would replace a schedule that does not.
        defaults = _SCHEDULE_DEFAULTS if known else {**_SCHEDULE_DEFAULTS, "groupName": None}
        return {**as_read(known, _SCHEDULE, seen, defaults), "arn": schedule["Arn"]}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the whole schedule: Scheduler sets to its default what a call does not mention."""
        answer = clouds.aws.client("scheduler").update_schedule(**self._wire(inputs))
        return {**inputs, "arn": answer["ScheduleArn"]}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the schedule."""
        group, _, name = identifier.rpartition("/")
        scheduler = clouds.aws.client("scheduler")
        or_none(scheduler.delete_schedule, _GONE, GroupName=group, Name=name)

    @staticmethod
    def _wire(inputs: Inputs) -> dict[str, Any]:
        return fields(_SCHEDULE, {**_SCHEDULE_DEFAULTS, **inputs})
