"""Rules, targets and schedules live and die as their drivers say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from tests.rehearsal.drivers.lifecycle import Life, live

ACCOUNT, REGION = "111122223333", "eu-west-1"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:ferry"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/start"
DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"


def pattern(*sources: str) -> str:
    return json.dumps({"source": list(sources), "detail": {"ok": [True]}}, indent=1)


def a_rule(name: str):
    def make(clouds: Clouds) -> dict[str, str]:
        clouds.aws.client("events").put_rule(Name=name, EventPattern=pattern("data-ferry"))
        return {"rule": name}

    return make


def put_other_target(clouds: Clouds, identifier: str) -> None:
    rule = identifier.removesuffix("-machine")
    clouds.aws.client("events").put_targets(
        Rule=rule, Targets=[{"Id": "machine", "Arn": DEAD, "InputPath": "$.detail"}]
    )


def pause(clouds: Clouds, identifier: str) -> None:
    group, name = identifier.split("/")
    scheduler = clouds.aws.client("scheduler")
    found = scheduler.get_schedule(GroupName=group, Name=name)
    taken = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow")
    scheduler.update_schedule(
        **{key: found[key] for key in taken},
        Target={**found["Target"], "Input": '{"by": "hand"}'},
        State="DISABLED",
    )


def a_group(clouds: Clouds) -> dict[str, str]:
    clouds.aws.client("scheduler").create_schedule_group(Name="nightly")
    return {"groupName": "nightly"}


SCHEDULE_TARGET = {
    "arn": MACHINE,
    "roleArn": ROLE,
    "input": '{"run": 1,  "why": "night"}',
    "retryPolicy": {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 5},
    "deadLetterConfig": {"arn": DEAD},
}

LIVES = [
    Life(
        "aws:cloudwatch/eventRule:EventRule",
        {
            "name": "life-rule",
            "description": "Exports",
            "eventPattern": pattern("aws.rds"),
            "tags": {"team": "data"},
        },
        updates=[
            {"eventPattern": pattern("aws.rds", "data-ferry")},
            {"description": "Exports of ours", "state": "DISABLED"},
            {"description": None, "state": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=lambda clouds, name: clouds.aws.client("events").disable_rule(Name=name),
        drift={"state": "DISABLED"},
    ),
    Life(
        TARGET,
        {
            "targetId": "machine",
            "arn": MACHINE,
            "roleArn": ROLE,
            "retryPolicy": {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 5},
            "deadLetterConfig": {"arn": DEAD},
        },
        before=a_rule("life-target"),
        updates=[
            {"arn": f"{MACHINE}-2", "roleArn": f"{ROLE}-2"},
            {"retryPolicy": {"maximumRetryAttempts": 0.0}, "deadLetterConfig": None},
            {"deadLetterConfig": {"arn": f"{DEAD}-2"}, "retryPolicy": None, "roleArn": None},
            {"input": '{"b": 1,  "a": 2}'},
            {"input": None, "inputPath": "$.detail"},
            {
                "inputPath": None,
                "inputTransformer": {"inputPaths": {"a": "$.a"}, "inputTemplate": '{"x": <a>}'},
            },
            {"inputTransformer": {"inputTemplate": '"text"'}},
        ],
        by_hand=put_other_target,
        drift={"arn": DEAD, "inputPath": "$.detail", "inputTransformer": None},
        # Its id cannot be cut into rule and target: see the test of its import.
        imported=False,
    ),
    Life(
        "aws:scheduler/schedule:Schedule",
        {
            "name": "life-schedule",
            "description": "Every night",
            "scheduleExpression": "cron(30 3 * * ? *)",
            "scheduleExpressionTimezone": "Europe/Berlin",
            "flexibleTimeWindow": {"mode": "OFF"},
            "target": SCHEDULE_TARGET,
        },
        before=a_group,
        updates=[
            {"description": "Twice", "scheduleExpression": "rate(12 hours)"},
            {"scheduleExpressionTimezone": "Europe/London", "state": "DISABLED"},
            {"description": None, "scheduleExpressionTimezone": None, "state": None},
            {"flexibleTimeWindow": {"mode": "FLEXIBLE", "maximumWindowInMinutes": 15.0}},
            {"target": {**SCHEDULE_TARGET, "input": '{"run":  2}'}},
            {"target": {"arn": DEAD, "roleArn": f"{ROLE}-2"}},
        ],
        by_hand=pause,
        drift={
            "state": "DISABLED",
            "target": {"arn": DEAD, "roleArn": f"{ROLE}-2", "input": '{"by": "hand"}'},
        },
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_a_target_is_imported_by_rule_and_target(clouds: Clouds) -> None:
    inputs = {**a_rule("import-me")(clouds), "targetId": "to-it", "arn": MACHINE, "input": "[1]"}
    made = drivers.create(clouds, TARGET, "it", inputs)
    assert made.id == "import-me-to-it"
    assert registry.read(clouds, TARGET, "it", "import-me/to-it", {}) == inputs
    with pytest.raises(DriverError, match="import a target as rule/target, not import-me-to-it"):
        registry.read(clouds, TARGET, "it", made.id, {})


def test_a_target_of_a_rule_that_is_gone_is_gone(clouds: Clouds) -> None:
    known = {"rule": "never", "targetId": "t", "arn": MACHINE}
    assert registry.read(clouds, TARGET, "it", "never-t", known) is None
    registry.delete(clouds, TARGET, "it", "never-t", known)


def test_an_input_is_the_same_however_it_is_written(clouds: Clouds) -> None:
    rule = a_rule("spaces")(clouds)
    inputs = {**rule, "targetId": "t", "arn": MACHINE, "input": '{"a": 1, "b": 2}'}
    known = drivers.create(clouds, TARGET, "it", inputs).outputs
    for text in ('{"b":2,"a":1}', "not JSON", None):
        wire = {"Id": "t", "Arn": MACHINE, **({"Input": text} if text else {})}
        clouds.aws.client("events").put_targets(Rule="spaces", Targets=[wire])
        found = registry.read(clouds, TARGET, "it", "spaces-t", known)
        assert found is not None
        assert found.get("input") == (known["input"] if text == '{"b":2,"a":1}' else text)


def test_an_inner_property_that_is_not_known_is_refused(clouds: Clouds) -> None:
    target: dict[str, Any] = {
        "arn": MACHINE,
        "roleArn": ROLE,
        "ecsParameters": {},
        "kinesisParameters": None,
    }
    inputs = {
        "name": "it",
        "scheduleExpression": "rate(1 hour)",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": target,
    }
    with pytest.raises(DriverError, match=r"target: the driver does not know ecsParameters$"):
        drivers.create(clouds, "aws:scheduler/schedule:Schedule", "it", inputs)


def test_a_schedule_of_the_default_group_says_so_on_import_only(clouds: Clouds) -> None:
    token = "aws:scheduler/schedule:Schedule"
    inputs = {
        "name": "plain",
        "scheduleExpression": "rate(1 hour)",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": {"arn": MACHINE, "roleArn": ROLE},
    }
    made = drivers.create(clouds, token, "it", inputs)
    arn = {"arn": made.outputs["arn"]}
    assert made.id == "default/plain"
    assert registry.read(clouds, token, "it", made.id, made.outputs) == {**inputs, **arn}
    imported = registry.read(clouds, token, "it", made.id, {})
    assert imported == {**inputs, **arn, "groupName": "default"}
    registry.delete(clouds, token, "it", made.id, made.outputs)
