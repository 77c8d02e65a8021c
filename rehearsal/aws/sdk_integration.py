"""Task resources of Step Functions: AWS SDK integrations and the optimised ones of our routes.

Names follow the AWS SDK for Java 2, as in the service: a leading acronym is folded
(`DBClusterSnapshots` -> `DbClusterSnapshots`), an exception `...Fault` is called `...Exception`,
and an error that the service's model does not list is the service's base exception
(`Rds.RdsException`). Sources: https://docs.aws.amazon.com/step-functions/latest/dg/
supported-services-awssdk.html and the pages of the optimised integrations beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    ParamValidationError,
    ReadTimeoutError,
    UnknownServiceError,
)

from rehearsal.aws import limits
from rehearsal.aws.asl_interpreter import StateError, instant

ClientFactory = Callable[[str, Config], Any]

_SDK = re.compile(r"arn:aws:states:::aws-sdk:([a-z0-9]+):([A-Za-z0-9]+)")
_OPTIMISED = re.compile(r"arn:aws:states:::(events|sns|sqs|lambda):([A-Za-z]+)")

# Names of services in resource ARNs that differ from botocore's: the Java client's package name.
_BOTOCORE_NAMES = {
    "cloudwatchlogs": "logs",
    "eventbridge": "events",
    "secretsmanager": "secretsmanager",
    "sfn": "stepfunctions",
}
# Names of services in errors and causes, where they are not the capitalised package name.
_ERROR_NAMES = {
    "cloudwatchlogs": "CloudWatchLogs",
    "eventbridge": "EventBridge",
    "secretsmanager": "SecretsManager",
    "dynamodb": "DynamoDb",
}
_OPTIMISED_NAMES = {"events": "EventBridge", "sns": "SNS", "sqs": "SQS", "lambda": "Lambda"}
_OPTIMISED_ACTIONS = {
    "events": {"putEvents": "PutEvents"},
    "sns": {"publish": "Publish"},
    "sqs": {"sendMessage": "SendMessage"},
    "lambda": {"invoke": "Invoke"},
}


def sdk_name(member: str) -> str:
    """Return the name Step Functions uses for a member that the API's model calls *member*."""
    run = len(member) - len(member.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    if run < 2:
        return member[:1].upper() + member[1:]
    if run < len(member) and member[run].islower():
        run -= 1
    return member[0] + member[1:run].lower() + member[run:]


def error_name(service: str, code: str, modelled: Mapping[str, str]) -> str:
    """Return the error name of AWS error *code*; *modelled* maps wire codes to shape names."""
    prefix = _ERROR_NAMES.get(service, service[:1].upper() + service[1:])
    shape = modelled.get(code)
    if shape is None:
        return f"{prefix}.{prefix}Exception"
    name = sdk_name(shape)
    for ending in ("Fault", "Exception", "Error"):
        if name.endswith(ending) and name != ending:
            name = name[: -len(ending)]
            break
    return f"{prefix}.{name}Exception"


class SdkTasks:
    """Runs Task states against AWS APIs, with the credentials its client factory gives."""

    def __init__(self, client: ClientFactory, report: Callable[[str], None]) -> None:
        self._client = client
        self._report = report
        self._clients: dict[tuple[str, float | None], Any] = {}

    def run(self, resource: str, arguments: Any, timeout: float | None) -> Any:
        """Call the API that *resource* names and return its result as Step Functions shows it."""
        if resource.endswith((".waitForTaskToken", ".sync", ".sync:2")):
            raise _unsupported(resource, "its integration pattern is not supported here")
        if not isinstance(arguments, dict):
            raise StateError("States.Runtime", f"Arguments of {resource} are not a JSON object")
        try:
            if match := _SDK.fullmatch(resource):
                return self._sdk(match[1], match[2], arguments, timeout)
            match = _OPTIMISED.fullmatch(resource)
            if match and match[2] in _OPTIMISED_ACTIONS[match[1]]:
                return self._optimised(match[1], match[2], arguments, timeout)
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise StateError(
                "States.Timeout", f"{resource} took longer than {timeout} s"
            ) from error
        raise _unsupported(resource, "this resource is not supported here")

    def close(self) -> None:
        """Close the connections of the clients made here."""
        for client in self._clients.values():
            client.close()

    def _api(self, service: str, timeout: float | None) -> Any:
        key = (service, timeout)
        if key not in self._clients:
            # One attempt: the machine's own Retry is what is being rehearsed.
            config = Config(
                read_timeout=timeout or 900, retries={"total_max_attempts": 1, "mode": "standard"}
            )
            self._clients[key] = self._client(service, config)
        return self._clients[key]

    # --- AWS SDK integrations ----------------------------------------------------------------

    def _sdk(
        self, service: str, action: str, arguments: Mapping[str, Any], timeout: float | None
    ) -> Any:
        resource = f"arn:aws:states:::aws-sdk:{service}:{action}"
        try:
            client = self._api(_BOTOCORE_NAMES.get(service, service), timeout)
        except UnknownServiceError as error:
            raise _unsupported(resource, f"there is no service '{service}'") from error
        operations = {sdk_name(name): name for name in client.meta.service_model.operation_names}
        operation = operations.get(action[:1].upper() + action[1:])
        if operation is None or not action[:1].islower():
            raise _unsupported(resource, f"{service} has no action '{action}'")
        model = client.meta.service_model.operation_model(operation)
        parameters = _to_api(arguments, model.input_shape, resource, "Arguments")
        answer = self._call(client, operation, parameters, resource, service)
        answer.pop("ResponseMetadata", None)
        return _from_api(answer, model.output_shape)

    def _call(
        self, client: Any, operation: str, parameters: Any, resource: str, service: str
    ) -> dict[str, Any]:
        try:
            answer = client._make_api_call(operation, parameters)
        except ParamValidationError as error:
            raise StateError("States.Runtime", f"{resource}: {error}") from error
        except ClientError as error:
            name = error_name(service, _code(error), _modelled(client))
            raise StateError(name, _java_cause(error, name.split(".")[0])) from error
        return dict(answer)

    # --- optimised integrations --------------------------------------------------------------

    def _optimised(
        self, service: str, action: str, arguments: Mapping[str, Any], timeout: float | None
    ) -> Any:
        resource = f"arn:aws:states:::{service}:{action}"
        client = self._api(service, timeout)
        operation = _OPTIMISED_ACTIONS[service][action]
        model = client.meta.service_model.operation_model(operation)
        parameters = _json_text(service, arguments)
        parameters = _to_api(parameters, model.input_shape, resource, "Arguments")
        if service == "lambda":
            return self._invoke(client, parameters)
        try:
            answer = dict(client._make_api_call(operation, parameters))
        except ParamValidationError as error:
            raise StateError("States.Runtime", f"{resource}: {error}") from error
        except ClientError as error:
            name = _optimised_error(service, _code(error))
            raise StateError(name, _cause(error, _OPTIMISED_NAMES[service])) from error
        answer.pop("ResponseMetadata", None)
        result = _from_api(answer, model.output_shape)
        if result.get("FailedEntryCount"):
            # https://docs.aws.amazon.com/step-functions/latest/dg/connect-eventbridge.html
            raise StateError("EventBridge.FailedEntry", json.dumps(result))
        return result

    def _invoke(self, client: Any, parameters: dict[str, Any]) -> Any:
        name = parameters.get("FunctionName", "")
        parameters["Payload"] = json.dumps(parameters.get("Payload", {})).encode()
        self._check_size(len(parameters["Payload"]), name, "request")
        try:
            answer = dict(client._make_api_call("Invoke", parameters))
        except ParamValidationError as error:
            raise StateError("States.Runtime", f"lambda:invoke: {error}") from error
        except ClientError as error:
            code = _optimised_error("lambda", _code(error))
            raise StateError(code, _cause(error, "AWSLambda")) from error
        body = answer["Payload"].read()
        self._check_size(len(body), name, "response")
        payload = json.loads(body) if body else None
        if answer.get("FunctionError"):
            # https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html: the
            # function's own errorType is the error, its JSON the cause.
            kind = payload.get("errorType") if isinstance(payload, dict) else None
            raise StateError(str(kind or "Lambda.Unknown"), json.dumps(payload))
        return {
            "ExecutedVersion": answer.get("ExecutedVersion", "$LATEST"),
            "Payload": payload,
            "StatusCode": answer.get("StatusCode", 200),
        }

    def _check_size(self, size: int, function: str, direction: str) -> None:
        try:
            limits.check_lambda_payload(size, function, direction)
        except limits.LimitError as error:
            self._report(str(error))
            raise StateError("States.DataLimitExceeded", str(error)) from error


def _unsupported(resource: str, why: str) -> StateError:
    return StateError("States.Runtime", f"the Resource '{resource}' cannot be played: {why}")


def _json_text(service: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Write the members in which the optimised integrations take JSON where the API takes text."""
    taken = dict(arguments)
    if service == "events":
        taken["Entries"] = [
            {**entry, "Detail": _text(entry["Detail"])} if "Detail" in entry else entry
            for entry in taken.get("Entries", [])
        ]
    if service == "sns" and "Message" in taken:
        taken["Message"] = _text(taken["Message"])
    if service == "sqs" and "MessageBody" in taken:
        taken["MessageBody"] = _text(taken["MessageBody"])
    return taken


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _optimised_error(service: str, code: str) -> str:
    if service == "lambda" and code == "AccessDeniedException":
        return "Lambda.AWSLambdaException"
    if service == "lambda" and code == "TooManyRequestsException":
        return "Lambda.TooManyRequestsException"
    name = code if code.endswith("Exception") else f"{code}Exception"
    return f"{_OPTIMISED_NAMES[service]}.{name}"


def _modelled(client: Any) -> dict[str, str]:
    return {
        str(shape.error_code): str(shape.name) for shape in client.meta.service_model.error_shapes
    }


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", "Unknown"))


def _java_cause(error: ClientError, service: str) -> str:
    """Return the message the Java SDK gives an exception; the wire code is not part of it."""
    meta = error.response.get("ResponseMetadata", {})
    return (
        f"{error.response['Error'].get('Message', '')} (Service: {service}, "
        f"Status Code: {meta.get('HTTPStatusCode', 400)}, Request ID: {meta.get('RequestId', '')})"
    )


def _cause(error: ClientError, service: str) -> str:
    """Return the older form of cause, with the code, that the optimised integrations give."""
    meta = error.response.get("ResponseMetadata", {})
    return (
        f"{error.response['Error'].get('Message', '')} (Service: {service}; "
        f"Status Code: {meta.get('HTTPStatusCode', 400)}; Error Code: {_code(error)}; "
        f"Request ID: {meta.get('RequestId', '')})"
    )


def _to_api(value: Any, shape: Any, resource: str, where: str) -> Any:
    """Rename the members of *value* from Step Functions' names to the API model's."""
    kind = getattr(shape, "type_name", None)
    if kind == "structure" and isinstance(value, Mapping):
        members = {sdk_name(name): name for name in shape.members}
        renamed = {}
        for name, item in value.items():
            if name not in members:
                raise StateError(
                    "States.Runtime",
                    f"{where} of {resource} has the unknown field '{name}'; known are "
                    f"{', '.join(sorted(members))}",
                )
            member = members[name]
            renamed[member] = _to_api(item, shape.members[member], resource, f"{where}/{name}")
        return renamed
    if kind == "list" and isinstance(value, list):
        return [_to_api(item, shape.member, resource, where) for item in value]
    if kind == "map" and isinstance(value, Mapping):
        return {key: _to_api(item, shape.value, resource, where) for key, item in value.items()}
    return value


def _from_api(value: Any, shape: Any) -> Any:
    """Rename the members of an answer to Step Functions' names and make it plain JSON."""
    kind = getattr(shape, "type_name", None)
    if kind == "structure" and isinstance(value, Mapping):
        return {
            sdk_name(name): _from_api(item, shape.members.get(name))
            for name, item in value.items()
            if item is not None
        }
    if kind == "list" and isinstance(value, list):
        return [_from_api(item, shape.member) for item in value]
    if kind == "map" and isinstance(value, Mapping):
        return {key: _from_api(item, shape.value) for key, item in value.items()}
    if isinstance(value, datetime):
        return instant(value.astimezone(timezone.utc))
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
