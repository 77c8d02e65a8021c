"""The bucket RDS exports to, BigQuery reads from, and the load keeps its work list in."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement

LOADS = "loads"
_ABORT_UPLOADS_AFTER_DAYS = 1


@dataclass(frozen=True, kw_only=True)
class ExportBucketArgs:
    """What the bucket needs to know; `name` and the account id make its name."""

    account_id: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    prefix: str
    retention_days: int
    protect: bool


class ExportBucket(pulumi.ComponentResource):
    """An encrypted, private, TLS-only bucket whose exports expire.

    It is not versioned, on purpose: an export can be made again from its snapshot, and versions
    would keep rows of people beyond the days the stack promises.
    """

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: ExportBucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:export-bucket:ExportBucket", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=pulumi.Output.concat(name, "-", args.account_id),
            force_destroy=False,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        blocked = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.bucket,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": args.key_arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=child,
        )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.bucket,
            policy=_tls_only(bucket.arn),
            # S3 refuses a policy and a public access block set at the same moment.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[blocked]),
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.bucket,
            rules=[
                _expire("exports", f"{args.prefix}/", args.retention_days),
                _expire("loads", f"{LOADS}/", args.retention_days),
                {
                    "id": "abandoned-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {
                        "days_after_initiation": _ABORT_UPLOADS_AFTER_DAYS
                    },
                },
            ],
            opts=child,
        )
        self.bucket = bucket.bucket
        self.arn = bucket.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})


def _tls_only(bucket_arn: pulumi.Output[str]) -> pulumi.Output[str]:
    everything = (bucket_arn, pulumi.Output.concat(bucket_arn, "/*"))
    return iam.policy(
        iam.deny_plain_http("TlsOnly", "s3:*", *everything),
        Statement(
            sid="Tls12OrLater",
            effect="Deny",
            principals=iam.EVERYONE,
            actions=["s3:*"],
            resources=everything,
            conditions={"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ),
    )


def _expire(
    rule_id: str, prefix: str, days: int
) -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    return {
        "id": rule_id,
        "status": "Enabled",
        "filter": {"prefix": prefix},
        "expiration": {"days": days},
    }
