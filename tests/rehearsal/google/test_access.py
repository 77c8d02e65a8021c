"""A service account may do what its roles say and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

PROJECT = "/v1/projects/shop-analytics"
DATASET = "/bigquery/v2/projects/shop-analytics/datasets/shop_data"


@pytest.fixture
def functions(world):
    """The account of the load functions, without any role, and a table to work on."""
    world.enable()
    world.dataset()
    world.table("users", [{"name": "id", "type": "INT64"}])
    return world.account("shop-load")


def custom_role(world, *permissions, role_id="settle"):
    role = world.api(
        "POST",
        f"{PROJECT}/roles",
        {"roleId": role_id, "role": {"title": "x", "includedPermissions": list(permissions)}},
    )
    return role["name"]


def share(world, email, role):
    access = world.api("GET", DATASET)["access"]
    world.api("PATCH", DATASET, {"access": [*access, {"role": role, "userByEmail": email}]})


def test_nobody_knows_an_unknown_token(world, new_api, refused) -> None:
    stranger = new_api(world, "ya29.stolen")
    with pytest.raises(refused) as error:
        stranger("GET", DATASET)
    assert error.value.code == 401
    assert error.value.body["error"]["status"] == "UNAUTHENTICATED"


def test_the_deployer_and_the_anonymous_user_may_do_everything(world, new_api) -> None:
    world.dataset()
    for token in ("local-deployer", None):
        assert new_api(world, token)("GET", DATASET)["id"] == "shop-analytics:shop_data"


def test_a_token_ends_after_its_hour(start, refused) -> None:
    now = [datetime(2026, 1, 1, tzinfo=timezone.utc)]
    world = start(clock=lambda: now[0])
    world.enable()
    api = world.token_of(world.account("shop-load", "roles/bigquery.jobUser"))
    now[0] += timedelta(minutes=59)
    assert api.query("SELECT 1")["jobComplete"]
    now[0] += timedelta(minutes=1)
    with pytest.raises(refused) as error:
        api.query("SELECT 1")
    assert error.value.code == 401


def test_a_query_needs_the_right_to_run_jobs_and_to_read(world, functions, refused) -> None:
    api = world.token_of(functions)
    with pytest.raises(refused) as error:
        api.query("SELECT COUNT(*) FROM shop_data.users")
    assert error.value.code == 403
    assert error.value.message == (
        "Access Denied: Project shop-analytics: User does not have bigquery.jobs.create "
        "permission in project shop-analytics."
    )
    world.grant(PROJECT, "roles/bigquery.jobUser", f"serviceAccount:{functions}")
    with pytest.raises(refused, match=r"Permission bigquery\.tables\.getData denied on table"):
        api.query("SELECT COUNT(*) FROM shop_data.users")
    share(world, functions, "READER")
    assert api.query("SELECT COUNT(*) FROM shop_data.users")["rows"] == [{"f": [{"v": "0"}]}]
    with pytest.raises(refused, match=r"Permission bigquery\.tables\.updateData denied on table"):
        api.query("TRUNCATE TABLE shop_data.users")


def test_a_custom_role_gives_exactly_its_permissions(world, functions, refused) -> None:
    role = custom_role(
        world, "bigquery.jobs.create", "bigquery.tables.updateData", "bigquery.tables.get"
    )
    world.grant(PROJECT, role, f"serviceAccount:{functions}")
    api = world.token_of(functions)
    assert api("GET", f"{DATASET}/tables/users")["numRows"] == "0"
    assert api.query("TRUNCATE TABLE shop_data.users")["numDmlAffectedRows"] == "0"
    with pytest.raises(refused, match=r"bigquery\.tables\.getData"):
        api("GET", f"{DATASET}/tables/users/data")
    with pytest.raises(refused, match=r"bigquery\.tables\.delete"):
        api("DELETE", f"{DATASET}/tables/users")


def test_a_role_on_the_dataset_or_the_table_is_enough_there(world, functions, refused) -> None:
    world.table("orders", [{"name": "id", "type": "INT64"}])
    path = f"{DATASET}/tables/users"
    member = f"serviceAccount:{functions}"
    bindings = [{"role": "roles/bigquery.dataViewer", "members": [member]}]
    world.api("POST", f"{path}:setIamPolicy", {"policy": {"bindings": bindings}})
    api = world.token_of(functions)
    assert api("GET", f"{path}/data")["totalRows"] == "0"
    with pytest.raises(refused, match=r"tables\.getData denied"):
        api("GET", f"{DATASET}/tables/orders/data")
    share(world, functions, "roles/bigquery.dataViewer")
    assert api("GET", f"{DATASET}/tables/orders/data")["totalRows"] == "0"


def test_transfers_need_their_own_permissions(world, functions, refused) -> None:
    owner = world.account("shop-transfer", "roles/bigquery.admin")
    world.agent()
    world.let_agent_act_as(owner)
    config = world.config(owner)
    api = world.token_of(functions)
    path = f"/v1/{config['name']}"
    with pytest.raises(refused, match=r"'bigquery\.transfers\.get' denied"):
        api("GET", path)
    world.grant(
        PROJECT, custom_role(world, "bigquery.transfers.get"), f"serviceAccount:{functions}"
    )
    assert api("GET", path)["name"] == config["name"]
    with pytest.raises(refused, match=r"'bigquery\.transfers\.update' denied"):
        api("POST", f"{path}:startManualRuns", {"requestedRunTime": "2026-01-01T03:00:00Z"})


def test_making_a_transfer_needs_to_act_as_its_owner(world, functions, refused) -> None:
    owner = world.account("shop-transfer", "roles/bigquery.admin")
    world.agent()
    world.let_agent_act_as(owner)
    world.grant(PROJECT, "roles/bigquery.admin", f"serviceAccount:{functions}")
    api = world.token_of(functions)
    with pytest.raises(refused, match=r"iam\.serviceAccounts\.actAs"):
        world.config(owner, api=api)
    account = f"{PROJECT}/serviceAccounts/{owner}"
    world.grant(account, "roles/iam.serviceAccountUser", f"serviceAccount:{functions}")
    assert world.config(owner, api=api)["displayName"] == "shop db.users"


def test_a_deleted_custom_role_gives_nothing(world, functions, refused) -> None:
    role = custom_role(world, "bigquery.datasets.get")
    world.grant(PROJECT, role, f"serviceAccount:{functions}")
    api = world.token_of(functions)
    assert api("GET", DATASET)["location"] == "EU"
    world.api("DELETE", f"/v1/{role}")
    with pytest.raises(refused, match=r"bigquery\.datasets\.get"):
        api("GET", DATASET)
    world.api("POST", f"/v1/{role}:undelete", {})
    assert api("GET", DATASET)["location"] == "EU"


def test_tokens_of_an_account_are_not_for_everybody(world, functions, refused) -> None:
    other = world.account("shop-other")
    api = world.token_of(functions)
    path = f"/v1/projects/-/serviceAccounts/{other}:generateAccessToken"
    with pytest.raises(refused, match=r"'iam\.serviceAccounts\.getAccessToken' denied") as error:
        api("POST", path, {"scope": ["x"]})
    assert error.value.code == 403
    account = f"{PROJECT}/serviceAccounts/{other}"
    world.grant(account, "roles/iam.serviceAccountTokenCreator", f"serviceAccount:{functions}")
    assert api("POST", path, {"scope": ["x"]})["accessToken"]
    with pytest.raises(refused, match="at least one scope"):
        api("POST", path, {})


@pytest.mark.parametrize(
    ("role", "member", "told"),
    [
        ("roles/bigquery.dataEdditor", "user:a@example.com", "roles/bigquery.dataEdditor"),
        ("projects/shop-analytics/roles/none", "user:a@example.com", "is not supported"),
        ("roles/bigquery.jobUser", "a@example.com", "Invalid member: a@example.com"),
        (
            "roles/bigquery.jobUser",
            "serviceAccount:gone@shop-analytics.iam.gserviceaccount.com",
            "Service account gone@shop-analytics.iam.gserviceaccount.com does not exist",
        ),
        (
            "roles/bigquery.jobUser",
            "serviceAccount:service-123456789012@gcp-sa-bigquerydatatransfer.iam"
            ".gserviceaccount.com",
            "does not exist",
        ),
    ],
)
def test_a_policy_with_a_mistake_is_refused(world, refused, role, member, told) -> None:
    with pytest.raises(refused) as error:
        world.grant(PROJECT, role, member)
    assert error.value.code == 400
    assert told in error.value.message


def test_a_stale_policy_is_refused(world, refused) -> None:
    stale = world.api("POST", f"{PROJECT}:getIamPolicy")
    world.grant(PROJECT, "roles/bigquery.jobUser", "user:a@example.com")
    with pytest.raises(refused, match="concurrent policy changes") as error:
        world.api("POST", f"{PROJECT}:setIamPolicy", {"policy": stale})
    assert error.value.code == 409


def test_a_member_that_is_gone_does_not_hinder_others(world) -> None:
    world.enable()
    email = world.account("shop-gone", "roles/bigquery.jobUser")
    world.api("DELETE", f"{PROJECT}/serviceAccounts/{email}")
    world.grant(PROJECT, "roles/bigquery.user", "user:a@example.com")
    roles = [b["role"] for b in world.api("POST", f"{PROJECT}:getIamPolicy")["bindings"]]
    assert "roles/bigquery.user" in roles


def test_conditions_are_refused_and_not_ignored(world, refused) -> None:
    binding = {
        "role": "roles/bigquery.jobUser",
        "members": ["user:a@example.com"],
        "condition": {"expression": "false"},
    }
    with pytest.raises(refused, match="has a condition"):
        world.api("POST", f"{PROJECT}:setIamPolicy", {"policy": {"bindings": [binding]}})
