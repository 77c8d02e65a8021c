"""The role RDS takes on to write an export."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.export_key import EXPORT_ROLE_USE
from components.iam import Statement


@dataclass(frozen=True, kw_only=True)
class ExportRoleArgs:
    """Where RDS writes, and the key it encrypts with."""

    bucket_arn: pulumi.Input[str]
    key_arn: pulumi.Input[str]
    prefix: str


class ExportRole(pulumi.ComponentResource):
    """Lets ``export.rds.amazonaws.com`` write below the exports' prefix, and nowhere else.

    AWS documents ``s3:PutObject*``, ``GetObject*`` and ``DeleteObject*``; these are written out.
    The trust policy has no ``aws:SourceAccount``: AWS documents none for this service, and a
    condition it does not send would stop every export. Only the export state machines may pass
    the role.
    """

    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: ExportRoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:export-role:ExportRole", name, {}, opts)
        role = aws.iam.Role(
            name,
            name=name,
            description="RDS writes snapshot exports with it",
            assume_role_policy=iam.trust("export.rds.amazonaws.com"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            name,
            name="write-exports",
            role=role.name,
            policy=iam.policy(*_permissions(args)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = role.arn
        self.register_outputs({"arn": self.arn})


def _permissions(args: ExportRoleArgs) -> list[Statement]:
    return [
        Statement(
            sid="FindBucket",
            actions=["s3:ListBucket", "s3:GetBucketLocation"],
            resources=[args.bucket_arn],
        ),
        Statement(
            sid="WriteExports",
            actions=[
                "s3:AbortMultipartUpload",
                "s3:DeleteObject",
                "s3:GetObject",
                "s3:ListMultipartUploadParts",
                "s3:PutObject",
                "s3:PutObjectTagging",
            ],
            resources=[pulumi.Output.concat(args.bucket_arn, f"/{args.prefix}/*")],
        ),
        Statement(sid="Encrypt", actions=EXPORT_ROLE_USE, resources=[args.key_arn]),
    ]
