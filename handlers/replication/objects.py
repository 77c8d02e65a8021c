"""An object that is to be loaded, as EventBridge tells of it by way of a queue.

Rules encoded (AWS, "EventBridge event message structure" of Amazon S3): a message's body is the
event; the key is as it is, not URL-encoded; `version-id` is there if the bucket keeps versions, and
the `etag` stands for the content otherwise; `time` is when the object was made.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object of S3."""

    bucket: str
    key: str
    version: str
    size: int
    sequencer: str
    created: float

    @classmethod
    def parse(cls, body: str) -> StoredObject:
        """Read a message's body."""
        try:
            event: dict[str, Any] = json.loads(body)
            told = event["detail"]["object"]
            return cls(
                bucket=event["detail"]["bucket"]["name"],
                key=told["key"],
                version=told.get("version-id") or told["etag"],
                size=int(told["size"]),
                sequencer=str(told.get("sequencer", "")),
                created=datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp(),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"the message is no Object Created event of S3 ({type(error).__name__}: {error})"
            ) from None

    @property
    def id(self) -> bytes:
        """Return what stands for this object and this content in the ledger."""
        return hashlib.sha256(json.dumps([self.bucket, self.key, self.version]).encode()).digest()

    @property
    def is_empty(self) -> bool:
        """Is there nothing to load? A key that ends in a slash is a folder of the console's."""
        return self.size == 0 or self.key.endswith("/")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
