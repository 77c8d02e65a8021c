"""The destination tables and the transfers that fill them: two resources per source table.

A stack may have ten thousand tables, and this is the one place where that shows. Everything that
is the same for all tables is one Output for all of them, everything known is a plain string, and
a table costs one `apply` of its own: the path of its files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pulumi
import pulumi_gcp as gcp

from export_identity import data_path

DATA_SOURCE = "amazon_s3"

# Google, "Amazon S3 transfers": each run loads all files of its export and replaces the table's
# rows with them; one bad record fails the run rather than going missing. A DECIMAL that fits
# neither NUMERIC nor BIGNUMERIC becomes a STRING: never a FLOAT.
_LOAD: Mapping[str, str] = MappingProxyType(
    {
        "file_format": "PARQUET",
        "write_disposition": "WRITE_TRUNCATE",
        "decimal_target_types": "NUMERIC,BIGNUMERIC,STRING",
        "max_bad_records": "0",
    }
)


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """A table of a source, by all its names, and the BigQuery table it becomes."""

    source: str
    engine: str
    database: str
    schema: str
    name: str
    target: str
    destination: str


@dataclass(frozen=True, kw_only=True)
class TransfersArgs:
    """What all transfers share, the tables, and what has to exist before a transfer may."""

    project: str
    dataset_id: pulumi.Input[str]
    location: pulumi.Input[str]
    service_account: pulumi.Input[str]
    bucket: pulumi.Input[str]
    prefix: str
    run_time_offset_hours: int
    access_key_id: pulumi.Input[str]
    secret_access_key: pulumi.Input[str]
    deletion_protection: bool
    tables: Sequence[SourceTable]
    after: Sequence[pulumi.Resource]


class Transfers(pulumi.ComponentResource):
    """A table and a transfer config for every source table.

    The tables have no schema here: each load brings the export's own, and a change of a source's
    column is not a change of the stack. The configs never run by the clock; a run is started for
    an export that is complete, and only then.
    """

    configs: Mapping[tuple[str, str], pulumi.Output[str]]

    def __init__(
        self, name: str, args: TransfersArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:transfers:Transfers", name, {}, opts)
        dataset_id = pulumi.Output.from_input(args.dataset_id)
        location = pulumi.Output.from_input(args.location)
        bucket = pulumi.Output.from_input(args.bucket)
        secret: gcp.bigquery.DataTransferConfigSensitiveParamsArgsDict = {
            "secret_access_key": pulumi.Output.secret(args.secret_access_key)
        }
        shared = {**_LOAD, "access_key_id": args.access_key_id}
        configs = {}
        for table in args.tables:
            resource_name = f"{table.source}.{table.target}"
            destination = gcp.bigquery.Table(
                resource_name,
                dataset_id=dataset_id,
                table_id=table.destination,
                project=args.project,
                deletion_protection=args.deletion_protection,
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["schema"]),
            )
            config = gcp.bigquery.DataTransferConfig(
                resource_name,
                project=args.project,
                location=location,
                display_name=f"{table.source} {table.target}",
                data_source_id=DATA_SOURCE,
                destination_dataset_id=dataset_id,
                service_account_name=args.service_account,
                params={
                    **shared,
                    "destination_table_name_template": table.destination,
                    "data_path": bucket.apply(_path_of(args, table)),
                },
                sensitive_params=secret,
                schedule_options={"disable_auto_scheduling": True},
                opts=pulumi.ResourceOptions(parent=self, depends_on=[destination, *args.after]),
            )
            configs[table.source, table.target] = config.name
        self.configs = configs
        self.register_outputs({})


def _path_of(args: TransfersArgs, table: SourceTable) -> Callable[[str], str]:
    def path(bucket: str) -> str:
        return data_path(
            bucket,
            args.prefix,
            table.source,
            table.engine,
            table.database,
            table.schema,
            table.name,
            args.run_time_offset_hours,
        )

    return path
