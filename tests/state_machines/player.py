"""Plays a machine against scripted services, with the rehearsal's own interpreter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.aws.asl_interpreter import Clock, Interpreter, StateError

Answer = Callable[[Any], Any]


def error(name: str, cause: str = "as scripted") -> StateError:
    return StateError(name, cause)


def each(*answers: Any) -> Answer:
    """Answer one after the other, then with the last one for ever; errors are raised."""
    left = list(answers)

    def answer(arguments: Any) -> Any:
        value = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(value, StateError):
            raise value
        return value(arguments) if callable(value) else value

    return answer


@dataclass
class Played:
    """How an execution went."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)
    events: int = 0
    failure: StateError | None = None
    waited: float = 0.0

    def arguments(self, resource: str) -> list[Any]:
        return [arguments for called, arguments in self.calls if called == resource]

    @property
    def message(self) -> str:
        """The one message that was published."""
        (published,) = self.arguments("sns:publish")
        return str(published["Message"])


class _World:
    def __init__(self, played: Played, answers: Mapping[str, Answer]) -> None:
        self._played = played
        self._answers = answers

    def run(self, resource: str, arguments: Any, timeout: float | None) -> Any:
        assert timeout
        name = resource.removeprefix("arn:aws:states:::")
        self._played.calls.append((name, arguments))
        return self._answers[name](arguments)

    def record(self, kind: str, details: Mapping[str, Any] | None = None) -> int:
        self._played.events += 1
        entered = (details or {}).get("stateEnteredEventDetails")
        if entered:
            self._played.visited.append(entered["name"])
        return self._played.events


def play(definition: dict[str, Any], event: Any, answers: Mapping[str, Answer]) -> Played:
    played = Played()
    world = _World(played, {"sns:publish": each({"MessageId": "m"}), **answers})
    clock = Clock(0.0, threading.Event())
    began = clock.now()
    context = {"Execution": {"Id": "arn:aws:states:eu-west-1:111122223333:execution:m:e"}}
    interpreter = Interpreter(
        definition, context, tasks=world, journal=world, clock=clock, report=lambda problem: None
    )
    try:
        interpreter.run(event)
    except StateError as failure:
        played.failure = failure
    played.waited = (clock.now() - began).total_seconds()
    return played


def expressions(part: Any) -> Iterator[str]:
    """Every JSONata expression in a definition, without its marks."""
    if isinstance(part, str) and part.startswith("{%"):
        yield part.removeprefix("{%").removesuffix("%}").strip()
    elif isinstance(part, Mapping):
        for value in part.values():
            yield from expressions(value)
    elif isinstance(part, list):
        for value in part:
            yield from expressions(value)


def history_events(state: Mapping[str, Any]) -> int:
    """The most history events one visit can leave: entered, exited, and three for an attempt."""
    attempts = 1 + sum(retrier["MaxAttempts"] for retrier in state.get("Retry", []))
    return 2 + (3 * attempts if state["Type"] == "Task" else 0)


def seconds(state: Mapping[str, Any]) -> float:
    """The longest one visit to a Task can take: all attempts time out, all pauses are full."""
    total = float(state["TimeoutSeconds"])
    for retrier in state["Retry"]:
        for attempt in range(retrier["MaxAttempts"]):
            pause = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt
            total += min(pause, retrier["MaxDelaySeconds"]) + state["TimeoutSeconds"]
    return total
