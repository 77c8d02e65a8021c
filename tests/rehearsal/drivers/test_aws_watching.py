"""Alarms and log groups live and die as their drivers say."""

from __future__ import annotations

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, registry
from tests.rehearsal.drivers.lifecycle import Life, live

GROUP = "aws:cloudwatch/logGroup:LogGroup"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:alerts"


def other_threshold(clouds: Clouds, name: str) -> None:
    clouds.aws.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/States",
        MetricName="ExecutionsFailed",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=100,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[f"{TOPIC}-of-mine"],
    )


def its_group(clouds: Clouds) -> dict[str, str]:
    clouds.aws.client("logs").create_log_group(logGroupName="/aws/kinesisfirehose/life")
    return {"logGroupName": "/aws/kinesisfirehose/life"}


LIVES = [
    Life(
        GROUP,
        {
            "name": "/aws/lambda/life",
            "retentionInDays": 365,
            "kmsKeyId": "arn:aws:kms:eu-west-1:111122223333:key/1",
            "logGroupClass": "STANDARD",
            "skipDestroy": False,
            "tags": {"team": "data"},
        },
        updates=[
            {"retentionInDays": 30.0},
            {"retentionInDays": None},
            {"retentionInDays": 7},
            {"kmsKeyId": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=lambda clouds, name: clouds.aws.client("logs").delete_retention_policy(
            logGroupName=name
        ),
        drift={"retentionInDays": 0},
        # ministack has neither keys nor classes; the last is for Pulumi alone.
        unread=frozenset({"kmsKeyId", "logGroupClass", "skipDestroy"}),
    ),
    Life(
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        {
            "name": "life-alarm",
            "namespace": "AWS/States",
            "metricName": "ExecutionsSucceeded",
            "dimensions": {"StateMachineArn": "arn:a", "Other": "b"},
            "statistic": "Sum",
            "period": 3600,
            "evaluationPeriods": 26,
            "datapointsToAlarm": 25,
            "threshold": 1,
            "comparisonOperator": "LessThanThreshold",
            "treatMissingData": "breaching",
            "alarmActions": [TOPIC],
            "okActions": [TOPIC],
            "tags": {"team": "data"},
        },
        updates=[
            {"alarmDescription": "Silence", "namespace": "AWS/SQS", "metricName": "Age"},
            {"dimensions": {"QueueName": "dead"}, "statistic": "Maximum", "period": 300.0},
            {"evaluationPeriods": 3, "datapointsToAlarm": 2, "threshold": 0.5},
            {"comparisonOperator": "GreaterThanThreshold", "treatMissingData": "notBreaching"},
            {"alarmActions": [TOPIC, f"{TOPIC}-2"], "okActions": [f"{TOPIC}-2"]},
            {"alarmDescription": None, "treatMissingData": None, "datapointsToAlarm": None},
            {"alarmActions": None, "okActions": None, "dimensions": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=other_threshold,
        drift={
            "threshold": 100,
            "alarmActions": [f"{TOPIC}-of-mine"],
            "metricName": "ExecutionsFailed",
        },
    ),
    Life("aws:cloudwatch/logStream:LogStream", {"name": "Life"}, before=its_group, imported=False),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_a_log_group_of_which_nothing_is_said_keeps_for_ever(clouds: Clouds) -> None:
    made = drivers.create(clouds, GROUP, "it", {"name": "plain"})
    assert registry.read(clouds, GROUP, "it", "plain", made.outputs) == made.outputs
    assert registry.read(clouds, GROUP, "it", "plain", {}) == made.outputs
    for days in (7, 0):
        inputs = {"name": "plain", "retentionInDays": days}
        changed = registry.update(clouds, GROUP, "it", "plain", inputs, made.outputs)
        assert registry.read(clouds, GROUP, "it", "plain", changed) == changed
    group = clouds.aws.client("logs").describe_log_groups(logGroupNamePrefix="plain")
    assert "retentionInDays" not in group["logGroups"][0]
    registry.delete(clouds, GROUP, "it", "plain", made.outputs)


def test_a_log_group_is_found_among_those_that_begin_like_it(clouds: Clouds) -> None:
    logs = clouds.aws.client("logs")
    names = [f"many/{number}" for number in range(60)]
    for name in names:
        logs.create_log_group(logGroupName=name)
    assert registry.read(clouds, GROUP, "it", "many/", {}) is None
    found = registry.read(clouds, GROUP, "it", "many/9", {})
    assert found is not None
    assert found["name"] == "many/9"
    for name in names:
        logs.delete_log_group(logGroupName=name)


def test_a_log_group_stays_where_it_should(clouds: Clouds) -> None:
    made = drivers.create(clouds, GROUP, "it", {"name": "stays", "skipDestroy": True})
    registry.delete(clouds, GROUP, "it", "stays", made.outputs)
    assert registry.read(clouds, GROUP, "it", "stays", made.outputs) == made.outputs
    clouds.aws.client("logs").delete_log_group(logGroupName="stays")


def test_the_order_of_actions_means_nothing(clouds: Clouds) -> None:
    token = "aws:cloudwatch/metricAlarm:MetricAlarm"
    actions = [f"{TOPIC}-b", f"{TOPIC}-a"]
    made = drivers.create(clouds, token, "it", {**LIVES[1].inputs, "alarmActions": actions})
    known = {**made.outputs, "alarmActions": actions[::-1]}
    assert registry.read(clouds, token, "it", made.id, known) == known
    registry.delete(clouds, token, "it", made.id, known)
