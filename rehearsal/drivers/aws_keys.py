"""Drivers of KMS keys, their policies and aliases."""

from __future__ import annotations

import json
from typing import Any

from rehearsal.drivers.registry import Clouds, Created, Driver, Inputs, Outputs, driver
from rehearsal.drivers.wire import (
    aws_tags,
    change_tags,
    from_aws_tags,
    known_tags,
    or_none,
    same_json,
)

_NO_KEY = "NotFoundException"
_POLICY = "default"  # the only name a key policy can have
_YEAR = 365
_LONGEST_WINDOW = 30
_ANY_KEY = {"customerMasterKeySpec": "SYMMETRIC_DEFAULT", "keyUsage": "ENCRYPT_DECRYPT"}
_TAG = ("TagKey", "TagValue")


def _metadata(kms: Any, key: str) -> dict[str, Any] | None:
    """Return what KMS knows of a key; one that waits for its deletion is gone."""
    answer = or_none(kms.describe_key, _NO_KEY, KeyId=key)
    if answer is None or answer["KeyMetadata"]["KeyState"] == "PendingDeletion":
        return None
    found: dict[str, Any] = answer["KeyMetadata"]
    return found


def _policy(kms: Any, key: str) -> str:
    return str(kms.get_key_policy(KeyId=key, PolicyName=_POLICY)["Policy"])


def _put_policy(kms: Any, key: str, policy: str, inputs: Inputs) -> None:
    bypass = bool(inputs.get("bypassPolicyLockoutSafetyCheck"))
    kms.put_key_policy(
        KeyId=key, PolicyName=_POLICY, Policy=policy, BypassPolicyLockoutSafetyCheck=bypass
    )


