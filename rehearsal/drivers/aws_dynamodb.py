"""Driver of DynamoDB tables, and the lookup of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rehearsal.drivers.aws_shapes import as_read
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    Outputs,
    driver,
    function,
)
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, or_none

_NO_TABLE = "ResourceNotFoundException"
_KINDS = (("HASH", "hashKey"), ("RANGE", "rangeKey"))
_TOLD = (
    "name",
    "attributes",
    "hashKey",
    "rangeKey",
    "billingMode",
    "streamEnabled",
    "streamViewType",
    "pointInTimeRecovery",
    "serverSideEncryption",
    "deletionProtectionEnabled",
    "tags",
)
_OFF = {"enabled": False}
_DEFAULTS: dict[str, Any] = {
    "billingMode": "PROVISIONED",
    "streamEnabled": False,
    "streamViewType": "",
    "pointInTimeRecovery": _OFF,
    "serverSideEncryption": _OFF,
    "deletionProtectionEnabled": False,
    "tags": {},
}


@driver
class Table(Driver):
    """A table without indexes, replicas or expiring items, paid by request.

    A stream is switched off and on again where its view changes, as the official provider does it:
    DynamoDB changes none that is on. It then has another ARN. The type of a key attribute cannot be
    changed in place, and is no reason to replace a table for the official provider.
    """

    token = "aws:dynamodb/table:Table"  # noqa: S105  # a type token
    required = "name attributes hashKey"
    optional = (
        "rangeKey billingMode streamEnabled streamViewType pointInTimeRecovery "
        "serverSideEncryption deletionProtectionEnabled tags region"
    )
    replace_on = "name hashKey rangeKey region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the table; its continuous backups have a call of their own."""
        given = {**_DEFAULTS, **inputs}
        optional: dict[str, Any] = {}
        if given["streamEnabled"]:
            optional["StreamSpecification"] = _stream(given)
        if given["serverSideEncryption"]["enabled"]:
            optional["SSESpecification"] = _encryption(given)
        dynamodb = clouds.aws.client("dynamodb")
        dynamodb.create_table(
            TableName=given["name"],
            AttributeDefinitions=_attributes(given),
            KeySchema=[
                {"AttributeName": given[key], "KeyType": kind}
                for kind, key in _KINDS
                if given.get(key)
            ],
            BillingMode=given["billingMode"],
            DeletionProtectionEnabled=given["deletionProtectionEnabled"],
            Tags=aws_tags(given["tags"]),
            **optional,
        )
        if given["pointInTimeRecovery"]["enabled"]:
            _back_up(dynamodb, given)
        return Created(given["name"], self._outputs(clouds, given["name"], inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the table, its backups and its tags."""
        seen = _seen(clouds, identifier)
        if seen is None:
            return None
        if sorted(map(_name, known.get("attributes", []))) == sorted(
            map(_name, seen["attributes"])
        ):
            # DynamoDB has them in no order.
            order = [each["name"] for each in known["attributes"]]
            seen["attributes"].sort(key=lambda each: order.index(each["name"]))
        told = as_read(known, _TOLD, {key: seen[key] for key in _TOLD if key in seen}, _DEFAULTS)
        return {**told, **_made(seen)}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change what changed; UpdateTable takes one change of a kind at a time."""
        dynamodb = clouds.aws.client("dynamodb")
        old, new = {**_DEFAULTS, **known}, {**_DEFAULTS, **inputs}
        if _types(old) != _types(new):
            raise DriverError("attributes: the type of a key attribute cannot be changed")
        for change in _changes(old, new):
            dynamodb.update_table(TableName=identifier, **change)
        if old["pointInTimeRecovery"] != new["pointInTimeRecovery"]:
            _back_up(dynamodb, new)
        arn = known["arn"]
        change_tags(
            old["tags"],
            new["tags"],
            lambda gone: dynamodb.untag_resource(ResourceArn=arn, TagKeys=gone),
            lambda tags: dynamodb.tag_resource(ResourceArn=arn, Tags=aws_tags(tags)),
        )
        return self._outputs(clouds, identifier, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the table with all that is in it; a protected one is refused."""
        or_none(clouds.aws.client("dynamodb").delete_table, _NO_TABLE, TableName=identifier)

    @staticmethod
    def _outputs(clouds: Clouds, name: str, inputs: Inputs) -> Outputs:
        return {**inputs, **_made(_seen(clouds, name) or {})}


def _name(attribute: Mapping[str, Any]) -> str:
    return str(attribute["name"])


def _types(inputs: Inputs) -> dict[str, str]:
    return {each["name"]: each["type"] for each in inputs["attributes"]}


def _attributes(inputs: Inputs) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in _types(inputs).items()]


def _stream(inputs: Inputs) -> dict[str, Any]:
    return {"StreamEnabled": True, "StreamViewType": inputs["streamViewType"]}


def _encryption(inputs: Inputs) -> dict[str, Any]:
    given = inputs["serverSideEncryption"]
    if not given["enabled"]:
        return {"Enabled": False}
    key = {"KMSMasterKeyId": given["kmsKeyArn"]} if given.get("kmsKeyArn") else {}
    return {"Enabled": True, "SSEType": "KMS", **key}


def _back_up(dynamodb: Any, inputs: Inputs) -> None:
    dynamodb.update_continuous_backups(
        TableName=inputs["name"],
        PointInTimeRecoverySpecification={
            "PointInTimeRecoveryEnabled": inputs["pointInTimeRecovery"]["enabled"]
        },
    )


def _changes(old: Inputs, new: Inputs) -> list[dict[str, Any]]:
    """Return the arguments of the UpdateTable calls that lead from *old* to *new*."""
    found: list[dict[str, Any]] = []
    if old["billingMode"] != new["billingMode"]:
        found.append({"BillingMode": new["billingMode"]})
    if old["deletionProtectionEnabled"] != new["deletionProtectionEnabled"]:
        found.append({"DeletionProtectionEnabled": new["deletionProtectionEnabled"]})
    if old["serverSideEncryption"] != new["serverSideEncryption"]:
        found.append({"SSESpecification": _encryption(new)})
    was, is_now = (each["streamEnabled"] and _stream(each) for each in (old, new))
    if was != is_now:
        if was:
            found.append({"StreamSpecification": {"StreamEnabled": False}})
        if is_now:
            found.append({"StreamSpecification": is_now})
    return found


def _seen(clouds: Clouds, name: str) -> Outputs | None:
    """Return a table as Pulumi has it, None where there is none."""
    dynamodb = clouds.aws.client("dynamodb")
    answer = or_none(dynamodb.describe_table, _NO_TABLE, TableName=name)
    if answer is None:
        return None
    table = answer["Table"]
    stream, encryption = table.get("StreamSpecification") or {}, table.get("SSEDescription") or {}
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    encrypted = encryption.get("Status") == "ENABLED"
    key = encryption.get("KMSMasterKeyArn")
    keys = {each["KeyType"]: each["AttributeName"] for each in table["KeySchema"]}
    tags = dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    return {
        "name": name,
        "arn": table["TableArn"],
        "attributes": [
            {"name": each["AttributeName"], "type": each["AttributeType"]}
            for each in table["AttributeDefinitions"]
        ],
        **{key: keys[kind] for kind, key in _KINDS if kind in keys},
        "billingMode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "streamEnabled": bool(stream.get("StreamEnabled")),
        "streamViewType": stream.get("StreamViewType", ""),
        "streamArn": table.get("LatestStreamArn", ""),
        "streamLabel": table.get("LatestStreamLabel", ""),
        "pointInTimeRecovery": {"enabled": recovery == "ENABLED"},
        "serverSideEncryption": {
            "enabled": encrypted,
            **({"kmsKeyArn": key} if encrypted and key else {}),
        },
        "deletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
        "tags": from_aws_tags(tags),
    }


def _made(seen: Inputs) -> Outputs:
    return {key: seen[key] for key in ("arn", "streamArn", "streamLabel")}


@function("aws:dynamodb/getTable:getTable")
def _table(clouds: Clouds, arguments: Inputs) -> Outputs:
    seen = _seen(clouds, arguments["name"])
    if seen is None:
        raise DriverError(f"reading DynamoDB Table ({arguments['name']}): couldn't find resource")
    return {"id": arguments["name"], "rangeKey": "", **seen}
