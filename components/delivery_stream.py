"""The Firehose delivery stream of a flow: changes in, files of CSV on S3 out."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement
from components.replication_bucket import LOADS

_HOURLY = "!{timestamp:yyyy/MM/dd/HH}/"
# Firehose's own word for it: `processing-failed` for what the transformation refuses.
_ERROR_TYPE = "!{firehose:error-output-type}"
_DEFAULT_TRANSFORM_MIB = 1


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """How much Firehose collects before it transforms, and before it writes."""

    transform_mib: float
    delivery_mib: int
    delivery_seconds: int


@dataclass(frozen=True, kw_only=True)
class DeliveryStreamArgs:
    """The flow, its transformation, and the bucket below whose prefixes it writes."""

    flow: str
    transform_arn: pulumi.Output[str]
    bucket_arn: pulumi.Input[str]
    buffers: Buffers
    account_id: pulumi.Input[str]
    region: str
    log_retention_days: int


class DeliveryStream(pulumi.ComponentResource):
    """An encrypted delivery stream, its role and its log.

    What is transformed lies below `loads/<flow>/`, what is not below `processing-failed/<flow>/`,
    both in a folder for each hour.
    """

    arn: pulumi.Output[str]
    stream_name: pulumi.Output[str]

    def __init__(
        self, name: str, args: DeliveryStreamArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:delivery-stream:DeliveryStream", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/kinesisfirehose/{name}",
            retention_in_days=args.log_retention_days,
            opts=child,
        )
        log = aws.cloudwatch.LogStream(
            name, name="S3Delivery", log_group_name=group.name, opts=child
        )
        # AWS: the version is part of what Firehose may call.
        latest = pulumi.Output.concat(args.transform_arn, ":$LATEST")
        role = aws.iam.Role(
            name,
            name=f"{name}-delivery",
            description="Firehose calls the transformation and writes to S3 with it",
            assume_role_policy=iam.trust(
                "firehose.amazonaws.com",
                {
                    "StringEquals": {"aws:SourceAccount": args.account_id},
                    "ArnEquals": {"aws:SourceArn": _arn(name, args)},
                },
            ),
            opts=child,
        )
        permissions = aws.iam.RolePolicy(
            name,
            name="deliver",
            role=role.name,
            policy=iam.policy(*_permissions(args, latest, group.arn)),
            opts=child,
        )
        stream = aws.kinesis.FirehoseDeliveryStream(
            name,
            name=name,
            destination="extended_s3",
            extended_s3_configuration={
                "role_arn": role.arn,
                "bucket_arn": args.bucket_arn,
                "prefix": f"{LOADS}/{args.flow}/{_HOURLY}",
                "error_output_prefix": f"{_ERROR_TYPE}/{args.flow}/{_HOURLY}",
                "buffering_size": args.buffers.delivery_mib,
                "buffering_interval": args.buffers.delivery_seconds,
                # LOAD DATA FROM S3 reads no compressed file.
                "compression_format": "UNCOMPRESSED",
                "cloudwatch_logging_options": {
                    "enabled": True,
                    "log_group_name": group.name,
                    "log_stream_name": log.name,
                },
                "processing_configuration": {
                    "enabled": True,
                    "processors": [
                        {
                            "type": "Lambda",
                            "parameters": [
                                {"parameter_name": parameter, "parameter_value": value}
                                for parameter, value in _transformation(
                                    latest, args.buffers
                                ).items()
                            ],
                        }
                    ],
                },
            },
            server_side_encryption={"enabled": True},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions]),
        )
        self.arn = stream.arn
        self.stream_name = stream.name
        self.register_outputs({"arn": self.arn, "stream_name": self.stream_name})


def _arn(name: str, args: DeliveryStreamArgs) -> pulumi.Output[str]:
    return pulumi.Output.concat(
        f"arn:aws:firehose:{args.region}:", args.account_id, f":deliverystream/{name}"
    )


def _transformation(
    function_arn: pulumi.Input[str], buffers: Buffers
) -> dict[str, pulumi.Input[str]]:
    """Return the processor's parameters but those at their defaults.

    AWS does not give the defaults back, so the provider would see a change in each of them for
    ever: three retries, one MiB, 60 seconds, the role of the destination.
    """
    parameters = {"LambdaArn": function_arn}
    if buffers.transform_mib != _DEFAULT_TRANSFORM_MIB:
        parameters["BufferSizeInMBs"] = f"{buffers.transform_mib:g}"
    return parameters


def _permissions(
    args: DeliveryStreamArgs, latest: pulumi.Output[str], group_arn: pulumi.Output[str]
) -> list[Statement]:
    """Return what Firehose may do (AWS, "Grant Firehose access to an Amazon S3 destination")."""
    return [
        Statement(
            sid="FindBucket",
            actions=["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            resources=[args.bucket_arn],
        ),
        Statement(
            sid="Write",
            actions=["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
            # Firehose has a word of its own for each thing that can go wrong.
            resources=[
                pulumi.Output.concat(args.bucket_arn, f"/{folder}/{args.flow}/*")
                for folder in (LOADS, "*-failed")
            ],
        ),
        Statement(
            sid="Transform",
            actions=["lambda:GetFunctionConfiguration", "lambda:InvokeFunction"],
            resources=[args.transform_arn, latest],
        ),
        Statement(
            sid="Log",
            actions=["logs:PutLogEvents"],
            resources=[pulumi.Output.concat(group_arn, ":log-stream:*")],
        ),
    ]
