"""One CloudWatch alarm as all of the program's are: it tells the topic, and links the runbook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_aws as aws

PERIOD_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of CloudWatch, and how its values of one period become one."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: Literal["Sum", "Maximum", "SampleCount"]


@dataclass(frozen=True)
class Notice:
    """What has happened, in one sentence, and the section of the runbook that says what to do."""

    what: str
    section: str


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who hears of an alarm, and where they read what to do."""

    topic_arn: pulumi.Input[str]
    runbook_url: str


def above(
    name: str,
    parent: pulumi.Resource,
    metric: Metric,
    threshold: float,
    notice: Notice,
    audience: Audience,
    period_seconds: int = PERIOD_SECONDS,
) -> None:
    """Make the alarm `name` for values above `threshold` within a period.

    No data is no alarm: a service writes no zeros for what does not happen.
    """
    _alarm(
        name,
        parent,
        metric,
        notice,
        audience,
        period=period_seconds,
        evaluation_periods=1,
        comparison_operator="GreaterThanThreshold",
        threshold=threshold,
        treat_missing_data="notBreaching",
    )


def silent(
    name: str,
    parent: pulumi.Resource,
    metric: Metric,
    notice: Notice,
    audience: Audience,
    *,
    period_seconds: int,
    periods: int,
) -> None:
    """Make the alarm `name` for nothing at all in so many periods, one after the other.

    Where there is no data yet, as with a new stack, it sounds as well: that it is over is told too.
    """
    _alarm(
        name,
        parent,
        metric,
        notice,
        audience,
        period=period_seconds,
        evaluation_periods=periods,
        datapoints_to_alarm=periods,
        comparison_operator="LessThanThreshold",
        threshold=1,
        treat_missing_data="breaching",
        ok_actions=[audience.topic_arn],
    )


def _alarm(
    name: str,
    parent: pulumi.Resource,
    metric: Metric,
    notice: Notice,
    audience: Audience,
    **rule: Any,
) -> None:
    """Make an alarm whose `rule` is in the properties of `MetricAlarm`."""
    aws.cloudwatch.MetricAlarm(
        name,
        name=name,
        alarm_description=_described(notice, audience),
        namespace=metric.namespace,
        metric_name=metric.name,
        dimensions=metric.dimensions,
        statistic=metric.statistic,
        alarm_actions=[audience.topic_arn],
        opts=pulumi.ResourceOptions(parent=parent),
        **rule,
    )


def of_function(
    name: str, function: pulumi.Input[str], statistic: Literal["Sum", "Maximum"] = "Sum"
) -> Metric:
    """Return a metric that Lambda has of each function."""
    return Metric(
        namespace="AWS/Lambda",
        name=name,
        dimensions={"FunctionName": function},
        statistic=statistic,
    )


def waiting(queue_name: pulumi.Input[str]) -> Metric:
    """Return the metric of how many messages wait in a queue."""
    return Metric(
        namespace="AWS/SQS",
        name="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": queue_name},
        statistic="Maximum",
    )


def _described(notice: Notice, audience: Audience) -> str:
    return f"{notice.what} What to do: {audience.runbook_url}#{notice.section}"
