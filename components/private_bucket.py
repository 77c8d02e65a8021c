"""What every bucket of the program is: private, owned by the account, encrypted, and TLS-only."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement

_ABORT_UPLOADS_AFTER_DAYS = 1


def private_bucket(
    name: str,
    parent: pulumi.Resource,
    *,
    account_id: pulumi.Input[str],
    key_arn: pulumi.Input[str] | None,
    expire: dict[str, tuple[str, int]],
    protect: bool,
) -> aws.s3.Bucket:
    """Make the bucket `<name>-<account id>` with its settings as children of `parent`.

    `key_arn` is the KMS key of new objects; None leaves the encryption to S3's own keys (SSE-S3).
    `expire` are the rules by which objects go: rule id → prefix, days.
    """
    child = pulumi.ResourceOptions(parent=parent)
    bucket = aws.s3.Bucket(
        name,
        bucket=pulumi.Output.concat(name, "-", account_id),
        force_destroy=False,
        opts=pulumi.ResourceOptions(parent=parent, protect=protect),
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
        name, bucket=bucket.bucket, rules=[_encryption(key_arn)], opts=child
    )
    aws.s3.BucketPolicy(
        name,
        bucket=bucket.bucket,
        policy=_tls_only(bucket.arn),
        # S3 refuses a policy and a public access block set at the same moment.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[blocked]),
    )
    aws.s3.BucketLifecycleConfiguration(
        name,
        bucket=bucket.bucket,
        rules=[
            *(_expire(rule, prefix, days) for rule, (prefix, days) in expire.items()),
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
    return bucket


def _encryption(
    key_arn: pulumi.Input[str] | None,
) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgsDict:
    if key_arn is None:
        return {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    return {
        "apply_server_side_encryption_by_default": {
            "sse_algorithm": "aws:kms",
            "kms_master_key_id": key_arn,
        },
        "bucket_key_enabled": True,
    }


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
