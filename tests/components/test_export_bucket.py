from __future__ import annotations

from tests.components.recording import ACCOUNT, Recording

NAME = f"shop-stg-rds-exports-{ACCOUNT}"
ARN = f"arn:aws:s3:::{NAME}"


def test_the_bucket_is_named_after_stack_and_account(ferry: Recording) -> None:
    bucket = ferry.one("aws:s3/bucket:Bucket")
    assert bucket.inputs["bucket"] == NAME
    assert bucket.inputs["forceDestroy"] is False
    assert not ferry.has("aws:s3/bucketVersioning:BucketVersioning")


def test_only_production_protects_the_bucket(ferry: Recording, production: Recording) -> None:
    assert not ferry.one("aws:s3/bucket:Bucket").protect
    assert production.one("aws:s3/bucket:Bucket").protect


def test_all_four_public_access_blocks_are_on(ferry: Recording) -> None:
    inputs = ferry.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert inputs == {
        "bucket": NAME,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }


def test_acls_are_off(ferry: Recording) -> None:
    inputs = ferry.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls").inputs
    assert inputs == {"bucket": NAME, "rule": {"objectOwnership": "BucketOwnerEnforced"}}


def test_objects_are_encrypted_with_the_export_key_and_a_bucket_key(ferry: Recording) -> None:
    type_ = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    (rule,) = ferry.one(type_).inputs["rules"]
    assert rule["bucketKeyEnabled"] is True
    default = rule["applyServerSideEncryptionByDefault"]
    assert default["sseAlgorithm"] == "aws:kms"
    assert default["kmsMasterKeyId"].startswith("arn:aws:kms:")


def test_plain_http_and_old_tls_are_denied_for_everyone(ferry: Recording) -> None:
    statements = ferry.statements("aws:s3/bucketPolicy:BucketPolicy")
    assert set(statements) == {"TlsOnly", "Tls12OrLater"}
    for each in statements.values():
        assert each["Effect"] == "Deny"
        assert each["Principal"] == "*"
        assert each["Action"] == ["s3:*"]
        assert each["Resource"] == [ARN, f"{ARN}/*"]
    assert statements["TlsOnly"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statements["Tls12OrLater"]["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}


def test_the_policy_waits_for_the_block(ferry: Recording) -> None:
    block = ferry.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert block.urn in ferry.one("aws:s3/bucketPolicy:BucketPolicy").depends_on


def test_exports_and_work_lists_expire_and_the_catalog_does_not(ferry: Recording) -> None:
    inputs = ferry.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs
    rules = {rule["id"]: rule for rule in inputs["rules"]}
    assert all(rule["status"] == "Enabled" for rule in rules.values())
    expiring = {
        rule["filter"]["prefix"]: rule["expiration"]["days"]
        for rule in rules.values()
        if "expiration" in rule
    }
    assert expiring == {"exports/": 5, "loads/": 5}
    abandoned = rules["abandoned-uploads"]
    assert abandoned["filter"] == {"prefix": ""}
    assert abandoned["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}


def test_rds_writes_below_the_prefix_and_nowhere_else(ferry: Recording) -> None:
    statements = ferry.statements("aws:iam/rolePolicy:RolePolicy", "shop-stg-rds-export")
    assert set(statements) == {"FindBucket", "WriteExports", "Encrypt"}
    assert statements["FindBucket"]["Resource"] == [ARN]
    assert statements["WriteExports"]["Resource"] == [f"{ARN}/exports/*"]
    assert {"s3:PutObject", "s3:GetObject", "s3:DeleteObject"} <= set(
        statements["WriteExports"]["Action"]
    )
    (key,) = statements["Encrypt"]["Resource"]
    assert key.startswith("arn:aws:kms:")


def test_only_rds_takes_the_export_role(ferry: Recording) -> None:
    role = ferry.one("aws:iam/role:Role", "shop-stg-rds-export")
    assert '"Service": "export.rds.amazonaws.com"' in role.inputs["assumeRolePolicy"]
