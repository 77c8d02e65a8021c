from __future__ import annotations

import json
import re
from datetime import datetime, timezone

from components.google_services import SERVICES
from export_identity import resolve, run_time
from tests.components.recording import ACCOUNT, PROJECT_NUMBER, Recording
from tests.components.stacks import config, run_program

PROJECT = "shop-analytics"
TRANSFER = f"serviceAccount:shop-stg-transfer@{PROJECT}.iam.gserviceaccount.com"
LOAD = f"serviceAccount:shop-stg-load@{PROJECT}.iam.gserviceaccount.com"
AGENT = (
    f"serviceAccount:service-{PROJECT_NUMBER}@gcp-sa-bigquerydatatransfer.iam.gserviceaccount.com"
)
TABLE = "gcp:bigquery/table:Table"
CONFIG = "gcp:bigquery/dataTransferConfig:DataTransferConfig"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
ACCOUNT_MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
DATASET_MEMBER = "gcp:bigquery/datasetIamMember:DatasetIamMember"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
TABLES = {
    "shop-db.shop.users": ("users", "shop-db shop.users", "shop/shop.users"),
    "shop-db.shop.orders": ("orders", "shop-db shop.orders", "shop/shop.orders"),
    "ledger-db.ledger.public.accounts": (
        "accounts",
        "ledger-db ledger.public.accounts",
        "ledger/public.accounts",
    ),
}


def test_services_are_enabled_and_never_disabled(ferry: Recording) -> None:
    services = ferry.all("gcp:projects/service:Service")
    assert {each.inputs["service"] for each in services} == set(SERVICES)
    for each in services:
        assert each.inputs["disableOnDestroy"] is False
        assert each.inputs["project"] == PROJECT
    last = max(ferry.position(each) for each in services)
    others = [
        each
        for each in ferry.resources
        if each.type.startswith("gcp:") and each.type != "gcp:projects/service:Service"
    ]
    assert all(ferry.position(each) > last for each in others)


def test_the_agent_may_act_as_the_transfers_account_and_as_no_other(ferry: Recording) -> None:
    identity = ferry.one("gcp:projects/serviceIdentity:ServiceIdentity")
    assert identity.inputs["service"] == "bigquerydatatransfer.googleapis.com"
    agent = ferry.one(ACCOUNT_MEMBER, "shop-stg-transfer-agent")
    assert agent.inputs["role"] == "roles/iam.serviceAccountTokenCreator"
    assert agent.inputs["member"] == AGENT
    assert agent.inputs["serviceAccountId"].endswith(TRANSFER.partition(":")[2])
    assert identity.urn in agent.depends_on
    role = ferry.one(PROJECT_MEMBER, "shop-stg-transfer-agent")
    assert role.inputs["role"] == "roles/bigquerydatatransfer.serviceAgent"
    assert role.inputs["member"] == AGENT


def test_nobody_is_an_administrator_of_the_project(ferry: Recording) -> None:
    roles = {each.inputs["roleId"]: each.inputs["permissions"] for each in ferry.all(ROLE)}
    assert roles == {
        "shop_stg_transfer_project": [
            "bigquery.jobs.create",
            "bigquery.transfers.get",
            "bigquery.transfers.update",
        ],
        "shop_stg_transfer_dataset": [
            "bigquery.datasets.get",
            "bigquery.datasets.getIamPolicy",
            "bigquery.datasets.setIamPolicy",
            "bigquery.datasets.update",
        ],
        "shop_stg_load": [
            "bigquery.jobs.create",
            "bigquery.transfers.get",
            "bigquery.transfers.update",
        ],
    }
    assert {(e.inputs["member"], e.inputs["role"]) for e in ferry.all(PROJECT_MEMBER)} == {
        (TRANSFER, f"projects/{PROJECT}/roles/shop_stg_transfer_project"),
        (AGENT, "roles/bigquerydatatransfer.serviceAgent"),
        (LOAD, f"projects/{PROJECT}/roles/shop_stg_load"),
    }


def test_exactly_these_write_to_the_dataset(ferry: Recording) -> None:
    assert {(e.inputs["member"], e.inputs["role"]) for e in ferry.all(DATASET_MEMBER)} == {
        (TRANSFER, "roles/bigquery.dataEditor"),
        (TRANSFER, f"projects/{PROJECT}/roles/shop_stg_transfer_dataset"),
        (AGENT, "roles/bigquery.dataEditor"),
        (LOAD, "roles/bigquery.dataEditor"),
    }


