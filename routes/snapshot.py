"""The snapshot route: RDS snapshot → Parquet on S3 → one BigQuery table per source table."""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from components.alarms import Alarms, AlarmsArgs
from components.catalog import Catalog, CatalogArgs, CatalogTable
from components.dataset import DATA_EDITOR, Dataset, DatasetArgs, Writer
from components.dead_letters import DeadLetterQueue, DeadLetterQueueArgs
from components.export_bucket import ExportBucket, ExportBucketArgs
from components.export_key import ExportKey, ExportKeyArgs, ExportKeyPolicy, ExportKeyPolicyArgs
from components.export_role import ExportRole, ExportRoleArgs
from components.federation import Federation, FederationArgs
from components.google_services import GoogleServices, GoogleServicesArgs
from components.load import Load, LoadArgs, LoadFunctions, LoadFunctionsArgs, role_name
from components.look_ups import found_or_stop
from components.providers import gcp_provider
from components.reader import Reader, ReaderArgs
from components.reader_secrets import ReaderSecrets, ReaderSecretsArgs
from components.source_export import Schedule, SnapshotEvents, SourceExport, SourceExportArgs
from components.source_lookup import look_up_source
from components.transfer_identity import TransferIdentity, TransferIdentityArgs
from components.transfers import SourceTable, Transfers, TransfersArgs
from routes.foundation import Foundation
from settings import BigQuery, Snapshot

# A snapshot a day, its export and its load: after so many hours without one, something is wrong.
SILENCE_HOURS = 30


def snapshot_route(
    on: Foundation, snapshot: Snapshot, bigquery: BigQuery
) -> dict[str, pulumi.Input[object]]:
    """Make the route; returns its stack outputs."""
    storage = _Storage(on, snapshot)
    dead_letters = DeadLetterQueue(
        f"{on.base}-rds-events-dlq",
        DeadLetterQueueArgs(
            account_id=on.account_id,
            region=on.settings.region,
            rule_name_prefix=f"{on.base}-",
        ),
        on.in_aws,
    )
    exports = _exports(on, snapshot, bigquery, storage, dead_letters)
    google = _Google(on, snapshot, bigquery, storage)
    _catalogs(on, snapshot, bigquery, storage, google.transfers)
    functions, load = _load(on, snapshot, storage, google.federation, dead_letters)
    _key_policy(on, snapshot, storage, exports, functions)
    _alarms(on, snapshot, exports, load, dead_letters)
    return {
        "bucket": storage.bucket.bucket,
        "export_machines": {name: each.machine_arn for name, each in exports.items()},
        "load_machine": load.machine_arn,
        "dead_letter_queue": dead_letters.url,
        "dataset": pulumi.Output.concat(bigquery.project, ".", google.dataset.dataset_id),
        "transfer_configs": len(google.transfers.configs),
    }


class _Storage:
    """The key, the bucket, and who writes and reads it."""

    def __init__(self, on: Foundation, snapshot: Snapshot) -> None:
        self.key = ExportKey(
            f"{on.base}-rds-exports", ExportKeyArgs(protect=on.production), on.in_aws
        )
        self.bucket = ExportBucket(
            f"{on.base}-rds-exports",
            ExportBucketArgs(
                account_id=on.account_id,
                key_arn=self.key.arn,
                prefix=snapshot.prefix,
                retention_days=snapshot.retention_days,
                protect=on.production,
            ),
            on.in_aws,
        )
        self.export_role = ExportRole(
            f"{on.base}-rds-export",
            ExportRoleArgs(
                bucket_arn=self.bucket.arn, key_arn=self.key.arn, prefix=snapshot.prefix
            ),
            on.in_aws,
        )
        self.reader = Reader(
            f"{on.base}-reader",
            ReaderArgs(
                bucket_arn=self.bucket.arn,
                prefix=snapshot.prefix,
                key_arn=self.key.arn,
                region=on.settings.region,
                key_generation=snapshot.reader_key_generation,
            ),
            on.in_aws,
        )


def _trigger(snapshot: Snapshot) -> Schedule | SnapshotEvents:
    trigger = snapshot.trigger
    if trigger.schedule is not None:
        return Schedule(expression=trigger.schedule, timezone=trigger.timezone)
    return SnapshotEvents(manual=snapshot.manual_snapshots)


