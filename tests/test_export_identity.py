"""What the export writes is what the load reads: the hinge of the snapshot route."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import jsonata
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import export_identity as identity

SOURCES = st.from_regex(r"[a-z](-?[a-z0-9]){0,62}", fullmatch=True).map(
    lambda name: name[:63].rstrip("-")
)
ENGINES = st.sampled_from(["mysql", "postgresql"])
# Every name the settings accept: no slash, no star, no control character, no space at an end.
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z0-9_$]{1,64}", fullmatch=True),
    st.text(
        st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/*"),
        min_size=1,
        max_size=64,
    ).filter(lambda name: name == name.strip()),
)
NAMED = st.tuples(NAMES, NAMES, NAMES)
TABLES = st.tuples(ENGINES, NAMES, NAMES, NAMES)
HOURS = st.datetimes(
    datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(timezone.utc)
).map(lambda at: at.replace(minute=0, second=0, microsecond=0))
OFFSETS = st.integers(0, 23)
PREFIXES = st.from_regex(r"[A-Za-z0-9._-]{1,20}(/[A-Za-z0-9._-]{1,20}){0,2}", fullmatch=True)
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", fullmatch=True)

HOUR = datetime(2026, 11, 20, 3, tzinfo=timezone.utc)


def for_all(
    *strategies: st.SearchStrategy[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return `given` without limits on time, which a busy machine would break."""
    patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    return lambda test: patient(given(*strategies)(test))


def written(bucket: str, prefix: str, source: str, hour: datetime, folder: str) -> str:
    """Return a file of a table as RDS writes it."""
    root = identity.export_prefix(prefix, source, hour)
    return f"s3://{bucket}/{root}/{folder}/1/part-00000-{uuid.uuid4()}.gz.parquet"


def matches(pattern: str, uri: str) -> bool:
    """Return whether BigQuery's transfer loads `uri`: its one wildcard spans directories."""
    before, after = pattern.split("*")
    return re.fullmatch(f"{re.escape(before)}.*{re.escape(after)}", uri, re.DOTALL) is not None


def evaluate(expression: str, **data: object) -> Any:
    return jsonata.Jsonata(expression).evaluate(data)


class TestExportTaskId:
    @for_all(SOURCES, HOURS)
    def test_is_always_one_that_rds_accepts(self, source: str, hour: datetime) -> None:
        task = identity.export_task_id(source, hour)
        assert re.fullmatch(r"[a-z](-?[a-z0-9])*", task)
        assert len(task) <= identity.MAX_EXPORT_TASK_ID

    @for_all(SOURCES, SOURCES, HOURS, HOURS)
    def test_belongs_to_one_source_and_one_hour(
        self, one: str, other: str, hour: datetime, later: datetime
    ) -> None:
        same = (one, hour) == (other, later)
        ids = identity.export_task_id(one, hour), identity.export_task_id(other, later)
        assert (ids[0] == ids[1]) == same

    @for_all(st.from_regex(r"[a-z](-?[a-z0-9]){55}", fullmatch=True), SOURCES, SOURCES)
    def test_keeps_long_sources_apart_that_begin_alike(
        self, begin: str, one: str, other: str
    ) -> None:
        first, second = f"{begin[:56].rstrip('-')}{one[:7]}", f"{begin[:56].rstrip('-')}{other[:7]}"
        assume(first != second)
        assert identity.source_key(first) != identity.source_key(second)

    def test_reads_like_its_source_and_hour(self) -> None:
        assert identity.export_task_id("shop-stg", HOUR) == "shop-stg-2026112003"

    def test_of_a_long_source_keeps_its_beginning_and_adds_a_hash(self) -> None:
        source = "a" * 39 + "-" + "b" * 20
        assert re.fullmatch("a{39}-[0-9a-f]{8}-2026112003", identity.export_task_id(source, HOUR))

    def test_is_the_same_for_every_minute_of_the_hour(self) -> None:
        late = HOUR.replace(minute=59, second=59, microsecond=999_999)
        assert identity.export_task_id("shop", late) == identity.export_task_id("shop", HOUR)

    def test_takes_the_hour_in_utc(self) -> None:
        in_india = HOUR.replace(minute=30).astimezone(timezone(timedelta(hours=5, minutes=30)))
        assert identity.export_task_id("shop", in_india) == "shop-2026112003"

    def test_refuses_a_time_without_a_zone(self) -> None:
        with pytest.raises(ValueError, match="without a zone"):
            identity.export_task_id("shop", HOUR.replace(tzinfo=None))


