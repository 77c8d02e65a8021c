"""From a record of a DynamoDB stream to a record of the delivery stream.

Rules encoded: a stream record has the new image only if the stream's view type says so (AWS,
"Change data capture for DynamoDB Streams"); a record of Firehose has at most 1,000 KiB before
base64 (AWS, "Amazon Data Firehose quota"). What an item had before is not looked at.

A SequenceNumber has 21 to 40 digits and orders the changes of an item within one stream (AWS,
"StreamRecord"). A table that was made again, or whose stream was switched off and on, has another
stream, whose numbers may begin lower. A stream's label is the time it was made (AWS,
"StreamDescription"); so a change's sequence is the 17 digits of the label and the number padded to
40: what a later stream tells is later.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replication.attributes import NotDynamoDB, json_of_item

MAX_RECORD = 1_024_000
MAX_NUMBER_DIGITS = 40
FIRST_SEQUENCE = "0"
"""The sequence of what no stream told of, such as a table's export: any change is later."""

# The label is to the millisecond; a finer one, as emulations have it, is cut.
_LABEL = re.compile(
    r"/stream/(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})\d*(?:Z|\+00:00)?$",
    re.ASCII,
)


class NotCarried(ValueError):
    """A change that cannot go this way; the text is the reason and holds no item's content."""


@dataclass(frozen=True)
class Change:
    """A change as it goes into the delivery stream."""

    number: str
    """The SequenceNumber, by which Lambda knows the record; the sequence is within `data`."""
    data: bytes


def change_of(record: Mapping[str, Any]) -> Change:
    """Return the change that a stream record tells of."""
    told = record["dynamodb"]
    number = str(told["SequenceNumber"])
    sequence = sequence_of(record)
    if record.get("eventName") == "REMOVE":
        return Change(number, encoded("delete", sequence, told.get("Keys") or {}))
    image = told.get("NewImage")
    if not image:
        view = told.get("StreamViewType", "unknown")
        raise NotCarried(f"no NewImage: the stream's view type is {view}")
    return Change(number, encoded("upsert", sequence, image))


def sequence_of(record: Mapping[str, Any]) -> str:
    """Return where a stream record stands among all changes of its item: 57 digits."""
    number = str(record["dynamodb"]["SequenceNumber"])
    found = _LABEL.search(str(record.get("eventSourceARN")))
    if not found:
        raise NotCarried("its eventSourceARN does not end in the label of a stream")
    if not re.fullmatch(rf"[0-9]{{1,{MAX_NUMBER_DIGITS}}}", number):
        raise NotCarried(f"its SequenceNumber is not of 1 to {MAX_NUMBER_DIGITS} digits")
    return "".join(found.groups()) + number.zfill(MAX_NUMBER_DIGITS)


def table_of(record: Mapping[str, Any]) -> str | None:
    """Return the name of the table whose stream the record is of."""
    _, _, rest = str(record.get("eventSourceARN")).partition(":table/")
    return rest.partition("/")[0] or None


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
