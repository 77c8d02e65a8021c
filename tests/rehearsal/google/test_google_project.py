"""The project around the data: services, accounts, roles and secrets."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from rehearsal.google.secrets import crc32c

PROJECT = "/v1/projects/shop-analytics"
SECRETS = f"{PROJECT}/secrets"
AUTOMATIC: dict[str, Any] = {"replication": {"automatic": {}}}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_project_is_found_by_id_and_by_number(world, refused) -> None:
    by_id = world.api("GET", PROJECT)
    assert by_id["projectNumber"] == "123456789012"
    assert world.api("GET", "/v1/projects/123456789012") == by_id
    with pytest.raises(refused) as error:
        world.api("GET", "/v1/projects/other")
    assert error.value.code == 404


def test_services_are_enabled_and_listed(world) -> None:
    assert world.api("GET", f"{PROJECT}/services/iam.googleapis.com")["state"] == "DISABLED"
    operation = world.api(
        "POST", f"{PROJECT}/services:batchEnable", {"serviceIds": ["iam.googleapis.com"]}
    )
    assert operation["done"] is True
    listed = world.api("GET", f"{PROJECT}/services?filter=state:ENABLED")["services"]
    assert "projects/123456789012/services/iam.googleapis.com" in [s["name"] for s in listed]


@pytest.mark.parametrize(
    ("path", "service"),
    [
        (SECRETS, "Secret Manager API"),
        (f"{PROJECT}/serviceAccounts", "Identity and Access Management (IAM) API"),
    ],
)
def test_an_api_that_nobody_enabled_does_not_answer(world, refused, path, service) -> None:
    with pytest.raises(refused) as error:
        world.api("GET", path)
    assert error.value.code == 403
    assert error.value.message.startswith(f"{service} has not been used in project")


def test_a_secret_keeps_its_versions(world, refused) -> None:
    world.enable()
    secret = world.api("POST", f"{SECRETS}?secretId=key_id", {**AUTOMATIC, "labels": {"team": "x"}})
    assert secret["name"] == "projects/123456789012/secrets/key_id"
    with pytest.raises(refused, match="already exists"):
        world.api("POST", f"{SECRETS}?secretId=key_id", AUTOMATIC)
    for text in ("first", "zweite-ü"):
        payload = {"payload": {"data": encoded(text)}}
        version = world.api("POST", f"/v1/{secret['name']}:addVersion", payload)
    assert version["name"].endswith("/versions/2")
    read = world.api("GET", f"/v1/{secret['name']}/versions/latest:access")
    assert base64.b64decode(read["payload"]["data"]).decode() == "zweite-ü"
    world.api("POST", f"/v1/{secret['name']}/versions/1:destroy", {})
    with pytest.raises(refused, match="DESTROYED state"):
        world.api("GET", f"/v1/{secret['name']}/versions/1:access")
    with pytest.raises(refused, match="not found"):
        world.api("GET", f"/v1/{secret['name']}/versions/3:access")
    assert world.api("DELETE", f"/v1/{secret['name']}") == {}
    with pytest.raises(refused, match="not found"):
        world.api("GET", f"/v1/{secret['name']}")


def test_a_version_may_be_destroyed_later(start, refused) -> None:
    now = [datetime(2026, 1, 1, tzinfo=timezone.utc)]
    world = start(clock=lambda: now[0])
    world.enable()
    name = world.api("POST", f"{SECRETS}?secretId=s", {**AUTOMATIC, "versionDestroyTtl": "86400s"})[
        "name"
    ]
    path = f"/v1/{name}/versions/1"
    world.api("POST", f"/v1/{name}:addVersion", {"payload": {"data": encoded("x")}})
    doomed = world.api("POST", f"{path}:destroy", {})
    assert (doomed["state"], doomed["scheduledDestroyTime"][:10]) == ("DISABLED", "2026-01-02")
    assert "scheduledDestroyTime" not in world.api("POST", f"{path}:enable", {})
    world.api("POST", f"{path}:destroy", {})
    now[0] += timedelta(days=1)
    assert world.api("GET", path)["state"] == "DESTROYED"


def test_only_an_accessor_reads_a_secret(world, refused) -> None:
    world.enable()
    email = world.account("shop-load")
    name = world.api("POST", f"{SECRETS}?secretId=key_id", AUTOMATIC)["name"]
    world.api("POST", f"/v1/{name}:addVersion", {"payload": {"data": encoded("x")}})
    api = world.token_of(email)
    with pytest.raises(refused, match=r"'secretmanager\.versions\.access' denied"):
        api("GET", f"/v1/{name}/versions/1:access")
    role = "roles/secretmanager.secretAccessor"
    world.grant(f"/v1/{name}", role, f"serviceAccount:{email}")
    assert api("GET", f"/v1/{name}/versions/1:access")["payload"]["data"] == encoded("x")


def test_a_payload_that_was_damaged_is_refused(world, refused) -> None:
    world.enable()
    name = world.api("POST", f"{SECRETS}?secretId=key_id", AUTOMATIC)["name"]
    data = encoded("123456789")
    good = str(crc32c(b"123456789"))
    assert good == "3808858755"  # the check value of CRC-32C
    world.api("POST", f"/v1/{name}:addVersion", {"payload": {"data": data, "dataCrc32c": good}})
    for payload in ({"data": data, "dataCrc32c": "1"}, {"data": "!"}, {"data": ""}):
        with pytest.raises(refused):
            world.api("POST", f"/v1/{name}:addVersion", {"payload": payload})


@pytest.mark.parametrize(
    "labels", [{"Team": "x"}, {"teaM": "x"}, {"team": "X"}, {"1a": "x"}, {"a b": "x"}]
)
def test_labels_are_lower_case(world, refused, labels) -> None:
    world.enable()
    with pytest.raises(refused, match="Invalid label"):
        world.api("POST", f"{SECRETS}?secretId=key_id", {**AUTOMATIC, "labels": labels})


def test_service_accounts(world, refused) -> None:
    world.enable()
    email = world.account("shop-load")
    assert email == "shop-load@shop-analytics.iam.gserviceaccount.com"
    path = f"{PROJECT}/serviceAccounts"
    assert world.api("GET", f"{path}/{email}")["email"] == email
    with pytest.raises(refused) as error:
        world.account("shop-load")
    assert error.value.code == 409
    for account_id in ("short", "Upper-case", "ends-", "x" * 31):
        with pytest.raises(refused, match="6 to 30"):
            world.account(account_id)
    world.api("DELETE", f"{path}/{email}")
    with pytest.raises(refused) as error:
        world.api("GET", f"{path}/{email}")
    assert error.value.code == 404


def test_the_update_mask_of_an_account(world) -> None:
    world.enable()
    path = f"{PROJECT}/serviceAccounts/{world.account('shop-load')}"
    both = {"displayName": "d", "description": "e"}
    assert world.api("PATCH", path, {"serviceAccount": both})["description"] == "e"
    only = {"serviceAccount": {"displayName": "n", "description": "n"}, "updateMask": "displayName"}
    changed = world.api("PATCH", path, only)
    assert (changed["displayName"], changed["description"]) == ("n", "e")
    cleared = world.api("PATCH", path, {"serviceAccount": {}, "updateMask": "description"})
    assert (cleared["displayName"], cleared["description"]) == ("n", "")


def test_custom_roles_are_changed_and_checked(world, refused) -> None:
    world.enable()
    body = {"title": "Settle", "includedPermissions": ["bigquery.tables.get"]}
    role = world.api("POST", f"{PROJECT}/roles", {"roleId": "settle", "role": body})
    assert role["name"] == "projects/shop-analytics/roles/settle"
    more = ["bigquery.tables.get", "bigquery.tables.updateData"]
    world.api("PATCH", f"/v1/{role['name']}", {"includedPermissions": more})
    assert world.api("GET", f"/v1/{role['name']}")["includedPermissions"] == more
    with pytest.raises(refused, match="is not valid"):
        world.api("PATCH", f"/v1/{role['name']}", {"includedPermissions": ["bigquery.*"]})


def test_what_is_not_served_says_so(world, refused) -> None:
    with pytest.raises(refused, match="serves no method for GET /v2/translate") as error:
        world.api("GET", "/v2/translate")
    assert error.value.code == 404
