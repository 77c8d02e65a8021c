"""The processes of Lambda functions: their environment, and how one is asked and ended.

A function finds what it finds in AWS: temporary credentials of its own role, its own variables, and
of Python packages only those in its archive plus the runtime's boto3. The host's settings, its
credentials and the packages of its virtual environment stay out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.aws.lambda_process import END_OF_LOG
from rehearsal.aws.principals import Credentials

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What the managed Python runtimes bring along."""

# Runs `lambda_process` with the runtime's packages last on the path: as in AWS, the function's
# own come first.
_LAUNCHER = """
import runpy, sys
sys.path.append(sys.argv.pop(1))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# The host's variables a process needs to run at all.
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE")

# What Lambda itself tells a process, as ministack writes it.
_SET_BY_LAMBDA = re.compile("AWS_(DEFAULT_)?REGION$|AWS_LAMBDA_|_LAMBDA_|LAMBDA_TASK_ROOT$")

# How ministack's Worker tells that a process did not become ready.
_INIT_FAILED, _EXITED = "Worker init failed: ", "Worker process exited immediately"

RoleCredentials = Callable[[str, str], Credentials]


class Processes:
    """Stands in for the `subprocess` module in ministack's Lambda runtime."""

    PIPE = subprocess.PIPE

    def __init__(
        self,
        *,
        role_of: Callable[[str], str],
        credentials: RoleCredentials,
        endpoint: str,
        extra: Mapping[str, str],
    ) -> None:
        self._role_of = role_of
        self._credentials = credentials
        self._endpoint = endpoint
        self._extra = extra
        self._started: set[subprocess.Popen[str]] = set()
        self._packages = tempfile.TemporaryDirectory(prefix="local-aws-runtime-")
        _link_packages(Path(self._packages.name))

    def close(self) -> None:
        """End every process started here and remove the runtime's packages."""
        for process in tuple(self._started):
            process.terminate()
        for process in tuple(self._started):
            self.end(process)
        self._packages.cleanup()

    def end(self, process: subprocess.Popen[str]) -> None:
        """End a process started here and close its pipes."""
        process.terminate()
        _reap(process)
        self._started.discard(process)

    def Popen(self, command: list[str], *, env: Mapping[str, str], **options: Any) -> Any:
        """Start a worker as `subprocess.Popen` does, in the function's environment."""
        binary, script = command
        if not script.endswith(".py"):
            raise RuntimeError(f"{script}: only Python functions can be played")
        isolated = [binary, "-I", "-S", "-c", _LAUNCHER, self._packages.name, script]
        options |= {"encoding": "utf-8", "errors": "replace"}
        process: subprocess.Popen[str] = subprocess.Popen(
            isolated, env=self._environment(env), **options
        )
        self._started.add(process)
        return process

    def _environment(self, proposed: Mapping[str, str]) -> dict[str, str]:
        arn = proposed["_LAMBDA_FUNCTION_ARN"]
        name = proposed["AWS_LAMBDA_FUNCTION_NAME"]
        credentials = self._credentials(self._role_of(arn), name)
        kept = {name: value for name, value in os.environ.items() if name in _KEPT}
        # The function's own variables follow over the worker's standard input.
        own = {name: value for name, value in proposed.items() if _SET_BY_LAMBDA.match(name)}
        return {
            **kept,
            **own,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.token,
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **self._extra,
        }


def _reap(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            # A worker that died early leaves unwritten input behind.
            with contextlib.suppress(OSError):
                pipe.close()


def _link_packages(directory: Path) -> None:
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"the package {name} of the Lambda runtime is not installed here")
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (directory / source.name).symlink_to(source)


@dataclass(frozen=True)
class Answer:
    """How an invocation ended: `ok`, `error`, `exit` (the process ended) or `timeout`.

    `body` is what the function returned or Lambda's JSON of its error, as it came; `log` what it
    printed.
    """

    status: str
    body: bytes
    log: str


