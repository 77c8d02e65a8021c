"""Each field that must replace, each that must not, and each that is not one: on the real engine.

One program declares every resource type once, from the lives that the drivers' own tests play. It
is deployed, then previewed with one property of each resource changed at a time.
"""

from __future__ import annotations

import copy
import importlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pytest

from rehearsal import cast, engine, stage
from rehearsal.drivers import Clouds, registry
from tests.e2e.kit import Run, Stack
from tests.rehearsal.drivers import (
    test_aws_compute,
    test_aws_firehose,
    test_aws_keys,
    test_aws_layers,
)
from tests.rehearsal.drivers.lifecycle import NUMBER, PROJECT, REGION, Life

MODULES = [
    importlib.import_module(f"tests.rehearsal.drivers.test_{name}")
    for name in (
        *("aws_aurora", "aws_bucket_settings", "aws_dynamodb", "aws_event_sources", "aws_events"),
        *("aws_identity", "aws_keys", "aws_messaging", "aws_network", "aws_storage"),
        *("aws_watching",),
        *("google_bigquery", "google_iam", "google_identity", "google_project", "google_secrets"),
    )
]
# A life for each type; Google can neither change nor delete an agent, so it has none.
AGENT = "gcp:projects/serviceIdentity:ServiceIdentity"

PROGRAM = '''\
"""Declares what resources.json lists."""

import json

import pulumi
import pulumi_aws  # the engine finds the plugins by the packages that are installed
import pulumi_gcp

aws = pulumi_aws.Provider("aws", region="eu-west-1")
gcp = pulumi_gcp.Provider("gcp", project="driver-tests", add_pulumi_attribution_label=False)



def unpacked(value):
    """An archive for what stands for one; anything else as it is."""
    if isinstance(value, dict) and "archive" in value:
        return pulumi.FileArchive(value["archive"])
    if isinstance(value, dict) and "assets" in value:
        return pulumi.AssetArchive({path: asset(told) for path, told in value["assets"].items()})
    return value


def asset(told):
    return pulumi.FileAsset(told["path"]) if "path" in told else pulumi.StringAsset(told["text"])


for name, (token, inputs) in json.load(open("resources.json")).items():
    provider = aws if token.startswith("aws:") else gcp
    inputs = {key: unpacked(value) for key, value in inputs.items()}
    pulumi.CustomResource(token, name, inputs, pulumi.ResourceOptions(provider=provider))
'''


@dataclass
class Declared:
    """The program's folder, and what it declares: name -> token and inputs."""

    stack: Stack
    folder: Path
    resources: dict[str, tuple[str, dict[str, Any]]]

    def with_inputs(self, **changed: dict[str, Any]) -> None:
        """Declare other inputs for some of the resources, and the deployed ones for the rest."""
        listed = {
            name: (token, changed.get(name, inputs))
            for name, (token, inputs) in self.resources.items()
        }
        (self.folder / "resources.json").write_text(json.dumps(listed))


def lives(clouds: Clouds, folder: Path) -> dict[str, Life]:
    """One life of each type, by the name that its resource has here."""
    found: dict[str, Life] = {}
    for life in (
        *(life for module in MODULES for life in module.LIVES),
        test_aws_keys.alias_life(clouds),
        test_aws_compute.machine_life(clouds),
        test_aws_compute.function_life(clouds, folder),
        test_aws_firehose.LIFE,
        test_aws_layers.layer_life("life-layer", an_archive_of_assets(folder)),
    ):
        found.setdefault(life.token, life)
    assert found.keys() == set(registry.tokens()) - {AGENT}
    return {name_of(token): life for token, life in found.items()}


def an_archive_of_assets(folder: Path) -> pulumi.AssetArchive:
    certificate = folder / "ca.pem"
    certificate.write_text("-----BEGIN")
    return test_aws_layers.of_sdk(certificate)


def name_of(token: str) -> str:
    """Two packages have an `IAMMember`: the module is part of the name."""
    return token.replace("/", ":").replace(":", "-")


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Declared]:
    folder = tmp_path_factory.mktemp("fields")
    program = folder / "program"
    program.mkdir()
    (program / "__main__.py").write_text(PROGRAM)
    (program / "Pulumi.yaml").write_text("name: fields\nruntime: python\n")
    config = {
        "aws:region": REGION,
        "data-ferry:bigquery": {"project": PROJECT, "project_number": NUMBER},
    }
    played = cast.Cast(config, [])
    with stage.built(played, folder / "bigquery.duckdb") as clouds:
        resources = {}
        for name, life in lives(clouds.clouds, folder).items():
            inputs = {**copy.deepcopy(dict(life.inputs)), **life.before(clouds.clouds)}
            resources[name] = (life.token, archives_as_paths(inputs))
        variables = engine.environment_of(
            clouds.aws.endpoint, clouds.google.endpoint, clouds.aws.region
        )
        workspace = engine.Workspace(program, folder / "workspace", variables)
        workspace.prepare()
        stack = Stack("fields", workspace, clouds, played, {})
        workspace.configure("fields", {})
        found = Declared(stack, program, resources)
        found.with_inputs()
        stack.up().succeeded()
        yield found


