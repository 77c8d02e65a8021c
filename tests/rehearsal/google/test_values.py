"""Values on their way from Parquet into BigQuery's types: exact, or an error."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rehearsal.google.catalog import Table
from rehearsal.google.load import LoadError, load
from rehearsal.google.parquet import decimal_target
from rehearsal.google.store import Store

ALL = ("NUMERIC", "BIGNUMERIC", "STRING")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
UTC = dt.timezone.utc

fast = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "bigquery.duckdb", tmp_path / "work")
    opened.open()
    opened.create_dataset("d")
    yield opened
    opened.close()


def loaded(store: Store, *tables: pa.Table, targets: Any = ALL, into: Table | None = None) -> Table:
    """Load *tables*, one file each."""
    files = []
    for number, rows in enumerate(tables):
        files.append(store.work / f"{number}.parquet")
        pq.write_table(rows, files[-1], compression="gzip")
    table = into or Table("d", "t", None, {}, NOW, NOW)
    names = [file.name for file in files]
    load(store, table, files, names, decimal_targets=targets, append=into is not None, now=NOW)
    return table


def values(store: Store, column: str = "v") -> list[Any]:
    with store.cursor() as cursor:
        cursor.execute(f'SELECT "{column}" FROM {store.name("d", "t")} ORDER BY rowid')
        return [row[0] for row in cursor.fetchall()]


def one_column(items: Any, kind: pa.DataType) -> pa.Table:
    return pa.table({"v": pa.array(items, kind)})


def assert_same(store: Store, items: list[Any], kind: pa.DataType, expected: str) -> None:
    table = loaded(store, one_column(items, kind))
    assert table.fields is not None
    assert table.fields[0].type == expected
    assert values(store) == items


def nullable(strategy: Any) -> Any:
    return st.lists(st.one_of(st.none(), strategy), min_size=1, max_size=8)


@fast
@given(nullable(st.integers(-(2**63), 2**63 - 1)))
def test_integers(store: Store, items: list[Any]) -> None:
    assert_same(store, items, pa.int64(), "INTEGER")


@fast
@given(nullable(st.integers(0, 2**32 - 1)))
def test_unsigned_integers(store: Store, items: list[Any]) -> None:
    assert_same(store, items, pa.uint32(), "INTEGER")


@fast
@given(nullable(st.booleans()))
def test_booleans(store: Store, items: list[Any]) -> None:
    assert_same(store, items, pa.bool_(), "BOOLEAN")


@fast
@given(nullable(st.text(alphabet=st.characters(exclude_categories=["Cs"]))))
def test_text(store: Store, items: list[Any]) -> None:
    assert_same(store, items, pa.string(), "STRING")


@fast
@given(nullable(st.binary()))
def test_bytes(store: Store, items: list[Any]) -> None:
    assert_same(store, items, pa.binary(), "BYTES")


@fast
@given(nullable(st.floats(allow_nan=False)))
def test_floats(store: Store, items: list[Any]) -> None:
    assert_same(store, items, pa.float64(), "FLOAT")


@fast
@given(nullable(st.dates()))
def test_dates(store: Store, items: list[Any]) -> None:
    assert_same(store, items, pa.date32(), "DATE")


@fast
@given(nullable(st.datetimes(timezones=st.just(UTC))))
def test_timestamps(store: Store, items: list[Any]) -> None:
    """All of BigQuery's range, the years 1 to 9999, so also long before 1970."""
    assert_same(store, items, pa.timestamp("us", "UTC"), "TIMESTAMP")


@fast
@given(nullable(st.datetimes()))
def test_timestamps_without_a_zone_are_utc(store: Store, items: list[Any]) -> None:
    loaded(store, one_column(items, pa.timestamp("us")))
    assert values(store) == [item and item.replace(tzinfo=UTC) for item in items]


@st.composite
def decimals(draw: Any) -> tuple[int, int, list[Any]]:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, precision))
    digits = st.integers(-(10**precision) + 1, 10**precision - 1)
    items = draw(nullable(digits.map(lambda number: Decimal(f"{number}E-{scale}"))))
    return precision, scale, items


@fast
@given(decimals())
def test_decimals_of_up_to_38_digits(store: Store, case: tuple[int, int, list[Any]]) -> None:
    precision, scale, items = case
    table = loaded(store, one_column(items, pa.decimal128(precision, scale)))
    assert table.fields is not None
    small = precision - scale <= 29 and scale <= 9
    assert table.fields[0].type == ("NUMERIC" if small else "BIGNUMERIC")
    assert values(store) == items


@pytest.mark.parametrize(
    ("precision", "scale", "targets", "expected"),
    [
        (38, 9, ALL, "NUMERIC"),
        (20, 0, ALL, "NUMERIC"),  # MySQL's BIGINT UNSIGNED
        (39, 9, ALL, "BIGNUMERIC"),
        (38, 10, ALL, "BIGNUMERIC"),
        (76, 38, ALL, "BIGNUMERIC"),
        (77, 38, ALL, "STRING"),
        (77, 38, ("NUMERIC", "BIGNUMERIC"), "BIGNUMERIC"),
        (38, 10, ("NUMERIC",), "NUMERIC"),
        (38, 10, ("STRING", "NUMERIC"), "STRING"),
        (38, 9, ("STRING",), "STRING"),
    ],
)
def test_the_documented_choice_of_a_decimal_type(
    precision: int, scale: int, targets: tuple[str, ...], expected: str
) -> None:
    assert decimal_target(precision, scale, targets) == expected


