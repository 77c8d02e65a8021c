"""Loading objects into a real MariaDB."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from replication.database import Database
from replication.flow import Flow
from replication.loading import (
    BACKOFF,
    SECONDS_NEEDED,
    Loaded,
    Loader,
    LoadFailed,
    _refuse_warnings,
)
from replication.objects import StoredObject
from replication.statements import Statements
from replication.tables import WrongTable, _check_keys, prepare
from tests.handlers.replication.kit import FLOW, Clock, flow, flow_of, placed, record, upsert
from tests.handlers.replication.mysql_kit import Warehouse


@pytest.fixture
def warehouse(mariadb: URL, tmp_path: Path) -> Iterator[Warehouse]:
    made = Warehouse(mariadb, flow(), tmp_path)
    yield made
    made.close()


def view(page: str, at: int = 1, **rest: Any) -> dict[str, Any]:
    return {"page_id": page, "at": at, **rest}


def row(page: str, at: int = 1, **rest: Any) -> dict[str, Any]:
    return {"page_id": page, "at": at, "hits": None, "country": None, "raw": None, **rest}


def test_an_object_is_upserts_and_deletes_by_key(warehouse: Warehouse) -> None:
    first = warehouse.put(
        [
            record(view("a", hits=1, client={"country": "DE"}, raw="AP8="), 1),
            record(view("b", hits=2), 2),
        ]
    )
    assert warehouse.load(first) == Loaded(lines=2, upserts=2)
    assert warehouse.rows() == [
        row("a", hits=1, country="DE", raw=b"\x00\xff"),
        row("b", hits=2),
    ]
    second = warehouse.put(
        [record(view("a", hits=9), 3), record(view("b"), 4, "delete"), record(view("c"), 5)]
    )
    assert warehouse.load(second) == Loaded(lines=3, upserts=2, deletes=1)
    assert warehouse.rows() == [row("a", hits=9), row("c")]


def test_the_highest_sequence_of_a_key_wins_within_an_object(warehouse: Warehouse) -> None:
    # 10 and 9: as text the order would be another.
    stored = warehouse.put(
        [
            record(view("a", hits=10), 10),
            record(view("a", hits=9), 9),
            record(view("a", hits=10), 10),
            record(view("b", hits=1), 11),
            record(view("b"), 12, "delete"),
        ]
    )
    loaded = warehouse.load(stored)
    assert (loaded, loaded.stale) == (Loaded(lines=5, upserts=1, deletes=1), 3)
    assert warehouse.rows() == [row("a", hits=10)]


def test_an_object_that_comes_again_changes_nothing(warehouse: Warehouse) -> None:
    stored = warehouse.put([record(view("a", hits=1), 1)])
    warehouse.load(stored)
    warehouse.sql("DELETE FROM page_views")
    assert warehouse.load(stored) == Loaded(duplicate=True)
    # Not even read again: it may have been deleted since.
    (warehouse.folder / stored.version).unlink()
    assert warehouse.another_loader().load(stored, lambda: 60.0) == Loaded(duplicate=True)
    assert warehouse.rows() == []


def test_an_old_upsert_does_not_bring_back_what_was_deleted(warehouse: Warehouse) -> None:
    warehouse.load(warehouse.put([record(view("a"), 7, "delete")]))
    late = warehouse.load(warehouse.put([record(view("a", hits=1), 6)]))
    assert (late.upserts, late.stale) == (0, 1)
    assert warehouse.rows() == []
    ((deleted,),) = warehouse.sql("SELECT ferry_deleted_at IS NOT NULL FROM ferry_keys_page_views")
    assert deleted == 1
    warehouse.load(warehouse.put([record(view("a", hits=2), 8)]))
    assert warehouse.rows() == [row("a", hits=2)]
    ((deleted,),) = warehouse.sql("SELECT ferry_deleted_at IS NOT NULL FROM ferry_keys_page_views")
    assert deleted == 0


def test_a_change_of_a_stream_wins_over_an_export(warehouse: Warehouse) -> None:
    warehouse.load(warehouse.put([record(view("a", hits=2), "100000000003498069978")]))
    warehouse.load(warehouse.put([record(view("a", hits=1), 0), record(view("b", hits=1), 0)]))
    assert warehouse.rows() == [row("a", hits=2), row("b", hits=1)]


def test_a_change_of_a_later_stream_wins_over_one_of_an_earlier(warehouse: Warehouse) -> None:
    early, late = placed("9" * 40), "9" * 17 + "1".zfill(40)
    warehouse.load(warehouse.put([record(view("a", hits=2), late)]))
    warehouse.load(warehouse.put([record(view("a", hits=1), early)]))
    assert warehouse.rows() == [row("a", hits=2)]
    assert warehouse.sql("SELECT ferry_sequence FROM ferry_keys_page_views") == [(Decimal(late),)]


@pytest.mark.parametrize("other", ["A", "á", "a ", "a\u200b", "a\u0301"])
def test_keys_that_dynamodb_tells_apart_stay_apart(warehouse: Warehouse, other: str) -> None:
    warehouse.load(warehouse.put([record(view("a", hits=1), 1), record(view(other, hits=2), 2)]))
    warehouse.load(warehouse.put([record(view(other), 3, "delete")]))
    assert warehouse.rows() == [row("a", hits=1)]


def test_lines_that_are_not_right_are_an_error_and_change_nothing(warehouse: Warehouse) -> None:
    good = upsert(1, '"a"', 1, 5, '"DE"', "NULL")
    for bad, code in (
        (upsert(2, '"b"', 1, '"many"', '"DE"', "NULL"), "1366"),
        (upsert(2, '"b"', 1, 99999999999, '"DE"', "NULL"), "1264"),
        (upsert(2, '"b"', 1, 5, '"Germany"', "NULL"), "1265"),
        (upsert(2, "NULL", 1, 5, '"DE"', "NULL"), "1263"),
    ):
        with pytest.raises(LoadFailed, match=rf"LOAD DATA warns \d times, first: {code}") as told:
            warehouse.load(warehouse.put_lines(good + bad))
        assert "many" not in str(told.value)
        assert "Germany" not in str(told.value)
    assert warehouse.rows() == []
    assert warehouse.load(warehouse.put_lines(good)) == Loaded(lines=1, upserts=1)


def test_a_file_for_other_columns_is_an_error_that_says_so(warehouse: Warehouse) -> None:
    good = upsert(1, '"a"', 1, 5, '"DE"', "NULL")
    columns = FLOW["columns"]
    swapped = flow(columns=[columns[0], columns[1], columns[3], columns[2], columns[4]])
    for bad in (
        upsert(2, '"b"', 1),
        upsert(2, '"b"', 1, 5, '"DE"', "NULL", '"more"'),
        upsert(2, '"b"', 1, 5, '"DE"', "NULL", of=swapped),
    ):
        with pytest.raises(LoadFailed, match=r"^the file was written for other columns"):
            warehouse.load(warehouse.put_lines(good + bad))
    assert warehouse.rows() == []


def test_an_existing_target_keeps_what_the_flow_does_not_know(warehouse: Warehouse) -> None:
    warehouse.sql(
        "CREATE TABLE page_views (`at` BIGINT NOT NULL, page_id VARCHAR(99) NOT NULL "
        "COLLATE utf8mb4_nopad_bin, hits BIGINT(5), country TINYTEXT, raw BLOB, note TEXT, "
        "PRIMARY KEY (`at`, page_id), KEY (country))"
    )
    warehouse.sql("INSERT INTO page_views (page_id, at, hits, note) VALUES ('a', 1, 5, 'mine')")
    warehouse.load(warehouse.put([record(view("a", hits=6), 1), record(view("b", hits=7), 2)]))
    assert warehouse.sql("SELECT page_id, hits, note FROM page_views ORDER BY page_id") == [
        ("a", 6, "mine"),
        ("b", 7, None),
    ]


COLUMNS = (
    "page_id VARCHAR(64) COLLATE utf8mb4_nopad_bin NOT NULL, at BIGINT NOT NULL, hits INT, "
    "country VARCHAR(2), raw BLOB"
)


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (
            "page_id VARCHAR(64) COLLATE utf8mb4_nopad_bin, at BIGINT, PRIMARY KEY (page_id, at)",
            "table analytics.page_views lacks the columns hits, country, raw",
        ),
        (f"{COLUMNS}", "must have the primary key (page_id, at) and no other unique index"),
        (f"{COLUMNS}, PRIMARY KEY (page_id)", "must have the primary key (page_id, at)"),
        (f"{COLUMNS}, PRIMARY KEY (page_id(9), at)", "must have the primary key (page_id, at)"),
        (f"{COLUMNS}, PRIMARY KEY (page_id, at), UNIQUE (hits)", "no other unique index"),
        (
            f"{COLUMNS.replace('nopad_bin', 'general_ci')}, PRIMARY KEY (page_id, at)",
            "page_id is varchar(64) COLLATE utf8mb4_general_ci; it must be varchar(64), with",
        ),
        (
            f"{COLUMNS.replace('VARCHAR', 'CHAR')}, PRIMARY KEY (page_id, at)",
            "page_id is char(64) COLLATE utf8mb4_nopad_bin; it must be varchar(64)",
        ),
    ],
)
def test_a_target_that_cannot_be_loaded_is_one_clear_error(
    warehouse: Warehouse, definition: str, said: str
) -> None:
    warehouse.sql(f"CREATE TABLE page_views ({definition})")
    with pytest.raises(WrongTable) as told:
        warehouse.load(warehouse.put([record(view("a"), 1)]))
    assert said in str(told.value)
    warehouse.sql("DROP TABLE page_views")
    assert warehouse.load(warehouse.put([record(view("a"), 1)])).upserts == 1


WIDER_OR_NOT = [
    ("int", ["INT", "INT(3)", "BIGINT"], ["TINYINT", "MEDIUMINT", "INT UNSIGNED", "DOUBLE"]),
    ("bigint", ["BIGINT(9)"], ["INT", "BIGINT UNSIGNED", "DECIMAL(20,0)", "VARCHAR(20)"]),
    ("tinyint(1)", ["TINYINT", "TINYINT(1)", "INT UNSIGNED"], ["BIT(1)", "CHAR(1)"]),
    ("decimal(10,2)", ["DECIMAL(10,2)", "DECIMAL(12,4)"], ["DECIMAL(10,3)", "DECIMAL(11,1)"]),
    ("decimal(9,9)", ["DECIMAL(9,9)"], ["DECIMAL(8,8)", "DOUBLE", "DECIMAL(9,9) UNSIGNED"]),
    ("double", ["DOUBLE"], ["FLOAT", "DECIMAL(65,30)"]),
    ("date", ["DATE"], ["DATETIME(6)", "VARCHAR(10)"]),
    ("datetime(6)", ["DATETIME(6)"], ["DATETIME", "DATETIME(3)", "TIMESTAMP(6)"]),
    ("json", ["JSON", "LONGTEXT"], ["TEXT", "LONGBLOB"]),
    ("varchar(20)", ["VARCHAR(20)", "TINYTEXT", "LONGTEXT"], ["VARCHAR(19)", "CHAR(20)"]),
    ("varchar(64)", ["TEXT"], ["TINYTEXT", "VARCHAR(255) CHARACTER SET latin1", "VARBINARY(256)"]),
    ("longtext", ["LONGTEXT"], ["MEDIUMTEXT", "LONGBLOB", "LONGTEXT CHARACTER SET latin1"]),
    ("varbinary(20)", ["VARBINARY(20)", "BLOB"], ["VARBINARY(19)", "BINARY(20)", "TEXT"]),
    ("longblob", ["LONGBLOB"], ["BLOB", "LONGTEXT"]),
]


def checked(warehouse: Warehouse, of: Flow, definition: str) -> str | None:
    """What the loader says of a target."""
    warehouse.sql("DROP TABLE IF EXISTS page_views")
    warehouse.sql(f"CREATE TABLE page_views ({definition}) CHARACTER SET utf8mb4")
    with warehouse.admin.cursor() as cursor:
        try:
            prepare(cursor, of)
        except WrongTable as wrong:
            return str(wrong)
    return None


@pytest.mark.parametrize(("kind", "fit", "unfit"), WIDER_OR_NOT)
def test_a_column_must_hold_what_the_flow_brings(
    warehouse: Warehouse, kind: str, fit: list[str], unfit: list[str]
) -> None:
    of = flow_of(kind)
    key = "id VARCHAR(8) COLLATE utf8mb4_nopad_bin PRIMARY KEY"
    for there in fit:
        assert checked(warehouse, of, f"{key}, value {there}") is None, there
    for there in unfit:
        said = checked(warehouse, of, f"{key}, value {there}")
        assert said, there
        assert said.startswith("table analytics.page_views has columns that do not hold")
        assert f"value is {re.split('[( ]', there.lower())[0]}" in said
        assert said.endswith(f"it must be {kind}")
        assert "\n" not in said


@pytest.mark.parametrize(
    ("kind", "fit", "unfit"),
    [
        ("decimal(38,9)", ["DECIMAL(38,9)"], ["DECIMAL(39,9)", "DECIMAL(39,10)"]),
        ("varbinary(20)", ["VARBINARY(20)", "VARBINARY(30)"], ["VARBINARY(19)"]),
        ("bigint", ["BIGINT"], ["INT", "BIGINT UNSIGNED"]),
    ],
)
def test_a_key_must_be_the_very_same(
    warehouse: Warehouse, kind: str, fit: list[str], unfit: list[str]
) -> None:
    of = flow(key=["id"], columns=[{"name": "id", "path": ["id"], "type": kind}])
    for there in fit:
        assert checked(warehouse, of, f"id {there} PRIMARY KEY") is None, there
    for there in unfit:
        assert f"it must be {kind}" in str(checked(warehouse, of, f"id {there} PRIMARY KEY"))


def test_a_unique_index_on_an_expression_is_told() -> None:
    """As MySQL 8 shows it; MariaDB has none."""

    class Indexes:
        def execute(self, query: str, args: Any = None) -> int:
            return 0

        def fetchall(self) -> Any:
            return [("PRIMARY", "page_id", None), ("PRIMARY", "at", None), ("lower", None, None)]

    with pytest.raises(WrongTable, match=r"no other unique index; .* are: PRIMARY, lower$"):
        _check_keys(Indexes(), flow())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("MODIFY hits TINYINT", r"hits is tinyint\(4\); it must be int$"),
        ("ADD UNIQUE INDEX by_hits (hits)", "no other unique index; .* are: PRIMARY, by_hits$"),
        ("MODIFY page_id varchar(64) COLLATE utf8mb4_general_ci", "tells all keys .* apart"),
    ],
)
def test_what_the_owner_changes_is_seen_by_the_next_load(
    warehouse: Warehouse, change: str, problem: str
) -> None:
    warehouse.load(warehouse.put([record(view("a", hits=1), 1)]))
    warehouse.sql(f"ALTER TABLE page_views {change}")
    with pytest.raises(WrongTable, match=problem):
        warehouse.load(warehouse.put([record(view("A", hits=1), 2)]))
    warehouse.sql("DROP TABLE page_views")
    assert warehouse.load(warehouse.put([record(view("A", hits=1), 3)])).upserts == 1
    assert warehouse.rows() == [row("A", hits=1)]


class Failover:
    """A database whose writer is away for a while."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.back = clock.left - seconds

    def connection(self, seconds_left: float) -> Any:
        if self.clock.left > self.back:
            raise pymysql.OperationalError(2003, "Can't connect")
        raise LoadFailed("it is back")


