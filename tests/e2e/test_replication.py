"""The replication route's life on the real engine: left alone, drifted, mended, changed."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kit import ALONE, Stack, stack_on_clouds

FLOW = "ferry-local-page-views"
LAYER = "aws:lambda/layerVersion:LayerVersion"
FUNCTION = "aws:lambda/function:Function"
FUNCTIONS = {f"Function {FLOW}-{role}" for role in ("stream", "transform", "load", "resend")}


@pytest.fixture
def route(tmp_path: Path) -> Iterator[Stack]:
    """A deployed stack with the replication route alone."""
    with stack_on_clouds(tmp_path, "local", **ALONE) as stack:
        stack.up().succeeded()
        yield stack


def flows(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = copy.deepcopy(stack.config["data-ferry:replication"]["flows"])
    return found


def ids_of(stack: Stack, type_: str) -> dict[str, str]:
    """Return the ids of the resources of a type, by their names."""
    listed = [each for each in stack.resources() if each["type"] == type_]
    return {each["urn"].split("::", 3)[3]: each["id"] for each in listed}


def is_of(resource: dict[str, Any], flow: str) -> bool:
    """Say whether a resource with a provider belongs to a flow."""
    name = str(resource["urn"]).split("::", 3)[3]
    return str(resource["type"]).startswith("aws:") and name.startswith(flow)


def test_nothing_of_it_changes_by_itself(route: Stack) -> None:
    """Not the order of a processor's parameters, nor what an event source mapping does."""
    assert route.up().succeeded().changes == []
    # As the nightly drift check does; and a plain look at what the state knows.
    assert route.preview("--refresh", "--expect-no-changes").succeeded().changes == []
    refreshed = route.refresh().succeeded()
    assert [step for step in refreshed.done if step.diff] == []
    assert route.preview("--refresh=false", "--expect-no-changes").succeeded().changes == []


