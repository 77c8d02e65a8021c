"""Drivers of what brings events to functions: mappings, and buckets that tell EventBridge."""

from __future__ import annotations

import time
from typing import Any

from rehearsal.drivers.aws_shapes import Names, as_read, fields, properties, same_document, same_set
from rehearsal.drivers.registry import Clouds, Created, Driver, DriverError, Inputs, Outputs, driver
from rehearsal.drivers.wire import change_tags, or_none

_NO_MAPPING = "ResourceNotFoundException"
_SETTLED = {True: "Enabled", False: "Disabled"}
# An invocation that is under way is waited for, and may take as long as the function lets it.
_PATIENCE_SECONDS = 330

_OTHER = ("eventSourceArn", "startingPosition", "enabled", "filterCriteria", "tags")
_ALL: Names = {
    "batchSize": "BatchSize",
    "maximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds",
    "functionResponseTypes": "FunctionResponseTypes",
    "metricsConfig": ("MetricsConfig", {"metrics": "Metrics"}),
}
_OF_STREAMS: Names = {
    **_ALL,
    "bisectBatchOnFunctionError": "BisectBatchOnFunctionError",
    "destinationConfig": (
        "DestinationConfig",
        {"onFailure": ("OnFailure", {"destinationArn": "Destination"})},
    ),
    "maximumRecordAgeInSeconds": "MaximumRecordAgeInSeconds",
    "maximumRetryAttempts": "MaximumRetryAttempts",
    "parallelizationFactor": "ParallelizationFactor",
}
_OF_QUEUES: Names = {
    **_ALL,
    "scalingConfig": ("ScalingConfig", {"maximumConcurrency": "MaximumConcurrency"}),
}
_SHARED_DEFAULTS: dict[str, Any] = {
    "maximumBatchingWindowInSeconds": 0,
    "functionResponseTypes": [],
    "metricsConfig": {"metrics": []},
}
_STREAM_DEFAULTS: dict[str, Any] = {
    **_SHARED_DEFAULTS,
    "batchSize": 100,
    "bisectBatchOnFunctionError": False,
    "destinationConfig": {"onFailure": {}},
    "maximumRecordAgeInSeconds": -1,
    "maximumRetryAttempts": -1,
    "parallelizationFactor": 1,
}
_QUEUE_DEFAULTS: dict[str, Any] = {**_SHARED_DEFAULTS, "batchSize": 10, "scalingConfig": {}}


@driver
class EventSourceMapping(Driver):
    """What reads a DynamoDB stream or a queue for a function.

    The official provider waits for each change to be carried out, and so does this one. The results
    of a mapping's work are no outputs here: they change by themselves.
    """

    token = "aws:lambda/eventSourceMapping:EventSourceMapping"  # noqa: S105  # a type token
    required = "functionName"
    optional = " ".join((*_OTHER, *sorted({*_OF_STREAMS, *_OF_QUEUES}), "region"))
    replace_on = "eventSourceArn startingPosition region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the mapping and wait until it reads."""
        position = inputs.get("startingPosition")
        made = clouds.aws.client("lambda").create_event_source_mapping(
            EventSourceArn=inputs["eventSourceArn"],
            FunctionName=inputs["functionName"],
            Enabled=inputs.get("enabled", True),
            Tags=inputs.get("tags", {}),
            **({"StartingPosition": position} if position else {}),
            **_wire(inputs),
        )
        _wait(clouds, made["UUID"], inputs)
        return Created(made["UUID"], {**inputs, **_made(made)})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the mapping and its tags."""
        functions = clouds.aws.client("lambda")
        found = or_none(functions.get_event_source_mapping, _NO_MAPPING, UUID=identifier)
        if found is None:
            return None
        names, defaults = _kind(found["EventSourceArn"])
        seen: Outputs = {
            "eventSourceArn": found["EventSourceArn"],
            "functionName": _as_known(known.get("functionName"), found["FunctionArn"]),
            "enabled": found["State"] not in ("Disabled", "Disabling"),
            **properties({"startingPosition": "StartingPosition", **names}, found),
            "tags": functions.list_tags(Resource=found["EventSourceMappingArn"])["Tags"],
        }
        types = seen.get("functionResponseTypes", [])
        seen["functionResponseTypes"] = same_set(known.get("functionResponseTypes"), types)
        if "FilterCriteria" in found:
            seen["filterCriteria"] = _filters_seen(known, found["FilterCriteria"]["Filters"])
        told = (*names, *_OTHER, "functionName")
        shown = as_read(known, told, seen, {**defaults, "enabled": True, "tags": {}})
        return {**shown, **_made(found)}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set every setting, then the tags, and wait until the mapping reads with them."""
        functions = clouds.aws.client("lambda")
        changed = functions.update_event_source_mapping(
            UUID=identifier,
            FunctionName=inputs["functionName"],
            Enabled=inputs.get("enabled", True),
            **_wire(inputs),
        )
        arn = changed["EventSourceMappingArn"]
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: functions.untag_resource(Resource=arn, TagKeys=gone),
            lambda tags: functions.tag_resource(Resource=arn, Tags=tags),
        )
        _wait(clouds, identifier, inputs)
        return {**inputs, **_made(changed)}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the mapping and wait until it is gone."""
        functions = clouds.aws.client("lambda")
        or_none(functions.delete_event_source_mapping, _NO_MAPPING, UUID=identifier)
        _wait(clouds, identifier, None)


def _kind(source_arn: str) -> tuple[Names, dict[str, Any]]:
    """Return the settings of mappings of such a source, and their defaults."""
    if source_arn.split(":")[2] == "sqs":
        return _OF_QUEUES, _QUEUE_DEFAULTS
    return _OF_STREAMS, _STREAM_DEFAULTS


def _wire(inputs: Inputs) -> dict[str, Any]:
    """Return all settings as the API takes them, so that one that is left out is reset."""
    names, defaults = _kind(inputs["eventSourceArn"])
    foreign = sorted(({*_OF_STREAMS, *_OF_QUEUES} - names.keys()) & inputs.keys())
    if foreign:
        raise DriverError(f"not of such an event source: {', '.join(foreign)}")
    filters = (inputs.get("filterCriteria") or {}).get("filters") or []
    return {
        **fields(names, {**defaults, **inputs}),
        "FilterCriteria": {"Filters": [{"Pattern": each["pattern"]} for each in filters]},
    }


def _as_known(known: Any, arn: str) -> str:
    """Return a function's ARN as it is known: the program may name the function."""
    return str(known) if known in (arn, arn.split(":", 6)[6]) else arn