def archives_as_paths(inputs: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no archives."""
    return {key: as_path(value) for key, value in inputs.items()}


def as_path(value: Any) -> Any:
    if isinstance(value, pulumi.FileArchive):
        return {"archive": value.path}
    if isinstance(value, pulumi.AssetArchive):
        return {"assets": {path: vars(asset) for path, asset in value.assets.items()}}
    return value


def test_deployed_again_nothing_changes(declared: Declared) -> None:
    declared.with_inputs()
    assert declared.stack.preview("--refresh", "--expect-no-changes").succeeded().changes == []


def other(value: Any) -> Any:
    """Another value of the same kind; deep inside, as little as possible."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return f"{value}-other"
    if isinstance(value, list):
        return [*value[:-1], other(value[-1])] if value else ["other"]
    if "archive" in value:
        file = Path(value["archive"]).with_name("other.zip")
        return {"archive": str(test_aws_compute.zipped(file, "other = 1"))}
    key = sorted(value)[-1] if value else "other"
    return {**value, key: other(value[key]) if value else "value"}


def changed_at(inputs: dict[str, Any], path: str) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    value = changed_at(inputs.get(head, {}), rest) if rest else other(inputs.get(head, "some"))
    return {**inputs, head: value}


def rounds(declared: Declared) -> list[dict[str, tuple[str, bool]]]:
    """Deal every property out to rounds, each with one of each resource, and: must it replace?"""
    dealt: list[dict[str, tuple[str, bool]]] = []
    for name, (token, inputs) in declared.resources.items():
        replacing = registry.driver_of(token).replace_on.split()
        inside = [path for path in replacing if "." in path]
        # What is left out may come to be given: the Region, for one.
        given = [*inputs, *(path for path in replacing if path not in (*inputs, *inside))]
        plain = [key for key in given if not any(path.startswith(f"{key}.") for path in inside)]
        for at, path in enumerate([*plain, *inside]):
            dealt.extend({} for _ in range(at + 1 - len(dealt)))
            dealt[at][name] = (path, path in replacing)
    return dealt


def test_what_must_replace_replaces_and_what_must_not_is_changed_in_place(
    declared: Declared,
) -> None:
    tried: Counter[bool] = Counter()
    wrong = []
    for dealt in rounds(declared):
        declared.with_inputs(
            **{
                name: changed_at(declared.resources[name][1], path)
                for name, (path, _) in dealt.items()
            }
        )
        run = declared.stack.preview().succeeded()
        ops = {step.name: step for step in run.changes if step.op in ("update", "replace")}
        for name, (path, must) in dealt.items():
            tried[must] += 1
            step = ops.get(name)
            expected = "replace" if must else "update"
            if step is None or step.op != expected:
                wrong.append(f"{name}.{path}: {step.op if step else 'nothing'}, not {expected}")
    assert wrong == []
    assert tried[True] > 120
    assert tried[False] > 120


def refused(declared: Declared, token: str, inputs: dict[str, Any]) -> Run:
    """Preview this one resource, which the engine must refuse."""
    (declared.folder / "resources.json").write_text(json.dumps({"it": (token, inputs)}))
    run = declared.stack.preview()
    assert run.status != 0
    return run


def test_a_type_without_a_driver_fails_at_once_with_its_token_named(declared: Declared) -> None:
    run = refused(declared, "aws:moon/base:Base", {"name": "tranquility"})
    assert any(
        "aws:moon/base:Base: the rehearsal has no driver for this resource type" in message
        for message in run.messages
    )


@pytest.mark.parametrize(
    ("token", "needed"),
    [
        ("aws:s3/bucketPolicy:BucketPolicy", "policy"),
        ("gcp:bigquery/dataTransferConfig:DataTransferConfig", "displayName"),
    ],
)
def test_an_unknown_and_a_missing_property_are_named(
    declared: Declared, token: str, needed: str
) -> None:
    """For every type: tests/rehearsal/provider/test_servicer.py."""
    _, inputs = declared.resources[name_of(token)]
    without = {key: value for key, value in inputs.items() if key != needed}
    told = " ".join(refused(declared, token, {**without, "nonsense": 1}).messages)
    assert token in told
    assert "property nonsense value {1} has a problem: the driver does not know" in told
    assert f"property {needed} value {{<nil>}} has a problem: this property is required" in told