def test_what_was_changed_by_hand_is_shown_and_mended(route: Stack) -> None:
    """Somebody stopped the stream, closed the cluster, and opened a queue."""
    aws, outputs = route.clouds.aws, route.deployment().outputs
    flow = outputs["flows"]["page-views"]
    functions, ec2, sqs = (aws.client(each) for each in ("lambda", "ec2", "sqs"))
    functions.update_event_source_mapping(UUID=flow["stream_mapping"], Enabled=False)
    (rule,) = ids_of(route, "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").values()
    found = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule])["SecurityGroupRules"]
    ec2.revoke_security_group_ingress(GroupId=found[0]["GroupId"], SecurityGroupRuleIds=[rule])
    policy = sqs.get_queue_attributes(QueueUrl=flow["load_queue"], AttributeNames=["Policy"])
    opened = json.loads(policy["Attributes"]["Policy"])
    opened["Statement"][0].pop("Condition")
    sqs.set_queue_attributes(QueueUrl=flow["load_queue"], Attributes={"Policy": json.dumps(opened)})
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=outputs["replication_bucket"], NotificationConfiguration={}
    )
    associated = {"DBClusterIdentifier": "analytics-local", "RoleArn": outputs["aurora_role"]}
    aws.client("rds").remove_role_from_db_cluster(**associated)
    aws.client("dynamodb").update_continuous_backups(
        TableName="page-views",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )
    firehose = aws.client("firehose")
    stream = firehose.describe_delivery_stream(DeliveryStreamName=flow["delivery_stream"])
    firehose.update_destination(
        DeliveryStreamName=flow["delivery_stream"],
        CurrentDeliveryStreamVersionId=stream["DeliveryStreamDescription"]["VersionId"],
        DestinationId=stream["DeliveryStreamDescription"]["Destinations"][0]["DestinationId"],
        ExtendedS3DestinationUpdate={"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 900}},
    )
    aws.client("logs").delete_log_stream(
        logGroupName=f"/aws/kinesisfirehose/{FLOW}", logStreamName="S3Delivery"
    )

    drift = route.preview("--refresh", "--expect-no-changes")
    assert drift.status != 0
    assert drift.short("update") == {
        f"EventSourceMapping {FLOW}-stream",
        f"QueuePolicy {FLOW}-load",
        "BucketNotification ferry-local-replication",
        f"Table {FLOW}",
        f"FirehoseDeliveryStream {FLOW}",
    }
    gone = {
        "SecurityGroupIngressRule ferry-local-replication-load",
        "ClusterRoleAssociation ferry-local-replication-aurora",
        f"LogStream {FLOW}",
    }
    assert drift.short("create") == gone
    assert len(drift.changes) == 8
    shown = {step.short: set(step.diff) for step in drift.changes}
    assert shown[f"EventSourceMapping {FLOW}-stream"] == {"enabled"}
    assert shown[f"Table {FLOW}"] == {"pointInTimeRecovery.enabled"}
    assert shown[f"FirehoseDeliveryStream {FLOW}"] == {
        "extendedS3Configuration.bufferingInterval",
        "extendedS3Configuration.bufferingSize",
    }

    route.up().succeeded()
    assert route.preview("--refresh", "--expect-no-changes").succeeded().changes == []
    mapping = functions.get_event_source_mapping(UUID=flow["stream_mapping"])
    assert mapping["State"] == "Enabled"
    mended = sqs.get_queue_attributes(QueueUrl=flow["load_queue"], AttributeNames=["Policy"])
    assert json.loads(mended["Attributes"]["Policy"]) == json.loads(policy["Attributes"]["Policy"])
    cluster = aws.client("rds").describe_db_clusters(DBClusterIdentifier="analytics-local")
    roles = cluster["DBClusters"][0]["AssociatedRoles"]
    assert [role["RoleArn"] for role in roles] == [outputs["aurora_role"]]


def test_only_the_resources_of_an_added_and_of_a_removed_flow_move(route: Stack) -> None:
    declared = flows(route)
    first = Counter(each["type"] for each in route.resources() if is_of(each, FLOW))
    orders = {**declared["page-views"], "table": "orders", "target": "analytics.orders"}

    route.set(replication={"flows": {**declared, "orders": orders}})
    added = route.up().succeeded()
    assert {step.op for step in added.changes} == {"create"}
    assert Counter(step.type for step in added.changes) == first
    assert all("orders" in step.name for step in added.changes)
    assert set(route.deployment().outputs["flows"]) == {"page-views", "orders"}
    assert route.clouds.aws.client("dynamodb").list_tables()["TableNames"] == [
        "orders",
        "page-views",
    ]

    route.set(replication={"flows": declared})
    removed = route.up().succeeded()
    assert {step.op for step in removed.changes} == {"delete"}
    assert Counter(step.type for step in removed.changes) == first
    assert all("orders" in step.name for step in removed.changes)


def test_other_columns_are_a_new_layer_and_replace_nothing_else(route: Stack) -> None:
    changed = flows(route)
    changed["page-views"]["columns"]["referrer"] = "varchar(255)"
    functions = route.clouds.aws.client("lambda")
    (old,) = ids_of(route, LAYER).values()

    route.set(replication={"flows": changed})
    run = route.up().succeeded()
    (new,) = ids_of(route, LAYER).values()
    assert new != old
    assert run.short("create-replacement") == {f"LayerVersion {FLOW}"}
    assert run.short("update") == FUNCTIONS
    layered = functions.get_function_configuration(FunctionName=f"{FLOW}-transform")["Layers"]
    assert [each["Arn"] for each in layered] == [new]
    # Nobody is without a layer at any moment: the old one goes when all have the new one.
    order = [(step.op, step.type) for step in run.done]
    made, gone = order.index(("create-replacement", LAYER)), order.index(("delete-replaced", LAYER))
    updates = [at for at, each in enumerate(order) if each == ("update", FUNCTION)]
    assert made < min(updates)
    assert max(updates) < gone
    others = [step.short for step in run.changes if step.type not in (LAYER, FUNCTION)]
    assert others == []
    assert [
        each["LayerVersionArn"]
        for each in functions.list_layer_versions(LayerName=FLOW)["LayerVersions"]
    ] == [new]


def test_a_table_of_ones_own_is_read_and_left_as_it_is(route: Stack) -> None:
    """It is looked up by its name, and its key with the key that the stack declares."""
    dynamodb = route.clouds.aws.client("dynamodb")
    dynamodb.create_table(
        TableName="theirs",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("page_id", "session")
        ],
        KeySchema=[
            {"AttributeName": "page_id", "KeyType": "HASH"},
            {"AttributeName": "session", "KeyType": "RANGE"},
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    before = dynamodb.describe_table(TableName="theirs")["Table"]
    theirs = {
        **flows(route)["page-views"],
        "table": "theirs",
        "create_table": False,
        "target": "analytics.theirs",
    }
    route.set(replication={"flows": {**flows(route), "theirs": theirs}})
    added = route.up().succeeded()
    assert {step.op for step in added.changes} == {"create"}
    assert not [step for step in added.changes if "dynamodb" in step.type]
    mapping = route.deployment().outputs["flows"]["theirs"]["stream_mapping"]
    found = route.clouds.aws.client("lambda").get_event_source_mapping(UUID=mapping)
    assert found["EventSourceArn"] == before["LatestStreamArn"]

    route.empty_buckets()
    route.destroy().succeeded()
    assert dynamodb.list_tables()["TableNames"] == ["theirs"]
    assert dynamodb.describe_table(TableName="theirs")["Table"] == before
