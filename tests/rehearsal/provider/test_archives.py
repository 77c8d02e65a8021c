"""Archives that are put together from assets reach a driver through the protocol."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.drivers.aws_layers import content_of
from tests.rehearsal.drivers.lifecycle import REGION
from tests.rehearsal.drivers.test_aws_layers import LAYER, of_engine
from tests.rehearsal.provider import plugin
from tests.rehearsal.provider.plugin import Plugin


@pytest.fixture(scope="module")
def functions(local_aws, tmp_path_factory) -> Iterator[Plugin]:
    with plugin.started("aws", tmp_path_factory.mktemp("aws")) as started:
        endpoints = dict.fromkeys(("lambda", "sts"), local_aws.endpoint)
        started.configure(
            region=REGION, accessKey="test", secretKey="test", endpoints=json.dumps([endpoints])
        )
        yield started


def test_an_archive_of_assets_is_published_and_stays_as_it_was(
    functions: Plugin, tmp_path: Path
) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("1.0")
    inputs = {"layerName": "flow", "code": of_engine(certificate)}
    checked, failures = functions.check(LAYER, inputs)
    assert (checked, failures) == (inputs, {})
    identifier, outputs = functions.create(LAYER, inputs)
    content = content_of(inputs["code"])
    assert outputs["codeSha256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert outputs["code"] == inputs["code"]
    assert functions.read(LAYER, identifier, outputs, inputs)[1:] == (outputs, inputs)


def test_another_text_in_an_archive_is_another_version(functions: Plugin, tmp_path: Path) -> None:
    inputs = {"layerName": "flow", "code": of_engine(tmp_path / "ca.pem")}
    changed = json.loads(json.dumps(inputs))
    changed["code"]["hash"] = "other"
    changed["code"]["assets"]["python/ferry_flow/flow.json"] |= {"hash": "other", "text": "{}"}
    assert list(functions.diff(LAYER, inputs, changed).replaces) == ["code"]
    assert not functions.diff(LAYER, inputs, inputs).replaces
