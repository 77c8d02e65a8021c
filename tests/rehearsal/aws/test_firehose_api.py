"""The Firehose API as boto3 sees it: streams and their settings, records, and every refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rehearsal.aws.cloud import ACCOUNT
from rehearsal.aws.delivery_faults import DeliveryFaults
from tests.rehearsal.aws.cloud_kit import REGION, make_role, statement
from tests.rehearsal.aws.firehose_kit import (
    BUCKET_ARN,
    LOGGING,
    STREAM,
    STREAM_ARN,
    Shop,
    open_shop,
    processing,
)

ID = "destinationId-000000000001"
RECORD_BYTES = 1_024_000


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    """Return code and message of a call that must be refused."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    told = error.value.response["Error"]
    return told["Code"], told["Message"]


def refused_settings(shop: Shop, **changes: Any) -> str:
    code, message = refused(
        shop.api.create_delivery_stream,
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration=shop.settings(**changes),
    )
    assert code == "InvalidArgumentException"
    assert shop.api.list_delivery_streams()["DeliveryStreamNames"] == []
    return message


# --- streams ------------------------------------------------------------------------------------


def test_a_stream_with_nothing_but_a_bucket(shop: Shop) -> None:
    created = shop.api.create_delivery_stream(
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration={"RoleARN": shop.role, "BucketARN": BUCKET_ARN},
    )
    assert created["DeliveryStreamARN"] == STREAM_ARN
    described = shop.describe()
    assert described["DeliveryStreamStatus"] == "ACTIVE"
    assert described["DeliveryStreamType"] == "DirectPut"
    assert described["VersionId"] == "1"
    assert described["DeliveryStreamEncryptionConfiguration"] == {"Status": "DISABLED"}
    assert "LastUpdateTimestamp" not in described
    assert described["Destinations"][0]["DestinationId"] == ID
    assert shop.destination() == {
        "RoleARN": shop.role,
        "BucketARN": BUCKET_ARN,
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        "CloudWatchLoggingOptions": {"Enabled": False},
        "S3BackupMode": "Disabled",
    }


def test_a_lambda_processor_is_described_with_all_its_parameters(shop: Shop) -> None:
    shop.create(ProcessingConfiguration=processing(("NumberOfRetries", "7")))
    (processor,) = shop.destination()["ProcessingConfiguration"]["Processors"]
    values = {each["ParameterName"]: each["ParameterValue"] for each in processor["Parameters"]}
    assert values["NumberOfRetries"] == "7"
    assert values["RoleArn"] == shop.role
    assert float(values["BufferSizeInMBs"]) == 1
    assert values["BufferIntervalInSeconds"] == "60"


def test_a_name_is_taken_once(shop: Shop) -> None:
    shop.create()
    code, message = refused(
        shop.api.create_delivery_stream,
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration=shop.settings(),
    )
    assert code == "ResourceInUseException"
    assert message == f"Firehose {STREAM} under accountId {ACCOUNT} already exists"


def test_streams_are_listed_in_order_and_in_pages(shop: Shop) -> None:
    for name in ("c", "a", "b"):
        shop.create(name)
    first = shop.api.list_delivery_streams(Limit=2)
    assert first["DeliveryStreamNames"] == ["a", "b"]
    assert first["HasMoreDeliveryStreams"] is True
    rest = shop.api.list_delivery_streams(ExclusiveStartDeliveryStreamName="b")
    assert rest["DeliveryStreamNames"] == ["c"]
    assert rest["HasMoreDeliveryStreams"] is False
    others = shop.api.list_delivery_streams(DeliveryStreamType="KinesisStreamAsSource")
    assert others["DeliveryStreamNames"] == []


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("describe_delivery_stream", {}),
        ("delete_delivery_stream", {}),
        ("put_record", {"Record": {"Data": b"x"}}),
        ("put_record_batch", {"Records": [{"Data": b"x"}]}),
        ("tag_delivery_stream", {"Tags": [{"Key": "a", "Value": "b"}]}),
        ("list_tags_for_delivery_stream", {}),
        ("start_delivery_stream_encryption", {}),
        ("stop_delivery_stream_encryption", {}),
        (
            "update_destination",
            {
                "CurrentDeliveryStreamVersionId": "1",
                "DestinationId": ID,
                "ExtendedS3DestinationUpdate": {},
            },
        ),
    ],
)
def test_a_stream_that_is_not_there(shop: Shop, operation: str, more: dict[str, Any]) -> None:
    code, message = refused(getattr(shop.api, operation), DeliveryStreamName="moon", **more)
    assert code == "ResourceNotFoundException"
    assert message == f"Firehose moon under account {ACCOUNT} not found."


