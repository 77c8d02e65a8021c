from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.aws import limits
from rehearsal.aws.asl_interpreter import (
    Clock,
    ExecutionAborted,
    ExecutionTimedOut,
    Interpreter,
    StateError,
    error_matches,
    retry_delay,
)
from rehearsal.aws.asl_jsonata import QueryError, evaluate
from rehearsal.aws.cloud import LocalAws
from rehearsal.aws.sdk_integration import error_name, sdk_name
from tests.rehearsal.aws.cloud_kit import (
    local_aws,
    make_function,
    make_machine,
    make_role,
    play,
    rds_arn,
    sdk_task,
    statement,
)

# --- the interpreter by itself ------------------------------------------------------------------


class Book:
    """A history in memory."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def record(self, kind: str, details: Mapping[str, Any] | None = None) -> int:
        self.events.append((kind, details))
        return len(self.events)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


class Work:
    """Tasks played from a list: results are returned, exceptions raised, callables called."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.asked: list[Any] = []

    def run(self, resource: str, arguments: Any, timeout: float | None) -> Any:
        self.asked.append(arguments)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result(arguments) if callable(result) else result


class Stage:
    """One execution with everything around it."""

    def __init__(self, states: Mapping[str, Any], *results: Any, **machine: Any) -> None:
        self.book, self.work, self.problems = Book(), Work(*results), list[str]()
        self.stop = threading.Event()
        self.clock = Clock(0.0, self.stop)
        definition = {
            "QueryLanguage": "JSONata",
            "StartAt": next(iter(states)),
            "States": states,
            **machine,
        }
        self.interpreter = Interpreter(
            definition,
            {"Execution": {"Id": "arn:x", "Name": "x"}},
            tasks=self.work,
            journal=self.book,
            clock=self.clock,
            report=self.problems.append,
        )

    def run(self, payload: Any = None) -> Any:
        return self.interpreter.run({} if payload is None else payload)

    def fails(self, payload: Any = None) -> StateError:
        with pytest.raises(StateError) as failure:
            self.run(payload)
        return failure.value


def task(**more: Any) -> dict[str, Any]:
    state = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:rds:startExportTask", **more}
    return state if "Next" in state else {**state, "End": True}


def end(output: Any) -> dict[str, Any]:
    return {"Type": "Pass", "Output": output, "End": True}


def test_output_and_assign_see_the_variables_of_before() -> None:
    first = {
        "Type": "Pass",
        "Assign": {"n": "{% $states.input.n + 1 %}", "seen": {"deep": ["{% $states.input.n %}"]}},
        "Next": "B",
    }
    second = {
        "Type": "Pass",
        "Assign": {"n": "{% $n * 10 %}"},
        "Output": "{% {'n': $n, 'seen': $seen} %}",
        "Next": "C",
    }
    third = end("{% {'before': $states.input, 'n': $n} %}")
    answer = Stage({"A": first, "B": second, "C": third}).run({"n": 1})
    assert answer == {"before": {"n": 2, "seen": {"deep": [1]}}, "n": 20}


def test_a_choice_takes_the_first_rule_that_holds_with_its_own_output() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [
            {"Condition": "{% $states.input.n > 5 %}", "Next": "End"},
            {
                "Condition": "{% $states.input.n > 2 %}",
                "Next": "End",
                "Output": "some",
                "Assign": {"a": 1},
            },
        ],
        "Default": "End",
        "Output": "default",
    }
    states = {"Choose": choice, "End": {"Type": "Succeed"}}
    assert Stage(states).run({"n": 9}) == {"n": 9}
    assert Stage(states).run({"n": 3}) == "some"
    assert Stage(states).run({"n": 0}) == "default"


def test_a_choice_without_a_way_fails() -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "E"}]}
    assert Stage({"C": choice, "E": end(1)}).fails().error == "States.NoChoiceMatched"


def test_a_condition_must_be_a_boolean() -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "E"}]}
    failure = Stage({"C": choice, "E": end(1)}).fails()
    assert failure.error == "States.QueryEvaluationError"
    assert "not a boolean" in failure.cause


