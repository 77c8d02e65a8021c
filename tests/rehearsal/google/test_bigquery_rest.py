"""BigQuery's REST surface as the program and its handlers call it."""

from __future__ import annotations

import pytest

BASE = "/bigquery/v2/projects/shop-analytics"
DATASETS = f"{BASE}/datasets"
TABLES = f"{DATASETS}/shop_data/tables"


@pytest.fixture(autouse=True)
def dataset(world):
    world.dataset()


def test_a_dataset_as_it_is_recorded_from_the_service(world) -> None:
    shown = world.api("GET", f"{DATASETS}/shop_data?accessPolicyVersion=3")
    assert shown["kind"] == "bigquery#dataset"
    assert shown["id"] == "shop-analytics:shop_data"
    assert shown["datasetReference"] == {"projectId": "shop-analytics", "datasetId": "shop_data"}
    assert (shown["location"], shown["type"], len(shown["access"])) == ("EU", "DEFAULT", 4)
    assert shown["creationTime"].isdecimal()
    by_number = world.api("GET", "/bigquery/v2/projects/123456789012/datasets/shop_data")
    assert by_number == shown


def test_not_found_has_googles_shape(world, refused) -> None:
    with pytest.raises(refused) as error:
        world.api("GET", f"{DATASETS}/other")
    message = "Not found: Dataset shop-analytics:other"
    assert error.value.body == {
        "error": {
            "code": 404,
            "message": message,
            "errors": [{"message": message, "domain": "global", "reason": "notFound"}],
            "status": "NOT_FOUND",
        }
    }


def test_names_are_unique(world, refused) -> None:
    with pytest.raises(refused, match="Already Exists: Dataset shop-analytics:shop_data") as error:
        world.dataset()
    assert error.value.body["error"]["errors"][0]["reason"] == "duplicate"
    world.table()
    with pytest.raises(refused, match=r"Already Exists: Table shop-analytics:shop_data\.users"):
        world.table()
    with pytest.raises(refused, match="differ only in case"):
        world.table("Users")
    for name in ("a-b", "a.b", ""):
        with pytest.raises(refused, match="Invalid dataset ID"):
            world.dataset(name)


def test_patch_changes_what_it_names_and_put_replaces(world) -> None:
    path = f"{DATASETS}/shop_data"
    world.api("PATCH", path, {"description": "d", "labels": {"a": "b"}})
    patched = world.api("PATCH", path, {"labels": {"team": "data"}})
    assert (patched["description"], patched["labels"]) == ("d", {"a": "b", "team": "data"})
    assert world.api("PATCH", path, {"labels": {"a": None}})["labels"] == {"team": "data"}
    assert "description" not in world.api("PATCH", path, {"description": None})
    assert "labels" not in world.api("PUT", path, {"description": "e"})


def test_a_dataset_that_somebody_else_changed_is_not_written_over(world, refused) -> None:
    path = f"{DATASETS}/shop_data"
    read = {"headers": {"If-Match": world.api("GET", path)["etag"]}}
    world.api("PATCH", path, {"description": "first"}, **read)
    with pytest.raises(refused, match="Precondition") as error:
        world.api("PATCH", path, {"description": "second"}, **read)
    assert error.value.code == 412
    # Without the header, the last one wins.
    assert world.api("PATCH", path, {"description": "third"})["description"] == "third"


def test_the_entry_of_an_account_that_is_gone_may_stay(world) -> None:
    world.enable()
    email = world.account("shop-reader")
    entry = {"role": "READER", "userByEmail": email}
    world.api("PATCH", f"{DATASETS}/shop_data", {"access": [entry]})
    world.api("DELETE", f"/v1/projects/shop-analytics/serviceAccounts/{email}")
    more = [entry, {"role": "READER", "userByEmail": "ada@example.com"}]
    assert world.api("PATCH", f"{DATASETS}/shop_data", {"access": more})["access"] == more


def test_access_entries_take_the_basic_names(world, refused) -> None:
    path = f"{DATASETS}/shop_data"
    entry = {"role": "roles/bigquery.dataViewer", "userByEmail": "ada@example.com"}
    shown = world.api("PATCH", path, {"access": [entry, entry]})
    assert shown["access"] == [{"role": "READER", "userByEmail": "ada@example.com"}]
    with pytest.raises(refused, match="is not supported"):
        world.api("PATCH", path, {"access": [{**entry, "role": "roles/none"}]})


def test_a_dataset_with_tables_is_deleted_only_with_its_contents(world, refused) -> None:
    world.table()
    with pytest.raises(refused, match="is still in use"):
        world.api("DELETE", f"{DATASETS}/shop_data")
    assert world.api("DELETE", f"{DATASETS}/shop_data?deleteContents=true") is None
    assert world.api("GET", DATASETS)["datasets"] == []


def test_a_table_keeps_what_it_is_given(world) -> None:
    fields = [
        {"name": "id", "type": "INT64", "mode": "REQUIRED"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "at", "type": "STRUCT", "fields": [{"name": "x", "type": "FLOAT64"}]},
    ]
    world.table(fields=fields)
    shown = world.get_table()
    assert [(f["name"], f["type"], f["mode"]) for f in shown["schema"]["fields"]] == [
        ("id", "INTEGER", "REQUIRED"),
        ("tags", "STRING", "REPEATED"),
        ("at", "RECORD", "NULLABLE"),
    ]
    assert (shown["numRows"], shown["numBytes"], shown["type"]) == ("0", "0", "TABLE")


