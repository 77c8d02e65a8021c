"""What Lambda refuses in an event source mapping, in its words, and what it fills in.

Sources: CreateEventSourceMapping API reference (limits), Lambda developer guide, "Lambda parameters
for Amazon DynamoDB event source mappings" and the same for Amazon SQS, "Permissions" of both. The
words of the permission, visibility, conflict and window errors are as users report them; those
about parameters of another kind of source are inferred. The reference wants a batching window
wherever BatchSize is over 10, but of streams, whose default is 100 without one, it is not asked
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.aws.event_sources import destinations
from rehearsal.aws.event_sources.filters import InvalidPattern, compile_filters

STREAM_ACTIONS = (
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:DescribeStream",
    "dynamodb:ListStreams",
)
QUEUE_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

REPORT = "ReportBatchItemFailures"
EVENT_COUNT = "EventCount"

Settings = dict[str, Any]
Authorize = Callable[[str, str, str], None]

_SHARED = {
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "FilterCriteria",
    "FunctionResponseTypes",
    "MetricsConfig",
}
_OF_STREAMS: Settings = {
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 0,
    "ParallelizationFactor": 1,
    "DestinationConfig": {"OnFailure": {}},
    "MaximumRecordAgeInSeconds": -1,
    "BisectBatchOnFunctionError": False,
    "MaximumRetryAttempts": -1,
    "TumblingWindowInSeconds": 0,
    "FunctionResponseTypes": [],
}
_OF_QUEUES: Settings = {
    "BatchSize": 10,
    "MaximumBatchingWindowInSeconds": 0,
    "FunctionResponseTypes": [],
}
_ONLY_STREAMS = {*_OF_STREAMS} - _SHARED | {"StartingPosition"}
_ONLY_QUEUES = {"ScalingConfig"}
SETTINGS = _SHARED | _ONLY_STREAMS | _ONLY_QUEUES
"""The parameters that say how a mapping works."""

# What makes a mapping, beside its settings.
_OTHER = {"EventSourceArn", "FunctionName", "Enabled", "Tags", "UUID"}

_RANGES = {
    "BatchSize": (1, 10_000),
    "MaximumBatchingWindowInSeconds": (0, 300),
    "ParallelizationFactor": (1, 10),
    "MaximumRecordAgeInSeconds": (-1, 604_800),
    "MaximumRetryAttempts": (-1, 10_000),
}


class Refusal(Exception):
    """A request that Lambda refuses."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> Refusal:
    """Return the refusal of a parameter."""
    return Refusal("InvalidParameterValueException", message)


def constraint(value: Any, member: str, rule: str) -> Refusal:
    """Return the refusal of a value that breaks a constraint of the API's model."""
    name = member[0].lower() + member[1:]
    return Refusal(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
        f"Member must {rule}",
    )


def is_stream(source_arn: str) -> bool:
    """Say whether a source is a DynamoDB stream, and not a queue."""
    return source_arn.split(":")[2:3] == ["dynamodb"]


def settings(request: Mapping[str, Any], before: Settings | None, eventbridge: Any) -> Settings:
    """Return the settings after a request: those *before* it, or the defaults, and its own.

    *eventbridge* is ministack's module, which knows patterns.
    """
    source = (before or request).get("EventSourceArn")
    if not source:
        raise invalid("Unrecognized event source.")
    stream = is_stream(source)
    if not stream and source.split(":")[2:3] != ["sqs"]:
        raise invalid(f"Unrecognized event source, the rehearsal has none such: {source}")
    own = {key: value for key, value in request.items() if value is not None}
    _check_names(own, stream)
    defaults = _OF_STREAMS if stream else _OF_QUEUES
    after = {**defaults, **(before or {}), **{key: own[key] for key in own if key not in _OTHER}}
    _check_values(after)
    if stream:
        _check_stream(after, source)
    else:
        _check_queue(after, source)
    try:
        compile_filters(after.get("FilterCriteria"), eventbridge)
    except InvalidPattern as error:
        raise invalid(str(error)) from error
    return {key: value for key, value in after.items() if not _is_empty(key, value)}


def _is_empty(key: str, value: Any) -> bool:
    """Say whether a setting is taken away by what it is set to."""
    inner = {
        "FilterCriteria": "Filters",
        "MetricsConfig": "Metrics",
        "ScalingConfig": "MaximumConcurrency",
    }
    return key in inner and not value.get(inner[key])


def _check_names(own: Mapping[str, Any], stream: bool) -> None:
    for name in own:
        if name in (_ONLY_QUEUES if stream else _ONLY_STREAMS):
            raise invalid(f"Unsupported {name} parameter for given event source mapping type.")
        if name not in SETTINGS | _OTHER:
            raise invalid(f"The rehearsal does not know the parameter {name}.")


