"""Which functions reach a cluster at all: VPCs and security groups, as EC2 has them.

"Control traffic to your AWS resources using security groups" (Amazon VPC User Guide): groups only
allow; a connection needs a rule of the one who opens it to go out, and one of the other to come in.
Both sides are looked at by the rules' words: ports, the group they name, the addresses they hold.
Routes, network ACLs and prefix lists are not: within a VPC there is always a route, and AWS's lists
hold none of its addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from rehearsal.aws.aurora.cluster import Cluster

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class _Side:
    """One end of a connection."""

    groups: tuple[str, ...]
    addresses: tuple[IPv4Network, ...]


class Network:
    """Asks the local Lambda and EC2 who may connect to a cluster."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client

    def why_unreachable(self, principal: str, cluster: Cluster) -> str | None:
        """Return what keeps a function from the cluster; None where nothing does.

        The sessions of a function's role are called like the function. Whoever is no function
        connects from anywhere.
        """
        function = self._function(principal)
        if function is None:
            return None
        name, inside = function["FunctionName"], function.get("VpcConfig") or {}
        vpc = cluster.subnet_group.vpc
        subnets = self._subnets(inside.get("SubnetIds") or [])
        if {subnet["VpcId"] for subnet in subnets} != {vpc}:
            return (
                f"the function {name} is not in the VPC {vpc} of the cluster {cluster.identifier}: "
                "its vpcConfig must name subnets there"
            )
        here = _Side(tuple(inside.get("SecurityGroupIds") or ()), _addresses(subnets))
        there = _Side(
            tuple(cluster.security_groups),
            _addresses(self._subnets(list(cluster.subnet_group.subnets))),
        )
        if not self._allowed(here, there, cluster.port, "IpPermissionsEgress"):
            return _missing("egress", here, there, cluster.port, "to", name)
        if not self._allowed(there, here, cluster.port, "IpPermissions"):
            return _missing("ingress", there, here, cluster.port, "from", cluster.identifier)
        return None

    def _function(self, principal: str) -> Mapping[str, Any] | None:
        kind, _, rest = principal.split(":", 5)[5].partition("/")
        role, _, session = rest.partition("/")
        if kind != "assumed-role":
            return None
        for listed in self._client("lambda").get_paginator("list_functions").paginate():
            for function in listed["Functions"]:
                if function["FunctionName"] == session and function["Role"].endswith(f"/{role}"):
                    found: Mapping[str, Any] = function
                    return found
        return None

    def _subnets(self, identifiers: list[str]) -> list[Mapping[str, Any]]:
        if not identifiers:
            return []
        answer = self._client("ec2").describe_subnets(SubnetIds=identifiers)
        found: list[Mapping[str, Any]] = answer["Subnets"]
        return found

    def _allowed(self, side: _Side, other: _Side, port: int, direction: str) -> bool:
        if not side.groups:
            return False
        answer = self._client("ec2").describe_security_groups(GroupIds=list(side.groups))
        rules = (rule for group in answer["SecurityGroups"] for rule in group[direction])
        return _allow(rules, other, port)


def _allow(rules: Iterable[Rule], other: _Side, port: int) -> bool:
    return any(_covers_port(rule, port) and _covers_side(rule, other) for rule in rules)


def _covers_port(rule: Rule, port: int) -> bool:
    protocol = str(rule["IpProtocol"])
    if protocol == "-1":
        return True
    first, last = rule.get("FromPort", -1), rule.get("ToPort", -1)
    return protocol in ("tcp", "6") and (first == -1 or first <= port <= last)


def _covers_side(rule: Rule, other: _Side) -> bool:
    named = {pair.get("GroupId") for pair in rule.get("UserIdGroupPairs", ())}
    if named & set(other.groups):
        return True
    ranges = [ip_network(each["CidrIp"]) for each in rule.get("IpRanges", ())]
    return bool(other.addresses) and all(
        any(isinstance(each, IPv4Network) and address.subnet_of(each) for each in ranges)
        for address in other.addresses
    )


def _addresses(subnets: Iterable[Mapping[str, Any]]) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(subnet["CidrBlock"]) for subnet in subnets)


def _missing(kind: str, side: _Side, other: _Side, port: int, towards: str, whose: str) -> str:
    groups = ", ".join(side.groups) or "none"
    others = ", ".join(other.groups) or "its subnets"
    return (
        f"no {kind} rule of the security groups of {whose} ({groups}) allows TCP port {port} "
        f"{towards} {others}"
    )
