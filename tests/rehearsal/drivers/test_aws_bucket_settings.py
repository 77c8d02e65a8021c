"""What is set on buckets lives and dies as its drivers say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds
from tests.rehearsal.drivers.lifecycle import Change, Life, live
from tests.rehearsal.drivers.test_aws_storage import a_bucket

OWNER = "000000000000"
ENCRYPTION = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"


def encrypted(algorithm: str, **more: Any) -> list[dict[str, Any]]:
    default = {"sseAlgorithm": algorithm, **more}
    return [{"applyServerSideEncryptionByDefault": default}]


def policy(*actions: str) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": [*actions], "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


def expire(days: int, prefix: str = "exports/") -> dict[str, Any]:
    return {
        "id": "exports",
        "status": "Enabled",
        "filter": {"prefix": prefix},
        "expiration": {"days": days},
    }


ABANDONED = {
    "id": "abandoned-uploads",
    "status": "Disabled",
    "filter": {"prefix": ""},
    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 3},
}
VERSIONS = {
    "id": "versions",
    "status": "Enabled",
    "filter": {"tag": {"key": "team", "value": "data"}},
    "noncurrentVersionExpiration": {"noncurrentDays": 7, "newerNoncurrentVersions": 2},
}
LARGE = {
    "id": "large",
    "status": "Enabled",
    "filter": {"objectSizeGreaterThan": 1024},
    "expiration": {"expiredObjectDeleteMarker": True},
}


def expire_by_hand(clouds: Clouds, bucket: str) -> None:
    rule = {"ID": "hand", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    clouds.aws.client("s3").put_bucket_lifecycle_configuration(
        Bucket=bucket.partition(",")[0], LifecycleConfiguration={"Rules": [rule]}
    )


def encrypt_by_hand(clouds: Clouds, bucket: str) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    clouds.aws.client("s3").put_bucket_encryption(
        Bucket=bucket.partition(",")[0], ServerSideEncryptionConfiguration={"Rules": [rule]}
    )


def own_by_hand(clouds: Clouds, bucket: str) -> None:
    clouds.aws.client("s3").put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )


def allow_by_hand(document: Mapping[str, Any]) -> Change:
    return lambda clouds, bucket: clouds.aws.client("s3").put_bucket_policy(
        Bucket=bucket, Policy=json.dumps(document)
    )


OTHER = {"Version": "2012-10-17", "Statement": []}

LIVES = [
    Life(
        ENCRYPTION,
        {
            "rules": [
                {
                    **encrypted("aws:kms", kmsMasterKeyId="arn:aws:kms:eu-west-1:1:key/a")[0],
                    "bucketKeyEnabled": True,
                }
            ],
            "expectedBucketOwner": OWNER,
        },
        before=a_bucket("life-encryption"),
        updates=[
            {"rules": encrypted("aws:kms", kmsMasterKeyId="arn:aws:kms:eu-west-1:1:key/b")},
            {"rules": encrypted("aws:kms:dsse")},
        ],
        by_hand=encrypt_by_hand,
        drift={"rules": encrypted("AES256")},
        # S3 leaves no bucket without encryption.
        left={"rules": encrypted("AES256")},
    ),
    Life(
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        before=a_bucket("life-ownership"),
        updates=[{"rule": {"objectOwnership": "BucketOwnerPreferred"}}],
        by_hand=own_by_hand,
        drift={"rule": {"objectOwnership": "ObjectWriter"}},
    ),
    Life(
        "aws:s3/bucketPolicy:BucketPolicy",
        {"policy": policy("s3:*")},
        before=a_bucket("life-policy"),
        updates=[{"policy": policy("s3:GetObject", "s3:PutObject")}],
        by_hand=allow_by_hand(OTHER),
        drift={"policy": json.dumps(OTHER, separators=(",", ":"))},
    ),
    Life(
        LIFECYCLE,
        {
            "rules": [expire(30), ABANDONED],
            "expectedBucketOwner": OWNER,
            "transitionDefaultMinimumObjectSize": "varies_by_storage_class",
        },
        before=a_bucket("life-lifecycle"),
        updates=[
            {"rules": [expire(14), VERSIONS, LARGE]},
            {"rules": [expire(7, "loads/")]},
            {"transitionDefaultMinimumObjectSize": "all_storage_classes_128K"},
        ],
        by_hand=expire_by_hand,
        drift={"rules": [{**expire(1, ""), "id": "hand"}]},
        # The local S3 answers the default whatever was put.
        unread=frozenset({"transitionDefaultMinimumObjectSize"}),
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_a_setting_goes_with_its_bucket(clouds: Clouds) -> None:
    for life in LIVES:
        inputs = {**life.inputs, **a_bucket("life-gone")(clouds)}
        created = drivers.create(clouds, life.token, "it", inputs)
        clouds.aws.client("s3").delete_bucket(Bucket="life-gone")
        assert drivers.read(clouds, life.token, "it", created.id, created.outputs) is None
        drivers.delete(clouds, life.token, "it", created.id, created.outputs)


def test_rules_as_the_engine_and_the_program_write_them(clouds: Clouds) -> None:
    """Every number of the engine is a float; a filter may be left out."""
    rule = {"id": "all", "status": "Enabled", "expiration": {"days": 3.0}}
    inputs = {**a_bucket("life-floats")(clouds), "rules": [rule]}
    created = drivers.create(clouds, LIFECYCLE, "it", inputs)
    assert drivers.read(clouds, LIFECYCLE, "it", created.id, created.outputs) == created.outputs


@pytest.mark.parametrize(
    ("rule", "unknown"),
    [
        ({"id": "a", "status": "Enabled", "prefix": "x/"}, "rules: .* prefix"),
        ({"id": "a", "status": "Enabled", "expiration": {"date": "x"}}, "expiration: .* date"),
    ],
)
def test_what_no_rule_carries_is_refused(
    clouds: Clouds, rule: dict[str, Any], unknown: str
) -> None:
    with pytest.raises(drivers.DriverError, match=unknown):
        drivers.create(clouds, LIFECYCLE, "it", {"bucket": "life-refused", "rules": [rule]})
