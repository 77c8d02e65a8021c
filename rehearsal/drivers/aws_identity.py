"""Drivers of IAM roles, users, policies and access keys; look-ups of accounts and databases."""

from __future__ import annotations

from typing import Any, ClassVar

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
from rehearsal.drivers.wire import (
    aws_tags,
    change_tags,
    from_aws_tags,
    known_tags,
    or_none,
    same_json,
)

_NOT_FOUND = "NoSuchEntity"


@driver
class Role(Driver):
    """A role; IAM refuses to delete one that still has policies."""

    token = "aws:iam/role:Role"  # noqa: S105
    required = "name assumeRolePolicy"
    optional = "path description tags"
    replace_on = "name path"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the role."""
        role = clouds.aws.client("iam").create_role(
            RoleName=inputs["name"],
            Path=inputs.get("path", "/"),
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Description=inputs.get("description", ""),
            Tags=aws_tags(inputs.get("tags", {})),
        )["Role"]
        outputs = {**inputs, "arn": role["Arn"], "uniqueId": role["RoleId"]}
        return Created(inputs["name"], outputs)

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the trust policy, the description and the tags."""
        answer = or_none(clouds.aws.client("iam").get_role, _NOT_FOUND, RoleName=identifier)
        if answer is None:
            return None
        role = answer["Role"]
        trust = same_json(known.get("assumeRolePolicy"), role["AssumeRolePolicyDocument"])
        description = role.get("Description", "")
        return {
            **known,
            "name": identifier,
            "assumeRolePolicy": trust,
            **_unless_usual(known, "path", role["Path"], "/"),
            **_unless_usual(known, "description", description, ""),
            **known_tags(known, from_aws_tags(role.get("Tags", []))),
            "arn": role["Arn"],
            "uniqueId": role["RoleId"],
        }

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change the trust policy, the description and the tags."""
        iam = clouds.aws.client("iam")
        iam.update_assume_role_policy(
            RoleName=identifier, PolicyDocument=inputs["assumeRolePolicy"]
        )
        # Not UpdateRole: the local IAM takes an empty description there for one not given.
        iam.update_role_description(RoleName=identifier, Description=inputs.get("description", ""))
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda names: iam.untag_role(RoleName=identifier, TagKeys=names),
            lambda tags: iam.tag_role(RoleName=identifier, Tags=aws_tags(tags)),
        )
        return {**inputs, "arn": known["arn"], "uniqueId": known["uniqueId"]}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the role."""
        or_none(clouds.aws.client("iam").delete_role, _NOT_FOUND, RoleName=identifier)


def _unless_usual(known: Inputs, key: str, value: str, usual: str) -> Outputs:
    """Return the property, or nothing where it has its usual value and was never given."""
    return {key: value} if key in known or value != usual else {}


@driver
class User(Driver):
    """A user. The local IAM has no UpdateUser, so that another name or path is another user.

    The official provider changes both in place.
    """

    token = "aws:iam/user:User"  # noqa: S105
    required = "name"
    optional = "path forceDestroy tags"
    replace_on = "name path"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the user."""
        user = clouds.aws.client("iam").create_user(
            UserName=inputs["name"],
            Path=inputs.get("path", "/"),
            Tags=aws_tags(inputs.get("tags", {})),
        )["User"]
        outputs = {**inputs, "arn": user["Arn"], "uniqueId": user["UserId"]}
        return Created(inputs["name"], outputs)

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the path and the tags."""
        answer = or_none(clouds.aws.client("iam").get_user, _NOT_FOUND, UserName=identifier)
        if answer is None:
            return None
        user = answer["User"]
        return {
            **known,
            "name": identifier,
            **_unless_usual(known, "path", user["Path"], "/"),
            **known_tags(known, from_aws_tags(user.get("Tags", []))),
            "arn": user["Arn"],
            "uniqueId": user["UserId"],
        }

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the tags."""
        iam = clouds.aws.client("iam")
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda names: iam.untag_user(UserName=identifier, TagKeys=names),
            lambda tags: iam.tag_user(UserName=identifier, Tags=aws_tags(tags)),
        )
        return {**inputs, "arn": known["arn"], "uniqueId": known["uniqueId"]}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the user; IAM refuses one with access keys, unless `forceDestroy` was set."""
        iam = clouds.aws.client("iam")
        if known.get("forceDestroy"):
            or_none(iam.delete_login_profile, _NOT_FOUND, UserName=identifier)
            for key in iam.list_access_keys(UserName=identifier)["AccessKeyMetadata"]:
                iam.delete_access_key(UserName=identifier, AccessKeyId=key["AccessKeyId"])
        or_none(iam.delete_user, _NOT_FOUND, UserName=identifier)


