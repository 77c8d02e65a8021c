"""The S3 side of a transfer: which objects a ``data_path`` means, and fetching them.

Wildcards: https://cloud.google.com/bigquery/docs/s3-transfer-intro#wildcard-support
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_CHUNK_BYTES = 1 << 20
_MOST_FILES_ONE_WILDCARD = 10_000_000
_MOST_FILES_SEVERAL_WILDCARDS = 10_000
_URI = re.compile(r"s3://(?P<bucket>[^/{}*?]+)(?:/(?P<key>.*))?", re.DOTALL)


class SourceError(Exception):
    """The objects cannot be listed or read."""


@dataclass(frozen=True)
class S3Object:
    """An object that is to be loaded."""

    bucket: str
    key: str
    size: int
    modified: datetime

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class DataPath:
    """A resolved ``data_path``."""

    bucket: str
    pattern: str

    @classmethod
    def parse(cls, uri: str) -> DataPath:
        """Take *uri* apart; ValueError tells what is wrong with it."""
        match = _URI.fullmatch(uri)
        if match is None:
            raise ValueError(
                f"{uri!r} is not an S3 URI such as s3://bucket/prefix/*.parquet (no wildcard or "
                "parameter in the bucket's name)"
            )
        return cls(match["bucket"], match["key"] or "*")

    @property
    def prefix(self) -> str:
        """What S3 is asked to list: everything before the first wildcard."""
        return self.pattern.partition("*")[0]

    @property
    def most_files(self) -> int:
        """How many files one run may load."""
        several = self.pattern.count("*") > 1
        return _MOST_FILES_SEVERAL_WILDCARDS if several else _MOST_FILES_ONE_WILDCARD

    def matches(self, key: str) -> bool:
        """Whether *key* is meant: one ``*`` spans folders, each of several stops at ``/``."""
        star = "[^/]*" if self.pattern.count("*") > 1 else ".*"
        expression = star.join(re.escape(part) for part in self.pattern.split("*"))
        return re.fullmatch(expression, key, re.DOTALL) is not None


class Buckets:
    """S3 at *endpoint*, with one client per key pair."""

    def __init__(self, endpoint: str, region: str) -> None:
        self._endpoint = endpoint
        self._region = region
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _client(self, key_id: str, secret: str) -> Any:
        with self._lock:
            client = self._clients.get((key_id, secret))
            if client is None:
                client = boto3.session.Session().client(
                    "s3",
                    endpoint_url=self._endpoint,
                    region_name=self._region,
                    aws_access_key_id=key_id,
                    aws_secret_access_key=secret,
                    config=Config(
                        s3={"addressing_style": "path"},
                        retries={"total_max_attempts": 3},
                        connect_timeout=10,
                        read_timeout=60,
                    ),
                )
                self._clients[key_id, secret] = client
            return client

    def list(self, path: DataPath, key_id: str, secret: str) -> tuple[Sequence[S3Object], int]:
        """The objects *path* means, and how many there are below its prefix.

        The bucket's location is asked for first, as the service does
        (https://cloud.google.com/bigquery/docs/transfer-troubleshooting#amazon_s3_transfer_issues).
        """
        client = self._client(key_id, secret)
        try:
            client.get_bucket_location(Bucket=path.bucket)
            listed = list(_listed(client, path))
        except (ClientError, BotoCoreError) as error:
            raise SourceError(_explained(error, f"s3://{path.bucket}/{path.prefix}")) from error
        found = [o for o in listed if path.matches(o.key) and not o.key.endswith("/")]
        return sorted(found, key=lambda o: o.key), len(listed)

    def fetch(self, source: S3Object, target: Path, key_id: str, secret: str) -> None:
        """Copy one object to *target*, a piece at a time."""
        client = self._client(key_id, secret)
        try:
            body = client.get_object(Bucket=source.bucket, Key=source.key)["Body"]
            with body, target.open("wb") as file:
                for chunk in body.iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)
        except (ClientError, BotoCoreError) as error:
            raise SourceError(_explained(error, source.uri)) from error


def _listed(client: Any, path: DataPath) -> Iterator[S3Object]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=path.bucket, Prefix=path.prefix)
    for page in pages:
        for entry in page.get("Contents", ()):
            yield S3Object(path.bucket, entry["Key"], entry["Size"], entry["LastModified"])


def _explained(error: Exception, where: str) -> str:
    response: Mapping[str, Any] = getattr(error, "response", {})
    code = response.get("Error", {}).get("Code", type(error).__name__)
    told = response.get("Error", {}).get("Message", str(error))
    hints = {
        "AccessDenied": "the key pair needs s3:ListBucket and s3:GetBucketLocation on the bucket "
        "and s3:GetObject on its objects (and kms:Decrypt on their key)",
        "InvalidAccessKeyId": "AWS does not know the access key id; was the key rotated?",
        "SignatureDoesNotMatch": "the secret access key does not belong to the access key id",
        "NoSuchBucket": "there is no such bucket",
    }
    hint = hints.get(str(code))
    return f"Amazon S3 refused {where}: {code}: {told}" + (f" ({hint})" if hint else "")