def test_fail_computes_its_error_and_cause() -> None:
    state = {"Type": "Fail", "Error": "Export", "Cause": "{% 'because of ' & $states.input.id %}"}
    failure = Stage({"F": state}).fails({"id": "x"})
    assert (failure.error, failure.cause) == ("Export", "because of x")


def test_an_undefined_value_is_an_error_that_names_expression_and_field() -> None:
    stage = Stage({"A": end({"id": "{% $states.input.nothing %}"})})
    failure = stage.fails()
    assert failure.error == "States.QueryEvaluationError"
    assert "'$states.input.nothing'" in failure.cause
    assert "'Output/id'" in failure.cause
    assert "returned nothing (undefined)" in failure.cause
    assert "EvaluationFailed" in stage.book.kinds


def test_null_is_a_value_and_not_undefined() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"x": None}, "Next": "B"},
        "B": end("{% {'x': $x, 'y': $states.input.y, 'list': [null, $x]} %}"),
    }
    assert Stage(states).run({"y": None}) == {"x": None, "y": None, "list": [None, None]}


def test_a_task_that_succeeds_writes_the_history_of_the_service() -> None:
    stage = Stage({"T": task(Arguments={"A": "{% $states.input.a %}"})}, {"Ok": True})
    assert stage.run({"a": 1}) == {"Ok": True}
    assert stage.work.asked == [{"A": 1}]
    assert stage.book.kinds == [
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
    ]
    labels = stage.book.events[2][1]["taskStartedEventDetails"]
    assert labels == {"resourceType": "aws-sdk:rds", "resource": "startExportTask"}


def test_a_catch_hands_on_the_error_and_assigns() -> None:
    catch = {
        "ErrorEquals": ["Rds.RdsException"],
        "Assign": {"why": "{% $states.errorOutput.Cause %}"},
        "Output": "{% {'was': $states.input, 'error': $states.errorOutput.Error} %}",
        "Next": "After",
    }
    states = {
        "T": task(Catch=[catch]),
        "After": end("{% $merge([$states.input, {'why': $why}]) %}"),
    }
    stage = Stage(states, StateError("Rds.RdsException", "limit of 5"))
    assert stage.run({"id": 1}) == {
        "was": {"id": 1},
        "error": "Rds.RdsException",
        "why": "limit of 5",
    }


def test_a_query_error_in_a_task_can_be_caught() -> None:
    catch = {"ErrorEquals": ["States.QueryEvaluationError"], "Next": "After"}
    states = {"T": task(Output="{% $states.result.no %}", Catch=[catch]), "After": end("caught")}
    assert Stage(states, {"Ok": 1}).run() == "caught"


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["States.ALL"], "Rds.RdsException", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.TaskFailed"], "States.DataLimitExceeded", False),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
        (["States.TaskFailed"], "Rds.RdsException", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["Rds.RdsException"], "Rds.ExportTaskNotFoundException", False),
    ],
)
def test_which_errors_a_handler_takes(names: list[str], error: str, expected: bool) -> None:
    assert error_matches(names, error) is expected


def test_retries_stop_at_three_when_nothing_is_said() -> None:
    failure = StateError("Rds.RdsException", "no")
    stage = Stage({"T": task(Retry=[{"ErrorEquals": ["States.ALL"]}])}, *[failure] * 5)
    assert stage.fails().error == "Rds.RdsException"
    assert len(stage.work.asked) == 4


def test_every_retrier_counts_for_itself() -> None:
    one, other = StateError("A.A", ""), StateError("B.B", "")
    retry = [
        {"ErrorEquals": ["A.A"], "MaxAttempts": 1},
        {"ErrorEquals": ["B.B"], "MaxAttempts": 2},
    ]
    stage = Stage({"T": task(Retry=retry)}, one, other, other, "done")
    assert stage.run() == "done"
    assert Stage({"T": task(Retry=retry)}, one, other, one, "done").fails().error == "A.A"


