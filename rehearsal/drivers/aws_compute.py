"""Drivers of Step Functions state machines and Lambda functions."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pulumi

from rehearsal.drivers.aws_shapes import (
    Names,
    as_read,
    fields,
    properties,
    same_document,
    same_set,
)
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    Driver,
    DriverError,
    Inputs,
    Outputs,
    driver,
)
from rehearsal.drivers.wire import aws_tags, change_tags, from_aws_tags, or_none

_NO_MACHINE = "StateMachineDoesNotExist"

_MACHINE: Names = {
    "definition": "definition",
    "roleArn": "roleArn",
    "tracingConfiguration": ("tracingConfiguration", {"enabled": "enabled"}),
}
_LOGGING: Names = {
    "level": "level",
    "includeExecutionData": "includeExecutionData",
    "logDestination": "logDestination",
}
_MACHINE_DEFAULTS: dict[str, Any] = {
    "type": "STANDARD",
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
    "tags": {},
}


@driver
class StateMachine(Driver):
    """A state machine."""

    token = "aws:sfn/stateMachine:StateMachine"  # noqa: S105  # a type token
    required = "name definition roleArn"
    optional = "type loggingConfiguration tracingConfiguration tags region"
    replace_on = "name type region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the machine."""
        arn = clouds.aws.client("stepfunctions").create_state_machine(
            name=inputs["name"],
            type=inputs.get("type", "STANDARD"),
            tags=aws_tags(inputs.get("tags", {}), "key", "value"),
            **self._wire(inputs),
        )["stateMachineArn"]
        return Created(arn, {**inputs, "arn": arn})

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read the machine and its tags."""
        states = clouds.aws.client("stepfunctions")
        machine = or_none(states.describe_state_machine, _NO_MACHINE, stateMachineArn=identifier)
        if machine is None:
            return None
        tags = states.list_tags_for_resource(resourceArn=identifier)["tags"]
        seen = {
            **properties({"name": "name", "type": "type", **_MACHINE}, machine),
            "definition": same_document(known.get("definition"), machine["definition"]),
            "loggingConfiguration": _logging_seen(machine["loggingConfiguration"]),
            "tags": from_aws_tags(tags, "key", "value"),
        }
        # An import tells the type even where it is the default one: a program that mentions it
        # would replace a machine that does not.
        defaults = _MACHINE_DEFAULTS if known else {**_MACHINE_DEFAULTS, "type": None}
        told = (*_MACHINE, "name", "type", "loggingConfiguration", "tags")
        return {**as_read(known, told, seen, defaults), "arn": identifier}

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Update the machine, and its tags."""
        states = clouds.aws.client("stepfunctions")
        states.update_state_machine(stateMachineArn=identifier, **self._wire(inputs))
        change_tags(
            known.get("tags", {}),
            inputs.get("tags", {}),
            lambda gone: states.untag_resource(resourceArn=identifier, tagKeys=gone),
            lambda tags: states.tag_resource(
                resourceArn=identifier, tags=aws_tags(tags, "key", "value")
            ),
        )
        return {**inputs, "arn": identifier}

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the machine."""
        states = clouds.aws.client("stepfunctions")
        or_none(states.delete_state_machine, _NO_MACHINE, stateMachineArn=identifier)

    @staticmethod
    def _wire(inputs: Inputs) -> dict[str, Any]:
        given = {**_MACHINE_DEFAULTS, **inputs}
        logging = fields({"logging": ("logging", _LOGGING)}, {"logging": _logging_of(given)})
        return {**fields(_MACHINE, given), "loggingConfiguration": _destined(logging["logging"])}


def _logging_of(inputs: Inputs) -> Inputs:
    """Return the logging with the values that were left out: AWS would refuse none at all."""
    return {**_MACHINE_DEFAULTS["loggingConfiguration"], **inputs["loggingConfiguration"]}


def _destined(logging: dict[str, Any]) -> dict[str, Any]:
    """Put the one log group where the API has a list of destinations."""
    group = logging.pop("logDestination", None)
    if group:
        logging["destinations"] = [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]
    return logging


def _logging_seen(logging: Inputs) -> Outputs:
    seen = properties(_LOGGING, logging)
    for destination in logging.get("destinations", []):
        seen["logDestination"] = destination["cloudWatchLogsLogGroup"]["logGroupArn"]
    return seen


_NO_FUNCTION = "ResourceNotFoundException"

_FUNCTION: Names = {
    "description": "Description",
    "handler": "Handler",
    "runtime": "Runtime",
    "role": "Role",
    "timeout": "Timeout",
    "memorySize": "MemorySize",
    "environment": ("Environment", {"variables": "Variables"}),
    "layers": "Layers",
    "vpcConfig": (
        "VpcConfig",
        {"subnetIds": "SubnetIds", "securityGroupIds": "SecurityGroupIds"},
    ),
    "deadLetterConfig": ("DeadLetterConfig", {"targetArn": "TargetArn"}),
    "tracingConfig": ("TracingConfig", {"mode": "Mode"}),
    "loggingConfig": (
        "LoggingConfig",
        {
            "logFormat": "LogFormat",
            "logGroup": "LogGroup",
            "applicationLogLevel": "ApplicationLogLevel",
            "systemLogLevel": "SystemLogLevel",
        },
    ),
}
# What Lambda tells, beside what its configuration takes.
_FUNCTION_TOLD: Names = {"name": "FunctionName", "architectures": "Architectures", **_FUNCTION}


def _function_defaults(name: str) -> dict[str, Any]:
    return {
        "description": "",
        "timeout": 3,
        "memorySize": 128,
        "architectures": ["x86_64"],
        "environment": {"variables": {}},
        "layers": [],
        "vpcConfig": {"subnetIds": [], "securityGroupIds": []},
        "deadLetterConfig": {"targetArn": ""},
        "reservedConcurrentExecutions": -1,
        "tracingConfig": {"mode": "PassThrough"},
        "loggingConfig": {"logFormat": "Text", "logGroup": f"/aws/lambda/{name}"},
        "tags": {},
    }


@driver
class Function(Driver):
    """A function from a zip file.

    `code` is known to Pulumi only. So is `sourceCodeHash`, to the official provider "a synthetic
    argument" of the user's choice: a new one sends the code again. What Lambda has is the output
    `codeSha256`.
    """

    token = "aws:lambda/function:Function"  # noqa: S105
    required = "name code handler runtime role"
    optional = (
        "description timeout memorySize architectures environment layers vpcConfig "
        "deadLetterConfig reservedConcurrentExecutions tracingConfig loggingConfig sourceCodeHash "
        "tags region"
    )
    replace_on = "name region"
    autonamed = "name"

    def create(self, clouds: Clouds, inputs: Inputs) -> Created:
        """Make the function; the concurrency it may have has a call of its own."""
        given = {**_function_defaults(inputs["name"]), **inputs}
        functions = clouds.aws.client("lambda")
        created = functions.create_function(
            FunctionName=inputs["name"],
            Code={"ZipFile": archive_bytes(inputs["code"])},
            Architectures=given["architectures"],
            Tags=given["tags"],
            **fields(_FUNCTION, given),
        )
        if given["reservedConcurrentExecutions"] >= 0:
            _reserve(functions, inputs["name"], given)
        return Created(inputs["name"], self._outputs(inputs, created))

    def read(self, clouds: Clouds, identifier: str, known: Inputs) -> Outputs | None:
        """Read configuration and tags."""
        answer = or_none(
            clouds.aws.client("lambda").get_function, _NO_FUNCTION, FunctionName=identifier
        )
        if answer is None:
            return None
        configuration = answer["Configuration"]
        concurrency = answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1)
        seen = {
            **properties(_FUNCTION_TOLD, configuration),
            "layers": [layer["Arn"] for layer in configuration.get("Layers", [])],
            "reservedConcurrentExecutions": concurrency,
            "tags": answer.get("Tags", {}),
        }
        for key in ("subnetIds", "securityGroupIds"):
            if "vpcConfig" in seen:
                before = (known.get("vpcConfig") or {}).get(key)
                seen["vpcConfig"][key] = same_set(before, seen["vpcConfig"][key])
        kinds = (*_FUNCTION_TOLD, "reservedConcurrentExecutions", "tags")
        told = as_read(known, kinds, seen, _function_defaults(identifier))
        return self._outputs(told, configuration)

    def update(self, clouds: Clouds, identifier: str, inputs: Inputs, known: Inputs) -> Outputs:
        """Update the configuration, the code where it is another one, and the tags."""
        functions = clouds.aws.client("lambda")
        given = {**_function_defaults(identifier), **inputs}
        configuration = functions.update_function_configuration(
            FunctionName=identifier, **fields(_FUNCTION, given)
        )
        code = archive_bytes(inputs["code"])
        if self._is_new(code, inputs, known):
            configuration = functions.update_function_code(
                FunctionName=identifier, ZipFile=code, Architectures=given["architectures"]
            )
        if known.get("reservedConcurrentExecutions") != inputs.get("reservedConcurrentExecutions"):
            _reserve(functions, identifier, given)
        arn = configuration["FunctionArn"]
        change_tags(
            known.get("tags", {}),
            given["tags"],
            lambda gone: functions.untag_resource(Resource=arn, TagKeys=gone),
            lambda tags: functions.tag_resource(Resource=arn, Tags=tags),
        )
        return self._outputs(inputs, configuration)

    def delete(self, clouds: Clouds, identifier: str, known: Inputs) -> None:
        """Delete the function."""
        functions = clouds.aws.client("lambda")
        or_none(functions.delete_function, _NO_FUNCTION, FunctionName=identifier)

    @staticmethod
    def _is_new(code: bytes, inputs: Inputs, known: Inputs) -> bool:
        """Whether to send the code; the processor is a property of the code to Lambda."""
        digest = base64.b64encode(hashlib.sha256(code).digest()).decode()
        return digest != known.get("codeSha256") or any(
            inputs.get(key) != known.get(key) for key in ("sourceCodeHash", "architectures")
        )

    @staticmethod
    def _outputs(inputs: Inputs, configuration: Inputs) -> Outputs:
        arn = configuration["FunctionArn"]
        return {
            **inputs,
            "arn": arn,
            "invokeArn": arn,
            "qualifiedArn": arn,
            "codeSha256": configuration["CodeSha256"],
        }


def _reserve(functions: Any, name: str, inputs: Inputs) -> None:
    """Reserve concurrency for a function; -1 reserves none."""
    reserved = int(inputs["reservedConcurrentExecutions"])
    if reserved < 0:
        functions.delete_function_concurrency(FunctionName=name)
    else:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)


# How the engine marks an archive among plain values: pulumi's sdk/go/common/resource/sig.
SIGNATURE, ARCHIVE = "4dabf18193072939515e22adb298388d", "0def7320c3a5731c473e5ecbe6d01bc7"


def archive_bytes(code: Any) -> bytes:
    """Return the zip file that *code* names: an archive of the SDK, or one as the engine has it."""
    path = _archive_path(code)
    if path is None:
        raise DriverError(f"code must be a FileArchive of a zip file, not {type(code).__name__}")
    if not path.is_file():
        raise DriverError(f"{path} does not exist; build it with python -m handlers.package")
    return path.read_bytes()


def _archive_path(code: Any) -> Path | None:
    if isinstance(code, pulumi.FileArchive):
        return Path(code.path)
    if isinstance(code, dict) and code.get(SIGNATURE) == ARCHIVE and code.get("path"):
        return Path(code["path"])
    return None
