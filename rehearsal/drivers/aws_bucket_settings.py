"""Drivers of what is set on S3 buckets: encryption, ownership, policy, versions, lifecycle."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from rehearsal.drivers.aws_shapes import Names, fields, properties
from rehearsal.drivers.registry import Clouds, Created, Driver, Inputs, Outputs, driver
from rehearsal.drivers.wire import or_none, same_json

_NO_BUCKET = ("NoSuchBucket", "404")


class _BucketSetting(Driver):
    """A setting that a bucket has once: it is put as a whole, and goes by the bucket's name."""

    replace_on = "bucket region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the setting."""
        self._put(clouds.aws.client("s3"), inputs)
        return Created(_setting_id(inputs), dict(inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the setting."""
        found = self._find(clouds.aws.client("s3"), _of_setting(identifier), known)
        if found is None:
            return None
        bucket, _, owner = identifier.partition(",")
        return {**known, "bucket": bucket, **_expected(owner), **found}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the setting anew."""
        self._put(clouds.aws.client("s3"), inputs)
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Take the setting away."""
        self._remove(clouds.aws.client("s3"), _of_setting(identifier), known)

    @abstractmethod
    def _put(self, s3: Any, inputs: Inputs) -> None:
        """Put what *inputs* say."""

    @abstractmethod
    def _find(self, s3: Any, bucket: Inputs, known: Inputs) -> Outputs | None:
        """Return the properties as they are, None where the bucket has no such setting."""

    @abstractmethod
    def _remove(self, s3: Any, bucket: Inputs, known: Inputs) -> None:
        """Take the setting away."""


def _setting_id(inputs: Inputs) -> str:
    """Return the provider's id: the account that must own the bucket is part of it, if any."""
    owner = inputs.get("expectedBucketOwner")
    return f"{inputs['bucket']},{owner}" if owner else str(inputs["bucket"])


def _of_setting(identifier: str) -> Outputs:
    """Return what names the bucket in a request."""
    bucket, _, owner = identifier.partition(",")
    return {"Bucket": bucket, **({"ExpectedBucketOwner": owner} if owner else {})}


def _expected(owner: str) -> Outputs:
    return {"expectedBucketOwner": owner} if owner else {}


def _wire(names: Names, of: str, value: Inputs) -> dict[str, Any]:
    """Return a value as S3 takes it; DriverError for what has none of the *names*."""
    wire: dict[str, Any] = fields({of: ("_", names)}, {of: value})["_"]
    return wire


_ENCRYPTION_RULE: Names = {
    "applyServerSideEncryptionByDefault": (
        "ApplyServerSideEncryptionByDefault",
        {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"},
    ),
    "bucketKeyEnabled": "BucketKeyEnabled",
}


@driver
class BucketServerSideEncryptionConfiguration(_BucketSetting):
    """How a bucket encrypts what says nothing of it. Without it, S3 encrypts with its own key."""

    token = (
        "aws:s3/bucketServerSideEncryptionConfiguration:"  # noqa: S105
        "BucketServerSideEncryptionConfiguration"
    )
    required = "bucket rules"
    optional = "expectedBucketOwner region"
    replace_on = "bucket expectedBucketOwner region"

    def _put(self, s3: Any, inputs: Inputs) -> None:
        rules = self._rules(inputs["rules"])
        s3.put_bucket_encryption(
            **_of_setting(_setting_id(inputs)),
            ServerSideEncryptionConfiguration={"Rules": rules},
        )

    def _find(self, s3: Any, bucket: Inputs, known: Inputs) -> Outputs | None:
        missing = ("ServerSideEncryptionConfigurationNotFoundError", *_NO_BUCKET)
        answer = or_none(s3.get_bucket_encryption, *missing, **bucket)
        if answer is None:
            return None
        actual = answer["ServerSideEncryptionConfiguration"]["Rules"]
        if "rules" in known and self._rules(known["rules"]) == actual:
            return {"rules": known["rules"]}
        rules = [properties(_ENCRYPTION_RULE, rule) for rule in actual]
        return {"rules": [{k: v for k, v in rule.items() if v is not False} for rule in rules]}

    def _remove(self, s3: Any, bucket: Inputs, known: Inputs) -> None:
        or_none(s3.delete_bucket_encryption, *_NO_BUCKET, **bucket)

    @staticmethod
    def _rules(rules: Any) -> list[Any]:
        wire = [_wire(_ENCRYPTION_RULE, "rules", rule) for rule in rules]
        return [{"BucketKeyEnabled": False, **rule} for rule in wire]


_OWNERSHIP: Names = {"objectOwnership": "ObjectOwnership"}


@driver
class BucketOwnershipControls(_BucketSetting):
    """Whom the objects in a bucket belong to."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"  # noqa: S105
    required = "bucket rule"
    optional = "region"

    def _put(self, s3: Any, inputs: Inputs) -> None:
        rule = _wire(_OWNERSHIP, "rule", inputs["rule"])
        s3.put_bucket_ownership_controls(
            Bucket=inputs["bucket"], OwnershipControls={"Rules": [rule]}
        )

    def _find(self, s3: Any, bucket: Inputs, known: Inputs) -> Outputs | None:
        missing = ("OwnershipControlsNotFoundError", *_NO_BUCKET)
        answer = or_none(s3.get_bucket_ownership_controls, *missing, **bucket)
        if answer is None:
            return None
        (rule,) = answer["OwnershipControls"]["Rules"]
        return {"rule": properties(_OWNERSHIP, rule)}

    def _remove(self, s3: Any, bucket: Inputs, known: Inputs) -> None:
        missing = ("OwnershipControlsNotFoundError", *_NO_BUCKET)
        or_none(s3.delete_bucket_ownership_controls, *missing, **bucket)


@driver
class BucketPolicy(_BucketSetting):
    """Who may do what with a bucket."""

    token = "aws:s3/bucketPolicy:BucketPolicy"  # noqa: S105
    required = "bucket policy"
    optional = "region"

    def _put(self, s3: Any, inputs: Inputs) -> None:
        s3.put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])

    def _find(self, s3: Any, bucket: Inputs, known: Inputs) -> Outputs | None:
        answer = or_none(s3.get_bucket_policy, "NoSuchBucketPolicy", *_NO_BUCKET, **bucket)
        if answer is None:
            return None
        return {"policy": same_json(known.get("policy"), answer["Policy"])}

    def _remove(self, s3: Any, bucket: Inputs, known: Inputs) -> None:
        or_none(s3.delete_bucket_policy, *_NO_BUCKET, **bucket)


_FILTER: Names = {
    "prefix": "Prefix",
    "objectSizeGreaterThan": "ObjectSizeGreaterThan",
    "objectSizeLessThan": "ObjectSizeLessThan",
    "tag": ("Tag", {"key": "Key", "value": "Value"}),
}
_EXPIRATION: Names = {"days": "Days", "expiredObjectDeleteMarker": "ExpiredObjectDeleteMarker"}
_NONCURRENT: Names = {
    "noncurrentDays": "NoncurrentDays",
    "newerNoncurrentVersions": "NewerNoncurrentVersions",
}
_LIFECYCLE_RULE: Names = {
    "id": "ID",
    "status": "Status",
    "filter": ("Filter", _FILTER),
    "expiration": ("Expiration", _EXPIRATION),
    "noncurrentVersionExpiration": ("NoncurrentVersionExpiration", _NONCURRENT),
    "abortIncompleteMultipartUpload": (
        "AbortIncompleteMultipartUpload",
        {"daysAfterInitiation": "DaysAfterInitiation"},
    ),
}


@driver
class BucketLifecycleConfiguration(_BucketSetting):
    """What becomes of objects with time.

    The local S3 lets no object expire, and answers one `transitionDefaultMinimumObjectSize`
    whatever was put.
    """

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"  # noqa: S105
    required = "bucket rules"
    optional = "expectedBucketOwner transitionDefaultMinimumObjectSize region"
    replace_on = "bucket expectedBucketOwner region"

    def _put(self, s3: Any, inputs: Inputs) -> None:
        size = inputs.get("transitionDefaultMinimumObjectSize")
        s3.put_bucket_lifecycle_configuration(
            **_of_setting(_setting_id(inputs)),
            LifecycleConfiguration={"Rules": self._rules(inputs["rules"])},
            **({"TransitionDefaultMinimumObjectSize": size} if size else {}),
        )

    def _find(self, s3: Any, bucket: Inputs, known: Inputs) -> Outputs | None:
        missing = ("NoSuchLifecycleConfiguration", *_NO_BUCKET)
        answer = or_none(s3.get_bucket_lifecycle_configuration, *missing, **bucket)
        if answer is None:
            return None
        actual = answer["Rules"]
        if "rules" in known and self._rules(known["rules"]) == actual:
            return {"rules": known["rules"]}
        return {"rules": [properties(_LIFECYCLE_RULE, rule) for rule in actual]}

    def _remove(self, s3: Any, bucket: Inputs, known: Inputs) -> None:
        or_none(s3.delete_bucket_lifecycle, *_NO_BUCKET, **bucket)

    @staticmethod
    def _rules(rules: Any) -> list[Any]:
        wire = [_wire(_LIFECYCLE_RULE, "rules", rule) for rule in rules]
        # A rule without a filter is for all objects, as one for the empty prefix is.
        return [{"Filter": {"Prefix": ""}, **rule} for rule in wire]
