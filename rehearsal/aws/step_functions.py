"""Step Functions on ministack: its API and stores, our interpreter.

ministack creates machines and executions and answers Describe and List; `run` stands in for its
own walk through a definition. The API calls whose answers would differ from the service's (limits,
idempotent starts, paged history, calls that cannot be played) are answered here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.config import Config

from rehearsal.aws import limits
from rehearsal.aws.access import Access
from rehearsal.aws.asl_interpreter import (
    Clock,
    ExecutionAborted,
    ExecutionTimedOut,
    Interpreter,
    StateError,
)
from rehearsal.aws.emulator import Emulator
from rehearsal.aws.limits import LimitError
from rehearsal.aws.principals import Credentials, Principals
from rehearsal.aws.sdk_integration import SdkTasks

STATES_SERVICE = "states.amazonaws.com"

Response = tuple[int, dict[str, Any], Any]
Handler = Callable[..., Any]

_HISTORY_PAGE = 1000
_GIVE_MACHINE = ("CreateStateMachine", "UpdateStateMachine")
_NOT_PLAYED = ("StartSyncExecution", "TestState", "SendTaskSuccess", "SendTaskFailure")


@dataclass(frozen=True)
class ExecutionRecord:
    """One execution, for reports."""

    machine: str
    arn: str
    status: str
    error: str | None
    cause: str | None
    events: int
    input: str


class _History:
    """Appends events to an execution in ministack's store, numbered as the service numbers them."""

    def __init__(self, emulator: Emulator, execution: dict[str, Any]) -> None:
        self._emulator = emulator
        self._execution = execution
        self._lock = threading.Lock()

    def record(self, kind: str, details: Mapping[str, Any] | None = None) -> int:
        """Add an event, unless only the place of the last one is left."""
        with self._lock:
            limits.check_history(len(self._execution["events"]) + 1)
            return self._append(kind, details)

    def close(self, kind: str, details: Mapping[str, Any]) -> None:
        """Add the event that ends the history."""
        with self._lock:
            self._append(kind, details)

    def _append(self, kind: str, details: Mapping[str, Any] | None) -> int:
        previous = len(self._execution["events"])
        extra = {"previousEventId": previous, **(details or {})}
        self._emulator.stepfunctions._add_event(self._execution, kind, extra)
        return previous + 1


