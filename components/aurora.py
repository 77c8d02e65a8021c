"""The Aurora MySQL cluster that is loaded: looked up, and changed only where the stack says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.iam import Statement
from components.look_ups import found_or_stop
from components.replication_bucket import LOADS

ENGINE = "aurora-mysql"
# Version 2 is MySQL 5.7, which has no window functions; AWS ended its support in October 2024.
_OLDEST_MAJOR = "8.0"
_ROLE_PARAMETER = "aws_default_s3_role"


@dataclass(frozen=True, kw_only=True)
class AuroraCluster:
    """What the route needs to know of the cluster."""

    identifier: pulumi.Output[str]
    arn: pulumi.Output[str]
    host: pulumi.Output[str]
    port: pulumi.Output[int]
    resource_id: pulumi.Output[str]
    security_group_ids: pulumi.Output[Sequence[str]]
    vpc_id: pulumi.Output[str]
    subnet_ids: pulumi.Output[Sequence[str]]


def look_up_cluster(
    identifier: str, *, by_token: bool, where: str, provider: aws.Provider
) -> AuroraCluster:
    """Return the cluster once it is one that this route can load.

    One that is not there, or has another engine or an older version, fails the preview with one
    line that begins with `where`; so does one without IAM database authentication where the load
    would log on `by_token`.
    """
    opts = pulumi.InvokeOutputOptions(provider=provider)

    def check(known: aws.rds.GetClusterResult) -> aws.rds.GetClusterResult:
        problem = _problem(known, by_token)
        if problem:
            raise pulumi.RunError(f"{where}: the cluster {identifier} {problem}")
        return known

    # All that follows comes from the checked cluster: the first thing wrong is what is told.
    found = found_or_stop(
        aws.rds.get_cluster_output(cluster_identifier=identifier, opts=opts),
        where,
        f"the cluster {identifier}",
    ).apply(check)
    subnets = found_or_stop(
        aws.rds.get_subnet_group_output(name=found.db_subnet_group_name, opts=opts),
        where,
        f"the subnet group of the cluster {identifier}",
    )
    return AuroraCluster(
        identifier=found.apply(lambda _: identifier),
        arn=found.arn,
        host=found.endpoint,
        port=found.port,
        resource_id=found.cluster_resource_id,
        security_group_ids=found.vpc_security_group_ids,
        vpc_id=subnets.vpc_id,
        subnet_ids=subnets.subnet_ids,
    )


def _problem(known: aws.rds.GetClusterResult, by_token: bool) -> str | None:
    if known.engine != ENGINE:
        return f"has the engine {known.engine}; LOAD DATA FROM S3 needs {ENGINE}"
    if not known.engine_version.startswith(f"{_OLDEST_MAJOR}."):
        return (
            f"has the version {known.engine_version}; the load needs Aurora MySQL version 3, "
            f"which is {_OLDEST_MAJOR}"
        )
    if by_token and not known.iam_database_authentication_enabled:
        return (
            "has no IAM database authentication: switch it on, or give `secret_arn` with the "
            "user's name and password"
        )
    return None


@dataclass(frozen=True, kw_only=True)
class AuroraAccessArgs:
    """Which bucket the cluster may load from, and how far the cluster itself may be changed."""

    cluster: AuroraCluster
    bucket_arn: pulumi.Input[str]
    account_id: pulumi.Input[str]
    associate: bool
    parameter_group_family: str | None


class AuroraAccess(pulumi.ComponentResource):
    """The role with which the cluster reads the bucket.

    It changes nothing of the cluster unless `associate` is set: then the role is associated with
    it. The parameter group, made when its family is given, names the role in
    ``aws_default_s3_role``; the cluster gets it only from its owner, for a cluster has one group
    with all of its parameters. Source: Aurora user guide, "Loading data into an Amazon Aurora
    MySQL DB cluster from text files in an Amazon S3 bucket".
    """

    role_arn: pulumi.Output[str]
    parameter_group: pulumi.Output[str] | None

    def __init__(
        self, name: str, args: AuroraAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:aurora:AuroraAccess", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            name=name,
            description="Aurora reads with it what the replication route loads",
            assume_role_policy=iam.trust(
                "rds.amazonaws.com",
                {
                    "StringEquals": {"aws:SourceAccount": args.account_id},
                    "ArnEquals": {"aws:SourceArn": args.cluster.arn},
                },
            ),
            opts=child,
        )
        aws.iam.RolePolicy(
            name,
            name="read-loads",
            role=role.name,
            policy=iam.policy(*_permissions(args.bucket_arn)),
            opts=child,
        )
        if args.associate:
            aws.rds.ClusterRoleAssociation(
                name,
                db_cluster_identifier=args.cluster.identifier,
                role_arn=role.arn,
                opts=child,
            )
        self.role_arn = role.arn
        self.parameter_group = None
        if args.parameter_group_family is not None:
            self.parameter_group = self._parameter_group(name, args.parameter_group_family).name
        self.register_outputs({"role_arn": self.role_arn, "parameter_group": self.parameter_group})

    def _parameter_group(self, name: str, family: str) -> aws.rds.ClusterParameterGroup:
        return aws.rds.ClusterParameterGroup(
            name,
            name=name,
            family=family,
            description="Lets LOAD DATA FROM S3 read what the replication route wrote",
            parameters=[
                {
                    "name": _ROLE_PARAMETER,
                    "value": self.role_arn,
                    "apply_method": "pending-reboot",
                }
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )


def _permissions(bucket_arn: pulumi.Input[str]) -> list[Statement]:
    return [
        Statement(
            sid="List",
            actions=["s3:ListBucket"],
            resources=[bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{LOADS}/*"]}},
        ),
        Statement(
            sid="Read",
            actions=["s3:GetObject", "s3:GetObjectVersion"],
            resources=[pulumi.Output.concat(bucket_arn, f"/{LOADS}/*")],
        ),
    ]
