"""Datasets, tables and transfer configurations live and die as their drivers say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from tests.rehearsal.drivers.google_kit import dataset, transfer_owner
from tests.rehearsal.drivers.lifecycle import PROJECT, Life, live

API = "/bigquery/v2"
DATASETS = f"{API}/projects/{PROJECT}/datasets"
COLUMNS = [{"name": "id", "type": "INT64", "mode": "REQUIRED"}, {"name": "at", "type": "DATE"}]
MORE = [*COLUMNS, {"name": "name", "type": "STRING", "mode": "NULLABLE", "description": "who"}]
# As the API writes COLUMNS and MORE, which is what an import shows.
WRITTEN = [{**COLUMNS[0], "type": "INTEGER"}, {**COLUMNS[1], "mode": "NULLABLE"}]
MORE_WRITTEN = [*WRITTEN, MORE[2]]

TABLE = "gcp:bigquery/table:Table"
DATASET = "gcp:bigquery/dataset:Dataset"
CONFIG = "gcp:bigquery/dataTransferConfig:DataTransferConfig"


def patched(**fields: Any):
    """Change fields of a dataset or table by hand."""

    def patch(clouds: Clouds, identifier: str) -> None:
        clouds.google.send("PATCH", f"{API}/{identifier}", fields)

    return patch


def of_owner(owner: str, destination: str):
    def make(clouds: Clouds) -> dict[str, Any]:
        email = transfer_owner(clouds, owner)
        transfer_owner(clouds, f"{owner}-two")
        dataset(destination, "europe-west1")(clouds)
        dataset(f"{destination}_two", "europe-west1")(clouds)
        return {"destinationDatasetId": destination, "serviceAccountName": email}

    return make


def params(**changes: str) -> dict[str, str]:
    return {
        "destination_table_name_template": "users",
        "data_path": "s3://shop-exports/users/*.parquet",
        "access_key_id": "AKIAREADER",
        "file_format": "PARQUET",
        **changes,
    }


BARE_CONFIG = {
    "dataSourceId": "amazon_s3",
    "displayName": "users",
    "project": PROJECT,
    "location": "europe-west1",
    "params": params(),
    "sensitiveParams": {"secretAccessKey": "first"},
}

LIVES = [
    Life(
        DATASET,
        {
            "datasetId": "life_dataset",
            "project": PROJECT,
            "location": "EU",
            "labels": {"team": "data", "stage": "stg"},
            "description": "made",
            "deleteContentsOnDestroy": False,
        },
        updates=[
            {"description": "changed", "friendlyName": "Shop"},
            {"labels": {"team": "web"}},
            {"maxTimeTravelHours": "48", "storageBillingModel": "PHYSICAL"},
            {"description": None, "friendlyName": None, "labels": None},
            {"maxTimeTravelHours": None, "storageBillingModel": None},
            {"deleteContentsOnDestroy": True, "labels": {"a": "b"}},
        ],
        by_hand=patched(description="by hand", labels={"a": "c"}),
        drift={"description": "by hand", "labels": {"a": "c"}},
        unread=frozenset({"deleteContentsOnDestroy"}),  # only Pulumi knows it
    ),
    Life(
        TABLE,
        {
            "tableId": "life_table",
            "project": PROJECT,
            "schema": json.dumps(WRITTEN),
            "labels": {"team": "data"},
            "description": "made",
            "deletionProtection": True,
        },
        before=dataset("life_table_in"),
        updates=[
            {"schema": json.dumps(MORE_WRITTEN)},
            {"labels": {"team": "web"}, "friendlyName": "Users", "description": "changed"},
            {"labels": None, "friendlyName": None, "description": None},
            {"deletionProtection": False},
        ],
        by_hand=patched(description="by hand"),
        drift={"description": "by hand"},
        unread=frozenset({"deletionProtection"}),  # only Pulumi knows it
    ),
    Life(
        CONFIG,
        {
            **BARE_CONFIG,
            "schedule": "every 24 hours",
            "scheduleOptions": {"startTime": "2026-01-01T00:00:00Z"},
            "encryptionConfiguration": {"kmsKeyName": "projects/p/locations/l/keyRings/r"},
            "deletionPolicy": "ABANDON",
        },
        before=of_owner("life-owner", "life_config"),
        updates=[
            {"displayName": "all users", "schedule": "every 12 hours"},
            {"scheduleOptions": {"disableAutoScheduling": True}, "schedule": None},
            {"emailPreferences": {"enableFailureEmail": True}},
            {"notificationPubsubTopic": "projects/p/topics/t", "dataRefreshWindowDays": 3},
            {"disabled": True},
            {
                "params": params(access_key_id="AKIANEW", write_disposition="WRITE_TRUNCATE"),
                "sensitiveParams": {"secretAccessKey": "second"},
            },
            {"destinationDatasetId": "life_config_two"},
            {"serviceAccountName": f"life-owner-two@{PROJECT}.iam.gserviceaccount.com"},
            {"disabled": None, "notificationPubsubTopic": None, "dataRefreshWindowDays": None},
            {"emailPreferences": None, "scheduleOptions": None},
            {"deletionPolicy": "DELETE"},
        ],
        by_hand=lambda clouds, name: clouds.google.send(
            "PATCH", f"/v1/{name}?updateMask=disabled,displayName", {"disabled": True}
        ),
        drift={"disabled": True, "displayName": None},
        # Google tells nobody the secret; the policy is known to Pulumi alone.
        unread=frozenset({"sensitiveParams", "deletionPolicy"}),
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def made(clouds: Clouds, token: str, inputs: Mapping[str, Any]) -> drivers.Created:
    return drivers.create(clouds, token, "it", inputs)


def test_an_import_shows_nothing_that_is_as_it_always_is(clouds: Clouds) -> None:
    dataset("plain_one", "US")(clouds)
    seen = registry.read(clouds, DATASET, "it", f"projects/{PROJECT}/datasets/plain_one", {})
    assert seen is not None
    assert seen.keys() == {"project", "datasetId", "accesses"}
    table = made(
        clouds, TABLE, {"project": PROJECT, "datasetId": "plain_one", "tableId": "plain_table"}
    )
    shown = registry.read(clouds, TABLE, "it", table.id, {})
    assert shown == table.outputs


def test_a_location_in_other_letters_is_the_same(clouds: Clouds) -> None:
    inputs = {"project": PROJECT, "datasetId": "small_letters", "location": "eu"}
    created = made(clouds, DATASET, inputs)
    assert registry.read(clouds, DATASET, "it", created.id, created.outputs) == created.outputs
    assert created.outputs["location"] == "eu"


def test_a_dataset_in_use_is_deleted_with_its_contents_only(clouds: Clouds) -> None:
    inputs = {"project": PROJECT, "datasetId": "in_use"}
    created = made(clouds, DATASET, inputs)
    made(clouds, TABLE, {**inputs, "tableId": "t"})
    with pytest.raises(DriverError, match="Dataset driver-tests:in_use is still in use"):
        registry.delete(clouds, DATASET, "it", created.id, created.outputs)
    changed = {**inputs, "deleteContentsOnDestroy": True}
    outputs = registry.update(clouds, DATASET, "it", created.id, changed, created.outputs)
    registry.delete(clouds, DATASET, "it", created.id, outputs)
    assert registry.read(clouds, DATASET, "it", created.id, outputs) is None


def test_changing_a_dataset_takes_back_what_was_granted_since_the_last_refresh(
    clouds: Clouds,
) -> None:
    """As the official provider does: https://github.com/pulumi/pulumi-gcp/issues/3908."""
    inputs = {"project": PROJECT, "datasetId": "granted"}
    created = made(clouds, DATASET, inputs)
    ada = {"role": "READER", "userByEmail": "ada@example.com"}
    entries = [*created.outputs["accesses"], ada]

    def change(description: str, known: dict[str, Any]) -> list[Any]:
        clouds.google.send("PATCH", f"{DATASETS}/granted", {"access": entries})
        changed = {**inputs, "description": description}
        registry.update(clouds, DATASET, "it", created.id, changed, known)
        return list(clouds.google.get(f"{DATASETS}/granted")["access"])

    assert ada not in change("not refreshed", created.outputs)
    clouds.google.send("PATCH", f"{DATASETS}/granted", {"access": entries})
    refreshed = registry.read(clouds, DATASET, "it", created.id, created.outputs)
    assert refreshed is not None
    assert ada in change("refreshed", refreshed)