class StepFunctions:
    """Plays executions and keeps count of those that run."""

    def __init__(
        self,
        emulator: Emulator,
        principals: Principals,
        access: Access,
        *,
        client: Callable[[str, Config, Credentials], Any],
        wait_scale: float,
        report: Callable[[str], None],
    ) -> None:
        self._emulator = emulator
        self._principals = principals
        self._access = access
        self._client = client
        self._wait_scale = wait_scale
        self._report = report
        self._changed = threading.Condition()
        self._stops: dict[str, threading.Event] = {}
        self._threads: set[threading.Thread] = set()

    # --- playing ------------------------------------------------------------------------------

    def run(self, execution_arn: str) -> None:
        """Play one execution to its end; called by ministack on a thread of its own."""
        execution = self._emulator.stepfunctions._executions.get(execution_arn)
        if execution is None:
            return
        stop = self._stop_event(execution_arn)
        self._threads.add(threading.current_thread())
        try:
            self._play(execution, stop)
        finally:
            self._threads.discard(threading.current_thread())
            with self._changed:
                self._changed.notify_all()

    def _play(self, execution: dict[str, Any], stop: threading.Event) -> None:
        history = _History(self._emulator, execution)
        try:
            output = json.dumps(self._interpret(execution, history, stop))
        except ExecutionAborted:
            self._finish(execution, history, "ABORTED", {})
        except ExecutionTimedOut:
            self._finish(execution, history, "TIMED_OUT", {"error": "States.Timeout"})
        except StateError as error:
            self._finish(execution, history, "FAILED", {"error": error.error, "cause": error.cause})
        except LimitError as error:
            self._report(f"execution {execution['executionArn']}: {error}")
            self._finish(
                execution, history, "FAILED", {"error": "States.Runtime", "cause": str(error)}
            )
        except Exception as error:  # the thread must end the execution whatever happens
            self._report(f"execution {execution['executionArn']} cannot be played: {error!r}")
            self._finish(
                execution, history, "FAILED", {"error": "States.Runtime", "cause": repr(error)}
            )
        else:
            execution["output"] = output
            self._finish(execution, history, "SUCCEEDED", {"output": output})

    def _interpret(
        self, execution: dict[str, Any], history: _History, stop: threading.Event
    ) -> Any:
        machine = self._emulator.stepfunctions._state_machines[execution["stateMachineArn"]]
        payload = json.loads(execution["input"])
        limits.check_payload(payload, "the input of the execution")
        role = machine["roleArn"]
        credentials = self._role_credentials(role, machine["stateMachineArn"], execution["name"])

        def client(service: str, config: Config) -> Any:
            return self._client(service, config, credentials)

        tasks = SdkTasks(client, self._report)
        interpreter = Interpreter(
            json.loads(machine["definition"]),
            _context(machine, execution, payload),
            tasks=tasks,
            journal=history,
            clock=Clock(self._wait_scale, stop),
            report=lambda line: self._report(f"execution {execution['executionArn']}: {line}"),
            region=self._emulator.region,
        )
        with closing(tasks):
            return interpreter.run(payload)

    def _role_credentials(self, role: str, machine: str, execution_name: str) -> Credentials:
        try:
            self._assume(role, machine)
        except PermissionError as error:
            self._report(str(error))
            raise StateError(
                "States.Runtime", f"Unable to assume role '{role}'. {error}"
            ) from error
        return self._principals.session(role, execution_name[:64])

    def _assume(self, role: str, machine: str) -> None:
        source = {"aws:SourceAccount": self._emulator.account, "aws:SourceArn": machine}
        self._access.assume(role, STATES_SERVICE, source)

    def _finish(
        self,
        execution: dict[str, Any],
        history: _History,
        status: str,
        told: dict[str, str],
    ) -> None:
        if execution["status"] != "RUNNING":
            return  # StopExecution has already written the end
        kind = {"TIMED_OUT": "TimedOut"}.get(status, status.capitalize())
        history.close(f"Execution{kind}", {f"execution{kind}EventDetails": told})
        execution.update({name: told[name] for name in ("error", "cause") if name in told})
        execution["stopDate"] = self._emulator.responses.now_iso()
        execution["status"] = status

    def _stop_event(self, execution_arn: str) -> threading.Event:
        return self._stops.setdefault(execution_arn, threading.Event())

    # --- looking on ---------------------------------------------------------------------------

    def executions(self) -> list[ExecutionRecord]:
        """Return every execution so far, in the order of their start."""
        return [
            ExecutionRecord(
                machine=execution["executionArn"].split(":")[6],
                arn=execution["executionArn"],
                status=execution["status"],
                error=execution.get("error"),
                cause=execution.get("cause"),
                events=len(execution["events"]),
                input=execution["input"],
            )
            for execution in self._emulator.stepfunctions._executions.all_values()
        ]

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no execution runs; False when some still do after *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running(), timeout)

    def _running(self) -> list[dict[str, Any]]:
        executions = self._emulator.stepfunctions._executions.all_values()
        return [execution for execution in executions if execution["status"] == "RUNNING"]

    def shut_down(self) -> None:
        """Abort what still runs and wait for its threads."""
        for execution in self._running():
            self._stop_event(execution["executionArn"]).set()
        for thread in list(self._threads):
            thread.join(timeout=10)

    # --- the API ------------------------------------------------------------------------------

    def wrap(self, handler: Handler) -> Handler:
        """Return ministack's handler of `states` with our answers before its own."""

        async def handle(
            method: str, path: str, headers: dict[str, str], body: bytes, query: Any
        ) -> Response:
            action = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
            data: dict[str, Any] = {}
            with suppress(ValueError):
                data = json.loads(body or b"{}")
            answer = self._answer(action, data)
            if answer is not None:
                return answer
            response: Response = await handler(method, path, headers, body, query)
            if action in _GIVE_MACHINE and response[0] == 200:
                self._keep_tracing(data, json.loads(response[2]))
            if action == "StopExecution" and response[0] == 200:
                self._stop_event(data["executionArn"]).set()
                with self._changed:
                    self._changed.notify_all()
            return response

        return handle

    def _answer(self, action: str, data: dict[str, Any]) -> Response | None:
        if action in _NOT_PLAYED:
            self._report(f"states {action} is not played by the rehearsal")
            return self._error("ValidationException", f"{action} is not played by the rehearsal")
        if action == "GetExecutionHistory":
            return self._history(data)
        if action in _GIVE_MACHINE:
            return self._check_machine(data)
        if action == "StartExecution":
            return self._check_start(data)
        return None

    def _keep_tracing(self, data: dict[str, Any], answer: dict[str, Any]) -> None:
        """Let DescribeStateMachine tell whether a machine is traced; ministack forgets it."""
        arn = data.get("stateMachineArn") or answer["stateMachineArn"]
        machine = self._emulator.stepfunctions._state_machines[arn]
        before = machine.get("tracingConfiguration", {"enabled": False})
        machine["tracingConfiguration"] = data.get("tracingConfiguration", before)

    def _check_machine(self, data: dict[str, Any]) -> Response | None:
        try:
            if "name" in data:
                limits.check_name(data["name"], "state machine")
        except LimitError as error:
            return self._refused("InvalidName", f"Invalid Name: {error}")
        definition = data.get("definition")
        if definition is not None:
            try:
                limits.check_definition(definition)
                json.loads(definition)
            except LimitError as error:
                return self._refused(
                    "InvalidDefinition", f"Invalid State Machine Definition: {error}"
                )
            except ValueError as error:
                return self._refused(
                    "InvalidDefinition", f"Invalid State Machine Definition: not JSON, {error}"
                )
        if "roleArn" in data:
            name = f"arn:aws:states:{self._emulator.region}:{self._emulator.account}:stateMachine:"
            try:
                self._assume(
                    data["roleArn"], data.get("stateMachineArn", f"{name}{data.get('name')}")
                )
            except PermissionError as error:
                return self._refused(
                    "AccessDeniedException",
                    f"Neither the global service principal {STATES_SERVICE}, nor the regional one "
                    f"is authorized to assume the provided role. {error}",
                )
        return None

    def _check_start(self, data: dict[str, Any]) -> Response | None:
        try:
            if "name" in data:
                limits.check_name(data["name"], "execution")
        except LimitError as error:
            return self._refused("InvalidName", f"Invalid Name: {error}")
        try:
            limits.check_payload(json.loads(data.get("input", "{}")), "the input of the execution")
        except LimitError as error:
            return self._refused("InvalidExecutionInput", str(error))
        except ValueError as error:
            return self._refused(
                "InvalidExecutionInput", f"Invalid State Machine Execution Input: {error}"
            )
        return self._same_start(data)

    def _same_start(self, data: dict[str, Any]) -> Response | None:
        """Answer a repeated StartExecution: same name and input of a running execution."""
        machine = str(data.get("stateMachineArn", ""))
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{data.get('name')}"
        running = self._emulator.stepfunctions._executions.get(arn)
        if not running or running["status"] != "RUNNING" or "name" not in data:
            return None
        if running["input"] != data.get("input", "{}"):
            return None
        started = datetime.fromisoformat(running["startDate"].replace("Z", "+00:00")).timestamp()
        return self._json({"executionArn": arn, "startDate": started})

    def _history(self, data: dict[str, Any]) -> Response:
        execution = self._emulator.stepfunctions._executions.get(data.get("executionArn"))
        if execution is None:
            return self._error(
                "ExecutionDoesNotExist",
                f"Execution Does Not Exist: '{data.get('executionArn')}'",
            )
        events = list(execution["events"])
        if data.get("reverseOrder"):
            events.reverse()
        start = int(data.get("nextToken") or 0)
        # 0 stands for the default, and 1000 is the most: GetExecutionHistory API reference.
        size = min(int(data.get("maxResults") or 100), _HISTORY_PAGE)
        page: dict[str, Any] = {"events": events[start : start + size]}
        if start + size < len(events):
            page["nextToken"] = str(start + size)
        response: Response = self._emulator.stepfunctions._finalize_response(self._json(page))
        return response

    def _refused(self, code: str, message: str) -> Response:
        self._report(message)
        return self._error(code, message)

    def _error(self, code: str, message: str) -> Response:
        response: Response = self._emulator.responses.error_response_json(code, message, 400)
        return response

    def _json(self, data: Mapping[str, Any]) -> Response:
        response: Response = self._emulator.responses.json_response(data)
        return response


def _context(
    machine: Mapping[str, Any], execution: Mapping[str, Any], payload: Any
) -> dict[str, Any]:
    return {
        "Execution": {
            "Id": execution["executionArn"],
            "Input": payload,
            "Name": execution["name"],
            "RoleArn": machine["roleArn"],
            "StartTime": execution["startDate"],
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": machine["stateMachineArn"], "Name": machine["name"]},
    }