@pytest.mark.parametrize(
    ("items", "kind", "targets", "told"),
    [
        ([2**63], pa.uint64(), ALL, "out of range"),
        ([Decimal("9" * 30)], pa.decimal128(30, 0), ("NUMERIC",), "v (NUMERIC)"),
        ([Decimal("0.1234567891")], pa.decimal128(12, 10), ("NUMERIC",), "longer than 9 decimals"),
        ([253402300800000000], pa.timestamp("us"), ALL, "not a TIMESTAMP"),
        ([-62135596800000001], pa.timestamp("us", "UTC"), ALL, "not a TIMESTAMP"),
        ([2932897], pa.date32(), ALL, "not a DATE"),
        ([1], pa.timestamp("ns"), ALL, "TIMESTAMP_NANOS, a combination BigQuery does not load"),
        ([Decimal(1)], pa.decimal256(50, 2), ALL, "DECIMAL(50,2)"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_column(
    store: Store, items: list[Any], kind: pa.DataType, targets: Any, told: str
) -> None:
    with pytest.raises(LoadError) as error:
        loaded(store, one_column([None, *items], kind), targets=targets)
    assert told in str(error.value)
    assert "column v" in str(error.value)


def test_a_number_that_fits_the_narrower_type_after_all_is_kept(store: Store) -> None:
    table = loaded(
        store, one_column([Decimal("0.5000000000")], pa.decimal128(12, 10)), targets=("NUMERIC",)
    )
    assert table.fields is not None
    assert (table.fields[0].type, values(store)) == ("NUMERIC", [Decimal("0.500000000")])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "A"], "Duplicate field name: A"),
        (["_PARTITIONTIME"], "the prefix _PARTITION is reserved"),
        (["x" * 301], "at most 300"),
        (["a.b"], "contains '.'"),
    ],
)
def test_column_names_bigquery_refuses(store: Store, names: list[str], told: str) -> None:
    with pytest.raises(LoadError) as error:
        loaded(store, pa.Table.from_arrays([pa.array([1])] * len(names), names=names))
    assert told in str(error.value)


def test_unusual_column_names_are_kept(store: Store) -> None:
    names = ["größe", "order id", "select", "a-b", "2nd"]
    table = loaded(store, pa.Table.from_arrays([pa.array([1])] * 5, names=names))
    assert table.fields is not None
    assert [field.name for field in table.fields] == names


def test_lists_and_structs_arrive_as_bigquery_shows_them(store: Store) -> None:
    """Without list inference a list is a record of repeated records with one ``element``."""
    table = loaded(
        store,
        pa.table(
            {
                "v": pa.array([[1, 2], None, []], pa.list_(pa.int64())),
                "s": pa.array([{"a": 1, "b": Decimal("1.5")}, None, {"a": None, "b": None}]),
            }
        ),
    )
    assert table.fields is not None
    listed, record = table.fields
    assert (listed.type, listed.fields[0].mode, listed.fields[0].fields[0].name) == (
        "RECORD",
        "REPEATED",
        "element",
    )
    assert [field.type for field in record.fields] == ["INTEGER", "NUMERIC"]
    assert values(store) == [{"list": [{"element": 1}, {"element": 2}]}, None, {"list": []}]
    assert values(store, "s")[:2] == [{"a": 1, "b": Decimal("1.5")}, None]
    assert store.size("d", "t", table.fields) == 2 * 8 + 8 + 16


def test_a_required_column_stays_required_if_it_is_in_every_file(store: Store) -> None:
    required = pa.schema([pa.field("v", pa.int64(), nullable=False)])
    table = loaded(store, pa.table({"v": [1]}, schema=required))
    assert table.fields is not None
    assert table.fields[0].mode == "REQUIRED"
    table = loaded(store, pa.table({"v": [1]}, schema=required), pa.table({"v": [2, None]}))
    assert table.fields is not None
    assert table.fields[0].mode == "NULLABLE"
    assert len(values(store)) == 3


def test_appending_never_rounds(store: Store) -> None:
    table = loaded(store, one_column([Decimal("1E-10")], pa.decimal128(38, 10)))
    loaded(store, one_column([Decimal("2E-10")], pa.decimal128(38, 20)), into=table)
    assert sorted(values(store)) == [Decimal("1E-10"), Decimal("2E-10")]
    with pytest.raises(LoadError, match="longer than 10 decimals"):
        loaded(store, one_column([Decimal("1E-11")], pa.decimal128(38, 20)), into=table)
    assert len(values(store)) == 2


def test_a_file_without_rows_gives_the_table_its_schema(store: Store) -> None:
    table = loaded(store, one_column([], pa.string()))
    assert table.fields is not None
    assert table.fields[0].type == "STRING"
    assert values(store) == []


def test_text_that_is_not_utf8_is_an_error(store: Store) -> None:
    buffer = io.BytesIO()
    pq.write_table(one_column([b"abc\xff"], pa.binary()), buffer)
    broken = pa.table({"v": pa.array([b"abc\xff"], pa.binary()).view(pa.string())})
    with pytest.raises(LoadError):
        loaded(store, broken)
