"""Layer versions live and die as their driver says; archives of assets are zipped alike."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pulumi
import pytest

from rehearsal import deploy, drivers
from rehearsal.drivers import Clouds, DriverError, registry
from rehearsal.drivers.aws_compute import ARCHIVE, SIGNATURE
from rehearsal.drivers.aws_layers import content_of
from tests.rehearsal.drivers.lifecycle import REGION, Life, live
from tests.rehearsal.drivers.test_aws_compute import wire, zipped

LAYER = "aws:lambda/layerVersion:LayerVersion"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
PLACE = f"arn:aws:lambda:{REGION}:111122223333:layer"


def of_sdk(file: Path) -> pulumi.AssetArchive:
    return pulumi.AssetArchive(
        {
            "python/ferry_flow/flow.json": pulumi.StringAsset('{"flow": "ä"}'),
            "python/ferry_flow/ca.pem": pulumi.FileAsset(str(file)),
        }
    )


def of_engine(file: Path) -> dict[str, Any]:
    """The same archive as the engine hands it to a provider."""
    digest = hashlib.sha256(b"x").hexdigest()
    return {
        SIGNATURE: ARCHIVE,
        "hash": digest,
        "assets": {
            "python/ferry_flow/flow.json": {
                SIGNATURE: ASSET,
                "hash": digest,
                "text": '{"flow": "ä"}',
            },
            "python/ferry_flow/ca.pem": {SIGNATURE: ASSET, "hash": digest, "path": str(file)},
        },
    }


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(b"-----BEGIN\r\n")
    return path


def layer_life(name: str, code: Any) -> Life:
    return Life(
        LAYER,
        {
            "layerName": name,
            "code": code,
            "description": "What a flow is",
            "compatibleRuntimes": ["python3.13", "python3.12"],
            "compatibleArchitectures": ["arm64"],
        },
        unread=frozenset({"code"}),
    )


@pytest.mark.parametrize("form", [of_sdk, of_engine])
def test_the_life_of_a_layer(clouds: Clouds, certificate: Path, form: Any) -> None:
    live(clouds, layer_life(f"life-{form.__name__.replace('_', '-')}", form(certificate)))


def test_everything_of_a_version_replaces_it() -> None:
    driver = registry.driver_of(LAYER)
    assert set(driver.replace_on.split()) == driver.properties


def test_versions_are_numbered_and_the_kept_ones_stay(clouds: Clouds, certificate: Path) -> None:
    inputs = {"layerName": "kept", "code": of_sdk(certificate)}
    first = drivers.create(clouds, LAYER, "it", {**inputs, "skipDestroy": True})
    second = drivers.create(clouds, LAYER, "it", inputs)
    assert (first.id, second.id) == (f"{PLACE}:kept:1", f"{PLACE}:kept:2")
    assert second.outputs["layerArn"] == f"{PLACE}:kept"
    assert (second.outputs["arn"], second.outputs["version"]) == (second.id, "2")
    for each in (first, second):
        registry.delete(clouds, LAYER, "it", each.id, each.outputs)
    assert registry.read(clouds, LAYER, "it", first.id, first.outputs) == first.outputs
    assert registry.read(clouds, LAYER, "it", second.id, second.outputs) is None


def test_an_archive_of_assets_is_the_same_from_both_front_ends(certificate: Path) -> None:
    content = content_of(of_sdk(certificate))
    assert content == content_of(of_engine(certificate))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "python/ferry_flow/ca.pem": b"-----BEGIN\r\n",
            "python/ferry_flow/flow.json": '{"flow": "ä"}'.encode(),
        }
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}


def test_a_zip_file_is_taken_as_it_is(tmp_path: Path) -> None:
    path = zipped(tmp_path / "layer.zip", "one = 1")
    assert content_of(pulumi.FileArchive(str(path))) == path.read_bytes()
    assert content_of(wire(path)) == path.read_bytes()


def test_what_cannot_be_zipped_is_named(tmp_path: Path) -> None:
    missing = pulumi.AssetArchive({"a/b": pulumi.FileAsset(str(tmp_path / "none"))})
    with pytest.raises(DriverError, match=r"^a/b: .*none does not exist"):
        content_of(missing)
    remote = pulumi.AssetArchive({"a/b": pulumi.RemoteAsset("https://example.com/x")})
    with pytest.raises(DriverError, match=r"^a/b: only texts and files"):
        content_of(remote)
    nested = pulumi.AssetArchive({"a": pulumi.FileArchive(str(tmp_path))})
    with pytest.raises(DriverError, match=r"^a: only texts and files"):
        content_of(nested)
    with pytest.raises(DriverError, match="code must be"):
        content_of(None)


PROGRAM = """
import pulumi

code = pulumi.AssetArchive({
    "python/ferry_flow/flow.json": pulumi.StringAsset('{"flow": "ä"}'),
    "python/ferry_flow/ca.pem": pulumi.FileAsset(pulumi.Config().require("certificate")),
})
token = "aws:lambda/layerVersion:LayerVersion"
pulumi.CustomResource(token, "layer", {"layerName": "deployed", "code": code})
"""


def test_a_program_deployed_in_this_process_can_zip_assets(
    clouds: Clouds, tmp_path: Path, certificate: Path
) -> None:
    (tmp_path / "__main__.py").write_text(PROGRAM)
    config = {"data-ferry:certificate": str(certificate)}
    made = deploy.deploy(tmp_path, "layers", config, clouds, lambda _: None)
    assert made.resources["aws"] == 1
    digest = base64.b64encode(hashlib.sha256(content_of(of_sdk(certificate))).digest()).decode()
    get = clouds.aws.client("lambda").get_layer_version
    assert get(LayerName="deployed", VersionNumber=1)["Content"]["CodeSha256"] == digest