def _check_values(after: Settings) -> None:
    for name, (low, high) in _RANGES.items():
        value = after.get(name, low)
        if value < low:
            raise constraint(value, name, f"have value greater than or equal to {low}")
        if value > high:
            raise constraint(value, name, f"have value less than or equal to {high}")
    for kind in after["FunctionResponseTypes"]:
        if kind != REPORT:
            raise constraint(kind, "FunctionResponseTypes", f"satisfy enum value set: [{REPORT}]")
    for metrics in (after.get("MetricsConfig") or {}).get("Metrics", ()):
        if metrics != EVENT_COUNT:
            raise invalid(f"The rehearsal knows no metrics {metrics} of mappings.")


def _check_stream(after: Settings, source: str) -> None:
    position = after.get("StartingPosition")
    if position is None:
        raise invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null."
        )
    if position == "AT_TIMESTAMP":
        raise invalid(f"Unsupported starting position for arn type: {source}")
    if position not in ("LATEST", "TRIM_HORIZON"):
        values = "[LATEST, AT_TIMESTAMP, TRIM_HORIZON]"
        raise constraint(position, "StartingPosition", f"satisfy enum value set: {values}")
    if 0 <= after["MaximumRecordAgeInSeconds"] < 60:
        raise invalid("Maximum record age in seconds must be -1 or at least 60.")
    if after["TumblingWindowInSeconds"]:
        raise invalid("The rehearsal knows no tumbling windows.")
    if "OnSuccess" in after["DestinationConfig"]:
        raise invalid(
            "Unsupported DestinationConfig parameter for given event source mapping type."
        )
    try:
        if destination_of(after):
            destinations.needed(destination_of(after))
    except ValueError as error:
        raise invalid(str(error)) from error


def _check_queue(after: Settings, source: str) -> None:
    size, window = after["BatchSize"], after["MaximumBatchingWindowInSeconds"]
    if source.endswith(".fifo") and size > 10:
        raise invalid("For FIFO queues the maximum batch size is 10.")
    if source.endswith(".fifo") and window:
        raise invalid("Maximum batch window in seconds is not supported for FIFO queues.")
    if size > 10 and not window:
        raise invalid(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10"
        )
    concurrency = after.get("ScalingConfig", {}).get("MaximumConcurrency")
    if concurrency is not None and not 2 <= concurrency <= 1000:
        rule = "greater than or equal to 2" if concurrency < 2 else "less than or equal to 1000"
        raise constraint(concurrency, "scalingConfig.maximumConcurrency", f"have value {rule}")


def destination_of(mapping: Mapping[str, Any]) -> str:
    """Return the ARN of the on-failure destination, "" where there is none."""
    on_failure = (mapping.get("DestinationConfig") or {}).get("OnFailure") or {}
    return str(on_failure.get("Destination") or "")


def check_visibility(queue_seconds: int, function_seconds: int) -> None:
    """Refuse a queue whose messages come back while the function works on them."""
    if queue_seconds < function_seconds:
        raise invalid(
            f"Queue visibility timeout: {queue_seconds} seconds is less than Function timeout: "
            f"{function_seconds} seconds"
        )


def check_role(role: str, mapping: Mapping[str, Any], authorize: Authorize) -> None:
    """Refuse a function whose *role* may not read the source or send to the destination."""
    source = mapping["EventSourceArn"]
    if is_stream(source):
        try:
            check_reading(role, source, authorize)
        except PermissionError as error:
            raise invalid(
                f"Cannot access stream {source}. Please ensure the role can perform the "
                "GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your "
                "stream in IAM."
            ) from error
    else:
        _check_each(role, dict.fromkeys(QUEUE_ACTIONS, source), authorize, "function")
    if destination_of(mapping):
        _check_each(role, destinations.needed(destination_of(mapping)), authorize, "provided")


def _check_each(role: str, needed: Mapping[str, str], authorize: Authorize, whose: str) -> None:
    for action, resource in needed.items():
        try:
            authorize(role, action, resource)
        except PermissionError as error:
            service, _, name = action.partition(":")
            raise invalid(
                f"The {whose} execution role does not have permissions to call {name} on "
                f"{service.upper()}"
            ) from error


def check_reading(role: str, stream_arn: str, authorize: Authorize) -> None:
    """Return when a role may read a stream; PermissionError when not."""
    for action in STREAM_ACTIONS:
        authorize(role, action, stream_arn)
