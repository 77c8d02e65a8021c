"""A stack that is deployed, and that nothing changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.kit import Stack, stack_on_clouds

TABLE, DATASET = "gcp:bigquery/table:Table", "gcp:bigquery/dataset:Dataset"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_on_clouds(tmp_path_factory.mktemp("deployed"), "local") as stack:
        stack.up().succeeded()
        yield stack


def test_a_second_up_changes_nothing(deployed: Stack) -> None:
    assert deployed.up().succeeded().changes == []
    assert deployed.preview("--expect-no-changes").succeeded().changes == []


def test_what_nobody_touched_shows_no_drift(deployed: Stack) -> None:
    """A day went by. Each load brings its table a schema, which the program leaves to the loads."""
    assert deployed.play_day().problems == []
    # As the nightly check does.
    check = deployed.preview("--refresh", "--expect-no-changes").succeeded()
    assert check.changes == []
    run = deployed.refresh().succeeded()
    seen = {
        (step.type, path.partition("[")[0])
        for step in run.done
        if step.op == "update"
        for path in step.diff
    }
    # Who was granted what on the dataset is known from a refresh only.
    assert seen <= {(TABLE, "schema"), (DATASET, "accesses")}
    assert deployed.preview("--expect-no-changes").succeeded().changes == []


def test_a_day_goes_by_on_what_the_engine_made(deployed: Stack) -> None:
    outcome = deployed.play_day()
    assert outcome.problems == []
    assert {row.name: row.loaded_rows for row in outcome.tables} == {
        "shop.users": 2000,
        "shop.orders": 5000,
        "world.city": 58,
        "world.country": 30,
        "world.countrylanguage": 44,
    }