@pytest.mark.parametrize("dice", [0.5, 1.0])
@pytest.mark.parametrize(("left", "away"), [(300.0, 60.0), (120.0, 60.0)])
def test_a_failover_is_ridden_out(dice: float, left: float, away: float) -> None:
    clock = Clock(left)
    backoff = replace(BACKOFF, sleep=clock.sleep, dice=lambda: dice)
    database = Failover(clock, away)
    loader = Loader(flow(), cast("Database", database), str, backoff)
    with pytest.raises(LoadFailed, match="it is back"):
        loader.load(stored_somewhere(), clock.seconds_left)
    assert clock.left > SECONDS_NEEDED


def test_trying_again_leaves_time_for_an_attempt() -> None:
    clock = Clock(70.0)
    backoff = replace(BACKOFF, sleep=clock.sleep, dice=lambda: 1.0)
    database = Failover(clock, 1000.0)
    loader = Loader(flow(), cast("Database", database), str, backoff)
    with pytest.raises(LoadFailed, match="2003"):
        loader.load(stored_somewhere(), clock.seconds_left)
    assert clock.left >= SECONDS_NEEDED


def stored_somewhere() -> StoredObject:
    return StoredObject(bucket="b", key="k", version="v", size=1, sequencer="", created=0.0)


def test_that_a_statement_is_unsafe_to_replicate_is_no_warning_of_the_lines() -> None:
    unsafe = ("Note", 1592, "Unsafe statement written to the binary log")
    _refuse_warnings([unsafe])
    cut = ("Warning", 1265, "Data truncated for column 'hits' at row 1")
    with pytest.raises(LoadFailed, match="LOAD DATA warns 1 times, first: 1265"):
        _refuse_warnings([unsafe, cut])


