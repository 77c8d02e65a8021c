"""The loader before the local Aurora: TLS, login, and LOAD DATA FROM S3 as the function says it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pymysql
import pytest

from replication.database import Credentials, Database, Login, iam_token, secret, verified
from replication.flow import Flow
from replication.lines import line_writer
from replication.loading import Loaded, Loader, LoadFailed
from replication.objects import StoredObject
from replication.statements import s3_source
from shared.errors import FerryError
from tests.handlers.replication.kit import client_error, flow, record
from tests.handlers.replication.mysql_kit import QUICK
from tests.rehearsal.aws.aurora_kit import BUCKET, DATABASE, Stage, stage
from tests.rehearsal.aws.cloud_kit import REGION

ANOTHER_AUTHORITY = Path(__file__).parents[2] / "components" / "rds-ca.pem"
FLOW: Flow = flow(database=DATABASE)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("aurora")) as opened:
        yield opened


def password(text: str) -> Credentials:
    return lambda: Login("ferry", text)


def database(here: Stage, **changes: Any) -> Database:
    options: dict[str, Any] = {
        "host": here.aurora.endpoint,
        "port": here.aurora.port,
        "database": DATABASE,
        "credentials": password("hush"),
        "tls": verified(Path(here.aurora.ca_file).read_text()),
        **changes,
    }
    return Database(**options)


def stored(here: Stage, name: str, *records: bytes) -> StoredObject:
    write = line_writer(FLOW)
    lines = b"".join(map(write, records))
    key = f"loads/page-views/2026/11/20/03/{name}"
    here.put(key, lines)
    return StoredObject(
        bucket=BUCKET, key=key, version=name, size=len(lines), sequencer="", created=0.0
    )


def loader(database: Database) -> Loader:
    return Loader(FLOW, database, lambda each: s3_source(REGION, each.bucket, each.key), QUICK)


def test_an_object_goes_from_s3_to_its_rows(here: Stage) -> None:
    opened = database(here)
    item = {"page_id": "it's", "at": 1, "raw": "AP8=", "client": {"country": "DE"}}
    load = loader(opened)
    first = stored(here, "a b+c's", record(item, 1), record({"page_id": "b", "at": 1}, 2))
    assert load.load(first, lambda: 60.0) == Loaded(lines=2, upserts=2)
    second = stored(here, "second", record({"page_id": "b", "at": 1}, 3, "delete"))
    assert load.load(second, lambda: 60.0) == Loaded(lines=1, deletes=1)
    rows = here.sql("SELECT page_id, at, hits, country, raw FROM page_views")
    assert rows == (("it's", 1, None, "DE", b"\x00\xff"),)


def test_an_object_that_is_not_there_is_told(here: Stage) -> None:
    opened = database(here)
    gone = StoredObject(bucket=BUCKET, key="gone", version="", size=1, sequencer="", created=0.0)
    with pytest.raises(LoadFailed, match="database error 1815: Internal error: Unable to"):
        loader(opened).load(gone, lambda: 60.0)


def test_a_session_is_in_utc_and_leaves_no_locks_for_long(here: Stage) -> None:
    ((before,),) = here.sql("SELECT @@GLOBAL.time_zone")
    here.sql("SET GLOBAL time_zone = '+05:00'")
    try:
        opened = database(here)
        with opened.connection(60.0) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT @@time_zone, @@wait_timeout, @@autocommit")
            assert cursor.fetchone() == ("+00:00", 60, 1)
    finally:
        here.sql(f"SET GLOBAL time_zone = '{before}'")


def test_a_server_of_another_authority_is_not_talked_to(here: Stage) -> None:
    tls = verified(ANOTHER_AUTHORITY.read_text())
    assert tls.check_hostname
    with pytest.raises(pymysql.OperationalError, match="certificate verify failed"):
        database(here, tls=tls).connection(60.0).__enter__()


def test_a_wrong_password_is_told_and_not_shown(here: Stage) -> None:
    opened = database(here, credentials=password("a-wrong-password"))
    with pytest.raises(LoadFailed) as told:
        loader(opened).load(stored(here, "x", record({"page_id": "a", "at": 1})), lambda: 60.0)
    assert str(told.value).startswith("database error 1045: Access denied for user 'ferry'")
    assert "a-wrong-password" not in str(told.value)


def test_the_secret_is_read_for_every_connection(here: Stage) -> None:
    class Secrets:
        read = 0

        def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
            self.read += 1
            return {"SecretString": json.dumps({"username": "ferry", "password": "hush"})}

    secrets = Secrets()
    opened = database(here, credentials=secret(secrets, "arn:secret", "other"))
    for _ in range(2):
        with opened.connection(60.0) as connection:
            connection.ping(reconnect=False)
    assert secrets.read == 2


def test_a_token_of_iam_lets_in(here: Stage) -> None:
    keys: dict[str, Any] = here.person("loader", here.database_user("tokens"))
    client = boto3.Session(**keys).client("rds", region_name=REGION)
    token = iam_token(client, here.aurora.endpoint, here.aurora.port, "tokens", REGION)
    opened = database(here, credentials=token)
    with opened.connection(60.0) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT USER()")
        assert cursor.fetchone() == ("tokens@127.0.0.1",)


@pytest.mark.parametrize("text", ["no json", "[]", '{"username": "ferry"}', "null"])
def test_a_secret_that_is_none_is_told_and_not_shown(text: str) -> None:
    class Secrets:
        def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
            return {"SecretString": text}

    with pytest.raises(FerryError, match="arn:secret is not JSON with a password") as told:
        secret(Secrets(), "arn:secret", "ferry")()
    assert "no json" not in str(told.value)
    assert "hush" not in repr(Login("ferry", "hush"))


def test_a_secret_that_may_not_be_read_is_told() -> None:
    class Secrets:
        def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
            raise client_error("GetSecretValue", "AccessDeniedException")

    with pytest.raises(FerryError, match=r"arn:secret cannot be read: .*AccessDenied"):
        secret(Secrets(), "arn:secret", "ferry")()