def test_no_retry_when_max_attempts_is_0() -> None:
    retry = [{"ErrorEquals": ["A.A"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]
    stage = Stage({"T": task(Retry=retry)}, StateError("A.A", ""), "done")
    assert stage.fails().error == "A.A"


@given(
    st.integers(1, 100),
    st.floats(1.0, 5.0),
    st.integers(0, 8),
    st.none() | st.integers(1, 1000),
    st.sampled_from(["FULL", "NONE"]),
)
def test_retry_delays(
    interval: int, rate: float, attempt: int, most: int | None, jitter: str
) -> None:
    retrier: dict[str, Any] = {"IntervalSeconds": interval, "BackoffRate": rate}
    retrier |= {"JitterStrategy": jitter} | ({"MaxDelaySeconds": most} if most else {})
    full = min(interval * rate**attempt, most or float("inf"))
    delay = retry_delay(retrier, attempt)
    assert 0 <= delay <= full
    assert jitter == "FULL" or delay == full


def test_waits_take_their_full_time_on_the_clock_of_the_machine() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"t": "{% $millis() %}"}, "Next": "W"},
        "W": {"Type": "Wait", "Seconds": "{% 60 * 60 %}", "Next": "B"},
        "B": end("{% {'ms': $millis() - $t, 'now': $now()} %}"),
    }
    began = time.monotonic()
    answer = Stage(states).run()
    assert time.monotonic() - began < 5
    assert 3_600_000 <= answer["ms"] < 3_605_000
    assert answer["now"].endswith("Z")


def test_a_timestamp_in_the_past_passes_at_once_and_a_future_one_is_reached() -> None:
    def waiting(timestamp: str) -> Any:
        return Stage(
            {
                "W": {"Type": "Wait", "Timestamp": timestamp, "Next": "B"},
                "B": end("{% $millis() %}"),
            }
        ).run({"at": "2020-01-01T00:00:00Z"})

    assert waiting("{% $states.input.at %}") == pytest.approx(time.time() * 1000, abs=5000)
    assert waiting("2090-01-01T00:00:00Z") >= 3_786_912_000_000


@pytest.mark.parametrize("timestamp", ["tomorrow", "2026-11-20", "{% 5 %}"])
def test_a_timestamp_must_be_an_instant(timestamp: str) -> None:
    state = {"Type": "Wait", "Timestamp": timestamp, "End": True}
    assert "RFC 3339" in Stage({"W": state}).fails().cause


def test_a_machine_is_out_of_time_after_its_own_seconds() -> None:
    states = {"W": {"Type": "Wait", "Seconds": 60, "Next": "W"}}
    stage = Stage(states, TimeoutSeconds=600)
    with pytest.raises(ExecutionTimedOut):
        stage.run()
    assert stage.book.kinds.count("WaitStateExited") == 9


def test_a_stopped_execution_ends() -> None:
    stage = Stage({"W": {"Type": "Wait", "Seconds": 1, "Next": "W"}})
    threading.Timer(0.05, stage.stop.set).start()
    with pytest.raises(ExecutionAborted):
        stage.run()


def test_parallel_branches_read_outer_variables_and_keep_their_own() -> None:
    branch = {
        "StartAt": "X",
        "States": {
            "X": {"Type": "Pass", "Assign": {"y": "{% $x + $states.input.add %}"}, "Next": "Y"},
            "Y": end("{% $y %}"),
        },
    }
    states = {
        "A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "P"},
        "P": {
            "Type": "Parallel",
            "Arguments": {"add": 2},
            "Branches": [branch, branch],
            "Output": "{% {'r': $states.result, 'leaked': $exists($y)} %}",
            "End": True,
        },
    }
    assert Stage(states).run() == {"r": [3, 3], "leaked": False}


def test_a_failing_branch_fails_the_parallel_state_which_may_catch_it() -> None:
    fail = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}}
    loop = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "W"}}}
    catch = {"ErrorEquals": ["E"], "Next": "After"}
    parallel = {"Type": "Parallel", "Branches": [loop, fail], "Catch": [catch], "End": True}
    assert Stage({"P": parallel, "After": end("{% $states.input.Cause %}")}).run() == "c"


