"""The destination of a delivery stream: what may be asked for, its defaults, and how it is updated.

Sources: ExtendedS3DestinationConfiguration, ExtendedS3DestinationUpdate, ProcessorParameter and
UpdateDestination in the Amazon Data Firehose API reference; "Transform source data" in its
developer guide for the hints of the transformation. The service answers with all five parameters of
a Lambda processor, whichever were given. What is not rehearsed (other destinations, format
conversion, dynamic partitioning, Snappy, other processors) is refused, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rehearsal.aws.firehose_prefix import check_prefixes
from rehearsal.aws.firehose_shapes import ApiError, invalid

MEBIBYTE = 1024 * 1024

Description = dict[str, Any]

_DEFAULTS: Description = {
    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
    "CompressionFormat": "UNCOMPRESSED",
    "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
    "CloudWatchLoggingOptions": {"Enabled": False},
}
_PLAIN = (
    *("RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix", "CompressionFormat"),
    *("EncryptionConfiguration", "FileExtension", "CustomTimeZone", "S3BackupMode"),
)
_MERGED = ("BufferingHints", "CloudWatchLoggingOptions")
_OTHERS = (
    *("ProcessingConfiguration", "S3BackupConfiguration", "S3BackupUpdate"),
    *("DataFormatConversionConfiguration", "DynamicPartitioningConfiguration"),
)
_COMPRESSIONS = ("UNCOMPRESSED", "GZIP", "ZIP")
_LEAST_BACKUP_SECONDS = 60

_LAMBDA_ARN = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]{1,64}(:[\w$-]{1,128})?"
)


@dataclass(frozen=True)
class Transformation:
    """The Lambda function that transforms records, and the buffer before it.

    `size` is in bytes, `interval` in seconds; `retries` are invocations after the first.
    """

    function: str
    role: str
    retries: int
    size: float
    interval: float


@dataclass(frozen=True)
class Destination:
    """A bucket and how records come into it; `size` in bytes, `interval` in seconds."""

    role: str
    bucket: str
    prefix: str
    error_prefix: str
    size: float
    interval: float
    compression: str
    extension: str | None
    key: str | None
    zone: tzinfo
    log: tuple[str, str] | None
    transformation: Transformation | None = None
    backup: Destination | None = None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Destination:
        """Return the destination that a description tells of."""
        hints, logging = described["BufferingHints"], described["CloudWatchLoggingOptions"]
        encryption = described["EncryptionConfiguration"].get("KMSEncryptionConfig")
        backs_up = described.get("S3BackupMode") == "Enabled"
        return cls(
            role=described["RoleARN"],
            bucket=described["BucketARN"].removeprefix("arn:aws:s3:::"),
            prefix=described.get("Prefix", ""),
            error_prefix=described.get("ErrorOutputPrefix", ""),
            size=hints["SizeInMBs"] * MEBIBYTE,
            interval=hints["IntervalInSeconds"],
            compression=described["CompressionFormat"],
            extension=described.get("FileExtension") or None,
            key=encryption["AWSKMSKeyARN"] if encryption else None,
            zone=_zone(described.get("CustomTimeZone", "")),
            log=(logging["LogGroupName"], logging["LogStreamName"]) if logging["Enabled"] else None,
            transformation=_transformation(described.get("ProcessingConfiguration")),
            backup=cls.of(described["S3BackupDescription"]) if backs_up else None,
        )


def described(configuration: Mapping[str, Any]) -> Description:
    """Return the description of a new destination."""
    return updated({**_DEFAULTS, "S3BackupMode": "Disabled"}, configuration)


def updated(known: Mapping[str, Any], update: Mapping[str, Any]) -> Description:
    """Return the description *known* with *update* merged into it.

    What the update does not name stays, inside of buffering hints and logging options as well.
    """
    if known.get("S3BackupMode") == "Enabled" and update.get("S3BackupMode") == "Disabled":
        raise invalid("Disabling S3 backup is not currently supported.")
    _check_known(update)
    merged = {**known, **{name: update[name] for name in _PLAIN if update.get(name) is not None}}
    for name in _MERGED:
        if update.get(name) is not None:
            merged[name] = {**merged[name], **update[name]}
    if update.get("ProcessingConfiguration") is not None:
        merged["ProcessingConfiguration"] = _processing(
            known.get("ProcessingConfiguration"),
            update["ProcessingConfiguration"],
            merged["RoleARN"],
        )
    backup = update.get("S3BackupConfiguration") or update.get("S3BackupUpdate")
    if backup is not None:
        merged["S3BackupDescription"] = _backup(known.get("S3BackupDescription"), backup)
    _check(merged)
    return merged


def roles(described: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ARNs of the roles that a destination gives to Firehose."""
    destination = Destination.of(described)
    yield destination.role
    if destination.transformation:
        yield destination.transformation.role
    if destination.backup:
        yield destination.backup.role


# --- checks -------------------------------------------------------------------------------------


def _check_known(update: Mapping[str, Any]) -> None:
    for name in ("DataFormatConversionConfiguration", "DynamicPartitioningConfiguration"):
        if (update.get(name) or {}).get("Enabled"):
            raise _not_rehearsed(name)
    unknown = sorted(set(update) - {*_PLAIN, *_MERGED, *_OTHERS})
    if unknown:
        raise _not_rehearsed(unknown[0])


