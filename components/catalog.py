"""What the load functions know of a source: its tables, and the transfer that fills each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

CATALOG = "catalog"


@dataclass(frozen=True, kw_only=True)
class CatalogTable:
    """A table as the export's manifest, its files' folder and BigQuery name it."""

    name: str
    path: str
    table: str
    transfer_config: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class CatalogArgs:
    """The source and the place its tables have in Google Cloud and in the bucket."""

    bucket: pulumi.Input[str]
    source: str
    dataset: str
    tables: Sequence[CatalogTable]


class Catalog(pulumi.ComponentResource):
    """The object ``catalog/<source>.json`` in the export bucket.

    Not encrypted with the export key as all else in the bucket is: who deploys the stack writes
    this object, and the key lets no deployer encrypt or decrypt. It holds names, no data.
    """

    def __init__(
        self, name: str, args: CatalogArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:catalog:Catalog", name, {}, opts)
        aws.s3.BucketObjectv2(
            name,
            bucket=args.bucket,
            key=f"{CATALOG}/{args.source}.json",
            content_type="application/json",
            content=_content(args),
            server_side_encryption="AES256",
            # An object takes 10 tags, a stack may have more labels; the bucket carries them.
            override_provider={"default_tags": {"tags": {}}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _content(args: CatalogArgs) -> pulumi.Output[str]:
    """Return the catalog's text, of one Output for all of its tables."""
    tables = [
        {"name": t.name, "path": t.path, "table": t.table, "transfer_config": t.transfer_config}
        for t in args.tables
    ]
    return pulumi.Output.json_dumps(
        {"source": args.source, "dataset": args.dataset, "tables": tables}
    )
