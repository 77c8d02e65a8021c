"""The load function: messages in, failures reported, nothing of an item in the log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import URL

from replication import load
from replication.database_errors import may_pass, said, without_values
from replication.load import Services
from replication.loading import Loaded, LoadFailed
from replication.objects import StoredObject
from replication.statements import Statements, s3_source
from settings.replication_rules import MAX_TARGET_NAME
from tests.handlers.replication.kit import BUCKET, FLOW, Log, flow, metrics_in, record
from tests.handlers.replication.mysql_kit import Warehouse


def event_of(key: str, **changes: Any) -> dict[str, Any]:
    """An event as EventBridge sends it ("EventBridge event message structure")."""
    told = {
        "key": key,
        "size": 5,
        "etag": "b1946ac92492d2347c6235b4d2611184",
        "sequencer": "00617F08299329D189",
    }
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-20T03:00:00Z",
        "region": "eu-west-1",
        "resources": [f"arn:aws:s3:::{BUCKET}"],
        "detail": {
            "version": "0",
            "bucket": {"name": BUCKET},
            "object": {**told, **changes},
            "reason": "PutObject",
        },
    }


def batch(*bodies: Any) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": "handle",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "md5OfBody": "x",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:loads",
                "awsRegion": "eu-west-1",
            }
            for number, body in enumerate(bodies)
        ]
    }


class FakeLoader:
    """Loads by name: `bad` objects fail."""

    def __init__(self) -> None:
        self.seen: list[StoredObject] = []

    def load(self, stored: StoredObject, seconds_left: Any) -> Loaded:
        self.seen.append(stored)
        if "bad" in stored.key:
            raise LoadFailed("database error 1062: Duplicate entry ... for key 'PRIMARY'")
        if "odd" in stored.key:
            raise ZeroDivisionError("a secret")
        if "again" in stored.key:
            return Loaded(duplicate=True)
        return Loaded(lines=5, upserts=2, deletes=1)


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


def run(loader: Any, log: Log, *bodies: Any, left: float = 60.0) -> list[str]:
    services = Services(
        service="shop",
        flow="page-views",
        loader=loader,
        logger=log.logger,
        now=lambda: StoredObject.parse(json.dumps(event_of("x"))).created + 42.5,
    )
    answer = load.load(batch(*bodies), services, lambda: left)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


PREFIX = "loads/page-views/2026/11/20/03"


def test_each_object_is_loaded_and_counted(
    loader: FakeLoader, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not URL-encoded, as keys of S3's direct notifications would be.
    key = f"{PREFIX}/shop-1-2026-11-20-03-00-00-a b+c%20é"
    assert run(loader, log, event_of(key), event_of(f"{PREFIX}/again")) == []
    assert loader.seen[0] == StoredObject(
        bucket=BUCKET,
        key=key,
        version="b1946ac92492d2347c6235b4d2611184",
        size=5,
        sequencer="00617F08299329D189",
        created=1795143600.0,
    )
    assert metrics_in(capsys.readouterr().out) == {
        "LoadRows": 5,
        "LoadUpserts": 2,
        "LoadDeletes": 1,
        "LoadStale": 2,
        "LoadDuplicates": 1,
        "LoadFailures": 0,
        "LoadLag": 42.5,
        "flow": "page-views",
        "service": "shop",
    }


def test_only_what_failed_comes_again_and_the_log_says_why(loader: FakeLoader, log: Log) -> None:
    bodies = [
        *(event_of(f"{PREFIX}/bad"), event_of(f"{PREFIX}/good"), "no json"),
        *(event_of("loads/other-flow/x"), event_of(f"{PREFIX}/odd"), {"detail": {}}),
    ]
    assert run(loader, log, *bodies) == [
        *("message-0", "message-2", "message-3", "message-4", "message-5"),
    ]
    told = [
        (line["message_id"], line.get("object"), line["reason"])
        for line in log.lines
        if line["level"] == "ERROR"
    ]
    assert [(message, reason) for message, _, reason in told] == [
        ("message-0", "database error 1062: Duplicate entry ... for key 'PRIMARY'"),
        (
            "message-2",
            "the message is no Object Created event of S3 "
            "(JSONDecodeError: Expecting value: line 1 column 1 (char 0))",
        ),
        ("message-3", f"s3://{BUCKET}/loads/other-flow/x is not below loads/page-views/"),
        ("message-4", "ZeroDivisionError"),
        ("message-5", "the message is no Object Created event of S3 (KeyError: 'object')"),
    ]
    assert told[0][1] == f"s3://{BUCKET}/{PREFIX}/bad"
    assert "secret" not in log.text


def test_all_failing_is_a_batch_of_failures_not_an_error(loader: FakeLoader, log: Log) -> None:
    assert run(loader, log, event_of(f"{PREFIX}/bad")) == ["message-0"]


def test_folders_and_empty_objects_are_skipped(loader: FakeLoader, log: Log) -> None:
    assert run(loader, log, event_of(f"{PREFIX}/"), event_of(f"{PREFIX}/x", size=0)) == []
    assert loader.seen == []


def test_nothing_is_begun_when_no_time_is_left(loader: FakeLoader, log: Log) -> None:
    assert run(loader, log, event_of(f"{PREFIX}/good"), left=5.0) == ["message-0"]
    assert loader.seen == []


def test_an_object_is_known_by_its_content() -> None:
    def one(**changes: Any) -> StoredObject:
        return StoredObject.parse(json.dumps(event_of("x", **changes)))

    assert one().id == one(sequencer="ff").id
    assert one().id != one(etag="other").id
    assert one(**{"version-id": "v1"}).id == one(**{"version-id": "v1", "etag": "other"}).id


def test_messages_become_rows(mariadb: URL, tmp_path: Path, log: Log) -> None:
    made = Warehouse(mariadb, flow(), tmp_path)
    stored = made.put([record({"page_id": "a", "at": 1, "hits": 5}, 1)])
    body = event_of(stored.key, **{"version-id": stored.version, "size": stored.size})
    assert run(made.loader, log, body, body) == []
    assert [row["hits"] for row in made.rows()] == [5]
    ((bucket, key, version, target, lines),) = made.sql(
        "SELECT bucket, object, version, target, `lines` FROM ferry_objects"
    )
    assert (bucket, key, version) == (BUCKET, stored.key, stored.version)
    assert (target, lines) == ("page_views", 1)
    made.close()


def test_load_data_from_s3_is_to_the_letter() -> None:
    statements = Statements(flow(), "utf8mb4_0900_bin")
    source = s3_source("eu-west-1", BUCKET, f"{PREFIX}/shop-1-2026-11-20-03-00-00-uuid")
    assert statements.load(source) == (
        "LOAD DATA FROM S3 FILE 's3-eu-west-1://shop-replication/loads/page-views/2026/11/20/03/"
        "shop-1-2026-11-20-03-00-00-uuid' INTO TABLE `ferry_stage` CHARACTER SET utf8mb4 "
        "FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' "
        "(`ferry_op`, `ferry_sequence`, `page_id`, `at`, `hits`, `country`, @`raw`) "
        "SET `raw` = FROM_BASE64(@`raw`)"
    )
    assert (
        Statements(flow(columns=FLOW["columns"][:2]), "x")
        .load(source)
        .endswith("LINES TERMINATED BY '\\n' (`ferry_op`, `ferry_sequence`, `page_id`, `at`)")
    )
    assert s3_source("eu-west-1", BUCKET, "it's\\here") == (
        "FROM S3 FILE 's3-eu-west-1://shop-replication/it\\'s\\\\here'"
    )


def test_keys_are_binary_without_padding_in_every_table() -> None:
    statements = Statements(flow(), "utf8mb4_0900_bin")
    column = "`page_id` varchar(64) COLLATE utf8mb4_0900_bin NOT NULL"
    for statement in (
        statements.create_target(),
        statements.create_keys(),
        statements.create_stage(),
    ):
        assert column in statement
    assert statements.create_target() == (
        f"CREATE TABLE IF NOT EXISTS `page_views` ({column}, `at` bigint NOT NULL, "
        "`hits` int NULL, `country` varchar(2) NULL, `raw` varbinary(32) NULL, "
        "PRIMARY KEY (`page_id`, `at`)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4"
    )


def test_a_temporary_table_is_referred_to_once_in_a_statement() -> None:
    """MySQL refuses a second time; MariaDB would not tell."""
    statements = Statements(flow(), "utf8mb4_0900_bin")
    for text in (
        *(statements.choose(), statements.delete(), statements.upsert(), statements.remember()),
    ):
        for table in ("`ferry_stage`", "`ferry_chosen`"):
            assert len(re.findall(rf"\b(?:FROM|JOIN|INTO) {table}", text)) == 1


def test_nothing_in_a_transaction_commits_implicitly() -> None:
    """By the verb, against "Statements That Cause an Implicit Commit"."""
    statements = Statements(flow(), "utf8mb4_0900_bin")
    within = [statements.choose(), statements.delete(), statements.upsert(), statements.remember()]
    assert {text.split()[0] for text in within} == {"INSERT", "DELETE"}


def test_names_of_tables_fit_into_64_characters() -> None:
    assert Statements(flow(), "x").keys == "`ferry_keys_page_views`"
    longest = flow(table="t" * MAX_TARGET_NAME)
    assert len(Statements(longest, "x").keys.strip("`")) <= 64


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Incorrect integer value: 'it's a secret' for column 'hits' at row 1",
            "Incorrect integer value: ... for column 'hits' at row 1",
        ),
        (
            "Duplicate entry 'secret-1' for key 'PRIMARY'",
            "Duplicate entry ... for key 'PRIMARY'",
        ),
        ("Truncated incorrect DOUBLE value: 'secret'", "Truncated incorrect DOUBLE value: ..."),
        (
            'Incorrect string value: "secret\n" for column `a`.`b`.`c` at row 2',
            "Incorrect string value: ... for column `a`.`b`.`c` at row 2",
        ),
        ("Data too long for column 'raw' at row 1", "Data too long for column 'raw' at row 1"),
    ],
)
def test_values_do_not_leave_the_database_in_its_messages(text: str, told: str) -> None:
    assert without_values(text) == told
    assert said(pymysql.OperationalError(1366, text)) == f"database error 1366: {told}"


def test_what_may_pass_is_known_by_its_number() -> None:
    passing = [1040, 1205, 1213, 1290, 1815, 2003, 2006, 2013, 3161, 4031, 63985]
    assert all(may_pass(pymysql.OperationalError(code, "x")) for code in passing)
    assert may_pass(pymysql.InterfaceError(0, ""))
    lasting = [1044, 1045, 1049, 1062, 1064, 1142, 1264, 1366, 1406]
    assert not any(may_pass(pymysql.OperationalError(code, "x")) for code in lasting)
    # As PyMySQL reads the two bytes of Aurora's own numbers.
    assert may_pass(pymysql.InternalError(-1551, "x"))
    assert said(pymysql.InternalError(-1551, "x")) == "database error 63985: x"
    assert said(pymysql.InterfaceError()) == "database error 0: InterfaceError"
