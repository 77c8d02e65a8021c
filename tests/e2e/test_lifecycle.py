"""A stack's life on the real engine: made, left alone, changed, drifted, mended, destroyed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal import stack_file
from rehearsal.aws.cloud import LocalAws
from tests.e2e.kit import ROOT, Stack, stack_on_clouds


def tables(*names: str) -> dict[str, Any]:
    """The `snapshot` setting with these tables of the database `shop`, and those of `world`."""
    databases = {"shop": list(names), "world": ["city", "country", "countrylanguage"]}
    source = {"cluster": "shop-local", "engine": "mysql", "databases": databases}
    return {"sources": [source]}


def test_only_the_resources_of_an_added_and_of_a_removed_table_move(local: Stack) -> None:
    local.set(snapshot=tables("users"))
    local.up().succeeded()
    # The catalog and the export's definition list the tables; both are changed in place.
    lists = {"BucketObjectv2 ferry-local-shop-local", "StateMachine ferry-local-export-shop-local"}
    orders = {"Table shop-local.shop.orders", "DataTransferConfig shop-local.shop.orders"}

    local.set(snapshot=tables("users", "orders"))
    added = local.up().succeeded()
    assert added.short("create") == orders
    assert added.short("update") == lists
    assert len(added.changes) == 4
    assert local.play_day().problems == []

    local.set(snapshot=tables("users"))
    removed = local.up().succeeded()
    assert removed.short("delete") == orders
    assert removed.short("update") == lists
    assert len(removed.changes) == 4
    # The tables that are declared now are carried, and no other.
    assert {row.name for row in local.play_day().tables} == {
        "shop.users",
        "world.city",
        "world.country",
        "world.countrylanguage",
    }


def test_drift_is_shown_and_mended(local: Stack) -> None:
    """Someone opened the bucket by hand."""
    local.up().succeeded()
    s3, bucket = local.clouds.aws.client("s3"), local.deployment().outputs["bucket"]
    closed = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={**closed, "BlockPublicPolicy": False}
    )

    # As the nightly drift check does.
    drift = local.preview("--refresh", "--expect-no-changes")
    assert drift.status != 0
    (step,) = [step for step in drift.changes if step.op == "update"]
    assert step.short == "BucketPublicAccessBlock ferry-local-rds-exports"
    assert dict(step.diff) == {"blockPublicPolicy": "update"}

    mended = local.up("--refresh").succeeded()
    assert mended.short("update") == {step.short}
    now = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert now == closed
    assert local.preview("--refresh", "--expect-no-changes").succeeded().changes == []


def test_what_was_deleted_by_hand_is_made_again(local: Stack) -> None:
    local.up().succeeded()
    dataset = "/bigquery/v2/projects/local-project/datasets/ferry_local_rds_data"
    local.clouds.google_api.send("DELETE", f"{dataset}/tables/users")
    run = local.up("--refresh").succeeded()
    assert "Table shop-local.shop.users" in run.short("create")
    assert local.play_day().problems == []


def test_a_change_of_the_dataset_keeps_everyones_grants(local: Stack) -> None:
    """The provider writes a dataset whole, with the access list of the last refresh."""
    path = "/bigquery/v2/projects/local-project/datasets/ferry_local_rds_data"
    google = local.clouds.google_api
    local.up().succeeded()
    ada = {"role": "READER", "userByEmail": "ada@example.com"}
    before = google.get(path)["access"]
    google.send("PATCH", path, {"access": [*before, ada]})

    local.set(labels={"team": "data"})
    run = local.up().succeeded()
    assert "Dataset ferry_local_rds_data" in run.short("update")
    assert google.get(path)["labels"]["team"] == "data"
    after = google.get(path)["access"]
    assert all(entry in after for entry in [*before, ada])
    assert local.play_day().problems == []


def test_settings_that_are_wrong_are_told_before_anything_is_planned(local: Stack) -> None:
    local.set(snapshot={"retention_days": 0})
    run = local.preview()
    assert run.status != 0
    assert [line for line in run.messages if "data-ferry:snapshot.retention_days" in line]
    assert run.changes == []


def left_over(stack: Stack) -> dict[str, Any]:
    """Everything that is still in either cloud, by what it is."""
    aws, google = stack.clouds.aws, stack.clouds.google_api
    iam, kms = aws.client("iam"), aws.client("kms")
    keys = [kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in kms.list_keys()["Keys"]]
    project = f"/v1/projects/{stack.clouds.project}"
    found = {
        "buckets": aws.client("s3").list_buckets()["Buckets"],
        "roles": iam.list_roles()["Roles"],
        "users": iam.list_users()["Users"],
        "keys": [k for k in keys if k["KeyState"] == "Enabled" and k["KeyManager"] == "CUSTOMER"],
        "aliases": [a for a in kms.list_aliases()["Aliases"] if "/aws/" not in a["AliasName"]],
        "machines": aws.client("stepfunctions").list_state_machines()["stateMachines"],
        "functions": aws.client("lambda").list_functions()["Functions"],
        "rules": aws.client("events").list_rules()["Rules"],
        "schedules": aws.client("scheduler").list_schedules()["Schedules"],
        **of_the_replication_route(aws),
        "queues": aws.client("sqs").list_queues().get("QueueUrls", []),
        "topics": aws.client("sns").list_topics()["Topics"],
        "alarms": aws.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "logs": aws.client("logs").describe_log_groups()["logGroups"],
        "datasets": google.get(f"/bigquery/v2{project[3:]}/datasets").get("datasets", []),
        "configs": stack.clouds.google.configs(),
        "secrets": google.get(f"{project}/secrets").get("secrets", []),
        "accounts": google.get(f"{project}/serviceAccounts").get("accounts", []),
        "custom roles": google.get(f"{project}/roles").get("roles", []),
        "pools": google.get(f"{project}/locations/global/workloadIdentityPools").get(
            "workloadIdentityPools", []
        ),
    }
    return {what: there for what, there in found.items() if there}


def of_the_replication_route(aws: LocalAws) -> dict[str, Any]:
    """What only this route makes. The VPC and the cluster were there before."""
    functions, ec2, rds = (aws.client(each) for each in ("lambda", "ec2", "rds"))
    made = [{"Name": "tag:service", "Values": ["ferry", "shop"]}]
    groups = ec2.describe_security_groups(Filters=made)["SecurityGroups"]
    # Those that lead from or to other groups: a VPC's own has none of them.
    rules = ec2.describe_security_group_rules()["SecurityGroupRules"]
    parameters = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    clusters = rds.describe_db_clusters()["DBClusters"]
    return {
        "tables": aws.client("dynamodb").list_tables()["TableNames"],
        "streams": aws.client("firehose").list_delivery_streams()["DeliveryStreamNames"],
        "mappings": functions.list_event_source_mappings()["EventSourceMappings"],
        "layers": functions.list_layers()["Layers"],
        "security groups": groups,
        "rules": [rule for rule in rules if "ReferencedGroupInfo" in rule],
        "parameter groups": [
            group
            for group in parameters
            if not group["DBClusterParameterGroupName"].startswith("default.")
        ],
        "cluster's roles": [role for each in clusters for role in each.get("AssociatedRoles", [])],
    }


def test_destroy_leaves_nothing_in_either_cloud(local: Stack) -> None:
    local.up().succeeded()
    kinds = {*left_over(local)}
    assert kinds >= {*of_the_replication_route(local.clouds.aws)}, "it is all there before"
    assert len(kinds) >= 24, "what is looked for is there before"
    local.play_day()
    bucket = local.deployment().outputs["replication_bucket"]
    local.clouds.aws.client("s3").put_object(
        Bucket=bucket, Key="processing-failed/page-views/2026/01/01/00/kept", Body=b"{}"
    )

    refused = local.destroy()
    assert refused.status != 0
    # The engine stops at the first.
    assert any("BucketNotEmpty" in message for message in refused.messages)

    local.empty_buckets()
    local.destroy().succeeded()
    assert local.resources() == []
    assert left_over(local) == {}


@pytest.fixture
def prod(tmp_path: Path) -> Any:
    """The stack `prod`, with a replication route like that of `local`."""
    route = stack_file.load(ROOT, "local")["data-ferry:replication"]
    with stack_on_clouds(tmp_path, "prod", replication=route) as stack:
        yield stack


def test_prod_protects_what_cannot_be_had_again(prod: Stack) -> None:
    prod.up().succeeded()
    before = prod.counts()
    protected = {
        f"{r['type'].rsplit(':', 1)[-1]} {r['urn'].split('::', 3)[3]}"
        for r in prod.resources()
        if r.get("protect")
    }
    assert protected == {
        "Key shop-prod-rds-exports",
        "Bucket shop-prod-rds-exports",
        "Dataset shop_prod_rds_data",
        "Bucket shop-prod-replication",
        "Table shop-prod-page-views",
    }
    # With its preview, as people run it: without one, the engine begins before it comes to them.
    refused = prod.plain("destroy", "--yes")
    assert refused.status != 0
    assert "protect" in refused.text
    assert prod.counts() == before, "a refused destroy has destroyed something"

    # A table that is taken out of the settings of prod stays, until its protection is taken off.
    everything = prod.config["data-ferry:snapshot"]
    fewer = copy.deepcopy(everything)
    fewer["sources"][0]["databases"]["shop"] = ["users"]
    prod.set(snapshot=fewer)
    kept = prod.up()
    assert kept.status != 0
    assert any("deletion_protection" in message for message in kept.messages)
    prod.set(snapshot=everything)

    # Nor does the table of a flow that is taken out: not with the flow, and not by hand.
    flows = prod.config["data-ferry:replication"]["flows"]
    other = {**flows["page-views"], "table": "orders", "target": "analytics.orders"}
    prod.set(replication={"flows": {"orders": other}})
    refused = prod.preview()
    assert refused.status != 0
    assert any("Table::shop-prod-page-views" in message for message in refused.messages)
    prod.set(replication={"flows": flows})
    dynamodb = prod.clouds.aws.client("dynamodb")
    with pytest.raises(ClientError, match="protected against deletion"):
        dynamodb.delete_table(TableName="page-views")

    # The runbook's way: let the tables go, unprotect, empty, destroy.
    prod.set(bigquery={"deletion_protection": False})
    prod.up().succeeded()
    dynamodb.update_table(TableName="page-views", DeletionProtectionEnabled=False)
    prod.workspace.ask("state", "unprotect", "--all", "--yes", stack=prod.name)
    prod.empty_buckets()
    prod.destroy().succeeded()
    assert left_over(prod) == {}
