"""Google's own BigQuery client against the local one: what a user of the rehearsal does first."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from rehearsal.google.server import LocalGoogle

ID = bigquery.SchemaField("id", "INT64")


@pytest.fixture(scope="module")
def filled(shared_world, client):
    shared_world.loaded(
        pa.table(
            {
                "id": list(range(1, 2501)),
                "country": ["de", "fr", None, "de", "it"] * 500,
                "price": pa.array([Decimal("1.50")] * 2500, pa.decimal128(10, 2)),
                "raw": [b"\x00\xff"] * 2500,
                "at": pa.array([-1] * 2500, pa.timestamp("us", "UTC")),
            }
        )
    )
    return client


def test_datasets_and_tables_are_listed(filled: bigquery.Client) -> None:
    assert [d.dataset_id for d in filled.list_datasets()] == ["shop_data"]
    assert [t.table_id for t in filled.list_tables("shop_data")] == ["users"]


def test_a_table_shows_its_schema_and_its_true_size(filled: bigquery.Client) -> None:
    table = filled.get_table("shop_data.users")
    assert table.num_rows == 2500
    # 8 id + (2 + 2) country (a fifth are null) + 16 numeric + (2 + 2) bytes + 8 timestamp
    assert table.num_bytes == 2500 * (8 + 16 + 4 + 8) + 2000 * 4
    assert [(f.name, f.field_type, f.mode) for f in table.schema] == [
        ("id", "INTEGER", "NULLABLE"),
        ("country", "STRING", "NULLABLE"),
        ("price", "NUMERIC", "NULLABLE"),
        ("raw", "BYTES", "NULLABLE"),
        ("at", "TIMESTAMP", "NULLABLE"),
    ]


def test_count_in_every_way_of_naming_the_table(filled: bigquery.Client) -> None:
    for name in (
        "`shop-analytics.shop_data.users`",
        "`shop-analytics`.shop_data.users",
        "shop-analytics.shop_data.users",
        "shop_data.users",
        "`shop_data.users`",
    ):
        rows = list(filled.query(f"SELECT COUNT(*) AS n FROM {name}").result())
        assert [row.n for row in rows] == [2500], name


def test_count_with_a_default_dataset(filled: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(default_dataset="shop-analytics.shop_data")
    rows = filled.query_and_wait("SELECT COUNT(*) FROM users", job_config=config)
    assert [tuple(row) for row in rows] == [(2500,)]


def test_group_by(filled: bigquery.Client) -> None:
    sql = """
        SELECT country, COUNT(*) AS n, SUM(price) AS total
        FROM shop_data.users GROUP BY country ORDER BY n DESC, country
    """
    assert [tuple(row) for row in filled.query_and_wait(sql)] == [
        ("de", 1000, Decimal("1500")),
        (None, 500, Decimal("750")),
        ("fr", 500, Decimal("750")),
        ("it", 500, Decimal("750")),
    ]


def test_unnamed_columns_get_bigquerys_names(filled: bigquery.Client) -> None:
    result = filled.query_and_wait(
        "SELECT COUNT(*), country, 1 + 1 FROM shop_data.users GROUP BY 2"
    )
    assert [field.name for field in result.schema] == ["f0_", "country", "f1_"]


def test_all_rows_are_listed_page_by_page(filled: bigquery.Client) -> None:
    rows = filled.list_rows("shop-analytics.shop_data.users", page_size=999)
    pages = [list(page) for page in rows.pages]
    assert [len(page) for page in pages] == [999, 999, 502]
    assert sorted(row.id for page in pages for row in page) == list(range(1, 2501))
    row = pages[0][0]
    assert (row.price, row.raw) == (Decimal("1.50"), b"\x00\xff")
    assert row.at == dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.timezone.utc)


def test_query_results_come_page_by_page_in_order(filled: bigquery.Client) -> None:
    rows = filled.query("SELECT id FROM shop_data.users ORDER BY id DESC").result(page_size=700)
    assert [row.id for row in rows] == list(range(2500, 0, -1))


def test_selected_fields_and_a_start(filled: bigquery.Client) -> None:
    table = filled.get_table("shop_data.users")
    rows = filled.list_rows(table, selected_fields=[table.schema[1]], start_index=2499)
    assert [tuple(row) for row in rows] == [("it",)]


def test_parameters(filled: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter("country", "STRING", "de"),
            bigquery.ScalarQueryParameter("least", "INT64", 2490),
        ]
    )
    sql = "SELECT id FROM shop_data.users WHERE country = @country AND id >= @least ORDER BY 1"
    assert [r.id for r in filled.query_and_wait(sql, job_config=config)] == [2491, 2494, 2496, 2499]


def test_truncate_and_delete_tell_how_many_rows_went(filled: bigquery.Client) -> None:
    filled.create_table(bigquery.Table("shop-analytics.shop_data.gone", [ID]))
    filled.query_and_wait("INSERT INTO shop_data.gone (id) SELECT id FROM shop_data.users")
    job = filled.query("DELETE FROM shop_data.gone WHERE id > 500")
    job.result()
    assert job.num_dml_affected_rows == 2000
    job = filled.query("TRUNCATE TABLE `shop-analytics.shop_data.gone`")
    job.result()
    assert job.num_dml_affected_rows == 500
    assert filled.get_table("shop_data.gone").num_rows == 0
    filled.delete_table("shop_data.gone")


def test_what_a_user_gets_wrong_is_told_as_bigquery_tells_it(filled: bigquery.Client) -> None:
    with pytest.raises(exceptions.NotFound, match=r"Not found: Table shop-analytics:shop_data\.no"):
        filled.query_and_wait("SELECT 1 FROM shop_data.no")
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset shop-analytics:nope"):
        filled.get_dataset("nope")
    with pytest.raises(exceptions.BadRequest, match="Syntax error"):
        filled.query_and_wait("SELECT FROM WHERE")
    with pytest.raises(exceptions.BadRequest, match="DELETE must have a WHERE clause"):
        filled.query_and_wait("DELETE FROM shop_data.users")
    with pytest.raises(exceptions.NotFound, match="Not found: Project other"):
        filled.query_and_wait("SELECT 1 FROM other.shop_data.users")
    with pytest.raises(exceptions.NotFound, match="was not found in location US"):
        filled.query_and_wait("SELECT 1 FROM shop_data.users", location="US")


def test_a_table_without_a_schema_cannot_be_queried(filled: bigquery.Client) -> None:
    filled.create_table(bigquery.Table("shop-analytics.shop_data.bare"))
    with pytest.raises(exceptions.BadRequest, match="does not have a schema"):
        filled.query_and_wait("SELECT COUNT(*) FROM shop_data.bare")
    filled.delete_table("shop_data.bare")


def test_queries_reach_tables_and_not_the_machine(filled: bigquery.Client) -> None:
    for sql in (
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM `/etc/hostname`",
        "COPY shop_data.users TO '/tmp/x'",
        "SELECT 1; SELECT 2",
    ):
        with pytest.raises(exceptions.BadRequest):
            filled.query_and_wait(sql)


def test_expressions_of_every_type(client: bigquery.Client) -> None:
    sql = """
        SELECT TRUE AS b, 9007199254740993 AS i, 1.5 AS f, NUMERIC '12.340' AS n,
            CAST('0.123456789' AS NUMERIC) AS n9, 'é' AS s, b'\\xff' AS y, DATE '2024-02-29' AS d,
            TIME '10:11:12' AS t, DATETIME '2024-02-29 10:11:12' AS dt,
            TIMESTAMP '2024-02-29 10:11:12.123456 UTC' AS ts, [1, 2] AS a,
            STRUCT(1 AS x, 'y' AS y) AS st, CAST(NULL AS STRING) AS nothing
    """
    (row,) = client.query_and_wait(sql)
    assert dict(row) == {
        "b": True,
        "i": 9007199254740993,
        "f": 1.5,
        "n": Decimal("12.34"),
        "n9": Decimal("0.123456789"),
        "s": "é",
        "y": b"\xff",
        "d": dt.date(2024, 2, 29),
        "t": dt.time(10, 11, 12),
        "dt": dt.datetime(2024, 2, 29, 10, 11, 12),
        "ts": dt.datetime(2024, 2, 29, 10, 11, 12, 123456, tzinfo=dt.timezone.utc),
        "a": [1, 2],
        "st": {"x": 1, "y": "y"},
        "nothing": None,
    }


def test_the_rehearsal_can_ask_in_python_too(shared_world, filled: bigquery.Client) -> None:
    google: LocalGoogle = shared_world.google
    assert google.query("SELECT COUNT(*), MAX(id) FROM shop_data.users") == [(2500, 2500)]