def test_a_deleted_stream_is_gone_and_what_it_had_is_told(shop: Shop) -> None:
    shop.create()
    shop.put(b"one", b"two")
    shop.api.delete_delivery_stream(DeliveryStreamName=STREAM)
    assert shop.api.list_delivery_streams()["DeliveryStreamNames"] == []
    assert shop.aws.problems == [f"{STREAM_ARN} was deleted with 2 records undelivered"]
    shop.create()
    assert shop.delivered() == b""


# --- settings that are refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"Prefix": "!{timestamp:yyyy}/"}, "ErrorOutputPrefix cannot be null or empty"),
        ({"ErrorOutputPrefix": "!{timestamp:yyyy}/"}, "ErrorOutputPrefix must contain"),
        ({"CloudWatchLoggingOptions": {"Enabled": True}}, "LogGroupName and LogStreamName"),
        ({"CompressionFormat": "Snappy"}, "the local Firehose does not know it"),
        (
            {"DynamicPartitioningConfiguration": {"Enabled": True}},
            "DynamicPartitioningConfiguration: the local Firehose does not know it",
        ),
        ({"S3BackupMode": "Enabled"}, "S3BackupConfiguration is required"),
        ({"CustomTimeZone": "Moon/Tranquility"}, "CustomTimeZone Moon/Tranquility is not known"),
        (
            {"ProcessingConfiguration": {"Enabled": True, "Processors": []}},
            "A maximum of 5 and a minimum of 1 processor needs to be supplied",
        ),
        (
            {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda"}]}},
            "LambdaArn is required when Lambda processor is used.",
        ),
        (
            {
                "ProcessingConfiguration": {
                    "Enabled": True,
                    "Processors": processing()["Processors"] * 2,
                }
            },
            "Cannot have more than 1 Lambda processor.",
        ),
        (
            {
                "ProcessingConfiguration": {
                    "Enabled": True,
                    "Processors": [{"Type": "AppendDelimiterToRecord"}],
                }
            },
            "the processor AppendDelimiterToRecord: the local Firehose does not know it",
        ),
        (
            {"ProcessingConfiguration": processing(("NumberOfRetries", "301"))},
            "Number of retries for lambda must be between 0 and 300.",
        ),
        (
            {"ProcessingConfiguration": processing(("BufferSizeInMBs", "2"))},
            "Both BufferSizeInMBs and BufferIntervalInSeconds are required",
        ),
        (
            {
                "ProcessingConfiguration": processing(
                    ("BufferSizeInMBs", "3.1"), ("BufferIntervalInSeconds", "1")
                )
            },
            "BufferSizeInMBs for lambda processor must be between 0.2 and 3.",
        ),
        (
            {
                "ProcessingConfiguration": processing(
                    ("BufferSizeInMBs", "1"), ("BufferIntervalInSeconds", "1000")
                )
            },
            "BufferIntervalInSeconds for lambda processor must be between 0 and 900.",
        ),
        (
            {"ProcessingConfiguration": processing(("LambdaArn", "views-transform"))},
            "is not the ARN of a Lambda function",
        ),
    ],
)
def test_settings_that_are_refused(shop: Shop, changes: dict[str, Any], told: str) -> None:
    assert told in refused_settings(shop, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"RoleARN": "delivery"}, "extendedS3DestinationConfiguration.roleARN"),
        ({"BucketARN": "shop-loads"}, "extendedS3DestinationConfiguration.bucketARN"),
        (
            {"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 60}},
            "Member must have value less than or equal to 128",
        ),
        (
            {"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 901}},
            "Member must have value less than or equal to 900",
        ),
        ({"CompressionFormat": "LZ4"}, "Member must satisfy enum value set: [UNCOMPRESSED, GZIP"),
    ],
)
def test_settings_of_another_shape_than_the_model(
    shop: Shop, changes: dict[str, Any], told: str
) -> None:
    code, message = refused(
        shop.api.create_delivery_stream,
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration=shop.settings(**changes),
    )
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value at ")
    assert told in message