class StartError(Exception):
    """A function's process cannot be started; `body` is Lambda's JSON of the error."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(str(body["errorMessage"]))
        self.body = body


class FunctionProcess:
    """One process of a function, started by ministack's Worker, for one invocation at a time."""

    def __init__(self, worker: Any, processes: Processes, revision: str) -> None:
        """Start the process; StartError where the handler cannot be had."""
        self.revision = revision
        self._worker = worker
        self._processes = processes
        try:
            worker._spawn()
        except Exception as error:
            self.close()
            raise StartError(_start_error(error)) from error
        self._process: subprocess.Popen[Any] = worker._proc
        self.is_usable = True

    def invoke(
        self, payload: bytes, request: Mapping[str, Any], timeout: float, crash_after: float | None
    ) -> Answer:
        """Have the handler work on *payload*; *request* has the `id` and the `arn` asked for.

        The process is killed after *timeout* seconds and, where *crash_after* is given, so many
        seconds after the handler began, at the latest when it ends: its answer is then lost.
        """
        header = {**request, "bytes": len(payload), "deadline": time.time() + timeout}
        answer = None
        with self._killed_after(timeout) as timed_out:
            if self._send(json.dumps(header).encode() + b"\n" + payload) and self._receive():
                if crash_after is None:
                    answer = self._receive()
                else:
                    with self._killed_after(crash_after):
                        self._receive()
                    self._process.kill()
        self.is_usable = answer is not None and not timed_out.is_set()
        if answer is not None:
            return Answer(*answer, self._log(request["id"]))
        if timed_out.is_set():
            text, status = f"Task timed out after {timeout:.2f} seconds", "timeout"
            body = {"errorType": "Sandbox.Timedout"}
        else:
            text, status = _how_it_ended(self._process.wait()), "exit"
            body = {"errorType": "Runtime.ExitError"}
        body["errorMessage"] = f"RequestId: {request['id']} Error: {text}"
        log = f"{self._log(None)}\n{body['errorMessage']}"
        return Answer(status, json.dumps(body).encode(), log)

    def close(self) -> None:
        """End the process and remove its files."""
        self.is_usable = False
        process, reader = self._worker._proc, self._worker._stderr_thread
        if process is not None:
            process.kill()
            process.wait()
            if reader is not None:
                reader.join(timeout=1)
            self._processes.end(process)
        self._worker.kill()

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[threading.Event]:
        killed = threading.Event()

        def kill() -> None:
            killed.set()
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.name = f"{self._worker.func_name}-deadline"
        timer.daemon = True
        timer.start()
        try:
            yield killed
        finally:
            timer.cancel()
            timer.join()

    def _send(self, data: bytes) -> bool:
        """Write to the process; False where it has ended."""
        pipe = self._process.stdin
        try:
            pipe.buffer.write(data)  # type: ignore[union-attr]  # opened as text, by ministack
            pipe.buffer.flush()  # type: ignore[union-attr]
        except OSError:
            return False
        return True

    def _receive(self) -> tuple[str, bytes] | None:
        """Read the next answer; None where the process has ended."""
        pipe = self._process.stdout.buffer  # type: ignore[union-attr]
        header = pipe.readline()
        if not header.endswith(b"\n"):
            return None
        told = json.loads(header)
        body = pipe.read(told["bytes"])
        return (told["status"], body) if len(body) == told["bytes"] else None

    def _log(self, request_id: str | None) -> str:
        """Return what was printed, up to the end of that request or of the process."""
        lines, end = [], f"{END_OF_LOG} {request_id}"
        if request_id is None:
            self._worker._stderr_thread.join(timeout=1)
        with contextlib.suppress(queue.Empty):
            while True:
                line = self._worker._stderr_queue.get(timeout=1 if request_id else 0.001)
                if line.endswith(end):
                    lines.append(line.removesuffix(end))
                    break
                lines.append(line)
        return "\n".join(lines)


def _how_it_ended(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    text = signal.strsignal(-code) or str(-code)
    return f"Runtime exited with error: signal: {text.lower()}"


def _start_error(error: Exception) -> dict[str, Any]:
    """Return Lambda's JSON of an error before the first request."""
    text = str(error)
    if text.startswith(_INIT_FAILED):
        return dict(json.loads(text.removeprefix(_INIT_FAILED)))
    kind = "Runtime.ExitError" if text.startswith(_EXITED) else type(error).__name__
    return {"errorMessage": text, "errorType": kind}
