"""IAM policies as typed statements.

A policy document that reaches AWS is made here and nowhere else, which is what lets a few rules
hold for all of them:

* no action of an ``Allow`` has a wildcard. A ``Deny`` may have ``<service>:*``: there it only
  makes the refusal complete;
* ``*`` as a resource carries the reason why AWS allows nothing narrower;
* ``iam:PassRole`` names its roles and the service they may be passed to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi

POLICY_VERSION = "2012-10-17"

Conditions = Mapping[str, Mapping[str, pulumi.Input[str] | Sequence[pulumi.Input[str]]]]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy; refuses what no policy of this program may say."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[pulumi.Input[str]] = ()
    effect: Literal["Allow", "Deny"] = "Allow"
    principals: Mapping[str, pulumi.Input[str] | Sequence[pulumi.Input[str]]] | None = None
    conditions: Conditions = field(default_factory=dict)
    any_resource_because: str | None = None

    def __post_init__(self) -> None:
        self._check_actions()
        if "*" in self.resources and self.effect == "Allow" and not self.any_resource_because:
            raise ValueError(
                f"statement {self.sid} allows any resource: name the resources, or give the "
                "reason why AWS allows nothing narrower as any_resource_because"
            )
        if "iam:PassRole" in self.actions:
            self._check_pass_role()

    def _check_actions(self) -> None:
        if not self.actions:
            raise ValueError(f"statement {self.sid} has no action")
        for action in self.actions:
            complete_denial = self.effect == "Deny" and action.endswith(":*")
            if any(char in action for char in "*?") and not complete_denial:
                raise ValueError(
                    f"statement {self.sid} has the wildcard action {action!r}: name every action"
                )

    def _check_pass_role(self) -> None:
        passed_to = self.conditions.get("StringEquals", {}).get("iam:PassedToService")
        if len(self.actions) != 1 or not passed_to or "*" in self.resources or not self.resources:
            raise ValueError(
                f"statement {self.sid}: iam:PassRole stands alone, names its roles, and has the "
                "condition StringEquals iam:PassedToService"
            )

    def document(self) -> dict[str, Any]:
        """Return the statement in the form of a policy document."""
        document: dict[str, Any] = {"Sid": self.sid, "Effect": self.effect}
        if self.principals is not None:
            document["Principal"] = "*" if self.principals == EVERYONE else dict(self.principals)
        document["Action"] = list(self.actions)
        if self.resources:
            document["Resource"] = list(self.resources)
        if self.conditions:
            document["Condition"] = {test: dict(keys) for test, keys in self.conditions.items()}
        return document


EVERYONE: Mapping[str, str] = {"*": "*"}
"""The principal of a denial that holds for all, also for callers from outside the account."""


def policy(*statements: Statement) -> pulumi.Output[str]:
    """Return the JSON of a policy of these statements, in their order."""
    return pulumi.Output.json_dumps(
        {"Version": POLICY_VERSION, "Statement": [each.document() for each in statements]}
    )


def trust(service: str, conditions: Conditions | None = None) -> pulumi.Output[str]:
    """Return the trust policy of a role that one AWS service takes on."""
    return policy(
        Statement(
            sid="Assume",
            actions=["sts:AssumeRole"],
            principals={"Service": service},
            conditions=conditions or {},
        )
    )


def account_root(account_id: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the ARN that stands for an account's administrators in a resource policy."""
    return pulumi.Output.concat("arn:aws:iam::", account_id, ":root")


def write_logs(*group_arns: pulumi.Input[str]) -> Statement:
    """Return the statement that lets a function write to its log groups."""
    return Statement(
        sid="Log",
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[pulumi.Output.concat(arn, ":*") for arn in group_arns],
    )


def use_key(
    sid: str, action: str, key_arn: str, service: str, context: Mapping[str, str] | None = None
) -> Statement:
    """Return the statement that lets a KMS key be used by way of a service, and for nothing else.

    `service` is as in ``s3.eu-west-1.amazonaws.com``; `context` is of the encryption context.
    """
    region = key_arn.split(":")[3]
    return Statement(
        sid=sid,
        actions=[action],
        resources=[key_arn],
        conditions={
            "StringEquals": {
                "kms:ViaService": f"{service}.{region}.amazonaws.com",
                **{
                    f"kms:EncryptionContext:{name}": value
                    for name, value in (context or {}).items()
                },
            }
        },
    )


def rules_send(
    queue_arn: pulumi.Input[str], account_id: pulumi.Input[str], rule_arns: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Return the policy of a queue that takes events of the account's rules, and only over TLS.

    `rule_arns` is the ARN of a rule, or a pattern of several.
    """
    return policy(
        Statement(
            sid="RulesSend",
            principals={"Service": "events.amazonaws.com"},
            actions=["sqs:SendMessage"],
            resources=[queue_arn],
            conditions={
                "StringEquals": {"aws:SourceAccount": account_id},
                "ArnLike": {"aws:SourceArn": rule_arns},
            },
        ),
        deny_plain_http("TlsOnly", "sqs:*", queue_arn),
    )


def deny_plain_http(sid: str, action: str, *resources: pulumi.Input[str]) -> Statement:
    """Return the statement that refuses every request which does not come over TLS."""
    return Statement(
        sid=sid,
        effect="Deny",
        principals=EVERYONE,
        actions=[action],
        resources=resources,
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )
