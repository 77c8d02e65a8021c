"""Tables live and die as their driver says, and are found by their name."""

from __future__ import annotations

from typing import Any

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from tests.rehearsal.drivers.lifecycle import REGION, Life, live

TABLE, ACCOUNT = "aws:dynamodb/table:Table", "111122223333"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555"


def switch_off(clouds: Clouds, name: str) -> None:
    dynamodb = clouds.aws.client("dynamodb")
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    dynamodb.update_continuous_backups(
        TableName=name,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )


LIVES = [
    Life(
        TABLE,
        {
            "name": "life-table",
            "attributes": [{"name": "id", "type": "S"}, {"name": "at", "type": "N"}],
            "hashKey": "id",
            "rangeKey": "at",
            "billingMode": "PAY_PER_REQUEST",
            "streamEnabled": True,
            "streamViewType": "NEW_AND_OLD_IMAGES",
            "pointInTimeRecovery": {"enabled": True},
            "tags": {"team": "data"},
        },
        updates=[
            {"streamViewType": "NEW_IMAGE"},
            {"serverSideEncryption": {"enabled": True, "kmsKeyArn": KEY}},
            {"deletionProtectionEnabled": True},
            {"deletionProtectionEnabled": None, "serverSideEncryption": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=switch_off,
        drift={"streamEnabled": False, "pointInTimeRecovery": {"enabled": False}},
    )
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def small(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "attributes": [{"name": "id", "type": "S"}],
        "hashKey": "id",
        "billingMode": "PAY_PER_REQUEST",
        **more,
    }


def test_another_view_is_another_stream(clouds: Clouds) -> None:
    inputs = small("viewed", streamEnabled=True, streamViewType="KEYS_ONLY")
    made = drivers.create(clouds, TABLE, "it", inputs)
    place = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/viewed"
    assert made.outputs["arn"] == place
    assert made.outputs["streamArn"] == f"{place}/stream/{made.outputs['streamLabel']}"
    seen = {made.outputs["streamArn"]}
    changed = made.outputs
    for view in ("NEW_IMAGE", "OLD_IMAGE"):
        changed = registry.update(
            clouds, TABLE, "it", made.id, {**inputs, "streamViewType": view}, changed
        )
        seen.add(changed["streamArn"])
    assert len(seen) == 3
    same = registry.update(
        clouds, TABLE, "it", made.id, {**inputs, "streamViewType": "OLD_IMAGE"}, changed
    )
    assert same["streamArn"] == changed["streamArn"]


def test_a_protected_table_is_not_deleted(clouds: Clouds) -> None:
    made = drivers.create(clouds, TABLE, "it", small("safe", deletionProtectionEnabled=True))
    with pytest.raises(DriverError, match="protected against deletion"):
        registry.delete(clouds, TABLE, "it", made.id, made.outputs)
    assert registry.read(clouds, TABLE, "it", made.id, made.outputs) == made.outputs


def test_the_type_of_a_key_stays(clouds: Clouds) -> None:
    inputs = small("typed")
    made = drivers.create(clouds, TABLE, "it", inputs)
    other = {**inputs, "attributes": [{"name": "id", "type": "N"}]}
    with pytest.raises(DriverError, match="the type of a key attribute cannot be changed"):
        registry.update(clouds, TABLE, "it", made.id, other, made.outputs)


def test_a_table_is_looked_up(clouds: Clouds) -> None:
    made = drivers.create(
        clouds,
        TABLE,
        "it",
        small("found", streamEnabled=True, streamViewType="NEW_IMAGE", tags={"team": "data"}),
    )
    found = drivers.invoke(clouds, "aws:dynamodb/getTable:getTable", {"name": "found"})
    assert found == {
        "id": "found",
        "name": "found",
        "arn": made.outputs["arn"],
        "attributes": [{"name": "id", "type": "S"}],
        "hashKey": "id",
        "rangeKey": "",
        "billingMode": "PAY_PER_REQUEST",
        "streamEnabled": True,
        "streamViewType": "NEW_IMAGE",
        "streamArn": made.outputs["streamArn"],
        "streamLabel": made.outputs["streamLabel"],
        "pointInTimeRecovery": {"enabled": False},
        "serverSideEncryption": {"enabled": False},
        "deletionProtectionEnabled": False,
        "tags": {"team": "data"},
    }
    with pytest.raises(DriverError, match=r"reading DynamoDB Table \(lost\): couldn't find"):
        drivers.invoke(clouds, "aws:dynamodb/getTable:getTable", {"name": "lost"})
