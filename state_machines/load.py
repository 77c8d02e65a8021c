"""The load state machine: from a completed export to tables in BigQuery, and their outcome.

One per stack, started by the `Export Completed` event with the event's detail as its input. The
list of tables lives in S3 (``loads/<export id>/work.json``), not in the execution: ten thousand
tables would exceed both the payload and the history of one. What goes through the states is a
cursor and a count.

Plan → wait for the run time → start runs → look at them until none is pending → settle. It always
ends told: in success, or by a message on the alerts topic that names tables and reasons, then
in `Fail`.

What the machine's role needs: ``lambda:InvokeFunction`` on the four functions (and their versions
or aliases where used); ``sns:Publish`` on the topic (and ``kms:GenerateDataKey*``,
``kms:Decrypt`` on the topic's key where it has one).

Rules encoded (Google, "Amazon S3 transfers" and "Runtime parameter support"; AWS, Step Functions
quotas and "Best practices for Step Functions"):

* a transfer run cannot be requested for a time in the future;
* an object is visible to the transfer service about five minutes after it was written: a run
  started sooner may load part of a table, and say that it succeeded;
* an execution has at most 25,000 history events, and its timeout cannot be caught, so every loop
  is counted, and ends by the clock long before the timeout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from state_machines import asl
from state_machines.asl import State, jsonata, quoted

MAX_STARTS = 100
MAX_CHECKS = 400
MAX_SETTLES = 50
"""Calls of each function: a call stops early when its time is nearly over and is called again."""

QUICK_ROUNDS = 60
MAX_ROUNDS = 192
"""Rounds of looking at runs: each minute for an hour, then every five minutes up to 12 hours."""

QUICK_SECONDS = 60
SLOW_SECONDS = 300
VISIBLE_SECONDS = 300

LOAD_SECONDS = 12 * 3600
"""Time after which runs that have not ended are late."""

CALL_SECONDS = 930
"""More than the longest a Lambda function may run, so that its own timeout comes first."""

TIMEOUT_SECONDS = 14 * 24 * 3600
"""More than everything at its slowest together: a timeout of the machine would be untold."""

_REQUIRED = ("source", "export_task", "run_time", "bucket", "prefix")


@dataclass(frozen=True, kw_only=True)
class LoadMachine:
    """What the load machine is made of."""

    plan_arn: str
    start_runs_arn: str
    check_runs_arn: str
    settle_arn: str
    topic_arn: str
    runbook_url: str


def definition(machine: LoadMachine) -> dict[str, Any]:
    """Return the machine's definition."""
    return asl.machine(
        "Loads a completed export into BigQuery",
        TIMEOUT_SECONDS,
        "Begin",
        {**_plan(machine), **_start(machine), **_follow(machine), **_end(machine)},
    )


def _plan(machine: LoadMachine) -> dict[str, State]:
    """Find out what the export holds, and wait until runs may start."""
    complete = " and ".join(f"$type($request.{name}) = 'string'" for name in _REQUIRED)
    return {
        "Begin": asl.assign(
            {
                "request": jsonata("$states.input"),
                "to_load": 0,
                "cursor": 0,
                "starts": 0,
                "checks": 0,
                "rounds": 0,
                "pending": 0,
                "settles": 0,
                "deadline": 0,
                "problems": [],
                "problem_count": 0,
                "reason": "",
            },
            "Is it an export?",
        ),
        "Is it an export?": asl.choice([(complete, "Plan")], "Not an export"),
        "Not an export": asl.assign(
            {"reason": f"the event lacks one of {', '.join(_REQUIRED)}"}, "Tell failure"
        ),
        "Plan": _call(
            machine.plan_arn,
            jsonata("$request"),
            "Is there anything to load?",
            doing="the export could not be compared with the declared tables",
            assign={"to_load": jsonata("$states.result.Payload.load")},
        ),
        "Is there anything to load?": asl.choice([("$to_load > 0", "Wait for run time")], "Settle"),
        "Wait for run time": {
            "Type": "Wait",
            "Timestamp": jsonata("$request.run_time"),
            "Output": {},
            "Next": "Let files become visible",
        },
        "Let files become visible": asl.wait(VISIBLE_SECONDS, "Begin runs"),
        "Begin runs": asl.assign(
            {"deadline": jsonata(f"$millis() + {LOAD_SECONDS * 1000}")}, "Start runs"
        ),
    }


def _start(machine: LoadMachine) -> dict[str, State]:
    """Start a transfer run for each table, some hundreds at a time."""
    return {
        "Start runs": _call(
            machine.start_runs_arn,
            _with_cursor("$cursor"),
            "Are more to start?",
            doing="transfer runs could not be started",
            assign={"cursor": jsonata(_cursor(-1)), "starts": jsonata("$starts + 1")},
        ),
        "Are more to start?": asl.choice(
            [(f"$cursor >= 0 and $starts < {MAX_STARTS} and $millis() < $deadline", "Start runs")],
            "Runs are started",
        ),
        "Runs are started": asl.assign({"cursor": 0}, "Wait for runs"),
    }