def _exports(
    on: Foundation,
    snapshot: Snapshot,
    bigquery: BigQuery,
    storage: _Storage,
    dead_letters: DeadLetterQueue,
) -> dict[str, SourceExport]:
    return {
        source.name: SourceExport(
            f"{on.base}-export-{source.name}",
            SourceExportArgs(
                source=look_up_source(source.name, source.kind, source.engine, on.aws),
                identifier=source.name,
                kind=source.kind,
                export_only=(
                    tuple(table.target for table in source.tables)
                    if source.partial_export
                    else None
                ),
                trigger=_trigger(snapshot),
                bucket=storage.bucket.bucket,
                prefix=snapshot.prefix,
                export_role_arn=storage.export_role.arn,
                key_arn=storage.key.arn,
                topic_arn=on.alerts.topic_arn,
                topic_key_arn=on.alerts.key_arn,
                dead_letter_queue_arn=dead_letters.arn,
                run_time_offset_hours=bigquery.run_time_offset_hours,
                runbook_url=on.settings.alerts.runbook_url,
                log_retention_days=snapshot.log_retention_days,
                account_id=on.account_id,
                region=on.settings.region,
            ),
            on.in_aws,
        )
        for source in snapshot.sources
    }


class _Google:
    """Identities, the dataset, a table and a transfer for every source table."""

    def __init__(
        self, on: Foundation, snapshot: Snapshot, bigquery: BigQuery, storage: _Storage
    ) -> None:
        provider = gcp_provider(bigquery.project, on.labels)
        services = GoogleServices(
            f"{on.base}-services",
            GoogleServicesArgs(project=bigquery.project),
            pulumi.ResourceOptions(providers=[provider]),
        )
        self._on = on
        self._bigquery = bigquery
        self._opts = pulumi.ResourceOptions(providers=[provider], depends_on=[services])
        self.identity = TransferIdentity(
            f"{on.base}-transfer",
            TransferIdentityArgs(
                project=bigquery.project, project_number=_project_number(bigquery, provider)
            ),
            self._opts,
        )
        self.federation = Federation(
            f"{on.base}-load",
            FederationArgs(
                project=bigquery.project,
                account_id=on.account_id,
                role_name=role_name(f"{on.base}-load"),
                pool_id=on.base,
            ),
            self._opts,
        )
        ReaderSecrets(
            on.base,
            ReaderSecretsArgs(
                project=bigquery.project,
                access_key_id=storage.reader.access_key_id,
                secret_access_key=storage.reader.secret_access_key,
            ),
            self._opts,
        )
        self.dataset = self._dataset()
        self.transfers = self._transfers(snapshot, storage)

    def _dataset(self) -> Dataset:
        identity = self.identity
        return Dataset(
            self._bigquery.dataset,
            DatasetArgs(
                project=self._bigquery.project,
                dataset_id=self._bigquery.dataset,
                location=self._bigquery.location,
                description="Tables of RDS and Aurora databases, replaced by every snapshot export",
                protect=self._on.production,
                writers={
                    "transfer": Writer(
                        member=identity.member,
                        roles={"editor": DATA_EDITOR, "owner": identity.dataset_role},
                    ),
                    "agent": Writer(member=identity.agent_member, roles={"editor": DATA_EDITOR}),
                    "load": Writer(member=self.federation.member, roles={"editor": DATA_EDITOR}),
                },
            ),
            self._opts,
        )

    def _transfers(self, snapshot: Snapshot, storage: _Storage) -> Transfers:
        return Transfers(
            self._bigquery.dataset,
            TransfersArgs(
                project=self._bigquery.project,
                dataset_id=self.dataset.dataset_id,
                location=self.dataset.location,
                service_account=self.identity.email,
                bucket=storage.bucket.bucket,
                prefix=snapshot.prefix,
                run_time_offset_hours=self._bigquery.run_time_offset_hours,
                access_key_id=storage.reader.access_key_id,
                secret_access_key=storage.reader.secret_access_key,
                deletion_protection=self._bigquery.deletion_protection,
                tables=[
                    SourceTable(
                        source=source.name,
                        engine=source.engine,
                        database=table.database,
                        schema=table.schema,
                        name=table.name,
                        target=table.target,
                        destination=table.destination,
                    )
                    for source in snapshot.sources
                    for table in source.tables
                ],
                after=[*self.identity.grants, *self.dataset.grants],
            ),
            self._opts,
        )


