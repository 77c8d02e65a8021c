"""A provider plugin, started and spoken to as the engine does it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from rehearsal.provider.values import struct

PLUGINS = Path(__file__).resolve().parents[3] / "rehearsal" / "provider"

# Constants of Pulumi's wire form, written down here as the engine has them.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"

NAME = "it"
_PATIENCE_SECONDS = 60


def secret(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "value": value}


@dataclass(frozen=True)
class Plugin:
    """A running plugin, and the calls of the engine with plain values for structs."""

    process: subprocess.Popen[str]
    stub: provider_pb2_grpc.ResourceProviderStub
    stderr: Path

    def configure(self, **config: Any) -> None:
        request = provider_pb2.ConfigureRequest(args=struct(config), acceptSecrets=True)
        self.stub.Configure(request, timeout=_PATIENCE_SECONDS)

    def check(self, token: str, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the checked inputs, and the reason of each failure by property."""
        request = provider_pb2.CheckRequest(**resource(token), news=struct(inputs))
        answer = self.stub.Check(request, timeout=_PATIENCE_SECONDS)
        return wire(answer.inputs), {each.property: each.reason for each in answer.failures}

    def diff(self, token: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Any:
        request = provider_pb2.DiffRequest(
            **resource(token), id="id", olds=struct(old), old_inputs=struct(old), news=struct(new)
        )
        return self.stub.Diff(request, timeout=_PATIENCE_SECONDS)

    def create(
        self, token: str, inputs: Mapping[str, Any], preview: bool = False
    ) -> tuple[str, dict[str, Any]]:
        request = provider_pb2.CreateRequest(
            **resource(token), properties=struct(inputs), preview=preview
        )
        answer = self.stub.Create(request, timeout=_PATIENCE_SECONDS)
        return answer.id, wire(answer.properties)

    def read(
        self,
        token: str,
        identifier: str,
        known: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the id, the outputs and the inputs; without *known* it is an import."""
        request = provider_pb2.ReadRequest(
            **resource(token), id=identifier, properties=struct(known or {})
        )
        if inputs is not None:
            request.inputs.CopyFrom(struct(inputs))
        answer = self.stub.Read(request, timeout=_PATIENCE_SECONDS)
        return answer.id, wire(answer.properties), wire(answer.inputs)

    def update(
        self,
        token: str,
        identifier: str,
        known: Mapping[str, Any],
        inputs: Mapping[str, Any],
        preview: bool = False,
    ) -> dict[str, Any]:
        request = provider_pb2.UpdateRequest(
            **resource(token),
            id=identifier,
            olds=struct(known),
            news=struct(inputs),
            preview=preview,
        )
        return wire(self.stub.Update(request, timeout=_PATIENCE_SECONDS).properties)

    def delete(self, token: str, identifier: str, known: Mapping[str, Any]) -> None:
        request = provider_pb2.DeleteRequest(
            **resource(token), id=identifier, properties=struct(known)
        )
        self.stub.Delete(request, timeout=_PATIENCE_SECONDS)

    def invoke(self, token: str, **arguments: Any) -> dict[str, Any]:
        request = provider_pb2.InvokeRequest(tok=token, args=struct(arguments))
        return wire(getattr(self.stub.Invoke(request, timeout=_PATIENCE_SECONDS), "return"))

    def refusal(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
        """Return the one sentence with which a call is refused."""
        try:
            call(*arguments, **named)
        except grpc.RpcError as error:
            told = str(error.details())
        else:
            raise AssertionError("nothing was refused")
        assert "\n" not in told
        assert "Exception calling application" not in told, told
        assert "Traceback" not in self.stderr.read_text()
        return told


def resource(token: str) -> dict[str, Any]:
    """Return what names a resource in every request."""
    return {"urn": f"urn:pulumi:dev::ferry::{token}::{NAME}", "type": token, "name": NAME}


def wire(values: Any) -> dict[str, Any]:
    """Return a struct just as it travels, secrets and all."""
    return dict(json_format.MessageToDict(values))


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which nothing but *variables* says where the clouds are."""
    foreign = ("AWS_", "GOOGLE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "DATA_FERRY_PYTHON": sys.executable, **variables}


@contextmanager
def started(package: str, folder: Path) -> Iterator[Plugin]:
    """Start the plugin of a package, and end it as the engine does."""
    stderr = folder / f"{package}.stderr"
    with (
        stderr.open("w") as errors,
        subprocess.Popen(
            [PLUGINS / f"pulumi-resource-{package}"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, stderr.read_text()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Plugin(process, provider_pb2_grpc.ResourceProviderStub(channel), stderr)
        finally:
            process.terminate()
