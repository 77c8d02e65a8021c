"""The traffic is the same for a seed, and says itself what the table must hold in the end."""

from __future__ import annotations

from typing import Any

from rehearsal.replication.items import for_boto3, from_boto3
from rehearsal.replication.traffic import Change, Item, Key, Traffic


def applied(changes: list[Change]) -> dict[Key, Item]:
    """Return what a table holds after the changes."""
    items: dict[Key, Item] = {}
    for change in changes:
        if change.item is not None:
            items[change.key] = change.item
        elif change.operation == "delete":
            del items[change.key]
        else:
            hits = int(items[change.key]["hits"]["N"])
            items[change.key] = {**items[change.key], "hits": {"N": str(hits + 1)}}
    return items


def test_a_seed_repeats_the_traffic() -> None:
    assert list(Traffic(7, 500, keys=50)) == list(Traffic(7, 500, keys=50))
    assert list(Traffic(7, 500, keys=50)) != list(Traffic(8, 500, keys=50))


def test_the_items_are_what_the_changes_leave() -> None:
    traffic = Traffic(1, 5_000, keys=200, poison_every=100)
    assert applied(list(traffic)) == traffic.items
    assert all(count > 20 for count in traffic.counts.values()), traffic.counts


def test_writers_share_the_keys_and_not_one_of_them() -> None:
    shares = [Traffic(1, 1_000, keys=100, share=share, of=3) for share in range(3)]
    keys = [{change.key for change in share} for share in shares]
    assert not keys[0] & keys[1] | keys[1] & keys[2] | keys[0] & keys[2]
    assert len(keys[0] | keys[1] | keys[2]) == 100


def test_what_was_spoilt_is_good_in_the_end_and_each_poison_has_a_name() -> None:
    traffic = Traffic(1, 3_000, keys=100, poison_every=10)
    changes = list(traffic)
    poisons = [change for change in changes if change.poison is not None]
    assert len(poisons) == 300
    assert {change.poison for change in poisons} == traffic.poisons
    assert all(change.item and change.item["note"] == {"S": change.poison} for change in poisons)
    left = [item["note"]["S"] for item in traffic.items.values() if "S" in item.get("note", {})]
    assert not traffic.poisons & set(left)


def test_items_survive_boto3() -> None:
    item: dict[str, Any] = {
        "b": {"B": "AAH/"},
        "bs": {"BS": ["AA==", "/w=="]},
        "m": {"M": {"l": {"L": [{"B": "AAH/"}, {"N": "1"}, {"NULL": True}]}}},
    }
    assert for_boto3(item)["b"] == {"B": b"\x00\x01\xff"}
    assert from_boto3(for_boto3(item)) == item