class TestShorten:
    @for_all(SOURCES, st.integers(12, 63))
    def test_fits_and_is_legal(self, name: str, limit: int) -> None:
        short = identity.shorten(name, limit)
        assert len(short) <= limit
        assert re.fullmatch(r"[a-z](-?[a-z0-9])*", short)

    @for_all(SOURCES)
    def test_leaves_alone_what_fits(self, name: str) -> None:
        assert identity.shorten(name, len(name)) == name


class TestDataPath:
    @for_all(BUCKETS, PREFIXES, SOURCES, TABLES, HOURS, OFFSETS)
    def test_finds_what_the_export_of_its_hour_writes(
        self,
        bucket: str,
        prefix: str,
        source: str,
        table: tuple[str, str, str, str],
        hour: datetime,
        offset: int,
    ) -> None:
        path = identity.data_path(bucket, prefix, source, *table, offset_hours=offset)
        resolved = identity.resolve(path, identity.run_time(hour, offset))
        folder = identity.table_path(*table)
        assert matches(resolved, written(bucket, prefix, source, hour, folder))
        for batch in ("2", "1024"):
            file = written(bucket, prefix, source, hour, folder)
            assert matches(resolved, file.replace("/1/part", f"/{batch}/part"))

    @for_all(PREFIXES, SOURCES, TABLES, HOURS)
    def test_leaves_markers_alone(
        self, prefix: str, source: str, table: tuple[str, str, str, str], hour: datetime
    ) -> None:
        path = identity.resolve(identity.data_path("b", prefix, source, *table), hour)
        root = f"s3://b/{identity.export_prefix(prefix, source, hour)}"
        assert not matches(path, f"{root}/{identity.table_path(*table)}/1/_SUCCESS")
        assert not matches(path, f"{root}/export_tables_info_x_from_1_to_9.json")

    @for_all(
        SOURCES, ENGINES, st.tuples(NAMES, NAMES, NAMES), st.tuples(NAMES, NAMES, NAMES), HOURS
    )
    def test_finds_no_other_table(
        self,
        source: str,
        engine: str,
        one: tuple[str, str, str],
        other: tuple[str, str, str],
        hour: datetime,
    ) -> None:
        folder = identity.table_path(engine, *other)
        assume(identity.table_path(engine, *one) != folder)
        path = identity.resolve(identity.data_path("b", "exports", source, engine, *one), hour)
        assert not matches(path, written("b", "exports", source, hour, folder))

    @for_all(SOURCES, SOURCES, TABLES, HOURS, HOURS)
    def test_finds_no_other_source_and_no_other_hour(
        self,
        one: str,
        other: str,
        table: tuple[str, str, str, str],
        hour: datetime,
        later: datetime,
    ) -> None:
        assume((one, hour) != (other, later))
        path = identity.resolve(identity.data_path("b", "exports", one, *table), hour)
        file = written("b", "exports", other, later, identity.table_path(*table))
        assert not matches(path, file)

    @pytest.mark.parametrize(
        ("other", "folder"),
        [
            ("shop-replica", "shop/shop.users"),
            ("shop", "shop/shop.users2"),
            ("shop", "shop2/shop2.users"),
        ],
    )
    def test_tells_names_apart_that_begin_alike(self, other: str, folder: str) -> None:
        path = identity.data_path("b", "exports", "shop", "mysql", "shop", "shop", "users")
        file = written("b", "exports", other, HOUR, folder)
        assert not matches(identity.resolve(path, HOUR), file)

    def test_reads_as_google_documents_it(self) -> None:
        path = identity.data_path("b", "exports", "shop", "mysql", "shop", "shop", "users")
        assert path == 's3://b/exports/shop-{run_time|"%Y%m%d%H"}/shop/shop.users/*.parquet'

    def test_goes_back_by_the_offset(self) -> None:
        path = identity.data_path(
            "b", "exports", "ledger", "postgresql", "ledger", "public", "accounts", 6
        )
        assert '-{run_time-6h|"%Y%m%d%H"}/ledger/public.accounts/' in path
        assert identity.run_time(HOUR, 6) == HOUR + timedelta(hours=6)

    def test_a_brace_in_a_name_is_a_brace(self) -> None:
        path = identity.data_path("b", "exports", "shop", "mysql", "shop", "shop", "a{run_date}|b")
        assert r"shop.a\{run_date\}\|b/" in path
        assert "/shop/shop.a{run_date}|b/" in identity.resolve(path, HOUR)

    @pytest.mark.parametrize("parameter", ["{run_date}", '{run_time-1d|"%Y"}', "{", "x}"])
    def test_resolving_refuses_parameters_it_does_not_know(self, parameter: str) -> None:
        with pytest.raises(ValueError, match="not a runtime parameter"):
            identity.resolve(f"s3://b/{parameter}/*.parquet", HOUR)


