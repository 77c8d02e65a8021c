"""The life that every driver must be able to give a resource, played against the local clouds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rehearsal import drivers
from rehearsal.drivers import Clouds, registry

REGION = "eu-west-1"
PROJECT, NUMBER = "driver-tests", "123456789012"

Values = Mapping[str, Any]
Change = Callable[[Clouds, str], Any]


def nothing(_clouds: Clouds) -> dict[str, Any]:
    """For what needs nothing to exist before it."""
    return {}


@dataclass(frozen=True)
class Life:
    """One resource from its creation to its end.

    *before* makes what must exist and returns the inputs that follow from it. *updates* are
    changes of inputs in place, one after the other; a value of None takes the property away.
    *by_hand* changes the resource behind Pulumi's back, given its id, and *drift* is what a read
    must then show. *unread* names inputs that the cloud does not tell, or that only Pulumi knows.
    *imported* is false where the id alone does not say enough to read the resource. *left* is
    what a read shows after the deletion of what cannot be gone: a setting then at its default.
    """

    token: str
    inputs: Values
    before: Callable[[Clouds], Values] = nothing
    updates: Sequence[Values] = ()
    by_hand: Change | None = None
    drift: Values = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    imported: bool = True
    left: Values | None = None

    @property
    def name(self) -> str:
        return self.token.rsplit(":", 1)[-1]


def live(clouds: Clouds, life: Life) -> None:
    """Create, read, update, change by hand, put right, delete, and read what is gone."""
    inputs = {**life.inputs, **life.before(clouds)}
    created = drivers.create(clouds, life.token, "it", inputs)
    identifier, outputs = created.id, created.outputs
    assert not missing(inputs, outputs), "the outputs of create lack inputs"
    assert read(clouds, life, identifier, outputs) == outputs, "reading shows a change of nothing"
    if life.imported:
        check_import(clouds, life, identifier, inputs)
    for change in life.updates:
        inputs = {k: v for k, v in {**inputs, **change}.items() if v is not None}
        outputs = registry.update(clouds, life.token, "it", identifier, inputs, outputs)
        assert not missing(inputs, outputs), f"the outputs of the update {change} lack inputs"
        assert read(clouds, life, identifier, outputs) == outputs, f"after the update {change}"
        check_really_changed(clouds, life, identifier, outputs, change)
    if life.by_hand is not None:
        life.by_hand(clouds, identifier)
        drifted = read(clouds, life, identifier, outputs)
        shown = {key: drifted.get(key) for key in life.drift}
        assert shown == dict(life.drift), "drift"
        assert shown != {key: outputs.get(key) for key in life.drift}, "the drift is no drift"
        restored = registry.update(clouds, life.token, "it", identifier, inputs, drifted)
        assert read(clouds, life, identifier, restored) == restored, "after putting it right"
        assert not missing(inputs, restored), "what was changed by hand is put right"
    registry.delete(clouds, life.token, "it", identifier, outputs)
    check_gone(clouds, life, identifier, outputs)
    registry.delete(clouds, life.token, "it", identifier, outputs)


def check_gone(clouds: Clouds, life: Life, identifier: str, outputs: Values) -> None:
    found = registry.read(clouds, life.token, "it", identifier, outputs)
    if life.left is None:
        assert found is None, "it is not gone"
    else:
        assert found is not None
        assert {key: meaning(found[key]) for key in life.left} == dict(life.left), "left"


def read(clouds: Clouds, life: Life, identifier: str, known: Values) -> dict[str, Any]:
    found = registry.read(clouds, life.token, "it", identifier, known)
    assert found is not None, "it is gone"
    return found


def missing(inputs: Values, outputs: Values) -> dict[str, Any]:
    """Return the inputs that the outputs do not hold as they were given."""
    return {key: value for key, value in inputs.items() if outputs.get(key) != value}


def check_really_changed(
    clouds: Clouds, life: Life, identifier: str, outputs: Values, change: Values
) -> None:
    """Read with other values known: what the cloud tells must be the change, not an echo."""
    told = change.keys() - life.unread
    blind = {key: value for key, value in outputs.items() if key not in told}
    seen = read(clouds, life, identifier, blind)
    for key in told:
        if change[key] is not None:
            assert meaning(seen.get(key)) == meaning(change[key]), f"{key} was not carried out"
        else:
            assert not seen.get(key), f"{key} was not taken away"


def check_import(clouds: Clouds, life: Life, identifier: str, inputs: Values) -> None:
    """Read by the id alone, as `pulumi import` does: every input must come back."""
    seen = read(clouds, life, identifier, {})
    for key in inputs.keys() - life.unread:
        assert meaning(seen.get(key)) == meaning(inputs[key]), f"{key} is not read on import"


def meaning(value: Any) -> Any:
    """A value with JSON texts parsed: white space and order in them mean nothing."""
    if isinstance(value, str) and value[:1] in "{[":
        import json

        return json.loads(value)
    return value
