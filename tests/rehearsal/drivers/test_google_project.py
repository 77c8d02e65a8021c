"""Services, their agents and custom roles live and die as their drivers say."""

from __future__ import annotations

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from tests.rehearsal.drivers.google_kit import enable
from tests.rehearsal.drivers.lifecycle import NUMBER, PROJECT, Life, live

SERVICE = "gcp:projects/service:Service"
IDENTITY = "gcp:projects/serviceIdentity:ServiceIdentity"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
PUBSUB = f"/v1/projects/{PROJECT}/services/pubsub.googleapis.com"
GET, DATA = "bigquery.tables.get", "bigquery.tables.getData"

LIVES = [
    Life(
        SERVICE,
        {"service": "pubsub.googleapis.com", "project": PROJECT, "deletionPolicy": "ABANDON"},
        updates=[
            {"disableDependentServices": True, "checkIfServiceHasUsageOnDestroy": True},
            {"disableOnDestroy": True, "deletionPolicy": "DELETE"},
        ],
        # They say what happens when the resource is deleted, and only Pulumi knows them.
        unread=frozenset(
            {
                *("disableOnDestroy", "disableDependentServices"),
                *("checkIfServiceHasUsageOnDestroy", "deletionPolicy"),
            }
        ),
    ),
    Life(
        ROLE,
        {"project": PROJECT, "roleId": "lifeRole", "title": "made", "permissions": [GET]},
        before=enable,
        updates=[
            {"title": "changed"},
            {"permissions": [GET, DATA]},
            {"description": "changed", "stage": "BETA"},
            {"description": None, "stage": None},
        ],
        by_hand=lambda clouds, name: clouds.google.send(
            "PATCH", f"/v1/{name}", {"includedPermissions": [DATA]}
        ),
        drift={"permissions": [DATA]},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_an_api_stays_on_unless_it_is_to_be_turned_off(clouds: Clouds) -> None:
    inputs = {"service": "pubsub.googleapis.com", "project": PROJECT}
    created = drivers.create(clouds, SERVICE, "it", inputs)
    for policy in ({}, {"disableOnDestroy": True, "deletionPolicy": "ABANDON"}):
        registry.delete(clouds, SERVICE, "it", created.id, {**created.outputs, **policy})
        assert clouds.google.get(PUBSUB)["state"] == "ENABLED"
    kept = {**created.outputs, "deletionPolicy": "PREVENT"}
    with pytest.raises(DriverError, match=r"cannot destroy project service .*deletion_policy"):
        registry.delete(clouds, SERVICE, "it", created.id, kept)


def test_an_api_that_somebody_turned_off_is_gone(clouds: Clouds) -> None:
    inputs = {"service": "pubsub.googleapis.com", "project": PROJECT}
    created = drivers.create(clouds, SERVICE, "it", inputs)
    clouds.google.send("POST", f"{PUBSUB}:disable", {})
    assert registry.read(clouds, SERVICE, "it", created.id, created.outputs) is None


def test_an_id_of_another_form_is_refused_with_the_right_one(clouds: Clouds) -> None:
    with pytest.raises(DriverError, match=r"'pubsub' is not of the form \{project\}/\{service\}"):
        registry.read(clouds, SERVICE, "it", "pubsub", {})


def test_an_agent_is_made_and_stays(clouds: Clouds) -> None:
    """Google can neither read nor delete one, so neither can the official provider."""
    inputs = {"service": "bigquerydatatransfer.googleapis.com", "project": PROJECT}
    created = drivers.create(clouds, IDENTITY, "it", inputs)
    assert created.outputs["member"] == (
        f"serviceAccount:service-{NUMBER}@gcp-sa-bigquerydatatransfer.iam.gserviceaccount.com"
    )
    assert registry.read(clouds, IDENTITY, "it", created.id, created.outputs) == created.outputs
    with pytest.raises(DriverError, match="cannot be imported"):
        registry.read(clouds, IDENTITY, "it", created.id, {})
    registry.delete(clouds, IDENTITY, "it", created.id, created.outputs)


def test_a_deleted_role_is_brought_back_and_changed(clouds: Clouds) -> None:
    enable(clouds)
    inputs = {"project": PROJECT, "roleId": "phoenix", "title": "old", "permissions": [GET]}
    created = drivers.create(clouds, ROLE, "it", {**inputs, "description": "old"})
    with pytest.raises(DriverError, match="phoenix already exists and must be imported"):
        drivers.create(clouds, ROLE, "it", inputs)
    registry.delete(clouds, ROLE, "it", created.id, created.outputs)
    again = drivers.create(
        clouds, ROLE, "it", {**inputs, "title": "new", "permissions": [GET, DATA]}
    )
    assert registry.read(clouds, ROLE, "it", again.id, {}) == again.outputs


def test_the_order_of_permissions_means_nothing(clouds: Clouds) -> None:
    enable(clouds)
    inputs = {"project": PROJECT, "roleId": "ordered", "title": "t", "permissions": [DATA, GET]}
    created = drivers.create(clouds, ROLE, "it", inputs)
    other = {"includedPermissions": [GET, DATA]}
    clouds.google.send("PATCH", f"/v1/{created.id}", other)
    assert registry.read(clouds, ROLE, "it", created.id, created.outputs) == created.outputs