class TestTable:
    def test_mysql_repeats_the_database_where_postgresql_has_the_schema(self) -> None:
        assert identity.table_path("mysql", "shop", "shop", "users") == "shop/shop.users"
        assert identity.table_path("postgresql", "ledger", "public", "a") == "ledger/public.a"

    def test_characters_that_rds_replaces_are_replaced(self) -> None:
        path = identity.table_path("mysql", "my shop", "my shop", 'a"b`c\\d')
        assert path == "my_shop/my_shop.a_b_c_d"

    def test_is_named_as_the_manifest_names_it(self) -> None:
        assert identity.table_target("mysql", "shop", "shop", "users") == "shop.users"
        assert identity.table_target("postgresql", "ledger", "public", "a") == "ledger.public.a"


ISO_FORMS: list[Callable[[datetime], str]] = [
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S}+00:00",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%f}+00:00",
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S.%f}789Z",
    lambda at: f"{at.astimezone(timezone(timedelta(hours=2))):%Y-%m-%dT%H:%M:%S}+02:00",
]
HOUR_EXPR = identity.jsonata_hour("at")


class TestJsonata:
    """A state machine makes of a snapshot's time what the Python functions make of it."""

    @for_all(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)), st.sampled_from(ISO_FORMS))
    def test_the_hour_of_a_time(self, at: datetime, form: Callable[[datetime], str]) -> None:
        aware = at.replace(tzinfo=timezone.utc)
        assert evaluate(HOUR_EXPR, at=form(aware)) == f"{aware:%Y%m%d%H}"

    @for_all(SOURCES, HOURS)
    def test_the_export_task_id(self, source: str, hour: datetime) -> None:
        expression = identity.jsonata_export_task_id(source, HOUR_EXPR)
        assert evaluate(expression, at=ISO_FORMS[0](hour)) == identity.export_task_id(source, hour)

    @for_all(HOURS)
    def test_the_next_hour(self, hour: datetime) -> None:
        expression = identity.jsonata_next_hour("hour")
        after = hour + timedelta(hours=1)
        assert evaluate(expression, hour=f"{hour:%Y%m%d%H}") == f"{after:%Y%m%d%H}"

    @pytest.mark.parametrize(
        ("hour", "after"),
        [
            ("2026112023", "2026112100"),
            ("2026113023", "2026120100"),
            ("2026123123", "2027010100"),
            ("2028022823", "2028022900"),
            ("2027022823", "2027030100"),
        ],
    )
    def test_the_next_hour_at_the_ends(self, hour: str, after: str) -> None:
        assert evaluate(identity.jsonata_next_hour("hour"), hour=hour) == after

    @for_all(HOURS, OFFSETS)
    def test_the_run_time(self, hour: datetime, offset: int) -> None:
        expression = identity.jsonata_run_time("hour", offset)
        expected = f"{identity.run_time(hour, offset):%Y-%m-%dT%H:00:00Z}"
        assert evaluate(expression, hour=f"{hour:%Y%m%d%H}") == expected

    @for_all(SOURCES, HOURS)
    def test_fragments_go_into_one_another(self, source: str, hour: datetime) -> None:
        later = identity.jsonata_next_hour(identity.jsonata_next_hour(HOUR_EXPR))
        expression = f"{{'id': {identity.jsonata_export_task_id(source, later)}}}"
        expected = identity.export_task_id(source, hour + timedelta(hours=2))
        assert evaluate(expression, at=ISO_FORMS[0](hour)) == {"id": expected}
