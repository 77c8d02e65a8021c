"""Nothing the program asks for is dropped without a word: every type and property has a driver."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from typing import Any

import pytest
from pulumi import _types

from rehearsal import drivers
from rehearsal.drivers import registry
from settings import load
from tests.components.stacks import ROOT, config, databases_of, run_program
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
    databases = databases_of(load(stack, VARIANTS[variant], ROOT))
    recording = run_program(VARIANTS[variant], stack=stack, databases=databases)
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
            f"{resource.type} ({resource.name}): nonsense: the driver does not know this property"
        )


def test_a_type_without_a_driver_fails_with_its_token() -> None:
    with pytest.raises(drivers.DriverError, match=r"^aws:moon/base:Base: .* no driver"):
        drivers.create(NO_CLOUDS, "aws:moon/base:Base", "tranquility", {})


def test_every_unknown_property_is_named() -> None:
    with pytest.raises(drivers.DriverError, match=r" colour: the driver.*; smell: the driver"):
        drivers.create(NO_CLOUDS, QUEUE, "dead", {"name": "q", "smell": 1, "colour": "red"})


def test_a_property_that_is_not_set_is_none() -> None:
    """Pulumi hands None on for what the program leaves out."""
    with pytest.raises(drivers.DriverError, match=r"\(dead\): smell: the driver does not know"):
        drivers.create(NO_CLOUDS, QUEUE, "dead", {"name": "q", "smell": 1, "colour": None})


def test_every_missing_property_is_named() -> None:
    with pytest.raises(drivers.DriverError, match=r"\(dead\): name: this property is required$"):
        drivers.create(NO_CLOUDS, QUEUE, "dead", {})


def test_the_drivers_are_those_of_the_types_that_the_program_uses() -> None:
    used = {resource.type for variant in VARIANTS for resource in registered(variant)}
    assert used == set(registry.tokens())


def sdk_properties(token: str) -> tuple[set[str], set[str]]:
    """Return the required and the optional input properties of a type, as its SDK has them."""
    package, module, _, kind = token.replace("/", ":").split(":")
    name = {"lambda": "lambda_"}.get(module, module)
    resource = getattr(importlib.import_module(f"pulumi_{package}.{name}"), kind)
    module_of = sys.modules[resource.__module__]
    # `Init`, where a nested type has the name already.
    args = getattr(module_of, f"{kind}InitArgs", None) or getattr(module_of, f"{kind}Args")
    names = _types.input_type_py_to_pulumi_names(args)
    parameters = inspect.signature(args.__init__).parameters
    needed = {
        names[each.name]
        for each in parameters.values()
        if each.name in names and each.default is inspect.Parameter.empty
    }
    return needed, set(names.values()) - needed


@pytest.mark.parametrize("token", registry.tokens())
def test_a_driver_has_the_property_names_of_the_official_provider(token: str) -> None:
    driver = registry.driver_of(token)
    required, optional = sdk_properties(token)
    assert driver.properties <= required | optional
    assert required <= set(driver.required.split())
    # The path of a property may go below its name.
    assert {path.partition(".")[0] for path in driver.replace_on.split()} <= driver.properties


def test_default_tags_and_labels_lie_below_a_resources_own() -> None:
    tags, labels = {"team": "data", "stack": "stg"}, {"label": "yes"}
    given = registry.with_defaults(QUEUE, {"name": "q", "tags": {"team": "web"}}, tags, labels)
    assert given == {"name": "q", "tags": {"team": "web", "stack": "stg"}}
    secret = "gcp:secretmanager/secret:Secret"
    assert registry.with_defaults(secret, {}, tags, labels) == {"labels": labels}
    member = "gcp:projects/iAMMember:IAMMember"
    assert registry.with_defaults(member, {}, tags, labels) == {}
    # S3 takes ten tags of an object and no more: such a resource says so itself.
    own: dict[str, Any] = {"overrideProvider": {"defaultTags": {"tags": {}}}}
    assert registry.with_defaults("aws:s3/bucketObjectv2:BucketObjectv2", own, tags, {}) == own


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