def _default_policy(clouds: Clouds) -> dict[str, Any]:
    """Return the policy that AWS gives a key: the account decides with IAM."""
    statement = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{clouds.aws.account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return {"Version": "2012-10-17", "Id": "key-default-1", "Statement": [statement]}


@driver
class Key(Driver):
    """A key. `multiRegion` cannot matter here: the local AWS has one Region, and tells nothing."""

    token = "aws:kms/key:Key"  # noqa: S105
    optional = (
        "description deletionWindowInDays enableKeyRotation rotationPeriodInDays policy tags "
        "bypassPolicyLockoutSafetyCheck customerMasterKeySpec keyUsage multiRegion region"
    )
    replace_on = "customerMasterKeySpec keyUsage multiRegion region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the key."""
        kms = clouds.aws.client("kms")
        options = {"Policy": inputs["policy"]} if "policy" in inputs else {}
        key = kms.create_key(
            Description=inputs.get("description", ""),
            KeySpec=inputs.get("customerMasterKeySpec", _ANY_KEY["customerMasterKeySpec"]),
            KeyUsage=inputs.get("keyUsage", _ANY_KEY["keyUsage"]),
            MultiRegion=bool(inputs.get("multiRegion")),
            BypassPolicyLockoutSafetyCheck=bool(inputs.get("bypassPolicyLockoutSafetyCheck")),
            Tags=aws_tags(inputs.get("tags", {}), *_TAG),
            **options,
        )["KeyMetadata"]
        if inputs.get("enableKeyRotation"):
            self._rotate(kms, key["KeyId"], inputs)
        return Created(key["KeyId"], self._outputs(key, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the description, the rotation, the tags, and the policy where it is its own."""
        kms = clouds.aws.client("kms")
        key = _metadata(kms, identifier)
        if key is None:
            return None
        told = {
            "description": key["Description"],
            "customerMasterKeySpec": key["KeySpec"],
            "keyUsage": key["KeyUsage"],
            **self._rotation(kms, identifier),
        }
        usual = {**_ANY_KEY, "description": "", "enableKeyRotation": False}
        usual["rotationPeriodInDays"] = _YEAR
        kept = {k: v for k, v in told.items() if k in known or v != usual[k]}
        tags = from_aws_tags(kms.list_resource_tags(KeyId=identifier)["Tags"], *_TAG)
        inputs = {**known, **kept, **known_tags(known, tags)}
        return self._outputs(key, {**inputs, **self._own_policy(clouds, identifier, known)})

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change what changed."""
        kms = clouds.aws.client("kms")
        if inputs.get("description") != known.get("description"):
            description = inputs.get("description", "")
            kms.update_key_description(KeyId=identifier, Description=description)
        if inputs.get("enableKeyRotation"):
            self._rotate(kms, identifier, inputs)
        elif known.get("enableKeyRotation"):
            kms.disable_key_rotation(KeyId=identifier)
        # A policy that is no longer given stays: it may be that of a KeyPolicy by now.
        if "policy" in inputs and inputs["policy"] != known.get("policy"):
            _put_policy(kms, identifier, inputs["policy"], inputs)
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda names: kms.untag_resource(KeyId=identifier, TagKeys=names),
            lambda tags: kms.tag_resource(KeyId=identifier, Tags=aws_tags(tags, *_TAG)),
        )
        return self._outputs({"Arn": known["arn"], "KeyId": identifier}, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Schedule the deletion, which is all that KMS allows."""
        kms = clouds.aws.client("kms")
        if _metadata(kms, identifier) is not None:
            window = int(known.get("deletionWindowInDays", _LONGEST_WINDOW))
            kms.schedule_key_deletion(KeyId=identifier, PendingWindowInDays=window)

    @staticmethod
    def _rotate(kms: Any, key: str, inputs: Inputs) -> None:
        days = int(inputs.get("rotationPeriodInDays", _YEAR))
        kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=days)

    @staticmethod
    def _rotation(kms: Any, key: str) -> Outputs:
        """Return whether the key is rotated; how often does not count while it is not."""
        status = or_none(kms.get_key_rotation_status, "UnsupportedOperationException", KeyId=key)
        if not status or not status["KeyRotationEnabled"]:
            return {"enableKeyRotation": False}
        days = status["RotationPeriodInDays"]
        return {"enableKeyRotation": True, "rotationPeriodInDays": days}

    @staticmethod
    def _own_policy(clouds: Clouds, key: str, known: Inputs) -> Outputs:
        """Return the policy where the program gave it here, or where the key is imported.

        A key without one may have a KeyPolicy beside it, whose policy is no change of the key.
        """
        imported = "arn" not in known
        if "policy" not in known and not imported:
            return {}
        policy = _policy(clouds.aws.client("kms"), key)
        if imported and json.loads(policy) == _default_policy(clouds):
            return {}
        return {"policy": same_json(known.get("policy"), policy)}

    @staticmethod
    def _outputs(key: dict[str, Any], inputs: Inputs) -> Outputs:
        return {**inputs, "arn": key["Arn"], "keyId": key["KeyId"]}


@driver
class KeyPolicy(Driver):
    """The policy of a key that was made without one."""

    token = "aws:kms/keyPolicy:KeyPolicy"  # noqa: S105
    required = "keyId policy"
    optional = "bypassPolicyLockoutSafetyCheck region"
    # The official provider has not declared `keyId`, but another key is never changed in place.
    replace_on = "keyId region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the policy."""
        _put_policy(clouds.aws.client("kms"), inputs["keyId"], inputs["policy"], inputs)
        return Created(inputs["keyId"], dict(inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the policy; a key always has one."""
        kms = clouds.aws.client("kms")
        if _metadata(kms, identifier) is None:
            return None
        policy = same_json(known.get("policy"), _policy(kms, identifier))
        return {"keyId": identifier, **known, "policy": policy}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the policy anew."""
        _put_policy(clouds.aws.client("kms"), identifier, inputs["policy"], inputs)
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Put AWS's default policy back, unless the policy was put past the safety check."""
        kms = clouds.aws.client("kms")
        if _metadata(kms, identifier) is None or known.get("bypassPolicyLockoutSafetyCheck"):
            return
        _put_policy(kms, identifier, json.dumps(_default_policy(clouds)), {})


@driver
class Alias(Driver):
    """Another name of a key."""

    token = "aws:kms/alias:Alias"  # noqa: S105
    required = "name targetKeyId"
    optional = "region"
    replace_on = "name region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the alias."""
        clouds.aws.client("kms").create_alias(
            AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"]
        )
        return Created(inputs["name"], self._outputs(clouds, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Find the alias among all: KMS describes none by its name."""
        for page in clouds.aws.client("kms").get_paginator("list_aliases").paginate():
            for alias in page["Aliases"]:
                if alias["AliasName"] == identifier:
                    target = self._target(alias["TargetKeyId"], known)
                    inputs = {**known, "name": identifier, "targetKeyId": target}
                    return self._outputs(clouds, inputs)
        return None

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Give the name to another key."""
        clouds.aws.client("kms").update_alias(
            AliasName=identifier, TargetKeyId=inputs["targetKeyId"]
        )
        return self._outputs(clouds, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the alias."""
        or_none(clouds.aws.client("kms").delete_alias, _NO_KEY, AliasName=identifier)

    @staticmethod
    def _target(key: str, known: Inputs) -> str:
        """Return the key's id; its ARN where that is how it is known."""
        given = str(known.get("targetKeyId", ""))
        return given if given.endswith(f":key/{key}") else key

    @staticmethod
    def _outputs(clouds: Clouds, inputs: Inputs) -> Outputs:
        arn = f"arn:aws:kms:{clouds.aws.region}:{clouds.aws.account}:{inputs['name']}"
        return {**inputs, "arn": arn}