def test_a_table_is_protected_unless_the_program_says_otherwise(clouds: Clouds) -> None:
    inputs = {"project": PROJECT, "datasetId": "guarded", "tableId": "users"}
    dataset("guarded")(clouds)
    created = made(clouds, TABLE, inputs)
    with pytest.raises(
        DriverError,
        match=r"cannot destroy table .*/tables/users without setting deletion_protection=false "
        "and running pulumi up",
    ):
        registry.delete(clouds, TABLE, "it", created.id, created.outputs)
    free = {**inputs, "deletionProtection": False}
    outputs = registry.update(clouds, TABLE, "it", created.id, free, created.outputs)
    registry.delete(clouds, TABLE, "it", created.id, outputs)


def test_a_schema_stays_as_the_program_writes_it(clouds: Clouds) -> None:
    dataset("written")(clouds)
    schema = json.dumps(MORE, indent=2)
    created = made(
        clouds,
        TABLE,
        {"project": PROJECT, "datasetId": "written", "tableId": "t", "schema": schema},
    )
    seen = registry.read(clouds, TABLE, "it", created.id, created.outputs)
    assert seen is not None
    assert seen["schema"] == schema


def test_a_loaded_schema_is_shown_and_kept(clouds: Clouds) -> None:
    """A table without a schema of its own, as the program makes them."""
    dataset("loaded")(clouds)
    inputs = {"project": PROJECT, "datasetId": "loaded", "tableId": "t"}
    created = made(clouds, TABLE, inputs)
    patched(schema={"fields": COLUMNS})(clouds, created.id)
    seen = registry.read(clouds, TABLE, "it", created.id, created.outputs)
    assert seen is not None
    assert json.loads(seen["schema"]) == WRITTEN
    outputs = registry.update(
        clouds, TABLE, "it", created.id, {**inputs, "description": "new"}, seen
    )
    assert registry.read(clouds, TABLE, "it", created.id, outputs) == outputs
    assert json.loads(outputs["schema"]) == WRITTEN