def test_a_table_that_is_all_key_is_loaded(mariadb: URL, tmp_path: Path) -> None:
    made = Warehouse(mariadb, flow(columns=FLOW["columns"][:2]), tmp_path)
    made.load(made.put([record(view("a"), 1), record(view("b"), 2)]))
    made.load(made.put([record(view("a"), 3), record(view("b"), 4, "delete")]))
    assert made.rows() == [{"page_id": "a", "at": 1}]
    made.close()


def test_keys_of_bytes_and_decimals_are_loaded(mariadb: URL, tmp_path: Path) -> None:
    columns = [
        {"name": "id", "path": ["id"], "type": "varbinary(64)"},
        {"name": "rank", "path": ["rank"], "type": "decimal(38,9)"},
        {"name": "value", "path": ["value"], "type": "longtext"},
    ]
    made = Warehouse(mariadb, flow(key=["id", "rank"], columns=columns), tmp_path)
    items = [{"id": "AA==", "rank": 0.5, "value": "x"}, {"id": "AAA=", "rank": 0.5, "value": "y"}]
    made.load(made.put([record(item, number) for number, item in enumerate(items)]))
    made.load(made.put([record({"id": "AA==", "rank": 0.5}, 9, "delete")]))
    assert [(each["id"], each["value"]) for each in made.rows()] == [(b"\0\0", "y")]
    made.close()


