"""Drivers of S3 buckets and objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import ClientError

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
from rehearsal.drivers.wire import aws_tags, from_aws_tags, known_tags, or_none

_NO_BUCKET = ("NoSuchBucket", "404")


@driver
class Bucket(Driver):
    """A bucket; what is set on it by other resources is theirs."""

    token = "aws:s3/bucket:Bucket"  # noqa: S105  # a type token
    required = "bucket"
    optional = "forceDestroy tags region"
    replace_on = "bucket region"
    autonamed = "bucket"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the bucket in the cloud's Region."""
        s3, name = clouds.aws.client("s3"), inputs["bucket"]
        location = (
            {}
            if clouds.aws.region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": clouds.aws.region}}
        )
        s3.create_bucket(Bucket=name, **location)
        if inputs.get("tags"):
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": aws_tags(inputs["tags"])})
        return Created(name, self._outputs(clouds, inputs))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the tags."""
        s3 = clouds.aws.client("s3")
        if or_none(s3.head_bucket, *_NO_BUCKET, Bucket=identifier) is None:
            return None
        tagging = or_none(s3.get_bucket_tagging, "NoSuchTagSet", Bucket=identifier)
        tags = from_aws_tags(tagging["TagSet"]) if tagging else {}
        inputs = {**known, "bucket": identifier, **known_tags(known, tags)}
        return self._outputs(clouds, inputs)

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Set the tags."""
        s3 = clouds.aws.client("s3")
        if inputs.get("tags"):
            s3.put_bucket_tagging(Bucket=identifier, Tagging={"TagSet": aws_tags(inputs["tags"])})
        else:
            s3.delete_bucket_tagging(Bucket=identifier)
        return self._outputs(clouds, inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the bucket; S3 refuses one that holds objects, unless `forceDestroy` was set."""
        s3 = clouds.aws.client("s3")
        if known.get("forceDestroy"):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=identifier):
                for found in page.get("Contents", []):
                    s3.delete_object(Bucket=identifier, Key=found["Key"])
        or_none(s3.delete_bucket, *_NO_BUCKET, Bucket=identifier)

    @staticmethod
    def _outputs(clouds: Clouds, inputs: Inputs) -> Outputs:
        name = inputs["bucket"]
        return {
            **inputs,
            "arn": f"arn:aws:s3:::{name}",
            "region": clouds.aws.region,
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{name}.s3.{clouds.aws.region}.amazonaws.com",
        }


_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


@driver
class BucketPublicAccessBlock(Driver):
    """What a bucket refuses to make public."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"  # noqa: S105
    required = "bucket"
    optional = " ".join((*_BLOCKS, "skipDestroy", "region"))
    replace_on = "bucket region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the block."""
        return Created(inputs["bucket"], self.update(clouds, inputs["bucket"], inputs, {}))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the four switches."""
        answer = or_none(
            clouds.aws.client("s3").get_public_access_block,
            *("NoSuchPublicAccessBlockConfiguration", *_NO_BUCKET),
            Bucket=identifier,
        )
        if answer is None:
            return None
        actual = answer["PublicAccessBlockConfiguration"]
        switches = {block: actual[block[0].upper() + block[1:]] for block in _BLOCKS}
        # A switch that is off and was never mentioned is not mentioned now.
        kept = {block: on for block, on in switches.items() if on or block in known}
        return {**known, "bucket": identifier, **kept}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the block anew."""
        clouds.aws.client("s3").put_public_access_block(
            Bucket=identifier,
            PublicAccessBlockConfiguration={
                block[0].upper() + block[1:]: bool(inputs.get(block)) for block in _BLOCKS
            },
        )
        return dict(inputs)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Take the block away."""
        s3 = clouds.aws.client("s3")
        or_none(s3.delete_public_access_block, *_NO_BUCKET, Bucket=identifier)


_ENCRYPTION = "serverSideEncryption"
_HEADERS = {"contentType": "ContentType", _ENCRYPTION: "ServerSideEncryption"}
_ANY_CONTENT = ("application/octet-stream", "binary/octet-stream")


@driver
class BucketObjectv2(Driver):
    """An object that holds a text. `overrideProvider` is for the provider, not for S3."""

    token = "aws:s3/bucketObjectv2:BucketObjectv2"  # noqa: S105
    required = "bucket key content"
    optional = "contentType serverSideEncryption tags overrideProvider region"
    replace_on = "bucket key region"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Put the object."""
        told = self._put(clouds.aws.client("s3"), inputs)
        return Created(inputs["key"], self._outputs({**told, **inputs}))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the text, its headers and its tags; the id of an import is ``bucket/key``."""
        s3, where = clouds.aws.client("s3"), self._where(identifier, known)
        missing = ("NoSuchKey", *_NO_BUCKET)
        answer = or_none(s3.get_object, *missing, **where)
        if answer is None:
            return None
        tags = from_aws_tags(s3.get_object_tagging(**where)["TagSet"])
        inputs = {
            **{key: value for key, value in known.items() if key not in _HEADERS},
            "bucket": where["Bucket"],
            "key": where["Key"],
            "content": answer["Body"].read().decode(errors="replace"),
            **self._headers(answer, known),
            **known_tags(known, tags),
        }
        return self._outputs(inputs)

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Put the object anew where more than its tags is new: it would be another version."""
        s3, where = clouds.aws.client("s3"), self._where(identifier, inputs)
        told = {key: known[key] for key in (_ENCRYPTION,) if key in known}
        if any(inputs.get(key) != known.get(key) for key in ("content", *_HEADERS)):
            told = self._put(s3, inputs)
        if inputs.get("tags"):
            s3.put_object_tagging(**where, Tagging={"TagSet": aws_tags(inputs["tags"])})
        else:
            s3.delete_object_tagging(**where)
        return self._outputs({**told, **inputs})

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the object."""
        s3 = clouds.aws.client("s3")
        or_none(s3.delete_object, *_NO_BUCKET, **self._where(identifier, known))

    @staticmethod
    def _put(s3: Any, inputs: Inputs) -> Outputs:
        """Put the object; returns how it is encrypted: the bucket may have decided it."""
        options = {name: inputs[key] for key, name in _HEADERS.items() if key in inputs}
        if inputs.get("tags"):
            options["Tagging"] = urlencode(inputs["tags"])
        answer = s3.put_object(
            Bucket=inputs["bucket"],
            Key=inputs["key"],
            Body=inputs["content"].encode(),
            **options,
        )
        told = answer.get(_HEADERS[_ENCRYPTION])
        return {_ENCRYPTION: told} if told else {}

    @staticmethod
    def _where(identifier: str, known: Inputs) -> dict[str, str]:
        if "bucket" in known:
            return {"Bucket": known["bucket"], "Key": known["key"]}
        bucket, _, key = identifier.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": key}

    @staticmethod
    def _headers(answer: Mapping[str, Any], known: Inputs) -> Outputs:
        """Return the headers that S3 tells, but for a type that nobody gave."""
        found = {key: answer[name] for key, name in _HEADERS.items() if name in answer}
        if "contentType" not in known and found.get("contentType") in _ANY_CONTENT:
            del found["contentType"]
        return found

    @staticmethod
    def _outputs(inputs: Inputs) -> Outputs:
        return {**inputs, "arn": f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}"}


@function("aws:s3/getBucket:getBucket")
def _bucket(clouds: Clouds, arguments: Inputs) -> Outputs:
    name = arguments["bucket"]
    try:
        clouds.aws.client("s3").head_bucket(Bucket=name)
    except ClientError as error:
        raise DriverError(f"no bucket {name}: {error}") from None
    return {
        "id": name,
        "bucket": name,
        "arn": f"arn:aws:s3:::{name}",
        "bucketRegion": clouds.aws.region,
        "region": clouds.aws.region,
    }
