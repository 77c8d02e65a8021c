"""The AWS identity with which BigQuery's transfer service reads the exports.

The transfer service knows no keyless way to S3 (google's Amazon S3 transfer page asks for an
access key), so this is the one long-lived key of the program: it can read one prefix of one
bucket, and it is rotated by a change of configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.export_key import through_s3
from components.iam import Statement


@dataclass(frozen=True, kw_only=True)
class ReaderArgs:
    """What is read, and the generation of the key."""

    bucket_arn: pulumi.Input[str]
    prefix: str
    key_arn: pulumi.Input[str]
    region: str
    key_generation: int


class Reader(pulumi.ComponentResource):
    """An IAM user that can read the exports, and its access key.

    The generation is part of the key's name in the stack. A higher one is therefore another
    resource: it is created, everything that holds the key is updated, and the old one is deleted
    at the end of the same update. IAM allows a user two keys, which is just enough.
    """

    user_arn: pulumi.Output[str]
    access_key_id: pulumi.Output[str]
    secret_access_key: pulumi.Output[str]

    def __init__(
        self, name: str, args: ReaderArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:reader:Reader", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        user = aws.iam.User(name, name=name, opts=child)
        permissions = aws.iam.UserPolicy(
            name,
            name="read-exports",
            user=user.name,
            policy=iam.policy(*_permissions(args)),
            opts=child,
        )
        key = aws.iam.AccessKey(
            f"{name}-{args.key_generation}",
            user=user.name,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[permissions],
                additional_secret_outputs=["secret", "sesSmtpPasswordV4"],
            ),
        )
        self.user_arn = user.arn
        self.access_key_id = key.id
        self.secret_access_key = pulumi.Output.secret(key.secret)
        self.register_outputs({"user_arn": self.user_arn, "access_key_id": self.access_key_id})


def _permissions(args: ReaderArgs) -> list[Statement]:
    return [
        Statement(
            sid="ListExports",
            actions=["s3:ListBucket"],
            resources=[args.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{args.prefix}/*"]}},
        ),
        Statement(sid="FindBucket", actions=["s3:GetBucketLocation"], resources=[args.bucket_arn]),
        Statement(
            sid="ReadExports",
            actions=["s3:GetObject"],
            resources=[pulumi.Output.concat(args.bucket_arn, f"/{args.prefix}/*")],
        ),
        Statement(
            sid="Decrypt",
            actions=["kms:Decrypt"],
            resources=[args.key_arn],
            conditions=through_s3(args.region, args.bucket_arn, args.prefix),
        ),
    ]