def test_a_map_plays_every_item_in_order() -> None:
    processor = {"StartAt": "X", "States": {"X": end("{% $states.input.v * 2 %}")}}
    selector = {
        "v": "{% $states.context.Map.Item.Value %}",
        "i": "{% $states.context.Map.Item.Index %}",
    }
    state = {
        "Type": "Map",
        "Items": "{% $states.input.list %}",
        "ItemSelector": selector,
        "ItemProcessor": processor,
        "MaxConcurrency": 2,
        "End": True,
    }
    assert Stage({"M": state}).run({"list": [1, 2, 3]}) == [2, 4, 6]


def test_the_functions_that_aws_adds() -> None:
    expression = (
        "{% {'p': $partition([1,2,3], 2), 'r': $range(1, 5, 2), 'h': $hash('a', 'SHA-256'), "
        "'same': $random(7) = $random(7), 'u': $length($uuid()), 'j': $parse('{\"a\": null}')} %}"
    )
    answer = Stage({"A": end(expression)}).run()
    assert answer == {
        "p": [[1, 2], [3]],
        "r": [1, 3, 5],
        "h": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "same": True,
        "u": 36,
        "j": {"a": None},
    }


@pytest.mark.parametrize("source", ["$eval('1')", "$nothing(1)", "1 +", "$parse('{')"])
def test_expressions_that_cannot_be_evaluated(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(QueryError):
        evaluate(f"{{% {source} %}}", {}, "Output", 0)
    assert capsys.readouterr().out == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(JSON)
def test_any_json_passes_through_an_expression_unchanged(value: Any) -> None:
    answer = evaluate("{% {'x': $states.input} %}", {"states": {"input": value}}, "Output", 0)
    assert answer == {"x": value}


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"Type": "Pass", "Parameters": {}, "End": True}, "Parameters"),
        ({"Type": "Task", "Resource": "a", "HeartbeatSeconds": 5, "End": True}, "HeartbeatSeconds"),
        ({"Type": "Task", "End": True}, "Resource"),
        ({"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}, "JSONPath"),
        ({"Type": "Pass", "Next": "Nowhere"}, "Nowhere"),
        ({"Type": "Pass"}, "Next or End"),
        ({"Type": "Activity"}, "Activity"),
        ({"Type": "Wait", "End": True}, "Seconds or Timestamp"),
        (task(Retry=[{"ErrorEquals": ["States.ALL", "A"]}]), "States.ALL"),
        (task(Catch=[{"ErrorEquals": ["A"], "Next": "A", "ResultPath": "$"}]), "ResultPath"),
        (
            {
                "Type": "Map",
                "End": True,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED"},
                    "StartAt": "X",
                    "States": {"X": {"Type": "Succeed"}},
                },
            },
            "DISTRIBUTED",
        ),
    ],
)
def test_what_cannot_be_played_is_named_and_never_skipped(
    state: dict[str, Any], named: str
) -> None:
    stage = Stage({"A": state})
    failure = stage.fails()
    assert failure.error == "States.Runtime"
    assert named in failure.cause
    assert stage.book.events == []


@pytest.mark.parametrize(
    "state",
    [
        task(),
        {"Type": "Pass", "Output": "{% $states.input.big %}", "End": True},
        {"Type": "Pass", "Assign": {"big": "{% $states.input.big %}"}, "End": True},
    ],
)
def test_more_than_256_kib_in_a_state_fails_and_is_a_problem(state: dict[str, Any]) -> None:
    big = "x" * (limits.PAYLOAD_BYTES)
    caught = {**state, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "A"}]}
    stage = Stage({"A": caught if state["Type"] == "Task" else state}, big)
    assert stage.fails({"big": big}).error == "States.DataLimitExceeded"
    assert "262,144" in stage.problems[0]


