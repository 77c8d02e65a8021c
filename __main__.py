"""The program: from a stack's settings to its components and outputs. Wiring only."""

from __future__ import annotations

import asyncio
import gc

import pulumi
import pulumi_aws as aws
import pulumi_gcp as gcp

from components.alarms import Alarms, AlarmsArgs
from components.alerts import Alerts, AlertsArgs
from components.catalog import Catalog, CatalogArgs, CatalogTable
from components.dataset import DATA_EDITOR, Dataset, DatasetArgs, Writer
from components.dead_letters import DeadLetterQueue, DeadLetterQueueArgs
from components.export_bucket import ExportBucket, ExportBucketArgs
from components.export_key import ExportKey, ExportKeyArgs, ExportKeyPolicy, ExportKeyPolicyArgs
from components.export_role import ExportRole, ExportRoleArgs
from components.federation import Federation, FederationArgs
from components.google_services import GoogleServices, GoogleServicesArgs
from components.labels import stack_labels
from components.load import Load, LoadArgs, LoadFunctions, LoadFunctionsArgs, role_name
from components.providers import aws_provider, gcp_provider
from components.reader import Reader, ReaderArgs
from components.reader_secrets import ReaderSecrets, ReaderSecretsArgs
from components.source_export import Schedule, SnapshotEvents, SourceExport, SourceExportArgs
from components.source_lookup import look_up_source
from components.transfer_identity import TransferIdentity, TransferIdentityArgs
from components.transfers import SourceTable, Transfers, TransfersArgs
from settings import Settings, SettingsError, from_pulumi

# A snapshot a day, its export and its load: after so many hours without one, something is wrong.
SILENCE_HOURS = 30


def settings_or_stop() -> Settings:
    """Return the stack's settings; without a traceback, all that is wrong with them."""
    try:
        return from_pulumi()
    except SettingsError as error:
        raise pulumi.RunError("\n".join(error.errors)) from None


# Everything made here lives to the end, which a collector that looks for garbage every few hundred
# objects does not know: in a stack of a thousand tables it takes a third of the time.
gc.set_threshold(50_000, 20, 50)

settings = settings_or_stop()
snapshot, bigquery = settings.snapshot, settings.bigquery
base = f"{settings.service}-{settings.stack}"
production = settings.stack == "prod"

labels = stack_labels(settings.service, settings.stack, settings.labels)
in_aws = aws_provider(settings.region, labels)
in_google = gcp_provider(bigquery.project, labels)
AWS = pulumi.ResourceOptions(providers=[in_aws])
account_id = aws.get_caller_identity_output(
    opts=pulumi.InvokeOutputOptions(provider=in_aws)
).account_id
project_number: pulumi.Input[str] = (
    bigquery.project_number
    or gcp.organizations.get_project_output(
        project_id=bigquery.project, opts=pulumi.InvokeOutputOptions(provider=in_google)
    ).number
)

# AWS: the key, the bucket, and who reads and writes it.
key = ExportKey(f"{base}-rds-exports", ExportKeyArgs(protect=production), AWS)
bucket = ExportBucket(
    f"{base}-rds-exports",
    ExportBucketArgs(
        account_id=account_id,
        key_arn=key.arn,
        prefix=snapshot.prefix,
        retention_days=snapshot.retention_days,
        protect=production,
    ),
    AWS,
)
export_role = ExportRole(
    f"{base}-rds-export",
    ExportRoleArgs(bucket_arn=bucket.arn, key_arn=key.arn, prefix=snapshot.prefix),
    AWS,
)
reader = Reader(
    f"{base}-reader",
    ReaderArgs(
        bucket_arn=bucket.arn,
        prefix=snapshot.prefix,
        key_arn=key.arn,
        region=settings.region,
        key_generation=snapshot.reader_key_generation,
    ),
    AWS,
)
alerts = Alerts(
    f"{base}-alerts",
    AlertsArgs(emails=settings.alerts.emails, account_id=account_id, region=settings.region),
    AWS,
)
dead_letters = DeadLetterQueue(
    f"{base}-rds-events-dlq",
    DeadLetterQueueArgs(account_id=account_id, region=settings.region, rule_name_prefix=f"{base}-"),
    AWS,
)

# AWS: one export per source.
trigger: Schedule | SnapshotEvents = SnapshotEvents(manual=snapshot.manual_snapshots)
if snapshot.trigger.schedule is not None:
    trigger = Schedule(expression=snapshot.trigger.schedule, timezone=snapshot.trigger.timezone)
exports = {
    source.name: SourceExport(
        f"{base}-export-{source.name}",
        SourceExportArgs(
            source=look_up_source(source.name, source.kind, source.engine, in_aws),
            identifier=source.name,
            kind=source.kind,
            export_only=(
                tuple(table.target for table in source.tables) if source.partial_export else None
            ),
            trigger=trigger,
            bucket=bucket.bucket,
            prefix=snapshot.prefix,
            export_role_arn=export_role.arn,
            key_arn=key.arn,
            topic_arn=alerts.topic_arn,
            topic_key_arn=alerts.key_arn,
            dead_letter_queue_arn=dead_letters.arn,
            run_time_offset_hours=bigquery.run_time_offset_hours,
            runbook_url=settings.alerts.runbook_url,
            log_retention_days=snapshot.log_retention_days,
            account_id=account_id,
            region=settings.region,
        ),
        AWS,
    )
    for source in snapshot.sources
}

