"""An interpreter of Amazon States Language machines written in JSONata.

It knows nothing of the emulator: tasks, history and time come in through the protocols below.
Rules: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html (errors,
retries, catches) and https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
(Assign and Output see the same variables; a branch reads the outer ones and writes its own).
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from rehearsal.aws import asl_definition, limits
from rehearsal.aws.asl_jsonata import QueryError, evaluate, is_expression
from rehearsal.aws.limits import LimitError

INLINE_MAP_CONCURRENCY = 40
"""Iterations of an inline Map that run at once when MaxConcurrency does not say less."""

_MAX_DELAY_SECONDS = 31_622_400


class StateError(Exception):
    """A state failed with an error name and a cause, as in `$states.errorOutput`."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class ExecutionTimedOut(Exception):
    """The machine's TimeoutSeconds have passed."""


class ExecutionAborted(Exception):
    """The execution was stopped from outside."""


class Tasks(Protocol):
    """Runs the work of Task states."""

    def run(self, resource: str, arguments: Any, timeout: float | None) -> Any:
        """Do *resource* with *arguments* and return its result, or raise StateError."""


class Journal(Protocol):
    """Keeps the execution's history."""

    def record(self, kind: str, details: Mapping[str, Any] | None = None) -> int:
        """Add an event of AWS's type *kind* and return its id; LimitError when full."""


class Clock:
    """The time an execution lives in.

    Waits are played *scale* times shorter and the machine is told that they took their full length:
    `$now()`, timestamps and TimeoutSeconds all follow this clock, so a machine that polls for eight
    hours does as many rounds here as there.
    """

    def __init__(self, scale: float, stop: threading.Event, skipped: float = 0.0) -> None:
        self._scale = scale
        self._stop = stop
        self._skipped = skipped
        self._deadline: datetime | None = None

    def now(self) -> datetime:
        """Return the execution's present, in UTC."""
        return datetime.fromtimestamp(time.time() + self._skipped, timezone.utc)

    def set_deadline(self, seconds: float) -> None:
        """End the execution's time *seconds* from now."""
        self._deadline = self.now() + timedelta(seconds=seconds)

    def check(self) -> None:
        """Raise when the execution was stopped or is out of time."""
        if self._stop.is_set():
            raise ExecutionAborted
        if self._deadline is not None and self.now() >= self._deadline:
            raise ExecutionTimedOut

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass for the execution, or as many as it has left."""
        seconds = max(seconds, 0.0)
        if self._deadline is not None:
            seconds = min(seconds, max((self._deadline - self.now()).total_seconds(), 0.0))
        real = seconds * self._scale
        self._stop.wait(real)
        self._skipped += seconds - real
        self.check()

    def branch(self) -> Clock:
        """Return a clock for one of several branches that run side by side."""
        clock = Clock(self._scale, self._stop, self._skipped)
        clock._deadline = self._deadline
        return clock

    def join(self, branches: list[Clock]) -> None:
        """Move on to where the slowest of *branches* is."""
        self._skipped = max([self._skipped, *(branch._skipped for branch in branches)])


def instant(moment: datetime) -> str:
    """Write *moment* (UTC) as the service does: ISO 8601, with milliseconds when there are any."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    millis = moment.microsecond // 1000
    return f"{text}.{millis:03d}Z" if millis else f"{text}Z"


def error_matches(names: list[str], error: str) -> bool:
    """Tell whether a Retry or Catch that lists *names* takes *error*.

    States.Runtime is never handled; States.DataLimitExceeded only by its own name;
    States.TaskFailed stands for everything but States.Timeout.
    """
    if error == "States.Runtime":
        return False
    if error in names:
        return True
    if error == "States.DataLimitExceeded":
        return False
    return "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")


def retry_delay(retrier: Mapping[str, Any], attempt: int) -> float:
    """Return the seconds before retry number *attempt* (from 0), jitter included."""
    delay = float(retrier.get("IntervalSeconds", 1)) * (
        float(retrier.get("BackoffRate", 2.0)) ** attempt
    )
    delay = min(delay, float(retrier.get("MaxDelaySeconds", _MAX_DELAY_SECONDS)))
    if retrier.get("JitterStrategy", "NONE") == "FULL":
        return random.uniform(0, delay)  # noqa: S311 - spreads load, hides nothing
    return delay


@dataclass
class _Scope:
    """A machine, branch or iteration that is running: its states, variables and time."""

    states: Mapping[str, Any]
    variables: MutableMapping[str, Any]
    clock: Clock
    context: Mapping[str, Any]
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Visit:
    """One visit of a state: what its expressions may see."""

    name: str
    state: Mapping[str, Any]
    scope: _Scope
    input: Any
    entered: str
    event: int
    retries: int = 0

    def bindings(self, **extra: Any) -> dict[str, Any]:
        """Return the variables and `$states`, with *extra* (`result` or `errorOutput`) in it."""
        context = {
            **self.scope.context,
            "State": {
                "Name": self.name,
                "EnteredTime": self.entered,
                "RetryCount": self.retries,
            },
        }
        states = {"input": self.input, "context": context, **extra}
        return {**self.scope.variables, "states": states}


