"""The shape of a stack's configuration: what `Pulumi.<stack>.yaml` may hold.

These models are the one description of the keys: they check the values and their types, supply
the defaults, and `docs/configuration.md` is written from them. What needs more than one value to
tell (a table named twice, a name that becomes too long) is checked when the settings are put
together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from settings import rules
from settings.errors import show
from settings.replication_schema import CLUSTER_EXAMPLE, FLOW_EXAMPLE, ReplicationShape
from settings.schedule import expression
from settings.shape import Shape

NAMESPACE = "data-ferry"

SOURCE_EXAMPLE = {
    "cluster": "shop-prod",
    "engine": "mysql",
    "databases": {"shop": ["users", "orders"]},
}


class SourceShape(Shape):
    """A database RDS takes snapshots of, and which of its tables are carried over."""

    cluster: Annotated[str, AfterValidator(rules.rds_identifier)] | None = Field(
        None,
        description="Identifier of the Aurora or Multi-AZ cluster.",
        examples=["shop-prod"],
        json_schema_extra={"required_text": "this or `instance`"},
    )
    instance: Annotated[str, AfterValidator(rules.rds_identifier)] | None = Field(
        None,
        description="Identifier of the RDS instance, when the source is not a cluster.",
        examples=["ledger-prod"],
        json_schema_extra={"required_text": "this or `cluster`"},
    )
    engine: Literal["mysql", "postgresql"] = Field(
        description="What the source speaks. `mysql` is also Aurora MySQL, `postgresql` also "
        "Aurora PostgreSQL.",
        examples=["mysql"],
    )
    # Checked by hand: what is right depends on the engine.
    databases: Any = Field(
        None,
        description="The tables to carry over: database → tables for `mysql`, database → schema → "
        "tables for `postgresql`.",
        examples=[{"shop": ["users", "orders"]}, {"ledger": {"public": ["accounts"]}}],
        json_schema_extra={"required_text": "this or `tables_file`"},
    )
    tables_file: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="The same for many tables: a file below the project's folder with one "
        "`database.table` (`mysql`) or `database.schema.table` (`postgresql`) on each line. `#` "
        "begins a comment.",
        examples=["tables/shop.txt"],
        json_schema_extra={"required_text": "this or `databases`"},
    )


class TriggerShape(Shape):
    """What starts the exports: the word `event`, or a schedule."""

    schedule: Annotated[str, AfterValidator(expression)] | None = Field(
        description="When the newest automated snapshot is exported: a `cron(...)` or `rate(...)` "
        "expression of EventBridge Scheduler.",
        examples=["cron(30 3 * * ? *)"],
    )
    timezone: Annotated[str, AfterValidator(rules.time_zone)] = Field(
        "UTC",
        description="The IANA time zone the schedule is read in.",
        examples=["Europe/Berlin"],
    )

    @model_validator(mode="before")
    @classmethod
    def _event_or_schedule(cls, value: object) -> object:
        if value == "event":
            return {"schedule": None}
        if not isinstance(value, dict):
            raise rules.wrong(f"{show(value)} is neither event nor a schedule", "event")
        if "schedule" in value and value["schedule"] is None:
            raise rules.wrong("has an empty schedule")
        return value


class SnapshotShape(Shape):
    """The AWS half of the snapshot route: what is exported, when, and how long it is kept."""

    sources: list[SourceShape] = Field(
        min_length=1,
        description="The databases whose snapshots are carried over.",
        examples=[[SOURCE_EXAMPLE]],
    )
    trigger: TriggerShape = Field(
        TriggerShape.model_validate("event"),
        description="`event`: each automated snapshot is exported as soon as RDS has taken it. A "
        "mapping with `schedule`: the newest one is exported at fixed times.",
        examples=[{"schedule": "cron(30 3 * * ? *)", "timezone": "UTC"}],
        json_schema_extra={"default_text": "`event`"},
    )
    manual_snapshots: bool = Field(
        False,
        description="Export manual snapshots too. Only with `trigger: event`.",
        examples=[True],
    )
    prefix: Annotated[str, AfterValidator(rules.prefix)] = Field(
        "exports",
        description="The folder of the exports in the export bucket.",
        examples=["exports"],
    )
    retention_days: int = Field(
        7,
        ge=1,
        description="After how many days S3 deletes an export. A load can be repeated only while "
        "its export is there.",
        examples=[14],
    )
    log_retention_days: Annotated[int, AfterValidator(rules.log_retention_days)] = Field(
        90,
        description="How long the logs of the state machines and functions are kept: a number of "
        "days that CloudWatch Logs offers.",
        examples=[365],
    )
    reader_key_generation: int = Field(
        1,
        ge=1,
        description="Raise by one to rotate the AWS key with which BigQuery reads the exports.",
        examples=[2],
    )


class BigQueryShape(Shape):
    """The Google half of the snapshot route: where the tables land."""

    project: Annotated[str, AfterValidator(rules.project)] = Field(
        description="Id of the Google Cloud project.",
        examples=["shop-analytics-prod"],
    )
    project_number: Annotated[str, BeforeValidator(rules.project_number)] | None = Field(
        None,
        description="Number of that project, with or without quotes. Looked up when not set; set "
        "it where the deployer may not read the project.",
        examples=["123456789012"],
    )
    location: Annotated[str, AfterValidator(rules.location)] = Field(
        "EU",
        description="Where the dataset lies: `US`, `EU` or a region. A change replaces the "
        "dataset and everything in it.",
        examples=["europe-west1"],
    )
    dataset: Annotated[str, AfterValidator(rules.dataset)] | None = Field(
        None,
        description="Name of the dataset.",
        examples=["shop_prod_rds_data"],
        json_schema_extra={"default_text": "`<service>_<stack>_rds_data`, hyphens as underscores"},
    )
    table_name: Annotated[str, AfterValidator(rules.table_name)] = Field(
        "{table}",
        description="Template of the tables' names, of `{source}`, `{database}`, `{schema}` and "
        "`{table}`. Characters other than letters, digits and `_` become `_`; two tables that "
        "would get one name are an error.",
        examples=["{database}_{table}"],
    )
    run_time_offset_hours: int = Field(
        0,
        ge=0,
        le=23,
        description="How many hours after the hour of its snapshot a load has its run time. Leave "
        "at 0 unless reports rely on run times.",
        examples=[6],
    )
    deletion_protection: bool | None = Field(
        None,
        description="Refuse to delete the BigQuery tables.",
        examples=[True],
        json_schema_extra={"default_text": "`true` in the stack `prod`, else `false`"},
    )


class AlertsShape(Shape):
    """Who is told when something of a route fails or is late."""

    emails: list[Annotated[str, AfterValidator(rules.email)]] = Field(
        [],
        description="Addresses that get the alerts; each must confirm AWS's first mail.",
        examples=[["data@example.com"]],
    )
    runbook_url: Annotated[str, AfterValidator(rules.runbook_url)] = Field(
        "docs/runbook.md",
        description="Where your runbook is; every message and alarm links it.",
        examples=["https://github.com/my-team/data-ferry/blob/main/docs/runbook.md"],
    )


class HandlersShape(Shape):
    """The packaged Lambda functions, as `python -m handlers.package` leaves them."""

    path: Annotated[str, Field(min_length=1)] = Field(
        "build/lambda",
        description="The folder with the packages, from the project's folder.",
        examples=["build/lambda"],
    )
    runtime: Literal["python3.10", "python3.11", "python3.12", "python3.13", "python3.14"] = Field(
        "python3.12",
        description="The Lambda runtime they were packaged for.",
        examples=["python3.12"],
    )
    architecture: Literal["arm64", "x86_64"] = Field(
        "arm64",
        description="The processor they were packaged for.",
        examples=["arm64"],
    )


class StackShape(Shape):
    """Everything a stack may say. Keys are written with the prefix `data-ferry:`."""

    service: Annotated[str, AfterValidator(rules.service)] = Field(
        description="Begins the name of every resource in both clouds. A change replaces them all.",
        examples=["shop"],
    )
    snapshot: SnapshotShape | None = Field(
        None,
        description="The snapshot route, AWS half. On together with `bigquery`.",
        examples=[{"sources": [SOURCE_EXAMPLE]}],
        json_schema_extra={"required_text": "with `bigquery`"},
    )
    bigquery: BigQueryShape | None = Field(
        None,
        description="The snapshot route, Google half. On together with `snapshot`.",
        examples=[{"project": "shop-analytics-prod", "location": "EU"}],
        json_schema_extra={"required_text": "with `snapshot`"},
    )
    replication: ReplicationShape | None = Field(
        None,
        description="The replication route. On when this key is set.",
        examples=[{"cluster": CLUSTER_EXAMPLE, "flows": {"page-views": FLOW_EXAMPLE}}],
    )
    alerts: AlertsShape = Field(
        AlertsShape.model_validate({}),
        description="Who is told when something goes wrong.",
        examples=[{"emails": ["data@example.com"]}],
    )
    labels: dict[
        Annotated[str, AfterValidator(rules.label_key)],
        Annotated[str, AfterValidator(rules.label_value)],
    ] = Field(
        {},
        max_length=40,
        description="Put on every resource, as AWS tags and as Google Cloud labels; so they must "
        "be legal as both. The program adds `service`, `stack` and `managed-by`.",
        examples=[{"team": "data", "cost-centre": "a1"}],
    )
    handlers: HandlersShape = Field(
        HandlersShape.model_validate({}),
        description="The packaged Lambda functions.",
        examples=[{"path": "build/lambda", "runtime": "python3.12", "architecture": "arm64"}],
    )


class RegionShape(Shape):
    """The one key of another namespace that the program needs."""

    region: Annotated[str, AfterValidator(rules.region)] = Field(
        description="The AWS region of the sources, the DynamoDB tables and the cluster; all that "
        "the program makes in AWS lies in it too.",
        examples=["eu-west-1"],
    )
