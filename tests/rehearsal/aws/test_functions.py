"""Functions run as Lambda runs them: at once, in time, with their layers, and told apart."""

from __future__ import annotations

import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.aws.cloud import LocalAws
from rehearsal.aws.functions import Invocation, PayloadTooLarge, ThrottledError
from tests.rehearsal.aws.cloud_kit import local_aws, make_function, statement

SIX_MEGABYTES = 6_291_456

BODY = """
import os, sys, time

def handler(event, context):
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "exit" in event:
        sys.exit(event["exit"])
    if "fill" in event:
        return "x" * event["fill"]
    if "raise" in event:
        raise ValueError(event["raise"])
    if "return" in event:
        return {1, 2}
    print("worked")
    return {"pid": os.getpid(), "left": context.get_remaining_time_in_millis()}
"""


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as cloud:
        yield cloud


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).removeprefix("test_").replace("_", "-").split("[")[0][:40]


def payload(**event: Any) -> bytes:
    return json.dumps(event).encode()


def told(invocation: Invocation) -> Any:
    return json.loads(invocation.payload)


def layer(aws: LocalAws, name: str, files: dict[str, str]) -> str:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for path, text in files.items():
            opened.writestr(path, text)
    made = aws.client("lambda").publish_layer_version(
        LayerName=name, Content={"ZipFile": archive.getvalue()}
    )
    return str(made["LayerVersionArn"])


# --- answers --------------------------------------------------------------------------------------


def test_a_process_serves_one_invocation_after_the_other(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    first, second = (aws.functions.invoke(function, b"{}") for _ in range(2))
    assert first.error is None
    assert told(first)["pid"] == told(second)["pid"]
    assert 29_000 < told(first)["left"] <= 30_000
    assert first.request_id != second.request_id


def test_text_and_non_ascii_characters_stay_what_they_are(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, "def handler(event, context):\n    return event\n")
    event = json.dumps({"name": "Zoë\n\u2028", "n": 1.5}, ensure_ascii=False, indent=1)
    assert told(aws.functions.invoke(function, event.encode())) == json.loads(event)
    assert told(aws.functions.invoke(function, '"ß"'.encode())) == "ß"
    answer = aws.client("lambda").invoke(FunctionName=name, Payload='"ß"'.encode())
    assert json.loads(answer["Payload"].read()) == "ß"


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"raise": "boom"}, "ValueError", "boom"),
        (
            {"return": "set"},
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        ({"exit": 3}, "Runtime.ExitError", "{} Error: Runtime exited with error: exit status 3"),
        ({"exit": 0}, "Runtime.ExitError", "{} Error: Runtime exited without providing a reason"),
        ({"sleep": 9}, "Sandbox.Timedout", "{} Error: Task timed out after 1.00 seconds"),
        (
            {"fill": SIX_MEGABYTES},
            "Function.ResponseSizeTooLarge",
            f"Response payload size exceeded maximum allowed payload size ({SIX_MEGABYTES} bytes).",
        ),
    ],
    ids=lambda value: str(value)[:12],
)
def test_errors_are_told_as_lambda_tells_them(
    aws: LocalAws, request: pytest.FixtureRequest, event: Any, kind: str, message: str
) -> None:
    name = f"errors-{abs(hash(request.node.name)) % 10_000}"
    function = make_function(aws, name, BODY, Timeout=1)
    invocation = aws.functions.invoke(function, payload(**event))
    assert invocation.error == "Unhandled"
    assert told(invocation)["errorType"] == kind
    assert told(invocation)["errorMessage"] == message.format(f"RequestId: {invocation.request_id}")
    assert aws.functions.invoke(function, b"{}").error is None, "the next one finds a process"


def test_an_exception_has_its_frames_and_leaves_the_process_be(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    before = told(aws.functions.invoke(function, b"{}"))["pid"]
    failed = told(aws.functions.invoke(function, payload(**{"raise": "boom"})))
    (frame,) = failed["stackTrace"]
    assert 'app.py", line 12, in handler\n    raise ValueError' in frame
    assert told(aws.functions.invoke(function, b"{}"))["pid"] == before


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("import nowhere", "Runtime.ImportModuleError", "Unable to import module 'app': No module"),
        ("def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("x = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("x = {}['y']", "KeyError", "'y'"),
    ],
)
def test_a_function_that_cannot_start_says_why(
    aws: LocalAws, code: str, kind: str, message: str
) -> None:
    function = make_function(aws, f"unable-{kind.replace('.', '-')}", code)
    invocation = aws.functions.invoke(function, b"{}")
    assert (invocation.error, told(invocation)["errorType"]) == ("Unhandled", kind)
    assert told(invocation)["errorMessage"].startswith(message)


