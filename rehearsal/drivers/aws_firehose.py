"""Driver of Amazon Data Firehose delivery streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rehearsal.drivers.aws_shapes import Names, as_read, fields, properties
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    Outputs,
    driver,
)
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, known_tags, or_none

_GONE = "ResourceNotFoundException"

_LOGGING: Names = {
    "enabled": "Enabled",
    "logGroupName": "LogGroupName",
    "logStreamName": "LogStreamName",
}
_DESTINATION: Names = {
    "roleArn": "RoleARN",
    "bucketArn": "BucketARN",
    "prefix": "Prefix",
    "errorOutputPrefix": "ErrorOutputPrefix",
    "compressionFormat": "CompressionFormat",
    "cloudwatchLoggingOptions": ("CloudWatchLoggingOptions", _LOGGING),
}
_HINTS: Names = {"bufferingSize": "SizeInMBs", "bufferingInterval": "IntervalInSeconds"}
_OTHERS = {"kmsKeyArn", "processingConfiguration"}

_NO_PROCESSING: dict[str, Any] = {"enabled": False, "processors": []}
_DEFAULTS: dict[str, Any] = {
    "prefix": "",
    "errorOutputPrefix": "",
    "compressionFormat": "UNCOMPRESSED",
    "cloudwatchLoggingOptions": {"enabled": False},
    "bufferingSize": 5,
    "bufferingInterval": 300,
    "processingConfiguration": _NO_PROCESSING,
}
_ENCRYPTION_DEFAULTS = {"enabled": False, "keyType": "AWS_OWNED_CMK"}
_STREAM_DEFAULTS: dict[str, Any] = {"serverSideEncryption": _ENCRYPTION_DEFAULTS}


@driver
class FirehoseDeliveryStream(Driver):
    """A delivery stream to S3 that producers put records into.

    As with the official provider, an update needs the `versionId` that was read last, and
    parameters of processors at their defaults are not read; one that the program gives all the
    same is kept here, where the official one would show a change of it for ever. What is left out
    goes back to its default, logging as well, which the official provider leaves as it was.
    """

    token = "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream"  # noqa: S105
    required = "name destination extendedS3Configuration"
    optional = "serverSideEncryption tags region"
    replace_on = "name destination region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the stream, then encrypt it."""
        if inputs["destination"] != "extended_s3":
            raise DriverError(f"destination {inputs['destination']}: only extended_s3 is known")
        firehose = clouds.aws.client("firehose")
        tags = aws_tags(inputs.get("tags", {}))
        arn = firehose.create_delivery_stream(
            DeliveryStreamName=inputs["name"],
            DeliveryStreamType="DirectPut",
            ExtendedS3DestinationConfiguration=_wire(inputs["extendedS3Configuration"]),
            **({"Tags": tags} if tags else {}),
        )["DeliveryStreamARN"]
        if _is_encrypted(inputs):
            self._encrypt(firehose, inputs)
        return Created(arn, {**inputs, **_told(_describe(firehose, inputs["name"]))})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the stream and its tags."""
        firehose = clouds.aws.client("firehose")
        name = identifier.rpartition("/")[2]
        stream = _describe(firehose, name)
        if stream is None:
            return None
        destination = stream["Destinations"][0]["ExtendedS3DestinationDescription"]
        seen = {
            "name": name,
            "destination": "extended_s3",
            "extendedS3Configuration": _seen(
                known.get("extendedS3Configuration") or {}, destination
            ),
            "serverSideEncryption": _encryption_seen(stream),
        }
        tags = firehose.list_tags_for_delivery_stream(DeliveryStreamName=name)["Tags"]
        outputs = as_read(known, (*seen, "tags"), seen, _STREAM_DEFAULTS)
        return {**outputs, **known_tags(known, from_aws_tags(tags)), **_told(stream)}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Update the destination, the encryption and the tags, each where it is another one."""
        firehose = clouds.aws.client("firehose")
        name = inputs["name"]
        if inputs["extendedS3Configuration"] != known.get("extendedS3Configuration"):
            firehose.update_destination(
                DeliveryStreamName=name,
                CurrentDeliveryStreamVersionId=known["versionId"],
                DestinationId=known["destinationId"],
                ExtendedS3DestinationUpdate=_wire(inputs["extendedS3Configuration"]),
            )
        if _is_encrypted(inputs):
            self._encrypt(firehose, inputs)
        elif _is_encrypted(known):
            firehose.stop_delivery_stream_encryption(DeliveryStreamName=name)
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: firehose.untag_delivery_stream(DeliveryStreamName=name, TagKeys=gone),
            lambda tags: firehose.tag_delivery_stream(DeliveryStreamName=name, Tags=aws_tags(tags)),
        )
        return {**inputs, **_told(_describe(firehose, name))}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the stream, with what it has not delivered."""
        firehose = clouds.aws.client("firehose")
        name = identifier.rpartition("/")[2]
        or_none(firehose.delete_delivery_stream, _GONE, DeliveryStreamName=name)

    @staticmethod
    def _encrypt(firehose: Any, inputs: Inputs) -> None:
        names: Names = {"keyType": "KeyType", "keyArn": "KeyARN"}
        firehose.start_delivery_stream_encryption(
            DeliveryStreamName=inputs["name"],
            DeliveryStreamEncryptionConfigurationInput=fields(
                names, {**_ENCRYPTION_DEFAULTS, **inputs["serverSideEncryption"]}
            ),
        )


def _describe(firehose: Any, name: str) -> Any:
    answer = or_none(firehose.describe_delivery_stream, _GONE, DeliveryStreamName=name)
    return answer and answer["DeliveryStreamDescription"]


def _told(stream: Mapping[str, Any]) -> Outputs:
    """Return what the cloud decides."""
    return {
        "arn": stream["DeliveryStreamARN"],
        "destinationId": stream["Destinations"][0]["DestinationId"],
        "versionId": stream["VersionId"],
    }


def _is_encrypted(inputs: Inputs) -> bool:
    return bool((inputs.get("serverSideEncryption") or {}).get("enabled"))


def _encryption_seen(stream: Mapping[str, Any]) -> Outputs:
    encryption = stream["DeliveryStreamEncryptionConfiguration"]
    if encryption["Status"] != "ENABLED":
        return dict(_ENCRYPTION_DEFAULTS)
    return {"enabled": True, **properties({"keyType": "KeyType", "keyArn": "KeyARN"}, encryption)}


# --- the destination ----------------------------------------------------------------------------


def _wire(configuration: Inputs) -> dict[str, Any]:
    """Return a destination as the API takes it, with the defaults of what was left out."""
    unknown = sorted(configuration.keys() - _DESTINATION.keys() - _HINTS.keys() - _OTHERS)
    if unknown:
        raise DriverError(f"extendedS3Configuration: the driver does not know {', '.join(unknown)}")
    given = {**_DEFAULTS, **{k: v for k, v in configuration.items() if v is not None}}
    key = given.get("kmsKeyArn")
    return {
        **fields(_DESTINATION, given),
        "BufferingHints": fields(_HINTS, given),
        "EncryptionConfiguration": (
            {"KMSEncryptionConfig": {"AWSKMSKeyARN": key}}
            if key
            else {"NoEncryptionConfig": "NoEncryption"}
        ),
        "ProcessingConfiguration": {
            "Enabled": bool(given["processingConfiguration"].get("enabled")),
            "Processors": [
                {
                    "Type": processor["type"],
                    "Parameters": [
                        {
                            "ParameterName": parameter["parameterName"],
                            "ParameterValue": parameter["parameterValue"],
                        }
                        for parameter in processor.get("parameters") or []
                    ],
                }
                for processor in given["processingConfiguration"].get("processors") or []
            ],
        },
    }


def _seen(known: Inputs, destination: Mapping[str, Any]) -> Outputs:
    """Return a destination as Pulumi has it; what is at its default only where it is known."""
    encryption = destination["EncryptionConfiguration"].get("KMSEncryptionConfig")
    seen = {
        **properties(_DESTINATION, destination),
        **properties(_HINTS, destination["BufferingHints"]),
        "processingConfiguration": _processing_seen(
            known.get("processingConfiguration") or {}, destination
        ),
    }
    if not seen["cloudwatchLoggingOptions"]["enabled"]:  # names of what was once are not read
        seen["cloudwatchLoggingOptions"] = {"enabled": False}
    if encryption:
        seen["kmsKeyArn"] = encryption["AWSKMSKeyARN"]
    return as_read(known, {*_DESTINATION, *_HINTS, *_OTHERS}, seen, _DEFAULTS)


def _processing_seen(known: Inputs, destination: Mapping[str, Any]) -> Outputs:
    processing = destination.get("ProcessingConfiguration")
    if not processing:
        return dict(_NO_PROCESSING)
    defaults = {
        "NumberOfRetries": "3",
        "RoleArn": destination["RoleARN"],
        "BufferSizeInMBs": "1",
        "BufferIntervalInSeconds": "60",
    }
    before = known.get("processors") or []
    return {
        "enabled": processing["Enabled"],
        "processors": [
            {
                "type": processor["Type"],
                "parameters": _parameters_seen(
                    before[number].get("parameters") or [] if number < len(before) else [],
                    processor["Parameters"],
                    defaults,
                ),
            }
            for number, processor in enumerate(processing["Processors"])
        ],
    }


def _parameters_seen(
    known: Iterable[Inputs], parameters: Iterable[Mapping[str, str]], defaults: Mapping[str, str]
) -> list[Outputs]:
    """Return parameters in the order they are known in: to the provider they are a set."""
    values = {each["ParameterName"]: each["ParameterValue"] for each in parameters}
    order = [each["parameterName"] for each in known if each["parameterName"] in values]
    rest = [name for name in values if name not in order and values[name] != defaults.get(name)]
    return [{"parameterName": name, "parameterValue": values[name]} for name in (*order, *rest)]
