"""What the owner of the cluster and its databases does, as docs/production.md asks them to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rehearsal.aws.aurora import Aurora
from rehearsal.aws.cloud import LocalAws

_ROLE_PARAMETER = "aws_default_s3_role"
_GROUP = "owners-parameters"
_FAMILY = "aurora-mysql8.0"


def make_user(aurora: Aurora, user: str, password: str | None, databases: Iterable[str]) -> None:
    """Make the databases, and the user that loads them: with a password, or with tokens."""
    with aurora.master() as connection, connection.cursor() as cursor:
        how = "WITH AWSAuthenticationPlugin AS 'RDS'" if password is None else f"BY '{password}'"
        cursor.execute(f"CREATE USER `{user}`@`%` IDENTIFIED {how}")
        cursor.execute(f"GRANT AWS_LOAD_S3_ACCESS TO `{user}`@`%`")
        for database in databases:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4")
            cursor.execute(
                "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE TEMPORARY TABLES "
                f"ON `{database}`.* TO `{user}`@`%`"
            )


def give_access(aws: LocalAws, cluster: str, outputs: Mapping[str, Any], *, modified: bool) -> None:
    """Let the cluster read S3: attach the stack's parameter group, or make one that says the same.

    Where the program may not change the cluster (not *modified* by it), the owner also associates
    the role and lets the load functions in.
    """
    rds = aws.client("rds")
    role = str(outputs["aurora_role"])
    group = outputs.get("aurora_parameter_group") or _own_group(rds, role)
    rds.modify_db_cluster(
        DBClusterIdentifier=cluster, DBClusterParameterGroupName=group, ApplyImmediately=True
    )
    if modified:
        return
    rds.add_role_to_db_cluster(DBClusterIdentifier=cluster, RoleArn=role)
    (found,) = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
    aws.client("ec2").authorize_security_group_ingress(
        GroupId=found["VpcSecurityGroups"][0]["VpcSecurityGroupId"],
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": found["Port"],
                "ToPort": found["Port"],
                "UserIdGroupPairs": [{"GroupId": outputs["load_security_group"]}],
            }
        ],
    )


def _own_group(rds: Any, role: str) -> str:
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=_GROUP,
        DBParameterGroupFamily=_FAMILY,
        Description="The owner's own parameters",
    )
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=_GROUP,
        Parameters=[
            {
                "ParameterName": _ROLE_PARAMETER,
                "ParameterValue": role,
                "ApplyMethod": "pending-reboot",
            }
        ],
    )
    return _GROUP
