"""Who may reach the cluster: the load functions, by their security group."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aurora import AuroraCluster
from components.packaged_function import Network

_HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class LoadNetworkArgs:
    """The cluster; whether its own security group is opened, and whether secrets are fetched."""

    cluster: AuroraCluster
    open_cluster: bool
    to_secrets: bool


class LoadNetwork(pulumi.ComponentResource):
    """A security group in the cluster's subnets that leads to the cluster, and nowhere else.

    Nothing comes in. A function that fetches a secret also gets out by HTTPS: to a VPC endpoint or
    through NAT, which the owner of the VPC has. A rule is added to the first of the cluster's own
    security groups only with `open_cluster`.
    """

    network: Network
    security_group_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: LoadNetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:load-network:LoadNetwork", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        cluster = args.cluster
        # A property of its own: the first group, not a copy of all, is what the rules speak of.
        clusters_group = cluster.security_group_ids.apply(lambda ids: ids[0])
        group = aws.ec2.SecurityGroup(
            name,
            name=name,
            description="The load functions of the replication route",
            vpc_id=cluster.vpc_id,
            opts=child,
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-database",
            security_group_id=group.id,
            description="To the cluster",
            ip_protocol="tcp",
            from_port=cluster.port,
            to_port=cluster.port,
            referenced_security_group_id=clusters_group,
            opts=child,
        )
        if args.to_secrets:
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-secrets",
                security_group_id=group.id,
                description="To Secrets Manager, whose addresses are not known",
                ip_protocol="tcp",
                from_port=_HTTPS,
                to_port=_HTTPS,
                cidr_ipv4="0.0.0.0/0",
                opts=child,
            )
        if args.open_cluster:
            aws.vpc.SecurityGroupIngressRule(
                name,
                security_group_id=clusters_group,
                description="The load functions of the replication route",
                ip_protocol="tcp",
                from_port=cluster.port,
                to_port=cluster.port,
                referenced_security_group_id=group.id,
                opts=child,
            )
        self.security_group_id = group.id
        self.network = Network(subnet_ids=cluster.subnet_ids, security_group_ids=[group.id])
        self.register_outputs({"security_group_id": self.security_group_id})
