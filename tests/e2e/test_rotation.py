"""The reader's key is rotated by a change of configuration, and transfers run all the while."""

from __future__ import annotations

from tests.e2e.kit import Stack

KEY = "aws:iam/accessKey:AccessKey"
CONFIG = "gcp:bigquery/dataTransferConfig:DataTransferConfig"
VERSION = "gcp:secretmanager/secretVersion:SecretVersion"


def keys(stack: Stack) -> dict[str, str]:
    """Return the reader's keys as AWS knows them: id -> status."""
    found = stack.clouds.aws.client("iam").list_access_keys(UserName="ferry-local-reader")
    return {each["AccessKeyId"]: each["Status"] for each in found["AccessKeyMetadata"]}


def test_new_before_old_and_transfers_before_and_after(local: Stack) -> None:
    local.up().succeeded()
    assert local.play_day().problems == []
    (old,) = keys(local)

    local.set(snapshot={"reader_key_generation": 2})
    run = local.up().succeeded()
    order = [(step.op, step.type, step.name) for step in run.done]
    made = order.index(("create", KEY, "ferry-local-reader-2"))
    gone = order.index(("delete", KEY, "ferry-local-reader-1"))
    updates = [at for at, (op, kind, _) in enumerate(order) if kind == CONFIG and op == "update"]
    assert len(updates) == 5
    assert made < min(updates)
    assert max(updates) < gone
    # A version cannot be changed: the new one is there before the old one goes.
    assert run.short("create-replacement") == {
        "SecretVersion ferry-local-access_key_id",
        "SecretVersion ferry-local-secret_access_key",
    }
    assert not [s for s in run.changes if s.type == CONFIG and "replace" in s.op]

    assert list(keys(local).values()) == ["Active"]
    assert old not in keys(local)
    outcome = local.play_day()
    assert outcome.problems == []
    assert {row.state for row in outcome.tables} == {"SUCCEEDED"}
    assert local.preview("--expect-no-changes").succeeded().changes == []
