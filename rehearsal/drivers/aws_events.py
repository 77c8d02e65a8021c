"""Drivers of EventBridge, Scheduler, SQS, SNS and CloudWatch resources."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.registry import Clouds, Created, Inputs, driver


def _retry_policy(policy: Inputs) -> dict[str, int]:
    names = {
        "maximumEventAgeInSeconds": "MaximumEventAgeInSeconds",
        "maximumRetryAttempts": "MaximumRetryAttempts",
    }
    return {names[key]: int(value) for key, value in policy.items() if value is not None}


@driver(
    "aws:cloudwatch/eventRule:EventRule",
    "name description eventPattern state tags tagsAll region",
)
def _rule(clouds: Clouds, inputs: Inputs) -> Created:
    rule = clouds.aws.client("events").put_rule(
        Name=inputs["name"],
        EventPattern=inputs["eventPattern"],
        State=inputs.get("state", "ENABLED"),
        Description=inputs.get("description", ""),
    )
    return Created(inputs["name"], {**inputs, "arn": rule["RuleArn"]})


@driver(
    "aws:cloudwatch/eventTarget:EventTarget",
    "rule arn targetId roleArn input inputPath inputTransformer deadLetterConfig retryPolicy "
    "region",
)
def _target(clouds: Clouds, inputs: Inputs) -> Created:
    target: dict[str, Any] = {"Id": inputs["targetId"], "Arn": inputs["arn"]}
    if "roleArn" in inputs:
        target["RoleArn"] = inputs["roleArn"]
    if "input" in inputs:
        target["Input"] = inputs["input"]
    if "inputPath" in inputs:
        target["InputPath"] = inputs["inputPath"]
    if "inputTransformer" in inputs:
        target["InputTransformer"] = {
            "InputPathsMap": inputs["inputTransformer"].get("inputPaths", {}),
            "InputTemplate": inputs["inputTransformer"]["inputTemplate"],
        }
    if "deadLetterConfig" in inputs:
        target["DeadLetterConfig"] = {"Arn": inputs["deadLetterConfig"]["arn"]}
    if "retryPolicy" in inputs:
        target["RetryPolicy"] = _retry_policy(inputs["retryPolicy"])
    clouds.aws.client("events").put_targets(Rule=inputs["rule"], Targets=[target])
    return Created(f"{inputs['rule']}-{inputs['targetId']}", dict(inputs))


@driver(
    "aws:scheduler/schedule:Schedule",
    "name description groupName scheduleExpression scheduleExpressionTimezone flexibleTimeWindow "
    "target state region",
)
def _schedule(clouds: Clouds, inputs: Inputs) -> Created:
    given = inputs["target"]
    target: dict[str, Any] = {"Arn": given["arn"], "RoleArn": given["roleArn"]}
    if "input" in given:
        target["Input"] = given["input"]
    if "retryPolicy" in given:
        target["RetryPolicy"] = _retry_policy(given["retryPolicy"])
    if "deadLetterConfig" in given:
        target["DeadLetterConfig"] = {"Arn": given["deadLetterConfig"]["arn"]}
    schedule = clouds.aws.client("scheduler").create_schedule(
        Name=inputs["name"],
        GroupName=inputs.get("groupName", "default"),
        ScheduleExpression=inputs["scheduleExpression"],
        ScheduleExpressionTimezone=inputs.get("scheduleExpressionTimezone", "UTC"),
        State=inputs.get("state", "ENABLED"),
        FlexibleTimeWindow={"Mode": inputs["flexibleTimeWindow"]["mode"]},
        Target=target,
    )
    return Created(
        f"{inputs.get('groupName', 'default')}/{inputs['name']}",
        {**inputs, "arn": schedule["ScheduleArn"]},
    )


@driver(
    "aws:sqs/queue:Queue",
    "name messageRetentionSeconds sqsManagedSseEnabled visibilityTimeoutSeconds tags tagsAll "
    "region",
)
def _queue(clouds: Clouds, inputs: Inputs) -> Created:
    attributes = {
        wire: str(inputs[key]).lower() if isinstance(inputs[key], bool) else str(int(inputs[key]))
        for key, wire in (
            ("messageRetentionSeconds", "MessageRetentionPeriod"),
            ("sqsManagedSseEnabled", "SqsManagedSseEnabled"),
            ("visibilityTimeoutSeconds", "VisibilityTimeout"),
        )
        if key in inputs
    }
    sqs = clouds.aws.client("sqs")
    url = sqs.create_queue(QueueName=inputs["name"], Attributes=attributes)["QueueUrl"]
    arn = f"arn:aws:sqs:{clouds.aws.region}:{clouds.aws.account}:{inputs['name']}"
    return Created(url, {**inputs, "arn": arn, "url": url})


@driver("aws:sqs/queuePolicy:QueuePolicy", "queueUrl policy region")
def _queue_policy(clouds: Clouds, inputs: Inputs) -> Created:
    clouds.aws.client("sqs").set_queue_attributes(
        QueueUrl=inputs["queueUrl"], Attributes={"Policy": inputs["policy"]}
    )
    return Created(inputs["queueUrl"], dict(inputs))


@driver(
    "aws:sns/topic:Topic",
    "name displayName kmsMasterKeyId tags tagsAll region",
)
def _topic(clouds: Clouds, inputs: Inputs) -> Created:
    names = {"displayName": "DisplayName", "kmsMasterKeyId": "KmsMasterKeyId"}
    attributes = {wire: inputs[key] for key, wire in names.items() if key in inputs}
    sns = clouds.aws.client("sns")
    arn = sns.create_topic(Name=inputs["name"], Attributes=attributes)["TopicArn"]
    return Created(arn, {**inputs, "arn": arn})


@driver("aws:sns/topicPolicy:TopicPolicy", "arn policy region")
def _topic_policy(clouds: Clouds, inputs: Inputs) -> Created:
    clouds.aws.client("sns").set_topic_attributes(
        TopicArn=inputs["arn"], AttributeName="Policy", AttributeValue=inputs["policy"]
    )
    return Created(inputs["arn"], dict(inputs))


@driver("aws:sns/topicSubscription:TopicSubscription", "topic protocol endpoint region")
def _subscription(clouds: Clouds, inputs: Inputs) -> Created:
    arn = clouds.aws.client("sns").subscribe(
        TopicArn=inputs["topic"], Protocol=inputs["protocol"], Endpoint=inputs["endpoint"]
    )["SubscriptionArn"]
    return Created(arn, {**inputs, "arn": arn})


@driver(
    "aws:cloudwatch/logGroup:LogGroup",
    "name retentionInDays kmsKeyId skipDestroy logGroupClass tags tagsAll region",
)
def _log_group(clouds: Clouds, inputs: Inputs) -> Created:
    logs = clouds.aws.client("logs")
    logs.create_log_group(logGroupName=inputs["name"])
    logs.put_retention_policy(
        logGroupName=inputs["name"], retentionInDays=int(inputs["retentionInDays"])
    )
    arn = f"arn:aws:logs:{clouds.aws.region}:{clouds.aws.account}:log-group:{inputs['name']}"
    return Created(inputs["name"], {**inputs, "arn": arn})


@driver(
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "name alarmDescription namespace metricName dimensions statistic period evaluationPeriods "
    "datapointsToAlarm threshold comparisonOperator treatMissingData alarmActions okActions "
    "tags tagsAll region",
)
def _alarm(clouds: Clouds, inputs: Inputs) -> Created:
    clouds.aws.client("cloudwatch").put_metric_alarm(
        AlarmName=inputs["name"],
        AlarmDescription=inputs.get("alarmDescription", ""),
        Namespace=inputs["namespace"],
        MetricName=inputs["metricName"],
        Dimensions=[{"Name": k, "Value": v} for k, v in inputs.get("dimensions", {}).items()],
        Statistic=inputs["statistic"],
        Period=int(inputs["period"]),
        EvaluationPeriods=int(inputs["evaluationPeriods"]),
        Threshold=float(inputs["threshold"]),
        ComparisonOperator=inputs["comparisonOperator"],
        TreatMissingData=inputs.get("treatMissingData", "missing"),
        AlarmActions=list(inputs.get("alarmActions", [])),
        OKActions=list(inputs.get("okActions", [])),
        DatapointsToAlarm=int(inputs.get("datapointsToAlarm", inputs["evaluationPeriods"])),
    )
    arn = f"arn:aws:cloudwatch:{clouds.aws.region}:{clouds.aws.account}:alarm:{inputs['name']}"
    return Created(inputs["name"], {**inputs, "arn": arn})
