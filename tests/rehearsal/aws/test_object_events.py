"""A new object in a bucket is told of on EventBridge, in S3's words, and reaches a queue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from rehearsal.aws.cloud import ACCOUNT, LocalAws
from tests.rehearsal.aws.cloud_kit import REGION, document, local_aws
from tests.rehearsal.aws.event_source_kit import make_queue, receive, url_of

RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule"


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as cloud:
        yield cloud


def make_bucket(aws: LocalAws, name: str, *, eventbridge: bool = True) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if eventbridge:
        configuration: dict[str, dict[str, str]] = {"EventBridgeConfiguration": {}}
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration=configuration
        )


def make_route(aws: LocalAws, bucket: str, prefix: str = "", *, allowed: bool = True) -> str:
    """Have EventBridge send what is created below *prefix* to a queue; return its ARN."""
    queue, events = make_queue(aws, bucket), aws.client("events")
    if allowed:
        policy = document(
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": f"{RULE}/{bucket}"}},
            }
        )
        aws.client("sqs").set_queue_attributes(
            QueueUrl=url_of(aws, queue), Attributes={"Policy": policy}
        )
    pattern: dict[str, Any] = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": prefix}]}},
    }
    events.put_rule(Name=bucket, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=bucket, Targets=[{"Id": "queue", "Arn": queue}])
    return queue


def test_a_created_object_is_told_of_in_the_documented_form(aws: LocalAws) -> None:
    make_bucket(aws, "told")
    queue = make_route(aws, "told", "loads/")
    put = aws.client("s3").put_object(Bucket="told", Key="loads/a b+c.csv", Body=b"hello")
    aws.client("s3").put_object(Bucket="told", Key="elsewhere/x", Body=b"hello")
    (event,) = receive(aws, queue)
    assert re.fullmatch("[0-9a-f-]{36}", event.pop("id"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event.pop("time"))
    assert re.fullmatch("[0-9A-F]+", event["detail"]["object"].pop("sequencer"))
    assert re.fullmatch("[0-9A-Z]{16}", event["detail"].pop("request-id"))
    assert event == {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "region": REGION,
        "resources": ["arn:aws:s3:::told"],
        "detail": {
            "version": "0",
            "bucket": {"name": "told"},
            "object": {
                "key": "loads/a b+c.csv",
                "size": 5,
                "etag": put["ETag"].strip('"'),
            },
            "requester": ACCOUNT,
            "source-ip-address": "127.0.0.1",
            "reason": "PutObject",
        },
    }


def test_versions_and_the_order_of_writes_are_told(aws: LocalAws) -> None:
    make_bucket(aws, "versions")
    s3 = aws.client("s3")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    queue = make_route(aws, "versions")
    written = [
        s3.put_object(Bucket="versions", Key="x", Body=str(number).encode())["VersionId"]
        for number in range(5)
    ]
    upload = s3.create_multipart_upload(Bucket="versions", Key="y")["UploadId"]
    part = s3.upload_part(Bucket="versions", Key="y", UploadId=upload, PartNumber=1, Body=b"1")
    done = s3.complete_multipart_upload(
        Bucket="versions",
        Key="y",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    copied = s3.copy_object(Bucket="versions", Key="z", CopySource="versions/y")
    details = [event["detail"] for event in receive(aws, queue)]
    details.sort(key=lambda detail: str(detail["object"]["sequencer"]))
    assert [each["object"]["version-id"] for each in details] == [
        *written,
        done["VersionId"],
        copied["VersionId"],
    ]
    assert [each["reason"] for each in details[4:]] == [
        "PutObject",
        "CompleteMultipartUpload",
        "CopyObject",
    ]


def test_a_bucket_without_the_setting_tells_nothing(aws: LocalAws) -> None:
    make_bucket(aws, "silent", eventbridge=False)
    queue = make_route(aws, "silent")
    aws.client("s3").put_object(Bucket="silent", Key="x", Body=b"1")
    assert receive(aws, queue) == []


def test_a_queue_that_does_not_let_the_rule_in_is_a_problem(aws: LocalAws) -> None:
    make_bucket(aws, "closed")
    queue = make_route(aws, "closed", allowed=False)
    aws.client("s3").put_object(Bucket="closed", Key="x", Body=b"1")
    assert receive(aws, queue) == []
    assert [line for line in aws.problems if f"{RULE}/closed does not reach" in line]


def test_a_write_that_is_refused_tells_nothing(aws: LocalAws) -> None:
    queue = make_route(aws, "nowhere")
    with pytest.raises(Exception, match="NoSuchBucket"):
        aws.client("s3").put_object(Bucket="nowhere", Key="x", Body=b"1")
    assert receive(aws, queue) == []
