from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from components.transfers import SourceTable, Transfers, TransfersArgs
from tests.components.recording import ACCOUNT, REGION, SECRET_OF_KEY, Recording, record
from tests.components.stacks import config, run_program

KEY = "aws:iam/accessKey:AccessKey"
BUCKET = f"arn:aws:s3:::shop-stg-rds-exports-{ACCOUNT}"


def paths_of(value: Any, wanted: str, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, wanted, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths_of(inner, wanted, f"{path}[{index}]")
    elif wanted in str(value):
        yield path


def test_the_reader_reads_one_prefix_of_one_bucket(ferry: Recording) -> None:
    statements = ferry.statements("aws:iam/userPolicy:UserPolicy")
    assert set(statements) == {"ListExports", "FindBucket", "ReadExports", "Decrypt"}
    assert statements["ListExports"]["Action"] == ["s3:ListBucket"]
    assert statements["ListExports"]["Resource"] == [BUCKET]
    assert statements["ListExports"]["Condition"] == {"StringLike": {"s3:prefix": ["exports/*"]}}
    assert statements["FindBucket"]["Action"] == ["s3:GetBucketLocation"]
    assert statements["ReadExports"]["Action"] == ["s3:GetObject"]
    assert statements["ReadExports"]["Resource"] == [f"{BUCKET}/exports/*"]
    assert statements["Decrypt"]["Action"] == ["kms:Decrypt"]
    assert statements["Decrypt"]["Condition"] == {
        "StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"},
        "StringLike": {"kms:EncryptionContext:aws:s3:arn": [BUCKET, f"{BUCKET}/exports/*"]},
    }


def test_the_secret_is_known_to_the_configs_and_the_secret_manager_alone(
    ferry: Recording,
) -> None:
    holders = {}
    for each in ferry.resources:
        for path in paths_of(each.inputs, SECRET_OF_KEY):
            holders[each.type, path.split(".")[0]] = each
            marked = any(path == secret or path.startswith(f"{secret}.") for secret in each.secrets)
            assert marked, f"{each.type} {each.name} has the secret in the open at {path}"
    assert set(holders) == {
        ("gcp:bigquery/dataTransferConfig:DataTransferConfig", "sensitiveParams"),
        ("gcp:secretmanager/secretVersion:SecretVersion", "secretData"),
    }


def test_the_stack_tells_no_secret(ferry: Recording) -> None:
    assert ferry.outputs
    assert SECRET_OF_KEY not in json.dumps(ferry.outputs)
    assert not ferry.secret_outputs


def test_the_keys_secret_is_one_in_the_state(ferry: Recording) -> None:
    assert "secret" in ferry.one(KEY).secret_outputs


def test_a_generation_is_a_key_of_its_own() -> None:
    """Under another name the new key is made first and the old one deleted at the end."""
    first = run_program(config())
    second = run_program(config({"reader_key_generation": 2}))
    assert first.one(KEY).name == "shop-stg-reader-1"
    assert second.one(KEY).name == "shop-stg-reader-2"
    assert first.one("aws:iam/user:User").urn == second.one("aws:iam/user:User").urn
    for type_ in (
        "gcp:bigquery/dataTransferConfig:DataTransferConfig",
        "gcp:secretmanager/secretVersion:SecretVersion",
    ):
        assert {e.urn for e in first.all(type_)} == {e.urn for e in second.all(type_)}
    ids = {
        config.inputs["params"]["access_key_id"]
        for config in second.all("gcp:bigquery/dataTransferConfig:DataTransferConfig")
    }
    # The id is part of the params: an update of the secret alone would send nothing to Google.
    assert ids == {"AKIA-shop-stg-reader-2"}


def test_both_halves_of_the_key_are_kept_in_secret_manager(ferry: Recording) -> None:
    secrets = {each.name: each for each in ferry.all("gcp:secretmanager/secret:Secret")}
    assert set(secrets) == {"shop-stg-access_key_id", "shop-stg-secret_access_key"}
    for name, each in secrets.items():
        assert each.inputs["secretId"] == name
        assert each.inputs["replication"] == {"auto": {}}
    versions = {
        each.name: each.inputs["secretData"]
        for each in ferry.all("gcp:secretmanager/secretVersion:SecretVersion")
    }
    assert versions == {
        "shop-stg-access_key_id": "AKIA-shop-stg-reader-1",
        "shop-stg-secret_access_key": SECRET_OF_KEY,
    }


def test_a_config_hides_the_secret_whoever_hands_it_over() -> None:
    table = SourceTable(
        source="db",
        engine="mysql",
        database="shop",
        schema="shop",
        name="users",
        target="shop.users",
        destination="users",
    )
    args = TransfersArgs(
        project="p",
        dataset_id="d",
        location="EU",
        service_account="a@p.iam.gserviceaccount.com",
        bucket="b",
        prefix="exports",
        run_time_offset_hours=0,
        access_key_id="AKIA",
        secret_access_key=SECRET_OF_KEY,
        deletion_protection=False,
        tables=[table],
        after=[],
    )
    stack = record(lambda: Transfers("transfers", args))
    config = stack.one("gcp:bigquery/dataTransferConfig:DataTransferConfig")
    assert list(paths_of(config.inputs, SECRET_OF_KEY)) == ["sensitiveParams.secretAccessKey"]
    assert config.secrets == {"sensitiveParams.secretAccessKey"}