def test_the_dataset_keeps_its_contents_and_googles_own_members(ferry: Recording) -> None:
    dataset = ferry.one("gcp:bigquery/dataset:Dataset")
    assert dataset.inputs["datasetId"] == "shop_stg_rds_data"
    assert dataset.inputs["location"] == "EU"
    assert dataset.inputs["deleteContentsOnDestroy"] is False
    assert "accesses" not in dataset.inputs


def test_production_is_protected(ferry: Recording, production: Recording) -> None:
    assert not ferry.one("gcp:bigquery/dataset:Dataset").protect
    assert production.one("gcp:bigquery/dataset:Dataset").protect
    assert {each.inputs["deletionProtection"] for each in ferry.all(TABLE)} == {False}
    assert {each.inputs["deletionProtection"] for each in production.all(TABLE)} == {True}


def test_a_table_has_no_schema_of_ours(ferry: Recording) -> None:
    tables = {each.name: each for each in ferry.all(TABLE)}
    assert set(tables) == set(TABLES)
    for name, (destination, _, _) in TABLES.items():
        assert tables[name].inputs["tableId"] == destination
        assert tables[name].inputs["datasetId"] == "shop_stg_rds_data"
        assert "schema" not in tables[name].inputs
        assert tables[name].ignore_changes == ("schema",)


def test_a_table_has_exactly_two_resources_of_one_component(ferry: Recording) -> None:
    (transfers,) = ferry.all("data-ferry:transfers:Transfers")
    children = [each for each in ferry.resources if each.parent == transfers.urn]
    assert len(children) == 2 * len(TABLES)
    assert {each.type for each in children} == {TABLE, CONFIG}


def test_a_config_loads_all_of_one_export_and_replaces_the_table(ferry: Recording) -> None:
    configs = {each.name: each for each in ferry.all(CONFIG)}
    assert set(configs) == set(TABLES)
    for name, (destination, display_name, folder) in TABLES.items():
        inputs = configs[name].inputs
        source = name.partition(".")[0]
        assert inputs["dataSourceId"] == "amazon_s3"
        assert inputs["displayName"] == display_name
        assert inputs["destinationDatasetId"] == "shop_stg_rds_data"
        assert inputs["location"] == "EU"
        assert inputs["serviceAccountName"] == TRANSFER.partition(":")[2]
        hour = '{run_time-2h|"%Y%m%d%H"}'
        assert inputs["params"] == {
            "destination_table_name_template": destination,
            "data_path": (
                f"s3://shop-stg-rds-exports-{ACCOUNT}/exports/{source}-{hour}/{folder}/*.parquet"
            ),
            "access_key_id": "AKIA-shop-stg-reader-1",
            "file_format": "PARQUET",
            "write_disposition": "WRITE_TRUNCATE",
            "decimal_target_types": "NUMERIC,BIGNUMERIC,STRING",
            "max_bad_records": "0",
        }


def test_no_config_runs_by_the_clock(ferry: Recording) -> None:
    """A run for an export that is late finds no file and succeeds: the table stays as it was."""
    for each in ferry.all(CONFIG):
        assert each.inputs["scheduleOptions"] == {"disableAutoScheduling": True}
        assert "schedule" not in each.inputs


def test_a_config_comes_after_its_table_and_every_grant(ferry: Recording) -> None:
    grants = [
        *ferry.all(DATASET_MEMBER),
        ferry.one(PROJECT_MEMBER, "shop-stg-transfer-account"),
        ferry.one(PROJECT_MEMBER, "shop-stg-transfer-agent"),
        ferry.one(ACCOUNT_MEMBER, "shop-stg-transfer-agent"),
    ]
    tables = {each.name: each for each in ferry.all(TABLE)}
    for each in ferry.all(CONFIG):
        assert {grant.urn for grant in grants} <= each.depends_on
        assert tables[each.name].urn in each.depends_on


