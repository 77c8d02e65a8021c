"""Nothing the program asks for is dropped without a word: every type and property has a driver."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal import drivers
from settings import load
from tests.components.stacks import ROOT, config, run_program
from tests.rehearsal.playing import config_of

# Nothing may be asked of a cloud before an unknown type or property is refused.
NO_CLOUDS: Any = drivers.Clouds(aws=object(), google=object())  # type: ignore[arg-type]
QUEUE = "aws:sqs/queue:Queue"

SCHEDULE = {"trigger": {"schedule": "cron(30 3 * * ? *)", "timezone": "Europe/Berlin"}}
VARIANTS: dict[str, dict[str, str]] = {
    **{
        stack: {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in config_of(stack).items()
        }
        for stack in ("local", "stg", "prod")
    },
    "schedule": config(SCHEDULE),
    "manual": config({"manual_snapshots": True}, {"run_time_offset_hours": 2}),
}


def registered(variant: str) -> list[Any]:
    """Return what the program asks both clouds for."""
    stack = variant if variant in ("local", "stg", "prod") else "stg"
    engines = {"mysql": "aurora-mysql", "postgresql": "aurora-postgresql"}
    sources = load(stack, VARIANTS[variant], ROOT).snapshot.sources
    recording = run_program(
        VARIANTS[variant], stack=stack, databases={s.name: engines[s.engine] for s in sources}
    )
    found = [r for r in recording.resources if r.type.partition(":")[0] in ("aws", "gcp")]
    assert len(found) > 50
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_type_and_property_that_the_program_uses_has_a_driver(variant: str) -> None:
    for resource in registered(variant):
        with pytest.raises(drivers.DriverError) as refused:
            drivers.create(
                NO_CLOUDS, resource.type, resource.name, {**resource.inputs, "nonsense": 1}
            )
        assert str(refused.value) == (
            f"{resource.type} ({resource.name}): the driver does not know nonsense"
        )


def test_a_type_without_a_driver_fails_with_its_token() -> None:
    with pytest.raises(drivers.DriverError, match=r"^aws:moon/base:Base \(tranquility\): .*driver"):
        drivers.create(NO_CLOUDS, "aws:moon/base:Base", "tranquility", {})


def test_every_unknown_property_is_named() -> None:
    with pytest.raises(drivers.DriverError, match=r"does not know colour, smell$"):
        drivers.create(NO_CLOUDS, QUEUE, "dead", {"name": "q", "smell": 1, "colour": "red"})


def test_a_property_that_is_not_set_is_none() -> None:
    """Pulumi hands None on for what the program leaves out."""
    with pytest.raises(drivers.DriverError, match=r"does not know smell$"):
        drivers.create(NO_CLOUDS, QUEUE, "dead", {"smell": 1, "colour": None})


def test_whatever_a_cloud_answers_names_type_and_resource() -> None:
    with pytest.raises(drivers.DriverError, match=r"^aws:sqs/queue:Queue \(dead\): Attrib"):
        drivers.create(NO_CLOUDS, QUEUE, "dead", {"name": "q"})


def test_a_function_without_an_answer_fails_with_its_token() -> None:
    with pytest.raises(drivers.DriverError, match=r"^aws:moon/getBase:getBase: .*no answer"):
        drivers.invoke(NO_CLOUDS, "aws:moon/getBase:getBase", {})


def test_whatever_fails_in_a_function_names_it() -> None:
    token = "aws:index/getCallerIdentity:getCallerIdentity"
    with pytest.raises(drivers.DriverError, match=f"^{token}: "):
        drivers.invoke(NO_CLOUDS, token, {})
