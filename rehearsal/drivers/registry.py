"""The registry of drivers: Pulumi type token -> what makes, reads, changes and deletes it.

Two front ends use it: the in-process deployment under the SDK's test monitor, and the provider
plugins of the real engine. Both hand in and get back plain values in the providers' wire form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]

# Where a type takes one of these, the provider adds the tags or labels it was configured with.
TAGS, LABELS = "tags", "labels"


class AwsCloud(Protocol):
    """What a driver needs of the local AWS."""

    account: str
    region: str

    def client(self, service: str) -> Any:
        """Return a boto3 client of *service*, with the deployer's credentials."""


class GoogleCloud(Protocol):
    """What a driver needs of the local Google Cloud: its REST API."""

    def get(self, path: str) -> Outputs:
        """GET *path*, or raise DriverError with Google's message (NotFound for a 404)."""

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
    """A resource could not be handled; the message says which and why."""


class NotFound(DriverError):
    """What was asked for does not exist (any more)."""


class NoDriver(DriverError):
    """A resource type that the rehearsal knows nothing of."""

    def __init__(self, token: str) -> None:
        super().__init__(f"{token}: the rehearsal has no driver for this resource type")


class Driver(ABC):
    """How one resource type lives in the local clouds. Names are separated by blanks.

    ``required`` and ``optional`` are the input properties; any other is refused, so that nothing
    the program asks for is dropped without a word. ``replace_on`` holds the paths of properties
    (``params.data_path``) that the official provider cannot change in place. It then deletes the
    old resource before it makes the new one where ``delete_first`` says so, and wherever the
    program gives a name that the provider would else make up (``autonamed``): two resources of
    one name cannot be there at once. ``secret_outputs`` are outputs that are secret whatever the
    inputs were.

    Source: pulumi-terraform-bridge, `nameRequiresDeleteBeforeReplace`.
    """

    token: ClassVar[str]
    required: ClassVar[str] = ""
    optional: ClassVar[str] = ""
    replace_on: ClassVar[str] = ""
    delete_first: ClassVar[bool] = False
    autonamed: ClassVar[str] = ""
    secret_outputs: ClassVar[str] = ""

    @abstractmethod
    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the resource; the outputs hold the inputs and what the cloud added."""

    @abstractmethod
    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Return the outputs as they are in the cloud now, or None when the resource is gone.

        *known* are the last outputs, or nothing when the resource is being imported. A value that
        the cloud writes differently but that means the same is returned as it is known.
        """

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Change the resource from *known* (its last outputs) to *inputs*; returns its outputs."""
        raise DriverError("nothing of it can be changed in place")

    @abstractmethod
    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the resource; one that is gone already is no error."""

    def deletes_first(self, inputs: Inputs) -> bool:
        """Say whether a replacement by *inputs* begins with the deletion of what there is."""
        return self.delete_first or self.autonamed in inputs

    @property
    def properties(self) -> frozenset[str]:
        """All input properties."""
        return frozenset(f"{self.required} {self.optional}".split())


Function = Callable[[Clouds, Inputs], Outputs]
SomeDriver = TypeVar("SomeDriver", bound=type[Driver])

_DRIVERS: dict[str, Driver] = {}
_FUNCTIONS: dict[str, Function] = {}


def driver(kind: SomeDriver) -> SomeDriver:
    """Register a driver under its token."""
    _DRIVERS[kind.token] = kind()
    return kind


def function(token: str) -> Callable[[Function], Function]:
    """Register the local answer to the provider function *token*."""

    def register(answer: Function) -> Function:
        _FUNCTIONS[token] = answer
        return answer

    return register


def tokens() -> list[str]:
    """Return the tokens of all types that have a driver."""
    return sorted(_DRIVERS)


def driver_of(token: str) -> Driver:
    """Return the driver of a type; DriverError, naming the token, where there is none."""
    if token not in _DRIVERS:
        raise NoDriver(token)
    return _DRIVERS[token]


@dataclass(frozen=True)
class Failure:
    """A property that will not do, and why."""

    property: str
    reason: str


def check(token: str, inputs: Inputs) -> list[Failure]:
    """Return what is wrong with the names of the properties: unknown ones, missing ones."""
    found = driver_of(token)
    unknown = sorted(inputs.keys() - found.properties)
    missing = sorted(set(found.required.split()) - inputs.keys())
    return [
        *(Failure(name, "the driver does not know this property") for name in unknown),
        *(Failure(name, "this property is required") for name in missing),
    ]


def with_defaults(token: str, inputs: Inputs, tags: Inputs, labels: Inputs) -> Outputs:
    """Return *inputs* with the provider's default tags or labels below the resource's own.

    A resource may have defaults of its own (``overrideProvider``, of S3 objects). Properties that
    are None count as not given.
    """
    given = {key: value for key, value in inputs.items() if value is not None}
    own = given.get("overrideProvider", {}).get("defaultTags")
    tags = tags if own is None else own.get("tags", {})
    for name, defaults in ((TAGS, tags), (LABELS, labels)):
        applies = name in driver_of(token).properties and token.startswith(_PACKAGE_OF[name])
        if applies and defaults and not isinstance(given.get(name, {}), str):
            given[name] = {**defaults, **given.get(name, {})}
    return given


_PACKAGE_OF = {TAGS: "aws:", LABELS: "gcp:"}


def create(clouds: Clouds, token: str, name: str, inputs: Inputs) -> Created:
    """Make the resource *name* of type *token*.

    Raises DriverError, naming type and resource, for a type without a driver, properties that
    `check` refuses, and whatever the local cloud refuses.
    """
    with _named(token, name):
        given = {key: value for key, value in inputs.items() if value is not None}
        failures = check(token, given)
        if failures:
            raise DriverError("; ".join(f"{each.property}: {each.reason}" for each in failures))
        return driver_of(token).create(clouds, given)


def read(clouds: Clouds, token: str, name: str, identifier: str, known: Inputs) -> Outputs | None:
    """Return the outputs of a resource as they are now; None when it is gone."""
    with _named(token, name):
        return driver_of(token).read(clouds, identifier, known)


def update(
    clouds: Clouds, token: str, name: str, identifier: str, inputs: Inputs, known: Inputs
) -> Outputs:
    """Change a resource in place; returns its outputs."""
    with _named(token, name):
        return driver_of(token).update(clouds, identifier, inputs, known)


def delete(clouds: Clouds, token: str, name: str, identifier: str, known: Inputs) -> None:
    """Delete a resource."""
    with _named(token, name):
        driver_of(token).delete(clouds, identifier, known)


class _named:
    """Turns whatever fails inside into a DriverError that names type and resource."""

    def __init__(self, token: str, name: str) -> None:
        self._where = f"{token} ({name})"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, NoDriver):
            return
        if isinstance(error, DriverError):
            raise DriverError(f"{self._where}: {error}") from error
        if isinstance(error, Exception):
            raise DriverError(f"{self._where}: {type(error).__name__}: {error}") from error


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
