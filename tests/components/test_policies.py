"""What holds for every policy of the program, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.components.recording import ACCOUNT, Recording

# Resource policies of keys: their resource is always the key they belong to.
OWN_RESOURCE = {"aws:kms/keyPolicy:KeyPolicy", "aws:kms/key:Key"}
# The actions AWS gives no resource to, see the reasons in components/.
WITHOUT_RESOURCE = {
    "snapshot": {"DeliverLogs", "Trace", "WatchExport"},
    "replication": {"ConnectToVpc", "NotByTheCode"},
}


OTHER_SERVICES = {
    "snapshot": {"export.rds.amazonaws.com", "states.amazonaws.com"},
    "replication": {"firehose.amazonaws.com", "rds.amazonaws.com"},
}


@pytest.fixture(params=["ferry", "production", "replication", "guest"])
def stack(request: pytest.FixtureRequest) -> Recording:
    recording = request.getfixturevalue(request.param)
    assert isinstance(recording, Recording)
    return recording


def route(stack: Recording) -> str:
    return "snapshot" if stack.has("data-ferry:load:Load") else "replication"


def statements(stack: Recording) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, document in stack.policies():
        assert document["Version"] == "2012-10-17"
        for each in document["Statement"]:
            yield f"{where} {each['Sid']}", each


def test_every_role_user_key_queue_topic_and_bucket_has_a_policy_that_is_looked_at(
    stack: Recording,
) -> None:
    holders = {where.split()[0] for where, _ in stack.policies()}
    of_readers = {"aws:iam/userPolicy:UserPolicy", "aws:kms/keyPolicy:KeyPolicy"}
    assert holders == {
        *(of_readers if route(stack) == "snapshot" else ()),
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:kms/key:Key",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sqs/queuePolicy:QueuePolicy",
    }
    roles = {role.name for role in stack.all("aws:iam/role:Role")}
    assert roles == {policy.name for policy in stack.all("aws:iam/rolePolicy:RolePolicy")}


def test_no_action_has_a_wildcard_but_in_a_denial_for_all(stack: Recording) -> None:
    seen = 0
    for where, each in statements(stack):
        for action in each["Action"]:
            seen += 1
            if "*" in action:
                assert each["Effect"] == "Deny", where
                assert each["Principal"] == "*", where
    assert seen > 50


def test_any_resource_stands_only_where_aws_knows_no_narrower_one(stack: Recording) -> None:
    found = set()
    for where, each in statements(stack):
        assert "NotAction" not in each, where
        assert "NotResource" not in each, where
        if each.get("Resource") == ["*"] and where.split()[0] not in OWN_RESOURCE:
            found.add(each["Sid"])
    assert found == WITHOUT_RESOURCE[route(stack)]


def test_no_policy_lets_just_anyone_in(stack: Recording) -> None:
    for where, each in statements(stack):
        if each["Effect"] == "Allow" and "Principal" in each:
            assert "*" not in str(each["Principal"]), where


def test_roles_are_passed_by_name_and_to_rds_alone(stack: Recording) -> None:
    passing = [each for _, each in statements(stack) if "iam:PassRole" in each["Action"]]
    if route(stack) == "replication":
        assert not passing
        return
    assert len(passing) == 2, "one export machine per source passes the export role"
    for each in passing:
        assert each["Action"] == ["iam:PassRole"]
        assert each["Condition"] == {
            "StringEquals": {"iam:PassedToService": "export.rds.amazonaws.com"}
        }
        (role,) = each["Resource"]
        assert role.startswith(f"arn:aws:iam::{ACCOUNT}:role/shop-")
        assert role.endswith("-rds-export")


def test_services_take_a_role_only_for_this_account(stack: Recording) -> None:
    # AWS documents no source conditions for these two.
    unconditional = {"export.rds.amazonaws.com", "lambda.amazonaws.com"}
    services = set()
    for role in stack.all("aws:iam/role:Role"):
        (assume,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        assert assume["Action"] == ["sts:AssumeRole"]
        service = assume["Principal"]["Service"]
        services.add(service)
        if service in unconditional:
            assert "Condition" not in assume
            continue
        assert assume["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        (source,) = next(
            values.values() for test, values in assume["Condition"].items() if "Arn" in test
        )
        assert source.startswith("arn:aws:")
        assert f":{ACCOUNT}:" in source
    assert services - {"scheduler.amazonaws.com", "events.amazonaws.com"} == {
        *OTHER_SERVICES[route(stack)],
        "lambda.amazonaws.com",
    }
