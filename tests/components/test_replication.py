"""The replication route, as a list of what the program registers for it."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from tests.components.recording import ACCOUNT, NOT_THERE, REGION, STREAM, Recording
from tests.components.stacks import (
    DATABASES,
    FAILURES_KEY,
    REPLICATION,
    SECRET_KEY,
    links_a_section,
    replication_config,
    run_program,
)

BUCKET = f"arn:aws:s3:::shop-stg-replication-{ACCOUNT}"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
FUNCTION = "aws:lambda/function:Function"
MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
STEPS = ("stream", "transform", "resend", "load")


def function_arn(step: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:shop-stg-page-views-{step}"


def actions(statements: dict[str, dict[str, Any]]) -> dict[str, tuple[list[str], list[str]]]:
    return {sid: (each["Action"], each["Resource"]) for sid, each in statements.items()}


def test_four_functions_of_one_package_each_with_a_role_of_its_own(replication: Recording) -> None:
    functions = {each.inputs["name"]: each.inputs for each in replication.all(FUNCTION)}
    assert set(functions) == {f"shop-stg-page-views-{step}" for step in STEPS}
    for name, each in functions.items():
        step = name.rsplit("-", 1)[1]
        assert each["handler"] == f"replication.{step}.handler"
        assert each["code"]["path"] == "build/lambda/replication.zip"
        assert each["role"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
        assert each["environment"]["variables"]["SERVICE_NAME"] == "shop-stg"
        # Firehose lets a transformation take five minutes, Lambda any function fifteen.
        assert each["timeout"] <= (300 if step == "transform" else 900)


def test_the_functions_know_their_flow_by_a_layer(replication: Recording) -> None:
    layer = replication.one("aws:lambda/layerVersion:LayerVersion")
    files = layer.inputs["code"]["assets"]
    flow = json.loads(files["python/ferry_flow/flow.json"]["text"])
    assert flow["key"] == ["page_id", "at"]
    assert {column["name"] for column in flow["columns"]} == {"page_id", "at", "note"}
    assert flow["schema"] == REPLICATION["flows"]["page-views"]["schema"]
    assert files["python/ferry_flow/rds-ca.pem"]["path"] == "tests/components/rds-ca.pem"
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:shop-stg-page-views:1"
    for each in replication.all(FUNCTION):
        assert each.inputs["layers"] == [arn]


def test_the_stream_is_read_within_bounds_and_what_fails_is_kept(replication: Recording) -> None:
    mapping = replication.one(MAPPING, "shop-stg-page-views-stream").inputs
    assert mapping["eventSourceArn"] == STREAM
    assert mapping["functionName"] == function_arn("stream")
    assert mapping["startingPosition"] == "TRIM_HORIZON"
    assert mapping["bisectBatchOnFunctionError"] is True
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 0 <= mapping["maximumRetryAttempts"] <= 10_000
    assert 60 <= mapping["maximumRecordAgeInSeconds"] <= 86_400
    assert mapping["destinationConfig"] == {"onFailure": {"destinationArn": BUCKET}}
    assert mapping["metricsConfig"] == {"metrics": ["EventCount"]}
    assert actions(replication.statements(ROLE_POLICY, "shop-stg-page-views-stream")) == {
        "ReadStream": (
            [f"dynamodb:{a}" for a in ("DescribeStream", "GetRecords")]
            + ["dynamodb:GetShardIterator", "dynamodb:ListStreams"],
            [STREAM],
        ),
        "FindFailures": (["s3:ListBucket"], [BUCKET]),
        "KeepFailures": (["s3:PutObject"], [f"{BUCKET}/aws/lambda/*"]),
        "Send": (
            ["firehose:PutRecordBatch"],
            [f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/shop-stg-page-views"],
        ),
        "Log": (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/shop-stg-page-views-stream:*"],
        ),
    }


def test_firehose_transforms_and_writes_files_that_aurora_can_read(replication: Recording) -> None:
    stream = replication.one("aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream").inputs
    assert stream["destination"] == "extended_s3"
    assert stream["serverSideEncryption"] == {"enabled": True}
    s3 = stream["extendedS3Configuration"]
    assert s3["bucketArn"] == BUCKET
    assert s3["compressionFormat"] == "UNCOMPRESSED"
    assert s3["prefix"] == "loads/page-views/!{timestamp:yyyy/MM/dd/HH}/"
    assert s3["errorOutputPrefix"] == (
        "!{firehose:error-output-type}/page-views/!{timestamp:yyyy/MM/dd/HH}/"
    )
    assert s3["cloudwatchLoggingOptions"]["enabled"] is True
    (processor,) = s3["processingConfiguration"]["processors"]
    assert processor["type"] == "Lambda"
    # AWS gives no parameter back that is at its default: the provider would change it for ever.
    assert {p["parameterName"]: p["parameterValue"] for p in processor["parameters"]} == {
        "LambdaArn": f"{function_arn('transform')}:$LATEST",
        "BufferSizeInMBs": "1.5",
    }
    permissions = actions(replication.statements(ROLE_POLICY, "shop-stg-page-views"))
    assert permissions["Write"][1] == [
        f"{BUCKET}/loads/page-views/*",
        f"{BUCKET}/*-failed/page-views/*",
    ]
    assert permissions["Transform"][1] == [
        function_arn("transform"),
        f"{function_arn('transform')}:$LATEST",
    ]


def test_every_new_file_becomes_a_message_and_no_message_is_lost(replication: Recording) -> None:
    rule = replication.one("aws:cloudwatch/eventRule:EventRule").inputs
    assert json.loads(rule["eventPattern"])["detail"] == {
        "bucket": {"name": [f"shop-stg-replication-{ACCOUNT}"]},
        "object": {"key": [{"prefix": "loads/page-views/"}]},
    }
    assert replication.one("aws:s3/bucketNotification:BucketNotification").inputs["eventbridge"]
    queue = replication.one("aws:sqs/queue:Queue", "shop-stg-page-views-load").inputs
    dead = f"arn:aws:sqs:{REGION}:{ACCOUNT}:shop-stg-page-views-load-dlq"
    assert json.loads(queue["redrivePolicy"])["deadLetterTargetArn"] == dead
    target = replication.one("aws:cloudwatch/eventTarget:EventTarget").inputs
    assert target["arn"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:shop-stg-page-views-load"
    assert target["deadLetterConfig"] == {"arn": dead}
    function = replication.one(FUNCTION, "shop-stg-page-views-load").inputs
    # AWS: six times the function's timeout at least.
    assert queue["visibilityTimeoutSeconds"] >= 6 * function["timeout"]
    mapping = replication.one(MAPPING, "shop-stg-page-views-load").inputs
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["scalingConfig"] == {"maximumConcurrency": 2}


def test_the_load_function_logs_on_by_token_and_reaches_the_cluster_alone(
    replication: Recording,
) -> None:
    function = replication.one(FUNCTION, "shop-stg-page-views-load").inputs
    variables = function["environment"]["variables"]
    assert variables["DATABASE_HOST"] == f"analytics-db.cluster-x.{REGION}.rds.amazonaws.com"
    assert (variables["DATABASE_PORT"], variables["DATABASE_USER"]) == ("3306", "ferry")
    assert "DATABASE_SECRET_ARN" not in variables
    assert function["vpcConfig"] == {
        "subnetIds": ["subnet-1", "subnet-2"],
        "securityGroupIds": ["shop-stg-replication-load-id"],
    }
    statements = replication.statements(ROLE_POLICY, "shop-stg-page-views-load")
    assert statements["LogOn"]["Resource"] == [
        f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:cluster-ABC/ferry"
    ]
    assert set(statements["NotByTheCode"]["Action"]) == set(statements["ConnectToVpc"]["Action"])
    assert statements["NotByTheCode"]["Effect"] == "Deny"
    assert not any("s3:" in a for each in statements.values() for a in each["Action"])
    (way_out,) = replication.all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    (way_in,) = replication.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    for rule, ours, theirs in (
        (way_out.inputs, "shop-stg-replication-load-id", "sg-cluster"),
        (way_in.inputs, "sg-cluster", "shop-stg-replication-load-id"),
    ):
        assert (rule["securityGroupId"], rule["referencedSecurityGroupId"]) == (ours, theirs)
        assert (rule["ipProtocol"], rule["fromPort"], rule["toPort"]) == ("tcp", 3306, 3306)


def test_aurora_reads_what_is_to_be_loaded_and_nothing_else(replication: Recording) -> None:
    role = replication.one("aws:iam/role:Role", "shop-stg-replication-aurora").inputs
    (assume,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert assume["Principal"] == {"Service": "rds.amazonaws.com"}
    assert assume["Condition"]["ArnEquals"] == {
        "aws:SourceArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:analytics-db"
    }
    permissions = actions(replication.statements(ROLE_POLICY, "shop-stg-replication-aurora"))
    assert permissions == {
        "List": (["s3:ListBucket"], [BUCKET]),
        "Read": (["s3:GetObject", "s3:GetObjectVersion"], [f"{BUCKET}/loads/*"]),
    }
    group = replication.one("aws:rds/clusterParameterGroup:ClusterParameterGroup").inputs
    (parameter,) = group["parameters"]
    assert parameter["name"] == "aws_default_s3_role"
    assert parameter["value"].endswith(":role/shop-stg-replication-aurora")


def test_a_cluster_is_left_as_it_is_unless_the_stack_says_so(guest: Recording) -> None:
    for kind in (
        "aws:rds/clusterRoleAssociation:ClusterRoleAssociation",
        "aws:rds/clusterParameterGroup:ClusterParameterGroup",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "aws:dynamodb/table:Table",
    ):
        assert not guest.has(kind), kind


def test_a_user_with_a_password_has_it_fetched_from_its_secret(guest: Recording) -> None:
    function = guest.one(FUNCTION, "shop-prod-page-views-load").inputs
    secret = function["environment"]["variables"]["DATABASE_SECRET_ARN"]
    statements = guest.statements(ROLE_POLICY, "shop-prod-page-views-load")
    assert "LogOn" not in statements
    assert statements["ReadPassword"]["Action"] == ["secretsmanager:GetSecretValue"]
    assert statements["ReadPassword"]["Resource"] == [secret]
    decrypt = statements["DecryptPassword"]
    assert decrypt["Action"] == ["kms:Decrypt"]
    assert decrypt["Resource"] == [SECRET_KEY]
    assert decrypt["Condition"] == {
        "StringEquals": {
            "kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com",
            "kms:EncryptionContext:SecretARN": secret,
        }
    }
    ports = {
        rule.inputs["toPort"]
        for rule in guest.all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    }
    assert ports == {3306, 443}


def test_the_stream_is_read_once_all_that_follows_is_there(replication: Recording) -> None:
    """Of a file that is written before the rule that tells of it, nobody ever hears."""
    mapping = replication.one(MAPPING, "shop-stg-page-views-stream")
    for kind in ("aws:cloudwatch/eventTarget:EventTarget", "aws:sqs/queuePolicy:QueuePolicy"):
        for each in replication.all(kind):
            assert each.urn in mapping.depends_on, each.urn


def test_failures_go_to_the_bucket_the_stack_names(guest: Recording) -> None:
    mapping = guest.one(MAPPING, "shop-prod-page-views-stream").inputs
    theirs = "arn:aws:s3:::their-failures"
    assert mapping["destinationConfig"] == {"onFailure": {"destinationArn": theirs}}
    stream = guest.statements(ROLE_POLICY, "shop-prod-page-views-stream")
    assert stream["KeepFailures"]["Resource"] == [f"{theirs}/aws/lambda/*"]
    resend = guest.statements(ROLE_POLICY, "shop-prod-page-views-resend")
    assert f"{theirs}/aws/lambda/*" in resend["Read"]["Resource"]
    for statements, action in ((stream, "kms:GenerateDataKey"), (resend, "kms:Decrypt")):
        use = statements["UseFailuresKey"]
        assert (use["Action"], use["Resource"]) == ([action], [FAILURES_KEY])
        assert use["Condition"] == {
            "StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
        }


def test_a_table_of_the_program_can_be_exported_and_outlives_mistakes(
    replication: Recording,
) -> None:
    table = replication.one("aws:dynamodb/table:Table")
    assert table.inputs["streamViewType"] == "NEW_AND_OLD_IMAGES"
    assert table.inputs["pointInTimeRecovery"] == {"enabled": True}
    assert (table.inputs["hashKey"], table.inputs["rangeKey"]) == ("page_id", "at")
    assert not table.protect
    prod = run_program(replication_config(), stack="prod").one("aws:dynamodb/table:Table")
    assert prod.protect
    assert prod.inputs["deletionProtectionEnabled"] is True


def test_every_place_where_changes_wait_or_end_up_has_an_alarm(replication: Recording) -> None:
    alarms = {
        each.name.removeprefix("shop-stg-page-views-"): each.inputs
        for each in replication.all(ALARM)
    }
    watched = {name: (each["namespace"], each["metricName"]) for name, each in alarms.items()}
    assert watched == {
        "iterator-age": ("AWS/Lambda", "IteratorAge"),
        "delivery-age": ("AWS/Firehose", "DeliveryToS3.DataFreshness"),
        "stream-unread": ("AWS/DynamoDB", "SuccessfulRequestLatency"),
        "stream-throttles": ("AWS/Lambda", "Throttles"),
        "load-lag": ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        "load-failures": ("data-ferry", "LoadFailures"),
        "dead-letters": ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        "discarded": ("AWS/Lambda", "OnFailureDestinationDeliveredEventCount"),
        "failed-records": ("data-ferry", "RecordsFailed"),
        "lost": ("AWS/Lambda", "DestinationDeliveryFailures"),
        "transform-errors": ("AWS/Lambda", "Errors"),
        "transform-throttles": ("AWS/Lambda", "Throttles"),
    }
    assert {each["threshold"] for each in alarms.values()} == {0, 1, 600, 600_000}
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:shop-stg-alerts"
    for each in alarms.values():
        assert each["alarmActions"] == [topic]
        assert links_a_section(each)


def test_a_stream_that_nobody_reads_is_told_though_no_metric_says_so(
    replication: Recording,
) -> None:
    alarm = replication.one(ALARM, "shop-stg-page-views-stream-unread").inputs
    assert alarm["dimensions"] == {"TableName": "page-views", "Operation": "GetRecords"}
    assert (alarm["statistic"], alarm["comparisonOperator"]) == ("SampleCount", "LessThanThreshold")
    assert (alarm["threshold"], alarm["treatMissingData"]) == (1, "breaching")
    assert alarm["period"] * alarm["evaluationPeriods"] == 15 * 60


def test_the_metrics_of_two_stacks_are_not_added_up(replication: Recording) -> None:
    alarm = replication.one(ALARM, "shop-stg-page-views-failed-records").inputs
    assert alarm["dimensions"] == {"service": "shop-stg", "flow": "page-views"}
    functions = {each.inputs["name"]: each.inputs for each in replication.all(FUNCTION)}
    variables = functions["shop-stg-page-views-transform"]["environment"]["variables"]
    assert variables["SERVICE_NAME"] == alarm["dimensions"]["service"]


WRONG_CLUSTERS = [
    ("aurora-postgresql 15.4", "has the engine aurora-postgresql"),
    ("aurora-mysql 5.7.mysql_aurora.2.12.1", "has the version 5.7.mysql_aurora.2.12.1"),
    ("aurora-mysql 8.0.mysql_aurora.3.08.2 no-tokens", "has no IAM database authentication"),
]


@pytest.mark.parametrize(("found", "problem"), WRONG_CLUSTERS)
def test_a_cluster_that_cannot_be_loaded_fails_the_preview(found: str, problem: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        run_program(replication_config(), databases={**DATABASES, "analytics-db": found})
    (line,) = str(caught.value).splitlines()
    assert line.startswith("data-ferry:replication.cluster: the cluster analytics-db ")
    assert problem in line


NO_CLUSTER = {**REPLICATION["cluster"], "identifier": "other-db"}
NO_TABLE = {**REPLICATION["flows"]["page-views"], "create_table": False, "table": NOT_THERE}
MISSING: list[tuple[dict[str, Any], str]] = [
    ({"cluster": NO_CLUSTER}, "cluster: the cluster other-db"),
    ({"flows": {"page-views": NO_TABLE}}, f"flows.page-views: the DynamoDB table {NOT_THERE}"),
    ({"on_failure_bucket": NOT_THERE}, f"on_failure_bucket: the bucket {NOT_THERE}"),
]


@pytest.mark.parametrize(("changes", "problem"), MISSING)
def test_what_is_not_there_is_told_in_one_line(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        run_program(replication_config(**changes))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"data-ferry:replication.{problem} could not be looked up: ")
    assert line.endswith("not found ()")


WRONG_TABLES = [
    ({"partition_key": {"at": "S"}, "sort_key": None}, "partition_key: {page_id: S}, sort_key"),
    ({"table": "keys-only"}, "has KEYS_ONLY; switch it on with NEW_AND_OLD_IMAGES"),
    ({"table": "no-stream"}, "is off; switch it on with NEW_AND_OLD_IMAGES"),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG_TABLES)
def test_a_table_that_is_not_as_declared_fails_the_preview(
    changes: dict[str, Any], problem: str
) -> None:
    flow = {**REPLICATION["flows"]["page-views"], "create_table": False, **changes}
    if "partition_key" in changes:
        flow["columns"] = {"at": "varchar(64)"}
    flow = {key: value for key, value in flow.items() if value is not None}
    with pytest.raises(pulumi.RunError) as caught:
        run_program(replication_config(flows={"page-views": flow}))
    (line,) = str(caught.value).splitlines()
    assert line.startswith("data-ferry:replication.flows.page-views: ")
    assert problem in line


def test_a_stack_with_the_route_alone_has_nothing_of_google(replication: Recording) -> None:
    assert not [each.type for each in replication.resources if "gcp" in each.type]
    assert set(replication.outputs) == {
        "alerts_topic",
        "replication_bucket",
        "aurora_role",
        "aurora_parameter_group",
        "load_security_group",
        "flows",
    }
    assert set(replication.outputs["flows"]["page-views"]) == {
        "delivery_stream",
        "resend_function",
        "stream_mapping",
        "load_function",
        "load_queue",
        "dead_letter_queue",
    }


def test_a_preview_shows_every_resource(replication: Recording) -> None:
    preview = run_program(replication_config(), preview=True)
    assert {each.urn for each in preview.resources} == {each.urn for each in replication.resources}
