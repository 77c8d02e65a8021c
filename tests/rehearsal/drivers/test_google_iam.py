"""Members of policies live and die as their drivers say, next to each other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, google_iam, registry
from tests.rehearsal.drivers.google_kit import account, dataset, enable, grant, members
from tests.rehearsal.drivers.lifecycle import PROJECT, Life, live

ON_PROJECT = "gcp:projects/iAMMember:IAMMember"
ON_ACCOUNT = "gcp:serviceaccount/iAMMember:IAMMember"
ON_DATASET = "gcp:bigquery/datasetIamMember:DatasetIamMember"
ADA, BO = "user:ada@example.com", "user:bo@example.com"
FEDERATED = (
    "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/"
    "attribute.aws_role/arn:aws:sts::1:assumed-role/load"
)
VIEWER = "roles/bigquery.dataViewer"
PATH = f"/v1/projects/{PROJECT}"


def an_account(clouds: Clouds) -> dict[str, Any]:
    email = account(clouds, "life-guarded")
    return {"serviceAccountId": f"projects/{PROJECT}/serviceAccounts/{email}"}


def a_role(clouds: Clouds) -> dict[str, Any]:
    account(clouds, "life-agent")
    body = {"roleId": "lifeShared", "role": {"title": "t", "includedPermissions": []}}
    role = clouds.google.send("POST", f"{PATH}/roles", body)
    member = f"serviceAccount:life-agent@{PROJECT}.iam.gserviceaccount.com"
    return {"role": role["name"], "member": member}


LIVES = [
    Life(ON_PROJECT, {"project": PROJECT, "role": "roles/bigquery.user", "member": ADA}),
    Life(ON_PROJECT, {"project": PROJECT}, before=a_role),
    Life(
        ON_ACCOUNT,
        {"role": "roles/iam.workloadIdentityUser", "member": FEDERATED},
        before=an_account,
    ),
    Life(
        ON_DATASET,
        {"project": PROJECT, "role": VIEWER, "member": ADA},
        before=dataset("life_shared"),
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def of_project(member: str, role: str = "roles/bigquery.user") -> dict[str, str]:
    return {"project": PROJECT, "role": role, "member": member}


def test_members_come_and_go_one_by_one_and_the_binding_with_the_last(clouds: Clouds) -> None:
    role = "roles/bigquery.metadataViewer"
    one = drivers.create(clouds, ON_PROJECT, "it", of_project(ADA, role))
    two = drivers.create(clouds, ON_PROJECT, "it", of_project(BO, role))
    assert members(clouds, PATH, role) == [ADA, BO]
    # The other member changed the etag, and nothing of this one.
    assert registry.read(clouds, ON_PROJECT, "it", one.id, one.outputs) == one.outputs
    registry.delete(clouds, ON_PROJECT, "it", one.id, one.outputs)
    assert members(clouds, PATH, role) == [BO]
    registry.delete(clouds, ON_PROJECT, "it", two.id, two.outputs)
    assert members(clouds, PATH, role) is None


def test_a_member_that_somebody_removed_is_gone(clouds: Clouds) -> None:
    role = "roles/bigquery.dataEditor"
    created = drivers.create(clouds, ON_PROJECT, "it", of_project(ADA, role))
    clouds.google.send("POST", f"{PATH}:setIamPolicy", {"policy": {"bindings": []}})
    assert registry.read(clouds, ON_PROJECT, "it", created.id, created.outputs) is None


@pytest.mark.parametrize(
    ("token", "identifier"),
    [
        (ON_DATASET, f"projects/{PROJECT}/datasets/nowhere {VIEWER} {ADA}"),
    ],
)
def test_a_member_goes_with_what_it_is_a_member_of(clouds: Clouds, token, identifier) -> None:
    enable(clouds)
    assert registry.read(clouds, token, "it", identifier, {}) is None
    registry.delete(clouds, token, "it", identifier, {})


def test_an_import_has_blanks_in_the_id(clouds: Clouds) -> None:
    dataset("imported")(clouds)
    inputs = {"project": PROJECT, "datasetId": "imported", "role": VIEWER, "member": ADA}
    created = drivers.create(clouds, ON_DATASET, "it", inputs)
    identifier = f"projects/{PROJECT}/datasets/imported {VIEWER} {ADA}"
    assert registry.read(clouds, ON_DATASET, "it", identifier, {}) == created.outputs
    registry.delete(clouds, ON_DATASET, "it", identifier, created.outputs)
    assert registry.read(clouds, ON_DATASET, "it", created.id, created.outputs) is None


@pytest.mark.parametrize(
    ("member", "entry"),
    [
        ("group:all@example.com", {"groupByEmail": "all@example.com"}),
        ("projectReaders", {"specialGroup": "projectReaders"}),
        (f"iamMember:{FEDERATED}", {"iamMember": FEDERATED}),
    ],
)
def test_entries_of_an_access_list(clouds: Clouds, member: str, entry: dict[str, str]) -> None:
    name = f"entries_{len(member)}"
    dataset(name)(clouds)
    inputs = {"project": PROJECT, "datasetId": name, "role": VIEWER, "member": member}
    created = drivers.create(clouds, ON_DATASET, "it", inputs)
    access = clouds.google.get(f"/bigquery/v2/projects/{PROJECT}/datasets/{name}")["access"]
    assert {"role": "READER", **entry} in access
    assert registry.read(clouds, ON_DATASET, "it", created.id, created.outputs) == inputs


def test_a_member_an_access_list_has_no_word_for_is_refused(clouds: Clouds) -> None:
    inputs = {"project": PROJECT, "datasetId": "x", "role": VIEWER, "member": FEDERATED}
    with pytest.raises(DriverError, match="Failed to parse BigQuery Dataset IAM member type"):
        drivers.create(clouds, ON_DATASET, "it", inputs)


class Interrupted:
    """A Google Cloud where somebody else writes between a read of a policy and its writing."""

    def __init__(self, clouds: Clouds, times: int) -> None:
        self._clouds = clouds
        self._left = times

    def get(self, path: str) -> dict[str, Any]:
        return self._clouds.google.get(path)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        if path.endswith(":setIamPolicy") and self._left:
            self._left -= 1
            grant(self._clouds, PATH, "roles/bigquery.jobUser", f"user:u{self._left}@example.com")
        return self._clouds.google.send(method, path, body)


def test_a_policy_that_changed_meanwhile_is_read_again(clouds: Clouds) -> None:
    interrupted = Clouds(clouds.aws, Interrupted(clouds, times=2))
    drivers.create(interrupted, ON_PROJECT, "it", of_project(BO))
    assert BO in (members(clouds, PATH, "roles/bigquery.user") or [])
    assert len(members(clouds, PATH, "roles/bigquery.jobUser") or []) >= 2


def test_a_policy_that_never_rests_is_given_up(
    clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_iam, "_FIRST_PAUSE_SECONDS", 0)
    interrupted = Clouds(clouds.aws, Interrupted(clouds, times=100))
    with pytest.raises(DriverError, match="concurrent policy changes"):
        drivers.create(interrupted, ON_PROJECT, "it", of_project("user:late@example.com"))


def test_many_members_at_once_all_arrive(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock, as several processes would be."""

    class Open:
        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(google_iam, "POLICY_CHANGE", Open())
    role = "roles/bigquery.dataOwner"
    wanted = [f"user:user{number}@example.com" for number in range(4)]
    threads = [
        threading.Thread(
            target=drivers.create, args=(clouds, ON_PROJECT, "it", of_project(member, role))
        )
        for member in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(members(clouds, PATH, role) or []) == wanted
