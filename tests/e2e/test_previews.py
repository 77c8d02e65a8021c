"""What a pull request is shown: the plan of each committed stack, on an empty state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from settings import load
from tests.components.stacks import ROOT, databases_of, run_program
from tests.e2e.kit import UNKNOWN, Run, Stack, stack_on_clouds
from tests.rehearsal.drivers.test_registry import VARIANTS

STACKS = ("local", "stg", "prod")


@pytest.fixture(scope="module", params=STACKS)
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with stack_on_clouds(tmp_path_factory.mktemp(request.param), request.param) as found:
        yield found


@pytest.fixture(scope="module")
def plan(stack: Stack) -> Run:
    return stack.preview().succeeded()


def registered(stack: str) -> Counter[str]:
    """What the program registers under the SDK's mocks, by type."""
    databases = databases_of(load(stack, VARIANTS[stack], ROOT))
    recording = run_program(VARIANTS[stack], stack=stack, databases=databases)
    return Counter(r.type for r in recording.resources if r.type.startswith(("aws:", "gcp:")))


def test_the_plan_holds_every_resource_of_both_clouds(stack: Stack, plan: Run) -> None:
    planned = Counter(step.type for step in plan.changes if step.op == "create")
    assert planned == registered(stack.name)
    assert {step.op for step in plan.steps} == {"create"}


def test_the_plan_comes_without_a_warning(plan: Run) -> None:
    assert plan.messages == []


def test_what_only_a_cloud_can_tell_is_unknown(plan: Run) -> None:
    (policy,) = plan.inputs("aws:kms/keyPolicy:KeyPolicy")
    assert policy["policy"] == UNKNOWN


def test_a_preview_makes_nothing(stack: Stack, plan: Run) -> None:
    assert stack.resources() == []
    assert stack.clouds.aws.client("s3").list_buckets()["Buckets"] == []
    assert stack.clouds.google.configs() == []


def test_the_plan_as_people_read_it_names_the_tables(stack: Stack) -> None:
    run = stack.plain("preview", "--diff").succeeded()
    assert "warning" not in run.text.lower()
    assert f"[urn=urn:pulumi:{stack.name}::data-ferry::" in run.text
    assert "shop.users" in run.text
