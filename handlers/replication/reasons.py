"""Where records go that could not be transformed: with their reason, ready to be sent again.

One object per invocation, `processing-failed/<flow>/reasons/YYYY/MM/DD/HH/<invocation>.jsonl`, a
JSON object per line: `recordId`, `sequence`, `reason`, and `rawData`, the record in base64 as
Firehose had it. An invocation that is repeated may write another object, as in another hour, with
the same records: sending both again is harmless, for each change has its sequence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

_NOT_FOR_KEYS = re.compile(r"[^A-Za-z0-9_-]")


class Bucket(Protocol):
    """The part of the client that is used."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> Any:
        """Store an object."""


@dataclass(frozen=True)
class Poison:
    """A record that could not be transformed."""

    record_id: str
    sequence: str | None
    reason: str
    raw_data: str


@dataclass(frozen=True)
class Reasons:
    """The bucket's folder for one flow."""

    client: Bucket
    bucket: str
    flow: str

    def store(self, invocation: str, poison: Sequence[Poison], now: datetime | None = None) -> str:
        """Store the reasons of an invocation; return the key they are at."""
        hour = (now or datetime.now(timezone.utc)).strftime("%Y/%m/%d/%H")
        name = _NOT_FOR_KEYS.sub("-", invocation)
        key = f"processing-failed/{self.flow}/reasons/{hour}/{name}.jsonl"
        body = "".join(f"{_line(each)}\n" for each in poison).encode()
        self.client.put_object(
            Bucket=self.bucket, Key=key, Body=body, ContentType="application/x-ndjson"
        )
        return key


def _line(poison: Poison) -> str:
    return json.dumps(
        {
            "recordId": poison.record_id,
            "sequence": poison.sequence,
            "reason": poison.reason,
            "rawData": poison.raw_data,
        },
        separators=(",", ":"),
    )