def test_no_load_leaves_a_connection_behind(warehouse: Warehouse) -> None:
    warehouse.load(warehouse.put([record(view("a", hits=1), 1)]))
    with pytest.raises(LoadFailed):
        warehouse.load(warehouse.put_lines(b"not,a,line\n"))
    assert warehouse.database.connected == 2
    deadline = time.monotonic() + 30
    while len(warehouse.sql("SHOW PROCESSLIST")) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_longest_row_that_the_settings_take_is_loaded(mariadb: URL, tmp_path: Path) -> None:
    """See `TestRows` of the settings: the loads' own columns count as well."""
    for length, fits in ((65_535 - 1 - 258 - 8 - 2 - 38, True), (65_535 - 1 - 258 - 8 - 2, False)):
        longest = {"name": "x", "path": ["x"], "type": f"varbinary({length})"}
        made = Warehouse(mariadb, flow(columns=[*FLOW["columns"][:2], longest]), tmp_path)
        stored = made.put([record(view("a"), 1)])
        if fits:
            assert made.load(stored).upserts == 1
        else:
            with pytest.raises(LoadFailed, match="database error 1118: Row size too large"):
                made.load(stored)
        made.close()


@pytest.mark.parametrize("table", ["stage", "target", "chosen", "latest", "known"])
def test_a_target_may_have_any_name(mariadb: URL, tmp_path: Path, table: str) -> None:
    made = Warehouse(mariadb, flow(table=table), tmp_path)
    made.load(made.put([record(view("a", hits=1), 1), record(view("b", hits=1), 1)]))
    made.load(made.put([record(view("a", hits=2), 2), record(view("b"), 2, "delete")]))
    assert made.rows() == [row("a", hits=2)]
    made.close()