# --- names of the SDK integrations ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("DBClusterSnapshots", "DbClusterSnapshots"),
        ("DBSnapshotIdentifier", "DbSnapshotIdentifier"),
        ("ExportTasks", "ExportTasks"),
        ("KmsKeyId", "KmsKeyId"),
        ("KMSKeyId", "KmsKeyId"),
        ("S3BucketName", "S3BucketName"),
        ("IamRoleArn", "IamRoleArn"),
        ("TotalExtractedDataInGB", "TotalExtractedDataInGB"),
        ("ARN", "Arn"),
        ("startExportTask", "StartExportTask"),
    ],
)
def test_member_names_fold_a_leading_acronym(member: str, expected: str) -> None:
    assert sdk_name(member) == expected


@pytest.mark.parametrize(
    ("code", "shape", "expected"),
    [
        ("ExportTaskAlreadyExists", "ExportTaskAlreadyExistsFault", "ExportTaskAlreadyExists"),
        ("DBSnapshotNotFound", "DBSnapshotNotFoundFault", "DbSnapshotNotFound"),
        ("KMSKeyNotAccessibleFault", "KMSKeyNotAccessibleFault", "KmsKeyNotAccessible"),
        ("InvalidS3BucketFault", "InvalidS3BucketFault", "InvalidS3Bucket"),
        ("ExportTaskLimitReachedFault", None, "Rds"),
        ("Throttling", None, "Rds"),
    ],
)
def test_error_names(code: str, shape: str | None, expected: str) -> None:
    modelled = {code: shape} if shape else {}
    assert error_name("rds", code, modelled) == f"Rds.{expected}Exception"


# --- through the API ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalAws]:
    with local_aws(wait_scale=0.0001) as aws:
        yield aws


@pytest.fixture
def aws(shared: LocalAws) -> LocalAws:
    shared.problems.clear()
    return shared


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"m-{abs(hash(request.node.name)) % 10**9}"


MAY_DESCRIBE = statement("rds:DescribeDBClusterSnapshots", rds_arn("cluster-snapshot:rds:shop-*"))


def describe_snapshot(**more: Any) -> dict[str, Any]:
    arguments = {
        "DbClusterSnapshotIdentifier": "rds:shop-2026-11-20-03-05",
        "SnapshotType": "automated",
    }
    return sdk_task("rds", "describeDBClusterSnapshots", arguments, **more)


def test_an_sdk_task_speaks_the_names_of_the_java_sdk(aws: LocalAws, name: str) -> None:
    machine = make_machine(aws, name, {"D": describe_snapshot()}, MAY_DESCRIBE)
    ended = play(aws, machine, {})
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"]) == {
        "DbClusterSnapshots": [
            {
                "DbClusterSnapshotIdentifier": "rds:shop-2026-11-20-03-05",
                "DbClusterIdentifier": "shop",
                "SnapshotCreateTime": "2026-11-20T03:05:00Z",
            }
        ]
    }
    assert aws.problems == []


def test_a_role_without_the_permission_fails_the_task_and_is_a_problem(
    aws: LocalAws, name: str
) -> None:
    machine = make_machine(aws, name, {"D": describe_snapshot()})
    ended = play(aws, machine, {})
    assert (ended["status"], ended["error"]) == ("FAILED", "Rds.RdsException")
    assert f"assumed-role/{name}-role/" in ended["cause"]
    assert "is not authorized to perform: rds:DescribeDBClusterSnapshots" in ended["cause"]
    assert "(Service: Rds, Status Code: 403" in ended["cause"]
    assert any("rds:DescribeDBClusterSnapshots" in problem for problem in aws.problems)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("DBClusterSnapshotNotFoundFault", "Rds.DbClusterSnapshotNotFoundException"),
        ("ExportTaskLimitReachedFault", "Rds.RdsException"),
    ],
)
def test_an_api_error_has_the_name_of_the_java_sdk(
    aws: LocalAws, name: str, code: str, expected: str
) -> None:
    machine = make_machine(aws, name, {"D": describe_snapshot()}, MAY_DESCRIBE)
    rds: Any = aws.rds
    before = rds.answers["DescribeDBClusterSnapshots"]
    rds.answers["DescribeDBClusterSnapshots"] = (code, "You have reached the limit of 5")
    try:
        ended = play(aws, machine, {})
    finally:
        rds.answers["DescribeDBClusterSnapshots"] = before
    assert ended["error"] == expected
    assert ended["cause"].startswith(
        "You have reached the limit of 5 (Service: Rds, Status Code: 400, Request ID: "
    )


