"""Whole exports of the local RDS: data, manifest, events, faults, failures."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.aws import manifest, reader
from rehearsal.aws.export_task import ExportTask
from rehearsal.aws.faults import Fault
from rehearsal.aws.parquet import PartLimits, TableWriter
from rehearsal.aws.rds_events import Kind
from tests.rehearsal.aws.rds_kit import (
    ACCOUNT,
    AT,
    BUCKET,
    KEY,
    REGION,
    ROLE,
    World,
    database,
    world,
)

ROOT = "exports/shop-stg-2026112003"


def one(found: World) -> dict[str, Any]:
    (task,) = found.api.describe_export_tasks()["ExportTasks"]
    result: dict[str, Any] = task
    return result


def test_a_mysql_export(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        record = found.export(ExportOnly=["shop.orders", "shop.users", "shop.visits"])
        assert (record.status, record.failure, record.source) == ("COMPLETE", None, "shop-stg")
        assert [(table.name, table.rows, table.files) for table in record.tables] == [
            ("shop.orders", 2, 1),
            ("shop.users", 3, 1),
            ("shop.visits", 0, 0),
        ]
        assert all(table.bytes > 0 for table in record.tables[:2])
        assert found.rows("/shop/shop.users/1/") == [
            {"id": 1, "name": "Ada", "balance": Decimal("1.50")},
            {"id": 2, "name": "Zoë", "balance": None},
            {"id": 3, "name": None, "balance": Decimal("-0.01")},
        ]
        assert found.rows("/shop/shop.orders/")[0]["placed"] == datetime(
            1969, 7, 20, 20, 17, 40, tzinfo=timezone.utc
        )
        assert {key for key in found.objects() if not key.endswith(".parquet")} == {
            f"{ROOT}/export_info_shop-stg-2026112003.json",
            f"{ROOT}/export_tables_info_shop-stg-2026112003_from_1_to_3.json",
            *(f"{ROOT}/shop/shop.{name}/1/_SUCCESS" for name in ("orders", "users", "visits")),
        }


def test_a_postgresql_export(tmp_path: Path) -> None:
    source = database(tmp_path / "ledger.db", engine="postgresql")
    with world(source, kind="instance") as found:
        record = found.export(ExportOnly=["ledger.public.users"])
        assert [table.name for table in record.tables] == ["ledger.public.users"]
        assert found.rows("/ledger/public.users/1/")[0] == {
            "id": 1,
            "name": "Ada",
            "balance": "1.50",
        }
        (entry,) = found.document("_from_1_to_1.json")["perTableStatus"]
        assert entry["target"] == "ledger.public.users"


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (None, ["shop.orders", "shop.users", "shop.visits"]),
        (["shop"], ["shop.orders", "shop.users", "shop.visits"]),
        (["shop.users"], ["shop.users"]),
        # A declared table that is not there is simply not exported, and its namesake's prefix
        # selects nothing.
        (["shop.users", "shop.nowhere", "shop.order"], ["shop.users"]),
    ],
)
def test_what_export_only_selects(tmp_path: Path, only: list[str] | None, names: list[str]) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        assert [table.name for table in found.export(ExportOnly=only).tables] == names


def test_export_only_may_name_a_postgresql_schema(tmp_path: Path) -> None:
    with world(database(tmp_path / "ledger.db", engine="postgresql")) as found:
        assert len(found.export(ExportOnly=["ledger.public"]).tables) == 3


def test_several_databases(tmp_path: Path) -> None:
    shop = database(tmp_path / "shop.db")
    books = database(tmp_path / "books.db", "CREATE TABLE users (id INTEGER)")
    with world(shop, books) as found:
        record = found.export(ExportOnly=["books", "shop.users"])
        assert [table.name for table in record.tables] == ["shop.users", "books.users"]
        assert f"{ROOT}/books/books.users/1/_SUCCESS" in found.objects()


def test_nothing_to_export_fails(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        record = found.export(ExportOnly=["shop.nowhere"])
        assert record.status == "FAILED"
        assert "shop.nowhere" in str(record.failure)
        task = one(found)
        assert (task["Status"], task["FailureCause"]) == ("FAILED", record.failure)
        assert found.objects() == []
        assert found.event_ids()[-1] == "RDS-EVENT-0162"


def test_the_task_as_the_api_tells_it(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        started = found.start()
        assert started["Status"] in ("STARTING", "IN_PROGRESS", "COMPLETE")
        assert found.rds.wait(30)
        task = one(found)
        times = {name: task.pop(name) for name in ("TaskStartTime", "TaskEndTime")}
        assert times["TaskStartTime"] <= times["TaskEndTime"]
        assert task == {
            "ExportTaskIdentifier": "shop-stg-2026112003",
            "SourceArn": found.rds.snapshot_arn("rds:shop-stg-2026-11-20-03-05"),
            "SnapshotTime": AT,
            "S3Bucket": BUCKET,
            "S3Prefix": "exports",
            "IamRoleArn": ROLE,
            "KmsKeyId": KEY,
            "Status": "COMPLETE",
            "PercentProgress": 100,
            "TotalExtractedDataInGB": 0,
            "SourceType": "SNAPSHOT",
        }


def test_the_manifest(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        found.export(ExportOnly=["shop.users", "shop.visits"])
        info = found.document("export_info_shop-stg-2026112003.json")
        assert {name: info[name] for name in ("status", "percentProgress", "exportOnly")} == {
            "status": "COMPLETE",
            "percentProgress": 100,
            "exportOnly": ["shop.users", "shop.visits"],
        }
        assert info["exportedFilesPath"] == ROOT
        assert info["totalExportedDataInGB"] > 0
        users, visits = found.document("_from_1_to_2.json")["perTableStatus"]
        assert (users["target"], users["status"]) == ("shop.users", "COMPLETE")
        assert users["sizeGB"] > 0 == visits["sizeGB"]
        assert "warningMessage" not in users
        assert users["schemaMetadata"]["originalTypeMappings"][1:] == [
            {
                "columnName": "name",
                "originalType": "varchar",
                "expectedExportedType": "binary (UTF8)",
                "originalCharMaxLength": 40,
                "originalNumPrecision": 0,
                "originalDateTimePrecision": 0,
            },
            {
                "columnName": "balance",
                "originalType": "decimal",
                "expectedExportedType": "int64 (DECIMAL(10,2))",
                "originalCharMaxLength": 0,
                "originalNumPrecision": 10,
                "originalDateTimePrecision": 0,
            },
        ]


def test_many_tables_take_several_manifest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "TABLES_PER_FILE", 2)
    with world(database(tmp_path / "shop.db")) as found:
        found.export()
        assert [key for key in found.objects() if "tables_info" in key] == [
            f"{ROOT}/export_tables_info_shop-stg-2026112003_from_1_to_2.json",
            f"{ROOT}/export_tables_info_shop-stg-2026112003_from_3_to_3.json",
        ]


def test_paths_replace_what_exports_replace(tmp_path: Path) -> None:
    script = 'CREATE TABLE "a b`c\\d" (id INTEGER)'
    with world(database(tmp_path / "shop.db", script)) as found:
        record = found.export()
        assert record.tables[0].name == "shop.a b`c\\d"
        assert f"{ROOT}/shop/shop.a_b_c_d/1/_SUCCESS" in found.objects()


@pytest.mark.parametrize(("prefix", "root"), [(None, ""), ("a/b", "a/b/"), ("a/", "a//")])
def test_the_root_is_prefix_and_identifier(tmp_path: Path, prefix: str | None, root: str) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        found.export(S3Prefix=prefix)
        assert all(key.startswith(f"{root}shop-stg-2026112003/") for key in found.objects())


def test_a_large_table_is_written_in_parts(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE t (n INTEGER); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 "
        "FROM c LIMIT 9000) INSERT INTO t SELECT n FROM c;"
    )
    limits = PartLimits(rows=1000, parts_per_batch=2)
    with world(database(tmp_path / "shop.db", script), limits=limits) as found:
        (table,) = found.export().tables
        assert table.rows == 9000
        assert table.files > 2
        batches = {key.split("/")[-2] for key in found.objects() if key.endswith("_SUCCESS")}
        assert len(batches) == -(-table.files // 2)
        assert sorted(row["n"] for row in found.rows("shop.t")) == list(range(1, 9001))


# --- tables that are left out


def test_tables_rds_cannot_export_are_skipped_with_a_warning(tmp_path: Path) -> None:
    script = 'CREATE TABLE bad (id INTEGER, "my col" TEXT); CREATE TABLE good (id INTEGER);'
    with world(database(tmp_path / "shop.db", script)) as found:
        record = found.export()
        bad, good = record.tables
        assert (record.status, bad.status, good.status) == ("COMPLETE", "SKIPPED", "COMPLETE")
        assert "'my col'" in str(bad.warning)
        assert json.loads(one(found)["WarningMessage"]) == {
            "skippedTables": [{"tableName": "shop.bad", "reason": bad.warning}],
            "skippedObjectives": [],
            "general": [],
        }
        entries = found.document("_from_1_to_2.json")["perTableStatus"]
        assert [(e["target"], e["status"]) for e in entries] == [
            ("shop.bad", "SKIPPED"),
            ("shop.good", "COMPLETE"),
        ]
        assert entries[0]["warningMessage"] == bad.warning
        assert not any("shop.bad" in key for key in found.objects())


def test_a_value_that_does_not_fit_fails_its_table_only(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE bad (n INTEGER); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 "
        "FROM c LIMIT 3000) INSERT INTO bad SELECT n FROM c; INSERT INTO bad VALUES ('many');"
        "CREATE TABLE good (id INTEGER);"
    )
    limits = PartLimits(rows=500)
    with world(database(tmp_path / "shop.db", script), limits=limits) as found:
        bad, good = found.export().tables
        assert (bad.status, bad.rows, bad.files, good.status) == ("FAILED", 0, 0, "COMPLETE")
        assert "table shop.bad: column n is bigint but holds text" in str(bad.warning)
        # What had been written of it before is gone.
        assert not any("shop.bad" in key for key in found.objects())
        (detail,) = [d for _, d in found.details() if d["EventID"] == "RDS-EVENT-0489"]
        assert detail["EventCategories"] == ["failure"]
        assert "shop.bad" in detail["Message"]


def test_zero_dates_are_noted(tmp_path: Path) -> None:
    script = "CREATE TABLE t (at DATETIME); INSERT INTO t VALUES ('0000-00-00 00:00:00');"
    with world(database(tmp_path / "shop.db", script)) as found:
        (table,) = found.export().tables
        assert table.status == "COMPLETE"
        assert "became NULL" in table.notes[0]


def test_a_huge_value_fails_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "HUGE_VALUE_BYTES", 1000)
    script = "CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(600)), (zeroblob(600));"
    with world(database(tmp_path / "shop.db", script)) as found:
        assert found.export().status == "COMPLETE"
    script += "INSERT INTO t VALUES (zeroblob(1000));"
    with world(database(tmp_path / "more.db", script)) as found:
        record = found.export()
        assert record.status == "FAILED"
        assert "column b holds a value of 1,000 bytes" in str(record.failure)


# --- events


@pytest.mark.parametrize(
    ("kind", "automated", "ids", "category"),
    [
        ("cluster", True, ["RDS-EVENT-0168", "RDS-EVENT-0169"], "backup"),
        ("cluster", False, ["RDS-EVENT-0074", "RDS-EVENT-0075"], "backup"),
        ("instance", True, ["RDS-EVENT-0090", "RDS-EVENT-0091"], "creation"),
        ("instance", False, ["RDS-EVENT-0040", "RDS-EVENT-0042"], "creation"),
    ],
)
def test_snapshot_events(
    tmp_path: Path, kind: Kind, automated: bool, ids: list[str], category: str
) -> None:
    with world(database(tmp_path / "shop.db"), kind=kind) as found:
        name = found.rds.take_snapshot("shop-stg", at=AT, automated=automated)
        assert name == ("rds:" if automated else "") + "shop-stg-2026-11-20-03-05"
        assert found.event_ids() == ids
        noun = "cluster-snapshot" if kind == "cluster" else "snapshot"
        arn = f"arn:aws:rds:{REGION}:{ACCOUNT}:{noun}:{name}"
        for entry, (_, detail) in zip(found.events, found.details(), strict=True):
            assert entry["Source"] == "aws.rds"
            assert entry["Resources"] == [arn]
            assert entry["DetailType"] == (
                "RDS DB Cluster Snapshot Event" if kind == "cluster" else "RDS DB Snapshot Event"
            )
            assert detail["SourceArn"] == arn
            assert detail["SourceIdentifier"] == name
            assert detail["SourceType"] == ("CLUSTER_SNAPSHOT" if kind == "cluster" else "SNAPSHOT")
            assert detail["EventCategories"] == [category]
            assert detail["Date"] == "2026-11-20T03:05:12.000Z"


@pytest.mark.parametrize(
    ("kind", "fault", "event"),
    [
        ("cluster", None, "RDS-EVENT-0164"),
        ("cluster", Fault("export-failed"), "RDS-EVENT-0162"),
        ("instance", None, "RDS-EVENT-0161"),
        ("instance", Fault("export-failed"), "RDS-EVENT-0159"),
    ],
)
def test_export_events(tmp_path: Path, kind: Kind, fault: Fault | None, event: str) -> None:
    with world(database(tmp_path / "shop.db"), kind=kind, fault=fault) as found:
        found.export()
        assert found.event_ids()[-1] == event
        assert found.details()[-1][1]["EventCategories"] == ["notification"]


def test_a_cluster_can_be_exported_without_a_snapshot(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        found.export(SourceArn=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:shop-stg")
        assert one(found)["SourceType"] == "CLUSTER"
        assert "SnapshotTime" not in one(found)
        detail_type, detail = found.details()[-1]
        assert (detail_type, detail["EventID"]) == ("RDS DB Cluster Event", "RDS-EVENT-0236")


# --- canceling


def test_a_running_export_can_be_canceled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()
    finish = TableWriter.finish

    def held(writer: Any) -> None:
        reached.set()
        assert go_on.wait(30)
        finish(writer)

    monkeypatch.setattr(TableWriter, "finish", held)
    with world(database(tmp_path / "shop.db")) as found:
        found.start()
        assert reached.wait(30)
        canceled = found.api.cancel_export_task(ExportTaskIdentifier="shop-stg-2026112003")
        assert canceled["Status"] == "CANCELING"
        go_on.set()
        assert found.rds.wait(30)
        assert one(found)["Status"] == "CANCELED"
        assert found.event_ids()[-1] == "RDS-EVENT-0163"
        assert not any(key.endswith(".json") for key in found.objects())
        with pytest.raises(ClientError, match="InvalidExportTaskStateFault"):
            found.api.cancel_export_task(ExportTaskIdentifier="shop-stg-2026112003")


# --- faults


def test_fault_export_failed(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db"), fault=Fault("export-failed")) as found:
        assert found.export().status == "FAILED"
        assert found.export(
            ExportTaskIdentifier="shop-stg-2026112004", snapshot=last(found)
        ).failure
        assert not any(key.endswith(".json") for key in found.objects())


def last(found: World) -> str:
    (snapshot,) = found.api.describe_db_cluster_snapshots()["DBClusterSnapshots"]
    name: str = snapshot["DBClusterSnapshotIdentifier"]
    return name


def test_fault_export_failed_once(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db"), fault=Fault("export-failed-once")) as found:
        assert found.export().status == "FAILED"
        again = found.export(ExportTaskIdentifier="shop-stg-2026112004", snapshot=last(found))
        assert again.status == "COMPLETE"


@pytest.mark.parametrize(("table", "gone"), [(None, "shop.orders"), ("shop.users", "shop.users")])
def test_fault_table_missing(tmp_path: Path, table: str | None, gone: str) -> None:
    with world(database(tmp_path / "shop.db"), fault=Fault("table-missing", table)) as found:
        record = found.export()
        assert record.status == "COMPLETE"
        assert record.warning is None
        assert len(record.tables) == 2
        assert gone not in {table.name for table in record.tables}
        assert not any(f"/{gone}/" in key for key in found.objects())
        targets = {e["target"] for e in found.document("_from_1_to_2.json")["perTableStatus"]}
        assert gone not in targets


@pytest.mark.parametrize(
    ("table", "skipped"), [(None, "shop.orders"), ("shop.users", "shop.users")]
)
def test_fault_table_skipped(tmp_path: Path, table: str | None, skipped: str) -> None:
    with world(database(tmp_path / "shop.db"), fault=Fault("table-skipped", table)) as found:
        record = found.export()
        assert record.status == "COMPLETE"
        assert skipped in str(record.warning)
        entries = found.document("_from_1_to_3.json")["perTableStatus"]
        (entry,) = [entry for entry in entries if entry["status"] != "COMPLETE"]
        assert entry["target"] == skipped
        assert entry["warningMessage"]


def test_fault_export_limit(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db"), fault=Fault("export-limit")) as found:
        snapshot = found.rds.take_snapshot("shop-stg", at=AT)
        for _ in range(2):
            with pytest.raises(ClientError) as told:
                found.start(snapshot)
            assert told.value.response["Error"] == {
                "Type": "Sender",
                "Code": "ExportTaskLimitReachedFault",
                "Message": "You have reached the limit of 5 concurrent export tasks",
            }
        assert found.export(snapshot=snapshot).status == "COMPLETE"


# --- what goes wrong while writing


def test_a_source_that_vanishes_fails_the_export(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with world(database(path)) as found:
        path.unlink()
        record = found.export()
        assert record.status == "FAILED"
        assert f"there is no file {path}" in str(record.failure)


def test_a_bucket_that_vanishes_fails_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        begin = ExportTask.begin

        def without_bucket(task: Any) -> None:
            found.s3.delete_bucket(Bucket=BUCKET)
            begin(task)

        monkeypatch.setattr(ExportTask, "begin", without_bucket)
        record = found.export()
        assert record.status == "FAILED"
        assert "NoSuchBucket" in str(record.failure)


def test_permission_is_tried_once_per_table(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        found.export()
        puts = [resource for _, action, resource, _ in found.allowed if action == "s3:PutObject"]
        assert puts == [
            f"arn:aws:s3:::{BUCKET}/{ROOT}/{key}"
            for key in (
                "export_info_shop-stg-2026112003.json",
                "shop/shop.orders/1/_SUCCESS",
                "shop/shop.users/1/_SUCCESS",
                "shop/shop.visits/1/_SUCCESS",
                "export_info_shop-stg-2026112003.json",
            )
        ]
        assert {role for role, *_ in found.allowed} == {ROLE}


def test_progress_is_told(tmp_path: Path) -> None:
    with world(database(tmp_path / "shop.db")) as found:
        found.export()
        statuses = [record.status for record in found.progress]
        assert statuses[0] == "STARTING"
        assert statuses[-1] == "COMPLETE"
        assert "IN_PROGRESS" in statuses
        rows = [sum(table.rows for table in record.tables) for record in found.progress]
        assert rows == sorted(rows)
        assert rows[-1] == 5
        assert found.progress[-1].tables[0].expected_rows == 2