def _not_rehearsed(what: str) -> ApiError:
    return invalid(f"{what}: the local Firehose does not know it")


def _check(merged: Mapping[str, Any]) -> None:
    if not (merged.get("RoleARN") and merged.get("BucketARN")):
        raise invalid("An S3 destination requires RoleARN and BucketARN")
    logging = merged["CloudWatchLoggingOptions"]
    if logging.get("Enabled") and not (
        logging.get("LogGroupName") and logging.get("LogStreamName")
    ):
        raise invalid("LogGroupName and LogStreamName are required when logging is enabled")
    if len([value for value in merged["EncryptionConfiguration"].values() if value]) != 1:
        raise invalid("Exactly one of NoEncryptionConfig and KMSEncryptionConfig must be specified")
    if merged["CompressionFormat"] not in _COMPRESSIONS:
        raise _not_rehearsed(f"CompressionFormat {merged['CompressionFormat']}")
    if merged.get("S3BackupMode") == "Enabled" and "S3BackupDescription" not in merged:
        raise invalid("S3BackupConfiguration is required when S3BackupMode is Enabled")
    check_prefixes(merged.get("Prefix", ""), merged.get("ErrorOutputPrefix", ""))
    _zone(merged.get("CustomTimeZone", ""))


def _backup(known: Mapping[str, Any] | None, update: Mapping[str, Any]) -> Description:
    backup = updated(known or _DEFAULTS, update)
    if backup["BufferingHints"]["IntervalInSeconds"] < _LEAST_BACKUP_SECONDS:
        raise invalid("S3 backup buffering interval must be between 60 and 900 seconds.")
    return backup


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC"):
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise invalid(f"CustomTimeZone {name} is not known") from None


# --- processing ---------------------------------------------------------------------------------


def _processing(
    known: Mapping[str, Any] | None, given: Mapping[str, Any], role: str
) -> dict[str, Any]:
    """Return the processing configuration as the service answers with it."""
    enabled = given.get("Enabled", (known or {}).get("Enabled", False))
    processors = given.get("Processors") or []
    if enabled and not 1 <= len(processors) <= 5:
        raise invalid(
            "A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is "
            "enabled."
        )
    for processor in processors:
        if processor["Type"] != "Lambda":
            raise _not_rehearsed(f"the processor {processor['Type']}")
    if len(processors) > 1:
        raise invalid("Cannot have more than 1 Lambda processor.")
    return {
        "Enabled": enabled,
        "Processors": [
            {"Type": "Lambda", "Parameters": _parameters(each.get("Parameters") or [], role)}
            for each in processors
        ],
    }


def _parameters(given: list[Mapping[str, str]], role: str) -> list[dict[str, str]]:
    """Return all parameters of a Lambda processor."""
    values = {each["ParameterName"]: each["ParameterValue"] for each in given}
    if "LambdaArn" not in values:
        raise invalid("LambdaArn is required when Lambda processor is used.")
    if not _LAMBDA_ARN.fullmatch(values["LambdaArn"]):
        raise invalid(f"LambdaArn {values['LambdaArn']} is not the ARN of a Lambda function.")
    if ("BufferSizeInMBs" in values) != ("BufferIntervalInSeconds" in values):
        raise invalid(
            "Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering "
            "for lambda processor."
        )
    defaults = {
        "LambdaArn": "",
        "NumberOfRetries": "3",
        "RoleArn": role,
        "BufferSizeInMBs": "1",
        "BufferIntervalInSeconds": "60",
    }
    for name in values.keys() - defaults.keys():
        raise _not_rehearsed(f"the parameter {name} of a Lambda processor")
    filled = {**defaults, **values}
    _check_between(filled, "NumberOfRetries", int, 0, 300, "Number of retries for lambda")
    _check_between(filled, "BufferSizeInMBs", float, 0.2, 3, "BufferSizeInMBs for lambda processor")
    _check_between(
        filled,
        "BufferIntervalInSeconds",
        int,
        *(0, 900, "BufferIntervalInSeconds for lambda processor"),
    )
    return [{"ParameterName": name, "ParameterValue": value} for name, value in filled.items()]


def _check_between(
    values: Mapping[str, str],
    name: str,
    kind: Callable[[str], float],
    least: float,
    most: float,
    what: str,
) -> None:
    try:
        fits = least <= kind(values[name]) <= most
    except ValueError:
        fits = False
    if not fits:
        raise invalid(f"{what} must be between {least} and {most}.")


def _transformation(processing: Mapping[str, Any] | None) -> Transformation | None:
    if not processing or not processing["Enabled"]:
        return None
    (processor,) = processing["Processors"]
    values = {each["ParameterName"]: each["ParameterValue"] for each in processor["Parameters"]}
    return Transformation(
        function=values["LambdaArn"],
        role=values["RoleArn"],
        retries=int(values["NumberOfRetries"]),
        size=float(values["BufferSizeInMBs"]) * MEBIBYTE,
        interval=float(values["BufferIntervalInSeconds"]),
    )
