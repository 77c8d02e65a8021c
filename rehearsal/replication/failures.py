"""What the route refused: the records it left below ``processing-failed/``, with their reasons."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

FAILED = "processing-failed"
DISCARDED = "aws/lambda"


@dataclass
class Refused:
    """The refused changes: how many for each reason, and the notes that their items have."""

    reasons: Counter[str] = field(default_factory=Counter)
    notes: set[str] = field(default_factory=set)


def read(s3: Any, bucket: str, flow: str) -> Refused:
    """Read everything that was kept of *flow*, each change once however often it came."""
    seen: dict[tuple[str, str], str] = {}
    refused = Refused()
    for line in _lines(s3, bucket, f"{FAILED}/{flow}/"):
        record = json.loads(line)
        change = json.loads(base64.b64decode(record["rawData"]))
        item = change["item"]
        reason = str(record.get("reason") or record.get("errorMessage"))
        seen[change["sequence"], json.dumps(item, sort_keys=True)] = reason
        if isinstance(item.get("note"), str):
            refused.notes.add(item["note"])
    refused.reasons.update(seen.values())
    return refused


def discarded(s3: Any, bucket: str) -> list[str]:
    """Return the objects that Lambda kept of batches it gave up on."""
    return list(_keys(s3, bucket, f"{DISCARDED}/"))


def _lines(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for key in _keys(s3, bucket, prefix):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        if key.endswith(".gz"):
            body = gzip.decompress(body)
        yield from body.decode().splitlines()


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (found["Key"] for found in page.get("Contents", []))
