"""JSON documents and listings in the export bucket.

The function's role needs ``s3:ListBucket`` beside ``s3:GetObject``: without it S3 answers 403, not
404, for an object that is not there (AWS, "GetObject").
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Storage:
    """One bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    def read(self, key: str) -> dict[str, Any] | None:
        """Return a document, or None when there is none."""
        try:
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                return None
            raise
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise InvalidInput(f"s3://{self.bucket}/{key} is not a JSON object")
        return document

    def write(self, key: str, document: dict[str, Any]) -> None:
        """Store a document."""
        body = json.dumps(document, separators=(",", ":")).encode()
        self._client.put_object(
            Bucket=self.bucket, Key=key, Body=body, ContentType="application/json"
        )

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a prefix, a page at a time as they are asked for."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield item["Key"]