# Google Cloud: identities, the dataset, a table and a transfer for every source table.
services = GoogleServices(
    f"{base}-services",
    GoogleServicesArgs(project=bigquery.project),
    pulumi.ResourceOptions(providers=[in_google]),
)
GOOGLE = pulumi.ResourceOptions(providers=[in_google], depends_on=[services])
transfer_identity = TransferIdentity(
    f"{base}-transfer",
    TransferIdentityArgs(project=bigquery.project, project_number=project_number),
    GOOGLE,
)
federation = Federation(
    f"{base}-load",
    FederationArgs(
        project=bigquery.project,
        account_id=account_id,
        role_name=role_name(f"{base}-load"),
        pool_id=base,
    ),
    GOOGLE,
)
ReaderSecrets(
    base,
    ReaderSecretsArgs(
        project=bigquery.project,
        access_key_id=reader.access_key_id,
        secret_access_key=reader.secret_access_key,
    ),
    GOOGLE,
)
dataset = Dataset(
    bigquery.dataset,
    DatasetArgs(
        project=bigquery.project,
        dataset_id=bigquery.dataset,
        location=bigquery.location,
        description="Tables of RDS and Aurora databases, replaced by every snapshot export",
        protect=production,
        writers={
            "transfer": Writer(
                member=transfer_identity.member,
                roles={"editor": DATA_EDITOR, "owner": transfer_identity.dataset_role},
            ),
            "agent": Writer(member=transfer_identity.agent_member, roles={"editor": DATA_EDITOR}),
            "load": Writer(member=federation.member, roles={"editor": DATA_EDITOR}),
        },
    ),
    GOOGLE,
)
transfers = Transfers(
    bigquery.dataset,
    TransfersArgs(
        project=bigquery.project,
        dataset_id=dataset.dataset_id,
        location=dataset.location,
        service_account=transfer_identity.email,
        bucket=bucket.bucket,
        prefix=snapshot.prefix,
        run_time_offset_hours=bigquery.run_time_offset_hours,
        access_key_id=reader.access_key_id,
        secret_access_key=reader.secret_access_key,
        deletion_protection=bigquery.deletion_protection,
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
        after=[*transfer_identity.grants, *dataset.grants],
    ),
    GOOGLE,
)

# AWS again: the load, which knows the transfers by the catalog and Google Cloud by federation.
for source in snapshot.sources:
    Catalog(
        f"{base}-{source.name}",
        CatalogArgs(
            bucket=bucket.bucket,
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
        AWS,
    )
functions = LoadFunctions(
    f"{base}-load",
    LoadFunctionsArgs(
        package=f"{settings.handlers.path}/load.zip",
        runtime=settings.handlers.runtime,
        architecture=settings.handlers.architecture,
        service=settings.service,
        google_credentials=federation.credentials_config,
        bucket_arn=bucket.arn,
        prefix=snapshot.prefix,
        key_arn=key.arn,
        region=settings.region,
        log_retention_days=snapshot.log_retention_days,
    ),
    AWS,
)
load = Load(
    f"{base}-load",
    LoadArgs(
        functions=functions,
        bucket=bucket.bucket,
        topic_arn=alerts.topic_arn,
        topic_key_arn=alerts.key_arn,
        dead_letter_queue_arn=dead_letters.arn,
        runbook_url=settings.alerts.runbook_url,
        log_retention_days=snapshot.log_retention_days,
        account_id=account_id,
        region=settings.region,
    ),
    AWS,
)

# What needs everything above to exist: the key's own policy, and the alarms.
ExportKeyPolicy(
    f"{base}-rds-exports",
    ExportKeyPolicyArgs(
        key_id=key.key_id,
        account_id=account_id,
        region=settings.region,
        bucket_arn=bucket.arn,
        prefix=snapshot.prefix,
        export_role_arn=export_role.arn,
        export_machine_role_arns=[export.machine_role_arn for export in exports.values()],
        reader_arn=reader.user_arn,
        load_role_arn=functions.role_arn,
    ),
    AWS,
)
Alarms(
    f"{base}-alarms",
    AlarmsArgs(
        machines={
            **{f"{base}-export-{name}": export.machine_arn for name, export in exports.items()},
            f"{base}-load": load.machine_arn,
        },
        daily=(
            [f"{base}-export-{name}" for name in exports]
            if isinstance(trigger, SnapshotEvents)
            else []
        ),
        silence_hours=SILENCE_HOURS,
        queue_name=dead_letters.queue_name,
        topic_arn=alerts.topic_arn,
        runbook_url=settings.alerts.runbook_url,
    ),
    AWS,
)


async def outputs() -> pulumi.Inputs:
    """Return the stack's outputs, once every registration above has started.

    Without that pause the SDK would find nothing to wait for but the resources' outputs, some
    fifty of them per table, and look through all that are pending at each step of the way.
    """
    await asyncio.sleep(0)
    return {
        "bucket": bucket.bucket,
        "export_machines": {name: each.machine_arn for name, each in exports.items()},
        "load_machine": load.machine_arn,
        "alerts_topic": alerts.topic_arn,
        "dead_letter_queue": dead_letters.url,
        "dataset": pulumi.Output.concat(bigquery.project, ".", dataset.dataset_id),
        "transfer_configs": len(transfers.configs),
    }


pulumi.run(outputs)
