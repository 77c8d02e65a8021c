"""The few words of Amazon States Language the machines are written in.

Everything here is JSONata mode (`QueryLanguage` at the top of a definition): a string between
``{%`` and ``%}`` is an expression, any other string is itself. Values live in variables, so states
hand an empty object to each other and the 256 KiB limit on a state's payload is never near.

Rules encoded (AWS, "Amazon States Language" and "Handling errors in Step Functions workflows"):

* ``States.ALL`` stands alone and last, and does not catch ``States.DataLimitExceeded``;
* Pass, Choice and Wait cannot catch: what may fail is evaluated in a Task;
* a `Condition` must give a boolean: a missing value compared with ``=`` is false, never an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

State = dict[str, Any]

MAX_CAUSE = 1_000
"""Characters of an error's cause that are kept: enough to read, small enough to carry about."""

MAX_SUBJECT = 100
"""Characters of a subject that SNS accepts, all of them ASCII (AWS, "Publish")."""

LAMBDA_SERVICE_ERRORS = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
)
"""What AWS advises to retry on every Lambda task (AWS, "Best practices for Step Functions")."""


def jsonata(expression: str) -> str:
    """Mark a string as an expression."""
    return f"{{% {expression} %}}"


def quoted(text: str) -> str:
    """Return the JSONata literal of a string."""
    return json.dumps(text)


def error_text(doing: str) -> str:
    """Return an expression, for use in a Catch, that says what failed while `doing` something."""
    error = "$states.errorOutput.Error"
    cause = f"$substring($states.errorOutput.Cause, 0, {MAX_CAUSE})"
    return jsonata(f"{quoted(doing + ': ')} & {error} & ': ' & {cause}")


def retry(errors: Sequence[str], *, attempts: int, seconds: int, rate: float = 2.0) -> State:
    """Return a bounded retrier with full jitter, so that failures of many do not march in step."""
    return {
        "ErrorEquals": list(errors),
        "IntervalSeconds": seconds,
        "MaxAttempts": attempts,
        "BackoffRate": rate,
        "MaxDelaySeconds": 300,
        "JitterStrategy": "FULL",
    }


def catch_all(next_state: str, assign: Mapping[str, Any]) -> list[State]:
    """Return the catchers for everything that can be caught."""
    return [
        {"ErrorEquals": [error], "Assign": dict(assign), "Output": {}, "Next": next_state}
        for error in ("States.DataLimitExceeded", "States.ALL")
    ]


def task(
    resource: str,
    arguments: Any,
    next_state: str,
    *,
    timeout: int,
    retriers: Sequence[State],
    catchers: Sequence[State],
    assign: Mapping[str, Any] | None = None,
) -> State:
    """Return a Task whose result is kept in variables only."""
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Arguments": arguments,
        "TimeoutSeconds": timeout,
        "Retry": list(retriers),
        "Catch": list(catchers),
        **({"Assign": dict(assign)} if assign else {}),
        "Output": {},
        "Next": next_state,
    }


def publish(topic_arn: str, subject: str, message: str, next_state: str) -> State:
    """Return the Task that tells people; should even that fail, `next_state` follows all the same.

    The names of this integration's errors are not documented, and a lost message costs more than
    a message sent twice: every failure is tried again, three times at most.
    """
    return task(
        "sns:publish",
        {"TopicArn": topic_arn, "Subject": subject, "Message": message},
        next_state,
        timeout=60,
        retriers=[retry(["States.TaskFailed", "States.Timeout"], attempts=3, seconds=5)],
        catchers=catch_all(next_state, {}),
    )


def assign(values: Mapping[str, Any], next_state: str) -> State:
    """Return a Pass that only sets variables."""
    return {"Type": "Pass", "Assign": dict(values), "Output": {}, "Next": next_state}


def choice(rules: Sequence[tuple[str, str]], default: str) -> State:
    """Return a Choice of (condition, next state) in order, else `default`."""
    choices = [{"Condition": jsonata(condition), "Next": then} for condition, then in rules]
    return {"Type": "Choice", "Choices": choices, "Default": default}


def wait(seconds: int | str, next_state: str) -> State:
    """Return a Wait of so many seconds (a number or an expression)."""
    return {"Type": "Wait", "Seconds": seconds, "Output": {}, "Next": next_state}


def fail(error: str, cause: str) -> State:
    """Return a Fail; `cause` is an expression."""
    return {"Type": "Fail", "Error": error, "Cause": jsonata(cause)}


def machine(comment: str, timeout: int, start: str, states: Mapping[str, State]) -> State:
    """Return a whole definition."""
    return {
        "Comment": comment,
        "QueryLanguage": "JSONata",
        "StartAt": start,
        "TimeoutSeconds": timeout,
        "States": dict(states),
    }