class Interpreter:
    """Plays one execution of a machine."""

    def __init__(
        self,
        definition: Any,
        context: Mapping[str, Any],
        *,
        tasks: Tasks,
        journal: Journal,
        clock: Clock,
        report: Callable[[str], None],
        region: str = "us-east-1",
    ) -> None:
        self._definition = definition
        self._context = context
        self._tasks = tasks
        self._journal = journal
        self._clock = clock
        self._report = report
        self._region = region

    def run(self, payload: Any) -> Any:
        """Play the machine from its first state and return its output."""
        faults = asl_definition.faults(self._definition)
        if faults:
            raise StateError("States.Runtime", "; ".join(faults))
        timeout = self._definition.get("TimeoutSeconds")
        if timeout is not None:
            self._clock.set_deadline(timeout)
        scope = _Scope(self._definition["States"], {}, self._clock, self._context)
        return self._walk(self._definition["StartAt"], scope, payload)

    def _walk(self, start: str, scope: _Scope, payload: Any) -> Any:
        following: str | None = start
        while following is not None:
            if scope.cancelled.is_set():
                raise ExecutionAborted
            scope.clock.check()
            payload, following = self._visit(following, scope, payload)
        return payload

    def _visit(self, name: str, scope: _Scope, payload: Any) -> tuple[Any, str | None]:
        state = scope.states[name]
        kind = state["Type"]
        event = self._journal.record(
            f"{kind}StateEntered",
            {"stateEnteredEventDetails": {"name": name, "input": json.dumps(payload)}},
        )
        visit = _Visit(name, state, scope, payload, instant(scope.clock.now()), event)
        play = {
            "Pass": self._pass,
            "Task": self._with_handlers(self._task),
            "Choice": self._choice,
            "Wait": self._wait,
            "Succeed": self._pass,
            "Fail": self._fail,
            "Parallel": self._with_handlers(self._parallel),
            "Map": self._with_handlers(self._map),
        }[kind]
        return play(visit)

    # --- states -----------------------------------------------------------------------------

    def _pass(self, visit: _Visit) -> tuple[Any, str | None]:
        return self._exit(visit, visit.state, visit.input), visit.state.get("Next")

    def _choice(self, visit: _Visit) -> tuple[Any, str | None]:
        for index, rule in enumerate(visit.state["Choices"]):
            if self._condition(visit, rule["Condition"], f"Choices[{index}]/Condition"):
                return self._exit(visit, rule, visit.input), rule["Next"]
        default = visit.state.get("Default")
        if default is None:
            raise StateError("States.NoChoiceMatched", _cause(visit, "No choice rule matched."))
        return self._exit(visit, visit.state, visit.input), default

    def _condition(self, visit: _Visit, condition: Any, where: str) -> bool:
        answer = self._evaluate(visit, condition, where)
        if not isinstance(answer, bool):
            raise self._evaluation_failed(
                visit, where, f"The field '{where}' is not a boolean: {json.dumps(answer)}"
            )
        return answer

    def _wait(self, visit: _Visit) -> tuple[Any, str | None]:
        visit.scope.clock.sleep(self._wait_seconds(visit))
        return self._exit(visit, visit.state, visit.input), visit.state.get("Next")

    def _wait_seconds(self, visit: _Visit) -> float:
        if "Seconds" in visit.state:
            return self._seconds(visit, "Seconds")
        text = self._evaluate(visit, visit.state["Timestamp"], "Timestamp")
        try:
            if not isinstance(text, str) or "T" not in text:
                raise ValueError(text)
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            return (moment - visit.scope.clock.now()).total_seconds()
        except (TypeError, ValueError) as error:
            raise self._evaluation_failed(
                visit, "Timestamp", f"'{text}' is no RFC 3339 instant (2026-11-20T03:00:00Z)"
            ) from error

    def _seconds(self, visit: _Visit, name: str) -> float:
        value = self._evaluate(visit, visit.state[name], name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 99_999_999:
            raise self._evaluation_failed(
                visit, name, f"The field '{name}' is no whole number of seconds: {value!r}"
            )
        return float(value)

    def _fail(self, visit: _Visit) -> tuple[Any, str | None]:
        words = []
        for name in ("Error", "Cause"):
            word = self._evaluate(visit, visit.state.get(name, ""), name)
            if not isinstance(word, str):
                raise self._evaluation_failed(visit, name, f"The field '{name}' is not a string")
            words.append(word)
        raise StateError(*words)

    def _task(self, visit: _Visit) -> Any:
        resource = visit.state["Resource"]
        arguments = self._evaluate(visit, visit.state.get("Arguments", {}), "Arguments")
        self._check_payload(visit, arguments, "Arguments")
        timeout = self._seconds(visit, "TimeoutSeconds") if _has(visit, "TimeoutSeconds") else None
        labels = _task_labels(resource)
        scheduled: dict[str, Any] = {
            **labels,
            "region": self._region,
            "parameters": json.dumps(arguments),
        }
        if timeout is not None:
            scheduled["timeoutInSeconds"] = int(timeout)
        self._journal.record("TaskScheduled", {"taskScheduledEventDetails": scheduled})
        self._journal.record("TaskStarted", {"taskStartedEventDetails": labels})
        try:
            result = self._tasks.run(resource, arguments, timeout)
            self._check_payload(visit, result, "result")
        except StateError as error:
            outcome = "TimedOut" if error.error == "States.Timeout" else "Failed"
            details = {**labels, "error": error.error, "cause": error.cause}
            self._journal.record(f"Task{outcome}", {f"task{outcome}EventDetails": details})
            raise
        succeeded = {**labels, "output": json.dumps(result)}
        self._journal.record("TaskSucceeded", {"taskSucceededEventDetails": succeeded})
        return result

    def _parallel(self, visit: _Visit) -> Any:
        payload = visit.input
        if "Arguments" in visit.state:
            payload = self._evaluate(visit, visit.state["Arguments"], "Arguments")
        jobs = [(branch, payload, visit.scope.context) for branch in visit.state["Branches"]]
        return self._side_by_side(visit, jobs, len(jobs), "Parallel")

    def _map(self, visit: _Visit) -> Any:
        items = visit.input
        if "Items" in visit.state:
            items = self._evaluate(visit, visit.state["Items"], "Items")
        if not isinstance(items, list):
            raise self._evaluation_failed(visit, "Items", "The field 'Items' is not an array")
        at_once = INLINE_MAP_CONCURRENCY
        if "MaxConcurrency" in visit.state:
            at_once = int(self._seconds(visit, "MaxConcurrency")) or at_once
        jobs = [self._iteration(visit, index, item) for index, item in enumerate(items)]
        return self._side_by_side(visit, jobs, min(at_once, INLINE_MAP_CONCURRENCY), "Map")

    def _iteration(
        self, visit: _Visit, index: int, item: Any
    ) -> tuple[Mapping[str, Any], Any, Mapping[str, Any]]:
        context = {**visit.scope.context, "Map": {"Item": {"Index": index, "Value": item}}}
        payload = item
        if "ItemSelector" in visit.state:
            inner = _Scope(visit.scope.states, visit.scope.variables, visit.scope.clock, context)
            of_item = _Visit(
                visit.name, visit.state, inner, visit.input, visit.entered, visit.event
            )
            payload = self._evaluate(of_item, visit.state["ItemSelector"], "ItemSelector")
        return visit.state["ItemProcessor"], payload, context

    def _side_by_side(
        self,
        visit: _Visit,
        jobs: list[tuple[Mapping[str, Any], Any, Mapping[str, Any]]],
        at_once: int,
        kind: str,
    ) -> list[Any]:
        details = {"mapStateStartedEventDetails": {"length": len(jobs)}} if kind == "Map" else None
        self._journal.record(f"{kind}StateStarted", details)
        cancelled = threading.Event()
        scopes = [
            _Scope(
                machine["States"],
                ChainMap({}, visit.scope.variables),
                visit.scope.clock.branch(),
                context,
                cancelled,
            )
            for machine, _, context in jobs
        ]

        def play(index: int) -> Any:
            machine, payload, _ = jobs[index]
            try:
                return self._walk(machine["StartAt"], scopes[index], payload)
            except BaseException:
                cancelled.set()
                raise

        with ThreadPoolExecutor(max(at_once, 1)) as pool:
            futures = [pool.submit(copy_context().run, play, index) for index in range(len(jobs))]
        visit.scope.clock.join([scope.clock for scope in scopes])
        failures = [error for future in futures if (error := future.exception())]
        for failure in sorted(failures, key=lambda error: isinstance(error, ExecutionAborted)):
            self._journal.record(f"{kind}StateFailed")
            raise failure
        self._journal.record(f"{kind}StateSucceeded")
        return [future.result() for future in futures]

    # --- errors -----------------------------------------------------------------------------

    def _with_handlers(
        self, work: Callable[[_Visit], Any]
    ) -> Callable[[_Visit], tuple[Any, str | None]]:
        def play(visit: _Visit) -> tuple[Any, str | None]:
            attempts: dict[int, int] = {}
            while True:
                visit.scope.clock.check()
                try:
                    result = work(visit)
                    output = self._exit(visit, visit.state, result, result=result)
                    return output, visit.state.get("Next")
                except StateError as error:
                    if not self._retried(visit, error, attempts):
                        return self._caught(visit, error)

        return play

    def _retried(self, visit: _Visit, error: StateError, attempts: dict[int, int]) -> bool:
        for index, retrier in enumerate(visit.state.get("Retry", ())):
            if error_matches(retrier["ErrorEquals"], error.error):
                attempt = attempts.get(index, 0)
                if attempt >= retrier.get("MaxAttempts", 3):
                    return False
                attempts[index] = attempt + 1
                visit.retries += 1
                visit.scope.clock.sleep(retry_delay(retrier, attempt))
                return True
        return False

    def _caught(self, visit: _Visit, error: StateError) -> tuple[Any, str | None]:
        for index, catcher in enumerate(visit.state.get("Catch", ())):
            if error_matches(catcher["ErrorEquals"], error.error):
                told = {"Error": error.error, "Cause": error.cause}
                output = self._exit(
                    visit, catcher, told, prefix=f"Catch[{index}]/", errorOutput=told
                )
                return output, catcher["Next"]
        raise error

    # --- data -------------------------------------------------------------------------------

    def _exit(
        self,
        visit: _Visit,
        part: Mapping[str, Any],
        default: Any,
        prefix: str = "",
        **extra: Any,
    ) -> Any:
        """Compute Output and Assign of *part*, write the exit event, return the output."""
        output = default
        if "Output" in part:
            output = self._evaluate(visit, part["Output"], f"{prefix}Output", **extra)
        assigned: dict[str, Any] = {}
        if "Assign" in part:
            assigned = self._evaluate(visit, part["Assign"], f"{prefix}Assign", **extra)
        self._check_payload(visit, output, "output")
        self._assign(visit, assigned)
        details: dict[str, Any] = {"name": visit.name, "output": json.dumps(output)}
        if assigned:
            details["assignedVariables"] = {
                name: json.dumps(value) for name, value in assigned.items()
            }
        self._journal.record(
            f"{visit.state['Type']}StateExited", {"stateExitedEventDetails": details}
        )
        return output

    def _assign(self, visit: _Visit, assigned: Mapping[str, Any]) -> None:
        if "states" in assigned:
            raise StateError("States.Runtime", _cause(visit, "Assign may not set 'states'."))
        for name, value in assigned.items():
            self._check_payload(visit, value, f"variable '{name}'")
        self._check_payload(visit, dict(assigned), "Assign")
        visit.scope.variables.update(assigned)
        try:
            limits.check_variables(visit.scope.variables)
        except LimitError as error:
            raise self._too_large(visit, error) from error

    def _check_payload(self, visit: _Visit, value: Any, what: str) -> None:
        try:
            limits.check_payload(value, f"the {what} of state '{visit.name}'")
        except LimitError as error:
            raise self._too_large(visit, error) from error

    def _too_large(self, visit: _Visit, error: LimitError) -> StateError:
        self._report(f"States.DataLimitExceeded: {error}")
        return StateError(
            "States.DataLimitExceeded",
            f"The state/task '{visit.name}' returned a result with a size exceeding the maximum "
            f"number of bytes service limit. ({error})",
        )

    def _evaluate(self, visit: _Visit, template: Any, where: str, **extra: Any) -> Any:
        if not isinstance(template, dict | list) and not is_expression(template):
            return template
        millis = int(visit.scope.clock.now().timestamp() * 1000)
        try:
            return evaluate(template, visit.bindings(**extra), where, millis)
        except QueryError as error:
            raise self._evaluation_failed(visit, where, str(error)) from error

    def _evaluation_failed(self, visit: _Visit, where: str, message: str) -> StateError:
        error = StateError("States.QueryEvaluationError", _cause(visit, message))
        details = {
            "error": error.error,
            "cause": error.cause,
            "location": where,
            "state": visit.name,
        }
        self._journal.record("EvaluationFailed", {"evaluationFailedEventDetails": details})
        return error


def _has(visit: _Visit, name: str) -> bool:
    return name in visit.state


def _cause(visit: _Visit, message: str) -> str:
    return (
        f"An error occurred while executing the state '{visit.name}' "
        f"(entered at the event id #{visit.event}). {message}"
    )


def _task_labels(resource: str) -> dict[str, str]:
    """Return the history's resourceType and resource of a task's ARN."""
    parts = resource.split(":")
    if parts[5:6] == ["aws-sdk"] and len(parts) > 7:
        return {"resourceType": f"aws-sdk:{parts[6]}", "resource": parts[7]}
    return {"resourceType": parts[5] if len(parts) > 5 else "", "resource": ":".join(parts[6:])}
