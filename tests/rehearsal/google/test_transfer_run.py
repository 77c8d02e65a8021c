"""Transfer runs that really read S3 and really load."""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa
import pytest

RUN_ERROR = "Job failed with error: quota exceeded"


def rows_of(world, table="users"):
    return sorted(world.google.query(f"SELECT * FROM shop_data.{table}"), key=str)


def test_a_run_loads_what_the_export_of_its_hour_wrote(world, aws, users) -> None:
    aws.put("exports/shop-2026010102/db/db.users/1/part-0.gz.parquet", users)  # the hour before
    aws.put("exports/shop-2026010103/db/db.users2/1/part-0.gz.parquet", users)  # a longer name
    aws.put("exports/shop-2026010103/db/db.users/1/_SUCCESS", b"")
    run = world.loaded(users.slice(0, 2))
    assert (run["state"], run["errorStatus"]) == ("SUCCEEDED", {})
    assert run["runTime"] == "2026-01-01T03:00:00.000000Z"
    assert rows_of(world) == [(1, "Ada"), (2, "Bo")]
    assert world.get_table()["numRows"] == "2"
    assert "2 row(s) loaded into shop_data.users" in world.log(run)
    (report,) = world.google.runs()
    assert (report.dataset, report.table, report.state, report.rows) == (
        "shop_data",
        "users",
        "SUCCEEDED",
        2,
    )


def test_one_wildcard_spans_every_batch_folder(world, aws, users) -> None:
    for batch in range(2, 14):
        aws.put(f"exports/shop-2026010103/db/db.users/{batch}/part-0.gz.parquet", users)
    aws.page_size = 5  # the listing has several pages
    assert world.loaded(users)["state"] == "SUCCEEDED"
    assert world.get_table()["numRows"] == str(13 * 3)


def test_several_wildcards_stop_at_the_slash(world, aws, users) -> None:
    aws.put("exports/shop-2026010103/db/db.users/deep/er/part.parquet", users)
    run = world.loaded(
        users,
        data_path='s3://shop-exports/exports/shop-{run_time|"%Y%m%d%H"}/db/db.users/*/*.parquet',
    )
    assert run["state"] == "SUCCEEDED"
    assert world.get_table()["numRows"] == "3"


def test_no_file_is_no_failure_and_leaves_the_table_alone(world, users) -> None:
    world.loaded(users)
    (config,) = world.google.configs()
    late = world.run({"name": config.name}, "2026-01-01T04:00:00Z")
    assert late["state"] == "SUCCEEDED"
    assert "No new files found matching s3://shop-exports/exports/shop-2026010104" in world.log(
        late
    )
    assert world.get_table()["numRows"] == "3"
    assert world.google.runs()[-1].rows == 0


def test_a_truncating_run_replaces_rows_and_schema(world, aws, users) -> None:
    world.loaded(users)
    aws.put(
        "exports/shop-2026010104/db/db.users/1/part-0.gz.parquet",
        pa.table({"id": ["x"], "email": ["ada@example.com"]}),
    )
    (config,) = world.google.configs()
    assert world.run({"name": config.name}, "2026-01-01T04:00:00Z")["state"] == "SUCCEEDED"
    assert rows_of(world) == [("x", "ada@example.com")]
    fields = world.get_table()["schema"]["fields"]
    assert [(f["name"], f["type"]) for f in fields] == [("id", "STRING"), ("email", "STRING")]


def test_the_same_run_twice_does_not_double_the_rows(world, users) -> None:
    world.loaded(users)
    (config,) = world.google.configs()
    world.run({"name": config.name})
    assert world.get_table()["numRows"] == "3"


def test_an_appending_run_takes_new_files_only(world, aws, users) -> None:
    world.loaded(users, write_disposition="WRITE_APPEND")
    assert (world.get_table()["numRows"], world.get_table()["numBytes"]) == ("3", "33")
    aws.put("exports/shop-2026010103/db/db.users/2/part-0.gz.parquet", users.slice(0, 1))
    (config,) = world.google.configs()
    assert world.run({"name": config.name})["state"] == "SUCCEEDED"
    # The size is that of now, not that of the last time somebody asked.
    assert (world.get_table()["numRows"], world.get_table()["numBytes"]) == ("4", "46")


def test_appending_another_schema_fails(world, aws, users) -> None:
    world.loaded(users, write_disposition="WRITE_APPEND")
    aws.put(
        "exports/shop-2026010103/db/db.users/2/part.parquet", pa.table({"id": ["1"], "name": ["x"]})
    )
    (config,) = world.google.configs()
    run = world.run({"name": config.name})
    assert run["state"] == "FAILED"
    assert "column id has changed type from INTEGER to STRING" in run["errorStatus"]["message"]
    assert world.get_table()["numRows"] == "3"


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (pa.table({"id": ["1"], "name": ["x"]}), "column id: INT64 in one, BYTE_ARRAY UTF8"),
        (pa.table({"id": [1]}), "column name: missing in one of them"),
        (pa.table({"name": ["x"], "id": [1]}), "column id: in its place the other has name"),
    ],
)
def test_files_of_different_schemas_fail_and_name_the_column(
    world, aws, users, other, told
) -> None:
    aws.put("exports/shop-2026010103/db/db.users/2/part-1.gz.parquet", other)
    run = world.loaded(users)
    assert run["state"] == "FAILED"
    assert told in run["errorStatus"]["message"]
    assert "2/part-1.gz.parquet" in run["errorStatus"]["message"]
    assert world.get_table()["numRows"] == "0"


