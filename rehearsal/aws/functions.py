"""Invocations of Lambda functions, whoever asks: the API, an event source mapping, Firehose.

ministack has one process per function. Here a function has as many as it has invocations at a time,
each in Lambda's environment (`lambda_worker`), up to its reserved concurrency and to what one
machine bears. A process serves the code, the configuration and the layers it was started with; an
update of the function is for the next one. Sources: Lambda developer guide, "Understanding Lambda
function scaling", "Lambda quotas" and "Troubleshoot invocation issues in Lambda"; Invoke API
reference. What it does not rehearse: provisioned concurrency, burst limits, memory limits and the
ten seconds of the init phase.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.aws import lambda_process
from rehearsal.aws.emulator import Emulator
from rehearsal.aws.lambda_worker import Answer, FunctionProcess, Processes, StartError
from rehearsal.aws.limits import LAMBDA_PAYLOAD_BYTES
from rehearsal.aws.seams import Seams

PROCESSES = 10
"""Processes of one function at a time; more invocations than that wait for one another."""

UNHANDLED = "Unhandled"
"""What Lambda's FunctionError says of every error of a function."""

TOO_LARGE = (
    f"Request must be smaller than {LAMBDA_PAYLOAD_BYTES} bytes for the InvokeFunction operation"
)

# How long an invocation is taken to last before one has ended.
_FIRST_SECONDS = 0.1

