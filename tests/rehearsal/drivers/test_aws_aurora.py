"""What a stack adds to an Aurora cluster lives and dies as its drivers say; look-ups find it."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from rehearsal import drivers
from rehearsal.aws.cloud import LocalAws
from rehearsal.drivers import Clouds, registry
from tests.rehearsal.drivers.lifecycle import Life, live

ROLE_OF_CLUSTER = "aws:rds/clusterRoleAssociation:ClusterRoleAssociation"
PARAMETERS = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
FAMILY = "aurora-mysql8.0"


def a_role(clouds: Clouds, name: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "rds.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    made = clouds.aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    return str(made["Role"]["Arn"])


def a_cluster(clouds: Clouds, name: str) -> str:
    assert isinstance(clouds.aws, LocalAws)
    return clouds.aws.rds.register_aurora(name).identifier


def cluster_and_role(clouds: Clouds) -> dict[str, str]:
    return {
        "dbClusterIdentifier": a_cluster(clouds, "life-cluster"),
        "roleArn": a_role(clouds, "life-aurora-role"),
    }


def set_by_hand(clouds: Clouds, group: str) -> None:
    parameter = {"ParameterName": "time_zone", "ParameterValue": "Asia/Tokyo"}
    clouds.aws.client("rds").modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=group,
        Parameters=[{**parameter, "ApplyMethod": "immediate"}],
    )


LIVES = [
    # Nothing of it can be changed, not even by hand.
    Life(ROLE_OF_CLUSTER, {}, before=cluster_and_role),
    Life(
        PARAMETERS,
        {
            "name": "life-group",
            "family": FAMILY,
            "description": "Loads",
            "parameters": [
                {"name": "sql_mode", "value": "STRICT_ALL_TABLES", "applyMethod": "immediate"},
                {"name": "local_infile", "value": "0", "applyMethod": "pending-reboot"},
            ],
            "tags": {"team": "data"},
        },
        updates=[
            {"parameters": [{"name": "sql_mode", "value": "", "applyMethod": "pending-reboot"}]},
            {"parameters": [{"name": "time_zone", "value": "UTC", "applyMethod": "immediate"}]},
            {"tags": {"team": "web", "stage": "stg"}},
            {"parameters": None, "tags": None},
        ],
        by_hand=set_by_hand,
        drift={
            "parameters": [{"name": "time_zone", "value": "Asia/Tokyo", "applyMethod": "immediate"}]
        },
        # RDS tells parameters in an order of its own.
        unread=frozenset({"parameters"}),
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_the_order_of_parameters_and_the_usual_method_mean_nothing(clouds: Clouds) -> None:
    parameters = [{"name": "time_zone", "value": "UTC"}, {"name": "local_infile", "value": "0"}]
    inputs = {"name": "ordered", "family": FAMILY, "parameters": parameters}
    made = drivers.create(clouds, PARAMETERS, "it", inputs)
    assert registry.read(clouds, PARAMETERS, "it", made.id, made.outputs) == made.outputs


def test_a_cluster_is_found_with_all_that_a_load_needs(clouds: Clouds) -> None:
    a_cluster(clouds, "found")
    role = a_role(clouds, "found-role")
    inputs = {"dbClusterIdentifier": "found", "roleArn": role}
    drivers.create(clouds, ROLE_OF_CLUSTER, "it", inputs)
    token = "aws:rds/getCluster:getCluster"
    cluster = drivers.invoke(clouds, token, {"clusterIdentifier": "found"})
    group = drivers.invoke(
        clouds, "aws:rds/getSubnetGroup:getSubnetGroup", {"name": cluster["dbSubnetGroupName"]}
    )
    assert cluster["engine"] == "aurora-mysql"
    assert cluster["engineVersion"].startswith("8.0.mysql_aurora.3.08.")
    assert cluster["endpoint"].startswith("found.cluster-")
    assert cluster["port"] == 3306
    assert cluster["clusterResourceId"].startswith("cluster-")
    assert cluster["iamDatabaseAuthenticationEnabled"] is True
    assert cluster["iamRoles"] == [role]
    ec2 = clouds.aws.client("ec2")
    (own,) = ec2.describe_security_groups(GroupIds=cluster["vpcSecurityGroupIds"])["SecurityGroups"]
    assert own["VpcId"] == group["vpcId"]
    subnets = ec2.describe_subnets(SubnetIds=group["subnetIds"])["Subnets"]
    assert {subnet["VpcId"] for subnet in subnets} == {group["vpcId"]}


@pytest.mark.parametrize(
    ("token", "arguments"),
    [
        ("aws:rds/getCluster:getCluster", {"clusterIdentifier": "nowhere"}),
        ("aws:rds/getSubnetGroup:getSubnetGroup", {"name": "nowhere"}),
    ],
)
def test_what_is_not_there_is_not_found(
    clouds: Clouds, token: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(drivers.DriverError, match="nowhere"):
        drivers.invoke(clouds, token, arguments)


def test_rds_refuses_in_its_own_words(clouds: Clouds) -> None:
    rds = clouds.aws.client("rds")
    a_cluster(clouds, "strict")
    roles = [a_role(clouds, f"strict-{number}") for number in range(6)]
    for role in roles[:5]:
        rds.add_role_to_db_cluster(DBClusterIdentifier="strict", RoleArn=role)
    drivers.create(clouds, PARAMETERS, "it", {"name": "used", "family": FAMILY})
    rds.modify_db_cluster(DBClusterIdentifier="strict", DBClusterParameterGroupName="used")

    def refused(call: str, **arguments: object) -> str:
        with pytest.raises(ClientError) as raised:
            getattr(rds, call)(**arguments)
        return str(raised.value.response["Error"]["Code"])

    strict = {"DBClusterIdentifier": "strict"}
    add, remove = "add_role_to_db_cluster", "remove_role_from_db_cluster"
    assert refused(add, **strict, RoleArn=roles[0]) == "DBClusterRoleAlreadyExists"
    assert refused(add, **strict, RoleArn=roles[5]) == "DBClusterRoleQuotaExceeded"
    assert refused(remove, **strict, RoleArn=roles[5]) == "DBClusterRoleNotFound"
    assert refused(add, **strict, RoleArn=f"{roles[0]}-not") == "InvalidParameterValue"
    used = {"DBClusterParameterGroupName": "used"}
    delete, modify = "delete_db_cluster_parameter_group", "modify_db_cluster_parameter_group"
    assert refused(delete, **used) == "InvalidDBParameterGroupState"
    unknown = {"ParameterName": "sql_mood", "ParameterValue": "", "ApplyMethod": "immediate"}
    assert refused(modify, **used, Parameters=[unknown]) == "InvalidParameterValue"
    missing = {"DBClusterParameterGroupName": "missing"}
    assert refused("describe_db_cluster_parameters", **missing) == "DBParameterGroupNotFound"
