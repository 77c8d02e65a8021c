"""Where events go that could not start a state machine."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam

_RETENTION_SECONDS = 14 * 86_400  # SQS's maximum: time to find out and to start by hand


@dataclass(frozen=True, kw_only=True)
class DeadLetterQueueArgs:
    """Whose rules may send: those of this account and region whose names begin so."""

    account_id: pulumi.Input[str]
    region: str
    rule_name_prefix: str


class DeadLetterQueue(pulumi.ComponentResource):
    """An encrypted, TLS-only queue into which only the stack's own rules may send.

    Encrypted by SQS itself: EventBridge could not use a key of ours without a statement for it.
    The rules are named by their common prefix, since a queue policy has no room for a long list.
    A schedule sends with its own role, which its own policy allows.
    """

    queue_name: pulumi.Output[str]
    arn: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: DeadLetterQueueArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:dead-letters:DeadLetterQueue", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        queue = aws.sqs.Queue(
            name,
            name=name,
            message_retention_seconds=_RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            opts=child,
        )
        rules = pulumi.Output.concat(
            f"arn:aws:events:{args.region}:", args.account_id, f":rule/{args.rule_name_prefix}*"
        )
        aws.sqs.QueuePolicy(
            name,
            queue_url=queue.url,
            policy=iam.rules_send(queue.arn, args.account_id, rules),
            opts=child,
        )
        self.queue_name = queue.name
        self.arn = queue.arn
        self.url = queue.url
        self.register_outputs({"queue_name": self.queue_name, "arn": self.arn, "url": self.url})