def _filters_seen(known: Inputs, filters: list[Inputs]) -> Outputs:
    before = [
        each.get("pattern") for each in (known.get("filterCriteria") or {}).get("filters", [])
    ]
    before += [None] * len(filters)
    return {
        "filters": [
            {"pattern": same_document(old, each["Pattern"])}
            for old, each in zip(before, filters, strict=False)
        ]
    }


def _made(mapping: Inputs) -> Outputs:
    return {
        "arn": mapping["EventSourceMappingArn"],
        "functionArn": mapping["FunctionArn"],
        "uuid": mapping["UUID"],
    }


def _wait(clouds: Clouds, identifier: str, inputs: Inputs | None) -> None:
    """Wait until a mapping is as *inputs* want it, or gone where there are none."""
    wanted = None if inputs is None else _SETTLED[inputs.get("enabled", True)]
    get = clouds.aws.client("lambda").get_event_source_mapping
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = or_none(get, _NO_MAPPING, UUID=identifier)
        state = found and found["State"]
        if state == wanted:
            return
        if time.monotonic() > deadline:
            raise DriverError(f"mapping {identifier} is still {state}")
        time.sleep(0.01)


_NO_BUCKET = ("NoSuchBucket",)
_EVENTBRIDGE = "EventBridgeConfiguration"


@driver
class BucketNotification(Driver):
    """That a bucket tells EventBridge of what happens in it; no other notifications."""

    token = "aws:s3/bucketNotification:BucketNotification"  # noqa: S105
    required = "bucket"
    optional = "eventbridge region"
    replace_on = "bucket region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Switch it on or off."""
        return Created(inputs["bucket"], self.update(clouds, inputs["bucket"], inputs, {}))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read whether it is on; every bucket has notifications, if none of anything."""
        get = clouds.aws.client("s3").get_bucket_notification_configuration
        answer = or_none(get, *_NO_BUCKET, Bucket=identifier)
        if answer is None:
            return None
        seen = {"bucket": identifier, "eventbridge": _EVENTBRIDGE in answer}
        return as_read(known, tuple(seen), seen, {"eventbridge": False})

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the whole configuration."""
        configuration: dict[str, Any] = {_EVENTBRIDGE: {}} if inputs.get("eventbridge") else {}
        clouds.aws.client("s3").put_bucket_notification_configuration(
            Bucket=identifier, NotificationConfiguration=configuration
        )
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Leave the bucket silent."""
        put = clouds.aws.client("s3").put_bucket_notification_configuration
        or_none(put, *_NO_BUCKET, Bucket=identifier, NotificationConfiguration={})