def test_names_have_few_characters(shop: Shop) -> None:
    for name in ("a" * 65, "page views"):
        code, _ = refused(
            shop.api.create_delivery_stream,
            DeliveryStreamName=name,
            ExtendedS3DestinationConfiguration=shop.settings(),
        )
        assert code == "ValidationException"


def test_a_role_that_firehose_may_not_assume(shop: Shop) -> None:
    others = make_role(shop.aws, "others", "lambda.amazonaws.com")
    missing = f"arn:aws:iam::{ACCOUNT}:role/missing"
    for role in (others, missing):
        message = refused_settings(shop, RoleARN=role)
        assert message == (
            f"Firehose is unable to assume role {role}. Please check the role provided."
        )
    processor = processing(("RoleArn", others))
    assert others in refused_settings(shop, ProcessingConfiguration=processor)
    assert "sts:AssumeRole" in shop.aws.problems[0]


def test_a_trust_that_names_the_account_and_the_stream(shop: Shop) -> None:
    conditions = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT, "sts:ExternalId": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/v*"},
    }
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "firehose.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": conditions,
            }
        ],
    }
    iam = shop.aws.client("iam")
    iam.update_assume_role_policy(RoleName="delivery", PolicyDocument=json.dumps(document))
    shop.create()
    shop.put(b"one")
    assert shop.delivered() == b"one"


def test_other_sources_and_destinations_are_refused(shop: Shop) -> None:
    code, message = refused(
        shop.api.create_delivery_stream,
        DeliveryStreamName=STREAM,
        DeliveryStreamType="KinesisStreamAsSource",
        ExtendedS3DestinationConfiguration=shop.settings(),
    )
    assert code == "InvalidArgumentException"
    assert "knows only DirectPut" in message
    code, message = refused(shop.api.create_delivery_stream, DeliveryStreamName=STREAM)
    assert message == "Exactly one destination configuration is supported for a Firehose"
    code, message = refused(
        shop.api.create_delivery_stream,
        DeliveryStreamName=STREAM,
        HttpEndpointDestinationConfiguration={
            "EndpointConfiguration": {"Url": "https://localhost"},
            "S3Configuration": {"RoleARN": shop.role, "BucketARN": BUCKET_ARN},
        },
    )
    assert "delivers only to S3" in message


# --- updates ------------------------------------------------------------------------------------


def test_an_update_is_merged_and_makes_a_version(shop: Shop) -> None:
    shop.create(CloudWatchLoggingOptions=LOGGING, ProcessingConfiguration=processing())
    before = shop.destination()
    shop.update(BufferingHints={"SizeInMBs": 64}, CloudWatchLoggingOptions={"Enabled": False})
    assert shop.describe()["VersionId"] == "2"
    assert "LastUpdateTimestamp" in shop.describe()
    assert shop.destination() == {
        **before,
        "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 300},
        "CloudWatchLoggingOptions": {**LOGGING, "Enabled": False},
    }
    shop.update(BufferingHints={"SizeInMBs": 64})
    assert shop.describe()["VersionId"] == "2", "nothing is changed by it"


def test_an_update_of_another_version_or_destination(shop: Shop) -> None:
    shop.create()
    update = {"DeliveryStreamName": STREAM, "ExtendedS3DestinationUpdate": {"Prefix": "x/"}}
    code, message = refused(
        shop.api.update_destination,
        CurrentDeliveryStreamVersionId="9",
        DestinationId=ID,
        **update,
    )
    assert code == "ConcurrentModificationException"
    assert message == (
        f"Cannot update firehose: {STREAM} since the current version id: 1 and specified version "
        "id: 9 do not match"
    )
    code, message = refused(
        shop.api.update_destination,
        CurrentDeliveryStreamVersionId="1",
        DestinationId="moon",
        **update,
    )
    assert (code, message) == ("InvalidArgumentException", "Destination Id moon not found")
    assert shop.destination()["Prefix"] == "loads/"


def test_an_update_is_checked_like_a_new_stream(shop: Shop) -> None:
    shop.create()
    with pytest.raises(ClientError, match="ErrorOutputPrefix cannot be null or empty"):
        shop.update(Prefix="!{timestamp:yyyy}/")
    with pytest.raises(ClientError, match="unable to assume role"):
        shop.update(RoleARN=f"arn:aws:iam::{ACCOUNT}:role/missing")
    assert shop.describe()["VersionId"] == "1"


