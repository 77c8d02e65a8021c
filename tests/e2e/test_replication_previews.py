"""What a pull request is shown of a stack with the replication route, and with no other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.kit import ALONE, UNKNOWN, Run, Stack, stack_on_clouds

KEY = "data-ferry:replication"


@pytest.fixture(scope="module")
def replication(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_on_clouds(tmp_path_factory.mktemp("alone"), "local", **ALONE) as stack:
        yield stack


@pytest.fixture(scope="module")
def route(replication: Stack) -> Run:
    return replication.preview().succeeded()


def test_the_replication_route_needs_no_other_and_no_google_cloud(route: Run) -> None:
    assert route.messages == []
    assert {step.op for step in route.steps} == {"create"}
    assert {step.type.partition(":")[0] for step in route.changes} == {"aws"}
    planned = Counter(step.type for step in route.changes)
    assert planned["aws:lambda/function:Function"] == 4
    assert planned["aws:s3/bucket:Bucket"] == 1
    # As little of the clouds is asked as the program has providers.
    assert {s.name for s in route.steps if s.type.startswith("pulumi:providers:")} == {"aws"}


def test_what_is_looked_up_of_the_cluster_is_known_and_what_is_made_is_not(route: Run) -> None:
    (rule,) = route.inputs("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert rule["securityGroupId"].startswith("sg-")
    assert rule["referencedSecurityGroupId"] == UNKNOWN
    assert rule["fromPort"] == 3306
    mappings = route.inputs("aws:lambda/eventSourceMapping:EventSourceMapping")
    assert {mapping["eventSourceArn"] for mapping in mappings} == {UNKNOWN}


def make_strangers(stack: Stack) -> None:
    """A table with another key, one without a stream, and a cluster of another engine."""
    aws = stack.clouds.aws
    create = aws.client("dynamodb").create_table
    for name, key in (("other-key", "id"), ("silent", "page_id")):
        create(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        )
    ec2, rds = aws.client("ec2"), aws.client("rds")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]]
    group = ec2.describe_security_groups()["SecurityGroups"][0]
    rds.create_db_subnet_group(
        DBSubnetGroupName="ledger", DBSubnetGroupDescription="ledger", SubnetIds=subnets
    )
    rds.create_db_cluster(
        DBClusterIdentifier="ledger",
        Engine="aurora-postgresql",
        DBSubnetGroupName="ledger",
        VpcSecurityGroupIds=[group["GroupId"]],
        MasterUsername="owner",
        MasterUserPassword="not-a-secret",
    )


def wrong(stack: Stack, *, flow: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    """Say something else of the route; return what `pulumi up`, after its preview, says of it."""
    before = stack.config[KEY]
    if flow is not None:
        (declared,) = before["flows"].values()
        merged = {k: v for k, v in {**declared, **flow}.items() if v is not None}
        changes["flows"] = {"page-views": merged}
    stack.set(replication=changes)
    try:
        run = stack.plain("up", "--yes")
    finally:
        stack.set(replication=None)
        stack.set(replication=before)
    assert run.status != 0
    assert stack.resources() == []
    assert "Traceback" not in run.text
    (diagnostics,) = re.findall(
        r"^Diagnostics:\n(.*?)^(?:Outputs|Resources):", run.text, re.M | re.S
    )
    found = re.findall(r"^ +error: (.*)$", diagnostics, re.M)
    assert found.pop() == "an unhandled error occurred: program exited with non-zero exit code: 1"
    return found


def test_what_is_wrong_of_the_route_is_one_line_and_nothing_is_made(replication: Stack) -> None:
    make_strangers(replication)
    key = {"create_table": False, "sort_key": None, "schema": None}
    cluster = replication.config[KEY]["cluster"]
    assert wrong(replication, flow={**key, "table": "other-key"}) == [
        f"{KEY}.flows.page-views: the key of the DynamoDB table is not the declared one: write "
        "`partition_key: {id: S}`"
    ]
    (line,) = wrong(replication, flow={**key, "table": "silent"})
    assert line.startswith(
        f"{KEY}.flows.page-views: the stream of the DynamoDB table silent is off"
    )
    assert wrong(replication, cluster={**cluster, "identifier": "ledger"}) == [
        f"{KEY}.cluster: the cluster ledger has the engine aurora-postgresql; LOAD DATA FROM S3 "
        "needs aurora-mysql"
    ]
    (line,) = wrong(replication, flow={**key, "table": "not-there"})
    assert line.startswith(
        f"{KEY}.flows.page-views: the DynamoDB table not-there could not be looked up: "
    )
    (line,) = wrong(replication, cluster={**cluster, "identifier": "not-there"})
    assert line.startswith(f"{KEY}.cluster: the cluster not-there could not be looked up: ")
    (line,) = wrong(replication, on_failure_bucket="not-there")
    assert line.startswith(f"{KEY}.on_failure_bucket: the bucket not-there could not be looked up")
    (line,) = wrong(replication, retention_days=0)
    assert line.startswith(f"{KEY}.retention_days: 0 is less than 1")
