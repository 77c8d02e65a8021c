"""From a record of a DynamoDB stream to a record of the delivery stream.

Rules encoded: a stream record has the new image only if the stream's view type says so (AWS,
"Change data capture for DynamoDB Streams"); a record of Firehose has at most 1,000 KiB before
base64 (AWS, "Amazon Data Firehose quota"). What an item had before is not looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replication.attributes import NotDynamoDB, json_of_item

MAX_RECORD = 1_024_000
FIRST_SEQUENCE = "0"
"""The sequence of what no stream told of, such as a table's export: any change is later."""


class NotCarried(ValueError):
    """A change that cannot go this way; the text is the reason and holds no item's content."""


@dataclass(frozen=True)
class Change:
    """A change as it goes into the delivery stream."""

    sequence: str
    data: bytes


def change_of(record: Mapping[str, Any]) -> Change:
    """Return the change that a stream record tells of."""
    told = record["dynamodb"]
    sequence = str(told["SequenceNumber"])
    if record.get("eventName") == "REMOVE":
        return Change(sequence, encoded("delete", sequence, told.get("Keys") or {}))
    image = told.get("NewImage")
    if not image:
        view = told.get("StreamViewType", "unknown")
        raise NotCarried(f"no NewImage: the stream's view type is {view}")
    return Change(sequence, encoded("upsert", sequence, image))


def encoded(operation: str, sequence: str, item: Mapping[str, Any]) -> bytes:
    """Return a record of the delivery stream."""
    try:
        text = f'{{"op":"{operation}","sequence":"{sequence}","item":{json_of_item(item)}}}'
        data = text.encode()
    except (NotDynamoDB, UnicodeEncodeError) as error:
        raise NotCarried(f"not an item of DynamoDB: {type(error).__name__}") from None
    if len(data) > MAX_RECORD:
        raise NotCarried(f"{len(data):,} bytes; Firehose takes {MAX_RECORD:,}")
    return data


def key_hash(record: Mapping[str, Any]) -> str:
    """Return what tells records of one item from those of others, and nothing about it."""
    keys = json.dumps(record["dynamodb"].get("Keys"), sort_keys=True)
    return hashlib.sha256(keys.encode()).hexdigest()[:16]
