"""Security groups and their rules live and die as their drivers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, registry
from tests.rehearsal.drivers.lifecycle import Life, live

GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"


def the_vpc(clouds: Clouds) -> dict[str, str]:
    return {"vpcId": clouds.aws.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]}


def a_group(clouds: Clouds, name: str) -> str:
    made = clouds.aws.client("ec2").create_security_group(GroupName=name, Description=name)
    return str(made["GroupId"])


def groups(*names: str) -> Callable[[Clouds], dict[str, str]]:
    """Make groups: the one that a rule is in, and the one that it refers to."""
    called = ("securityGroupId", "referencedSecurityGroupId")

    def make(clouds: Clouds) -> dict[str, str]:
        return {key: a_group(clouds, name) for key, name in zip(called, names, strict=False)}

    return make


def tag_by_hand(clouds: Clouds, identifier: str) -> None:
    clouds.aws.client("ec2").create_tags(
        Resources=[identifier], Tags=[{"Key": "by", "Value": "hand"}]
    )


def change_rule(**rule: Any) -> Callable[[Clouds, str], None]:
    def by_hand(clouds: Clouds, identifier: str) -> None:
        ec2 = clouds.aws.client("ec2")
        found = ec2.describe_security_group_rules(SecurityGroupRuleIds=[identifier])
        ec2.modify_security_group_rules(
            GroupId=found["SecurityGroupRules"][0]["GroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": identifier, "SecurityGroupRule": rule}],
        )

    return by_hand


LIVES = [
    Life(
        GROUP,
        {"name": "life-group", "description": "Loads", "tags": {"team": "data"}},
        before=the_vpc,
        updates=[{"tags": {"team": "web", "stage": "stg"}}, {"tags": None}],
        by_hand=tag_by_hand,
        drift={"tags": {"by": "hand"}},
    ),
    Life(
        INGRESS,
        {"ipProtocol": "tcp", "fromPort": 3306, "toPort": 3306, "tags": {"team": "data"}},
        before=groups("life-in", "life-in-from"),
        updates=[
            {"fromPort": 3307.0, "toPort": 3310, "description": "More ports"},
            {"description": None, "tags": None},
        ],
        by_hand=change_rule(Description="by hand", ToPort=4000),
        drift={"description": "by hand", "toPort": 4000},
    ),
    Life(
        EGRESS,
        {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIpv4": "0.0.0.0/0"},
        before=groups("life-out"),
        updates=[{"cidrIpv4": "10.0.0.0/8"}, {"tags": {"team": "data"}}],
        by_hand=change_rule(CidrIpv4="10.1.0.0/16"),
        drift={"cidrIpv4": "10.1.0.0/16"},
    ),
    Life(
        EGRESS,
        {"ipProtocol": "-1", "prefixListId": "pl-0aa", "description": "To S3"},
        before=groups("life-list"),
        updates=[{"prefixListId": "pl-0bb"}, {"description": "To S3's gateway"}],
        by_hand=change_rule(PrefixListId="pl-0cc"),
        drift={"prefixListId": "pl-0cc"},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_a_new_group_lets_nothing_out(clouds: Clouds) -> None:
    """As of the official provider; EC2's own groups let everything out."""
    made = drivers.create(clouds, GROUP, "it", {"name": "tight"})
    (group,) = clouds.aws.client("ec2").describe_security_groups(GroupIds=[made.id])[
        "SecurityGroups"
    ]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])


@pytest.mark.parametrize(
    "sides", [{}, {"cidrIpv4": "10.0.0.0/8", "prefixListId": "pl-0aa"}], ids=["none", "two"]
)
def test_a_rule_has_one_other_side(clouds: Clouds, sides: dict[str, str]) -> None:
    inputs = {"securityGroupId": "sg-00000001", "ipProtocol": "-1", **sides}
    with pytest.raises(drivers.DriverError, match="a rule has exactly one of cidrIpv4"):
        drivers.create(clouds, INGRESS, "it", inputs)


def test_another_kind_of_side_is_not_taken_for_the_old_one(clouds: Clouds) -> None:
    inputs = {"ipProtocol": "-1", "cidrIpv4": "10.0.0.0/8", **groups("kinds")(clouds)}
    made = drivers.create(clouds, INGRESS, "it", inputs)
    del inputs["cidrIpv4"]
    with pytest.raises(drivers.DriverError, match="cannot be changed in place"):
        registry.update(
            clouds, INGRESS, "it", made.id, {**inputs, "prefixListId": "pl-0aa"}, made.outputs
        )
