"""From a table's stream to CSV on S3: a flow's functions and its delivery stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.delivery_stream import Buffers, DeliveryStream, DeliveryStreamArgs
from components.iam import Statement
from components.packaged_function import PackagedFunction, PackagedFunctionArgs, Packages
from components.replication_bucket import DISCARDED, FAILED, TABLE_EXPORTS
from components.source_table import TableStream

PACKAGE = "replication.zip"
# Firehose: at most 5 minutes for a transformation. A batch of a stream takes seconds; the rest is
# for resending.
_TRANSFORM_SECONDS = 300
_STREAM_SECONDS = 300
_RESEND_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class StreamReading:
    """How Lambda reads the stream: AWS's own words for what each means."""

    batch_size: int
    batching_window_seconds: int
    parallelization_factor: int
    maximum_retry_attempts: int
    maximum_record_age_seconds: int


@dataclass(frozen=True, kw_only=True)
class FlowStreamArgs:
    """One flow: what it reads, how, where it writes, and what its functions know of it.

    The stream is not read before `after` exists: whoever takes what is written. The key is that of
    the bucket for failures, where that has one of its own.
    """

    flow: str
    table: str
    source: TableStream
    reading: StreamReading
    buffers: Buffers
    packages: Packages
    layer_arn: pulumi.Input[str]
    bucket: pulumi.Input[str]
    bucket_arn: pulumi.Input[str]
    on_failure_bucket_arn: pulumi.Input[str]
    on_failure_key_arn: str | None
    after: pulumi.Resource
    account_id: pulumi.Input[str]
    region: str


