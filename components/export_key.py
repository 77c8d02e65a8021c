"""The key that encrypts the exports, and who may use it.

The key and its policy are two components because of what KMS checks: every principal of a key
policy must exist when the policy is set. The key is made first; roles and policies that name it
follow; the key's own policy comes last and names them. Until then KMS's default policy holds, on
a key that has encrypted nothing yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement

# Everything an administrator of the key needs, and nothing that reads or writes data. (Who may
# set the policy can let themselves in; that is one call, which CloudTrail shows.)
KEY_ADMINISTRATION = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)

# AWS, "Exporting DB cluster snapshot data to Amazon S3", with its ReEncrypt* and GenerateDataKey*
# written out (the key-pair variants are of no use to S3).
EXPORT_ROLE_USE = (
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:DescribeKey",
    "kms:CreateGrant",
    "kms:RetireGrant",
)

_DELETION_WINDOW_DAYS = 30


def this_key(
    sid: str,
    principals: Mapping[str, pulumi.Input[str] | Sequence[pulumi.Input[str]]],
    actions: Sequence[str],
    conditions: iam.Conditions | None = None,
) -> Statement:
    """Return a statement of a key's own policy."""
    return Statement(
        sid=sid,
        principals=principals,
        actions=actions,
        resources=["*"],
        any_resource_because="the resource of a key policy is the key it belongs to",
        conditions=conditions or {},
    )


def administration(account_id: pulumi.Input[str]) -> Statement:
    """Return the statement of a key policy that lets the account administer the key."""
    return this_key("Administration", {"AWS": iam.account_root(account_id)}, KEY_ADMINISTRATION)


def through_s3(region: str, bucket_arn: pulumi.Input[str], prefix: str | None) -> iam.Conditions:
    """Return the conditions that allow data use only by S3 and only for objects of the bucket.

    With an S3 bucket key the encryption context is the bucket's ARN, without it the object's
    (AWS, "Using server-side encryption with AWS KMS keys"). Which of the two RDS's own writes end
    up with is not documented, so both are allowed.
    """
    objects = f"/{prefix}/*" if prefix else "/*"
    return {
        "StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"},
        "StringLike": {
            "kms:EncryptionContext:aws:s3:arn": [
                bucket_arn,
                pulumi.Output.concat(bucket_arn, objects),
            ]
        },
    }


@dataclass(frozen=True, kw_only=True)
class ExportKeyArgs:
    """What the key needs to know."""

    protect: bool


class ExportKey(pulumi.ComponentResource):
    """A symmetric customer managed key, rotated every year, with an alias of the same name."""

    key_id: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: ExportKeyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:export-key:ExportKey", name, {}, opts)
        key = aws.kms.Key(
            name,
            description="Encrypts the RDS snapshot exports",
            enable_key_rotation=True,
            deletion_window_in_days=_DELETION_WINDOW_DAYS,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.kms.Alias(
            name,
            name=f"alias/{name}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.key_id = key.key_id
        self.arn = key.arn
        self.register_outputs({"key_id": self.key_id, "arn": self.arn})


@dataclass(frozen=True, kw_only=True)
class ExportKeyPolicyArgs:
    """The key, the bucket it encrypts, and every principal that may use it."""

    key_id: pulumi.Input[str]
    account_id: pulumi.Input[str]
    region: str
    bucket_arn: pulumi.Input[str]
    prefix: str
    export_role_arn: pulumi.Input[str]
    export_machine_role_arns: Sequence[pulumi.Input[str]]
    reader_arn: pulumi.Input[str]
    load_role_arn: pulumi.Input[str]


class ExportKeyPolicy(pulumi.ComponentResource):
    """Who may use the key: the parties of an export, each for its part, and nobody else.

    The account's administrators administer, without data use: an ``s3:GetObject`` of an
    administrator on an export is refused by KMS.
    """

    def __init__(
        self, name: str, args: ExportKeyPolicyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:export-key:ExportKeyPolicy", name, {}, opts)
        aws.kms.KeyPolicy(
            name,
            key_id=args.key_id,
            policy=iam.policy(administration(args.account_id), *_use(args)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _use(args: ExportKeyPolicyArgs) -> list[Statement]:
    machines = {"AWS": args.export_machine_role_arns}
    return [
        this_key("ExportRoleWrites", {"AWS": args.export_role_arn}, EXPORT_ROLE_USE),
        this_key("ExportMachinesDescribe", machines, ["kms:DescribeKey"]),
        # StartExportTask makes RDS a grant on the key in the caller's name.
        this_key(
            "ExportMachinesGrantToRds",
            machines,
            ["kms:CreateGrant"],
            {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        this_key(
            "ReaderDecrypts",
            {"AWS": args.reader_arn},
            ["kms:Decrypt"],
            through_s3(args.region, args.bucket_arn, args.prefix),
        ),
        # The load functions read the export's manifest and keep their work list beside it.
        this_key(
            "LoadFunctionsReadAndWrite",
            {"AWS": args.load_role_arn},
            ["kms:Decrypt", "kms:GenerateDataKey"],
            through_s3(args.region, args.bucket_arn, None),
        ),
    ]
