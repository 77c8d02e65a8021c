"""Where alerts go: one encrypted topic, and the people who read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.export_key import administration, this_key
from components.iam import Statement

_PUBLISH_USE = ("kms:Decrypt", "kms:GenerateDataKey")
_DELETION_WINDOW_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class AlertsArgs:
    """Who is told, and in which account the alerts arise."""

    emails: Sequence[str]
    account_id: pulumi.Input[str]
    region: str


class Alerts(pulumi.ComponentResource):
    """An SNS topic with a key of its own and one subscription per e-mail address.

    Its own key, because AWS's managed one for SNS cannot be used by CloudWatch's alarms. Every
    address gets a mail from SNS first and has to confirm it.
    """

    topic_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: AlertsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:alerts:Alerts", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            name,
            description="Encrypts the alerts topic",
            enable_key_rotation=True,
            deletion_window_in_days=_DELETION_WINDOW_DAYS,
            policy=iam.policy(administration(args.account_id), *_key_use(args)),
            opts=child,
        )
        aws.kms.Alias(name, name=f"alias/{name}", target_key_id=key.key_id, opts=child)
        topic = aws.sns.Topic(name, name=name, kms_master_key_id=key.arn, opts=child)
        aws.sns.TopicPolicy(name, arn=topic.arn, policy=_topic_policy(args, topic.arn), opts=child)
        for email in args.emails:
            aws.sns.TopicSubscription(
                f"{name}-{email}", topic=topic.arn, protocol="email", endpoint=email, opts=child
            )
        self.topic_arn = topic.arn
        self.key_arn = key.arn
        self.register_outputs({"topic_arn": self.topic_arn, "key_arn": self.key_arn})


def publish_permissions(
    topic_arn: pulumi.Input[str], key_arn: pulumi.Input[str], region: str
) -> list[Statement]:
    """Return what a role needs in order to publish to the topic."""
    return [
        Statement(sid="Alert", actions=["sns:Publish"], resources=[topic_arn]),
        Statement(
            sid="EncryptAlerts",
            actions=_PUBLISH_USE,
            resources=[key_arn],
            conditions={"StringEquals": {"kms:ViaService": f"sns.{region}.amazonaws.com"}},
        ),
    ]


def _key_use(args: AlertsArgs) -> list[Statement]:
    return [
        # Through SNS only, and for those of the account whose own policies allow it.
        this_key(
            "PublishersThroughSns",
            {"AWS": iam.account_root(args.account_id)},
            _PUBLISH_USE,
            {
                "StringEquals": {
                    "kms:ViaService": f"sns.{args.region}.amazonaws.com",
                    "kms:CallerAccount": args.account_id,
                }
            },
        ),
        # AWS, "Notifying users on alarm changes": alarms call KMS as the service.
        this_key(
            "Alarms",
            {"Service": "cloudwatch.amazonaws.com"},
            _PUBLISH_USE,
            {"StringEquals": {"aws:SourceAccount": args.account_id}},
        ),
    ]


def _topic_policy(args: AlertsArgs, topic_arn: pulumi.Output[str]) -> pulumi.Output[str]:
    return iam.policy(
        Statement(
            sid="AlarmsPublish",
            principals={"Service": "cloudwatch.amazonaws.com"},
            actions=["sns:Publish"],
            resources=[topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": args.account_id}},
        ),
        iam.deny_plain_http("TlsOnly", "sns:Publish", topic_arn),
    )
