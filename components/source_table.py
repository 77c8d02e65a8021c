"""The DynamoDB table of a flow: looked up, or made where the stack says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.look_ups import found_or_stop

# Both carry what a row becomes; NEW_AND_OLD_IMAGES also what it was, at the same price.
_VIEWS = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE")


@dataclass(frozen=True, kw_only=True)
class KeyAttribute:
    """An attribute of the table's key, with DynamoDB's word for its type: S, N or B."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class SourceTableArgs:
    """The table's name and key: the partition key, then the sort key if it has one."""

    table: str
    key: Sequence[KeyAttribute]
    protect: bool


@dataclass(frozen=True, kw_only=True)
class TableStream:
    """A table by its ARN, and the ARN of its stream."""

    table_arn: pulumi.Output[str]
    stream_arn: pulumi.Output[str]


class SourceTable(pulumi.ComponentResource):
    """A table that is paid by request, with a stream, and backed up continuously.

    Encrypted, as all tables are, with a key that DynamoDB owns. Without point-in-time recovery it
    could not be exported, so neither be filled anew nor rebuilt.
    """

    stream: TableStream

    def __init__(
        self, name: str, args: SourceTableArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:source-table:SourceTable", name, {}, opts)
        names = [attribute.name for attribute in args.key]
        table = aws.dynamodb.Table(
            name,
            name=args.table,
            billing_mode="PAY_PER_REQUEST",
            attributes=[{"name": each.name, "type": each.type} for each in args.key],
            hash_key=names[0],
            range_key=names[1] if len(names) > 1 else None,
            stream_enabled=True,
            stream_view_type=_VIEWS[0],
            point_in_time_recovery={"enabled": True},
            deletion_protection_enabled=args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.stream = TableStream(table_arn=table.arn, stream_arn=table.stream_arn)
        self.register_outputs({"table_arn": table.arn, "stream_arn": table.stream_arn})


def look_up_table(
    table: str, key: Sequence[KeyAttribute], where: str, provider: aws.Provider
) -> TableStream:
    """Return the stream of a table that is there, once its key and its stream are as declared.

    A table that is not there, has another key, or has no stream that carries new images, fails
    the preview with one line that begins with `where`, before anything of its flow is made.
    """
    found = found_or_stop(
        aws.dynamodb.get_table_output(
            name=table, opts=pulumi.InvokeOutputOptions(provider=provider)
        ),
        where,
        f"the DynamoDB table {table}",
    )

    def check(known: aws.dynamodb.GetTableResult) -> str:
        _check_key(known, key, where)
        if not known.stream_enabled or known.stream_view_type not in _VIEWS:
            has = f"has {known.stream_view_type}" if known.stream_enabled else "is off"
            raise pulumi.RunError(
                f"{where}: the stream of the DynamoDB table {table} {has}; switch it on with "
                f"{_VIEWS[0]}: aws dynamodb update-table --table-name {table} "
                f"--stream-specification StreamEnabled=true,StreamViewType={_VIEWS[0]}"
            )
        return known.stream_arn

    return TableStream(table_arn=found.arn, stream_arn=found.apply(check))


def _check_key(known: aws.dynamodb.GetTableResult, key: Sequence[KeyAttribute], where: str) -> None:
    types = {attribute.name: attribute.type for attribute in known.attributes}
    names = [name for name in (known.hash_key, known.range_key) if name]
    actual = {name: types.get(name, "") for name in names}
    declared = {attribute.name: attribute.type for attribute in key}
    if list(actual.items()) != list(declared.items()):
        keys = zip(("partition_key", "sort_key"), actual.items(), strict=False)
        right = ", ".join(f"{key}: {{{name}: {type_}}}" for key, (name, type_) in keys)
        raise pulumi.RunError(
            f"{where}: the key of the DynamoDB table is not the declared one: write `{right}`"
        )