def test_there_is_no_function(aws: LocalAws) -> None:
    arn = "arn:aws:lambda:eu-west-1:111122223333:function:nobody"
    with pytest.raises(LookupError, match=f"Function not found: {arn}"):
        aws.functions.invoke(arn, b"{}")


def test_a_request_over_six_megabytes_is_refused(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, "def handler(event, context):\n    return len(event)\n")
    fits = json.dumps("x" * (SIX_MEGABYTES - 2)).encode()
    assert told(aws.functions.invoke(function, fits)) == SIX_MEGABYTES - 2
    with pytest.raises(PayloadTooLarge, match="Request must be smaller than 6291456 bytes for the"):
        aws.functions.invoke(function, fits + b" ")
    with pytest.raises(ClientError) as refused:
        aws.client("lambda").invoke(FunctionName=name, Payload=fits + b" ")
    assert refused.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_large_events_are_passed_quickly(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, "def handler(event, context):\n    return len(event)\n")
    records = [{"data": "é" * 90, "n": n} for n in range(15_000)]
    event = json.dumps(records, ensure_ascii=False).encode()
    assert len(event) > 3_000_000
    aws.functions.invoke(function, b"[]")
    started = time.monotonic()
    aws.functions.invoke(function, event)
    assert time.monotonic() - started < 1.5  # about 0.1 s on a machine that does nothing else


# --- at once --------------------------------------------------------------------------------------


def invoke_at_once(aws: LocalAws, function: str, count: int, **event: Any) -> list[Any]:
    found: list[Any] = []

    def one() -> None:
        try:
            found.append(told(aws.functions.invoke(function, payload(**event))))
        except ThrottledError as error:
            found.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_invocations_at_once_have_a_process_each(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    found = invoke_at_once(aws, function, 3, sleep=0.5)
    assert len({each["pid"] for each in found}) == 3


def test_reserved_concurrency_is_all_there_is(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    aws.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    found = invoke_at_once(aws, function, 3, sleep=1.0)
    throttled = [each for each in found if isinstance(each, ThrottledError)]
    assert [str(each) for each in throttled] == ["Rate Exceeded."] * 2
    assert "pid" in told(aws.functions.invoke(function, b"{}")), "one after the other is allowed"
    aws.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="Rate Exceeded"):
        aws.client("lambda").invoke(FunctionName=name)


# --- crashes --------------------------------------------------------------------------------------

LEAVES_A_TRACE = """
import pathlib, time

def handler(event, context):
    folder = pathlib.Path(event["folder"])
    (folder / "began").touch()
    time.sleep(event["seconds"])
    (folder / "ended").touch()
"""


def test_a_crash_comes_about_halfway(aws: LocalAws, name: str, tmp_path: Any) -> None:
    function = make_function(aws, name, LEAVES_A_TRACE)
    event = {"folder": str(tmp_path), "seconds": 0.6}
    for _ in range(3):  # from here on it is known how long an invocation takes
        aws.functions.invoke(function, payload(**event))
    for each in tmp_path.iterdir():
        each.unlink()
    crashed = aws.functions.invoke(function, payload(**event), crash=True)
    assert [each.name for each in tmp_path.iterdir()] == ["began"]
    assert crashed.error == "Unhandled"
    assert told(crashed) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {crashed.request_id} Error: Runtime exited with error: "
        "signal: killed",
    }
    assert aws.functions.invoke(function, payload(**event)).error is None


