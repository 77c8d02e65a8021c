"""Pulumi's resource provider protocol (pulumi/pulumi, proto/pulumi/provider.proto).

Each call names a resource and hands it to its driver. What a provider decides by itself is decided
here: which properties there are, what a change means, what is known in a preview.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from rehearsal.drivers import DriverError, registry
from rehearsal.provider import configuration
from rehearsal.provider.difference import Change, changes
from rehearsal.provider.values import has_unknown, plain, struct

_KINDS = {
    ("add", False): provider_pb2.PropertyDiff.ADD,
    ("add", True): provider_pb2.PropertyDiff.ADD_REPLACE,
    ("delete", False): provider_pb2.PropertyDiff.DELETE,
    ("delete", True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    ("update", False): provider_pb2.PropertyDiff.UPDATE,
    ("update", True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}

Answer = TypeVar("Answer")


def _told(method: Callable[..., Answer]) -> Callable[..., Answer]:
    """Let a driver's refusal reach the engine as the plain sentence it is."""

    @wraps(method)
    def answer(self: Provider, request: Any, context: grpc.ServicerContext) -> Answer:
        try:
            return method(self, request, context)
        except DriverError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
            raise  # abort has raised already

    return answer


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The provider of one package; it has no state but the clouds it was configured with."""

    def __init__(self, package: str, version: str) -> None:
        self._package = package
        self._version = version
        self._clouds: Any = None
        self._tags: Mapping[str, Any] = {}
        self._labels: Mapping[str, Any] = {}

    # --- the provider itself

    def Handshake(self, request: Any, context: Any) -> Any:
        """Agree on plain values: the engine keeps track of what is secret."""
        return provider_pb2.ProviderHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Tell the version: the official plugin's, whose place this takes."""
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Tell no more than the name: nobody writes programs against this plugin."""
        schema = {"name": self._package, "version": self._version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def Attach(self, request: Any, context: Any) -> Any:
        """Nothing is logged through the engine."""
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        """Let what is under way end: each call is short, and half a change helps nobody."""
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Take the configuration as it is; Configure says what is wrong with it."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """A changed configuration updates the provider and replaces nothing."""
        old, new = plain(request.old_inputs or request.olds), plain(request.news)
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        return _diff([Change(key, "update") for key in changed], delete_first=False)

    @_told
    def Configure(self, request: Any, context: Any) -> Any:
        """Find the local cloud that the configuration names."""
        config = configuration.parsed(plain(request.args))
        if not has_unknown(config):
            self._clouds = configuration.clouds(self._package, config)
            self._tags = config.get("defaultTags", {}).get("tags", {})
            self._labels = config.get("defaultLabels", {})
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    @_told
    def Invoke(self, request: Any, context: Any) -> Any:
        """Answer a function of the package."""
        found = registry.invoke(self._clouds, request.tok, plain(request.args))
        answer: dict[str, Any] = {"return": struct(found)}
        return provider_pb2.InvokeResponse(**answer)

    # --- its resources

    @_told
    def Check(self, request: Any, context: Any) -> Any:
        """Refuse properties that are unknown or missing; add the default tags or labels."""
        token = _token(request)
        inputs = registry.with_defaults(token, plain(request.news), self._tags, self._labels)
        failures = [
            provider_pb2.CheckFailure(property=each.property, reason=each.reason)
            for each in registry.check(token, inputs)
        ]
        return provider_pb2.CheckResponse(inputs=struct(inputs), failures=failures)

    @_told
    def Diff(self, request: Any, context: Any) -> Any:
        """Compare the inputs of then and now."""
        driver = registry.driver_of(_token(request))
        inputs = plain(request.news)
        found = changes(driver, plain(request.old_inputs), inputs)
        return _diff(found, driver.deletes_first(inputs))

    @_told
    def Create(self, request: Any, context: Any) -> Any:
        """Make the resource; in a preview, what the cloud would add stays unknown."""
        token, inputs = _token(request), plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=struct(inputs, _secrets(token)))
        created = registry.create(self._clouds, token, _name(request), inputs)
        properties = struct(created.outputs, _secrets(token))
        return provider_pb2.CreateResponse(id=created.id, properties=properties)

    @_told
    def Read(self, request: Any, context: Any) -> Any:
        """Look the resource up, for a refresh (its state is given) or an import (only its id)."""
        token, known = _token(request), plain(request.properties)
        outputs = registry.read(self._clouds, token, _name(request), request.id, known)
        if outputs is None:
            return provider_pb2.ReadResponse()
        old_inputs = plain(request.inputs)
        inputs = {
            key: value
            for key, value in outputs.items()
            if key in registry.driver_of(token).properties
            and (key in old_inputs or key not in known)
        }
        if "region" not in old_inputs and self._clouds.aws.region == inputs.get("region"):
            # Told of every resource; an input only where the program sends it elsewhere.
            del inputs["region"]
        secrets = _secrets(token)
        return provider_pb2.ReadResponse(
            id=request.id, properties=struct(outputs, secrets), inputs=struct(inputs, secrets)
        )

    @_told
    def Update(self, request: Any, context: Any) -> Any:
        """Change the resource in place."""
        token, inputs, known = _token(request), plain(request.news), plain(request.olds)
        if request.preview:
            kept = {
                key: value
                for key, value in known.items()
                if key not in registry.driver_of(token).properties
            }
            outputs = {**kept, **inputs}
        else:
            outputs = registry.update(
                self._clouds, token, _name(request), request.id, inputs, known
            )
        return provider_pb2.UpdateResponse(properties=struct(outputs, _secrets(token)))

    @_told
    def Delete(self, request: Any, context: Any) -> Any:
        """Delete the resource."""
        known = plain(request.properties)
        registry.delete(self._clouds, _token(request), _name(request), request.id, known)
        return empty_pb2.Empty()


def _token(request: Any) -> str:
    # The type is in a field of its own only since lately; it was always in the URN.
    return str(request.type or request.urn.split("::")[2].rsplit("$", 1)[-1])


def _name(request: Any) -> str:
    return str(request.name or request.urn.split("::", 3)[3])


def _secrets(token: str) -> list[str]:
    return registry.driver_of(token).secret_outputs.split()


def _diff(found: list[Change], delete_first: bool) -> Any:
    replaces = [change.path for change in found if change.replaces]
    response = provider_pb2.DiffResponse
    return response(
        changes=response.DIFF_SOME if found else response.DIFF_NONE,
        diffs=sorted({_top(change.path) for change in found}),
        replaces=sorted({_top(path) for path in replaces}),
        deleteBeforeReplace=bool(replaces) and delete_first,
        hasDetailedDiff=True,
        detailedDiff={
            change.path: provider_pb2.PropertyDiff(
                kind=_KINDS[change.kind, change.replaces], inputDiff=True
            )
            for change in found
        },
    )


def _top(path: str) -> str:
    return path.replace("[", ".").partition(".")[0]
