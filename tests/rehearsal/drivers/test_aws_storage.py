"""Buckets and objects live and die as their drivers say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds
from tests.rehearsal.drivers.lifecycle import Life, live

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


def a_bucket(name: str) -> Callable[[Clouds], dict[str, str]]:
    def make(clouds: Clouds) -> dict[str, str]:
        clouds.aws.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        return {"bucket": name}

    return make


BLOCKED = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": False,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}

LIVES = [
    Life(
        "aws:s3/bucket:Bucket",
        {"bucket": "life-bucket", "forceDestroy": False, "tags": {"team": "data"}},
        updates=[{"tags": {"team": "web", "stage": "stg"}}, {"tags": None}, {"tags": {"a": "b"}}],
        by_hand=lambda clouds, name: clouds.aws.client("s3").put_bucket_tagging(
            Bucket=name, Tagging={"TagSet": [{"Key": "by", "Value": "hand"}]}
        ),
        drift={"tags": {"by": "hand"}},
        unread=frozenset({"forceDestroy"}),
    ),
    Life(
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        {"blockPublicAcls": True, "blockPublicPolicy": True},
        before=a_bucket("life-block"),
        updates=[{"ignorePublicAcls": True, "restrictPublicBuckets": True}],
        by_hand=lambda clouds, name: clouds.aws.client("s3").put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration=BLOCKED
        ),
        drift={"blockPublicPolicy": False},
    ),
    Life(
        OBJECT,
        {
            "key": "catalog/shop.json",
            "content": '{"tables": []}',
            "contentType": "application/json",
            "serverSideEncryption": "AES256",
            "overrideProvider": {"defaultTags": {"tags": {}}},
            "tags": {"team": "data"},
        },
        before=a_bucket("life-object"),
        updates=[
            {"tags": {"team": "web & more", "stage": "stg"}},
            {"content": '{"tables": ["käse"]}'},
            {"contentType": "text/plain"},
            {"contentType": None, "serverSideEncryption": None},
            {"tags": None, "serverSideEncryption": "AES256"},
            {"overrideProvider": None},
        ],
        by_hand=lambda clouds, key: clouds.aws.client("s3").put_object(
            Bucket="life-object", Key=key, Body=b"by hand", Tagging="by=hand"
        ),
        drift={"content": "by hand", "tags": {"by": "hand"}},
        # Of the provider, not of S3.
        unread=frozenset({"overrideProvider"}),
        # By bucket and key: see below.
        imported=False,
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


@pytest.mark.parametrize("how", ["life-import/a/b.txt", "s3://life-import/a/b.txt"])
def test_an_object_is_imported_by_bucket_and_key(clouds: Clouds, how: str) -> None:
    s3 = clouds.aws.client("s3")
    a_bucket("life-import")(clouds)
    s3.put_object(Bucket="life-import", Key="a/b.txt", Body=b"text", ContentType="text/plain")
    seen = drivers.read(clouds, OBJECT, "it", how, {})
    assert seen == {
        "bucket": "life-import",
        "key": "a/b.txt",
        "content": "text",
        "contentType": "text/plain",
        "arn": "arn:aws:s3:::life-import/a/b.txt",
    }
    # Pulumi keeps the id of the import: what is known decides from then on.
    assert drivers.read(clouds, OBJECT, "it", how, seen) == seen
    drivers.delete(clouds, OBJECT, "it", how, seen)
    assert drivers.read(clouds, OBJECT, "it", how, seen) is None
    s3.delete_bucket(Bucket="life-import")


def test_how_the_bucket_encrypts_is_no_change_of_an_object(clouds: Clouds) -> None:
    a_bucket("life-encrypting")(clouds)
    applied = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "a-key"}
    clouds.aws.client("s3").put_bucket_encryption(
        Bucket="life-encrypting",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": applied}]
        },
    )
    inputs = {"bucket": "life-encrypting", "key": "x", "content": "text"}
    created = drivers.create(clouds, OBJECT, "it", inputs)
    assert created.outputs["serverSideEncryption"] == "aws:kms"
    assert drivers.read(clouds, OBJECT, "it", "x", created.outputs) == created.outputs
    tagged = drivers.update(
        clouds, OBJECT, "it", "x", {**inputs, "tags": {"a": "b"}}, created.outputs
    )
    assert drivers.read(clouds, OBJECT, "it", "x", tagged) == tagged


def test_a_bucket_that_holds_objects_is_deleted_by_force_alone(clouds: Clouds) -> None:
    token = "aws:s3/bucket:Bucket"
    created = drivers.create(clouds, token, "it", {"bucket": "life-full"})
    clouds.aws.client("s3").put_object(Bucket="life-full", Key="x", Body=b"x")
    with pytest.raises(drivers.DriverError, match="BucketNotEmpty"):
        drivers.delete(clouds, token, "it", "life-full", created.outputs)
    forced = {**created.outputs, "forceDestroy": True}
    drivers.delete(clouds, token, "it", "life-full", forced)
    assert drivers.read(clouds, token, "it", "life-full", forced) is None


def test_a_bucket_that_is_there_is_found_and_another_is_not(clouds: Clouds) -> None:
    a_bucket("theirs")(clouds)
    token = "aws:s3/getBucket:getBucket"
    assert drivers.invoke(clouds, token, {"bucket": "theirs"})["arn"] == "arn:aws:s3:::theirs"
    with pytest.raises(drivers.DriverError, match="no bucket nobodys"):
        drivers.invoke(clouds, token, {"bucket": "nobodys"})
