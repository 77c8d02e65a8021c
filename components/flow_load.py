"""From CSV on S3 into the cluster: a flow's queue of objects, and the function that loads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.aurora import AuroraCluster
from components.dead_letters import DeadLetterQueue, DeadLetterQueueArgs
from components.flow_stream import PACKAGE
from components.iam import Statement
from components.packaged_function import (
    Network,
    PackagedFunction,
    PackagedFunctionArgs,
    Packages,
)
from components.replication_bucket import LOADS
from components.trigger import MAX_EVENT_AGE_SECONDS, MAX_EVENT_ATTEMPTS

_TIMEOUT_SECONDS = 300
# AWS, "Using Lambda with Amazon SQS": at least six times the function's timeout, so that a message
# whose batch is tried again is not given out meanwhile.
_VISIBILITY_SECONDS = 6 * _TIMEOUT_SECONDS
# Ten hours of a database that is down; after them somebody has been told for long.
_MAX_RECEIVE_COUNT = 20
_RETENTION_SECONDS = 14 * 86_400
# The loads of a flow wait for each other: a second one only fetches the next object meanwhile. Two
# is also the least that SQS's scaling takes.
_MAX_CONCURRENCY = 2
# One file may take most of the time of an invocation, and one that fails is put off for long.
_BATCH_SIZE = 1


@dataclass(frozen=True, kw_only=True)
class FlowLoadArgs:
    """One flow: the bucket whose objects are loaded, the cluster, and how the function logs on.

    With neither secret it logs on with tokens. `secret_key_arn` is the KMS key of the secret, where
    that is not Secrets Manager's own.
    """

    flow: str
    bucket: pulumi.Input[str]
    cluster: AuroraCluster
    user: str
    secret_arn: str | None
    secret_key_arn: str | None
    network: Network
    packages: Packages
    layer_arn: pulumi.Input[str]
    account_id: pulumi.Input[str]
    region: str


class FlowLoad(pulumi.ComponentResource):
    """Loads every object of a flow: EventBridge tells a queue of it, the function takes it there.

    An object that cannot be loaded comes back again and again, for hours, and ends in the
    dead-letter queue; so does an event that does not reach the queue. Nothing is lost of either:
    the message names the object, and the object stays.
    """

    function_name: pulumi.Output[str]
    queue_name: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    dead_letter_queue_name: pulumi.Output[str]
    dead_letter_queue_url: pulumi.Output[str]

    def __init__(
        self, name: str, args: FlowLoadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:flow-load:FlowLoad", name, {}, opts)
        self._name, self._args = name, args
        dead_letters = DeadLetterQueue(
            f"{name}-dlq",
            DeadLetterQueueArgs(
                account_id=args.account_id, region=args.region, rule_name_prefix=name
            ),
            pulumi.ResourceOptions(parent=self),
        )
        queue = self._queue(dead_letters.arn)
        self._fill(queue, dead_letters.arn)
        function = self._function(queue.arn)
        aws.lambda_.EventSourceMapping(
            name,
            event_source_arn=queue.arn,
            function_name=function.arn,
            batch_size=_BATCH_SIZE,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximum_concurrency": _MAX_CONCURRENCY},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.function_name = function.function_name
        self.queue_name = queue.name
        self.queue_url = queue.url
        self.dead_letter_queue_name = dead_letters.queue_name
        self.dead_letter_queue_url = dead_letters.url
        self.register_outputs(
            {
                "function_name": self.function_name,
                "queue_url": self.queue_url,
                "dead_letter_queue_url": self.dead_letter_queue_url,
            }
        )

    def _queue(self, dead_letters_arn: pulumi.Output[str]) -> aws.sqs.Queue:
        return aws.sqs.Queue(
            self._name,
            name=self._name,
            message_retention_seconds=_RETENTION_SECONDS,
            visibility_timeout_seconds=_VISIBILITY_SECONDS,
            sqs_managed_sse_enabled=True,
            redrive_policy=pulumi.Output.json_dumps(
                {
                    "deadLetterTargetArn": dead_letters_arn,
                    "maxReceiveCount": _MAX_RECEIVE_COUNT,
                }
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _fill(self, queue: aws.sqs.Queue, dead_letters_arn: pulumi.Output[str]) -> None:
        """Let every new object of the flow become a message of the queue."""
        name, args = self._name, self._args
        child = pulumi.ResourceOptions(parent=self)
        rule = aws.cloudwatch.EventRule(
            name,
            name=name,
            description="A file of changes is on S3: load it",
            event_pattern=pulumi.Output.json_dumps(
                {
                    "source": ["aws.s3"],
                    "detail-type": ["Object Created"],
                    "detail": {
                        "bucket": {"name": [args.bucket]},
                        "object": {"key": [{"prefix": f"{LOADS}/{args.flow}/"}]},
                    },
                }
            ),
            opts=child,
        )
        allowed = aws.sqs.QueuePolicy(
            name,
            queue_url=queue.url,
            policy=iam.rules_send(queue.arn, args.account_id, rule.arn),
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            name,
            rule=rule.name,
            target_id="queue",
            arn=queue.arn,
            retry_policy={
                "maximum_event_age_in_seconds": MAX_EVENT_AGE_SECONDS,
                "maximum_retry_attempts": MAX_EVENT_ATTEMPTS,
            },
            dead_letter_config={"arn": dead_letters_arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )

    def _function(self, queue_arn: pulumi.Output[str]) -> PackagedFunction:
        args = self._args
        environment: dict[str, pulumi.Input[str]] = {
            "DATABASE_HOST": args.cluster.host,
            "DATABASE_PORT": args.cluster.port.apply(str),
            "DATABASE_USER": args.user,
        }
        if args.secret_arn is not None:
            environment["DATABASE_SECRET_ARN"] = args.secret_arn
        return PackagedFunction(
            self._name,
            PackagedFunctionArgs(
                packages=args.packages,
                package=PACKAGE,
                handler="replication.load.handler",
                description="Loads files of changes into the cluster",
                memory_mb=512,
                timeout_seconds=_TIMEOUT_SECONDS,
                environment=environment,
                permissions=[_receive(queue_arn), *self._log_on()],
                layer_arns=[args.layer_arn],
                network=args.network,
                account_id=args.account_id,
                region=args.region,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _log_on(self) -> list[Statement]:
        args = self._args
        if args.secret_arn is not None:
            return list(_read_secret(args.secret_arn, args.secret_key_arn))
        user = pulumi.Output.concat(
            f"arn:aws:rds-db:{args.region}:",
            args.account_id,
            ":dbuser:",
            args.cluster.resource_id,
            f"/{args.user}",
        )
        return [Statement(sid="LogOn", actions=["rds-db:connect"], resources=[user])]


def _read_secret(secret_arn: str, key_arn: str | None) -> Iterator[Statement]:
    """Yield what reads a secret, which Secrets Manager decrypts on the reader's behalf.

    AWS Secrets Manager, "Secret encryption and decryption": with the secret's ARN in the encryption
    context.
    """
    yield Statement(
        sid="ReadPassword",
        actions=["secretsmanager:GetSecretValue"],
        resources=[secret_arn],
    )
    if key_arn is not None:
        context = {"SecretARN": secret_arn}
        yield iam.use_key("DecryptPassword", "kms:Decrypt", key_arn, "secretsmanager", context)


def _receive(queue_arn: pulumi.Input[str]) -> Statement:
    return Statement(
        sid="TakeObjects",
        actions=["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
        resources=[queue_arn],
    )
