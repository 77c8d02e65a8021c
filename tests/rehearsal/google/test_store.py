"""The DuckDB file behind BigQuery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from rehearsal.google.schema import Field
from rehearsal.google.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "bigquery.duckdb", tmp_path / "work")
    opened.open()
    opened.create_dataset("d")
    yield opened
    opened.close()


def test_sql_cannot_reach_the_files_of_this_machine(store: Store, tmp_path: Path) -> None:
    (tmp_path / "private.txt").write_text("secret")
    for sql in (
        f"SELECT * FROM read_text('{tmp_path}/private.txt')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "SET enable_external_access = true",
    ):
        with store.cursor() as cursor, pytest.raises(duckdb.Error):
            cursor.execute(sql)


def test_a_failed_transaction_leaves_nothing_behind(store: Store) -> None:
    with store.transaction() as cursor:
        store.create_table(cursor, "d", "t", [Field("a", "INTEGER")])
        cursor.execute(f"INSERT INTO {store.name('d', 't')} VALUES (1)")
    with pytest.raises(KeyError), store.transaction() as cursor:  # noqa: PT012
        store.create_table(cursor, "d", "t", [Field("a", "STRING")])
        raise KeyError
    assert store.count("d", "t") == 1


def test_everything_is_in_the_file_even_if_somebody_still_reads(tmp_path: Path) -> None:
    store = Store(tmp_path / "bigquery.duckdb", tmp_path / "work")
    store.open()
    store.create_dataset("d")
    with store.cursor() as reader:
        reader.execute("SELECT 1")
        with store.transaction() as cursor:
            store.create_table(cursor, "d", "t", [Field("a", "INTEGER")])
        store.close()
        assert [p.name for p in tmp_path.iterdir() if p.stat().st_size] == ["bigquery.duckdb"]


def test_names_and_texts_are_quoted(store: Store) -> None:
    odd = """we"ird '; DROP TABLE x"""
    with store.transaction() as cursor:
        store.create_table(cursor, "d", odd, [Field(odd, "STRING")])
    assert store.count("d", odd) == 0
    assert store.size("d", odd, [Field(odd, "STRING")]) == 0
