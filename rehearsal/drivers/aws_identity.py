"""Drivers of IAM roles, users, policies and access keys; look-ups of accounts and databases."""

from __future__ import annotations

from rehearsal.drivers.registry import (
    Clouds,
    Created,
    DriverError,
    Inputs,
    Outputs,
    driver,
    function,
)


@driver(
    "aws:iam/role:Role",
    "name path description assumeRolePolicy tags tagsAll",
)
def _role(clouds: Clouds, inputs: Inputs) -> Created:
    role = clouds.aws.client("iam").create_role(
        RoleName=inputs["name"],
        Path=inputs.get("path", "/"),
        AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
        Description=inputs.get("description", ""),
    )["Role"]
    return Created(inputs["name"], {**inputs, "arn": role["Arn"], "uniqueId": role["RoleId"]})


@driver("aws:iam/rolePolicy:RolePolicy", "name role policy")
def _role_policy(clouds: Clouds, inputs: Inputs) -> Created:
    name = inputs.get("name", "policy")
    clouds.aws.client("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=name, PolicyDocument=inputs["policy"]
    )
    return Created(f"{inputs['role']}:{name}", {**inputs, "name": name})


@driver("aws:iam/user:User", "name path forceDestroy tags tagsAll")
def _user(clouds: Clouds, inputs: Inputs) -> Created:
    user = clouds.aws.client("iam").create_user(
        UserName=inputs["name"], Path=inputs.get("path", "/")
    )["User"]
    return Created(inputs["name"], {**inputs, "arn": user["Arn"], "uniqueId": user["UserId"]})


@driver("aws:iam/userPolicy:UserPolicy", "name user policy")
def _user_policy(clouds: Clouds, inputs: Inputs) -> Created:
    name = inputs.get("name", "policy")
    clouds.aws.client("iam").put_user_policy(
        UserName=inputs["user"], PolicyName=name, PolicyDocument=inputs["policy"]
    )
    return Created(f"{inputs['user']}:{name}", {**inputs, "name": name})


@driver("aws:iam/accessKey:AccessKey", "user status")
def _access_key(clouds: Clouds, inputs: Inputs) -> Created:
    key = clouds.aws.client("iam").create_access_key(UserName=inputs["user"])["AccessKey"]
    outputs = {**inputs, "secret": key["SecretAccessKey"], "status": "Active"}
    return Created(key["AccessKeyId"], outputs)


@function("aws:index/getCallerIdentity:getCallerIdentity")
def _caller_identity(clouds: Clouds, _arguments: Inputs) -> Outputs:
    identity = clouds.aws.client("sts").get_caller_identity()
    return {
        "accountId": clouds.aws.account,
        "arn": identity["Arn"],
        "userId": identity["UserId"],
        "id": clouds.aws.account,
    }


@function("aws:rds/getCluster:getCluster")
def _cluster(clouds: Clouds, arguments: Inputs) -> Outputs:
    name = arguments["clusterIdentifier"]
    found = clouds.aws.client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    if not found:
        raise DriverError(f"no cluster {name}")
    return {
        "id": name,
        "clusterIdentifier": name,
        "arn": found[0]["DBClusterArn"],
        "engine": found[0]["Engine"],
        "engineMode": found[0].get("EngineMode", "provisioned"),
    }


@function("aws:rds/getInstance:getInstance")
def _instance(clouds: Clouds, arguments: Inputs) -> Outputs:
    name = arguments["dbInstanceIdentifier"]
    found = clouds.aws.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    if not found:
        raise DriverError(f"no instance {name}")
    return {
        "id": name,
        "dbInstanceIdentifier": name,
        "dbInstanceArn": found[0]["DBInstanceArn"],
        "engine": found[0]["Engine"],
        "dbClusterIdentifier": found[0].get("DBClusterIdentifier", ""),
    }
