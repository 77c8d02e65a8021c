"""The RDS API of Aurora MySQL clusters: looking up, roles, parameter groups, subnet groups.

Requests, answers and errors are those of the Amazon RDS API Reference (the error codes as
botocore's model of it has them). Changes apply at once; in RDS they take a moment, static
parameters wait for a reboot, and so do all parameters of another group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rehearsal.aws.aurora.cluster import DEFAULTS, FAMILY, Cluster, ParameterGroup, SubnetGroup
from rehearsal.aws.rds_api import ApiError, Parameters, page

ROLES_PER_CLUSTER = 5
"""Quotas and constraints for Amazon Aurora: "Associated IAM roles per DB cluster"."""

PARAMETERS_PER_REQUEST = 20
"""ModifyDBClusterParameterGroup: "A maximum of 20 parameters can be modified"."""

_DEFAULT_GROUP = f"default.{FAMILY}"
_TAGGED = ":cluster-pg:"


class Clusters:
    """All registered clusters with their groups, and the actions on them."""

    def __init__(
        self,
        account: str,
        region: str,
        *,
        ec2: Callable[[], Any],
        role_exists: Callable[[str], bool],
    ) -> None:
        """Begin without clusters; `ec2` gives a boto3 client, asked when one is registered."""
        self._account = account
        self._region = region
        self._ec2 = ec2
        self._role_exists = role_exists
        self._lock = threading.RLock()
        self._clusters: dict[str, Cluster] = {}
        self._groups: dict[str, ParameterGroup] = {}
        self._actions: dict[str, Callable[[Parameters], dict[str, Any]]] = {
            "AddRoleToDBCluster": self._add_role,
            "RemoveRoleFromDBCluster": self._remove_role,
            "ModifyDBCluster": self._modify_cluster,
            "DescribeDBSubnetGroups": self._describe_subnet_groups,
            "CreateDBClusterParameterGroup": self._create_group,
            "DescribeDBClusterParameterGroups": self._describe_groups,
            "ModifyDBClusterParameterGroup": self._modify_group,
            "ResetDBClusterParameterGroup": self._reset_group,
            "DescribeDBClusterParameters": self._describe_parameters,
            "DeleteDBClusterParameterGroup": self._delete_group,
            "ListTagsForResource": self._list_tags,
            "AddTagsToResource": self._add_tags,
            "RemoveTagsFromResource": self._remove_tags,
        }
        self._groups[_DEFAULT_GROUP] = self._new_group(_DEFAULT_GROUP, f"Default for {FAMILY}")

    # --- what a rehearsal does with them

    def register(
        self,
        identifier: str,
        *,
        endpoint: str | None = None,
        port: int = 3306,
        iam_authentication: bool = True,
    ) -> Cluster:
        """Add a cluster to the default VPC, with a subnet group and a security group of its own.

        The security group lets nobody in. Nothing answers at the endpoint until a server does.
        """
        subnets = self._default_subnets()
        made = self._ec2().create_security_group(
            GroupName=f"{identifier}-cluster",
            Description=f"Aurora cluster {identifier}",
            VpcId=subnets.vpc,
        )
        unique = made["GroupId"].rpartition("-")[2][:12]
        host = f"{identifier}.cluster-{unique}.{self._region}.rds.amazonaws.com"
        cluster = Cluster(
            identifier=identifier,
            account=self._account,
            region=self._region,
            subnet_group=subnets,
            security_groups=[made["GroupId"]],
            endpoint=endpoint or host,
            port=port,
            iam_authentication=iam_authentication,
        )
        with self._lock:
            self._clusters[identifier] = cluster
        return cluster

    def all(self) -> list[Cluster]:
        """Return every cluster."""
        with self._lock:
            return list(self._clusters.values())

    def parameter(self, cluster: Cluster, name: str) -> str | None:
        """Return a parameter as it is for a cluster; None where it is the engine's default."""
        with self._lock:
            return self._groups[cluster.parameter_group].value(name)

    # --- requests

    def owns(self, action: str, parameters: Parameters) -> bool:
        """Tell whether a request is about what is kept here, and not in the emulator."""
        if action not in self._actions:
            return False
        if action.endswith("Resource"):
            return _TAGGED in (parameters.get("ResourceName") or "")
        if action == "DescribeDBSubnetGroups":
            name = parameters.get("DBSubnetGroupName")
            groups = {cluster.subnet_group.name for cluster in self.all()}
            return name in groups if name else bool(groups)
        if "ParameterGroup" in action or action == "DescribeDBClusterParameters":
            return True
        wanted = parameters.get("DBClusterIdentifier")
        return any(wanted in (cluster.identifier, cluster.arn) for cluster in self.all())

    def respond(self, action: str, parameters: Parameters) -> dict[str, Any]:
        """Return the result of an action; ApiError where it is refused."""
        with self._lock:
            return self._actions[action](parameters)

    # --- clusters

    def _add_role(self, given: Parameters) -> dict[str, Any]:
        cluster, role = self._cluster(given), given.required("RoleArn")
        if not self._role_exists(role):
            raise ApiError(
                "InvalidParameterValue",
                f"IAM role ARN value is invalid or does not include the required permissions: "
                f"{role}",
            )
        if role in cluster.roles:
            raise ApiError(
                "DBClusterRoleAlreadyExists",
                f"Role ARN {role} is already associated with DB Cluster: {cluster.identifier}.",
            )
        if len(cluster.roles) >= ROLES_PER_CLUSTER:
            raise ApiError(
                "DBClusterRoleQuotaExceeded",
                f"You have exceeded the maximum number of IAM roles ({ROLES_PER_CLUSTER}) that can "
                f"be associated with DB Cluster: {cluster.identifier}.",
            )
        cluster.roles[role] = given.get("FeatureName") or ""
        return {}

    def _remove_role(self, given: Parameters) -> dict[str, Any]:
        cluster, role = self._cluster(given), given.required("RoleArn")
        if cluster.roles.get(role) != (given.get("FeatureName") or ""):
            raise ApiError(
                "DBClusterRoleNotFound",
                f"Role ARN {role} cannot be found for DB Cluster: {cluster.identifier}.",
                404,
            )
        del cluster.roles[role]
        return {}

    def _modify_cluster(self, given: Parameters) -> dict[str, Any]:
        cluster = self._cluster(given)
        unknown = given.names() - _MODIFIABLE
        if unknown:
            raise ApiError(
                "InvalidParameterCombination",
                f"the rehearsal does not change {', '.join(sorted(unknown))} of a cluster",
            )
        name = given.get("DBClusterParameterGroupName")
        if name:
            cluster.parameter_group = self._group(name).name
        enable = given.get("EnableIAMDatabaseAuthentication")
        if enable:
            cluster.iam_authentication = enable.lower() == "true"
        cluster.security_groups = given.many("VpcSecurityGroupIds") or cluster.security_groups
        return {"DBCluster": cluster.describe()}

    def _cluster(self, given: Parameters) -> Cluster:
        wanted = given.required("DBClusterIdentifier")
        for cluster in self._clusters.values():
            if wanted in (cluster.identifier, cluster.arn):
                return cluster
        raise ApiError("DBClusterNotFoundFault", f"DBCluster {wanted} not found.", 404)

    # --- subnet groups

    def _default_subnets(self) -> SubnetGroup:
        ec2 = self._ec2()
        only = [{"Name": "is-default", "Values": ["true"]}]
        (vpc,) = (found["VpcId"] for found in ec2.describe_vpcs(Filters=only)["Vpcs"])
        inside = [{"Name": "vpc-id", "Values": [vpc]}]
        subnets = ec2.describe_subnets(Filters=inside)["Subnets"]
        zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in subnets}
        return SubnetGroup(f"default-{vpc}", vpc, zones)

    def _describe_subnet_groups(self, given: Parameters) -> dict[str, Any]:
        wanted = given.get("DBSubnetGroupName")
        groups = {cluster.subnet_group.name: cluster.subnet_group for cluster in self.all()}
        found = [
            {
                "DBSubnetGroupName": group.name,
                "DBSubnetGroupDescription": f"Subnets of {group.vpc}",
                "DBSubnetGroupArn": self._arn("subgrp", group.name),
                "VpcId": group.vpc,
                "SubnetGroupStatus": "Complete",
                "Subnets": [
                    {
                        "SubnetIdentifier": subnet,
                        "SubnetAvailabilityZone": {"Name": zone},
                        "SubnetStatus": "Active",
                    }
                    for subnet, zone in sorted(group.subnets.items())
                ],
                "SupportedNetworkTypes": ["IPV4"],
            }
            for group in groups.values()
            if wanted in (None, group.name)
        ]
        return page(given, "DBSubnetGroups", found)

    # --- parameter groups

    def _create_group(self, given: Parameters) -> dict[str, Any]:
        name = given.required("DBClusterParameterGroupName").lower()
        family = given.required("DBParameterGroupFamily")
        if family != FAMILY:
            raise ApiError(
                "InvalidParameterValue", f"ParameterGroupFamily {family} is not a valid value"
            )
        if name in self._groups:
            raise ApiError(
                "DBParameterGroupAlreadyExists", f"Parameter group {name} already exists"
            )
        group = self._new_group(name, given.required("Description"))
        group.tags.update(_tags(given))
        self._groups[name] = group
        return {"DBClusterParameterGroup": _described(group)}

    def _describe_groups(self, given: Parameters) -> dict[str, Any]:
        name = given.get("DBClusterParameterGroupName")
        groups = [self._group(name)] if name else list(self._groups.values())
        return page(given, "DBClusterParameterGroups", [_described(group) for group in groups])

    def _modify_group(self, given: Parameters) -> dict[str, Any]:
        group = self._changeable(given)
        changes = given.records("Parameters")
        if len(changes) > PARAMETERS_PER_REQUEST:
            raise ApiError(
                "InvalidParameterValue",
                f"A maximum of {PARAMETERS_PER_REQUEST} parameters can be modified in a request",
            )
        for change in changes:
            self._check_parameter(change.get("parametername", ""))
        for change in changes:
            method = change.get("applymethod", "pending-reboot")
            group.values[change["parametername"]] = (change.get("parametervalue", ""), method)
        return {"DBClusterParameterGroupName": group.name}

    def _reset_group(self, given: Parameters) -> dict[str, Any]:
        group = self._changeable(given)
        if (given.get("ResetAllParameters") or "").lower() == "true":
            group.values.clear()
        for change in given.records("Parameters"):
            group.values.pop(change.get("parametername", ""), None)
        return {"DBClusterParameterGroupName": group.name}

    def _describe_parameters(self, given: Parameters) -> dict[str, Any]:
        group = self._group(given.required("DBClusterParameterGroupName"))
        source = given.get("Source")
        found = [
            {
                "ParameterName": name,
                "ParameterValue": group.value(name),
                "Source": "user" if name in group.values else "system",
                "ApplyMethod": group.values.get(name, ("", "pending-reboot"))[1],
                "ApplyType": "dynamic",
                "IsModifiable": True,
            }
            for name in DEFAULTS
            if source in (None, "user" if name in group.values else "system")
        ]
        return page(given, "Parameters", found)

    def _delete_group(self, given: Parameters) -> dict[str, Any]:
        group = self._changeable(given)
        users = [each for each in self._clusters.values() if each.parameter_group == group.name]
        if users:
            raise ApiError(
                "InvalidDBParameterGroupState",
                "One or more database instances are still members of this parameter group "
                f"{group.name}, so the group cannot be deleted",
            )
        del self._groups[group.name]
        return {}

    def _changeable(self, given: Parameters) -> ParameterGroup:
        group = self._group(given.required("DBClusterParameterGroupName"))
        if group.name == _DEFAULT_GROUP:
            raise ApiError(
                "InvalidParameterValue", f"Default parameter group {group.name} cannot be changed"
            )
        return group

    def _group(self, name: str) -> ParameterGroup:
        found = self._groups.get(name.lower())
        if found is None:
            raise ApiError(
                "DBParameterGroupNotFound", f"DBClusterParameterGroup not found: {name}", 404
            )
        return found

    def _new_group(self, name: str, description: str) -> ParameterGroup:
        return ParameterGroup(name, self._arn("cluster-pg", name), description)

    @staticmethod
    def _check_parameter(name: str) -> None:
        if name not in DEFAULTS:
            raise ApiError("InvalidParameterValue", f"Could not find parameter with name: {name}")

    # --- tags

    def _list_tags(self, given: Parameters) -> dict[str, Any]:
        tags = self._tagged(given).tags
        return {"TagList": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _add_tags(self, given: Parameters) -> dict[str, Any]:
        self._tagged(given).tags.update(_tags(given))
        return {}

    def _remove_tags(self, given: Parameters) -> dict[str, Any]:
        tags = self._tagged(given).tags
        for key in given.many("TagKeys"):
            tags.pop(key, None)
        return {}

    def _tagged(self, given: Parameters) -> ParameterGroup:
        return self._group(given.required("ResourceName").rpartition(_TAGGED)[2])

    def _arn(self, noun: str, name: str) -> str:
        return f"arn:aws:rds:{self._region}:{self._account}:{noun}:{name}"


_MODIFIABLE = {
    *("action", "version", "dbclusteridentifier", "applyimmediately"),
    *("dbclusterparametergroupname", "enableiamdatabaseauthentication", "vpcsecuritygroupids"),
}


def _described(group: ParameterGroup) -> dict[str, Any]:
    return {
        "DBClusterParameterGroupName": group.name,
        "DBParameterGroupFamily": FAMILY,
        "Description": group.description,
        "DBClusterParameterGroupArn": group.arn,
    }


def _tags(given: Parameters) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in given.records("Tags")}