def test_a_backup_stays(shop: Shop) -> None:
    backup = {"RoleARN": shop.role, "BucketARN": BUCKET_ARN}
    short = {**backup, "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 59}}
    message = refused_settings(shop, S3BackupMode="Enabled", S3BackupConfiguration=short)
    assert message == "S3 backup buffering interval must be between 60 and 900 seconds."
    shop.create(S3BackupMode="Enabled", S3BackupConfiguration=backup)
    assert shop.destination()["S3BackupDescription"]["BucketARN"] == BUCKET_ARN
    with pytest.raises(ClientError, match="Disabling S3 backup is not currently supported"):
        shop.update(S3BackupMode="Disabled")


# --- tags and encryption --------------------------------------------------------------------------


def test_tags(shop: Shop) -> None:
    shop.api.create_delivery_stream(
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration=shop.settings(),
        Tags=[{"Key": "team", "Value": "data"}],
    )
    shop.api.tag_delivery_stream(
        DeliveryStreamName=STREAM, Tags=[{"Key": "stage", "Value": "stg"}, {"Key": "team"}]
    )
    shown = shop.api.list_tags_for_delivery_stream(DeliveryStreamName=STREAM, Limit=1)
    assert shown["Tags"] == [{"Key": "stage", "Value": "stg"}]
    assert shown["HasMoreTags"] is True
    shown = shop.api.list_tags_for_delivery_stream(
        DeliveryStreamName=STREAM, ExclusiveStartTagKey="stage"
    )
    assert shown["Tags"] == [{"Key": "team", "Value": ""}]
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(49)]
    code, _ = refused(shop.api.tag_delivery_stream, DeliveryStreamName=STREAM, Tags=many)
    assert code == "LimitExceededException"
    shop.api.untag_delivery_stream(DeliveryStreamName=STREAM, TagKeys=["stage", "moon"])
    shown = shop.api.list_tags_for_delivery_stream(DeliveryStreamName=STREAM)
    assert [tag["Key"] for tag in shown["Tags"]] == ["team"]


