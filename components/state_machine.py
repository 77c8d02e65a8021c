"""A state machine as every one of this program is: logged, traced, with a role of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement
from export_identity import shorten

MAX_MACHINE_NAME = 80
MAX_ROLE_NAME = 64

# AWS, "Logging in CloudWatch Logs" (Step Functions): log delivery has no narrower resource.
_LOG_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)
# AWS, "AWS X-Ray and Step Functions".
_TRACING = (
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)


@dataclass(frozen=True, kw_only=True)
class StateMachineArgs:
    """What the machine does, and what it may do."""

    definition: pulumi.Input[str]
    permissions: Sequence[Statement]
    account_id: pulumi.Input[str]
    region: str
    log_retention_days: int


class StateMachine(pulumi.ComponentResource):
    """A standard state machine, its role and its log group.

    The log has errors without execution data: inputs and outputs name tables and carry database
    errors, and are read in the execution's own history, which is where access to them is granted.
    """

    arn: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: StateMachineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:state-machine:StateMachine", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            name=shorten(name, MAX_ROLE_NAME),
            assume_role_policy=iam.trust("states.amazonaws.com", _confused_deputy(args)),
            opts=child,
        )
        permissions = aws.iam.RolePolicy(
            name,
            name="run",
            role=role.name,
            policy=iam.policy(*args.permissions, *_own_permissions()),
            opts=child,
        )
        machine_name = shorten(name, MAX_MACHINE_NAME)
        # Names below /aws/vendedlogs/ need no entry in the account's log resource policy, which
        # has room for about ten machines.
        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/vendedlogs/states/{machine_name}",
            retention_in_days=args.log_retention_days,
            opts=child,
        )
        machine = aws.sfn.StateMachine(
            name,
            name=machine_name,
            type="STANDARD",
            role_arn=role.arn,
            definition=args.definition,
            logging_configuration={
                "level": "ERROR",
                "include_execution_data": False,
                "log_destination": pulumi.Output.concat(logs.arn, ":*"),
            },
            tracing_configuration={"enabled": True},
            # Step Functions checks at creation that the role may deliver logs.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions]),
        )
        self.arn = machine.arn
        self.role_arn = role.arn
        self.register_outputs({"arn": self.arn, "role_arn": self.role_arn})


def _confused_deputy(args: StateMachineArgs) -> iam.Conditions:
    machines = pulumi.Output.concat(f"arn:aws:states:{args.region}:", args.account_id)
    return {
        "StringEquals": {"aws:SourceAccount": args.account_id},
        "ArnLike": {"aws:SourceArn": pulumi.Output.concat(machines, ":stateMachine:*")},
    }


def _own_permissions() -> list[Statement]:
    return [
        Statement(
            sid="DeliverLogs",
            actions=_LOG_DELIVERY,
            resources=["*"],
            any_resource_because="CloudWatch Logs has no resource type for log deliveries",
        ),
        Statement(
            sid="Trace",
            actions=_TRACING,
            resources=["*"],
            any_resource_because="X-Ray has no resource type for traces",
        ),
    ]
