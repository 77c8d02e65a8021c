"""What runs in a function's process: Lambda's runtime for Python, between two pipes.

The text of this module is the script that ministack starts; it must need nothing but Python itself.
A request is a line of JSON (`id`, `bytes`, `deadline`) and so many bytes of payload; an answer is a
line (`status`, `bytes`) and its bytes. `began` comes before `ok` or `error`. Where the process ends
without an answer, its end is the answer. Errors have the form that Lambda gives them (Lambda
developer guide, "Lambda function errors in Python").
"""

from __future__ import annotations

import decimal
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

END_OF_LOG = "\x00end"
"""Ends what an invocation wrote to its log; the request's id follows."""


class Context:
    """The context object of one invocation."""

    identity = None
    client_context = None

    def __init__(self, init: dict[str, Any], request: dict[str, Any]) -> None:
        self.function_name = init["function_name"]
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        self.memory_limit_in_mb = str(init["memory"])
        self.invoked_function_arn = request.get("arn") or init["arn"]
        self.aws_request_id = request["id"]
        group = f"/aws/lambda/{self.function_name}"
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", group)
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self._deadline = float(request["deadline"])

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function's timeout."""
        return max(0, int((self._deadline - time.time()) * 1000))


def main() -> None:
    """Import the handler, then answer requests until there are none."""
    requests = sys.stdin.buffer
    # What the function and its own children print is their log.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    init = json.loads(requests.readline())
    os.environ.update(init["env"])
    _find_packages(init["code_dir"])
    handler = _load(init["module"], init["handler"], answers)
    while handler:
        header = requests.readline()
        if not header:
            return
        request = json.loads(header)
        payload = requests.read(request["bytes"])
        _tell(answers, "began")
        status, body = _answer(handler, payload, Context(init, request))
        sys.stderr.write(f"{END_OF_LOG} {request['id']}\n")
        sys.stderr.flush()
        _tell(answers, status, body)


def _find_packages(code: str) -> None:
    """Put the function's code first, then its layers, the last one before the others."""
    layers = os.environ.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep)
    found = [code]
    for packages in (Path(layer, "python") for layer in reversed(layers) if layer):
        found += [*map(str, packages.glob("lib/*/site-packages")), str(packages)]
    sys.path[:0] = found


def _load(module: str, name: str, answers: BinaryIO) -> Any:
    try:
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:
        told = json.dumps(_import_error(module, name, error))
        answers.write(json.dumps({"status": "error", "error": told}).encode() + b"\n")
        answers.flush()
        return None
    answers.write(b'{"status": "ready"}\n')
    answers.flush()
    return handler


def _import_error(module: str, name: str, error: Exception) -> dict[str, Any]:
    kind, message = type(error).__name__, str(error)
    if isinstance(error, ImportError):
        kind, message = "Runtime.ImportModuleError", f"Unable to import module '{module}': {error}"
    elif isinstance(error, SyntaxError):
        kind = "Runtime.UserCodeSyntaxError"
        message = f"Syntax error in module '{module}': {error}"
    elif module in sys.modules:
        kind = "Runtime.HandlerNotFound"
        message = f"Handler '{name}' missing on module '{module}'"
    return {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": []}


def _answer(handler: Any, payload: bytes, context: Context) -> tuple[str, bytes]:
    try:
        event = json.loads(payload)
    except ValueError as error:
        return _failed("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}", context)
    try:
        result = handler(event, context)
    except Exception as error:
        traceback.print_exc()
        # Lambda's own frame is not of interest.
        trace = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
        return _failed(type(error).__name__, str(error), context, trace)
    try:
        return "ok", json.dumps(result, ensure_ascii=False, default=_number).encode()
    except (TypeError, ValueError) as error:
        return _failed("Runtime.MarshalError", f"Unable to marshal response: {error}", context)


def _number(value: Any) -> float:
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _failed(
    kind: str, message: str, context: Context, trace: list[str] | None = None
) -> tuple[str, bytes]:
    body = {
        "errorMessage": message,
        "errorType": kind,
        "requestId": context.aws_request_id,
        "stackTrace": trace or [],
    }
    return "error", json.dumps(body).encode()


def _tell(answers: BinaryIO, status: str, body: bytes = b"") -> None:
    answers.write(json.dumps({"status": status, "bytes": len(body)}).encode() + b"\n" + body)
    answers.flush()


if __name__ == "__main__":
    main()