def test_encryption(shop: Shop) -> None:
    shop.create()
    assert shop.api.put_record(DeliveryStreamName=STREAM, Record={"Data": b"x"})["Encrypted"] is (
        False
    )
    shop.api.start_delivery_stream_encryption(DeliveryStreamName=STREAM)
    owned = {"Status": "ENABLED", "KeyType": "AWS_OWNED_CMK"}
    assert shop.describe()["DeliveryStreamEncryptionConfiguration"] == owned
    put = shop.api.put_record_batch(DeliveryStreamName=STREAM, Records=[{"Data": b"x"}])
    assert put["Encrypted"] is True

    key = shop.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    own = {"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": key}
    shop.api.start_delivery_stream_encryption(
        DeliveryStreamName=STREAM, DeliveryStreamEncryptionConfigurationInput=own
    )
    assert shop.describe()["DeliveryStreamEncryptionConfiguration"] == {"Status": "ENABLED", **own}
    missing = {**own, "KeyARN": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/missing"}
    code, _ = refused(
        shop.api.start_delivery_stream_encryption,
        DeliveryStreamName=STREAM,
        DeliveryStreamEncryptionConfigurationInput=missing,
    )
    assert code == "InvalidKMSResourceException"
    shop.api.stop_delivery_stream_encryption(DeliveryStreamName=STREAM)
    assert shop.describe()["DeliveryStreamEncryptionConfiguration"] == {"Status": "DISABLED"}


# --- records ------------------------------------------------------------------------------------


def test_the_largest_records_are_taken(shop: Shop) -> None:
    shop.create()
    shop.api.put_record(DeliveryStreamName=STREAM, Record={"Data": b"a" * RECORD_BYTES})
    shop.put(*[b"b" * (4 * 1024 * 1024 // 5)] * 5)
    shop.put(*[b"c"] * 500)
    shop.put(b"")
    assert len(shop.delivered()) == RECORD_BYTES + 4 * 1024 * 1024 // 5 * 5 + 500


def test_too_much_is_refused_as_a_whole(shop: Shop) -> None:
    shop.create()
    batch = shop.api.put_record_batch
    large = {"Data": b"a" * (RECORD_BYTES + 1)}
    code, message = refused(shop.api.put_record, DeliveryStreamName=STREAM, Record=large)
    assert code == "ValidationException"
    assert "'record.data'" in message
    code, message = refused(batch, DeliveryStreamName=STREAM, Records=[{"Data": b"a"}, large])
    assert code == "ValidationException"
    assert f"less than or equal to {RECORD_BYTES}" in message
    code, message = refused(batch, DeliveryStreamName=STREAM, Records=[{"Data": b"a"}] * 501)
    assert code == "ValidationException"
    assert "Member must have length less than or equal to 500" in message
    heavy = [{"Data": b"a" * 900_000}] * 5
    code, message = refused(batch, DeliveryStreamName=STREAM, Records=heavy)
    assert (code, message) == ("InvalidArgumentException", "Records size exceeds 4 MB limit")
    assert shop.delivered() == b""


def test_every_record_gets_an_id_of_its_own(shop: Shop) -> None:
    shop.create()
    one = shop.api.put_record(DeliveryStreamName=STREAM, Record={"Data": b"x"})["RecordId"]
    answer = shop.api.put_record_batch(DeliveryStreamName=STREAM, Records=[{"Data": b"x"}] * 3)
    ids = [entry["RecordId"] for entry in answer["RequestResponses"]]
    assert len({one, *ids}) == 4
    assert answer["FailedPutCount"] == 0


def test_entries_that_are_not_taken_are_told_one_by_one() -> None:
    with open_shop(faults=DeliveryFaults(seed=3, rejected=0.5)) as shop:
        shop.create()
        records = [f"{number};".encode() for number in range(100)]
        taken = b""
        answer = shop.api.put_record_batch(
            DeliveryStreamName=STREAM, Records=[{"Data": record} for record in records]
        )
        assert 20 < answer["FailedPutCount"] < 80
        assert len(answer["RequestResponses"]) == 100
        for record, response in zip(records, answer["RequestResponses"], strict=True):
            if "ErrorCode" in response:
                assert response["ErrorCode"] == "ServiceUnavailableException"
                assert response["ErrorMessage"]
                assert "RecordId" not in response
            else:
                taken += record
        assert shop.delivered() == taken


# --- who may ------------------------------------------------------------------------------------


def producer(shop: Shop, *statements: dict[str, Any]) -> Any:
    """Return a client with the credentials of a role that has these statements."""
    role = make_role(shop.aws, "producer", "lambda.amazonaws.com", *statements)
    credentials = shop.aws._principals.session(role, "producer")
    return boto3.client(
        "firehose",
        region_name=REGION,
        endpoint_url=shop.aws.endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_a_producer_may_put_what_its_role_allows(shop: Shop) -> None:
    shop.create()
    shop.create("orders")
    api = producer(shop, statement("firehose:PutRecordBatch", STREAM_ARN))
    batch = {"Records": [{"Data": b"x"}]}
    assert api.put_record_batch(DeliveryStreamName=STREAM, **batch)["FailedPutCount"] == 0
    code, message = refused(api.put_record_batch, DeliveryStreamName="orders", **batch)
    assert code == "AccessDeniedException"
    assert re.search("not authorized to perform: firehose:PutRecordBatch on .*/orders", message)
    code, _ = refused(api.put_record, DeliveryStreamName=STREAM, Record={"Data": b"x"})
    assert code == "AccessDeniedException"
    code, message = refused(api.list_delivery_streams)
    assert "firehose:ListDeliveryStreams on resource: *" in message
    assert len(shop.aws.problems) == 3


def test_who_makes_a_stream_passes_its_roles(shop: Shop) -> None:
    other = make_role(shop.aws, "transforming", "firehose.amazonaws.com")
    allowed = statement(["firehose:CreateDeliveryStream"], STREAM_ARN)
    passes = statement(
        "iam:PassRole",
        shop.role,
        Condition={"StringEquals": {"iam:PassedToService": "firehose.amazonaws.com"}},
    )
    api = producer(shop, allowed, passes)
    _, message = refused(
        api.create_delivery_stream,
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration=shop.settings(
            ProcessingConfiguration=processing(("RoleArn", other))
        ),
    )
    assert f"iam:PassRole on resource: {other}" in message
    api.create_delivery_stream(
        DeliveryStreamName=STREAM, ExtendedS3DestinationConfiguration=shop.settings()
    )
    _, message = refused(
        api.create_delivery_stream,
        DeliveryStreamName=STREAM,
        ExtendedS3DestinationConfiguration=shop.settings(),
        Tags=[{"Key": "team", "Value": "data"}],
    )
    assert "firehose:TagDeliveryStream" in message
