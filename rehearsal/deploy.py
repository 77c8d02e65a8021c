"""Deploys the program in this process, under the Pulumi SDK's test monitor.

The monitor stands where the engine would: every resource the program registers is made in the
local clouds by its driver. There is no preview, no diff and no state here; those need the real
engine. The program is run from its file, exactly as Pulumi's language host runs it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import empty_pb2
from pulumi.runtime import mocks, rpc, stack
from pulumi.runtime.settings import SETTINGS, set_root_resource

from rehearsal import drivers
from rehearsal.errors import BadInput

PROJECT = "data-ferry"


class DeploymentFailed(Exception):
    """A resource could not be made; nothing after it was started."""


@dataclass
class Deployment:
    """What a deployment left behind."""

    stack: str
    resources: dict[str, int] = field(default_factory=lambda: {"aws": 0, "gcp": 0})
    outputs: dict[str, Any] = field(default_factory=dict)


# Never read: see _set_up_runtime.
_PLACEHOLDER: Any = object()
_NO_RESOURCE: Any = None

OnResource = Callable[[Deployment], None]


class _Clouds(mocks.Mocks):
    """Hands each registration to its driver."""

    def __init__(self, clouds: drivers.Clouds, deployment: Deployment, told: OnResource) -> None:
        self._clouds = clouds
        self._deployment = deployment
        self._told = told
        # What every resource of a package is given: default tags and labels, by package.
        self._defaults: dict[str, dict[str, Any]] = {"aws": {}, "gcp": {}}
        self.failure: drivers.DriverError | None = None

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Answer a provider function."""
        try:
            return drivers.invoke(self._clouds, args.token, _plain(args.args)), []
        except drivers.DriverError as failure:
            self.failure = self.failure or failure
            raise

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Make one resource; components and providers exist in the program only."""
        package = args.typ.partition(":")[0]
        if package == "pulumi":
            self._keep_defaults(args.typ.rpartition(":")[2], args.inputs)
        if package not in self._deployment.resources or not args.custom:
            return args.name, dict(args.inputs)
        if self.failure is not None:
            raise self.failure
        try:
            inputs = drivers.with_defaults(
                args.typ, _plain(args.inputs), self._defaults["aws"], self._defaults["gcp"]
            )
            created = drivers.create(self._clouds, args.typ, args.name, inputs)
        except drivers.DriverError as failure:
            self.failure = self.failure or failure
            raise
        self._deployment.resources[package] += 1
        self._told(self._deployment)
        return created.id, created.outputs

    def _keep_defaults(self, package: str, config: Mapping[str, Any]) -> None:
        """Keep a provider's default tags or labels; nested, they travel as JSON."""
        key = {"aws": "defaultTags", "gcp": "defaultLabels"}.get(package, "")
        defaults = _plain(config.get(key, {}))
        defaults = json.loads(defaults) if isinstance(defaults, str) else defaults
        self._defaults[package] = defaults.get("tags", {}) if package == "aws" else defaults


def _plain(value: Any) -> Any:
    """Take secrets out of their wrapping: a provider receives them bare, over TLS."""
    if rpc.is_rpc_secret(value):
        return _plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


@contextmanager
def _loop_of_this_thread() -> Iterator[None]:
    """Close the event loop that the SDK's monitor makes in its worker thread; it would leak."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class _Monitor(mocks.MockMonitor):
    """The SDK's test monitor, which also keeps the stack's outputs."""

    def __init__(self, clouds: _Clouds, deployment: Deployment) -> None:
        super().__init__(clouds)
        self._deployment = deployment

    def RegisterResource(self, request: Any) -> Any:  # the SDK's name
        """Make a resource."""
        with _loop_of_this_thread():
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def Invoke(self, request: Any) -> Any:  # the SDK's name
        """Answer a provider function."""
        with _loop_of_this_thread():
            return super().Invoke(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # the SDK's name
        """Keep what the stack exports; components' outputs are of no use here."""
        if "::pulumi:pulumi:Stack::" in request.urn:
            self._deployment.outputs.update(rpc.deserialize_properties(request.outputs))
        return empty_pb2.Empty()


def deploy(
    program: Path,
    stack_name: str,
    config: Mapping[str, Any],
    clouds: drivers.Clouds,
    on_resource: OnResource,
) -> Deployment:
    """Run *program* (a directory holding ``__main__.py``) against *clouds*.

    *config* maps full keys (``data-ferry:service``) to plain values, as in ``Pulumi.<stack>.yaml``.
    Raises BadInput where the program refuses its settings, DeploymentFailed where a driver fails.
    """
    deployment = Deployment(stack_name)
    hands = _Clouds(clouds, deployment, on_resource)
    monitor = _Monitor(hands, deployment)
    _set_up_runtime(monitor, hands, stack_name, config)
    # Every registration that waits for a failed one logs a traceback of its own.
    loud = logging.getLogger("asyncio")
    level = loud.level
    loud.setLevel(logging.CRITICAL)
    try:
        asyncio.run(stack.run_in_stack(lambda: _run_program(program)))
    except pulumi.RunError as error:
        raise BadInput(str(error).splitlines()) from error
    except Exception as error:
        if hands.failure is not None:
            raise DeploymentFailed(str(hands.failure)) from error
        raise
    finally:
        loud.setLevel(level)
    return deployment


def _set_up_runtime(
    monitor: _Monitor, hands: _Clouds, stack_name: str, config: Mapping[str, Any]
) -> None:
    # set_mocks would start a stack of its own, outside the loop the program will run in, unless
    # it finds one. The SDK keeps all this in globals, and a rehearsal may be the second one.
    set_root_resource(_PLACEHOLDER)
    pulumi.runtime.set_all_config(
        {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in config.items()
        }
    )
    quiet = logging.getLogger("rehearsal.program")
    mocks.set_mocks(
        hands, project=PROJECT, stack=stack_name, preview=False, monitor=monitor, logger=quiet
    )
    set_root_resource(_NO_RESOURCE)
    # A program that was stopped leaves outputs behind that nobody will ever await.
    SETTINGS.outputs.clear()


def _run_program(program: Path) -> None:
    root = str(program.resolve())
    sys.path.insert(0, root)
    try:
        runpy.run_path(f"{root}/__main__.py", run_name="__main__")
    finally:
        sys.path.remove(root)
