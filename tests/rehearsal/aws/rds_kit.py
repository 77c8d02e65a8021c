"""A local RDS over small SQLite files, with an emulated S3, talked to by boto3's own RDS client."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
from botocore.awsrequest import AWSResponse, HeadersDict
from moto import mock_aws
from moto.core.models import botocore_stubber

from rehearsal.aws.faults import Fault
from rehearsal.aws.mapping import Engine
from rehearsal.aws.parquet import PartLimits
from rehearsal.aws.rds import ExportRecord, LocalRds
from rehearsal.aws.rds_api import Response
from rehearsal.aws.rds_events import Kind
from rehearsal.aws.sources import Source

ACCOUNT = "111122223333"
REGION = "eu-west-1"
BUCKET = "shop-stg-rds-exports"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop-stg-export"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0b1c"
AT = datetime(2026, 11, 20, 3, 5, 12, tzinfo=timezone.utc)

SCRIPT = """
CREATE TABLE users (id INTEGER, name VARCHAR(40), balance DECIMAL(10,2));
INSERT INTO users VALUES (1, 'Ada', 1.5), (2, 'Zoë', NULL), (3, NULL, -0.01);
CREATE TABLE orders (id INTEGER, placed DATETIME);
INSERT INTO orders VALUES (1, '1969-07-20 20:17:40'), (2, NULL);
CREATE TABLE visits (id INTEGER);
"""


def database(path: Path, script: str = SCRIPT, engine: Engine = "mysql") -> Source:
    """A source with the script's tables."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)
    return Source.open(f"sqlite:///{path}", engine)


class StreamRaw:
    """The least of urllib3's response that AWSResponse needs."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        yield self._body


@dataclass
class World:
    """A local RDS, what it told, and clients of it and of its S3."""

    rds: LocalRds
    api: Any
    s3: Any
    events: list[dict[str, Any]]
    allowed: list[tuple[str, str, str, dict[str, str]]]
    progress: list[ExportRecord] = field(default_factory=list)

    def details(self) -> list[tuple[str, dict[str, Any]]]:
        """The events told so far: detail type and detail."""
        return [(event["DetailType"], json.loads(event["Detail"])) for event in self.events]

    def event_ids(self) -> list[str]:
        return [detail["EventID"] for _, detail in self.details()]

    def start(self, snapshot: str | None = None, **changes: Any) -> dict[str, Any]:
        """StartExportTask; of a new snapshot of shop-stg unless one is named."""
        name = snapshot or self.rds.take_snapshot("shop-stg", at=AT)
        asked: dict[str, Any] = {
            "ExportTaskIdentifier": "shop-stg-2026112003",
            "SourceArn": self.rds.snapshot_arn(name),
            "S3BucketName": BUCKET,
            "S3Prefix": "exports",
            "IamRoleArn": ROLE,
            "KmsKeyId": KEY,
            **changes,
        }
        answer: dict[str, Any] = self.api.start_export_task(
            **{name: value for name, value in asked.items() if value is not None}
        )
        return answer

    def export(self, **changes: Any) -> ExportRecord:
        """A whole export and how it ended."""
        self.start(**changes)
        assert self.rds.wait(30)
        return self.rds.exports()[-1]

    def objects(self) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [entry["Key"] for entry in found]

    def body(self, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def document(self, ending: str) -> Any:
        """The JSON file whose key ends so."""
        (key,) = [key for key in self.objects() if key.endswith(ending)]
        return json.loads(self.body(key))

    def rows(self, folder: str) -> list[dict[str, Any]]:
        """All rows below a folder."""
        parts = [key for key in self.objects() if folder in key and key.endswith(".parquet")]
        return [
            row for key in parts for row in pq.read_table(io.BytesIO(self.body(key))).to_pylist()
        ]


@contextmanager
def world(
    *sources: Source,
    kind: Kind = "cluster",
    fault: Fault | None = None,
    denied: tuple[str, ...] = (),
    limits: PartLimits | None = None,
    **options: Any,
) -> Iterator[World]:
    """A cluster or instance shop-stg whose databases are the sources."""
    events: list[dict[str, Any]] = []
    allowed: list[tuple[str, str, str, dict[str, str]]] = []
    progress: list[ExportRecord] = []

    def authorize(role: str, action: str, resource: str, context: dict[str, str]) -> None:
        if action in denied:
            raise PermissionError(f"{role} is not authorized to perform {action} on {resource}")
        allowed.append((role, action, resource, context))

    with mock_aws():
        s3 = client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        local = LocalRds(
            ACCOUNT,
            REGION,
            lambda: s3,
            events.extend,
            authorize,
            fault,
            on_progress=progress.append,
            limits=limits,
            **options,
        )
        local.register(
            "shop-stg",
            kind=kind,
            engine=sources[0].engine,
            databases={source.database: source for source in sources},
        )
        try:
            with answered_by(local) as api:
                yield World(local, api, s3, events, allowed, progress)
        finally:
            local.close()


@cache
def client(service: str, region: str = REGION) -> Any:
    """A boto3 client; reading the service's model takes longer than most tests."""
    untyped: Any = boto3.client
    return untyped(
        service,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@contextmanager
def answered_by(local: LocalRds) -> Iterator[Any]:
    """A boto3 client of RDS whose requests the local one answers, and not moto's."""

    async def nobody(*_: Any) -> Response:
        return 404, {}, b"<ErrorResponse><Error><Code>NotOurs</Code></Error></ErrorResponse>"

    def answer(request: Any, **_: Any) -> AWSResponse:
        body = request.body if isinstance(request.body, bytes) else request.body.encode()
        status, headers, content = asyncio.run(
            local.handle("POST", "/", dict(request.headers), body, {}, nobody)
        )
        sent: Any = HeadersDict({name.lower(): value for name, value in headers.items()})
        return AWSResponse(request.url, status, sent, StreamRaw(content))

    api = client("rds")
    api.meta.events.unregister("before-send", botocore_stubber)
    api.meta.events.register("before-send.rds", answer)
    try:
        yield api
    finally:
        api.meta.events.unregister("before-send.rds", answer)
