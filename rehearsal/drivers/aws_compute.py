"""Drivers of Step Functions state machines and Lambda functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from rehearsal.drivers.registry import Clouds, Created, DriverError, Inputs, driver


@driver(
    "aws:sfn/stateMachine:StateMachine",
    "name type definition roleArn loggingConfiguration tracingConfiguration tags tagsAll region",
)
def _state_machine(clouds: Clouds, inputs: Inputs) -> Created:
    arn = clouds.aws.client("stepfunctions").create_state_machine(
        name=inputs["name"],
        definition=inputs["definition"],
        roleArn=inputs["roleArn"],
        type=inputs.get("type", "STANDARD"),
    )["stateMachineArn"]
    return Created(arn, {**inputs, "arn": arn})


@driver(
    "aws:lambda/function:Function",
    "name description code handler runtime role timeout memorySize architectures environment "
    "tracingConfig loggingConfig sourceCodeHash tags tagsAll region",
)
def _function(clouds: Clouds, inputs: Inputs) -> Created:
    variables = inputs.get("environment", {}).get("variables", {})
    created = clouds.aws.client("lambda").create_function(
        FunctionName=inputs["name"],
        Runtime=inputs["runtime"],
        Role=inputs["role"],
        Handler=inputs["handler"],
        Code={"ZipFile": _archive_bytes(inputs["code"])},
        Timeout=int(inputs.get("timeout", 3)),
        MemorySize=int(inputs.get("memorySize", 128)),
        Architectures=list(inputs.get("architectures", ["x86_64"])),
        Environment={"Variables": variables},
        **_logging(inputs.get("loggingConfig", {})),
    )
    arn = created["FunctionArn"]
    return Created(inputs["name"], {**inputs, "arn": arn, "invokeArn": arn, "qualifiedArn": arn})


def _logging(config: Inputs) -> dict[str, Any]:
    names = {"logFormat": "LogFormat", "logGroup": "LogGroup"}
    wire = {names[key]: value for key, value in config.items() if key in names}
    return {"LoggingConfig": wire} if wire else {}


def _archive_bytes(code: Any) -> bytes:
    if not isinstance(code, pulumi.FileArchive):
        raise DriverError(f"code must be a FileArchive of a zip file, not {type(code).__name__}")
    path = Path(code.path)
    if not path.is_file():
        raise DriverError(f"{path} does not exist; build it with python -m handlers.package")
    return path.read_bytes()