@pytest.mark.parametrize(
    ("task_state", "named"),
    [
        (sdk_task("rds", "describeDBClusterSnapshots", {"DBClusterIdentifier": "x"}), "DBCluster"),
        (sdk_task("rds", "noSuchAction", {}), "noSuchAction"),
        (sdk_task("nosuch", "action", {}), "nosuch"),
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "End": True,
            },
            "waitForTaskToken",
        ),
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync",
                "End": True,
            },
            ".sync",
        ),
        ({"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "End": True}, "http:invoke"),
    ],
)
def test_a_resource_that_cannot_be_played_is_named(
    aws: LocalAws, name: str, task_state: dict[str, Any], named: str
) -> None:
    ended = play(aws, make_machine(aws, name, {"T": task_state}), {})
    assert ended["error"] == "States.Runtime"
    assert named in ended["cause"]


def test_history_is_paged_numbered_and_typed(aws: LocalAws, name: str) -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"n": 0}, "Next": "W"},
        "W": {"Type": "Wait", "Seconds": 60, "Assign": {"n": "{% $n + 1 %}"}, "Next": "C"},
        "C": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $n < 300 %}", "Next": "W"}],
            "Default": "S",
        },
        "S": {"Type": "Succeed"},
    }
    ended = play(aws, make_machine(aws, name, states), {})
    assert ended["status"] == "SUCCEEDED"
    client = aws.client("stepfunctions")
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=ended["executionArn"]
    )
    events = [event for page in pages for event in page["events"]]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) == 1 + 2 + 300 * 4 + 2 + 1
    assert events[0]["type"] == "ExecutionStarted"
    assert events[-1]["type"] == "ExecutionSucceeded"
    newest = client.get_execution_history(
        executionArn=ended["executionArn"], reverseOrder=True, maxResults=1
    )
    assert newest["events"][0]["type"] == "ExecutionSucceeded"


def test_the_history_ends_a_machine_that_polls_forever(aws: LocalAws, name: str) -> None:
    states = {
        "P": {"Type": "Pass", "Next": "Q"},
        "Q": {"Type": "Pass", "Next": "P"},
    }
    ended = play(aws, make_machine(aws, name, states), {})
    assert ended["status"] == "FAILED"
    assert "maximum number of history events (25000)" in ended["cause"]
    record = next(one for one in aws.executions() if one.arn == ended["executionArn"])
    assert record.events == limits.HISTORY_EVENTS
    assert any("25000" in problem for problem in aws.problems)


def test_a_function_is_invoked_and_its_error_has_its_own_name(aws: LocalAws, name: str) -> None:
    code = """
class Broken(Exception):
    pass

def handler(event, context):
    if event["fail"]:
        raise Broken("no table")
    return {"got": event}
"""
    function = make_function(aws, name, code)
    invoke = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
        "End": True,
    }
    machine = make_machine(aws, name, {"I": invoke}, statement("lambda:InvokeFunction", function))
    assert json.loads(play(aws, machine, {"fail": False})["output"]) == {"got": {"fail": False}}
    ended = play(aws, machine, {"fail": True})
    assert (ended["status"], ended["error"]) == ("FAILED", "Broken")
    told = json.loads(ended["cause"])
    assert (told["errorMessage"], told["errorType"]) == ("no table", "Broken")
    assert "handler" in "".join(told["stackTrace"])


