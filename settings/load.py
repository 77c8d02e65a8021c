"""From a stack's configuration to its settings, or to everything that is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from settings.errors import Problems, SettingsError, flow, snippet
from settings.flows import FlowParts, check_flows
from settings.messages import Location, is_key, key_path, report, right_value, value_at
from settings.model import (
    Alerts,
    BigQuery,
    Cluster,
    Handlers,
    Replication,
    Settings,
    Snapshot,
    Source,
    Trigger,
)
from settings.names import check_names, default_dataset
from settings.replication_schema import ReplicationShape
from settings.schema import (
    NAMESPACE,
    BigQueryShape,
    RegionShape,
    SnapshotShape,
    StackShape,
)
from settings.sources import build_sources

_HALVES = {"snapshot": "bigquery", "bigquery": "snapshot"}
_ROUTE_KEYS = (*_HALVES, "replication")
_PRODUCTION_STACK = "prod"
_ROOT = Path(__file__).resolve().parents[1]


def from_pulumi() -> Settings:
    """Return the settings of the running program's stack, or raise `SettingsError`.

    An encrypted value is not read: that there is one is an error already.
    """
    config: dict[str, object] = {**get_config_env(), **CONFIG.get()}
    for key in config:
        if key.startswith(f"{NAMESPACE}:") and is_config_secret(key):
            config[key] = {"secure": ""}
    return load(pulumi.get_stack(), config, _ROOT)


def load(stack: str, config: Mapping[str, object], root: Path) -> Settings:
    """Return the settings of `stack`, or raise `SettingsError` with all that is wrong.

    `config` has the whole keys (``data-ferry:service``, ``aws:region``) with their values, parsed
    or as JSON. Nothing is read but the files it names, below `root`.
    """
    problems = Problems()
    region = {"region": config["aws:region"]} if "aws:region" in config else {}
    region_errors = _errors(RegionShape, region)
    for error in region_errors:
        report(error, RegionShape, "aws", region, problems)
    own = _own_values(config)
    secret = _check_secrets(own, problems)
    _check_routes(own, problems)
    errors = [e for e in _errors(StackShape, own) if e["loc"][0] not in secret]
    for error in errors:
        report(_as_written(error, own), StackShape, NAMESPACE, own, problems)
    wrong = {error["loc"] for error in errors}
    sources = _check_together(stack, own, wrong, root, problems)
    declared = own.get("replication") if "replication" not in secret else None
    place = None if region_errors else str(region["region"])
    flows = check_flows(declared, wrong, place, root, problems)
    if problems.lines:
        raise SettingsError(problems.lines)
    shape = StackShape.model_validate(own)
    return _settings(stack, str(region["region"]), shape, sources, flows)


def _own_values(config: Mapping[str, object]) -> dict[str, object]:
    """Return our keys without their namespace, JSON texts parsed, empty mappings left out.

    Pulumi hands structured values to a program as JSON, and gives a key that the stack does not
    set the empty mapping that `Pulumi.yaml` declares as its default.
    """
    own: dict[str, object] = {}
    for key, value in config.items():
        namespace, _, name = key.partition(":")
        if namespace != NAMESPACE:
            continue
        if isinstance(value, str) and name != "service":
            value = _parsed(value)
        if name not in StackShape.model_fields or value not in (None, {}):
            own[name] = _with_text_keys(value)
    return own


def _with_text_keys(value: object) -> object:
    """Return a value in which a key such as ``2024:`` is text, as it is once it was JSON."""
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else json.dumps(key, default=str): _with_text_keys(inner)
            for key, inner in value.items()
        }
    return [_with_text_keys(each) for each in value] if isinstance(value, list) else value


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _errors(shape: type[BaseModel], values: Mapping[str, object]) -> list[ErrorDetails]:
    try:
        shape.model_validate(values)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _as_written(error: ErrorDetails, own: Mapping[str, object]) -> ErrorDetails:
    """Return an error of a column that is written as its type alone at the place where it is."""
    *above, last = error["loc"]
    if last != "type" or error["type"] == "missing":
        return error
    return {**error, "loc": tuple(above)} if isinstance(value_at(own, above), str) else error


def _check_routes(own: Mapping[str, object], problems: Problems) -> None:
    """Note a stack without a route, and half of one."""
    examples = {
        f"{NAMESPACE}:{key}": next(iter(StackShape.model_fields[key].examples or ()))
        for key in _HALVES
    }
    if not any(key in own for key in _ROUTE_KEYS):
        problems.add(
            NAMESPACE,
            "there is no route: a stack has a route only if it sets the route's keys, snapshot and "
            "bigquery or replication",
            flow(examples),
        )
    for key, other in _HALVES.items():
        if other in own and key not in own:
            problems.add(
                f"{NAMESPACE}:{key}",
                f"is missing: the snapshot route needs it beside {NAMESPACE}:{other}",
                snippet(f"{NAMESPACE}:{key}", examples[f"{NAMESPACE}:{key}"]),
            )


def _check_secrets(own: Mapping[str, object], problems: Problems) -> set[str]:
    """Note every encrypted value, and return the top-level keys that have one."""
    found = list(_secrets(own, ()))
    for location in found:
        problem = "is encrypted, and no secret belongs here: the program makes and keeps its own"
        right: str | None = None
        if is_key(StackShape, location):
            right = right_value(StackShape, location)
            right = f"{NAMESPACE}:{right}" if len(location) == 1 else right
        else:
            problem += "; take it out"
        problems.add(key_path(NAMESPACE, location), problem, right)
    return {str(location[0]) for location in found}


def _secrets(value: object, location: Location) -> Iterator[Location]:
    if isinstance(value, Mapping):
        if location and set(value) == {"secure"} and isinstance(value["secure"], str):
            yield location
            return
        for key, inner in value.items():
            yield from _secrets(inner, (*location, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets(inner, (*location, index))


def _check_together(
    stack: str,
    own: Mapping[str, object],
    wrong: set[Location],
    root: Path,
    problems: Problems,
) -> tuple[Source, ...]:
    """Check what takes more than one value to tell, as far as the values are right by themselves.

    So a slip in one key does not hide the errors of all others until the next run.
    """
    service = own.get("service")
    legal = isinstance(service, str) and ("service",) not in wrong
    check_names(str(service) if legal else None, stack, problems)
    snapshot, bigquery = own.get("snapshot"), own.get("bigquery")
    _check_trigger(snapshot, problems)
    template: str | None = BigQueryShape.model_fields["table_name"].default
    if isinstance(bigquery, Mapping) and "table_name" in bigquery:
        template = None if ("bigquery", "table_name") in wrong else bigquery["table_name"]
    declared = snapshot.get("sources") if isinstance(snapshot, Mapping) else None
    return build_sources(declared if isinstance(declared, list) else [], template, root, problems)


def _check_trigger(snapshot: object, problems: Problems) -> None:
    if not isinstance(snapshot, Mapping):
        return
    if snapshot.get("manual_snapshots") is True and isinstance(snapshot.get("trigger"), Mapping):
        problems.add(
            f"{NAMESPACE}:snapshot.manual_snapshots",
            "has no effect with a schedule, which exports the newest automated snapshot",
            snippet("manual_snapshots", False),
        )


def _settings(
    stack: str,
    region: str,
    shape: StackShape,
    sources: tuple[Source, ...],
    flows: Mapping[str, FlowParts],
) -> Settings:
    return Settings(
        service=shape.service,
        stack=stack,
        region=region,
        snapshot=_snapshot(shape.snapshot, sources) if shape.snapshot else None,
        bigquery=_bigquery(shape.bigquery, shape.service, stack) if shape.bigquery else None,
        replication=_replication(shape.replication, flows) if shape.replication else None,
        alerts=Alerts(emails=tuple(shape.alerts.emails), runbook_url=shape.alerts.runbook_url),
        labels=MappingProxyType(dict(shape.labels)),
        handlers=Handlers(**shape.handlers.model_dump()),
    )


def _snapshot(shape: SnapshotShape, sources: tuple[Source, ...]) -> Snapshot:
    trigger = Trigger(
        kind="event" if shape.trigger.schedule is None else "schedule",
        schedule=shape.trigger.schedule,
        timezone=shape.trigger.timezone,
    )
    values = shape.model_dump(exclude={"sources", "trigger"})
    return Snapshot(sources=sources, trigger=trigger, **values)


def _bigquery(shape: BigQueryShape, service: str, stack: str) -> BigQuery:
    values = shape.model_dump(exclude={"dataset", "deletion_protection"})
    protection = shape.deletion_protection
    return BigQuery(
        dataset=shape.dataset or default_dataset(service, stack),
        deletion_protection=stack == _PRODUCTION_STACK if protection is None else protection,
        **values,
    )


def _replication(shape: ReplicationShape, flows: Mapping[str, FlowParts]) -> Replication:
    values = shape.model_dump(exclude={"cluster", "flows"})
    return Replication(
        cluster=Cluster(**shape.cluster.model_dump()),
        flows=tuple(flows[name].flow(name, shape.flows[name]) for name in sorted(shape.flows)),
        **values,
    )
