"""What the export holds against what is declared."""

from __future__ import annotations

from typing import Any

import pytest

from load import worklist
from load.plan import plan
from load.request import LoadRequest
from shared.errors import InvalidInput
from tests.handlers.world import EVENT, PREFIX, REQUEST, World, config


def test_tables_with_files_are_loaded(world: World) -> None:
    world.declare("users", "orders")
    world.exported("users", "orders")
    answer = plan(REQUEST, world.services)
    assert answer == {"load": 2, "empty": 0, "missing": 0, "skipped": 0}
    users = world.work["users"]
    assert users["name"] == "shop.users"
    assert users["transfer_config"] == config("users")
    assert users["disposition"] == "load"
    assert [users[key] for key in ("reason", "run", "state", "error", "rows")] == [None] * 5


def test_a_table_without_parquet_is_empty(world: World) -> None:
    """RDS writes only a marker; a load would find nothing and keep yesterday's rows."""
    world.declare("users", "carts")
    world.exported("users")
    world.exported("carts", files=0)
    world.manifest([{"target": f"shop.{t}", "status": "COMPLETE"} for t in ("users", "carts")])
    assert plan(REQUEST, world.services)["empty"] == 1
    assert world.work["carts"]["disposition"] == "empty"


@pytest.mark.parametrize("folder", ["2", "7/deeper", ""])
def test_files_are_found_in_any_batch_folder(world: World, folder: str) -> None:
    world.declare("users")
    world.exported("users", folder=folder)
    assert plan(REQUEST, world.services)["load"] == 1


def test_files_of_a_table_alike_in_name_do_not_count(world: World) -> None:
    world.declare("user", "users")
    world.exported("users")
    world.manifest([{"target": f"shop.{t}", "status": "COMPLETE"} for t in ("user", "users")])
    plan(REQUEST, world.services)
    assert world.work["user"]["disposition"] == "missing"


def test_a_table_whose_size_is_nothing_is_empty_without_a_marker(world: World) -> None:
    world.declare("carts")
    world.manifest([{"target": "shop.carts", "status": "COMPLETE", "sizeGB": 0.0}])
    assert plan(REQUEST, world.services)["empty"] == 1


@pytest.mark.parametrize("size", [{"sizeGB": 0.5}, {}])
def test_a_table_that_is_not_where_it_should_be_is_not_emptied(
    world: World, size: dict[str, float]
) -> None:
    """RDS may spell a folder in another way; yesterday's rows are better than none."""
    world.declare("users")
    world.manifest([{"target": "shop.users", "status": "COMPLETE", **size}])
    assert plan(REQUEST, world.services)["missing"] == 1
    assert "shop/shop.users/ holds nothing" in world.work["users"]["reason"]


def test_a_parquet_file_after_a_thousand_others_is_found(world: World) -> None:
    world.declare("users")
    world.manifest([{"target": "shop.users", "status": "COMPLETE"}])
    for number in range(1_001):
        world.put(f"{PREFIX}/shop/shop.users/{number:05}/_SUCCESS", b"")
    world.put(f"{PREFIX}/shop/shop.users/99999/part-00000-uuid.gz.parquet", b"PAR1")
    assert plan(REQUEST, world.services)["load"] == 1


def test_all_manifest_files_are_read(world: World) -> None:
    world.declare("users", "orders")
    world.exported("users")
    world.exported("orders")
    world.manifest([{"target": "shop.users", "status": "COMPLETE"}], part="1_to_1")
    world.manifest([{"target": "shop.orders", "status": "COMPLETE"}], part="2_to_2")
    assert plan(REQUEST, world.services)["load"] == 2


def test_a_declared_table_that_is_not_exported_is_missing(world: World) -> None:
    world.declare("users", "ghosts")
    world.exported("users")
    warned = LoadRequest.parse({**EVENT, "warning": '{"skippedTables": ["ghosts"]}'})
    assert plan(warned, world.services)["missing"] == 1
    assert world.work["ghosts"]["reason"] == (
        'the export does not hold it; it warns: {"skippedTables": ["ghosts"]}'
    )