def test_a_function_that_takes_too_long(aws: LocalAws, name: str) -> None:
    code = "import time\ndef handler(event, context):\n    time.sleep(event['s'])\n"
    function = make_function(aws, name, code, Timeout=1)
    invoke = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": {"s": 20}},
        "End": True,
    }
    may = statement("lambda:InvokeFunction", function)
    assert play(aws, make_machine(aws, name, {"I": invoke}, may), {})["error"] == "Sandbox.Timedout"


def test_a_task_has_its_own_timeout(aws: LocalAws, name: str) -> None:
    code = "import time\ndef handler(event, context):\n    time.sleep(3)\n"
    function = make_function(aws, name, code)
    invoke = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function},
        "TimeoutSeconds": 1,
        "End": True,
    }
    may = statement("lambda:InvokeFunction", function)
    ended = play(aws, make_machine(aws, name, {"I": invoke}, may), {})
    assert ended["error"] == "States.Timeout"
    history = aws.client("stepfunctions").get_execution_history(executionArn=ended["executionArn"])
    assert "TaskTimedOut" in [event["type"] for event in history["events"]]


def test_messages_go_out_as_the_role_allows(aws: LocalAws, name: str) -> None:
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    queue = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    inbox = aws.client("sqs").create_queue(QueueName=f"{name}-inbox")["QueueUrl"]
    inbox_arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}-inbox"
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=inbox_arn)
    publish = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Arguments": {"TopicArn": topic, "Message": {"why": "{% $states.input.why %}"}},
        "Output": "{% $states.input %}",
        "Next": "Send",
    }
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Arguments": {"QueueUrl": queue, "MessageBody": {"why": "{% $states.input.why %}"}},
        "End": True,
    }
    queue_arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
    machine = make_machine(
        aws,
        name,
        {"Publish": publish, "Send": send},
        statement("sns:Publish", topic),
        statement("sqs:SendMessage", queue_arn),
    )
    ended = play(aws, machine, {"why": "late"})
    assert ended["status"] == "SUCCEEDED", ended
    messages = aws.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(messages[0]["Body"]) == {"why": "late"}
    heard = aws.client("sqs").receive_message(QueueUrl=inbox)["Messages"]
    assert json.loads(json.loads(heard[0]["Body"])["Message"]) == {"why": "late"}


def test_an_event_needs_the_permission_on_its_bus(aws: LocalAws, name: str) -> None:
    entry = {"Source": "data-ferry", "DetailType": "Export Completed", "Detail": {"a": 1}}
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [entry]},
        "End": True,
    }
    bus = f"arn:aws:events:{aws.region}:{aws.account}:event-bus/default"
    only = {"StringEquals": {"events:source": "data-ferry"}}
    allowed = statement("events:PutEvents", bus, Condition=only)
    ended = play(aws, make_machine(aws, name, {"E": state}, allowed), {})
    assert json.loads(ended["output"])["FailedEntryCount"] == 0
    refused = play(aws, make_machine(aws, f"{name}-no", {"E": state}), {})
    assert refused["error"] == "EventBridge.AccessDeniedException"
    assert any("events:PutEvents" in problem for problem in aws.problems)


def test_arguments_over_256_kib_fail_the_task_and_are_a_problem(aws: LocalAws, name: str) -> None:
    code = "def handler(event, context):\n    return 'x' * 200_000\n"
    function = make_function(aws, name, code)
    entry = {"Source": "s", "DetailType": "d", "Detail": "{% {'a': $big} %}"}
    states = {
        "I": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": function},
            "Assign": {"big": "{% $states.result.Payload %}"},
            "Output": {},
            "Next": "E",
        },
        "E": {
            "Type": "Task",
            "Resource": "arn:aws:states:::events:putEvents",
            "Arguments": {"Entries": [entry, entry]},
            "End": True,
        },
    }
    may = [statement("lambda:InvokeFunction", function), statement("events:PutEvents", "*")]
    ended = play(aws, make_machine(aws, name, states, *may), {})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.DataLimitExceeded")
    assert any("the Arguments of state 'E'" in line for line in aws.problems)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": "a" * 81}, "InvalidName"),
        ({"name": "a:b"}, "InvalidName"),
        ({"definition": "{"}, "InvalidDefinition"),
        ({"definition": '{"Comment": "' + "x" * 1024 * 1024 + '"}'}, "InvalidDefinition"),
        ({"roleArn": "arn:aws:iam::111122223333:role/nobody"}, "AccessDeniedException"),
    ],
)
def test_machines_that_aws_would_not_create(
    aws: LocalAws, name: str, given: dict[str, str], code: str
) -> None:
    role = make_role(aws, f"{name}-r", "states.amazonaws.com")
    wanted = {"name": name, "definition": "{}", "roleArn": role, **given}
    with pytest.raises(ClientError) as refusal:
        aws.client("stepfunctions").create_state_machine(**wanted)
    assert refusal.value.response["Error"]["Code"] == code
    assert aws.problems


