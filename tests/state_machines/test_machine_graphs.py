"""What holds for every state machine: the graph is whole, and nothing can fail unheard."""

from __future__ import annotations

import json
from typing import Any

import jsonata
import pytest

from rehearsal.aws import asl_definition
from state_machines import asl, export
from tests.state_machines.machines import export_machine, load_machine
from tests.state_machines.player import expressions

LONG_SOURCE = "a" * 63


MACHINES = {
    "export of a cluster": export_machine(),
    "export of an instance": export_machine(kind="instance"),
    "export of everything": export_machine(export_only=None, run_time_offset_hours=5),
    "load": load_machine(),
}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MACHINES[request.param]


def targets(state: dict[str, Any]) -> set[str]:
    ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {way[key] for way in ways for key in ("Next", "Default") if key in way}


def tasks(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: state for name, state in machine["States"].items() if state["Type"] == "Task"}


def test_the_language_knows_every_field(machine: dict[str, Any]) -> None:
    assert asl_definition.faults(machine) == []


def test_every_state_is_reached_and_every_way_leads_to_a_state(machine: dict[str, Any]) -> None:
    states = machine["States"]
    reached, border = set(), {machine["StartAt"]}
    while border:
        name = border.pop()
        assert name in states, f"a way leads to {name}, which is no state"
        assert len(name) <= 80
        reached.add(name)
        border |= targets(states[name]) - reached
    assert reached == set(states)


def test_only_success_and_failure_are_ends(machine: dict[str, Any]) -> None:
    ends = {s["Type"] for s in machine["States"].values() if not targets(s)}
    assert ends == {"Succeed", "Fail"}


def test_failure_is_reached_only_by_way_of_the_message(machine: dict[str, Any]) -> None:
    states = machine["States"]
    assert {name for name, state in states.items() if "Failed" in targets(state)} == {
        "Tell failure"
    }
    telling = states["Tell failure"]
    assert telling["Resource"] == "arn:aws:states:::sns:publish"
    assert targets(telling) == {"Failed"}


def test_every_task_is_bounded_retried_and_caught(machine: dict[str, Any]) -> None:
    assert 0 < machine["TimeoutSeconds"] < 365 * 24 * 3600
    for name, state in tasks(machine).items():
        assert 0 < state["TimeoutSeconds"] <= 930, name
        assert state["Retry"], name
        for retrier in state["Retry"]:
            assert 1 <= retrier["MaxAttempts"] <= 5, name
            assert retrier["JitterStrategy"] == "FULL", name
            assert "States.ALL" not in retrier["ErrorEquals"], name
        caught = [catcher["ErrorEquals"] for catcher in state["Catch"]]
        # States.ALL leaves out States.DataLimitExceeded; it must stand alone and last.
        assert caught[-2:] == [["States.DataLimitExceeded"], ["States.ALL"]], name


def test_every_expression_parses(machine: dict[str, Any]) -> None:
    found = list(expressions(machine))
    assert len(found) > 20
    for expression in found:
        jsonata.Jsonata(expression)


def test_states_hand_on_nothing(machine: dict[str, Any]) -> None:
    """What a state hands on counts against 256 KiB: values live in variables instead."""
    for name, state in machine["States"].items():
        if state["Type"] in {"Pass", "Task", "Wait"}:
            assert state["Output"] == {}, name


def test_a_definition_is_small(machine: dict[str, Any]) -> None:
    assert len(json.dumps(machine).encode()) < 100_000
    assert json.loads(json.dumps(machine)) == machine


def test_the_export_machine_calls_no_lambda_and_maps_nothing() -> None:
    machine = MACHINES["export of a cluster"]
    assert not [s for s in tasks(machine).values() if "lambda" in s["Resource"]]
    assert not [s for s in machine["States"].values() if s["Type"] in {"Map", "Parallel"}]


def test_lambda_tasks_retry_what_aws_advises() -> None:
    for name, state in tasks(load_machine()).items():
        if state["Resource"].endswith("lambda:invoke"):
            retried = {e for retrier in state["Retry"] for e in retrier["ErrorEquals"]}
            assert retried >= {*asl.LAMBDA_SERVICE_ERRORS, "States.Timeout"}, name


def test_the_subject_of_the_longest_source_is_legal() -> None:
    subject = export_machine(source=LONG_SOURCE)["States"]["Tell failure"]["Arguments"]["Subject"]
    assert LONG_SOURCE in subject
    assert len(subject) <= 100
    assert subject.isascii()


@pytest.mark.parametrize(
    ("export_only", "said"),
    [
        ((), "the list is empty"),
        (("my-db.users",), "'my-db.users' is not"),
        (("a.b.c.d",), "'a.b.c.d' is not"),
        (tuple(f"shop.table_{n:06}" for n in range(10_000)), "of at most 200000"),
    ],
)
def test_a_partial_export_that_rds_refuses_is_refused_here(
    export_only: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=f"^shop-stg: no legal ExportOnly: .*{said}"):
        export_machine(export_only=export_only)


def test_the_longest_partial_export_fits_the_payload() -> None:
    """The list is in the arguments, and RDS gives it back in each answer: 256 KiB hold it."""
    names = tuple(f"shop.table_{n:06}" for n in range(9_500))
    size = len(json.dumps(names).encode())
    assert 190_000 < size <= export.MAX_EXPORT_ONLY_BYTES
    machine = export_machine(export_only=names)
    arguments = json.dumps(machine["States"]["Start export"]["Arguments"]).encode()
    assert len(arguments) + 10_000 < 262_144
    assert len(json.dumps(machine).encode()) < 1_048_576


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be cluster or instance, not database"):
        export_machine(kind="database")