class _InlinePolicy(Driver):
    """A policy inside of a role or a user; its id is ``holder:name``."""

    kind: ClassVar[str]

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the policy."""
        identifier = f"{inputs[self.kind]}:{inputs['name']}"
        return Created(identifier, self.update(clouds, identifier, inputs, {}))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the policy."""
        get = self._call(clouds.aws.client("iam"), "get")
        answer = or_none(get, _NOT_FOUND, **self._named(identifier))
        if answer is None:
            return None
        holder, _, name = identifier.partition(":")
        policy = same_json(known.get("policy"), answer["PolicyDocument"])
        return {**known, self.kind: holder, "name": name, "policy": policy}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the policy anew."""
        put = self._call(clouds.aws.client("iam"), "put")
        put(**self._named(identifier), PolicyDocument=inputs["policy"])
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the policy; with its holder it is gone already."""
        delete = self._call(clouds.aws.client("iam"), "delete")
        or_none(delete, _NOT_FOUND, **self._named(identifier))

    def _call(self, iam: Any, verb: str) -> Any:
        return getattr(iam, f"{verb}_{self.kind}_policy")

    def _named(self, identifier: str) -> dict[str, str]:
        holder, _, name = identifier.partition(":")
        return {f"{self.kind.capitalize()}Name": holder, "PolicyName": name}


@driver
class RolePolicy(_InlinePolicy):
    """What a role may do."""

    token = "aws:iam/rolePolicy:RolePolicy"  # noqa: S105
    kind = "role"
    required = "name role policy"
    replace_on = "name role"
    autonamed = "name"


@driver
class UserPolicy(_InlinePolicy):
    """What a user may do."""

    token = "aws:iam/userPolicy:UserPolicy"  # noqa: S105
    kind = "user"
    required = "name user policy"
    replace_on = "name user"
    autonamed = "name"


@driver
class AccessKey(Driver):
    """An access key of a user; IAM tells the secret once, when it makes the key."""

    token = "aws:iam/accessKey:AccessKey"  # noqa: S105
    required = "user"
    optional = "status"
    replace_on = "user"
    secret_outputs = "secret"  # noqa: S105

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the key."""
        iam = clouds.aws.client("iam")
        key = iam.create_access_key(UserName=inputs["user"])["AccessKey"]
        if inputs.get("status", "Active") != key["Status"]:
            self._set_status(iam, key["AccessKeyId"], inputs)
        return Created(key["AccessKeyId"], {**inputs, "secret": key["SecretAccessKey"]})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the status; whose key it is, IAM tells only with its last use."""
        iam = clouds.aws.client("iam")
        used = or_none(iam.get_access_key_last_used, _NOT_FOUND, AccessKeyId=identifier)
        if used is None:
            return None
        user = used["UserName"]
        keys = iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
        (status,) = (key["Status"] for key in keys if key["AccessKeyId"] == identifier)
        return {**known, "user": user, **_unless_usual(known, "status", status, "Active")}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the status."""
        self._set_status(clouds.aws.client("iam"), identifier, inputs)
        secret = {"secret": known["secret"]} if "secret" in known else {}
        return {**inputs, **secret}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the key."""
        or_none(
            clouds.aws.client("iam").delete_access_key,
            _NOT_FOUND,
            UserName=known["user"],
            AccessKeyId=identifier,
        )

    @staticmethod
    def _set_status(iam: Any, key: str, inputs: Inputs) -> None:
        status = inputs.get("status", "Active")
        iam.update_access_key(UserName=inputs["user"], AccessKeyId=key, Status=status)


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
    cluster = found[0]
    groups = cluster.get("VpcSecurityGroups", [])
    return {
        "id": name,
        "clusterIdentifier": name,
        "arn": cluster["DBClusterArn"],
        "clusterResourceId": cluster["DbClusterResourceId"],
        "engine": cluster["Engine"],
        "engineMode": cluster.get("EngineMode", "provisioned"),
        "engineVersion": cluster["EngineVersion"],
        "endpoint": cluster["Endpoint"],
        "port": cluster["Port"],
        "dbClusterParameterGroupName": cluster.get("DBClusterParameterGroup", ""),
        "dbSubnetGroupName": cluster.get("DBSubnetGroup", ""),
        "iamDatabaseAuthenticationEnabled": cluster.get("IAMDatabaseAuthenticationEnabled", False),
        "iamRoles": [role["RoleArn"] for role in cluster.get("AssociatedRoles", [])],
        "vpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in groups],
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