def test_the_catalog_names_every_table_and_its_transfer(ferry: Recording) -> None:
    objects = {
        each.inputs["key"]: each for each in ferry.all("aws:s3/bucketObjectv2:BucketObjectv2")
    }
    assert set(objects) == {"catalog/shop-db.json", "catalog/ledger-db.json"}
    transfers = f"projects/{PROJECT_NUMBER}/locations/EU/transferConfigs"
    assert json.loads(objects["catalog/ledger-db.json"].inputs["content"]) == {
        "source": "ledger-db",
        "dataset": "shop_stg_rds_data",
        "tables": [
            {
                "name": "ledger.public.accounts",
                "path": "ledger/public.accounts",
                "table": "accounts",
                "transfer_config": f"{transfers}/ledger-db.ledger.public.accounts",
            }
        ],
    }
    shop = json.loads(objects["catalog/shop-db.json"].inputs["content"])
    assert [table["name"] for table in shop["tables"]] == ["shop.users", "shop.orders"]


def test_who_deploys_can_write_the_catalog(ferry: Recording) -> None:
    """The export key lets no administrator encrypt, so the bucket's default would be refused."""
    for each in ferry.all("aws:s3/bucketObjectv2:BucketObjectv2"):
        # S3 takes 10 tags on an object, and a stack may have more labels than that.
        assert each.inputs["overrideProvider"] == {"defaultTags": {"tags": {}}}
        assert each.inputs["serverSideEncryption"] == "AES256"
        assert "kmsKeyId" not in each.inputs


def test_a_config_reads_the_folder_the_catalog_names(ferry: Recording) -> None:
    """Both ends of the route: what a run at the export's time reads is what RDS has written."""
    hour = datetime(2026, 11, 20, 3, tzinfo=timezone.utc)
    for each in ferry.all(CONFIG):
        source = each.name.partition(".")[0]
        path = resolve(each.inputs["params"]["data_path"], run_time(hour, 2))
        folder = TABLES[each.name][2]
        bucket = f"shop-stg-rds-exports-{ACCOUNT}"
        assert path == f"s3://{bucket}/exports/{source}-2026112003/{folder}/*.parquet"


def test_one_aws_role_and_no_other_becomes_the_load_account(ferry: Recording) -> None:
    role = ferry.one("aws:iam/role:Role", "shop-stg-load-functions").inputs["name"]
    assumed = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}"
    pool = ferry.one("gcp:iam/workloadIdentityPool:WorkloadIdentityPool")
    assert pool.inputs["workloadIdentityPoolId"] == "shop-stg"
    provider = ferry.one("gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider")
    assert provider.inputs["aws"] == {"accountId": ACCOUNT}
    assert provider.inputs["attributeCondition"] == f'attribute.aws_role == "{assumed}"'
    assert re.fullmatch(r"[a-z0-9-]{4,32}", provider.inputs["workloadIdentityPoolProviderId"])
    assert set(provider.inputs["attributeMapping"]) == {"google.subject", "attribute.aws_role"}
    binding = ferry.one(ACCOUNT_MEMBER, "shop-stg-load")
    assert binding.inputs["role"] == "roles/iam.workloadIdentityUser"
    assert binding.inputs["member"] == (
        f"principalSet://iam.googleapis.com/projects/{PROJECT_NUMBER}/locations/global/"
        f"workloadIdentityPools/shop-stg/attribute.aws_role/{assumed}"
    )


def test_the_project_number_is_looked_up_unless_it_is_given(
    ferry: Recording, production: Recording
) -> None:
    lookup = "gcp:organizations/getProject:getProject"
    assert (lookup, {"projectId": PROJECT}) in ferry.calls
    assert lookup not in {token for token, _ in production.calls}
    agents = {
        each.inputs["member"]
        for each in production.all(ACCOUNT_MEMBER)
        if "gcp-sa-bigquerydatatransfer" in each.inputs["member"]
    }
    assert agents == {AGENT.replace(PROJECT_NUMBER, "424242424242")}


def test_the_longest_names_are_legal_accounts() -> None:
    stack = run_program({**config(), "data-ferry:service": "a-long-service-name"}, stack="staging")
    for each in stack.all("gcp:serviceaccount/account:Account"):
        assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", each.inputs["accountId"])
    for each in stack.all(ROLE):
        assert re.fullmatch(r"[a-zA-Z0-9_.]{3,64}", each.inputs["roleId"])