def test_without_a_manifest_every_table_is_missing(world: World) -> None:
    world.declare("users", "orders")
    assert plan(REQUEST, world.services)["missing"] == 2
    assert "has no export_tables_info_*.json" in world.work["users"]["reason"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            {"target": "shop.users", "status": "COMPLETE", "warningMessage": "row too large"},
            "the export warns: row too large",
        ),
        ({"target": "shop.users", "status": "FAILED"}, "its export is FAILED, not COMPLETE"),
        ({"target": "shop.users"}, "its export is without a status, not COMPLETE"),
        (
            {"target": "shop", "status": "COMPLETE", "warningMessage": "NO_PERMISSION"},
            "shop: the export warns: NO_PERMISSION",
        ),
    ],
)
def test_what_the_export_warns_of_is_skipped(
    world: World, entry: dict[str, Any], reason: str
) -> None:
    world.declare("users")
    world.exported("users")
    entries = [{"target": "shop.users", "status": "COMPLETE"}]
    world.manifest(entries, part="1_to_1")
    world.manifest([entry], part="2_to_2")
    assert plan(REQUEST, world.services)["skipped"] == 1
    assert world.work["users"]["reason"] == reason


def test_a_warning_of_another_database_does_not_count(world: World) -> None:
    world.declare("users")
    world.exported("users")
    world.manifest([{"target": "shopping", "warningMessage": "no"}], part="other")
    assert plan(REQUEST, world.services)["load"] == 1


def test_a_warning_of_a_postgresql_schema_holds_for_its_tables(world: World) -> None:
    table = {"path": "ledger/public.accounts", "table": "accounts", "transfer_config": "c"}
    tables = [{"name": "ledger.public.accounts", **table}]
    world.put("catalog/shop-stg.json", {"dataset": "d", "tables": tables})
    world.manifest([{"target": "ledger.public", "warningMessage": "no rights"}])
    plan(REQUEST, world.services)
    assert world.work["accounts"]["disposition"] == "skipped"


def test_a_mysql_target_may_repeat_the_database(world: World) -> None:
    world.declare("users")
    world.exported("users")
    world.manifest([{"target": "shop.shop.users", "status": "COMPLETE"}], part="1")
    assert plan(REQUEST, world.services)["load"] == 1


def test_a_plan_made_again_keeps_its_runs(world: World) -> None:
    """The event may come twice; what runs is not forgotten, what failed is to be tried again."""
    world.declare("users", "orders", "carts")
    world.exported("users", "orders", "carts")
    plan(REQUEST, world.services)
    work = worklist.require(world.services.storage(REQUEST.bucket), REQUEST)
    users, orders, carts = work.tables
    users.run, users.state, users.outcome, users.rows = "r/1", "SUCCEEDED", "succeeded", 3
    orders.run, orders.state, orders.outcome = "r/2", "FAILED", "failed"
    carts.run, carts.state, carts.outcome = "r/3", "RUNNING", "late"
    worklist.save(world.services.storage(REQUEST.bucket), REQUEST, work)

    plan(REQUEST, world.services)

    def kept(table: str) -> list[Any]:
        return [world.work[table][key] for key in ("run", "state", "outcome", "rows")]

    assert kept("users") == ["r/1", "SUCCEEDED", "succeeded", 3]
    assert kept("orders") == [None, None, None, None]
    assert kept("carts") == ["r/3", "RUNNING", None, None]


def test_a_work_list_of_another_version_is_read(world: World) -> None:
    world.declare("users")
    world.exported("users")
    plan(REQUEST, world.services)
    storage = world.services.storage(REQUEST.bucket)
    document = storage.read(REQUEST.work_key)
    assert document
    document["tables"][0]["colour"] = "red"
    storage.write(REQUEST.work_key, document)
    assert plan(REQUEST, world.services)["load"] == 1


def test_without_a_catalog_it_says_what_writes_it(world: World) -> None:
    with pytest.raises(InvalidInput, match=r"catalog/shop-stg\.json is not there; `pulumi up`"):
        plan(REQUEST, world.services)


@pytest.mark.parametrize("document", [b"[]", b"{", {"tables": []}, {"dataset": "d", "tables": [1]}])
def test_a_broken_catalog_is_named(world: World, document: Any) -> None:
    world.put("catalog/shop-stg.json", document)
    with pytest.raises(InvalidInput, match=r"catalog/shop-stg\.json"):
        plan(REQUEST, world.services)
