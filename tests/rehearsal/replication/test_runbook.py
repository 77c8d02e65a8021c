"""What the runbook has people do, done to a deployed stack: nothing that was kept is lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rehearsal import cast, scenario, stage
from rehearsal.progress import Progress
from rehearsal.replication.flows import declared_flows
from rehearsal.replication.items import for_boto3
from rehearsal.replication.route import Route
from rehearsal.replication.traffic import Traffic
from tests.components.stacks import ROOT
from tests.rehearsal.databases import need_mariadb

STREAM_FUNCTION = "ferry-local-page-views-stream"


@pytest.fixture(scope="module")
def route(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    need_mariadb()
    folder = tmp_path_factory.mktemp("route")
    played = cast.of_stack(ROOT, folder, "local", None, None)
    progress = Progress(Console(quiet=True))
    scenario.package_handlers(ROOT, progress)
    database = tmp_path_factory.mktemp("aurora")
    with stage.built(played, folder / "bigquery.duckdb", aurora=database) as clouds:
        deployment = scenario.deploy_stack(ROOT, played, "local", clouds, progress)
        (flow,) = declared_flows(played.config)
        yield Route(clouds, deployment, played.config, flow)


def resend(route: Route, **event: str) -> dict[str, Any]:
    """Invoke the function until it is through, as the runbook says."""
    functions = route.aws.client("lambda")
    asked: dict[str, Any] = {"bucket": route.bucket, **event}
    while True:
        answer = functions.invoke(
            FunctionName=route.outputs["resend_function"], Payload=json.dumps(asked)
        )
        told: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, told
        if not told.get("next"):
            return told
        asked = told["next"]


def in_sql(route: Route, *statements: str) -> None:
    with route.aurora.master(route.flow.database) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def assert_equal(route: Route) -> None:
    route.settle()
    found = route.differences()
    assert found.told == []
    assert found.rows > 0
    assert route.dead_letters() == 0


def test_what_lambda_gave_up_on_is_sent_again(route: Route) -> None:
    iam, mappings = route.aws.client("iam"), route.aws.client("lambda")
    (name,) = iam.list_role_policies(RoleName=STREAM_FUNCTION)["PolicyNames"]
    policy = iam.get_role_policy(RoleName=STREAM_FUNCTION, PolicyName=name)["PolicyDocument"]
    mute = [each for each in policy["Statement"] if each["Sid"] != "Send"]
    mapping = {"UUID": route.outputs["stream_mapping"]}
    before = mappings.get_event_source_mapping(**mapping)["MaximumRetryAttempts"]
    mappings.update_event_source_mapping(**mapping, MaximumRetryAttempts=0)
    iam.put_role_policy(
        RoleName=STREAM_FUNCTION,
        PolicyName=name,
        PolicyDocument=json.dumps({**policy, "Statement": mute}),
    )
    route.write([Traffic(seed=1, changes=60, keys=20)])
    route.settle()
    assert route.discarded()
    assert route.differences().rows == 0
    iam.put_role_policy(
        RoleName=STREAM_FUNCTION, PolicyName=name, PolicyDocument=json.dumps(policy)
    )
    mappings.update_event_source_mapping(**mapping, MaximumRetryAttempts=before)
    # The refusals were what this test wanted to see.
    route.aws.problems.clear()
    resend(route, prefix="aws/lambda/")
    assert_equal(route)


def test_a_copy_is_rebuilt_from_an_export_of_the_table(route: Route, tmp_path: Path) -> None:
    traffic = Traffic(seed=2, changes=2_000, keys=500)
    route.write([traffic])
    assert_equal(route)
    in_sql(route, f"TRUNCATE `{route.flow.target}`", f"TRUNCATE `ferry_keys_{route.flow.target}`")
    assert route.differences().count > 100
    prefix = f"table-exports/{route.flow.name}/AWSDynamoDB/01234-abc/data/"
    items = list(route.items())
    for part in range(2):
        lines = [json.dumps({"Item": item}, ensure_ascii=False) for item in items[part::2]]
        route.aws.client("s3").put_object(
            Bucket=route.bucket,
            Key=f"{prefix}part{part}.json.gz",
            Body=gzip.compress("\n".join(lines).encode()),
        )
    resend(route, prefix=prefix)
    assert_equal(route)


def test_an_export_never_wins_over_what_the_stream_says(route: Route) -> None:
    """It may be older than changes that have arrived."""
    traffic = Traffic(seed=3, changes=500, keys=100)
    route.write([traffic])
    route.settle()
    key, item = next(iter(traffic.items.items()))
    old = {**item, "hits": {"N": "123456789"}}
    gone = {**item, "session": {"S": f"{key[1]} gone"}}
    table = route.aws.client("dynamodb")
    table.put_item(TableName=route.flow.table, Item=for_boto3(gone))
    table.delete_item(
        TableName=route.flow.table,
        Key={"page_id": gone["page_id"], "session": gone["session"]},
    )
    route.settle()
    body = "\n".join(json.dumps({"Item": each}) for each in (old, gone))
    name = f"table-exports/{route.flow.name}/old.json.gz"
    route.aws.client("s3").put_object(
        Bucket=route.bucket, Key=name, Body=gzip.compress(body.encode())
    )
    resend(route, key=name)
    assert_equal(route)
