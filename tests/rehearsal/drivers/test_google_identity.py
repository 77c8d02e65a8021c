"""Service accounts, pools, providers live and die as their drivers say."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from tests.rehearsal.drivers.google_kit import POOLS, account, enable
from tests.rehearsal.drivers.lifecycle import PROJECT, Life, live

ACCOUNT = "gcp:serviceaccount/account:Account"
POOL = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool"
PROVIDER = "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider"
MAPPING = {"google.subject": "assertion.arn"}
CONDITION = 'assertion.account == "111122223333"'


def a_pool(name: str):
    def make(clouds: Clouds) -> dict[str, Any]:
        enable(clouds)
        clouds.google.send("POST", f"/v1/{POOLS}?workloadIdentityPoolId={name}", {})
        return {"workloadIdentityPoolId": name}

    return make


def described(clouds: Clouds, name: str) -> None:
    clouds.google.send("PATCH", f"/v1/{name}?updateMask=description", {"description": "by hand"})


LIVES = [
    Life(
        ACCOUNT,
        {
            "accountId": "life-account",
            "project": PROJECT,
            "displayName": "made",
            "createIgnoreAlreadyExists": False,
        },
        before=enable,
        updates=[
            {"displayName": "changed"},
            {"description": "changed too"},
            {"disabled": True},
            {"disabled": None, "displayName": None},
            {"description": None, "createIgnoreAlreadyExists": True},
        ],
        by_hand=lambda clouds, name: clouds.google.send("POST", f"/v1/{name}:disable", {}),
        drift={"disabled": True},
        unread=frozenset({"createIgnoreAlreadyExists"}),  # only Pulumi knows it
    ),
    Life(
        POOL,
        {"workloadIdentityPoolId": "life-pool", "project": PROJECT, "description": "made"},
        before=enable,
        updates=[
            {"displayName": "Pool"},
            {"description": "changed", "disabled": True},
            {"description": None, "displayName": None, "disabled": None},
        ],
        by_hand=described,
        drift={"description": "by hand"},
    ),
    Life(
        PROVIDER,
        {
            "workloadIdentityPoolProviderId": "life-aws",
            "project": PROJECT,
            "aws": {"accountId": "111122223333"},
            "attributeMapping": MAPPING,
            "attributeCondition": CONDITION,
        },
        before=a_pool("life-provider-pool"),
        updates=[
            {"displayName": "AWS", "description": "changed", "disabled": True},
            {"aws": {"accountId": "444455556666"}},
            {"attributeMapping": {**MAPPING, "attribute.account": "assertion.account"}},
            {"attributeCondition": "assertion.arn.contains('x')"},
            {"displayName": None, "description": None, "disabled": None},
            {"attributeMapping": None, "attributeCondition": None},
        ],
        by_hand=described,
        drift={"description": "by hand"},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def test_an_account_that_exists_is_taken_only_if_the_program_says_so(clouds: Clouds) -> None:
    account(clouds, "taken-account")
    inputs = {"accountId": "taken-account", "project": PROJECT}
    with pytest.raises(DriverError, match="already exists"):
        drivers.create(clouds, ACCOUNT, "it", inputs)
    taken = {**inputs, "createIgnoreAlreadyExists": True}
    created = drivers.create(clouds, ACCOUNT, "it", taken)
    assert created.outputs["email"] == f"taken-account@{PROJECT}.iam.gserviceaccount.com"
    assert registry.read(clouds, ACCOUNT, "it", created.id, created.outputs) == created.outputs


def test_an_account_may_begin_disabled(clouds: Clouds) -> None:
    enable(clouds)
    inputs = {"accountId": "asleep-account", "project": PROJECT, "disabled": True}
    created = drivers.create(clouds, ACCOUNT, "it", inputs)
    assert clouds.google.get(f"/v1/{created.id}")["disabled"] is True


def test_a_deleted_pool_is_gone_and_keeps_its_id(clouds: Clouds) -> None:
    enable(clouds)
    inputs = {"workloadIdentityPoolId": "short-lived-pool", "project": PROJECT}
    created = drivers.create(clouds, POOL, "it", inputs)
    clouds.google.send("DELETE", f"/v1/{created.id}")
    assert clouds.google.get(f"/v1/{created.id}")["state"] == "DELETED"
    assert registry.read(clouds, POOL, "it", created.id, created.outputs) is None
    with pytest.raises(DriverError, match="already exists: short-lived-pool"):
        drivers.create(clouds, POOL, "it", inputs)


def test_googles_own_mapping_is_not_shown_unless_the_program_writes_it(clouds: Clouds) -> None:
    inputs = {
        **a_pool("mapping-pool")(clouds),
        "workloadIdentityPoolProviderId": "mapping-aws",
        "project": PROJECT,
        "aws": {"accountId": "111122223333"},
    }
    created = drivers.create(clouds, PROVIDER, "it", inputs)
    assert registry.read(clouds, PROVIDER, "it", created.id, {}) == created.outputs
    default = clouds.google.get(f"/v1/{created.id}")["attributeMapping"]
    assert "attribute.aws_role" in default
    written = {**created.outputs, "attributeMapping": default}
    assert registry.read(clouds, PROVIDER, "it", created.id, written) == written
