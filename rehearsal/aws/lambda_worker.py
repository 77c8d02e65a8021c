"""The environment of a Lambda function's process.

A function finds what it finds in AWS: temporary credentials of its own role, its own variables, and
of Python packages only those in its archive plus the runtime's boto3. The host's settings, its
credentials and the packages of its virtual environment stay out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rehearsal.aws.principals import Credentials

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What the managed Python runtimes bring along."""

# Runs ministack's worker script with the runtime's packages last on the path, as in AWS, where the
# function's own come first.
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

# The worker names the exception's class beside its text; AWS reports it as errorType.
SCRIPT_ERROR = '"error": str(e), "trace": traceback.format_exc()'
SCRIPT_ERROR_WITH_TYPE = (
    '"error": str(e), "type": type(e).__name__, "trace": traceback.format_exc()'
)

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
        self._started: list[subprocess.Popen[str]] = []
        self._packages = tempfile.TemporaryDirectory(prefix="local-aws-runtime-")
        _link_packages(Path(self._packages.name))

    def close(self) -> None:
        """End every process started here and remove the runtime's packages."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            _reap(process)
        self._started.clear()
        self._packages.cleanup()

    def Popen(self, command: list[str], *, env: Mapping[str, str], **options: Any) -> Any:
        """Start a worker as `subprocess.Popen` does, in the function's environment."""
        binary, script = command
        if not script.endswith(".py"):
            raise RuntimeError(f"{script}: only Python functions can be played")
        isolated = [binary, "-I", "-S", "-c", _LAUNCHER, self._packages.name, script]
        process: subprocess.Popen[str] = subprocess.Popen(
            isolated, env=self._environment(env), **options
        )
        self._started.append(process)
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


class LastError(threading.local):
    """The last failure of a worker on this thread, as the worker told it."""

    response: Mapping[str, Any] | None = None


def with_aws_answer(execute: Callable[..., Any], last_error: LastError) -> Callable[..., Any]:
    """Wrap ministack's warm execution so that the answer's body is what AWS returns.

    ministack calls every error Runtime.HandlerError (`remember_error` keeps what the worker told)
    and sends text that a function returns without the quotes of JSON.
    """

    def wrapped(function: Any, event: Any) -> Any:
        last_error.response = None
        result = execute(function, event)
        told = last_error.response
        if isinstance(result, dict) and result.get("error") and told:
            result["body"] = _error_body(told)
        elif isinstance(result, dict) and isinstance(result.get("body"), str):
            result["body"] = json.dumps(result["body"])
        return result

    return wrapped


def remember_error(
    invoke: Callable[..., Any], last_error: LastError
) -> Callable[..., dict[str, Any]]:
    """Wrap `Worker.invoke` so that `with_aws_answer` learns of the worker's own answer."""

    def wrapped(worker: Any, event: Any, request_id: str) -> dict[str, Any]:
        response: dict[str, Any] = invoke(worker, event, request_id)
        if response.get("status") == "error":
            last_error.response = {**response, "requestId": request_id}
        return response

    return wrapped


def _error_body(told: Mapping[str, Any]) -> dict[str, Any]:
    message = str(told.get("error", ""))
    if "timed out after" in message:
        return {"errorMessage": f"{told['requestId']} {message}", "errorType": "Sandbox.Timedout"}
    if "type" not in told:
        return {"errorMessage": message, "errorType": "Runtime.ExitError"}
    trace = str(told.get("trace", "")).splitlines()[1:-1]
    return {
        "errorMessage": message,
        "errorType": told["type"],
        "requestId": told["requestId"],
        "stackTrace": [f"{line}\n" for line in trace],
    }
