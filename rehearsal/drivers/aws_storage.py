"""Drivers of KMS keys and S3 buckets."""

from __future__ import annotations

from typing import Any

from rehearsal.drivers.registry import Clouds, Created, Inputs, driver


@driver(
    "aws:kms/key:Key",
    "description deletionWindowInDays enableKeyRotation rotationPeriodInDays policy tags tagsAll "
    "bypassPolicyLockoutSafetyCheck customerMasterKeySpec keyUsage multiRegion region",
)
def _key(clouds: Clouds, inputs: Inputs) -> Created:
    kms = clouds.aws.client("kms")
    options = {"Policy": inputs["policy"]} if "policy" in inputs else {}
    key = kms.create_key(Description=inputs.get("description", ""), **options)["KeyMetadata"]
    if inputs.get("enableKeyRotation"):
        kms.enable_key_rotation(KeyId=key["KeyId"])
    return Created(key["KeyId"], {**inputs, "arn": key["Arn"], "keyId": key["KeyId"]})


@driver("aws:kms/keyPolicy:KeyPolicy", "keyId policy bypassPolicyLockoutSafetyCheck region")
def _key_policy(clouds: Clouds, inputs: Inputs) -> Created:
    clouds.aws.client("kms").put_key_policy(
        KeyId=inputs["keyId"], PolicyName="default", Policy=inputs["policy"]
    )
    return Created(inputs["keyId"], dict(inputs))


@driver("aws:kms/alias:Alias", "name targetKeyId region")
def _alias(clouds: Clouds, inputs: Inputs) -> Created:
    clouds.aws.client("kms").create_alias(
        AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"]
    )
    arn = f"arn:aws:kms:{clouds.aws.region}:{clouds.aws.account}:{inputs['name']}"
    return Created(inputs["name"], {**inputs, "arn": arn})


@driver("aws:s3/bucket:Bucket", "bucket forceDestroy tags tagsAll region")
def _bucket(clouds: Clouds, inputs: Inputs) -> Created:
    name = inputs["bucket"]
    location = (
        {}
        if clouds.aws.region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": clouds.aws.region}}
    )
    clouds.aws.client("s3").create_bucket(Bucket=name, **location)
    return Created(
        name,
        {
            **inputs,
            "arn": f"arn:aws:s3:::{name}",
            "region": clouds.aws.region,
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{name}.s3.{clouds.aws.region}.amazonaws.com",
        },
    )


@driver(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "bucket rules expectedBucketOwner region",
)
def _encryption(clouds: Clouds, inputs: Inputs) -> Created:
    rules = []
    for rule in inputs["rules"]:
        default = rule["applyServerSideEncryptionByDefault"]
        applied = {"SSEAlgorithm": default["sseAlgorithm"]}
        if "kmsMasterKeyId" in default:
            applied["KMSMasterKeyID"] = default["kmsMasterKeyId"]
        rules.append(
            {
                "ApplyServerSideEncryptionByDefault": applied,
                "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled")),
            }
        )
    clouds.aws.client("s3").put_bucket_encryption(
        Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return Created(inputs["bucket"], dict(inputs))


@driver(
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "bucket blockPublicAcls blockPublicPolicy ignorePublicAcls restrictPublicBuckets "
    "skipDestroy region",
)
def _public_access_block(clouds: Clouds, inputs: Inputs) -> Created:
    blocks = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    clouds.aws.client("s3").put_public_access_block(
        Bucket=inputs["bucket"],
        PublicAccessBlockConfiguration={
            block[0].upper() + block[1:]: bool(inputs.get(block)) for block in blocks
        },
    )
    return Created(inputs["bucket"], dict(inputs))


@driver("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "bucket rule region")
def _ownership(clouds: Clouds, inputs: Inputs) -> Created:
    ownership = inputs["rule"]["objectOwnership"]
    clouds.aws.client("s3").put_bucket_ownership_controls(
        Bucket=inputs["bucket"], OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]}
    )
    return Created(inputs["bucket"], dict(inputs))


@driver("aws:s3/bucketPolicy:BucketPolicy", "bucket policy region")
def _bucket_policy(clouds: Clouds, inputs: Inputs) -> Created:
    clouds.aws.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])
    return Created(inputs["bucket"], dict(inputs))


@driver("aws:s3/bucketVersioning:BucketVersioning", "bucket versioningConfiguration region")
def _versioning(clouds: Clouds, inputs: Inputs) -> Created:
    status = inputs["versioningConfiguration"]["status"]
    clouds.aws.client("s3").put_bucket_versioning(
        Bucket=inputs["bucket"], VersioningConfiguration={"Status": status}
    )
    return Created(inputs["bucket"], dict(inputs))


@driver(
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "bucket rules expectedBucketOwner transitionDefaultMinimumObjectSize region",
)
def _lifecycle(clouds: Clouds, inputs: Inputs) -> Created:
    clouds.aws.client("s3").put_bucket_lifecycle_configuration(
        Bucket=inputs["bucket"],
        LifecycleConfiguration={"Rules": [_lifecycle_rule(rule) for rule in inputs["rules"]]},
    )
    return Created(inputs["bucket"], dict(inputs))


def _lifecycle_rule(rule: Inputs) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "ID": rule["id"],
        "Status": rule["status"],
        "Filter": {"Prefix": rule.get("filter", {}).get("prefix", "")},
    }
    if "expiration" in rule:
        wire["Expiration"] = {"Days": int(rule["expiration"]["days"])}
    if "noncurrentVersionExpiration" in rule:
        days = int(rule["noncurrentVersionExpiration"]["noncurrentDays"])
        wire["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    if "abortIncompleteMultipartUpload" in rule:
        days = int(rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"])
        wire["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return wire


@driver(
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "bucket key content contentType serverSideEncryption tags tagsAll overrideProvider region",
)
def _object(clouds: Clouds, inputs: Inputs) -> Created:
    names = {"contentType": "ContentType", "serverSideEncryption": "ServerSideEncryption"}
    options = {wire: inputs[key] for key, wire in names.items() if key in inputs}
    clouds.aws.client("s3").put_object(
        Bucket=inputs["bucket"],
        Key=inputs["key"],
        Body=inputs["content"].encode(),
        **options,
    )
    arn = f"arn:aws:s3:::{inputs['bucket']}/{inputs['key']}"
    return Created(inputs["key"], {**inputs, "arn": arn})
