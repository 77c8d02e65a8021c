"""One delivery stream: what it is, as DescribeDeliveryStream tells it, and its pipeline."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from rehearsal.aws.firehose_pipeline import Pipeline, Surroundings
from rehearsal.aws.firehose_settings import Description, Destination, updated
from rehearsal.aws.firehose_shapes import ApiError, invalid

DESTINATION_ID = "destinationId-000000000001"
"""The id of the one destination that a stream has."""

# What a destination of type S3, the deprecated one, has of an extended one.
_BASIC = (
    *("RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix", "BufferingHints"),
    *("CompressionFormat", "EncryptionConfiguration", "CloudWatchLoggingOptions"),
)


class DeliveryStream:
    """A delivery stream that producers put records into directly."""

    def __init__(
        self, name: str, arn: str, destination: Description, tags: dict[str, str], out: Surroundings
    ) -> None:
        self.name = name
        self.arn = arn
        self.tags = tags
        self.encryption: dict[str, str] = {"Status": "DISABLED"}
        self.version = 1
        self._created = time.time()
        self._updated: float | None = None
        self._destination = destination
        self._numbers = itertools.count()
        self._unique = uuid.uuid4().hex
        self._pipeline = Pipeline(name, arn, Destination.of(destination), 1, out)

    @property
    def is_encrypted(self) -> bool:
        """Tell whether records are encrypted while they wait."""
        return self.encryption["Status"] == "ENABLED"

    def describe(self) -> dict[str, Any]:
        """Return the DeliveryStreamDescription."""
        basic = {name: value for name, value in self._destination.items() if name in _BASIC}
        updated_at = {} if self._updated is None else {"LastUpdateTimestamp": self._updated}
        return {
            "DeliveryStreamName": self.name,
            "DeliveryStreamARN": self.arn,
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": "DirectPut",
            "DeliveryStreamEncryptionConfiguration": self.encryption,
            "VersionId": str(self.version),
            "CreateTimestamp": self._created,
            **updated_at,
            "Destinations": [
                {
                    "DestinationId": DESTINATION_ID,
                    "S3DestinationDescription": basic,
                    "ExtendedS3DestinationDescription": self._destination,
                }
            ],
            "HasMoreDestinations": False,
        }

    def merged(
        self, current_version: str, destination_id: str, update: Mapping[str, Any]
    ) -> Description:
        """Return the destination as an update would leave it."""
        if current_version != str(self.version):
            raise ApiError(
                "ConcurrentModificationException",
                f"Cannot update firehose: {self.name} since the current version id: {self.version} "
                f"and specified version id: {current_version} do not match",
            )
        if destination_id != DESTINATION_ID:
            raise invalid(f"Destination Id {destination_id} not found")
        return updated(self._destination, update)

    def change(self, destination: Description) -> None:
        """Deliver to *destination* from now on; the same one is no new version."""
        if destination == self._destination:
            return
        self.version += 1
        self._updated = time.time()
        self._destination = destination
        self._pipeline.reconfigure(Destination.of(destination), self.version)

    def put(self, records: Iterable[bytes]) -> list[str]:
        """Take records and return their ids."""
        taken = [(f"{self._unique}{next(self._numbers):020d}", data) for data in records]
        self._pipeline.put(taken)
        return [id for id, _ in taken]

    @property
    def pipeline(self) -> Pipeline:
        """Return what carries the records."""
        return self._pipeline