def test_a_schema_may_grow_and_not_shrink(world, refused) -> None:
    world.table(fields=[{"name": "id", "type": "INT64"}])
    more = [{"name": "id", "type": "INT64"}, {"name": "name", "type": "STRING"}]
    world.api("PUT", f"{TABLES}/users", {"schema": {"fields": more}})
    world.api.query("INSERT INTO shop_data.users (id, name) VALUES (1, 'Ada')")
    assert world.get_table()["numRows"] == "1"
    for fields in ([more[0]], [{"name": "id", "type": "STRING"}, more[1]]):
        with pytest.raises(refused, match="Provided Schema does not match"):
            world.api("PUT", f"{TABLES}/users", {"schema": {"fields": fields}})
    # A put without a schema, as for a table declared without one, leaves it alone.
    world.api("PUT", f"{TABLES}/users", {"description": "x"})
    assert len(world.get_table()["schema"]["fields"]) == 2


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([{"name": "a", "type": "TEXT"}], "Invalid value for type"),
        ([{"name": "a", "type": "STRING"}, {"name": "A", "type": "STRING"}], "Duplicate field"),
        ([{"name": "_TABLE_x", "type": "STRING"}], "reserved"),
        ([{"name": "a", "type": "RECORD"}], "has 0 fields"),
    ],
)
def test_schemas_are_checked(world, refused, fields, told) -> None:
    with pytest.raises(refused) as error:
        world.table(fields=fields)
    assert told in error.value.message


def test_unknown_fields_are_refused(world, refused) -> None:
    with pytest.raises(refused, match="Unknown name"):
        world.api("POST", TABLES, {"tableReference": {"tableId": "x"}, "deletionProtection": True})


def test_the_apis_default_is_legacy_sql(world, refused) -> None:
    with pytest.raises(refused, match='send "useLegacySql": false'):
        world.api("POST", f"{BASE}/queries", {"query": "SELECT 1"})


def test_timestamps_in_the_way_the_caller_asked_for(world) -> None:
    sql = "SELECT TIMESTAMP '1969-12-31 23:59:59.5 UTC' AS t"

    def cell(**options):
        return world.api.query(sql, formatOptions=options)["rows"][0]["f"][0]["v"]

    assert float(cell()) == -0.5
    assert cell(useInt64Timestamp=True) == "-500000"
    assert cell(timestampOutputFormat="INT64") == "-500000"
    assert cell(timestampOutputFormat="ISO8601_STRING") == "1969-12-31T23:59:59.500000Z"


def test_a_job_is_found_where_it_ran(world, refused) -> None:
    world.dataset("near", "europe-west1")
    world.table("t", [{"name": "id", "type": "INT64"}], "near")
    job = world.api.query("SELECT COUNT(*) AS n FROM near.t")["jobReference"]
    path = f"{BASE}/queries/{job['jobId']}"
    assert job["location"] == "europe-west1"
    assert world.api("GET", f"{path}?location=europe-west1")["totalRows"] == "1"
    for query in ("", "?location=EU"):
        with pytest.raises(refused, match="Not found: Job"):
            world.api("GET", path + query)


def test_a_failed_job_tells_its_error(world) -> None:
    job = world.api(
        "POST",
        f"{BASE}/jobs",
        {"configuration": {"query": {"query": "SELECT x", "useLegacySql": False}}},
    )
    assert job["status"]["state"] == "DONE"
    assert job["status"]["errorResult"]["reason"] == "invalidQuery"


def test_numbers_keep_all_their_digits(world) -> None:
    number = "12345678901234567890123456789.123456789"
    answer = world.api.query(f"SELECT NUMERIC '{number}' AS a, NUMERIC '100' AS b")
    assert answer["rows"] == [{"f": [{"v": number}, {"v": "100"}]}]


def test_sums_stay_integers_until_they_no_longer_fit(world, refused) -> None:
    world.table(fields=[{"name": "n", "type": "INT64"}])
    world.api.query(f"INSERT INTO shop_data.users (n) VALUES ({2**62}), ({2**62 - 1})")
    answer = world.api.query("SELECT SUM(n) AS s FROM shop_data.users")
    assert answer["schema"]["fields"][0]["type"] == "INTEGER"
    assert answer["rows"] == [{"f": [{"v": str(2**63 - 1)}]}]
    world.api.query("INSERT INTO shop_data.users (n) VALUES (1)")
    with pytest.raises(refused, match="int64 overflow"):
        world.api.query("SELECT SUM(n) AS s FROM shop_data.users")


def test_datasets_called_like_duckdbs_own(world) -> None:
    """The database, its schemas and its catalogues have names a dataset may have too."""
    for name in ("main", "temp", "system", "bigquery"):
        world.dataset(name)
        world.table("t", [{"name": "id", "type": "INT64"}], name)
        world.api.query(f"INSERT INTO {name}.t (id) VALUES (1)")
        assert world.get_table("t", name)["numRows"] == "1"
