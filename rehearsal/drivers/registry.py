"""The registry of drivers: Pulumi type token -> what makes it in the local clouds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]


class AwsCloud(Protocol):
    """What a driver needs of the local AWS."""

    account: str
    region: str

    def client(self, service: str) -> Any:
        """Return a boto3 client of *service*, with the deployer's credentials."""


class GoogleCloud(Protocol):
    """What a driver needs of the local Google Cloud: its REST API."""

    def get(self, path: str) -> Outputs:
        """GET *path*, or raise DriverError with Google's message."""

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Outputs:
        """Send *body* as JSON to *path*, or raise DriverError with Google's message."""


@dataclass(frozen=True)
class Clouds:
    """Both clouds, as the drivers see them."""

    aws: AwsCloud
    google: GoogleCloud


@dataclass(frozen=True)
class Created:
    """A resource that now exists: its provider id and its output properties."""

    id: str
    outputs: Outputs


class DriverError(Exception):
    """A resource could not be made; the message says which and why."""


Driver = Callable[[Clouds, Inputs], Created]
Function = Callable[[Clouds, Inputs], Outputs]


@dataclass(frozen=True)
class _Registered:
    make: Driver
    properties: frozenset[str]


_DRIVERS: dict[str, _Registered] = {}
_FUNCTIONS: dict[str, Function] = {}


def driver(token: str, properties: str) -> Callable[[Driver], Driver]:
    """Register the driver of *token*.

    *properties* names, separated by blanks, the input properties the driver takes. Any other
    property is refused when a resource is made, so that nothing the program asks for is dropped
    without a word.
    """

    def register(make: Driver) -> Driver:
        _DRIVERS[token] = _Registered(make, frozenset(properties.split()))
        return make

    return register


def function(token: str) -> Callable[[Function], Function]:
    """Register the local answer to the provider function *token*."""

    def register(answer: Function) -> Function:
        _FUNCTIONS[token] = answer
        return answer

    return register


def create(clouds: Clouds, token: str, name: str, inputs: Inputs) -> Created:
    """Make the resource *name* of type *token*.

    Raises DriverError, naming type and resource, for a type without a driver, a property the
    driver does not know, and whatever the local cloud refuses.
    """
    registered = _DRIVERS.get(token)
    if registered is None:
        raise DriverError(f"{token} ({name}): the rehearsal has no driver for this resource type")
    given = {key: value for key, value in inputs.items() if value is not None}
    unknown = sorted(given.keys() - registered.properties)
    if unknown:
        raise DriverError(f"{token} ({name}): the driver does not know {', '.join(unknown)}")
    try:
        return registered.make(clouds, given)
    except DriverError as error:
        raise DriverError(f"{token} ({name}): {error}") from error
    except Exception as error:
        raise DriverError(f"{token} ({name}): {type(error).__name__}: {error}") from error


def invoke(clouds: Clouds, token: str, arguments: Inputs) -> Outputs:
    """Answer the provider function *token*; raises DriverError where there is no answer."""
    answer = _FUNCTIONS.get(token)
    if answer is None:
        raise DriverError(f"{token}: the rehearsal has no answer to this function")
    try:
        return answer(clouds, arguments)
    except DriverError:
        raise
    except Exception as error:
        raise DriverError(f"{token}: {type(error).__name__}: {error}") from error
