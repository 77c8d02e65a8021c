"""Drivers of CloudWatch alarms, log groups and log streams."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.aws_shapes import Names, as_read, fields, number, properties, same_set
from rehearsal.drivers.registry import Clouds, Created, Driver, DriverError, Inputs, Outputs, driver
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, or_none

_NO_GROUP = "ResourceNotFoundException"

# Of days: kept for ever. Neither is said of a group of which nobody said anything.
_GROUP_DEFAULTS = {"retentionInDays": 0, "tags": {}}


@driver
class LogGroup(Driver):
    """A log group."""

    token = "aws:cloudwatch/logGroup:LogGroup"  # noqa: S105  # a type token
    required = "name"
    # ministack has neither keys nor classes of log groups: both are taken and stay as known.
    optional = "retentionInDays kmsKeyId skipDestroy logGroupClass tags region"
    replace_on = "name logGroupClass region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the group and set how long it keeps what it gets."""
        names = {"kmsKeyId": "kmsKeyId", "logGroupClass": "logGroupClass", "tags": "tags"}
        clouds.aws.client("logs").create_log_group(
            logGroupName=inputs["name"], **fields(names, inputs)
        )
        self._keep(clouds, inputs)
        return Created(inputs["name"], self._outputs(clouds, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read retention and tags."""
        logs = clouds.aws.client("logs")
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=identifier)
        groups = [group for page in pages for group in page["logGroups"]]
        group = next((each for each in groups if each["logGroupName"] == identifier), None)
        if group is None:
            return None
        arn = _log_group_arn(clouds, identifier)
        seen = {
            "name": identifier,
            "retentionInDays": group.get("retentionInDays", 0),
            "tags": logs.list_tags_for_resource(resourceArn=arn)["tags"],
        }
        return self._outputs(clouds, as_read(known, seen, seen, _GROUP_DEFAULTS))

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set retention and tags."""
        logs, arn = clouds.aws.client("logs"), _log_group_arn(clouds, identifier)
        self._keep(clouds, inputs)
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: logs.untag_resource(resourceArn=arn, tagKeys=gone),
            lambda tags: logs.tag_resource(resourceArn=arn, tags=tags),
        )
        return self._outputs(clouds, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the group, unless `skipDestroy` says to leave it where it is."""
        if not known.get("skipDestroy"):
            logs = clouds.aws.client("logs")
            or_none(logs.delete_log_group, _NO_GROUP, logGroupName=identifier)

    @staticmethod
    def _keep(clouds: Clouds, inputs: Inputs) -> None:
        logs, name = clouds.aws.client("logs"), inputs["name"]
        if inputs.get("retentionInDays"):
            days = number(inputs["retentionInDays"])
            logs.put_retention_policy(logGroupName=name, retentionInDays=days)
        else:
            logs.delete_retention_policy(logGroupName=name)

    @staticmethod
    def _outputs(clouds: Clouds, inputs: Inputs) -> Outputs:
        return {**inputs, "arn": _log_group_arn(clouds, inputs["name"])}


def _log_group_arn(clouds: Clouds, name: str) -> str:
    return f"arn:aws:logs:{clouds.aws.region}:{clouds.aws.account}:log-group:{name}"


_ALARM: Names = {
    "name": "AlarmName",
    "alarmDescription": "AlarmDescription",
    "namespace": "Namespace",
    "metricName": "MetricName",
    "statistic": "Statistic",
    "period": "Period",
    "evaluationPeriods": "EvaluationPeriods",
    "datapointsToAlarm": "DatapointsToAlarm",
    "threshold": "Threshold",
    "comparisonOperator": "ComparisonOperator",
    "treatMissingData": "TreatMissingData",
    "alarmActions": "AlarmActions",
    "okActions": "OKActions",
}
_ACTIONS = ("alarmActions", "okActions")
_ALARM_DEFAULTS: dict[str, Any] = {
    "alarmDescription": "",
    "treatMissingData": "missing",
    "alarmActions": [],
    "okActions": [],
    "dimensions": {},
    "tags": {},
}


@driver
class LogStream(Driver):
    """A log stream, in which a service writes that does not make one itself."""

    token = "aws:cloudwatch/logStream:LogStream"  # noqa: S105  # a type token
    required = "name logGroupName"
    optional = "region"
    replace_on = "name logGroupName region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the stream."""
        group, name = inputs["logGroupName"], inputs["name"]
        clouds.aws.client("logs").create_log_stream(logGroupName=group, logStreamName=name)
        return Created(name, self._outputs(clouds, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Find the stream; an import names its group before it: ``group:stream``.

        Source: hashicorp/terraform-provider-aws, internal/service/logs/stream.go.
        """
        of, _, name = identifier.rpartition(":")
        group = known.get("logGroupName", of)
        if not group:
            raise DriverError(f"import a log stream as group:stream, not {identifier}")
        answer = or_none(
            clouds.aws.client("logs").describe_log_streams,
            _NO_GROUP,
            logGroupName=group,
            logStreamNamePrefix=name,
        )
        if name not in [each["logStreamName"] for each in (answer or {}).get("logStreams", [])]:
            return None
        return self._outputs(clouds, {**known, "name": name, "logGroupName": group})

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the stream."""
        or_none(
            clouds.aws.client("logs").delete_log_stream,
            _NO_GROUP,
            logGroupName=known["logGroupName"],
            logStreamName=known["name"],
        )

    @staticmethod
    def _outputs(clouds: Clouds, inputs: Inputs) -> Outputs:
        group = _log_group_arn(clouds, inputs["logGroupName"])
        return {**inputs, "arn": f"{group}:log-stream:{inputs['name']}"}


@driver
class MetricAlarm(Driver):
    """An alarm on one metric."""

    token = "aws:cloudwatch/metricAlarm:MetricAlarm"  # noqa: S105
    required = (
        "name namespace metricName statistic period evaluationPeriods threshold comparisonOperator"
    )
    optional = (
        "alarmDescription dimensions datapointsToAlarm treatMissingData alarmActions okActions "
        "tags region"
    )
    replace_on = "name region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the alarm."""
        return Created(inputs["name"], self.update(clouds, inputs["name"], inputs, {}))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the alarm and its tags."""
        cloudwatch = clouds.aws.client("cloudwatch")
        alarms = cloudwatch.describe_alarms(AlarmNames=[identifier])["MetricAlarms"]
        if not alarms:
            return None
        alarm = alarms[0]
        tags = cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        seen = {
            **properties(_ALARM, alarm),
            "dimensions": from_aws_tags(alarm["Dimensions"], "Name"),
            "tags": from_aws_tags(tags),
        }
        for key in _ACTIONS:
            seen[key] = same_set(known.get(key), seen[key])
        # ministack tells the evaluation periods where no data points were given, AWS nothing.
        defaults = {**_ALARM_DEFAULTS, "datapointsToAlarm": alarm["EvaluationPeriods"]}
        told = as_read(known, (*_ALARM, "dimensions", "tags"), seen, defaults)
        return {**told, "arn": alarm["AlarmArn"]}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the whole alarm anew; CloudWatch takes tags with a new alarm only."""
        cloudwatch = clouds.aws.client("cloudwatch")
        dimensions = aws_tags(inputs.get("dimensions", {}), "Name")
        cloudwatch.put_metric_alarm(
            Dimensions=dimensions, **fields(_ALARM, {**_ALARM_DEFAULTS, **inputs})
        )
        arn = f"arn:aws:cloudwatch:{clouds.aws.region}:{clouds.aws.account}:alarm:{identifier}"
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: cloudwatch.untag_resource(ResourceARN=arn, TagKeys=gone),
            lambda tags: cloudwatch.tag_resource(ResourceARN=arn, Tags=aws_tags(tags)),
        )
        return {**inputs, "arn": arn}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the alarm."""
        cloudwatch = clouds.aws.client("cloudwatch")
        or_none(cloudwatch.delete_alarms, "ResourceNotFound", AlarmNames=[identifier])
