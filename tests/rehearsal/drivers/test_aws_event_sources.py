"""Mappings and bucket notifications live and die as their drivers say."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from tests.rehearsal.drivers.lifecycle import REGION, Life, live
from tests.rehearsal.drivers.test_aws_compute import a_role

MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
NOTIFICATION = "aws:s3/bucketNotification:BucketNotification"
ACCOUNT = "111122223333"
LOST = f"arn:aws:sqs:{REGION}:{ACCOUNT}:lost"


def a_function(clouds: Clouds, name: str) -> str:
    """Make a function whose role may read everything; return its ARN."""
    role = a_role(clouds, name, "lambda.amazonaws.com")
    policy = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    clouds.aws.client("iam").put_role_policy(
        RoleName=name, PolicyName="all", PolicyDocument=json.dumps(policy)
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): return None")
    made = clouds.aws.client("lambda").create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.12",
        Handler="app.handler",
        Code={"ZipFile": content.getvalue()},
    )
    return str(made["FunctionArn"])


def of_a_stream(clouds: Clouds) -> dict[str, str]:
    made = clouds.aws.client("dynamodb").create_table(
        TableName="life-mapping",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return {
        "eventSourceArn": made["TableDescription"]["LatestStreamArn"],
        "functionName": a_function(clouds, "life-of-stream"),
    }


def of_a_queue(name: str, *, by_name: bool = False):
    def make(clouds: Clouds) -> dict[str, str]:
        clouds.aws.client("sqs").create_queue(QueueName=name)
        function = a_function(clouds, name)
        return {
            "eventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
            "functionName": name if by_name else function,
        }

    return make


def a_bucket(clouds: Clouds) -> dict[str, str]:
    clouds.aws.client("s3").create_bucket(
        Bucket="life-notified", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return {"bucket": "life-notified"}


def silence(clouds: Clouds, bucket: str) -> None:
    put = clouds.aws.client("s3").put_bucket_notification_configuration
    put(Bucket=bucket, NotificationConfiguration={})


def change_by_hand(**settings: Any):
    def change(clouds: Clouds, identifier: str) -> None:
        clouds.aws.client("lambda").update_event_source_mapping(UUID=identifier, **settings)

    return change


def pattern(name: str) -> str:
    return json.dumps({"eventName": [name]}, indent=1)


LIVES = [
    Life(
        MAPPING,
        {
            "startingPosition": "TRIM_HORIZON",
            "batchSize": 500,
            "maximumBatchingWindowInSeconds": 5.0,
            "parallelizationFactor": 4,
            "maximumRetryAttempts": 3,
            "maximumRecordAgeInSeconds": 3600,
            "bisectBatchOnFunctionError": True,
            "functionResponseTypes": ["ReportBatchItemFailures"],
            "destinationConfig": {"onFailure": {"destinationArn": LOST}},
            "metricsConfig": {"metrics": ["EventCount"]},
            "tags": {"team": "data"},
        },
        before=of_a_stream,
        updates=[
            {"filterCriteria": {"filters": [{"pattern": pattern("INSERT")}]}},
            {
                "filterCriteria": {
                    "filters": [{"pattern": pattern(x)} for x in ("MODIFY", "REMOVE")]
                }
            },
            {"filterCriteria": None, "metricsConfig": None},
            {"enabled": False},
            {"batchSize": None, "maximumBatchingWindowInSeconds": 300, "enabled": None},
            {"destinationConfig": None, "bisectBatchOnFunctionError": None},
            {"maximumRetryAttempts": 0, "maximumRecordAgeInSeconds": None},
            {"parallelizationFactor": None, "maximumRetryAttempts": None},
            {"functionResponseTypes": None, "maximumBatchingWindowInSeconds": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=change_by_hand(BatchSize=7, Enabled=False),
        drift={"batchSize": 7, "enabled": False},
    ),
    Life(
        MAPPING,
        {
            "batchSize": 1,
            "scalingConfig": {"maximumConcurrency": 2},
            "functionResponseTypes": ["ReportBatchItemFailures"],
        },
        before=of_a_queue("life-of-queue"),
        updates=[
            {"batchSize": 100, "maximumBatchingWindowInSeconds": 1},
            {"scalingConfig": {"maximumConcurrency": 5}},
            {"scalingConfig": None},
            {"batchSize": None, "maximumBatchingWindowInSeconds": None},
        ],
        by_hand=change_by_hand(ScalingConfig={"MaximumConcurrency": 9}),
        drift={"scalingConfig": {"maximumConcurrency": 9}},
    ),
    Life(
        MAPPING,
        {},
        before=of_a_queue("life-by-name", by_name=True),
        updates=[{"batchSize": 2}],
        # Lambda tells the ARN, whatever the program calls the function.
        imported=False,
    ),
    Life(
        NOTIFICATION,
        {"eventbridge": True},
        before=a_bucket,
        updates=[{"eventbridge": None}, {"eventbridge": True}],
        by_hand=silence,
        drift={"eventbridge": False},
        left={"eventbridge": False},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=["stream", "queue", "by-name", "bucket"])
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_a_mapping_tells_what_the_program_uses(clouds: Clouds) -> None:
    inputs = of_a_queue("told-of-queue")(clouds)
    made = drivers.create(clouds, MAPPING, "it", inputs)
    assert made.outputs == {
        **inputs,
        "uuid": made.id,
        "arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{made.id}",
        "functionArn": inputs["functionName"],
    }
    registry.delete(clouds, MAPPING, "it", made.id, made.outputs)


def test_a_setting_of_another_kind_of_source_is_named(clouds: Clouds) -> None:
    inputs = {
        "functionName": "f",
        "eventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q",
        "parallelizationFactor": 2,
    }
    with pytest.raises(DriverError, match="not of such an event source: parallelizationFactor"):
        drivers.create(clouds, MAPPING, "it", inputs)


def test_a_mapping_is_replaced_for_what_lambda_cannot_change() -> None:
    assert registry.driver_of(MAPPING).replace_on == "eventSourceArn startingPosition region"


def test_a_bucket_that_is_gone_has_no_notification(clouds: Clouds) -> None:
    known = {"bucket": "never", "eventbridge": True}
    assert registry.read(clouds, NOTIFICATION, "it", "never", known) is None
    registry.delete(clouds, NOTIFICATION, "it", "never", known)
