"""A Lambda function of a package, with a role and a log group of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement


@dataclass(frozen=True, kw_only=True)
class Packages:
    """Where the packages lie, and what they were built for."""

    path: str
    runtime: str
    architecture: str
    service: str
    log_retention_days: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where in a VPC a function is: its subnets and its security groups."""

    subnet_ids: pulumi.Input[Sequence[str]]
    security_group_ids: Sequence[pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class PackagedFunctionArgs:
    """The function: its code, its size, what it is told, what it may do, and where it is."""

    packages: Packages
    package: str
    handler: str
    description: str
    memory_mb: int
    timeout_seconds: int
    environment: Mapping[str, pulumi.Input[str]]
    permissions: Sequence[Statement]
    account_id: pulumi.Input[str]
    region: str
    layer_arns: Sequence[pulumi.Input[str]] = ()
    network: Network | None = None


class PackagedFunction(pulumi.ComponentResource):
    """The function `name`, its role and its log group, which forgets."""

    arn: pulumi.Output[str]
    function_name: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: PackagedFunctionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:packaged-function:PackagedFunction", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        packages = args.packages
        arn = pulumi.Output.concat(
            f"arn:aws:lambda:{args.region}:", args.account_id, f":function:{name}"
        )
        role = aws.iam.Role(
            name, name=name, assume_role_policy=iam.trust("lambda.amazonaws.com"), opts=child
        )
        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/lambda/{name}",
            retention_in_days=packages.log_retention_days,
            opts=child,
        )
        permissions = aws.iam.RolePolicy(
            name,
            name="function",
            role=role.name,
            policy=iam.policy(
                *args.permissions,
                iam.write_logs(logs.arn),
                *(_interfaces(arn) if args.network else ()),
            ),
            opts=child,
        )
        function = aws.lambda_.Function(
            name,
            name=name,
            description=args.description,
            role=role.arn,
            code=pulumi.FileArchive(f"{packages.path}/{args.package}"),
            handler=args.handler,
            runtime=packages.runtime,
            architectures=[packages.architecture],
            memory_size=args.memory_mb,
            timeout=args.timeout_seconds,
            layers=list(args.layer_arns) or None,
            environment={
                "variables": {
                    **powertools(packages.service, _service(args.handler)),
                    **args.environment,
                }
            },
            vpc_config=(
                {
                    "subnet_ids": args.network.subnet_ids,
                    "security_group_ids": list(args.network.security_group_ids),
                }
                if args.network
                else None
            ),
            # Lambda would make a log group that never forgets, and refuses a function in a VPC
            # whose role cannot make network interfaces.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions, logs]),
        )
        self.arn = function.arn
        self.function_name = function.name
        self.role_arn = role.arn
        self.register_outputs(
            {
                "arn": self.arn,
                "function_name": self.function_name,
                "role_arn": self.role_arn,
            }
        )


def powertools(service: str, function: str) -> dict[str, pulumi.Input[str]]:
    """Return the variables of every function: the stack's service, and whose logs these are."""
    return {
        "SERVICE_NAME": service,
        "POWERTOOLS_SERVICE_NAME": function,
        "POWERTOOLS_METRICS_NAMESPACE": "data-ferry",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def _service(handler: str) -> str:
    return handler.removesuffix(".handler").replace(".", "-").replace("_", "-")


def _interfaces(function_arn: pulumi.Output[str]) -> tuple[Statement, Statement]:
    """Return what Lambda needs to connect the function, and what keeps it from the code.

    AWS, "Giving Lambda functions access to resources in an Amazon VPC".
    """
    actions = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ]
    why = "Lambda checks these for the function's role on any resource"
    return (
        Statement(sid="ConnectToVpc", actions=actions, resources=["*"], any_resource_because=why),
        Statement(
            sid="NotByTheCode",
            effect="Deny",
            actions=actions,
            resources=["*"],
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": function_arn}},
        ),
    )
