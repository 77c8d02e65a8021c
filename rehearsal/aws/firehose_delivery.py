"""Delivery of objects to S3 and of errors to CloudWatch Logs, as the roles a stream was given.

Sources: Amazon Data Firehose developer guide, "Configure Amazon S3 object name format", "Grant
Firehose access to an Amazon S3 destination" (the six actions of its access policy are all asked
for: a large object is uploaded in parts), "Allow Firehose to assume an IAM role" and, for codes and
messages, "Monitor Amazon Data Firehose using CloudWatch Logs". Firehose invokes the function under
the ARN it was given: a role that may invoke `<arn>` may not invoke `<arn>:$LATEST`, nor the other
way round.
"""

from __future__ import annotations

import gzip
import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.aws.access import Access
from rehearsal.aws.firehose_buffer import Record
from rehearsal.aws.firehose_prefix import error_prefix_of, object_prefix
from rehearsal.aws.firehose_settings import Destination, Transformation
from rehearsal.aws.firehose_transform import (
    ASSUME_DENIED,
    INVOKE_DENIED,
    Failure,
    InvocationDenied,
)
from rehearsal.aws.principals import Credentials, Principals

FIREHOSE_SERVICE = "firehose.amazonaws.com"

Authorize = Callable[[str, str, str, Mapping[str, Any]], None]
"""(principal, action, resource, context) -> None, or PermissionError, which is then reported."""

_SESSION = "AWSFirehoseToS3"
_BUCKET_ACTIONS = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
_OBJECT_ACTIONS = ("s3:AbortMultipartUpload", "s3:GetObject")

_S3_DENIED = Failure(
    "S3.AccessDenied",
    "Access was denied. Ensure that the trust policy for the provided IAM role allows Firehose to "
    "assume the role, and the access policy allows access to the S3 bucket.",
)
_NO_BUCKET = Failure(
    "S3.NoSuchBucket",
    "The specified bucket does not exist. Create the bucket or use a different bucket that does "
    "exist.",
)
_INTERNAL = Failure(
    "InternalError",
    "An internal error occurred while attempting to deliver data. Delivery will be retried; if "
    "the error persists, then it will be reported to AWS for resolution.",
)


@dataclass(eq=False)
class Parcel:
    """An object on its way to S3; it keeps its name however often it is tried.

    `since` is when its oldest record came, `next_try` when it is tried again, both of the
    monotonic clock.
    """

    destination: Destination
    version: int
    key: str
    body: bytes
    records: int
    since: float
    next_try: float
    tries: int = 0


def pack(
    stream: str,
    version: int,
    destination: Destination,
    records: Sequence[Record],
    *,
    failed: bool = False,
) -> Parcel:
    """Put records into one object; *failed* ones are named by the prefix of errors.

    Times in its name are those of its oldest record.
    """
    at = datetime.fromtimestamp(min(each.arrived for each in records) / 1000, destination.zone)
    prefix = (
        error_prefix_of(destination.prefix, destination.error_prefix, at)
        if failed
        else object_prefix(destination.prefix, at)
    )
    name = f"{stream}-{version}-{at:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}"
    extension = destination.extension or _EXTENSIONS[destination.compression]
    body = _compressed(b"".join(each.data for each in records), name, destination.compression)
    since = min(each.since for each in records)
    key = f"{prefix}{name}{extension}"
    return Parcel(destination, version, key, body, len(records), since, next_try=since)


_EXTENSIONS = {"UNCOMPRESSED": "", "GZIP": ".gz", "ZIP": ".zip"}
_ENCODINGS = {"GZIP": "gzip", "ZIP": "zip"}


def _compressed(data: bytes, name: str, how: str) -> bytes:
    if how == "GZIP":
        return gzip.compress(data, mtime=0)
    if how == "ZIP":
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr(name, data)
        return archive.getvalue()
    return data