_RESPONSE_TOO_LARGE = json.dumps(
    {
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        f"({LAMBDA_PAYLOAD_BYTES} bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
).encode()


class ThrottledError(Exception):
    """All concurrent executions of a function are taken: TooManyRequestsException."""


class PayloadTooLarge(Exception):
    """A request is over 6 MB: RequestEntityTooLargeException."""


@dataclass(frozen=True)
class Invocation:
    """What Lambda answers: the function's JSON, or `error` and a JSON that describes it."""

    payload: bytes
    error: str | None = None
    request_id: str = ""
    version: str = "$LATEST"


@dataclass
class _Pool:
    """The processes of one version of a function that wait, and how long invocations take."""

    revision: str
    idle: list[FunctionProcess] = field(default_factory=list)
    seconds: float = _FIRST_SECONDS

    def renew(self, revision: str) -> list[FunctionProcess]:
        """Return the processes of another revision than this one, and forget them."""
        if revision == self.revision:
            return []
        outdated, self.idle, self.revision = self.idle, [], revision
        return outdated


class Functions:
    """Invokes functions of the local Lambda; `install` makes its API do so, too."""

    def __init__(self, emulator: Emulator, processes: Processes) -> None:
        self._emulator = emulator
        self._lambda = emulator.lambda_svc
        self._processes = processes
        self._pools: dict[str, _Pool] = {}
        self._busy: set[FunctionProcess] = set()
        self._running: Counter[str] = Counter()
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()
        self._layers: dict[str, bytes] = {}
        self._closed = False

    def install(self, seams: Seams) -> None:
        """Put the processes of functions in place of ministack's."""
        runtime, lambda_svc = self._emulator.lambda_runtime, self._lambda
        script = Path(lambda_process.__file__).read_text(encoding="utf-8")
        seams.replace(runtime, "subprocess", self._processes)
        seams.replace(runtime, "_PYTHON_WORKER_SCRIPT", script)
        seams.replace(lambda_svc, "_execute_function_warm", self._execute)
        seams.replace(lambda_svc, "invalidate_worker", self._invalidate)
        self._keep_layers(seams)

    def close(self) -> None:
        """End every process of a function; what runs fails."""
        with self._lock:
            self._closed = True
            idle = [each for pool in self._pools.values() for each in pool.idle]
            processes = [*self._busy, *idle]
            self._pools.clear()
        for process in processes:
            process.close()

    def invoke(self, arn: str, payload: bytes, *, crash: bool = False) -> Invocation:
        """Run the function *arn* (a qualifier may follow) on *payload* and wait for its end.

        LookupError when there is no such function, ThrottledError when its reserved concurrency
        is taken, PayloadTooLarge for a request over 6 MB. A response over 6 MB is an error of the
        function, as in Lambda. With *crash* the process is killed about halfway.
        """
        with self._emulator.scope():
            record, _, name = self._lambda._get_func_record_for_ref(arn)
            if record is None:
                raise LookupError(f"Function not found: {arn}")
            if len(payload) > LAMBDA_PAYLOAD_BYTES:
                raise PayloadTooLarge(TOO_LARGE)
            started = time.monotonic()
            try:
                invocation, log = self._run(record, payload, crash)
            except ThrottledError:
                self._lambda._emit_lambda_metrics(name, 0.0, error=False, throttle=True)
                raise
            milliseconds = (time.monotonic() - started) * 1000
            failed = invocation.error is not None
            self._lambda._emit_lambda_metrics(name, milliseconds, error=failed, throttle=False)
            self._lambda._emit_lambda_logs(
                record, invocation.request_id, log, failed, int(milliseconds)
            )
            return invocation

    def running(self, name: str) -> int:
        """Return how many invocations of the function *name* there are now."""
        with self._lock:
            return self._running[name]

    def _execute(self, function: Mapping[str, Any], event: Any) -> dict[str, Any]:
        """Stand in for ministack's `_execute_function_warm`: all that it invokes comes here."""
        payload = json.dumps(event, ensure_ascii=False).encode()
        try:
            invocation, log = self._run(function, payload, crash=False)
        except ThrottledError as error:
            reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
            throttled: dict[str, Any] = self._lambda._throttle_response(reason, str(error))
            return throttled
        body = json.loads(invocation.payload)
        if isinstance(body, str):  # ministack would send it without the quotes of JSON
            body = json.dumps(body)
        return {"body": body, "log": log, **({"error": True} if invocation.error else {})}

    # --- running ----------------------------------------------------------------------------

    def _run(
        self, record: Mapping[str, Any], payload: bytes, crash: bool
    ) -> tuple[Invocation, str]:
        """Return the invocation of a function's version, and its log."""
        config, request_id = record["config"], self._emulator.responses.new_uuid()
        with self._admitted(config["FunctionName"]):
            try:
                process, pool = self._take(record)
            except StartError as error:
                body = json.dumps({**error.body, "requestId": request_id}).encode()
                answer = Answer("error", body, str(error))
            else:
                request = {"id": request_id, "arn": config["FunctionArn"]}
                answer = self._ask(process, pool, payload, request, config["Timeout"], crash)
        if answer.status == "ok" and len(answer.body) > LAMBDA_PAYLOAD_BYTES:
            answer = Answer("error", _RESPONSE_TOO_LARGE, answer.log)
        error_of = None if answer.status == "ok" else UNHANDLED
        return Invocation(answer.body, error_of, request_id, config["Version"]), answer.log

    @contextlib.contextmanager
    def _admitted(self, name: str) -> Iterator[None]:
        """Count an invocation, and wait for a process that it may have."""
        with self._lock:
            reserved = self._lambda._functions[name].get("concurrency")
            if reserved is not None and self._running[name] >= reserved:
                raise ThrottledError("Rate Exceeded.")
            self._running[name] += 1
            slots = self._slots.setdefault(name, threading.BoundedSemaphore(PROCESSES))
        try:
            with slots:
                yield
        finally:
            with self._lock:
                self._running[name] -= 1

    def _take(self, record: Mapping[str, Any]) -> tuple[FunctionProcess, _Pool]:
        """Return a process that waits, or a new one; StartError where none can be had."""
        config = record["config"]
        key, revision = f"{config['FunctionArn']}:{config['Version']}", config["RevisionId"]
        with self._lock:
            if self._closed:
                raise StartError({"errorMessage": "the local AWS stops", "errorType": "Stopped"})
            pool = self._pools.setdefault(key, _Pool(revision))
            outdated = pool.renew(revision)
            process = pool.idle.pop() if pool.idle else None
            if process is not None:
                self._busy.add(process)
        for each in outdated:
            each.close()
        return process or self._started(record), pool

    def _started(self, record: Mapping[str, Any]) -> FunctionProcess:
        # An update changes the configuration in place; this process keeps what it was started with.
        config = copy.deepcopy(record["config"])
        worker = self._emulator.lambda_runtime.Worker(
            config["FunctionName"], config, record["code_zip"]
        )
        process = FunctionProcess(worker, self._processes, config["RevisionId"])
        with self._lock:
            self._busy.add(process)
        return process

    def _ask(
        self,
        process: FunctionProcess,
        pool: _Pool,
        payload: bytes,
        request: Mapping[str, Any],
        timeout: float,
        crash: bool,
    ) -> Answer:
        started = time.monotonic()
        try:
            answer = process.invoke(payload, request, timeout, pool.seconds / 2 if crash else None)
        finally:
            self._give_back(process, pool)
        if answer.status == "ok":
            # What the next crash is halfway of: the latest count most.
            pool.seconds = (pool.seconds + time.monotonic() - started) / 2
        return answer

    def _give_back(self, process: FunctionProcess, pool: _Pool) -> None:
        with self._lock:
            self._busy.discard(process)
            keep = process.is_usable and process.revision == pool.revision and not self._closed
            if keep:
                pool.idle.append(process)
        if not keep:
            process.close()

    def _invalidate(self, name: str, *_: Any, **__: Any) -> None:
        """Stand in for ministack's `invalidate_worker`: end what waits of a changed function."""
        with self._lock:
            waiting = []
            for key, pool in self._pools.items():
                if key.split(":")[6] == name:
                    waiting += pool.idle
                    pool.idle = []
        for process in waiting:
            process.close()

    # --- layers -----------------------------------------------------------------------------

    def _keep_layers(self, seams: Seams) -> None:
        """Keep deleted layer versions for the functions that have them, as Lambda does.

        Lambda developer guide, "Deleting a Lambda layer version".
        """
        resolve, delete = self._lambda._resolve_layer_zip, self._lambda._delete_layer_version

        def found(arn: str) -> Any:
            content = resolve(arn)
            return self._layers.get(arn) if content is None else content

        def deleted(name: str, version: int) -> Any:
            arn = f"{self._lambda._layer_arn(name)}:{version}"
            self._layers[arn] = found(arn)
            return delete(name, version)

        seams.replace(self._lambda, "_resolve_layer_zip", found)
        seams.replace(self._lambda, "_delete_layer_version", deleted)
