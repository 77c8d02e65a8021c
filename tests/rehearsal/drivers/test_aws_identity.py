"""Roles, users, their policies and keys live and die as their drivers say."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds
from tests.rehearsal.drivers.lifecycle import Life, live

USER, ACCESS_KEY = "aws:iam/user:User", "aws:iam/accessKey:AccessKey"


def policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": [*actions], "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


def trust(service: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


def a_role(name: str) -> Callable[[Clouds], dict[str, str]]:
    def make(clouds: Clouds) -> dict[str, str]:
        clouds.aws.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=trust("lambda.amazonaws.com")
        )
        return {"role": name}

    return make


def a_user(name: str) -> Callable[[Clouds], dict[str, str]]:
    def make(clouds: Clouds) -> dict[str, str]:
        clouds.aws.client("iam").create_user(UserName=name)
        return {"user": name}

    return make


def change_role_by_hand(clouds: Clouds, name: str) -> None:
    iam = clouds.aws.client("iam")
    iam.update_assume_role_policy(RoleName=name, PolicyDocument='{"Statement": []}')
    iam.update_role(RoleName=name, Description="by hand")
    iam.tag_role(RoleName=name, Tags=[{"Key": "by", "Value": "hand"}])


NOTHING = '{"Statement":[]}'

LIVES = [
    Life(
        "aws:iam/role:Role",
        {
            "name": "life-role",
            "path": "/life/",
            "description": "RDS writes exports with it",
            "assumeRolePolicy": trust("export.rds.amazonaws.com"),
            "tags": {"team": "data"},
        },
        updates=[
            {"assumeRolePolicy": trust("lambda.amazonaws.com")},
            {"description": "Lambda writes exports with it"},
            {"description": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
            {"tags": {"a": "b"}, "description": "again"},
        ],
        by_hand=change_role_by_hand,
        drift={
            "assumeRolePolicy": NOTHING,
            "description": "by hand",
            "tags": {"a": "b", "by": "hand"},
        },
    ),
    Life(
        "aws:iam/rolePolicy:RolePolicy",
        {"name": "write", "policy": policy("s3:PutObject")},
        before=a_role("life-role-policy"),
        updates=[{"policy": policy("s3:PutObject", "s3:GetObject")}],
        by_hand=lambda clouds, _: clouds.aws.client("iam").put_role_policy(
            RoleName="life-role-policy", PolicyName="write", PolicyDocument=NOTHING
        ),
        drift={"policy": NOTHING},
    ),
    Life(
        USER,
        {
            "name": "life-user",
            "path": "/life/",
            "forceDestroy": False,
            "tags": {"team": "data"},
        },
        updates=[
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
            {"tags": {"a": "b"}, "forceDestroy": True},
        ],
        by_hand=lambda clouds, name: clouds.aws.client("iam").tag_user(
            UserName=name, Tags=[{"Key": "by", "Value": "hand"}]
        ),
        drift={"tags": {"a": "b", "by": "hand"}},
        # It says how to delete the user; IAM does not keep it.
        unread=frozenset({"forceDestroy"}),
    ),
    Life(
        "aws:iam/userPolicy:UserPolicy",
        {"name": "read", "policy": policy("s3:GetObject")},
        before=a_user("life-user-policy"),
        updates=[{"policy": policy("s3:GetObject", "s3:ListBucket")}],
        by_hand=lambda clouds, _: clouds.aws.client("iam").put_user_policy(
            UserName="life-user-policy", PolicyName="read", PolicyDocument=NOTHING
        ),
        drift={"policy": NOTHING},
    ),
    Life(
        ACCESS_KEY,
        {"status": "Inactive"},
        before=a_user("life-access-key"),
        updates=[{"status": None}, {"status": "Inactive"}],
        by_hand=lambda clouds, key: clouds.aws.client("iam").update_access_key(
            UserName="life-access-key", AccessKeyId=key, Status="Active"
        ),
        drift={"status": "Active"},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_the_least_that_is_given_is_all_that_is_imported(clouds: Clouds) -> None:
    for token, inputs in (
        ("aws:iam/role:Role", {"name": "least", "assumeRolePolicy": NOTHING}),
        (USER, {"name": "least"}),
        (ACCESS_KEY, {"user": "least"}),
    ):
        created = drivers.create(clouds, token, "it", inputs)
        assert drivers.read(clouds, token, "it", created.id, created.outputs) == created.outputs
        told = drivers.registry.driver_of(token).secret_outputs.split()
        rest = {key: value for key, value in created.outputs.items() if key not in told}
        assert drivers.read(clouds, token, "it", created.id, {}) == rest


def test_the_secret_of_an_access_key_is_kept(clouds: Clouds) -> None:
    inputs = a_user("life-secret")(clouds)
    created = drivers.create(clouds, ACCESS_KEY, "it", inputs)
    secret = created.outputs["secret"]
    off = drivers.update(
        clouds, ACCESS_KEY, "it", created.id, {**inputs, "status": "Inactive"}, created.outputs
    )
    assert off["secret"] == secret
    seen = drivers.read(clouds, ACCESS_KEY, "it", created.id, off)
    assert seen is not None
    assert seen["secret"] == secret


def test_an_access_key_goes_with_its_user(clouds: Clouds) -> None:
    user = drivers.create(clouds, USER, "it", {"name": "life-leaving", "forceDestroy": True})
    key = drivers.create(clouds, ACCESS_KEY, "it", {"user": user.id})
    kept = {**user.outputs, "forceDestroy": False}
    with pytest.raises(drivers.DriverError, match="DeleteConflict"):
        drivers.delete(clouds, USER, "it", user.id, kept)
    drivers.delete(clouds, USER, "it", user.id, user.outputs)
    drivers.delete(clouds, USER, "it", user.id, user.outputs)
    assert drivers.read(clouds, USER, "it", user.id, user.outputs) is None
    assert drivers.read(clouds, ACCESS_KEY, "it", key.id, key.outputs) is None
    drivers.delete(clouds, ACCESS_KEY, "it", key.id, key.outputs)


def test_a_role_with_policies_is_not_deleted(clouds: Clouds) -> None:
    """Whoever deletes it deletes its policies before; Pulumi does."""
    a_role("life-busy")(clouds)
    inputs = {"role": "life-busy", "name": "write", "policy": policy("s3:PutObject")}
    drivers.create(clouds, "aws:iam/rolePolicy:RolePolicy", "it", inputs)
    with pytest.raises(drivers.DriverError, match="DeleteConflict"):
        drivers.delete(clouds, "aws:iam/role:Role", "it", "life-busy", {})
