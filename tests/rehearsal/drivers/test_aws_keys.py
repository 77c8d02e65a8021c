"""Keys, their policies and aliases live and die as their drivers say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds
from tests.rehearsal.drivers.lifecycle import Life, live, meaning

KEY, KEY_POLICY = "aws:kms/key:Key", "aws:kms/keyPolicy:KeyPolicy"


def policy(*actions: str) -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": [*actions], "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


def a_key(clouds: Clouds) -> str:
    return str(clouds.aws.client("kms").create_key()["KeyMetadata"]["KeyId"])


def by_hand(clouds: Clouds, key: str) -> None:
    kms = clouds.aws.client("kms")
    kms.update_key_description(KeyId=key, Description="by hand")
    kms.disable_key_rotation(KeyId=key)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy='{"Statement": []}')
    kms.tag_resource(KeyId=key, Tags=[{"TagKey": "by", "TagValue": "hand"}])


def policy_by_hand(clouds: Clouds, key: str) -> None:
    clouds.aws.client("kms").put_key_policy(
        KeyId=key, PolicyName="default", Policy='{"Statement": []}'
    )


LIVES = [
    Life(
        KEY,
        {
            "description": "Encrypts exports",
            "deletionWindowInDays": 7,
            "enableKeyRotation": True,
            "rotationPeriodInDays": 90,
            "policy": policy("kms:*"),
            "tags": {"team": "data"},
            "bypassPolicyLockoutSafetyCheck": True,
            "multiRegion": False,
        },
        updates=[
            {"description": "Encrypts all exports", "deletionWindowInDays": 30},
            {"rotationPeriodInDays": 180},
            {"rotationPeriodInDays": None},
            {"enableKeyRotation": None},
            {"enableKeyRotation": True},
            {"policy": policy("kms:Decrypt", "kms:Encrypt")},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None, "bypassPolicyLockoutSafetyCheck": None},
            {"description": None},
            {"tags": {"a": "b"}, "description": "again"},
        ],
        by_hand=by_hand,
        drift={
            "description": "by hand",
            "enableKeyRotation": False,
            "policy": '{"Statement":[]}',
            "tags": {"a": "b", "by": "hand"},
        },
        # The first two say what to do with the key, and KMS keeps them nowhere; the local KMS does
        # not tell the third. The policy has tests of its own.
        unread=frozenset(
            {"deletionWindowInDays", "bypassPolicyLockoutSafetyCheck", "multiRegion", "policy"}
        ),
    ),
    Life(
        KEY_POLICY,
        {"policy": policy("kms:*"), "bypassPolicyLockoutSafetyCheck": False},
        before=lambda clouds: {"keyId": a_key(clouds)},
        updates=[
            {"policy": policy("kms:Decrypt")},
            {"bypassPolicyLockoutSafetyCheck": None},
        ],
        by_hand=policy_by_hand,
        drift={"policy": '{"Statement":[]}'},
        # It says how to put the policy; KMS does not keep it.
        unread=frozenset({"bypassPolicyLockoutSafetyCheck"}),
        left={},
    ),
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_life(clouds: Clouds, life: Life) -> None:
    live(clouds, life)


def alias_life(clouds: Clouds) -> Life:
    first, second, third = (a_key(clouds) for _ in range(3))
    return Life(
        "aws:kms/alias:Alias",
        {"name": "alias/life", "targetKeyId": first},
        updates=[{"targetKeyId": second}],
        by_hand=lambda clouds, name: clouds.aws.client("kms").update_alias(
            AliasName=name, TargetKeyId=third
        ),
        drift={"targetKeyId": third},
    )


def test_the_life_of_an_alias(clouds: Clouds) -> None:
    live(clouds, alias_life(clouds))


def test_an_alias_of_a_key_that_is_known_by_its_arn(clouds: Clouds) -> None:
    arn = clouds.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    inputs = {"name": "alias/by-arn", "targetKeyId": arn}
    created = drivers.create(clouds, "aws:kms/alias:Alias", "it", inputs)
    seen = drivers.read(clouds, "aws:kms/alias:Alias", "it", created.id, created.outputs)
    assert seen == created.outputs


def test_a_key_of_another_kind(clouds: Clouds) -> None:
    inputs = {"customerMasterKeySpec": "RSA_2048", "keyUsage": "SIGN_VERIFY"}
    created = drivers.create(clouds, KEY, "it", inputs)
    assert drivers.read(clouds, KEY, "it", created.id, created.outputs) == created.outputs
    imported = drivers.read(clouds, KEY, "it", created.id, {})
    assert imported == created.outputs


def test_a_key_waits_for_its_deletion_as_long_as_it_says(clouds: Clouds) -> None:
    kms = clouds.aws.client("kms")
    for inputs, days in (({}, 30), ({"deletionWindowInDays": 7}, 7)):
        created = drivers.create(clouds, KEY, "it", inputs)
        drivers.delete(clouds, KEY, "it", created.id, created.outputs)
        key = kms.describe_key(KeyId=created.id)["KeyMetadata"]
        assert key["KeyState"] == "PendingDeletion"
        left = key["DeletionDate"] - datetime.now(timezone.utc)
        assert abs(left - timedelta(days=days)) < timedelta(minutes=5)
        assert drivers.read(clouds, KEY, "it", created.id, created.outputs) is None


def test_the_policy_beside_a_key_is_no_change_of_the_key(clouds: Clouds) -> None:
    key = drivers.create(clouds, KEY, "it", {"description": "bare"})
    beside = {"keyId": key.id, "policy": policy("kms:*")}
    drivers.create(clouds, KEY_POLICY, "it", beside)
    assert drivers.read(clouds, KEY, "it", key.id, key.outputs) == key.outputs
    # Nor does a change of the key take the policy away.
    drivers.update(clouds, KEY, "it", key.id, {"description": "still bare"}, key.outputs)
    seen = drivers.read(clouds, KEY_POLICY, "it", key.id, beside)
    assert seen is not None
    assert meaning(seen["policy"]) == meaning(beside["policy"])


def test_a_key_is_imported_with_a_policy_that_somebody_put(clouds: Clouds) -> None:
    key = a_key(clouds)
    plain = drivers.read(clouds, KEY, "it", key, {})
    assert plain is not None
    assert plain.keys() == {"arn", "keyId"}
    policy_by_hand(clouds, key)
    seen = drivers.read(clouds, KEY, "it", key, {})
    assert seen == {**plain, "policy": '{"Statement":[]}'}


@pytest.mark.parametrize("bypass", [False, True])
def test_a_key_gets_the_default_policy_back(clouds: Clouds, bypass: bool) -> None:
    kms, key = clouds.aws.client("kms"), a_key(clouds)
    default = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    put = json.loads(policy("kms:*"))
    inputs = {
        "keyId": key,
        "policy": json.dumps(put),
        "bypassPolicyLockoutSafetyCheck": bypass,
    }
    created = drivers.create(clouds, KEY_POLICY, "it", inputs)
    drivers.delete(clouds, KEY_POLICY, "it", key, created.outputs)
    left = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    assert left == (put if bypass else default)
    kms.schedule_key_deletion(KeyId=key)
    assert drivers.read(clouds, KEY_POLICY, "it", key, created.outputs) is None
    drivers.delete(clouds, KEY_POLICY, "it", key, created.outputs)
