from __future__ import annotations

from tests.components.recording import ACCOUNT, REGION, Recording

BUCKET = f"arn:aws:s3:::shop-stg-rds-exports-{ACCOUNT}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop-stg-"
DATA_USE = {
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
}


def test_the_key_rotates_and_has_the_stacks_alias(ferry: Recording) -> None:
    key = ferry.one("aws:kms/key:Key", "shop-stg-rds-exports")
    assert key.inputs["enableKeyRotation"] is True
    assert key.inputs["deletionWindowInDays"] == 30
    assert "policy" not in key.inputs, "the key's policy is set by KeyPolicy alone"
    alias = ferry.one("aws:kms/alias:Alias", "shop-stg-rds-exports")
    assert alias.inputs["name"] == "alias/shop-stg-rds-exports"
    policy = ferry.one("aws:kms/keyPolicy:KeyPolicy")
    assert alias.inputs["targetKeyId"] == policy.inputs["keyId"]


def test_the_policy_has_these_statements_and_no_other(ferry: Recording) -> None:
    assert set(ferry.statements("aws:kms/keyPolicy:KeyPolicy")) == {
        "Administration",
        "ExportRoleWrites",
        "ExportMachinesDescribe",
        "ExportMachinesGrantToRds",
        "ReaderDecrypts",
        "LoadFunctionsReadAndWrite",
    }


def test_the_account_administers_without_data_use(ferry: Recording) -> None:
    statement = ferry.statements("aws:kms/keyPolicy:KeyPolicy")["Administration"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert statement["Effect"] == "Allow"
    assert not DATA_USE & set(statement["Action"])
    # Whoever could not set the policy again would be locked out for good.
    assert "kms:PutKeyPolicy" in statement["Action"]


def test_rds_writes_with_the_export_role(ferry: Recording) -> None:
    statement = ferry.statements("aws:kms/keyPolicy:KeyPolicy")["ExportRoleWrites"]
    assert statement["Principal"] == {"AWS": f"{ROLE}rds-export"}
    assert set(statement["Action"]) == {
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
        "kms:RetireGrant",
    }


def test_the_export_machines_see_the_key_and_grant_it_to_aws_alone(ferry: Recording) -> None:
    statements = ferry.statements("aws:kms/keyPolicy:KeyPolicy")
    machines = {"AWS": [f"{ROLE}export-shop-db", f"{ROLE}export-ledger-db"]}
    describe = statements["ExportMachinesDescribe"]
    assert describe["Principal"] == machines
    assert describe["Action"] == ["kms:DescribeKey"]
    grant = statements["ExportMachinesGrantToRds"]
    assert grant["Principal"] == machines
    assert grant["Action"] == ["kms:CreateGrant"]
    assert grant["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_the_reader_only_decrypts_and_only_exports_through_s3(ferry: Recording) -> None:
    statement = ferry.statements("aws:kms/keyPolicy:KeyPolicy")["ReaderDecrypts"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:user/shop-stg-reader"}
    assert statement["Action"] == ["kms:Decrypt"]
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"},
        "StringLike": {"kms:EncryptionContext:aws:s3:arn": [BUCKET, f"{BUCKET}/exports/*"]},
    }


def test_the_load_functions_use_the_key_through_s3_for_this_bucket(ferry: Recording) -> None:
    statement = ferry.statements("aws:kms/keyPolicy:KeyPolicy")["LoadFunctionsReadAndWrite"]
    assert statement["Principal"] == {"AWS": f"{ROLE}load-functions"}
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"},
        "StringLike": {"kms:EncryptionContext:aws:s3:arn": [BUCKET, f"{BUCKET}/*"]},
    }


def test_the_policy_comes_after_every_principal_it_names(ferry: Recording) -> None:
    """KMS refuses a policy with a principal that does not exist (MalformedPolicyDocument)."""
    policy = ferry.one("aws:kms/keyPolicy:KeyPolicy")
    principals = [
        ferry.one("aws:iam/role:Role", "shop-stg-rds-export"),
        ferry.one("aws:iam/role:Role", "shop-stg-export-shop-db"),
        ferry.one("aws:iam/role:Role", "shop-stg-export-ledger-db"),
        ferry.one("aws:iam/user:User"),
        ferry.one("aws:iam/role:Role", "shop-stg-load-functions"),
    ]
    assert {each.urn for each in principals} <= policy.depends_on
    assert all(ferry.position(each) < ferry.position(policy) for each in principals)


def test_only_production_protects_the_key(ferry: Recording, production: Recording) -> None:
    assert not ferry.one("aws:kms/key:Key", "shop-stg-rds-exports").protect
    assert production.one("aws:kms/key:Key", "shop-prod-rds-exports").protect
