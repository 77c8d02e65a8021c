"""Delivery streams live and die as their driver says."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, registry
from tests.rehearsal.aws.cloud_kit import trust
from tests.rehearsal.drivers.lifecycle import Life, live

STREAM = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"
NAME = "life-stream"
ROLE = "arn:aws:iam::111122223333:role/life-delivery"
OTHER_ROLE = "arn:aws:iam::111122223333:role/life-other"
THIRD_ROLE = "arn:aws:iam::111122223333:role/life-third"
FUNCTION = "arn:aws:lambda:eu-west-1:111122223333:function:life-transform"


def processing(*parameters: tuple[str, str], enabled: bool = True) -> dict[str, Any]:
    return {
        "enabled": enabled,
        "processors": [
            {
                "type": "Lambda",
                "parameters": [
                    {"parameterName": name, "parameterValue": value}
                    for name, value in (("LambdaArn", FUNCTION), *parameters)
                ],
            }
        ],
    }


def destination(**changes: Any) -> dict[str, Any]:
    configuration = {
        "roleArn": ROLE,
        "bucketArn": "arn:aws:s3:::life-loads",
        "prefix": "loads/views/!{timestamp:yyyy/MM/dd/HH}/",
        "errorOutputPrefix": "!{firehose:error-output-type}/views/!{timestamp:yyyy/MM/dd/HH}/",
        "bufferingSize": 64,
        "bufferingInterval": 60,
        "compressionFormat": "GZIP",
        "cloudwatchLoggingOptions": {
            "enabled": True,
            "logGroupName": "/aws/kinesisfirehose/life",
            "logStreamName": "DestinationDelivery",
        },
        "processingConfiguration": processing(
            ("NumberOfRetries", "5"),
            ("RoleArn", OTHER_ROLE),
            ("BufferSizeInMBs", "0.5"),
            ("BufferIntervalInSeconds", "30"),
        ),
        **changes,
    }
    return {key: value for key, value in configuration.items() if value is not None}


def make_roles(clouds: Clouds) -> dict[str, Any]:
    iam = clouds.aws.client("iam")
    for arn in (ROLE, OTHER_ROLE, THIRD_ROLE):
        name = arn.rpartition("/")[2]
        if name not in {role["RoleName"] for role in iam.list_roles()["Roles"]}:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("firehose.amazonaws.com"))
    return {}


def shorten_interval(clouds: Clouds, _arn: str) -> None:
    firehose = clouds.aws.client("firehose")
    stream = firehose.describe_delivery_stream(DeliveryStreamName=NAME)
    firehose.update_destination(
        DeliveryStreamName=NAME,
        CurrentDeliveryStreamVersionId=stream["DeliveryStreamDescription"]["VersionId"],
        DestinationId="destinationId-000000000001",
        ExtendedS3DestinationUpdate={"BufferingHints": {"IntervalInSeconds": 0}},
    )


BARE = {
    "roleArn": ROLE,
    "bucketArn": "arn:aws:s3:::life-loads",
    "cloudwatchLoggingOptions": {"enabled": False},
    "processingConfiguration": {"enabled": False, "processors": []},
}

LIFE = Life(
    STREAM,
    {
        "name": NAME,
        "destination": "extended_s3",
        "extendedS3Configuration": destination(),
        "serverSideEncryption": {"enabled": True, "keyType": "AWS_OWNED_CMK"},
        "tags": {"team": "data"},
    },
    before=make_roles,
    updates=[
        {"extendedS3Configuration": destination(bufferingSize=128.0, bufferingInterval=900)},
        {"extendedS3Configuration": destination(compressionFormat=None, roleArn=THIRD_ROLE)},
        {
            "extendedS3Configuration": destination(
                prefix="loads/",
                errorOutputPrefix=None,
                kmsKeyArn="arn:aws:kms:eu-west-1:111122223333:key/1",
            )
        },
        {"extendedS3Configuration": destination(processingConfiguration=processing())},
        {
            "extendedS3Configuration": destination(
                processingConfiguration=processing(("NumberOfRetries", "0"), enabled=False)
            )
        },
        {"extendedS3Configuration": destination(), "serverSideEncryption": None},
        {"serverSideEncryption": {"enabled": True, "keyType": "AWS_OWNED_CMK"}},
        {"tags": {"team": "web", "stage": "stg"}},
        {"tags": None},
    ],
    by_hand=shorten_interval,
    drift={"extendedS3Configuration": destination(bufferingInterval=0)},
)


def test_a_life(clouds: Clouds) -> None:
    live(clouds, LIFE)


def create(clouds: Clouds, **changes: Any) -> Any:
    make_roles(clouds)
    inputs = {"name": NAME, "destination": "extended_s3", "extendedS3Configuration": BARE}
    return drivers.create(clouds, STREAM, "it", {**inputs, **changes})


def test_what_is_taken_away_goes_back_to_its_default(clouds: Clouds) -> None:
    made = create(clouds, extendedS3Configuration=destination())
    inputs = {**LIFE.inputs, "extendedS3Configuration": BARE, "tags": {}}
    del inputs["serverSideEncryption"]
    changed = registry.update(clouds, STREAM, "it", made.id, inputs, made.outputs)
    assert registry.read(clouds, STREAM, "it", made.id, changed) == changed
    stream = clouds.aws.client("firehose").describe_delivery_stream(DeliveryStreamName=NAME)
    (found,) = stream["DeliveryStreamDescription"]["Destinations"]
    extended = found["ExtendedS3DestinationDescription"]
    assert extended["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 300}
    assert extended["CloudWatchLoggingOptions"]["Enabled"] is False
    assert extended["ProcessingConfiguration"] == {"Enabled": False, "Processors": []}
    assert extended["Prefix"] == extended["ErrorOutputPrefix"] == ""
    registry.delete(clouds, STREAM, "it", made.id, changed)


def test_parameters_are_a_set_and_those_at_their_default_may_be_given(clouds: Clouds) -> None:
    given = destination(
        processingConfiguration=processing(
            ("BufferIntervalInSeconds", "60"), ("BufferSizeInMBs", "1"), ("RoleArn", ROLE)
        )
    )
    made = create(clouds, extendedS3Configuration=given)
    assert registry.read(clouds, STREAM, "it", made.id, made.outputs) == made.outputs
    imported = registry.read(clouds, STREAM, "it", made.id, {})
    assert imported is not None
    assert imported["extendedS3Configuration"]["processingConfiguration"] == processing()
    registry.delete(clouds, STREAM, "it", made.id, made.outputs)


def test_an_update_needs_the_version_that_is(clouds: Clouds) -> None:
    made = create(clouds, extendedS3Configuration=destination())
    shorten_interval(clouds, made.id)
    inputs = {**LIFE.inputs, "extendedS3Configuration": destination(bufferingSize=1)}
    with pytest.raises(drivers.DriverError, match="ConcurrentModificationException"):
        registry.update(clouds, STREAM, "it", made.id, inputs, made.outputs)
    registry.delete(clouds, STREAM, "it", made.id, made.outputs)


def test_other_destinations_and_settings_are_refused(clouds: Clouds) -> None:
    with pytest.raises(drivers.DriverError, match="destination redshift: only extended_s3"):
        create(clouds, destination="redshift")
    with pytest.raises(drivers.DriverError, match="does not know dynamicPartitioningConfiguration"):
        create(clouds, extendedS3Configuration={**BARE, "dynamicPartitioningConfiguration": {}})


def test_a_new_name_destination_or_region_is_a_new_stream() -> None:
    kind = registry.driver_of(STREAM)
    assert kind.replace_on == "name destination region"
    assert kind.deletes_first({"name": NAME})