def kill_all(warehouse: Warehouse) -> None:
    own = warehouse.admin.thread_id()
    for connection, *_ in warehouse.sql("SHOW PROCESSLIST"):
        if connection != own:
            warehouse.sql(f"KILL {connection}")


@pytest.mark.parametrize("statement", ["choose", "upsert", "remember"])
def test_a_load_that_dies_halfway_changes_nothing_and_is_tried_again(
    warehouse: Warehouse, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.load(warehouse.put([record(view("z", hits=0), 1)]))
    stored = warehouse.put([record(view("a", hits=1), 2), record(view("z"), 3, "delete")])
    seen: list[Any] = []
    real = getattr(Statements, statement)

    def dying(self: Any) -> str:
        if not seen:
            kill_all(warehouse)
            seen.append(warehouse.rows())
        return str(real(self))

    monkeypatch.setattr(Statements, statement, dying)
    assert warehouse.load(stored) == Loaded(lines=2, upserts=1, deletes=1)
    assert seen == [[row("z", hits=0)]]
    assert warehouse.rows() == [row("a", hits=1)]


def test_a_commit_whose_answer_was_lost_is_not_done_twice(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pymysql.connections.Connection.commit
    lost: list[bool] = []

    def commit(connection: Any) -> None:
        real(connection)
        if not lost:
            lost.append(True)
            raise pymysql.OperationalError(2013, "Lost connection to MySQL server during query")

    monkeypatch.setattr(pymysql.connections.Connection, "commit", commit)
    assert warehouse.load(warehouse.put([record(view("a", hits=1), 1)])) == Loaded(duplicate=True)
    assert warehouse.rows() == [row("a", hits=1)]


def test_loads_of_one_target_take_turns(warehouse: Warehouse) -> None:
    """Another holds the target's row: the load waits, gives up in time, and comes through later."""
    warehouse.load(warehouse.put([record(view("a", hits=1), 1)]))
    stored = warehouse.put([record(view("a", hits=2), 2)])
    warehouse.admin.begin()
    warehouse.sql("SELECT * FROM ferry_targets WHERE target = 'page_views' FOR UPDATE")
    with pytest.raises(LoadFailed, match="database error 1205: Lock wait timeout exceeded"):
        warehouse.load(stored, seconds=9.0)
    done: list[Loaded] = []
    waiting = threading.Thread(target=lambda: done.append(warehouse.load(stored)))
    waiting.start()
    wait_for_locks(warehouse, 1)
    assert not done
    warehouse.admin.rollback()
    waiting.join(30)
    assert done == [Loaded(lines=1, upserts=1)]


def test_an_object_that_two_load_at_once_is_loaded_once(warehouse: Warehouse) -> None:
    warehouse.load(warehouse.put([record(view("a", hits=1), 1)]))
    stored = warehouse.put([record(view("a", hits=2), 2)])
    loaders = [warehouse.another_loader(), warehouse.another_loader()]
    warehouse.admin.begin()
    warehouse.sql("SELECT * FROM ferry_targets WHERE target = 'page_views' FOR UPDATE")
    done: list[Loaded] = []
    threads = [
        threading.Thread(target=lambda each=each: done.append(each.load(stored, lambda: 60.0)))
        for each in loaders
    ]
    for thread in threads:
        thread.start()
    wait_for_locks(warehouse, 2)
    warehouse.admin.rollback()
    for thread in threads:
        thread.join(30)
    assert sorted(done, key=lambda each: each.duplicate) == [
        Loaded(lines=1, upserts=1),
        Loaded(duplicate=True),
    ]


def wait_for_locks(warehouse: Warehouse, count: int) -> None:
    """Until so many sessions wait for the target's row."""
    waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE %s"
    deadline = time.monotonic() + 30
    while warehouse.sql(waiting, "SELECT `target`%FOR UPDATE") != [(count,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_error_that_does_not_pass_is_not_tried_again(warehouse: Warehouse) -> None:
    warehouse.load(warehouse.put([record(view("a"), 1)]))
    warehouse.sql("ALTER TABLE page_views MODIFY hits TINYINT")
    with pytest.raises(WrongTable):
        warehouse.load(warehouse.put([record(view("a", hits=1000), 2)]))
    assert warehouse.database.connected == 2
    warehouse.sql("ALTER TABLE page_views MODIFY hits INT")
    assert warehouse.load(warehouse.put([record(view("a", hits=1000), 2)])).upserts == 1


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["a", "A", "a ", "b"]),
        st.integers(0, 1),
        st.none() | st.integers(-(2**31), 2**31 - 1),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(changes=CHANGES, data=st.data())
def test_any_delivery_of_changes_loads_what_applying_them_in_order_gives(
    warehouse: Warehouse, changes: list[tuple[str, int, int | None]], data: st.DataObject
) -> None:
    """Cut into objects, duplicated, shuffled, redelivered, by loaders of several processes."""
    warehouse.empty()
    expected: dict[tuple[str, int], int] = {}
    records = []
    for number, (page, at, hits) in enumerate(changes, start=98):
        if hits is None:
            expected.pop((page, at), None)
            records.append(record(view(page, at), number, "delete"))
        else:
            expected[page, at] = hits
            records.append(record(view(page, at, hits=hits), number))
    copies = data.draw(st.lists(st.sampled_from(records), max_size=6))
    delivered = data.draw(st.permutations([*records, *copies]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(delivered)), max_size=4)))
    parts = [delivered[a:b] for a, b in zip([0, *cuts], [*cuts, len(delivered)], strict=True)]
    objects = [warehouse.put(part) for part in parts if part]
    again = data.draw(st.lists(st.sampled_from(objects), max_size=3))
    for stored in data.draw(st.permutations([*objects, *again])):
        warehouse.load(stored)
    found = {(each["page_id"], each["at"]): each["hits"] for each in warehouse.rows()}
    assert found == expected