class Roles:
    """What Firehose does as the roles of its streams."""

    def __init__(
        self,
        account: str,
        principals: Principals,
        access: Access,
        *,
        authorize: Authorize,
        client: Callable[[str, Config, Credentials], Any],
        report: Callable[[str], None],
    ) -> None:
        self._account = account
        self._principals = principals
        self._access = access
        self._client = client
        self._report = report
        self._clients: dict[tuple[str, str], Any] = {}
        self.authorize = authorize

    def assume(self, role: str, stream_arn: str) -> None:
        """Return when Firehose may assume *role*; PermissionError, which is reported, when not."""
        source = {
            "aws:SourceAccount": self._account,
            "aws:SourceArn": stream_arn,
            "sts:ExternalId": self._account,
        }
        try:
            self._access.assume(role, FIREHOSE_SERVICE, source)
        except PermissionError as error:
            self._report(f"{stream_arn}: {error}")
            raise

    def authorize_invocation(self, by: Transformation, stream_arn: str) -> None:
        """Return when the processor's role may invoke its function."""
        try:
            self.assume(by.role, stream_arn)
        except PermissionError:
            raise InvocationDenied(ASSUME_DENIED) from None
        try:
            self.authorize(by.role, "lambda:InvokeFunction", by.function, {})
        except PermissionError:
            raise InvocationDenied(INVOKE_DENIED) from None

    def client(self, service: str, role: str) -> Any:
        """Return a boto3 client with credentials of *role*."""
        if (service, role) not in self._clients:
            # One attempt: Firehose's own retries are what is being rehearsed.
            once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
            credentials = self._principals.session(role, _SESSION)
            self._clients[service, role] = self._client(service, once, credentials)
        return self._clients[service, role]

    def close(self) -> None:
        """Close the connections of the clients made here."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()


class Delivery:
    """Delivers for one delivery stream, and tells its log group what goes wrong."""

    def __init__(self, stream_arn: str, roles: Roles, report: Callable[[str], None]) -> None:
        self._stream_arn = stream_arn
        self._roles = roles
        self._report = report

    def deliver(self, parcel: Parcel) -> bool:
        """Put one object; False where it cannot be put now."""
        try:
            self._put(parcel)
        except PermissionError:
            failure = _S3_DENIED
        except ClientError as error:
            failure = _failure(error)
            if failure is not _S3_DENIED:  # which the guard has reported already
                self._cannot_put(parcel, error)
        except BotoCoreError as error:
            failure = _INTERNAL
            self._cannot_put(parcel, error)
        else:
            return True
        self.log(parcel.destination, parcel.version, failure)
        return False

    def _cannot_put(self, parcel: Parcel, why: Exception) -> None:
        where = f"s3://{parcel.destination.bucket}/{parcel.destination.prefix}"
        self._report(f"{self._stream_arn} cannot deliver to {where}: {why}")

    def _put(self, parcel: Parcel) -> None:
        to = parcel.destination
        bucket = f"arn:aws:s3:::{to.bucket}"
        self._roles.assume(to.role, self._stream_arn)
        for action in _BUCKET_ACTIONS:
            self._roles.authorize(to.role, action, bucket, {"s3:prefix": parcel.key})
        for action in _OBJECT_ACTIONS:
            self._roles.authorize(to.role, action, f"{bucket}/{parcel.key}", {})
        extra: dict[str, Any] = {}
        if to.key:
            extra |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": to.key}
        if to.compression in _ENCODINGS:
            extra["ContentEncoding"] = _ENCODINGS[to.compression]
        self._roles.client("s3", to.role).put_object(
            Bucket=to.bucket,
            Key=parcel.key,
            Body=parcel.body,
            ContentType="application/octet-stream",
            **extra,
        )

    def log(
        self, to: Destination, version: int, failure: Failure, function: str | None = None
    ) -> None:
        """Write an error to the log group of a destination, if it has one."""
        if to.log is None:
            return
        told = {
            "deliveryStreamARN": self._stream_arn,
            "destination": f"arn:aws:s3:::{to.bucket}",
            "deliveryStreamVersionId": str(version),
            "message": failure.message,
            "errorCode": failure.code,
            **({"processor": function} if function else {}),
        }
        group, stream = to.log
        event = {"timestamp": int(time.time() * 1000), "message": json.dumps(told)}
        try:
            self._roles.assume(to.role, self._stream_arn)
            self._roles.client("logs", to.role).put_log_events(
                logGroupName=group, logStreamName=stream, logEvents=[event]
            )
        except PermissionError:
            pass  # it is reported
        except (ClientError, BotoCoreError) as error:
            self._report(f"{self._stream_arn} cannot log to {group} ({stream}): {error}")


def _failure(error: ClientError) -> Failure:
    code = error.response["Error"]["Code"]
    return {"AccessDenied": _S3_DENIED, "NoSuchBucket": _NO_BUCKET}.get(code, _INTERNAL)
