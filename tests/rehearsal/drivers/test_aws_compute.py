"""State machines and functions live and die as their drivers say."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pulumi
import pytest

from rehearsal import drivers
from rehearsal.drivers import Clouds, DriverError, registry
from rehearsal.drivers.aws_compute import archive_bytes
from tests.rehearsal.drivers.lifecycle import Life, live

MACHINE, FUNCTION = "aws:sfn/stateMachine:StateMachine", "aws:lambda/function:Function"
GROUP = "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/vendedlogs/states/life:*"


def roles(service: str, **names: str):
    """Make roles that *service* may assume: the first is given to the resource."""

    def make(clouds: Clouds) -> dict[str, str]:
        return {key: a_role(clouds, name, service) for key, name in names.items()}

    return make


def a_role(clouds: Clouds, name: str, service: str) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        ],
    }
    iam = clouds.aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return str(role["Role"]["Arn"])


def definition(comment: str) -> str:
    document = {"Comment": comment, "StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    return json.dumps(document, indent=2)


def change_definition(clouds: Clouds, arn: str) -> None:
    clouds.aws.client("stepfunctions").update_state_machine(
        stateMachineArn=arn,
        definition=definition("by hand"),
        tracingConfiguration={"enabled": False},
    )


def machine_life(clouds: Clouds) -> Life:
    other = a_role(clouds, "life-machine-2", "states.amazonaws.com")
    return Life(
        MACHINE,
        {
            "name": "life-machine",
            "type": "STANDARD",
            "definition": definition("first"),
            "loggingConfiguration": {
                "level": "ERROR",
                "includeExecutionData": False,
                "logDestination": GROUP,
            },
            "tracingConfiguration": {"enabled": True},
            "tags": {"team": "data"},
        },
        before=roles("states.amazonaws.com", roleArn="life-machine"),
        updates=[
            {"definition": definition("second"), "roleArn": other},
            {"tracingConfiguration": None},
            {"loggingConfiguration": {"level": "ALL", "includeExecutionData": True}},
            {
                "loggingConfiguration": {
                    "level": "FATAL",
                    "includeExecutionData": True,
                    "logDestination": f"{GROUP}2",
                }
            },
            {"loggingConfiguration": None},
            {"tracingConfiguration": {"enabled": True}},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=change_definition,
        drift={
            "definition": definition("by hand"),
            "tracingConfiguration": {"enabled": False},
        },
    )


def zipped(path: Path, source: str) -> Path:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", source)
    path.write_bytes(content.getvalue())
    return path


def layer(clouds: Clouds, name: str) -> str:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("python/one.py", "one = 1")
    made = clouds.aws.client("lambda").publish_layer_version(
        LayerName=name, Content={"ZipFile": content.getvalue()}
    )
    return str(made["LayerVersionArn"])


def digest(path: Path) -> str:
    return base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()


def wire(path: Path) -> dict[str, str]:
    """An archive as the engine hands it to a provider."""
    return {
        "4dabf18193072939515e22adb298388d": "0def7320c3a5731c473e5ecbe6d01bc7",
        "hash": hashlib.sha256(path.read_bytes()).hexdigest(),
        "path": str(path),
    }


def function_life(clouds: Clouds, folder: Path) -> Life:
    first = zipped(folder / "first.zip", "def handler(event, context): return 1")
    second = zipped(folder / "second.zip", "def handler(event, context): return 2")
    other = a_role(clouds, "life-function-2", "lambda.amazonaws.com")
    interfaces = {"Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}
    clouds.aws.client("iam").put_role_policy(
        RoleName="life-function-2", PolicyName="vpc", PolicyDocument=json.dumps(interfaces)
    )
    return Life(
        FUNCTION,
        {
            "name": "life-function",
            "code": pulumi.FileArchive(str(first)),
            "handler": "app.handler",
            "runtime": "python3.12",
            "architectures": ["arm64"],
            "memorySize": 512,
            "timeout": 60,
            "environment": {"variables": {"STAGE": "one"}},
            "tags": {"team": "data"},
        },
        before=roles("lambda.amazonaws.com", role="life-function"),
        updates=[
            {"code": wire(second), "sourceCodeHash": digest(second)},
            {"description": "Loads", "handler": "app.other", "runtime": "python3.13"},
            {"role": other, "timeout": 30.0, "memorySize": 256},
            {"environment": {"variables": {"STAGE": "two", "MORE": ""}}},
            {"architectures": None},
            {"architectures": ["arm64"]},
            {"tracingConfig": {"mode": "Active"}},
            {"loggingConfig": {"logFormat": "JSON", "logGroup": "/mine", "systemLogLevel": "WARN"}},
            {"loggingConfig": {"logFormat": "JSON"}, "tracingConfig": None},
            {"loggingConfig": None, "description": None, "timeout": None, "memorySize": None},
            {"environment": None},
            {"layers": [layer(clouds, "life-one"), layer(clouds, "life-two")]},
            {"vpcConfig": {"subnetIds": ["subnet-2", "subnet-1"], "securityGroupIds": ["sg-1"]}},
            {"reservedConcurrentExecutions": 5},
            {"layers": None, "reservedConcurrentExecutions": 0},
            {"deadLetterConfig": {"targetArn": "arn:aws:sqs:eu-west-1:111122223333:dead"}},
            {"vpcConfig": None, "reservedConcurrentExecutions": None, "deadLetterConfig": None},
            {"tags": {"team": "web", "stage": "stg"}},
            {"tags": None},
        ],
        by_hand=lambda clouds, name: clouds.aws.client("lambda").update_function_configuration(
            FunctionName=name, Timeout=900, Environment={"Variables": {"BY": "hand"}}
        ),
        drift={"timeout": 900, "environment": {"variables": {"BY": "hand"}}},
        # Pulumi's own; what Lambda has is the output codeSha256.
        unread=frozenset({"code", "sourceCodeHash"}),
    )


def test_the_life_of_a_machine(clouds: Clouds) -> None:
    live(clouds, machine_life(clouds))


def test_the_life_of_a_function(clouds: Clouds, tmp_path: Path) -> None:
    live(clouds, function_life(clouds, tmp_path))


def small_function(clouds: Clouds, name: str, path: Path) -> dict[str, object]:
    return {
        "name": name,
        "code": wire(path),
        "handler": "app.handler",
        "runtime": "python3.12",
        "role": a_role(clouds, name, "lambda.amazonaws.com"),
    }


def test_new_code_is_sent_and_seen(clouds: Clouds, tmp_path: Path) -> None:
    path = zipped(tmp_path / "code.zip", "one = 1")
    inputs = small_function(clouds, "recoded", path)
    made = drivers.create(clouds, FUNCTION, "it", inputs)
    assert made.outputs["codeSha256"] == digest(path)
    zipped(path, "two = 2")
    changed = registry.update(
        clouds, FUNCTION, "it", made.id, {**inputs, "code": wire(path)}, made.outputs
    )
    assert changed["codeSha256"] == digest(path)
    assert registry.read(clouds, FUNCTION, "it", made.id, changed) == changed

    by_hand = zipped(tmp_path / "hand.zip", "three = 3")
    clouds.aws.client("lambda").update_function_code(
        FunctionName="recoded", ZipFile=by_hand.read_bytes()
    )
    drifted = registry.read(clouds, FUNCTION, "it", made.id, changed)
    assert drifted == {**changed, "codeSha256": digest(by_hand)}
    restored = registry.update(clouds, FUNCTION, "it", made.id, inputs, drifted)
    assert restored["codeSha256"] == digest(path)
    registry.delete(clouds, FUNCTION, "it", made.id, restored)


def test_an_update_that_leaves_the_code_alone_does_not_send_it(
    clouds: Clouds, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "code.zip", "one = 1")
    inputs = small_function(clouds, "untouched", path)
    known = drivers.create(clouds, FUNCTION, "it", inputs).outputs
    functions = clouds.aws.client("lambda")
    sent: list[str] = []

    class Counting:
        account, region = clouds.aws.account, clouds.aws.region

        def client(self, service):
            client = clouds.aws.client(service)
            client.meta.events.register(
                "before-call.lambda.UpdateFunctionCode", lambda **_: sent.append(service)
            )
            return client

    counting = drivers.Clouds(Counting(), clouds.google)
    known = registry.update(counting, FUNCTION, "it", "untouched", {**inputs, "timeout": 9}, known)
    assert sent == []
    registry.update(
        counting, FUNCTION, "it", "untouched", {**inputs, "sourceCodeHash": "mine"}, known
    )
    assert sent == ["lambda"]
    functions.delete_function(FunctionName="untouched")


def test_a_function_gets_no_role_that_lambda_cannot_assume(clouds: Clouds, tmp_path: Path) -> None:
    path = zipped(tmp_path / "code.zip", "one = 1")
    inputs = small_function(clouds, "unassumable", path)
    made = drivers.create(clouds, FUNCTION, "it", inputs)
    wrong = a_role(clouds, "for-states", "states.amazonaws.com")
    with pytest.raises(DriverError, match=r"cannot be assumed by Lambda"):
        registry.update(clouds, FUNCTION, "it", made.id, {**inputs, "role": wrong}, made.outputs)
    assert registry.read(clouds, FUNCTION, "it", made.id, made.outputs) == made.outputs
    registry.delete(clouds, FUNCTION, "it", made.id, made.outputs)


def test_a_machine_of_the_default_type_says_so_on_import_only(clouds: Clouds) -> None:
    inputs = {
        "name": "plain",
        "definition": definition("plain"),
        "roleArn": a_role(clouds, "plain-machine", "states.amazonaws.com"),
    }
    made = drivers.create(clouds, MACHINE, "it", inputs)
    assert registry.read(clouds, MACHINE, "it", made.id, made.outputs) == made.outputs
    imported = registry.read(clouds, MACHINE, "it", made.id, {})
    assert imported is not None
    assert imported.keys() - made.outputs.keys() == {"type"}
    registry.delete(clouds, MACHINE, "it", made.id, made.outputs)


def test_an_archive_comes_from_the_sdk_or_from_the_engine(tmp_path: Path) -> None:
    path = zipped(tmp_path / "code.zip", "one = 1")
    assert archive_bytes(pulumi.FileArchive(str(path))) == path.read_bytes()
    assert archive_bytes(wire(path)) == path.read_bytes()


@pytest.mark.parametrize(
    "code",
    [
        pulumi.AssetArchive({}),
        {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": "x"},
        {"4dabf18193072939515e22adb298388d": "0def7320c3a5731c473e5ecbe6d01bc7", "assets": {}},
        "x.zip",
    ],
)
def test_what_is_no_file_archive_is_refused(code: object) -> None:
    with pytest.raises(DriverError, match="code must be a FileArchive of a zip file, not "):
        archive_bytes(code)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "load.zip"
    known = {"4dabf18193072939515e22adb298388d": "0def7320c3a5731c473e5ecbe6d01bc7"}
    for code in (pulumi.FileArchive(str(missing)), {**known, "path": str(missing)}):
        with pytest.raises(DriverError, match=r"load\.zip does not exist; build it with"):
            archive_bytes(code)
