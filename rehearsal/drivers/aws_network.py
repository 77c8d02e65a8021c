"""Drivers of security groups and their rules; each rule is a resource of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from rehearsal.drivers.aws_shapes import as_read, number
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    Outputs,
    driver,
)
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, or_none

_NO_GROUP = ("InvalidGroup.NotFound", "InvalidGroupId.Malformed")
_NO_RULE = "InvalidSecurityGroupRuleId.NotFound"
_DESCRIPTION = "Managed by Pulumi"


@driver
class SecurityGroup(Driver):
    """A security group without rules: the official provider, too, takes away what EC2 lets out.

    Rules inside of it are not known here. Source: hashicorp/terraform-provider-aws,
    internal/service/ec2/vpc_security_group.go.
    """

    token = "aws:ec2/securityGroup:SecurityGroup"  # noqa: S105  # a type token
    required = "name"
    optional = "description vpcId revokeRulesOnDelete tags region"
    replace_on = "name description vpcId region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the group and revoke the rule that EC2 gives every new one."""
        ec2 = clouds.aws.client("ec2")
        within = {"VpcId": inputs["vpcId"]} if "vpcId" in inputs else {}
        identifier = ec2.create_security_group(
            GroupName=inputs["name"],
            Description=inputs.get("description", _DESCRIPTION),
            **_tagged("security-group", inputs),
            **within,
        )["GroupId"]
        (group,) = ec2.describe_security_groups(GroupIds=[identifier])["SecurityGroups"]
        if group["IpPermissionsEgress"]:
            ec2.revoke_security_group_egress(
                GroupId=identifier, IpPermissions=group["IpPermissionsEgress"]
            )
        return Created(identifier, self._outputs(clouds, identifier, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read name, description, VPC and tags."""
        describe = clouds.aws.client("ec2").describe_security_groups
        answer = or_none(describe, *_NO_GROUP, GroupIds=[identifier])
        if answer is None:
            return None
        (group,) = answer["SecurityGroups"]
        seen = {
            "name": group["GroupName"],
            "description": group["Description"],
            "vpcId": group["VpcId"],
            "tags": from_aws_tags(group.get("Tags", [])),
        }
        told = as_read(known, seen, seen, {"description": _DESCRIPTION, "tags": {}})
        return self._outputs(clouds, identifier, told)

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the tags: all else is replaced."""
        _change_tags(clouds.aws.client("ec2"), identifier, inputs, known)
        return self._outputs(clouds, identifier, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the group."""
        or_none(clouds.aws.client("ec2").delete_security_group, *_NO_GROUP, GroupId=identifier)

    @staticmethod
    def _outputs(clouds: Clouds, identifier: str, inputs: Inputs) -> Outputs:
        aws = clouds.aws
        arn = f"arn:aws:ec2:{aws.region}:{aws.account}:security-group/{identifier}"
        return {**inputs, "arn": arn, "ownerId": aws.account}


# A rule's other side: property -> its list in a permission, and its key there.
_SIDES = {
    "cidrIpv4": ("IpRanges", "CidrIp"),
    "prefixListId": ("PrefixListIds", "PrefixListId"),
    "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
}
# EC2 says -1 of the ports of a rule that has none.
_RULE_DEFAULTS = {"fromPort": -1, "toPort": -1, "description": "", "tags": {}}


class _Rule(Driver):
    """A rule with one other side, which changes in place but for its kind.

    The official provider replaces a rule whose other side becomes one of another kind; here such an
    update is refused. Source: hashicorp/terraform-provider-aws,
    internal/service/ec2/vpc_security_group_ingress_rule.go.
    """

    required = "securityGroupId ipProtocol"
    optional = f"fromPort toPort {' '.join(_SIDES)} description tags region"
    replace_on = "securityGroupId region"
    direction: ClassVar[str]

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Authorize the rule."""
        ec2 = clouds.aws.client("ec2")
        side = self._side(inputs)
        kind, key = _SIDES[side]
        described = {"Description": inputs["description"]} if "description" in inputs else {}
        permission = {
            "IpProtocol": inputs["ipProtocol"],
            **_ports(inputs),
            kind: [{key: inputs[side], **described}],
        }
        answer = self._call(ec2, "authorize")(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            **_tagged("security-group-rule", inputs),
        )
        identifier = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        return Created(identifier, self._outputs(clouds, identifier, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read all of the rule; EC2 answers with none for an id that is gone."""
        ec2 = clouds.aws.client("ec2")
        found = or_none(
            ec2.describe_security_group_rules, _NO_RULE, SecurityGroupRuleIds=[identifier]
        )
        rules = found["SecurityGroupRules"] if found else []
        if not rules:
            return None
        rule = rules[0]
        seen = {
            "securityGroupId": rule["GroupId"],
            "ipProtocol": rule["IpProtocol"],
            "fromPort": rule.get("FromPort", -1),
            "toPort": rule.get("ToPort", -1),
            "description": rule.get("Description", ""),
            "tags": from_aws_tags(rule.get("Tags", [])),
            **_side_seen(rule),
        }
        told = (*seen, *_SIDES)
        return self._outputs(clouds, identifier, as_read(known, told, seen, _RULE_DEFAULTS))

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the whole rule, and set the tags."""
        ec2 = clouds.aws.client("ec2")
        side = self._side(inputs)
        if side not in known:
            raise DriverError(f"{side}: the kind of a rule's other side cannot be changed in place")
        wire = {"cidrIpv4": "CidrIpv4", "prefixListId": "PrefixListId"}
        rule = {
            "IpProtocol": inputs["ipProtocol"],
            "FromPort": -1,
            "ToPort": -1,
            **_ports(inputs),
            "Description": inputs.get("description", ""),
            wire.get(side, "ReferencedGroupId"): inputs[side],
        }
        ec2.modify_security_group_rules(
            GroupId=inputs["securityGroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": identifier, "SecurityGroupRule": rule}],
        )
        _change_tags(ec2, identifier, inputs, known)
        return self._outputs(clouds, identifier, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Revoke the rule."""
        or_none(
            self._call(clouds.aws.client("ec2"), "revoke"),
            *(*_NO_GROUP, _NO_RULE),
            GroupId=known["securityGroupId"],
            SecurityGroupRuleIds=[identifier],
        )

    def _call(self, ec2: Any, verb: str) -> Any:
        return getattr(ec2, f"{verb}_security_group_{self.direction}")

    @staticmethod
    def _side(inputs: Inputs) -> str:
        given = [side for side in _SIDES if side in inputs]
        if len(given) != 1:
            raise DriverError(
                f"a rule has exactly one of {', '.join(_SIDES)}, not {given or 'none'}"
            )
        return given[0]

    @staticmethod
    def _outputs(clouds: Clouds, identifier: str, inputs: Inputs) -> Outputs:
        aws = clouds.aws
        arn = f"arn:aws:ec2:{aws.region}:{aws.account}:security-group-rule/{identifier}"
        return {**inputs, "arn": arn, "securityGroupRuleId": identifier}


@driver
class SecurityGroupIngressRule(_Rule):
    """Who may come in."""

    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"  # noqa: S105
    direction = "ingress"


@driver
class SecurityGroupEgressRule(_Rule):
    """Where what is in the group may go."""

    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"  # noqa: S105
    direction = "egress"


def _ports(inputs: Inputs) -> dict[str, Any]:
    names = {"fromPort": "FromPort", "toPort": "ToPort"}
    return {wire: number(inputs[key]) for key, wire in names.items() if key in inputs}


def _side_seen(rule: Inputs) -> Outputs:
    group = rule.get("ReferencedGroupInfo", {}).get("GroupId")
    sides = {
        "cidrIpv4": rule.get("CidrIpv4"),
        "prefixListId": rule.get("PrefixListId"),
        "referencedSecurityGroupId": group,
    }
    return {side: value for side, value in sides.items() if value}


def _tagged(kind: str, inputs: Inputs) -> dict[str, Any]:
    tags = aws_tags(inputs.get("tags", {}))
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


def _change_tags(ec2: Any, identifier: str, inputs: Inputs, known: Inputs) -> None:
    change_tags(
        known.get("tags", {}),
        inputs.get("tags", {}),
        lambda gone: ec2.delete_tags(Resources=[identifier], Tags=[{"Key": key} for key in gone]),
        lambda tags: ec2.create_tags(Resources=[identifier], Tags=aws_tags(tags)),
    )