def test_a_value_out_of_range_keeps_the_old_rows(world, aws, users) -> None:
    world.loaded(users)
    aws.put(
        "exports/shop-2026010104/db/db.users/1/part.parquet",
        pa.table({"id": [1], "seen": pa.array([300_000_000_000_000_000], pa.timestamp("us"))}),
    )
    (config,) = world.google.configs()
    run = world.run({"name": config.name}, "2026-01-01T04:00:00Z")
    assert run["state"] == "FAILED"
    assert "column seen" in run["errorStatus"]["message"]
    assert len(rows_of(world)) == 3


def test_a_file_that_is_not_parquet_fails(world, aws, users) -> None:
    aws.put("exports/shop-2026010103/db/db.users/2/part.parquet", b"PAR0 this is something else")
    run = world.loaded(users)
    assert run["state"] == "FAILED"
    assert run["errorStatus"]["code"] == 3


def test_the_destination_table_must_exist(world, aws, users) -> None:
    owner = world.ready_for_transfers()
    aws.put("exports/shop-2026010103/db/db.users/1/part.parquet", users)
    run = world.run(world.config(owner))
    assert run["state"] == "FAILED"
    assert "Not found: Table shop-analytics:shop_data.users" in run["errorStatus"]["message"]


def test_the_key_pair_of_the_configuration_is_the_one_used(world, aws, users) -> None:
    aws.access_keys = {"AKIAROTATED"}
    run = world.loaded(users)
    assert run["state"] == "FAILED"
    assert "InvalidAccessKeyId" in run["errorStatus"]["message"]
    assert "was the key rotated?" in run["errorStatus"]["message"]


@pytest.mark.parametrize("action", ["location", "list", "get"])
def test_each_right_on_the_bucket_is_needed(world, aws, users, action) -> None:
    aws.denied_actions = {action}
    run = world.loaded(users)
    assert run["state"] == "FAILED"
    assert "AccessDenied" in run["errorStatus"]["message"]
    assert world.get_table()["numRows"] == "0"


def test_the_agent_must_be_allowed_to_write(world, users, aws) -> None:
    """An authoritative access list that drops the agent breaks every later run."""
    world.loaded(users)
    path = "/bigquery/v2/projects/shop-analytics/datasets/shop_data"
    access = [e for e in world.api("GET", path)["access"] if "gcp-sa" not in str(e)]
    world.api("PATCH", path, {"access": access})
    (config,) = world.google.configs()
    run = world.run({"name": config.name})
    assert run["state"] == "FAILED"
    assert "bigquery.tables.updateData denied" in run["errorStatus"]["message"]


def test_a_scenario_can_make_a_table_fail(start, users) -> None:
    world = start(fail_transfers_of=lambda table: RUN_ERROR if table == "users" else None)
    run = world.loaded(users)
    assert run["state"] == "FAILED"
    assert run["errorStatus"]["message"] == RUN_ERROR
    assert f"ERROR {RUN_ERROR}" in world.log(run)


def test_many_tables_load_at_the_same_time(world, aws, users) -> None:
    owner = world.ready_for_transfers()
    names = [f"t{number}" for number in range(12)]
    for name in names:
        world.table(name)
        aws.put(f"exports/shop-2026010103/db/db.{name}/1/part.parquet", users)
    configs = [
        world.config(
            owner,
            params={
                "destination_table_name_template": name,
                "data_path": f's3://shop-exports/exports/shop-{{run_time|"%Y%m%d%H"}}/db/db.{name}/*',
            },
        )
        for name in names
    ]
    for config in configs:
        world.api(
            "POST",
            f"/v1/{config['name']}:startManualRuns",
            {"requestedRunTime": "2026-01-01T03:00:00Z"},
        )
    world.run(configs[0])
    world.google.stop()
    assert {run.state for run in world.google.runs()} == {"SUCCEEDED"}


def test_the_file_that_is_kept_opens_in_plain_duckdb(world, users, tmp_path) -> None:
    threads = set(threading.enumerate())
    world.loaded(users)
    world.google.stop()
    assert not [t for t in set(threading.enumerate()) - threads if "transfer" in t.name]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bigquery.duckdb"]
    with duckdb.connect(str(tmp_path / "bigquery.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM shop_data.users").fetchall() == [(3,)]


def test_a_second_rehearsal_into_the_same_file_starts_empty(start, users) -> None:
    first = start()
    first.loaded(users)
    first.google.stop()
    second = start()
    second.dataset()
    second.table()
    assert second.get_table()["numRows"] == "0"
    assert "schema" not in second.get_table()


def test_a_table_of_an_earlier_rehearsal_is_gone(start, users, tmp_path) -> None:
    first = start()
    first.loaded(users)
    first.google.stop()
    second = start()
    second.dataset()
    second.google.stop()
    with duckdb.connect(str(tmp_path / "bigquery.duckdb"), read_only=True) as connection:
        assert connection.execute("SHOW ALL TABLES").fetchall() == []


def test_the_server_leaves_no_thread_and_no_port_behind(start, users) -> None:
    before = set(threading.enumerate())
    world = start()
    world.loaded(users)
    world.google.stop()
    after = [thread for thread in threading.enumerate() if thread not in before]
    # The small AWS of the tests answers kept connections in threads of its own.
    assert [t.name for t in after if "process_request_thread" not in t.name] == []
