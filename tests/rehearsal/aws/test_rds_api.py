"""The RDS actions as boto3 sees them: descriptions, and every refusal of StartExportTask."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import ClientError

from rehearsal.aws.export_task import ExportTask
from rehearsal.aws.rds_api import Parameters, Response
from tests.rehearsal.aws.rds_kit import (
    ACCOUNT,
    AT,
    BUCKET,
    KEY,
    REGION,
    World,
    client,
    database,
    world,
)

IDENTIFIER_TEXT = (
    "The parameter ExportTaskIdentifier is not a valid identifier. Identifiers must begin with a "
    "letter; must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen "
    "or contain two consecutive hyphens."
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[World]:
    with world(database(tmp_path / "shop.db")) as found:
        yield found


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Exports wait until the event is set."""
    go_on = threading.Event()
    begin = ExportTask.begin

    def waiting(task: Any) -> None:
        assert go_on.wait(30)
        begin(task)

    monkeypatch.setattr(ExportTask, "begin", waiting)
    yield go_on
    go_on.set()


def refused(found: World, **changes: Any) -> tuple[str, str, int]:
    """Code, message and status of a StartExportTask that must be refused."""
    try:
        snapshot = changes.pop("snapshot", None) or found.rds.take_snapshot("shop-stg", at=AT)
    except ValueError:
        snapshot = "rds:shop-stg-2026-11-20-03-05"
    with pytest.raises(ClientError) as told:
        found.start(snapshot, **changes)
    error = told.value.response
    return (
        error["Error"]["Code"],
        error["Error"]["Message"],
        error["ResponseMetadata"]["HTTPStatusCode"],
    )


# --- StartExportTask: what is malformed


@pytest.mark.parametrize(
    "identifier",
    ["rds:shop-stg-2026", "1shop", "shop--stg", "shop-", "shop_stg", "shop.stg", "é", "-shop"],
)
def test_illegal_identifiers(shop: World, identifier: str) -> None:
    code, message, status = refused(shop, ExportTaskIdentifier=identifier)
    assert (code, message, status) == ("InvalidParameterValue", IDENTIFIER_TEXT, 400)


def test_identifiers_of_sixty_characters_are_the_longest(shop: World) -> None:
    assert refused(shop, ExportTaskIdentifier="a" * 61)[0] == "InvalidParameterValue"
    assert (
        shop.export(ExportTaskIdentifier="a" * 60, snapshot="rds:shop-stg-2026-11-20-03-05").status
        == "COMPLETE"
    )


def test_a_prefix_with_a_colon(shop: World) -> None:
    code, message, _ = refused(shop, S3Prefix="exports/rds:shop")
    assert code == "InvalidParameterValue"
    assert "exports/rds:shop" in message


@pytest.mark.parametrize(
    "entry", ["my-db", "shop.my table", "shop.public.users", "shop.", "shop.größe", ""]
)
def test_export_only_with_names_it_cannot_address(shop: World, entry: str) -> None:
    code, message, _ = refused(shop, ExportOnly=["shop.users", entry])
    assert code == "InvalidExportOnly"
    assert entry in message


def test_export_only_with_a_dollar_is_legal(shop: World) -> None:
    shop.start(ExportOnly=["shop.users", "shop.orders$2024"])


def test_export_only_over_200_kilobytes(shop: World) -> None:
    entries = [f"shop.{'x' * 60}{number}" for number in range(3500)]
    assert refused(shop, ExportOnly=entries)[0] == "InvalidExportOnly"


def test_postgresql_export_only_has_three_parts(tmp_path: Path) -> None:
    with world(database(tmp_path / "ledger.db", engine="postgresql")) as found:
        assert refused(found, ExportOnly=["ledger.public.users.id"])[0] == "InvalidExportOnly"


# --- StartExportTask: what is not there