def _follow(machine: LoadMachine) -> dict[str, State]:
    """Look at the runs, round after round, until none is pending or it is too late."""
    return {
        "Wait for runs": asl.wait(
            jsonata(f"$rounds < {QUICK_ROUNDS} ? {QUICK_SECONDS} : {SLOW_SECONDS}"), "Check runs"
        ),
        "Check runs": _call(
            machine.check_runs_arn,
            _with_cursor("$cursor"),
            "Are runs pending?",
            doing="transfer runs could not be looked at",
            assign={
                "cursor": jsonata(_cursor(0)),
                "pending": jsonata("$states.result.Payload.pending"),
                "checks": jsonata("$checks + 1"),
                "rounds": jsonata(f"$rounds + ({_is_number()} ? 0 : 1)"),
            },
        ),
        "Are runs pending?": asl.choice(
            [
                ("$pending = 0", "Runs have ended"),
                (f"$checks >= {MAX_CHECKS} or $millis() >= $deadline", "Runs have ended"),
                ("$cursor > 0", "Check runs"),
                (f"$rounds < {MAX_ROUNDS}", "Wait for runs"),
            ],
            "Runs have ended",
        ),
        "Runs have ended": asl.assign({"cursor": 0}, "Settle"),
    }


def _end(machine: LoadMachine) -> dict[str, State]:
    """Give every table its outcome, and tell of the tables that have a problem."""
    payload = "$states.result.Payload"
    lines = "$join($problems.(table & ' (' & kind & '): ' & message), '\\n')"
    more = (
        "($problem_count > $count($problems)"
        " ? '\\n... and ' & ($problem_count - $count($problems)) & ' more' : '')"
    )
    where = "'Source: ' & $request.source & '; export: ' & $request.export_task & '; reason: '"
    message = (
        "'The load of ' & $request.source & ' has problems.\\n\\nSource: ' & $request.source"
        " & '\\nExport: ' & $request.export_task & '\\nReason: ' & $reason"
        " & '\\nExecution: ' & $states.context.Execution.Id"
        f" & '\\nWhat to do: ' & {quoted(machine.runbook_url)}"
    )
    subject = (
        "$substring('data-ferry: load of ' & $replace($request.source, /[^ -~]/, '?')"
        f" & ' failed', 0, {asl.MAX_SUBJECT})"
    )
    return {
        "Settle": _call(
            machine.settle_arn,
            _with_cursor("$cursor"),
            "Is everything settled?",
            doing="the outcome of the load could not be settled",
            assign={
                "cursor": jsonata(_cursor(-1)),
                "problems": jsonata(f"[{payload}.problems]"),
                "problem_count": jsonata(f"{payload}.problem_count"),
                "settles": jsonata("$settles + 1"),
            },
        ),
        "Is everything settled?": asl.choice(
            [
                (f"$cursor >= 0 and $settles < {MAX_SETTLES}", "Settle"),
                ("$cursor >= 0", "Settling takes too long"),
                ("$problem_count > 0", "Name problems"),
            ],
            "Loaded",
        ),
        "Settling takes too long": asl.assign(
            {"reason": f"the outcome was not settled in {MAX_SETTLES} calls"}, "Tell failure"
        ),
        "Name problems": asl.assign(
            {"reason": jsonata(f"$problem_count & ' table(s):\\n' & {lines} & {more}")},
            "Tell failure",
        ),
        "Loaded": {"Type": "Succeed"},
        "Tell failure": asl.publish(
            machine.topic_arn, jsonata(subject), jsonata(message), "Failed"
        ),
        "Failed": asl.fail("LoadFailed", f"{where} & $substring($reason, 0, 8000)"),
    }


def _call(function: str, payload: str, next_state: str, *, doing: str, assign: Any) -> State:
    """Return a Task that calls a function; the functions may be called twice for the same."""
    return asl.task(
        "lambda:invoke",
        {"FunctionName": function, "Payload": payload},
        next_state,
        timeout=CALL_SECONDS,
        retriers=[
            asl.retry(asl.LAMBDA_SERVICE_ERRORS, attempts=4, seconds=5),
            # What the functions raise when Google stays out of reach beyond their own retries.
            asl.retry(
                ["GoogleUnavailable", "Sandbox.Timedout", "States.Timeout"], attempts=3, seconds=60
            ),
        ],
        catchers=asl.catch_all("Tell failure", {"reason": asl.error_text(doing)}),
        assign=assign,
    )


def _with_cursor(cursor: str) -> str:
    return jsonata(f"$merge([$request, {{'cursor': {cursor}}}])")


def _is_number() -> str:
    return "$type($states.result.Payload.cursor) = 'number'"


def _cursor(ended: int) -> str:
    """Return where to go on; `ended` when the function says that it is through."""
    return f"{_is_number()} ? $states.result.Payload.cursor : {ended}"
