"""What the tests of the local Firehose share: a stream to a bucket, and a function of their own."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rehearsal.aws.cloud import ACCOUNT, LocalAws
from rehearsal.aws.functions import Invocation
from tests.rehearsal.aws.cloud_kit import REGION, local_aws, make_role, statement

BUCKET = "shop-loads"
BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"
GROUP, LOG_STREAM = "/aws/kinesisfirehose/views", "DestinationDelivery"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:views-transform"
STREAM = "views"
STREAM_ARN = f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{STREAM}"

TO_BUCKET = statement(
    [
        *("s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"),
        *("s3:ListBucketMultipartUploads", "s3:PutObject"),
    ],
    [BUCKET_ARN, f"{BUCKET_ARN}/*"],
)
TO_FUNCTION = statement("lambda:InvokeFunction", FUNCTION)
TO_LOG = statement(
    "logs:PutLogEvents", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:log-stream:*"
)


def shouted(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return every record in capitals, as a function should."""
    return {"records": [ok(each, data_of(each).upper()) for each in event["records"]]}


def ok(record: Mapping[str, Any], data: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return {"recordId": record["recordId"], "result": "Ok", "data": encoded}


def data_of(record: Mapping[str, Any]) -> bytes:
    return base64.b64decode(record["data"])


@dataclass
class Function:
    """Stands where Lambda stands; *answer* may raise, or return an Invocation of its own."""

    answer: Callable[[dict[str, Any]], Any] = shouted
    events: list[dict[str, Any]] = field(default_factory=list)
    invoked: threading.Event = field(default_factory=threading.Event)

    def invoke(self, arn: str, payload: bytes) -> Invocation:
        assert arn == FUNCTION
        event = json.loads(payload)
        self.events.append(event)
        self.invoked.set()
        answer = self.answer(event)
        return answer if isinstance(answer, Invocation) else Invocation(json.dumps(answer).encode())


@dataclass
class Shop:
    """A cloud with a bucket, a delivery role and a function; streams are made by the tests."""

    aws: LocalAws
    api: Any
    s3: Any
    role: str
    function: Function

    def create(self, name: str = STREAM, **changes: Any) -> None:
        """Make a stream; settings that are None are left out."""
        self.api.create_delivery_stream(
            DeliveryStreamName=name, ExtendedS3DestinationConfiguration=self.settings(**changes)
        )

    def settings(self, **changes: Any) -> dict[str, Any]:
        settings = {"RoleARN": self.role, "BucketARN": BUCKET_ARN, "Prefix": "loads/", **changes}
        return {key: value for key, value in settings.items() if value is not None}

    def put(self, *records: bytes, name: str = STREAM) -> None:
        entries = [{"Data": record} for record in records]
        answer = self.api.put_record_batch(DeliveryStreamName=name, Records=entries)
        assert answer["FailedPutCount"] == 0

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def body(self, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def delivered(self, prefix: str = "loads/") -> bytes:
        """Deliver what waits and return all of it."""
        assert self.aws.firehose.flush()
        return b"".join(map(self.body, self.keys(prefix)))

    def failed(self) -> list[dict[str, Any]]:
        """Deliver what waits and return the lines below the prefix of errors."""
        lines = self.delivered("loads/processing-failed/").splitlines()
        return [json.loads(line) for line in lines]

    def logged(self) -> list[dict[str, Any]]:
        events = self.aws.client("logs").get_log_events(
            logGroupName=GROUP, logStreamName=LOG_STREAM
        )
        return [json.loads(event["message"]) for event in events["events"]]

    def describe(self, name: str = STREAM) -> dict[str, Any]:
        answer = self.api.describe_delivery_stream(DeliveryStreamName=name)
        described: dict[str, Any] = answer["DeliveryStreamDescription"]
        return described

    def destination(self) -> dict[str, Any]:
        (found,) = self.describe()["Destinations"]
        extended: dict[str, Any] = found["ExtendedS3DestinationDescription"]
        return extended

    def update(self, **changes: Any) -> None:
        self.api.update_destination(
            DeliveryStreamName=STREAM,
            CurrentDeliveryStreamVersionId=self.describe()["VersionId"],
            DestinationId="destinationId-000000000001",
            ExtendedS3DestinationUpdate=changes,
        )

    def allow(self, *statements: Mapping[str, Any]) -> None:
        """Give the delivery role other rights than it had."""
        self.aws.client("iam").put_role_policy(
            RoleName="delivery",
            PolicyName="own",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
        )


def processing(*parameters: tuple[str, str], enabled: bool = True) -> dict[str, Any]:
    """Return a processing configuration with the function of the tests."""
    named = dict([("LambdaArn", FUNCTION), *parameters])
    return {
        "Enabled": enabled,
        "Processors": [
            {
                "Type": "Lambda",
                "Parameters": [
                    {"ParameterName": name, "ParameterValue": value}
                    for name, value in named.items()
                ],
            }
        ],
    }


QUICK = 0.002
"""A scale of waits for tests of what happens by itself, or is retried."""

LOGGING = {"Enabled": True, "LogGroupName": GROUP, "LogStreamName": LOG_STREAM}


@contextmanager
def open_shop(*, logs: bool = True, wait_scale: float = 1, **options: Any) -> Iterator[Shop]:
    """Bring a cloud up with all that a stream needs; by default nothing happens before a flush."""
    with local_aws(wait_scale=wait_scale, **options) as aws:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        role = make_role(aws, "delivery", "firehose.amazonaws.com", TO_BUCKET, TO_FUNCTION, TO_LOG)
        if logs:
            aws.client("logs").create_log_group(logGroupName=GROUP)
            aws.client("logs").create_log_stream(logGroupName=GROUP, logStreamName=LOG_STREAM)
        function = Function()
        aws.functions.invoke = function.invoke  # type: ignore[method-assign, assignment]
        yield Shop(aws, aws.client("firehose"), s3, role, function)