def _project_number(bigquery: BigQuery, provider: gcp.Provider) -> pulumi.Input[str]:
    if bigquery.project_number:
        return bigquery.project_number
    found = gcp.organizations.get_project_output(
        project_id=bigquery.project, opts=pulumi.InvokeOutputOptions(provider=provider)
    )
    what = f"the project {bigquery.project}"
    return found_or_stop(found, "data-ferry:bigquery.project", what).number


def _catalogs(
    on: Foundation,
    snapshot: Snapshot,
    bigquery: BigQuery,
    storage: _Storage,
    transfers: Transfers,
) -> None:
    """Write down for the load which transfer belongs to which table."""
    for source in snapshot.sources:
        Catalog(
            f"{on.base}-{source.name}",
            CatalogArgs(
                bucket=storage.bucket.bucket,
                source=source.name,
                dataset=bigquery.dataset,
                tables=[
                    CatalogTable(
                        name=table.target,
                        path=table.path,
                        table=table.destination,
                        transfer_config=transfers.configs[source.name, table.target],
                    )
                    for table in source.tables
                ],
            ),
            on.in_aws,
        )


def _load(
    on: Foundation,
    snapshot: Snapshot,
    storage: _Storage,
    federation: Federation,
    dead_letters: DeadLetterQueue,
) -> tuple[LoadFunctions, Load]:
    handlers = on.settings.handlers
    functions = LoadFunctions(
        f"{on.base}-load",
        LoadFunctionsArgs(
            package=f"{handlers.path}/load.zip",
            runtime=handlers.runtime,
            architecture=handlers.architecture,
            service=on.base,
            google_credentials=federation.credentials_config,
            bucket_arn=storage.bucket.arn,
            prefix=snapshot.prefix,
            key_arn=storage.key.arn,
            region=on.settings.region,
            log_retention_days=snapshot.log_retention_days,
        ),
        on.in_aws,
    )
    load = Load(
        f"{on.base}-load",
        LoadArgs(
            functions=functions,
            bucket=storage.bucket.bucket,
            topic_arn=on.alerts.topic_arn,
            topic_key_arn=on.alerts.key_arn,
            dead_letter_queue_arn=dead_letters.arn,
            runbook_url=on.settings.alerts.runbook_url,
            log_retention_days=snapshot.log_retention_days,
            account_id=on.account_id,
            region=on.settings.region,
        ),
        on.in_aws,
    )
    return functions, load


def _key_policy(
    on: Foundation,
    snapshot: Snapshot,
    storage: _Storage,
    exports: dict[str, SourceExport],
    functions: LoadFunctions,
) -> None:
    """Let exactly those use the key who exist by now."""
    ExportKeyPolicy(
        f"{on.base}-rds-exports",
        ExportKeyPolicyArgs(
            key_id=storage.key.key_id,
            account_id=on.account_id,
            region=on.settings.region,
            bucket_arn=storage.bucket.arn,
            prefix=snapshot.prefix,
            export_role_arn=storage.export_role.arn,
            export_machine_role_arns=[export.machine_role_arn for export in exports.values()],
            reader_arn=storage.reader.user_arn,
            load_role_arn=functions.role_arn,
        ),
        on.in_aws,
    )


def _alarms(
    on: Foundation,
    snapshot: Snapshot,
    exports: dict[str, SourceExport],
    load: Load,
    dead_letters: DeadLetterQueue,
) -> None:
    machines = {f"{on.base}-export-{name}": each.machine_arn for name, each in exports.items()}
    Alarms(
        f"{on.base}-alarms",
        AlarmsArgs(
            machines={**machines, f"{on.base}-load": load.machine_arn},
            daily=list(machines) if isinstance(_trigger(snapshot), SnapshotEvents) else [],
            silence_hours=SILENCE_HOURS,
            queue_name=dead_letters.queue_name,
            topic_arn=on.alerts.topic_arn,
            runbook_url=on.settings.alerts.runbook_url,
        ),
        on.in_aws,
    )
