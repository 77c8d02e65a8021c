"""Transfer configurations: what the service checks before it accepts one."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

import pytest

CONFIGS = "/v1/projects/shop-analytics/locations/eu/transferConfigs"


@pytest.fixture
def owner(world):
    owner = world.ready_for_transfers()
    world.table()
    return owner


def test_a_configuration_is_read_back_by_its_name(world, owner) -> None:
    config = world.config(owner)
    assert config["name"].startswith("projects/123456789012/locations/eu/transferConfigs/")
    assert world.api("GET", f"/v1/{config['name']}") == config
    by_id = config["name"].replace("123456789012", "shop-analytics")
    assert world.api("GET", f"/v1/{by_id}") == config
    assert world.api("GET", CONFIGS)["transferConfigs"] == [config]
    assert world.api("DELETE", f"/v1/{config['name']}") == {}
    assert world.api("GET", CONFIGS) == {"transferConfigs": []}


def test_the_secret_is_in_no_answer_and_in_no_log(world, owner, users, aws, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    config = world.config(owner)
    run = world.run(config)
    shown = [
        config,
        run,
        world.api("GET", f"/v1/{config['name']}"),
        world.api("GET", CONFIGS),
        world.api("GET", f"/v1/{config['name']}/runs"),
        world.log(run),
        repr(world.google.configs()),
        repr(world.google.runs()),
    ]
    assert "AKIAREADER" in str(shown)
    assert "s3cr3t-value" not in str(shown)
    assert "s3cr3t-value" not in caplog.text


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"secret_access_key": None}, "Missing required parameter 'secret_access_key'"),
        ({"data_path": None}, "Missing required parameter 'data_path'"),
        ({"role_arn": "arn:aws:iam::1:role/x"}, "Unknown parameter 'role_arn'"),
        ({"source_format": "PARQUET"}, "Unknown parameter 'source_format'"),
        ({"data_path": "gs://bucket/x"}, "is not an S3 URI"),
        ({"data_path": "s3://shop-*/x"}, "is not an S3 URI"),
        ({"data_path": 's3://b/{run_time-1d|"%Y"}/*'}, "no unit for days"),
        ({"destination_table_name_template": "t_{run_time}"}, "no valid parameter"),
        ({"file_format": "XML"}, "Invalid file_format 'XML'"),
        ({"file_format": None}, "the default is CSV"),
        ({"write_disposition": "MIRROR"}, "Invalid write_disposition 'MIRROR'"),
        ({"decimal_target_types": "NUMERIC,NUMERIC"}, "Invalid decimal_target_types"),
        ({"decimal_target_types": "FLOAT"}, "Invalid decimal_target_types"),
        ({"max_bad_records": "none"}, "Invalid max_bad_records"),
    ],
)
def test_wrong_parameters_are_refused(world, owner, refused, params, told) -> None:
    with pytest.raises(refused) as error:
        world.config(owner, params=params)
    assert error.value.code == 400
    assert told in error.value.message
    assert "s3cr3t-value" not in error.value.message


def test_the_dataset_must_exist_where_the_transfer_is(world, owner, refused) -> None:
    with pytest.raises(refused, match="Not found: Dataset shop-analytics:other") as error:
        world.config(owner, destinationDatasetId="other")
    assert error.value.code == 404
    with pytest.raises(refused, match="in location us when the destination dataset") as error:
        world.config(owner, location="us")
    assert error.value.code == 400


def test_an_unknown_data_source_or_field_is_refused(world, owner, refused) -> None:
    with pytest.raises(refused, match="Data source mysql was not found"):
        world.config(owner, dataSourceId="mysql")
    with pytest.raises(refused, match="Unknown name"):
        world.config(owner, sensitiveParams={"secret_access_key": "x"})


def test_the_owner_must_exist_and_may_not_be_left_out(world, owner, refused) -> None:
    with pytest.raises(refused, match="was not found") as error:
        world.config("nobody@shop-analytics.iam.gserviceaccount.com")
    assert error.value.code == 404
    with pytest.raises(refused, match="authorization code"):
        world.config("")


def test_the_api_must_be_enabled(world, refused) -> None:
    world.dataset()
    with pytest.raises(refused) as error:
        world.config("x@shop-analytics.iam.gserviceaccount.com")
    assert error.value.code == 403
    assert "BigQuery Data Transfer API has not been used in project 123456789012" in (
        error.value.message
    )
    assert error.value.body["error"]["details"][0]["reason"] == "SERVICE_DISABLED"


def test_the_agent_must_be_able_to_act_as_the_owner(world, refused) -> None:
    world.enable()
    world.agent()
    owner = world.account("shop-transfer", "roles/bigquery.admin")
    world.dataset()
    with pytest.raises(refused) as error:
        world.config(owner)
    assert error.value.code == 400
    assert "needs iam.serviceAccounts.getAccessToken permission" in error.value.message
    world.let_agent_act_as(owner)
    assert world.config(owner)["ownerInfo"] == {"email": owner}


def test_the_owner_needs_the_documented_permissions(world, refused) -> None:
    world.enable()
    world.agent()
    owner = world.account("shop-transfer", "roles/bigquery.jobUser")
    world.let_agent_act_as(owner)
    world.dataset()
    with pytest.raises(refused) as error:
        world.config(owner)
    assert error.value.code == 403
    assert "bigquery.transfers.update" in error.value.message
    assert "bigquery.jobs.create" not in error.value.message


def test_the_service_lets_its_agent_write_into_the_dataset(world, owner) -> None:
    world.config(owner)
    world.config(owner)
    access = world.api("GET", "/bigquery/v2/projects/shop-analytics/datasets/shop_data")["access"]
    agent = "service-123456789012@gcp-sa-bigquerydatatransfer.iam.gserviceaccount.com"
    assert access.count({"role": "WRITER", "userByEmail": agent}) == 1


def test_the_update_mask_decides_what_changes(world, owner, refused, users, aws) -> None:
    config = world.config(owner)
    path = f"/v1/{config['name']}"
    with pytest.raises(refused, match="update mask"):
        world.api("PATCH", path, {"displayName": "new"})
    changed = world.api(
        "PATCH", f"{path}?updateMask=display_name", {"displayName": "new", "disabled": True}
    )
    assert (changed["displayName"], changed.get("disabled")) == ("new", None)
    params = {**config["params"], "secret_access_key": "other", "access_key_id": "AKIANEW"}
    aws.access_keys = {"AKIANEW"}
    aws.put("exports/shop-2026010103/db/db.users/1/x.parquet", users)
    world.api("PATCH", f"{path}?updateMask=params", {"params": params})
    assert world.run(config)["state"] == "SUCCEEDED"
    with pytest.raises(refused, match="Missing required parameter 'secret_access_key'"):
        world.api("PATCH", f"{path}?updateMask=params", {"params": config["params"]})


def test_a_transfer_may_go_into_another_dataset_that_its_owner_can_write(
    world, owner, refused
) -> None:
    path = f"/v1/{world.config(owner)['name']}?updateMask=destinationDatasetId"
    world.dataset("shop_other")
    world.dataset("far_away", location="US")
    changed = world.api("PATCH", path, {"destinationDatasetId": "shop_other"})
    assert changed["destinationDatasetId"] == "shop_other"
    for dataset, told in (("nowhere", "Not found"), ("far_away", "in location eu when")):
        with pytest.raises(refused, match=told):
            world.api("PATCH", path, {"destinationDatasetId": dataset})


@pytest.mark.parametrize(
    ("name", "value"), [("data_path", "s3://b/*"), ("destination_table_name_template", "other")]
)
def test_path_and_table_cannot_be_updated(world, owner, refused, name, value) -> None:
    config = world.config(owner)
    params = {**config["params"], "secret_access_key": "x", name: value}
    with pytest.raises(refused, match=f"'{name}' of data source amazon_s3 is immutable"):
        world.api("PATCH", f"/v1/{config['name']}?updateMask=params", {"params": params})


def test_a_run_on_demand_needs_a_time_that_is_not_in_the_future(start, refused) -> None:
    now = datetime(2026, 1, 1, 3, 0, tzinfo=timezone.utc)
    world = start(clock=lambda: now)
    owner = world.ready_for_transfers()
    world.table()
    config = world.config(owner)
    path = f"/v1/{config['name']}:startManualRuns"
    with pytest.raises(refused, match="requires 'requested_run_time'"):
        world.api("POST", path, {})
    with pytest.raises(refused, match="is in the future"):
        world.api("POST", path, {"requestedRunTime": "2026-01-01T03:00:01Z"})
    with pytest.raises(refused, match="TYPE_TIMESTAMP"):
        world.api("POST", path, {"requestedRunTime": "2026-01-01 03:00"})
    assert world.run(config, "2026-01-01T03:00:00Z")["state"] == "SUCCEEDED"


def test_runs_are_listed_newest_first_by_state(world, owner) -> None:
    config = world.config(owner)
    names = [world.run(config, f"2026-01-0{day}T03:00:00Z")["name"] for day in (1, 2, 3)]
    path = f"/v1/{config['name']}/runs"
    assert [r["name"] for r in world.api("GET", path)["transferRuns"]] == names[::-1]
    assert world.api("GET", f"{path}?states=FAILED") == {"transferRuns": []}
    first = world.api("GET", f"{path}?pageSize=2")
    second = world.api("GET", f"{path}?pageSize=2&pageToken={first['nextPageToken']}")
    assert [r["name"] for r in first["transferRuns"] + second["transferRuns"]] == names[::-1]
    assert "nextPageToken" not in second


def test_the_data_source_tells_its_parameters(world, owner) -> None:
    source = world.api("GET", "/v1/projects/shop-analytics/locations/eu/dataSources/amazon_s3")
    required = {p["paramId"] for p in source["parameters"] if p["required"]}
    assert required == {
        "destination_table_name_template",
        "data_path",
        "access_key_id",
        "secret_access_key",
    }
