"""Drivers of what a stack adds to an Aurora cluster, and look-ups of its subnets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.drivers.aws_shapes import as_read
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    Outputs,
    driver,
    function,
)
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, or_none

_NO_CLUSTER, _NO_ROLE = "DBClusterNotFoundFault", "DBClusterRoleNotFound"
_NO_GROUP = "DBParameterGroupNotFound"


@driver
class ClusterRoleAssociation(Driver):
    """A role that a cluster may assume; its id is ``cluster,role``.

    Source: hashicorp/terraform-provider-aws, internal/service/rds/cluster_role_association.go.
    """

    token = "aws:rds/clusterRoleAssociation:ClusterRoleAssociation"  # noqa: S105  # a type token
    required = "dbClusterIdentifier roleArn"
    optional = "featureName region"
    replace_on = "dbClusterIdentifier roleArn featureName region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Associate the role."""
        cluster, role = inputs["dbClusterIdentifier"], inputs["roleArn"]
        clouds.aws.client("rds").add_role_to_db_cluster(
            DBClusterIdentifier=cluster, RoleArn=role, FeatureName=inputs.get("featureName", "")
        )
        return Created(f"{cluster},{role}", dict(inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Look for the role among the cluster's."""
        cluster, _, role = identifier.partition(",")
        describe = clouds.aws.client("rds").describe_db_clusters
        answer = or_none(describe, _NO_CLUSTER, DBClusterIdentifier=cluster)
        for found in answer["DBClusters"][0]["AssociatedRoles"] if answer else ():
            if found["RoleArn"] == role:
                seen = {"featureName": found.get("FeatureName", "")}
                told = as_read(known, ("featureName",), seen, {"featureName": ""})
                return {**told, "dbClusterIdentifier": cluster, "roleArn": role}
        return None

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """End the association."""
        cluster, _, role = identifier.partition(",")
        or_none(
            clouds.aws.client("rds").remove_role_from_db_cluster,
            *(_NO_CLUSTER, _NO_ROLE),
            DBClusterIdentifier=cluster,
            RoleArn=role,
            FeatureName=known.get("featureName", ""),
        )


# ModifyDBClusterParameterGroup takes no more in one call.
_PARAMETERS_PER_CALL = 20
_DESCRIPTION = "Managed by Pulumi"
_IMMEDIATE = "immediate"


@driver
class ClusterParameterGroup(Driver):
    """Settings for clusters; each cluster has one such group, which it does not get from here.

    Parameters are a set: their order means nothing. Source: hashicorp/terraform-provider-aws,
    internal/service/rds/cluster_parameter_group.go.
    """

    token = "aws:rds/clusterParameterGroup:ClusterParameterGroup"  # noqa: S105
    required = "name family"
    optional = "description parameters tags region"
    replace_on = "name family description region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the group, then set its parameters."""
        rds = clouds.aws.client("rds")
        rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=inputs["name"],
            DBParameterGroupFamily=inputs["family"],
            Description=inputs.get("description", _DESCRIPTION),
            Tags=aws_tags(inputs.get("tags", {})),
        )
        _set_parameters(rds, inputs["name"], inputs, {})
        return Created(inputs["name"], self._outputs(clouds, inputs["name"], inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the group, the parameters that are not at their default, and the tags."""
        rds = clouds.aws.client("rds")
        answer = or_none(
            rds.describe_db_cluster_parameter_groups,
            _NO_GROUP,
            DBClusterParameterGroupName=identifier,
        )
        if answer is None:
            return None
        (group,) = answer["DBClusterParameterGroups"]
        tags = rds.list_tags_for_resource(ResourceName=group["DBClusterParameterGroupArn"])
        seen = {
            "name": identifier,
            "family": group["DBParameterGroupFamily"],
            "description": group["Description"],
            "parameters": _as_known(known.get("parameters", []), _parameters(rds, identifier)),
            "tags": from_aws_tags(tags["TagList"]),
        }
        defaults = {"description": _DESCRIPTION, "parameters": [], "tags": {}}
        return self._outputs(clouds, identifier, as_read(known, seen, seen, defaults))

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the parameters that changed, put back those that are gone, and the tags."""
        rds = clouds.aws.client("rds")
        _set_parameters(rds, identifier, inputs, known)
        outputs = self._outputs(clouds, identifier, inputs)
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: rds.remove_tags_from_resource(ResourceName=outputs["arn"], TagKeys=gone),
            lambda tags: rds.add_tags_to_resource(ResourceName=outputs["arn"], Tags=aws_tags(tags)),
        )
        return outputs

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the group; RDS refuses while a cluster has it."""
        delete = clouds.aws.client("rds").delete_db_cluster_parameter_group
        or_none(delete, _NO_GROUP, DBClusterParameterGroupName=identifier)

    @staticmethod
    def _outputs(clouds: Clouds, name: str, inputs: Inputs) -> Outputs:
        arn = f"arn:aws:rds:{clouds.aws.region}:{clouds.aws.account}:cluster-pg:{name}"
        return {**inputs, "arn": arn}


def _set_parameters(rds: Any, group: str, inputs: Inputs, known: Inputs) -> None:
    new, old = (_by_name(each.get("parameters", [])) for each in (inputs, known))
    changed = [_wire(each) for name, each in new.items() if _key(each) != _key(old.get(name, {}))]
    gone = [_wire(each) for name, each in old.items() if name not in new]
    for chunk in _chunks(changed):
        rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=chunk)
    for chunk in _chunks(gone):
        rds.reset_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=chunk)


def _by_name(parameters: list[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    return {each["name"]: each for each in parameters}


def _wire(parameter: Mapping[str, str]) -> dict[str, str]:
    return {
        "ParameterName": parameter["name"],
        "ParameterValue": parameter["value"],
        "ApplyMethod": parameter.get("applyMethod", _IMMEDIATE),
    }


def _chunks(parameters: list[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    for start in range(0, len(parameters), _PARAMETERS_PER_CALL):
        yield parameters[start : start + _PARAMETERS_PER_CALL]


def _parameters(rds: Any, group: str) -> list[dict[str, str]]:
    pages = rds.get_paginator("describe_db_cluster_parameters").paginate(
        DBClusterParameterGroupName=group, Source="user"
    )
    return [
        {
            "name": each["ParameterName"],
            "value": each.get("ParameterValue", ""),
            "applyMethod": each["ApplyMethod"],
        }
        for page in pages
        for each in page["Parameters"]
    ]


def _as_known(known: list[dict[str, str]], seen: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the parameters *seen*, written and ordered as *known* where they mean the same."""
    same = sorted(map(_key, known)) == sorted(map(_key, seen))
    return known if same else seen


def _key(parameter: Mapping[str, str]) -> tuple[str, str, str]:
    method = parameter.get("applyMethod", _IMMEDIATE)
    return parameter.get("name", ""), parameter.get("value", ""), method


@function("aws:rds/getSubnetGroup:getSubnetGroup")
def _subnet_group(clouds: Clouds, arguments: Inputs) -> Outputs:
    name = arguments["name"]
    describe = clouds.aws.client("rds").describe_db_subnet_groups
    answer = or_none(describe, "DBSubnetGroupNotFoundFault", DBSubnetGroupName=name)
    if not answer or not answer["DBSubnetGroups"]:
        raise DriverError(f"no subnet group {name}")
    (group,) = answer["DBSubnetGroups"]
    return {
        "id": name,
        "name": name,
        "arn": group["DBSubnetGroupArn"],
        "description": group["DBSubnetGroupDescription"],
        "status": group["SubnetGroupStatus"],
        "subnetIds": [subnet["SubnetIdentifier"] for subnet in group["Subnets"]],
        "supportedNetworkTypes": group.get("SupportedNetworkTypes", []),
        "vpcId": group["VpcId"],
    }
