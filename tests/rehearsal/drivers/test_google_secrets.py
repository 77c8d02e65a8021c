"""Secrets and their versions live and die as their drivers say."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from tests.rehearsal.drivers.google_kit import enable, secret
from tests.rehearsal.drivers.lifecycle import NUMBER, PROJECT, Life, live

SECRET = "gcp:secretmanager/secret:Secret"
VERSION = "gcp:secretmanager/secretVersion:SecretVersion"
ENCODED = base64.b64encode(b"\x00\xff").decode()

LIVES = [
    Life(
        SECRET,
        {
            "secretId": "life-secret",
            "project": PROJECT,
            "replication": {"auto": {}},
            "labels": {"team": "data"},
            "versionDestroyTtl": "86400s",
            "deletionProtection": True,
        },
        before=enable,
        updates=[
            {"labels": {"team": "web", "stage": "stg"}},
            {"annotations": {"who": "Ada Lovelace"}},
            {"versionDestroyTtl": "172800s"},
            {"labels": None, "annotations": None, "versionDestroyTtl": None},
            {"deletionProtection": False, "labels": {"a": "b"}},
        ],
        by_hand=lambda clouds, name: clouds.google.send(
            "PATCH", f"/v1/{name}?updateMask=labels", {"labels": {"by": "hand"}}
        ),
        drift={"labels": {"by": "hand"}},
        unread=frozenset({"deletionProtection"}),  # only Pulumi knows it
    ),
    Life(
        SECRET,
        {
            "secretId": "life-secret-in-europe",
            "project": PROJECT,
            "replication": {"userManaged": {"replicas": [{"location": "europe-west1"}]}},
        },
        before=enable,
    ),
    Life(
        VERSION,
        {"secretData": "wörd", "deletionPolicy": "ABANDON"},
        before=secret("life-version"),
        updates=[{"enabled": False}, {"enabled": None}, {"deletionPolicy": None}],
        by_hand=lambda clouds, name: clouds.google.send("POST", f"/v1/{name}:disable", {}),
        drift={"enabled": False},
        unread=frozenset({"deletionPolicy"}),  # only Pulumi knows it
    ),
    Life(
        VERSION,
        {"secretData": ENCODED, "isSecretDataBase64": True},
        before=secret("life-binary"),
        updates=[{"enabled": False}],
        # The id does not say which of its two forms the program gives the value in.
        imported=False,
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def a_version(clouds: Clouds, name: str, **inputs: Any) -> drivers.Created:
    given = {**secret(name)(clouds), "secretData": "first", **inputs}
    return drivers.create(clouds, VERSION, "it", given)


def test_a_protected_secret_is_not_deleted(clouds: Clouds) -> None:
    enable(clouds)
    inputs = {"secretId": "guarded", "project": PROJECT, "replication": {"auto": {}}}
    created = drivers.create(clouds, SECRET, "it", {**inputs, "deletionProtection": True})
    with pytest.raises(
        DriverError,
        match=r"cannot destroy secret .*/guarded without setting deletion_protection=false "
        "and running pulumi up",
    ):
        registry.delete(clouds, SECRET, "it", created.id, created.outputs)


def test_a_version_is_called_with_the_project_id_too(clouds: Clouds) -> None:
    """Which is how the program names the secret, and a user the version to import."""
    created = a_version(clouds, "by-id", secret=f"projects/{PROJECT}/secrets/by-id")
    assert created.id == f"projects/{NUMBER}/secrets/by-id/versions/1"
    identifier = f"projects/{PROJECT}/secrets/by-id/versions/1"
    assert registry.read(clouds, VERSION, "it", identifier, {}) == created.outputs


def test_a_destroyed_version_is_gone(clouds: Clouds) -> None:
    created = a_version(clouds, "destroyed")
    clouds.google.send("POST", f"/v1/{created.id}:destroy", {})
    assert registry.read(clouds, VERSION, "it", created.id, created.outputs) is None


def test_a_version_may_begin_disabled(clouds: Clouds) -> None:
    created = a_version(clouds, "asleep", enabled=False)
    assert clouds.google.get(f"/v1/{created.id}")["state"] == "DISABLED"
    # Google does not give the value of a disabled version out.
    seen = registry.read(clouds, VERSION, "it", created.id, {})
    assert seen is not None
    assert "secretData" not in seen


@pytest.mark.parametrize(
    ("policy", "state"),
    [("DELETE", "DESTROYED"), ("DISABLE", "DISABLED"), ("ABANDON", "ENABLED")],
)
def test_the_deletion_policy_decides_what_remains(clouds: Clouds, policy: str, state: str) -> None:
    created = a_version(clouds, f"policy-{policy}", deletionPolicy=policy)
    registry.delete(clouds, VERSION, "it", created.id, created.outputs)
    assert clouds.google.get(f"/v1/{created.id}")["state"] == state


def test_a_version_may_be_kept_from_deletion(clouds: Clouds) -> None:
    created = a_version(clouds, "kept", deletionPolicy="PREVENT")
    with pytest.raises(DriverError, match=r"cannot destroy secret version .*deletion_policy"):
        registry.delete(clouds, VERSION, "it", created.id, created.outputs)


def test_a_version_goes_with_its_secret(clouds: Clouds) -> None:
    created = a_version(clouds, "short-lived")
    clouds.google.send("DELETE", f"/v1/projects/{PROJECT}/secrets/short-lived")
    assert registry.read(clouds, VERSION, "it", created.id, created.outputs) is None
    registry.delete(clouds, VERSION, "it", created.id, created.outputs)
