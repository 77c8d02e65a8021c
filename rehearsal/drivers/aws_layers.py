"""Driver of Lambda layer versions, and archives that are put together from assets."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from rehearsal.drivers.aws_compute import ARCHIVE, SIGNATURE, archive_bytes
from rehearsal.drivers.aws_shapes import Names, as_read, fields, properties, same_set
from rehearsal.drivers.registry import Clouds, Created, Driver, DriverError, Inputs, Outputs, driver
from rehearsal.drivers.wire import or_none

_NO_LAYER = "ResourceNotFoundException"
_LAYER: Names = {
    "description": "Description",
    "compatibleRuntimes": "CompatibleRuntimes",
    "compatibleArchitectures": "CompatibleArchitectures",
}
_DEFAULTS: dict[str, Any] = {
    "description": "",
    "compatibleRuntimes": [],
    "compatibleArchitectures": [],
}
# The same files are the same bytes whenever they are zipped, as the Pulumi engine zips them.
_MOMENT = (1980, 1, 1, 0, 0, 0)


@driver
class LayerVersion(Driver):
    """A version of a layer, from a zip file or from single files.

    Nothing of a version can be changed: every change publishes another one, and deletes the old one
    unless `skipDestroy` keeps it. `code` and `skipDestroy` are known to Pulumi only.
    """

    token = "aws:lambda/layerVersion:LayerVersion"  # noqa: S105  # a type token
    required = "layerName"
    optional = "code compatibleRuntimes compatibleArchitectures description skipDestroy region"
    replace_on = f"{required} {optional}"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Publish the version."""
        made = clouds.aws.client("lambda").publish_layer_version(
            LayerName=inputs["layerName"],
            Content={"ZipFile": content_of(inputs.get("code"))},
            **fields(_LAYER, inputs),
        )
        return Created(made["LayerVersionArn"], {**inputs, **_made(made)})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the version."""
        name, number = identifier.split(":")[6:]
        get = clouds.aws.client("lambda").get_layer_version
        found = or_none(get, _NO_LAYER, LayerName=name, VersionNumber=int(number))
        if found is None:
            return None
        seen = {"layerName": name, **_DEFAULTS, **properties(_LAYER, found)}
        for key in ("compatibleRuntimes", "compatibleArchitectures"):
            seen[key] = same_set(known.get(key), seen[key])
        return {**as_read(known, ("layerName", *_LAYER), seen, _DEFAULTS), **_made(found)}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the version; functions that have it keep it."""
        if not known.get("skipDestroy"):
            name, number = identifier.split(":")[6:]
            delete = clouds.aws.client("lambda").delete_layer_version
            or_none(delete, _NO_LAYER, LayerName=name, VersionNumber=int(number))


def _made(version: Inputs) -> Outputs:
    return {
        "arn": version["LayerVersionArn"],
        "layerArn": version["LayerArn"],
        "version": str(version["Version"]),
        "codeSha256": version["Content"]["CodeSha256"],
    }


def content_of(code: Any) -> bytes:
    """Return the zip file of an archive: one that is there, or one made of assets.

    Takes archives as the SDK has them and as the engine hands them to a provider.
    """
    assets = _assets(code)
    if assets is None:
        return archive_bytes(code)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, asset in sorted(assets.items()):
            entry = zipfile.ZipInfo(path, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, _bytes_of(path, asset))
    return content.getvalue()


def _assets(code: Any) -> Mapping[str, Any] | None:
    if isinstance(code, pulumi.AssetArchive):
        return code.assets
    if isinstance(code, dict) and code.get(SIGNATURE) == ARCHIVE and "assets" in code:
        assets: Mapping[str, Any] = code["assets"]
        return assets
    return None


def _bytes_of(name: str, asset: Any) -> bytes:
    """Return the content of an asset: of text, or of a file."""
    told = asset if isinstance(asset, dict) else vars(asset)
    if told.get("text") is not None:
        return str(told["text"]).encode()
    if told.get(SIGNATURE) == ARCHIVE or isinstance(asset, pulumi.Archive) or not told.get("path"):
        raise DriverError(f"{name}: only texts and files can be in an archive of assets")
    path = Path(told["path"])
    if not path.is_file():
        raise DriverError(f"{name}: {path} does not exist")
    return path.read_bytes()