@pytest.mark.parametrize(
    ("arn", "code", "status"),
    [
        ("cluster-snapshot:rds:shop-stg-2026-11-19-03-05", "DBClusterSnapshotNotFoundFault", 404),
        ("snapshot:rds:shop-stg-2026-11-20-03-05", "DBSnapshotNotFound", 404),
        ("cluster:shop-prod", "DBClusterNotFoundFault", 404),
        ("db:shop-stg", "InvalidParameterValue", 400),
    ],
)
def test_unknown_sources(shop: World, arn: str, code: str, status: int) -> None:
    found = refused(shop, SourceArn=f"arn:aws:rds:{REGION}:{ACCOUNT}:{arn}")
    assert (found[0], found[2]) == (code, status)


def test_a_snapshot_that_is_being_created(shop: World) -> None:
    name = shop.rds.begin_snapshot("shop-stg", at=AT)
    assert refused(shop, snapshot=name)[0] == "InvalidExportSourceState"
    shop.rds.finish_snapshot(name)
    assert shop.export(snapshot=name).status == "COMPLETE"


def test_an_unknown_role(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db"), role_exists=lambda arn: False) as found:
        assert refused(found)[::2] == ("IamRoleNotFound", 404)


def test_an_unknown_key(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db"), key_exists=lambda key: key != KEY) as found:
        code, message, _ = refused(found)
        assert code == "KMSKeyNotAccessibleFault"
        assert "KMS key check failed" in message


def test_an_unknown_bucket(shop: World) -> None:
    code, message, _ = refused(shop, S3BucketName="no-such-bucket")
    assert code == "InvalidS3BucketFault"
    assert "no-such-bucket" in message


def test_a_bucket_in_another_region(shop: World) -> None:
    client("s3", "eu-central-1").create_bucket(
        Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    code, message, _ = refused(shop, S3BucketName="far-away")
    assert code == "InvalidS3BucketFault"
    assert "eu-central-1" in message


# --- StartExportTask: what the role may not do


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("s3:PutObject", "IamRoleMissingPermissions"),
        ("s3:GetObject", "IamRoleMissingPermissions"),
        ("s3:DeleteObject", "IamRoleMissingPermissions"),
        ("s3:ListBucket", "IamRoleMissingPermissions"),
        ("s3:GetBucketLocation", "IamRoleMissingPermissions"),
        ("kms:Encrypt", "KMSKeyNotAccessibleFault"),
        ("kms:Decrypt", "KMSKeyNotAccessibleFault"),
        ("kms:GenerateDataKey", "KMSKeyNotAccessibleFault"),
        ("kms:DescribeKey", "KMSKeyNotAccessibleFault"),
    ],
)
def test_missing_permissions(tmp_path: Path, action: str, code: str) -> None:
    with world(database(tmp_path / "shop.db"), denied=(action,)) as found:
        told = refused(found)
        assert told[0] == code
        assert action in told[1]


def test_permissions_are_tried_on_the_exports_own_resources(shop: World) -> None:
    shop.export()
    tried = {action: (resource, context) for _, action, resource, context in shop.allowed}
    resource, context = tried["s3:ListBucket"]
    assert resource == f"arn:aws:s3:::{BUCKET}"
    assert context["s3:prefix"] == "exports/shop-stg-2026112003/"
    assert tried["kms:GenerateDataKey"][0] == KEY
    assert tried["kms:GenerateDataKey"][1]["kms:ViaService"] == f"s3.{REGION}.amazonaws.com"
    assert tried["s3:PutObject"][1]["s3:x-amz-server-side-encryption"] == "aws:kms"


@pytest.mark.parametrize(
    ("given", "arn"),
    [("0b1c", KEY), ("alias/x", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/x"), (KEY, KEY)],
)
def test_keys_may_be_ids_and_aliases(shop: World, given: str, arn: str) -> None:
    shop.export(KmsKeyId=given)
    assert {r for _, action, r, _ in shop.allowed if action.startswith("kms:")} == {arn}


def test_permission_lost_while_writing_fails_the_export(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        # Everything but the second table's folder.
        service = found.rds._exports._outside
        allow = service.authorize

        def authorize(role: str, action: str, resource: str, context: dict[str, str]) -> None:
            if "shop.users" in resource:
                raise PermissionError(f"{action} on {resource} is denied")
            allow(role, action, resource, context)

        object.__setattr__(service, "authorize", authorize)
        record = found.export()
        assert record.status == "FAILED"
        assert "S3 credential check failed" in str(record.failure)
        assert "shop.users" in str(record.failure)


# --- StartExportTask: what other exports forbid


def test_an_identifier_is_used_once(shop: World) -> None:
    shop.export()
    code, message, status = refused(shop)
    assert (code, status) == ("ExportTaskAlreadyExists", 400)
    assert message == "The export task with the ID shop-stg-2026112003 already exists."


def test_repeating_a_call_while_it_runs_says_that_it_exists(
    shop: World, held: threading.Event
) -> None:
    shop.start()
    assert refused(shop)[0] == "ExportTaskAlreadyExists"


def test_a_snapshot_has_one_export_at_a_time(shop: World, held: threading.Event) -> None:
    shop.start()
    assert refused(shop, ExportTaskIdentifier="another")[0] == "InvalidExportSourceState"
    held.set()
    assert shop.rds.wait(30)
    snapshot = "rds:shop-stg-2026-11-20-03-05"
    assert shop.export(ExportTaskIdentifier="another", snapshot=snapshot).status == "COMPLETE"


def test_five_exports_at_a_time(shop: World, held: threading.Event) -> None:
    snapshots = [
        shop.rds.take_snapshot("shop-stg", at=AT + timedelta(days=day)) for day in range(6)
    ]
    for number, snapshot in enumerate(snapshots[:5]):
        shop.start(snapshot, ExportTaskIdentifier=f"export-{number}")
    code, message, status = refused(shop, snapshot=snapshots[5], ExportTaskIdentifier="export-5")
    assert (code, status) == ("ExportTaskLimitReachedFault", 400)
    assert message == "You have reached the limit of 5 concurrent export tasks"
    held.set()
    assert shop.rds.wait(30)
    shop.start(snapshots[5], ExportTaskIdentifier="export-5")


# --- DescribeExportTasks


def test_export_tasks_are_found_by_every_filter(shop: World) -> None:
    shop.export()
    snapshot = shop.rds.take_snapshot("shop-stg", at=AT + timedelta(days=1))
    shop.export(snapshot=snapshot, ExportTaskIdentifier="empty", ExportOnly=["shop.nowhere"])

    def found(**asked: Any) -> list[str]:
        tasks = shop.api.describe_export_tasks(**asked)["ExportTasks"]
        return [task["ExportTaskIdentifier"] for task in tasks]

    def filtered(name: str, *values: str) -> list[str]:
        return found(Filters=[{"Name": name, "Values": list(values)}])

    both = ["shop-stg-2026112003", "empty"]
    assert found() == both
    assert found(ExportTaskIdentifier="empty") == ["empty"]
    assert found(SourceArn=shop.rds.snapshot_arn(snapshot)) == ["empty"]
    assert found(SourceType="SNAPSHOT") == both
    assert found(SourceType="CLUSTER") == []
    assert filtered("export-task-identifier", "empty", "other") == ["empty"]
    assert filtered("s3-bucket", BUCKET) == both
    assert filtered("source-arn", shop.rds.snapshot_arn(snapshot)) == ["empty"]
    assert filtered("status", "complete") == ["shop-stg-2026112003"]
    assert filtered("status", "failed", "complete") == both
    # The filter's statuses are lower case, other than the answer's.
    assert filtered("status", "COMPLETE") == []
    with pytest.raises(ClientError, match="Unrecognized filter name: colour"):
        filtered("colour", "red")


def test_an_unknown_export_task(shop: World) -> None:
    for call in (shop.api.describe_export_tasks, shop.api.cancel_export_task):
        with pytest.raises(ClientError) as told:
            call(ExportTaskIdentifier="nobody")
        assert told.value.response["Error"]["Code"] == "ExportTaskNotFound"
        assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_export_tasks_come_in_pages(shop: World) -> None:
    for number in range(23):
        snapshot = shop.rds.take_snapshot("shop-stg", at=AT + timedelta(days=number))
        shop.export(
            snapshot=snapshot, ExportTaskIdentifier=f"x{number}", ExportOnly=["shop.visits"]
        )
    first = shop.api.describe_export_tasks(MaxRecords=20)
    assert len(first["ExportTasks"]) == 20
    second = shop.api.describe_export_tasks(MaxRecords=20, Marker=first["Marker"])
    assert len(second["ExportTasks"]) == 3
    assert "Marker" not in second
    paginator = shop.api.get_paginator("describe_export_tasks")
    pages = paginator.paginate(PaginationConfig={"PageSize": 20})
    everything = [task for page in pages for task in page["ExportTasks"]]
    assert len(everything) == 23
    for wrong in (
        {"MaxRecords": "19"},
        {"MaxRecords": "101"},
        {"MaxRecords": "x"},
        {"Marker": "x"},
    ):
        status, _, body = shop.rds.respond("DescribeExportTasks", Parameters(wrong))
        assert status == 400
        assert b"InvalidParameterValue" in body


# --- clusters, instances, snapshots


def test_cluster_snapshots_are_described(shop: World) -> None:
    automated = shop.rds.take_snapshot("shop-stg", at=AT)
    manual = shop.rds.take_snapshot("shop-stg", at=AT, automated=False)

    def found(**asked: Any) -> list[str]:
        snapshots = shop.api.describe_db_cluster_snapshots(**asked)["DBClusterSnapshots"]
        return [snapshot["DBClusterSnapshotIdentifier"] for snapshot in snapshots]

    assert found() == [automated, manual]
    assert found(SnapshotType="automated") == [automated]
    assert found(DBClusterIdentifier="shop-stg", SnapshotType="manual") == [manual]
    assert found(DBClusterIdentifier="shop") == []
    assert found(DBClusterSnapshotIdentifier=automated, SnapshotType="automated") == [automated]
    assert found(DBClusterSnapshotIdentifier=manual) == [manual]
    arn = shop.rds.snapshot_arn(automated)
    assert found(DBClusterSnapshotIdentifier=arn, SnapshotType="automated") == [automated]
    by_server = [{"Name": "db-cluster-id", "Values": ["shop-stg"]}]
    assert found(Filters=by_server) == [automated, manual]
    assert found(Filters=[{"Name": "snapshot-type", "Values": ["manual"]}]) == [manual]
    assert found(Filters=[{"Name": "engine", "Values": ["aurora-postgresql"]}]) == []
    (snapshot,) = shop.api.describe_db_cluster_snapshots(SnapshotType="automated")[
        "DBClusterSnapshots"
    ]
    expected = {
        "DBClusterSnapshotIdentifier": automated,
        "DBClusterIdentifier": "shop-stg",
        "DBClusterSnapshotArn": arn,
        "SnapshotCreateTime": AT.replace(microsecond=0),
        "SnapshotType": "automated",
        "Status": "available",
        "Engine": "aurora-mysql",
        "PercentProgress": 100,
        "TagList": [],
    }
    assert {name: snapshot[name] for name in expected} == expected


def test_an_automated_snapshot_is_found_by_its_type_only(shop: World) -> None:
    automated = shop.rds.take_snapshot("shop-stg", at=AT)
    for type_ in ({}, {"SnapshotType": "manual"}):
        with pytest.raises(ClientError) as told:
            shop.api.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=automated, **type_)
        assert told.value.response["Error"]["Code"] == "DBClusterSnapshotNotFoundFault"
        assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_instances_and_their_snapshots(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db"), kind="instance") as found:
        automated = found.rds.take_snapshot("shop-stg", at=AT)
        (snapshot,) = found.api.describe_db_snapshots(
            DBSnapshotIdentifier=automated, SnapshotType="automated"
        )["DBSnapshots"]
        assert snapshot["DBInstanceIdentifier"] == "shop-stg"
        assert snapshot["DBSnapshotArn"].endswith(f":snapshot:{automated}")
        assert snapshot["Engine"] == "mysql"
        with pytest.raises(ClientError) as told:
            found.api.describe_db_snapshots(DBSnapshotIdentifier=automated)
        assert told.value.response["Error"]["Code"] == "DBSnapshotNotFound"
        (instance,) = found.api.describe_db_instances(DBInstanceIdentifier="shop-stg")[
            "DBInstances"
        ]
        assert instance["DBInstanceStatus"] == "available"
        assert instance["Endpoint"]["Port"] == 3306
        assert found.api.describe_db_cluster_snapshots()["DBClusterSnapshots"] == []


def test_clusters_are_described(shop: World) -> None:
    (cluster,) = shop.api.describe_db_clusters(DBClusterIdentifier="shop-stg")["DBClusters"]
    assert cluster["DBClusterArn"] == f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:shop-stg"
    assert cluster["Engine"] == "aurora-mysql"
    assert cluster["Status"] == "available"
    assert shop.api.describe_db_clusters()["DBClusters"] == [cluster]


# --- the seam


def call(found: World, delegate: Any, **parameters: str) -> Any:
    body = urlencode(parameters).encode()
    return found.rds.handle("POST", "/", {}, body, {}, delegate)


async def emulator(*_: Any) -> Response:
    return 200, {}, b"emulator"


@pytest.mark.parametrize(
    "parameters",
    [
        {"Action": "CreateDBCluster", "DBClusterIdentifier": "shop-stg"},
        {"Action": "DescribeDBClusters", "DBClusterIdentifier": "someone-elses"},
        {"Action": "DescribeDBInstances"},
        {},
    ],
)
def test_what_it_does_not_own_goes_to_the_emulator(shop: World, parameters: dict[str, str]) -> None:
    assert asyncio.run(call(shop, emulator, **parameters)) == (200, {}, b"emulator")


def test_without_a_loop_it_answers_at_the_first_step(shop: World) -> None:
    """The emulated Step Functions service drives handlers by hand, and twice when they suspend."""
    snapshot = shop.rds.take_snapshot("shop-stg", at=AT)
    coroutine = call(
        shop,
        emulator,
        Action="StartExportTask",
        ExportTaskIdentifier="by-hand",
        SourceArn=shop.rds.snapshot_arn(snapshot),
        S3BucketName=BUCKET,
        # The spelling that it gives acronyms.
        IAMRoleArn="arn:aws:iam::111122223333:role/export",
        KMSKeyId=KEY,
    )
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value[0] == 200
    assert shop.rds.wait(30)
    assert [record.status for record in shop.rds.exports()] == ["COMPLETE"]


def test_parameters_of_the_query_string_count_too(shop: World) -> None:
    answer = asyncio.run(
        shop.rds.handle("GET", "/", {}, b"", {"Action": ["DescribeExportTasks"]}, emulator)
    )
    assert b"DescribeExportTasksResult" in answer[2]


def test_a_missing_parameter_is_named(shop: World) -> None:
    status, _, body = asyncio.run(call(shop, emulator, Action="CancelExportTask"))
    assert status == 400
    assert b"MissingParameter" in body
    assert b"ExportTaskIdentifier" in body


def test_what_is_said_wrongly_is_refused_at_once(shop: World, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other is not registered"):
        shop.rds.take_snapshot("other", at=AT)
    with pytest.raises(ValueError, match="needs a time zone"):
        shop.rds.take_snapshot("shop-stg", at=AT.replace(tzinfo=None))
    shop.rds.take_snapshot("shop-stg", at=AT)
    with pytest.raises(ValueError, match="exists already"):
        shop.rds.take_snapshot("shop-stg", at=AT)
    with pytest.raises(ValueError, match="engine='postgresql'"):
        shop.rds.register(
            "ledger",
            kind="cluster",
            engine="postgresql",
            databases={"x": database(tmp_path / "x.db")},
        )


def test_text_xml_cannot_write_is_replaced(shop: World) -> None:
    with pytest.raises(ClientError) as told:
        shop.start(S3BucketName="a<b>&\u0001c")
    assert "a<b>&" in told.value.response["Error"]["Message"]