class Recorder:
    """A Google Cloud that notes what is sent to it, and hands it on."""

    def __init__(self, google: registry.GoogleCloud) -> None:
        self._google = google
        self.sent: list[tuple[str, str, Any]] = []

    def get(self, path: str) -> dict[str, Any]:
        return self._google.get(path)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.sent.append((method, path, body))
        return self._google.send(method, path, body)


@pytest.fixture
def config(clouds: Clouds, request: pytest.FixtureRequest):
    """A configuration, and the clouds that note what is sent about it."""
    name = f"cfg-{sum(map(ord, request.node.name)) % 10_000}"
    inputs = {**BARE_CONFIG, **of_owner(name, name.replace("-", "_"))(clouds)}
    google = Recorder(clouds.google)
    noting = Clouds(clouds.aws, google)
    created = made(noting, CONFIG, inputs)
    yield noting, google, inputs, created
    registry.delete(clouds, CONFIG, "it", created.id, {**created.outputs, "deletionPolicy": None})


def test_the_secret_travels_among_the_parameters_and_does_not_come_back(config) -> None:
    noting, google, inputs, created = config
    method, path, body = google.sent[0]
    assert (method, path.partition("?")[2]) == (
        "POST",
        f"serviceAccountName={inputs['serviceAccountName'].replace('@', '%40')}",
    )
    assert body["params"] == {**params(), "secret_access_key": "first"}
    assert "sensitiveParams" not in body
    seen = registry.read(noting, CONFIG, "it", created.id, {})
    assert seen is not None
    assert seen["params"] == params()
    assert "first" not in json.dumps(seen)


def test_another_key_pair_names_the_parameters_in_the_mask(config) -> None:
    noting, google, inputs, created = config
    changed = {
        **inputs,
        "params": params(access_key_id="AKIANEW"),
        "sensitiveParams": {"secretAccessKey": "second"},
    }
    registry.update(noting, CONFIG, "it", created.id, changed, created.outputs)
    _, path, body = google.sent[-1]
    assert "updateMask=params&serviceAccountName=" in path
    assert body["params"]["secret_access_key"] == "second"


@pytest.mark.parametrize(
    "change",
    [
        {"sensitiveParams": {"secretAccessKey": "second"}},
        {"encryptionConfiguration": {"kmsKeyName": "k"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_mask_has_no_word_for_does_not_arrive(config, change) -> None:
    """The official provider sends an empty mask; what Google makes of it is not documented."""
    noting, google, inputs, created = config
    with pytest.raises(DriverError, match="The update mask must name the fields to change"):
        registry.update(noting, CONFIG, "it", created.id, {**inputs, **change}, created.outputs)
    assert "?updateMask=&" in google.sent[-1][1]


def test_another_owner_is_in_the_mask_and_in_the_query(config) -> None:
    noting, google, inputs, created = config
    other = inputs["serviceAccountName"].replace("@", "-two@")
    changed = {**inputs, "serviceAccountName": other, "disabled": True}
    registry.update(noting, CONFIG, "it", created.id, changed, created.outputs)
    query = f"updateMask=serviceAccountName,disabled&serviceAccountName={other}"
    assert google.sent[-1][1].partition("?")[2] == query.replace("@", "%40")


def test_a_secret_is_given_once(config) -> None:
    noting, _, inputs, _ = config
    both = {**inputs, "params": params(secret_access_key="x")}
    with pytest.raises(DriverError, match="both in params and in sensitiveParams"):
        made(noting, CONFIG, both)
    within = {key: value for key, value in both.items() if key != "sensitiveParams"}
    created = made(noting, CONFIG, within)
    assert registry.read(noting, CONFIG, "it", created.id, created.outputs) == created.outputs
    registry.delete(noting, CONFIG, "it", created.id, created.outputs)


def test_what_pulumi_alone_knows_is_not_sent(config) -> None:
    noting, google, inputs, created = config
    before = len(google.sent)
    changed = {**inputs, "deletionPolicy": "PREVENT"}
    outputs = registry.update(noting, CONFIG, "it", created.id, changed, created.outputs)
    assert len(google.sent) == before
    with pytest.raises(DriverError, match='without setting deletion_policy="DELETE" and running'):
        registry.delete(noting, CONFIG, "it", created.id, outputs)
    abandoned = {**outputs, "deletionPolicy": "ABANDON"}
    registry.delete(noting, CONFIG, "it", created.id, abandoned)
    assert registry.read(noting, CONFIG, "it", created.id, abandoned) == abandoned


def test_an_import_may_name_the_project_too(config) -> None:
    noting, _, _, created = config
    seen = registry.read(noting, CONFIG, "it", f"{PROJECT} {created.id}", {})
    unread = {"sensitiveParams"}
    assert seen == {k: v for k, v in created.outputs.items() if k not in unread}