class FlowStream(pulumi.ComponentResource):
    """Reads the table's stream, transforms what it says, and leaves it on S3.

    What cannot be read is kept in the bucket for failures, what cannot be transformed below
    `processing-failed/`; the function `resend` sends both, and exports of the table, once more.
    """

    stream_function: pulumi.Output[str]
    transform_function: pulumi.Output[str]
    resend_function: pulumi.Output[str]
    delivery_stream: pulumi.Output[str]
    mapping_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: FlowStreamArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:flow-stream:FlowStream", name, {}, opts)
        self._name, self._args = name, args
        transform = self._function(
            "transform",
            description="Validates changes and writes them as lines of CSV",
            memory_mb=1024,
            timeout_seconds=_TRANSFORM_SECONDS,
            environment={"BUCKET": args.bucket},
            permissions=[
                Statement(
                    sid="KeepReasons",
                    actions=["s3:PutObject"],
                    resources=[self._objects(f"{FAILED}/{args.flow}/reasons")],
                )
            ],
        )
        delivery = DeliveryStream(
            name,
            DeliveryStreamArgs(
                flow=args.flow,
                transform_arn=transform.arn,
                bucket_arn=args.bucket_arn,
                buffers=args.buffers,
                account_id=args.account_id,
                region=args.region,
                log_retention_days=args.packages.log_retention_days,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        stream = self._function(
            "stream",
            description="Sends the changes of a table's stream to Firehose",
            memory_mb=1024,
            timeout_seconds=_STREAM_SECONDS,
            environment={"DELIVERY_STREAM": delivery.stream_name},
            permissions=[*_read_stream(args), _put_records(delivery.arn)],
        )
        resend = self._function(
            "resend",
            description="Sends what failed, or an export of the table, once more",
            memory_mb=1024,
            timeout_seconds=_RESEND_SECONDS,
            environment={"DELIVERY_STREAM": delivery.stream_name, "TABLE_NAME": args.table},
            permissions=[*self._read_again(), _put_records(delivery.arn)],
        )
        self.mapping_id = self._read_by(stream)
        self.stream_function = stream.function_name
        self.transform_function = transform.function_name
        self.resend_function = resend.function_name
        self.delivery_stream = delivery.stream_name
        self.register_outputs(
            {
                "stream_function": self.stream_function,
                "transform_function": self.transform_function,
                "resend_function": self.resend_function,
                "delivery_stream": self.delivery_stream,
                "mapping_id": self.mapping_id,
            }
        )

    def _function(
        self,
        step: str,
        *,
        description: str,
        memory_mb: int,
        timeout_seconds: int,
        environment: Mapping[str, pulumi.Input[str]],
        permissions: Sequence[Statement],
    ) -> PackagedFunction:
        return PackagedFunction(
            f"{self._name}-{step}",
            PackagedFunctionArgs(
                packages=self._args.packages,
                package=PACKAGE,
                handler=f"replication.{step}.handler",
                description=description,
                memory_mb=memory_mb,
                timeout_seconds=timeout_seconds,
                environment=environment,
                permissions=permissions,
                layer_arns=[self._args.layer_arn],
                account_id=self._args.account_id,
                region=self._args.region,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _read_by(self, function: PackagedFunction) -> pulumi.Output[str]:
        reading = self._args.reading
        mapping = aws.lambda_.EventSourceMapping(
            f"{self._name}-stream",
            event_source_arn=self._args.source.stream_arn,
            function_name=function.arn,
            # Later ones of a key win: what is read once more, and what is old, does no harm.
            starting_position="TRIM_HORIZON",
            batch_size=reading.batch_size,
            maximum_batching_window_in_seconds=reading.batching_window_seconds,
            parallelization_factor=reading.parallelization_factor,
            maximum_retry_attempts=reading.maximum_retry_attempts,
            maximum_record_age_in_seconds=reading.maximum_record_age_seconds,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            destination_config={
                "on_failure": {"destination_arn": self._args.on_failure_bucket_arn}
            },
            metrics_config={"metrics": ["EventCount"]},
            # Of a file that is on S3 before the rule that tells of it, nobody ever hears.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._args.after]),
        )
        return mapping.uuid

    def _objects(self, prefix: str) -> pulumi.Output[str]:
        return pulumi.Output.concat(self._args.bucket_arn, f"/{prefix}/*")

    def _read_again(self) -> list[Statement]:
        flow, args = self._args.flow, self._args
        folders = [f"{FAILED}/{flow}", f"{TABLE_EXPORTS}/{flow}"]
        discarded = pulumi.Output.concat(args.on_failure_bucket_arn, f"/{DISCARDED}/*")
        return [
            Statement(
                sid="List",
                actions=["s3:ListBucket"],
                resources=[args.bucket_arn, args.on_failure_bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{p}/*" for p in [*folders, DISCARDED]]}},
            ),
            Statement(
                sid="Read",
                actions=["s3:GetObject"],
                resources=[*(self._objects(folder) for folder in folders), discarded],
            ),
            *_use_failures_key(args, "kms:Decrypt"),
        ]


def _read_stream(args: FlowStreamArgs) -> list[Statement]:
    """Return what Lambda needs to read the stream and to keep what it gave up on.

    AWS, "Using AWS Lambda with Amazon DynamoDB" and "Retaining discarded records".
    """
    return [
        Statement(
            sid="ReadStream",
            actions=[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ],
            resources=[args.source.stream_arn],
        ),
        Statement(
            sid="FindFailures", actions=["s3:ListBucket"], resources=[args.on_failure_bucket_arn]
        ),
        Statement(
            sid="KeepFailures",
            actions=["s3:PutObject"],
            resources=[pulumi.Output.concat(args.on_failure_bucket_arn, f"/{DISCARDED}/*")],
        ),
        *_use_failures_key(args, "kms:GenerateDataKey"),
    ]


def _use_failures_key(args: FlowStreamArgs, action: str) -> list[Statement]:
    if args.on_failure_key_arn is None:
        return []
    return [iam.use_key("UseFailuresKey", action, args.on_failure_key_arn, "s3")]


def _put_records(delivery_stream_arn: pulumi.Input[str]) -> Statement:
    return Statement(
        sid="Send", actions=["firehose:PutRecordBatch"], resources=[delivery_stream_arn]
    )