def test_what_ends_before_its_crash_crashes_all_the_same(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    before = told(aws.functions.invoke(function, payload(sleep=0.5)))["pid"]
    crashed = aws.functions.invoke(function, b"{}", crash=True)
    assert told(crashed)["errorType"] == "Runtime.ExitError"
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


# --- updates, layers, logs ------------------------------------------------------------------------

READS_ITS_LAYER = """
import importlib.resources, os
import shared

def handler(event, context):
    flow = importlib.resources.files("ferry_flow").joinpath("flow.json").read_text()
    return {"flow": flow, "stage": os.environ.get("STAGE"), "shared": shared.WHO}
"""


def test_a_layer_is_found_and_an_update_brings_the_next_one(aws: LocalAws, name: str) -> None:
    lambda_ = aws.client("lambda")
    flow, shared = "python/ferry_flow/flow.json", {"python/shared.py": "WHO = 'layer'\n"}
    first = layer(aws, f"{name}-flow", {flow: '{"version": 1}'})
    common = layer(aws, f"{name}-shared", shared)
    function = make_function(aws, name, READS_ITS_LAYER, Layers=[first, common])
    before = told(aws.functions.invoke(function, b"{}"))
    assert (before["flow"], before["shared"]) == ('{"version": 1}', "layer")
    second = layer(aws, f"{name}-flow", {flow: '{"version": 2}'})
    lambda_.update_function_configuration(
        FunctionName=name, Layers=[second, common], Environment={"Variables": {"STAGE": "two"}}
    )
    after = told(aws.functions.invoke(function, b"{}"))
    assert (after["flow"], after["stage"]) == ('{"version": 2}', "two")


def test_a_function_keeps_a_layer_that_is_deleted(aws: LocalAws, name: str) -> None:
    first = layer(aws, name, {"python/ferry_flow/flow.json": "1", "python/shared.py": "WHO = 1"})
    function = make_function(aws, name, READS_ITS_LAYER, Layers=[first])
    aws.client("lambda").delete_layer_version(LayerName=name, VersionNumber=1)
    assert told(aws.functions.invoke(function, b"{}"))["flow"] == "1"
    with pytest.raises(ClientError, match="does not exist"):
        aws.client("lambda").update_function_configuration(FunctionName=name, Layers=[first])


def test_the_functions_own_modules_come_before_those_of_a_layer(aws: LocalAws, name: str) -> None:
    of_layer = layer(
        aws, name, {"python/app.py": "def handler(event, context):\n    return 'layer'"}
    )
    code = "def handler(event, context):\n    return 'own'\n"
    function = make_function(aws, name, code, Layers=[of_layer])
    assert json.loads(aws.functions.invoke(function, b"{}").payload) == "own"


def test_a_running_invocation_ends_with_the_code_it_began_with(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    found: list[Invocation] = []
    thread = threading.Thread(
        target=lambda: found.append(aws.functions.invoke(function, payload(sleep=1.5)))
    )
    thread.start()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("app.py", "def handler(event, context):\n    return 'new'\n")
    while not aws.functions.running(name):
        time.sleep(0.01)
    aws.client("lambda").update_function_code(FunctionName=name, ZipFile=archive.getvalue())
    assert json.loads(aws.functions.invoke(function, b"{}").payload) == "new"
    thread.join()
    assert "pid" in told(found[0])
    assert json.loads(aws.functions.invoke(function, b"{}").payload) == "new"


def test_what_a_function_prints_is_in_its_log_group(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    aws.functions.invoke(function, b"{}")
    aws.functions.invoke(function, payload(**{"raise": "boom"}))
    logs = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    lines = [each["message"] for each in logs]
    assert "worked" in lines
    assert "ValueError: boom" in lines
    assert not [line for line in lines if "\x00" in line]


def test_invocations_errors_and_throttles_are_counted(aws: LocalAws, name: str) -> None:
    function = make_function(aws, name, BODY)
    for event in ({}, {"raise": "boom"}):
        aws.functions.invoke(function, payload(**event))
    assert (metric(aws, name, "Invocations"), metric(aws, name, "Errors")) == (2, 1)


def metric(aws: LocalAws, function: str, name: str) -> float:
    now = time.time()
    found = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=name,
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - 600,
        EndTime=now + 60,
        Period=60,
        Statistics=["Sum"],
    )
    return float(sum(each["Sum"] for each in found["Datapoints"]))


# --- networks -----------------------------------------------------------------------------------

VPC = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


def test_a_function_in_a_vpc_has_a_role_that_makes_interfaces(aws: LocalAws, name: str) -> None:
    with pytest.raises(ClientError, match="have permissions to call CreateNetworkInterface on EC2"):
        make_function(aws, name, BODY, connects=False, VpcConfig=VPC)
    may = statement("ec2:*", "*")
    denied = {
        **may,
        "Effect": "Deny",
        "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": "arn:aws:lambda:*:*:function:*"}},
    }
    function = make_function(aws, f"{name}-2", BODY, may, denied, connects=False, VpcConfig=VPC)
    assert aws.functions.invoke(function, b"{}").error is None
    make_function(aws, f"{name}-3", BODY)
    with pytest.raises(ClientError, match="CreateNetworkInterface on EC2"):
        aws.client("lambda").update_function_configuration(FunctionName=f"{name}-3", VpcConfig=VPC)
