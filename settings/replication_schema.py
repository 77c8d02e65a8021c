"""The shape of the replication route's configuration. As `settings.schema`, of which it is part."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from settings import replication_rules as own
from settings import rules
from settings.column_types import TYPES, column_type
from settings.errors import kind, show
from settings.shape import Shape

# With more than the target's columns in them, the tables the loads read into must fit too.
MAX_COLUMNS = 1000

SCHEMA_EXAMPLE = {"type": "object", "properties": {"page_id": {"type": "string"}}}
FLOW_EXAMPLE = {
    "table": "page-views",
    "partition_key": {"page_id": "S"},
    "target": "analytics.page_views",
    "columns": {"page_id": "varchar(64)"},
}
CLUSTER_EXAMPLE = {
    "identifier": "analytics-prod",
    "user": "ferry",
    "ca_bundle": "certs/eu-west-1-bundle.pem",
}
_KEY_EXAMPLE = "arn:aws:kms:eu-west-1:123456789012:key/0d9c7a4e-5b1f-4c52-8a3e-6f7b8c9d0e1f"

_KeyMapping = Annotated[
    dict[Annotated[str, AfterValidator(own.attribute_name)], Literal["S", "N", "B"]],
    Field(min_length=1, max_length=1),
    BeforeValidator(own.key_mapping),
]


class ClusterShape(Shape):
    """The Aurora MySQL cluster that is loaded into; it is looked up, never owned."""

    identifier: Annotated[str, AfterValidator(rules.rds_identifier)] = Field(
        description="Identifier of the Aurora MySQL cluster.",
        examples=["analytics-prod"],
    )
    user: Annotated[str, AfterValidator(own.database_user)] = Field(
        description="The database user that loads.",
        examples=["ferry"],
    )
    secret_arn: Annotated[str, AfterValidator(own.secret_arn)] | None = Field(
        None,
        description="The whole ARN of a secret in Secrets Manager with that user's `username` and "
        "`password`, as RDS writes it. Without it the user has IAM database authentication.",
        examples=["arn:aws:secretsmanager:eu-west-1:123456789012:secret:analytics/ferry-a1B2c3"],
    )
    secret_key_arn: Annotated[str, AfterValidator(own.key_arn)] | None = Field(
        None,
        description="The ARN of the KMS key of yours that this secret is encrypted with.",
        examples=[_KEY_EXAMPLE],
        json_schema_extra={"default_text": "Secrets Manager's own key"},
    )
    ca_bundle: Annotated[str, Field(min_length=1)] = Field(
        description="A PEM file below the project's folder with the certificates of RDS's CAs in "
        f"the region, without which no connection is trusted. AWS offers it at `{own.CA_BUNDLES}`.",
        examples=["certs/eu-west-1-bundle.pem"],
        json_schema_extra={"missing_text": f"AWS offers it at {own.CA_BUNDLES}"},
    )
    modify: bool = Field(
        False,
        description="Let the program change two things about the cluster: the role that reads S3 "
        "is associated with it, and its security group lets the load functions in. Otherwise that "
        "is yours to do.",
        examples=[True],
    )
    parameter_group_family: Annotated[str, AfterValidator(own.parameter_group_family)] | None = (
        Field(
            None,
            description="Make a cluster parameter group of this family with what the loads need, "
            "which you attach to the cluster.",
            examples=["aurora-mysql8.0"],
        )
    )


class ColumnShape(Shape):
    """A column: its type, and where in the item its value stands."""

    path: Annotated[Any, BeforeValidator(own.column_path)] = Field(
        None,
        description="Where in the item the value stands: names with dots between, or a list of "
        "names where one has a dot in it.",
        examples=["client.device", ["client", "os.name"]],
        json_schema_extra={
            "default_text": "the column's name",
            "type_text": "text or list of texts",
        },
    )
    type: Annotated[str, AfterValidator(column_type)] = Field(
        description=f"The column's type: {', '.join(f'`{name}`' for name in TYPES)}.",
        examples=["varchar(32)"],
    )

    @classmethod
    def renamed(cls, name: str, value: object) -> object:
        """Return a column with the path that it had by its wrong name."""
        column = {"type": value} if isinstance(value, str) else value
        if not isinstance(column, dict) or "path" in column:
            return value
        return {"path": [name] if "." in name else name, **column}

    @model_validator(mode="before")
    @classmethod
    def _type_alone(cls, value: object) -> object:
        if isinstance(value, str):
            return {"type": value}
        if not isinstance(value, dict):
            raise rules.wrong(f"{show(value)} is {kind(value)}, neither a type nor a mapping")
        return value


class FlowShape(Shape):
    """One DynamoDB table that is carried over, and what becomes of it."""

    table: Annotated[str, AfterValidator(own.dynamodb_table)] = Field(
        description="Name of the DynamoDB table.",
        examples=["page-views"],
    )
    create_table: bool = Field(
        False,
        description="Make that table; otherwise it is looked up, and must have a stream of new "
        "images.",
        examples=[True],
    )
    partition_key: Annotated[_KeyMapping, BeforeValidator(own.partition_key)] = Field(
        description="The table's partition key: its name and its type, `S`, `N` or `B`. A column "
        "must be mapped from it.",
        examples=[{"page_id": "S"}],
    )
    sort_key: _KeyMapping | None = Field(
        None,
        description="The table's sort key, if it has one, in the same way.",
        examples=[{"at": "N"}],
    )
    target: Annotated[str, AfterValidator(own.target)] = Field(
        description="The MySQL table that it becomes: `database.table`.",
        examples=["analytics.page_views"],
    )
    # Checked by hand, for it may lie in a file. The name `schema` is taken by pydantic.
    json_schema: Any = Field(
        None,
        alias="schema",
        description="What an item must be to be carried over: a JSON Schema of draft 7, as a "
        "mapping or as a file below the project's folder. Items that are not are kept in the "
        "bucket.",
        examples=["schemas/page_view.json", SCHEMA_EXAMPLE],
        json_schema_extra={"type_text": "text or mapping"},
    )
    columns: Annotated[
        dict[Annotated[str, AfterValidator(own.column_name)], ColumnShape],
        BeforeValidator(own.columns),
    ] = Field(
        min_length=1,
        max_length=MAX_COLUMNS,
        description="The columns of the MySQL table: name → type, or name → mapping.",
        examples=[
            {
                "page_id": "varchar(64)",
                "device": {"path": "client.device", "type": "varchar(32)"},
            }
        ],
    )
    batch_size: int = Field(
        500,
        ge=1,
        le=10_000,
        description="How many changes the stream function takes at most at once.",
        examples=[1000],
    )
    batching_window_seconds: int = Field(
        1,
        ge=0,
        le=300,
        description="How long Lambda waits for that many. At least 1 when `batch_size` is more "
        "than 10.",
        examples=[5],
    )
    parallelization_factor: int = Field(
        1,
        ge=1,
        le=10,
        description="How many batches of a shard are taken at once.",
        examples=[2],
    )
    maximum_retry_attempts: int = Field(
        20,
        ge=0,
        le=10_000,
        description="How often a batch that failed is tried again before it is kept in the bucket "
        "of failures, and the stream goes on.",
        examples=[100],
    )
    maximum_record_age_seconds: int = Field(
        79_200,
        ge=60,
        le=86_400,
        description="How old a change may become before it is kept there. The stream forgets it "
        "after 24 hours, so that less than that leaves time.",
        examples=[43_200],
    )
    transform_buffer_mib: float = Field(
        1.0,
        ge=0.2,
        le=2,
        allow_inf_nan=False,
        description="How many MiB of changes the transform function gets at most at once.",
        examples=[0.5],
    )
    buffer_mib: int = Field(
        16,
        ge=1,
        le=128,
        description="How many MiB Firehose collects in a file before it is loaded.",
        examples=[64],
    )
    buffer_seconds: int = Field(
        60,
        ge=0,
        le=900,
        description="How many seconds Firehose collects at most, even if a file is not full yet.",
        examples=[300],
    )


class ReplicationShape(Shape):
    """The replication route: DynamoDB tables, change by change, to tables of Aurora MySQL.

    Its limits are AWS's (Lambda, CreateEventSourceMapping; Firehose, BufferingHints and "Transform
    source data"), but for `transform_buffer_mib`, of which Firehose takes 3: of small changes the
    envelopes are as large as the data, and an invocation has 6 MB.
    """

    cluster: ClusterShape = Field(
        description="The Aurora MySQL cluster that is loaded into; it is looked up, never owned.",
        examples=[CLUSTER_EXAMPLE],
    )
    flows: dict[Annotated[str, AfterValidator(own.flow_name)], FlowShape] = Field(
        min_length=1,
        description="The DynamoDB tables, each under a name that its resources get.",
        examples=[{"page-views": FLOW_EXAMPLE}],
    )
    on_failure_bucket: Annotated[str, AfterValidator(rules.bucket_name)] | None = Field(
        None,
        description="Name of a bucket of yours for changes that the stream functions could not "
        "hand on, looked up.",
        examples=["my-team-failures"],
        json_schema_extra={"default_text": "the route's own bucket"},
    )
    on_failure_key_arn: Annotated[str, AfterValidator(own.key_arn)] | None = Field(
        None,
        description="The ARN of the KMS key of yours that this bucket is encrypted with.",
        examples=[_KEY_EXAMPLE],
    )
    retention_days: int = Field(
        7,
        ge=1,
        description="After how many days S3 deletes a loaded file. A load can be repeated only "
        "while its file is there.",
        examples=[14],
    )
    failed_retention_days: int = Field(
        30,
        ge=1,
        description="After how many days S3 deletes what could not be carried over.",
        examples=[90],
    )
    log_retention_days: Annotated[int, AfterValidator(rules.log_retention_days)] = Field(
        90,
        description="How long the logs of the functions are kept: a number of days that CloudWatch "
        "Logs offers.",
        examples=[365],
    )
    load_lag_minutes: int = Field(
        15,
        ge=1,
        le=1440,
        description="How many minutes changes may wait at each step (in the stream, in Firehose, "
        "as a file) before an alarm says so. More than a flow lets them wait there.",
        examples=[30],
    )