def test_a_role_that_does_not_trust_step_functions_cannot_be_used(aws: LocalAws, name: str) -> None:
    role = make_role(aws, f"{name}-r", "lambda.amazonaws.com")
    with pytest.raises(ClientError, match="authorized to assume the provided role"):
        aws.client("stepfunctions").create_state_machine(name=name, definition="{}", roleArn=role)


def test_starting_again_under_the_same_name(aws: LocalAws, name: str) -> None:
    states = {"W": {"Type": "Wait", "Seconds": 1_000_000, "End": True}}
    machine = make_machine(aws, name, states)
    client = aws.client("stepfunctions")
    first = client.start_execution(stateMachineArn=machine, name="x", input='{"a": 1}')
    again = client.start_execution(stateMachineArn=machine, name="x", input='{"a": 1}')
    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(stateMachineArn=machine, name="x", input='{"a": 2}')
    assert not aws.wait_idle(0.05)
    client.stop_execution(executionArn=first["executionArn"])
    assert aws.wait_idle(5)
    ended = client.describe_execution(executionArn=first["executionArn"])
    assert ended["status"] == "ABORTED"
    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        client.start_execution(stateMachineArn=machine, name="x", input='{"a": 1}')


@pytest.mark.parametrize("given", ["{", json.dumps("x" * limits.PAYLOAD_BYTES)])
def test_an_input_that_aws_would_refuse(aws: LocalAws, name: str, given: str) -> None:
    machine = make_machine(aws, name, {"S": {"Type": "Succeed"}})
    client = aws.client("stepfunctions")
    with pytest.raises(client.exceptions.InvalidExecutionInput):
        client.start_execution(stateMachineArn=machine, input=given)


def test_an_execution_out_of_time_is_timed_out(aws: LocalAws, name: str) -> None:
    states = {"W": {"Type": "Wait", "Seconds": 60, "Next": "W"}}
    ended = play(aws, make_machine(aws, name, states, TimeoutSeconds=3600), {})
    assert ended["status"] == "TIMED_OUT"


@pytest.mark.parametrize("call", ["start_sync_execution", "test_state"])
def test_calls_that_are_not_played_say_so(aws: LocalAws, call: str) -> None:
    # Both calls have a host prefix of their own, which has no name on the loopback interface.
    client = boto3.client(
        "stepfunctions",
        region_name=aws.region,
        endpoint_url=aws.endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(inject_host_prefix=False),
    )
    ask: dict[str, Callable[[], Any]] = {
        "start_sync_execution": lambda: client.start_sync_execution(stateMachineArn="a:b"),
        "test_state": lambda: client.test_state(definition="{}", roleArn="a:b"),
    }
    with pytest.raises(ClientError, match="not played by the rehearsal"):
        ask[call]()


def test_the_report_of_executions(aws: LocalAws, name: str) -> None:
    fail = {"F": {"Type": "Fail", "Error": "E", "Cause": "because"}}
    ended = play(aws, make_machine(aws, name, fail), {})
    record = next(one for one in aws.executions() if one.arn == ended["executionArn"])
    assert (record.machine, record.status, record.error, record.cause, record.events) == (
        name,
        "FAILED",
        "E",
        "because",
        3,
    )
