"""The bucket RDS exports to, BigQuery reads from, and the load keeps its work list in."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.private_bucket import private_bucket

LOADS = "loads"


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
        bucket = private_bucket(
            name,
            self,
            account_id=args.account_id,
            key_arn=args.key_arn,
            expire={
                "exports": (f"{args.prefix}/", args.retention_days),
                "loads": (f"{LOADS}/", args.retention_days),
            },
            protect=args.protect,
        )
        self.bucket = bucket.bucket
        self.arn = bucket.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})
