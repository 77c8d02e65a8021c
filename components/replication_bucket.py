"""The bucket of the replication route: what waits to be loaded, and what could not be carried."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.private_bucket import private_bucket

LOADS = "loads"
FAILED = "processing-failed"
# Lambda, "Retaining discarded records": an S3 destination has this prefix, which cannot be chosen.
DISCARDED = "aws/lambda"
TABLE_EXPORTS = "table-exports"


@dataclass(frozen=True, kw_only=True)
class ReplicationBucketArgs:
    """What the bucket needs to know; `name` and the account id make its name."""

    account_id: pulumi.Input[str]
    retention_days: int
    failed_retention_days: int
    protect: bool


class ReplicationBucket(pulumi.ComponentResource):
    """An encrypted, private, TLS-only bucket that tells EventBridge of every object.

    Encrypted by S3 itself: before version 3.05, Aurora cannot load what a key of ours encrypts
    (Aurora user guide, "Loading data into an Amazon Aurora MySQL DB cluster from text files in an
    Amazon S3 bucket"), and its role would need that key. Not versioned: nothing in it is changed.
    """

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: ReplicationBucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:replication-bucket:ReplicationBucket", name, {}, opts)
        bucket = private_bucket(
            name,
            self,
            account_id=args.account_id,
            key_arn=None,
            expire={
                "loads": (f"{LOADS}/", args.retention_days),
                "failed": (f"{FAILED}/", args.failed_retention_days),
                "discarded": (f"{DISCARDED}/", args.failed_retention_days),
                "table-exports": (f"{TABLE_EXPORTS}/", args.retention_days),
            },
            protect=args.protect,
        )
        notified = aws.s3.BucketNotification(
            name,
            bucket=bucket.bucket,
            eventbridge=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Nothing may be written before EventBridge is told of it: it would never be loaded.
        self.bucket = notified.bucket
        self.arn = bucket.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})
