"""The local AWS: ministack in this process, made to refuse what AWS refuses.

    with LocalAws("eu-west-1") as aws:
        aws.client("s3").create_bucket(...)

What it does not rehearse: billing, CloudTrail, other accounts and Regions, services that no route
uses. Schedules never fire by the clock, only by `fire_schedule`, so that a rehearsal plays the same
at any hour.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime, timezone
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config

from rehearsal.aws import limits
from rehearsal.aws.access import Access
from rehearsal.aws.aurora import security_groups
from rehearsal.aws.aurora.surroundings import Surroundings as AuroraSurroundings
from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.aws.emulator import Emulator, Server
from rehearsal.aws.event_delivery import Deliveries, allowing_none
from rehearsal.aws.event_sources import EventSources
from rehearsal.aws.event_sources.stream_records import StreamRecords
from rehearsal.aws.event_sources.surroundings import Surroundings
from rehearsal.aws.firehose import LocalFirehose
from rehearsal.aws.functions import TOO_LARGE, Functions
from rehearsal.aws.guard import Guard, Handler, Refused, Response, query_error
from rehearsal.aws.iam_actions import EXPORT_SERVICE, Actions, Request, Requirement
from rehearsal.aws.lambda_worker import Processes
from rehearsal.aws.object_events import ObjectEvents
from rehearsal.aws.principals import DEPLOYER_KEY, Credentials, Encryptions, Principals
from rehearsal.aws.seams import Seams
from rehearsal.aws.step_functions import ExecutionRecord, StepFunctions

if TYPE_CHECKING:
    from rehearsal.aws.rds import LocalRds

ACCOUNT = "111122223333"
LAMBDA_SERVICE = "lambda.amazonaws.com"

RdsFactory = Callable[..., Any]

_GIVES_ROLE = re.compile(r"/\d{4}-\d{2}-\d{2}/functions/?(?:(?P<name>[^/]+)/configuration)?")
_CONNECTS_TO_VPC = (
    "CreateNetworkInterface",
    "DescribeNetworkInterfaces",
    "DescribeSubnets",
    "DeleteNetworkInterface",
    "AssignPrivateIpAddresses",
    "UnassignPrivateIpAddresses",
)
_GIVES_CODE = re.compile(r"/\d{4}-\d{2}-\d{2}/functions/[^/]+/code")
_running = threading.Lock()


class LocalAws:
    """One AWS account in one Region on 127.0.0.1; one at a time in a process."""

    rds: LocalRds

    def __init__(
        self,
        region: str,
        *,
        wait_scale: float = 0.002,
        environment: Mapping[str, str] = MappingProxyType({}),
        fault: Any = None,
        faults: DeliveryFaults | None = None,
        rds: RdsFactory | None = None,
        port: int = 0,
    ) -> None:
        """Describe the account; `start` brings it up.

        *wait_scale* shortens waits of state machines, Firehose's buffers and event source mappings;
        *environment* is added to the environment of Lambda processes and may be added to until the
        first one starts; *fault* is handed to the local RDS, and *rds* may build another one;
        *faults* are those of deliveries. *port* is where to listen, 0 for any free port.
        """
        self.region = region
        self.account = ACCOUNT
        self.problems: list[str] = []
        self.endpoint = ""
        self._wait_scale = wait_scale
        self.environment = dict(environment)
        self._fault = fault
        self.faults = faults or DeliveryFaults()
        self._rds_factory = rds
        self._port = port
        self._seams = Seams()

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the account up, empty."""
        if not _running.acquire(blocking=False):
            raise RuntimeError("a local AWS is already running in this process; stop it first")
        with ExitStack() as cleanup:
            cleanup.callback(_running.release)
            self._start(cleanup)
            self._cleanup = cleanup.pop_all()

    def _start(self, cleanup: ExitStack) -> None:
        self._emulator = Emulator(self.account, self.region)
        cleanup.enter_context(self._emulator.environment())
        cleanup.callback(self._emulator.reset)
        self._emulator.reset()
        self._server = Server(self._emulator.app.app, self._port)
        cleanup.callback(self._server.stop)
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self._principals = Principals(self._emulator)
        self._access = Access(self._principals)
        self._guard = self._make_guard()
        self._states = StepFunctions(
            self._emulator,
            self._principals,
            self._access,
            client=self._client,
            wait_scale=self._wait_scale,
            report=self._report,
        )
        self._deliveries = Deliveries(self._emulator, self._principals, self._access, self._report)
        self.rds = self._make_rds()
        self.firehose = self._make_firehose()
        cleanup.callback(self._seams.restore)
        cleanup.callback(self.firehose.join)  # when its functions have ended
        self._install(cleanup)
        self._server.start()
        cleanup.callback(self.rds.close)
        cleanup.callback(self._states.shut_down)
        cleanup.callback(self.firehose.close)

    def _make_guard(self) -> Guard:
        encryptions = Encryptions(self._emulator, self._principals)
        actions = Actions(self.account, self.region, self._principals, encryptions)
        return Guard(self._principals, self._access, actions, self._report, self._emulator.load)

    def _make_rds(self) -> Any:
        build = self._rds_factory
        if build is None:
            from rehearsal.aws.rds import LocalRds

            build = partial(
                LocalRds,
                role_exists=lambda role: self._principals.trust_policy(role) is not None,
                key_exists=lambda key: self._principals.key(key) is not None,
            )
        return build(
            account=self.account,
            region=self.region,
            s3=lambda: self.client("s3"),
            put_events=self._put_events,
            authorize=self.authorize,
            fault=self._fault,
            aurora=AuroraSurroundings(
                account=self.account,
                region=self.region,
                client=self.client,
                client_as=self._client_as,
                caller=self._principals.caller,
                authorize=self.authorize,
                report=self._report,
            ),
        )

    def _make_firehose(self) -> LocalFirehose:
        return LocalFirehose(
            self.account,
            self.region,
            self._principals,
            self._access,
            invoke=lambda arn, payload: self.functions.invoke(arn, payload),
            authorize=self.authorize,
            client=self._client,
            report=self._report,
            faults=self.faults,
            wait_scale=self._wait_scale,
        )

    def stop(self) -> None:
        """Abort what runs, forget everything, and end every process and thread started here."""
        self._cleanup.close()

    def __enter__(self) -> LocalAws:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- use --------------------------------------------------------------------------------

    def client(self, service: str) -> Any:
        """Return a boto3 client of *service* with the deployer's credentials."""
        deployer = Credentials(DEPLOYER_KEY, DEPLOYER_KEY, "")
        return self._client(service, Config(), deployer)

    def executions(self) -> list[ExecutionRecord]:
        """Return every execution of a state machine so far, in the order of their start."""
        return self._states.executions()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no state machine runs; False when one still does after *timeout* seconds."""
        return self._states.wait_idle(timeout)

    def repeat_last_event(self) -> None:
        """Deliver the last event of RDS that a rule took once more, under the same id.

        EventBridge delivers at least once; so must the route bear it.
        """
        event = self._deliveries.last_rds_event
        if event is None:
            raise LookupError("no rule has taken an event of RDS yet")
        with self._emulator.scope():
            self._emulator.eventbridge._dispatch_event(event)

    def fire_schedule(
        self, name: str, *, at: datetime | None = None, group: str = "default"
    ) -> None:
        """Fire an EventBridge Scheduler schedule, whatever its expression says.

        *at* is the scheduled time the target is told; the present when it is not given.
        """
        emulator = self._emulator
        with emulator.scope():
            schedule = emulator.scheduler._schedules.get(f"{group}/{name}")
            if schedule is None:
                raise KeyError(f"there is no schedule {group}/{name}")
            if schedule["State"] != "ENABLED":
                raise ValueError(f"the schedule {group}/{name} is {schedule['State']}")
            event = {
                "EventId": emulator.responses.new_uuid(),
                "Source": "aws.scheduler",
                "DetailType": "Scheduled Event",
                "Detail": "{}",
                "Time": (at or datetime.now(timezone.utc)).timestamp(),
                "Resources": [schedule["Arn"]],
                "Account": self.account,
                "Region": self.region,
            }
            emulator.eventbridge._invoke_target(schedule["Target"], event, schedule)

    def authorize(
        self, principal_arn: str, action: str, resource: str, context: Mapping[str, Any]
    ) -> None:
        """Return when a user or role may do *action*; PermissionError in AWS's words when not.

        The refusal is a problem of the rehearsal as well.
        """
        try:
            self._guard.authorize(principal_arn, Requirement(action, resource, context))
        except PermissionError as error:
            self._report(str(error))
            raise

    @property
    def log(self) -> list[str]:
        """Return the warnings and errors ministack logged."""
        return list(self._emulator.log)

    # --- inside -----------------------------------------------------------------------------

    def _report(self, line: str) -> None:
        """Note a problem, each wording once: a poll repeats what it runs into."""
        text = " ".join(line.split())
        if text not in self.problems:
            self.problems.append(text)

    def _install(self, cleanup: ExitStack) -> None:
        emulator = self._emulator
        handlers = emulator.app.SERVICE_HANDLERS
        object_events = ObjectEvents(emulator)
        object_events.install(self._seams)
        own = {
            "rds": self._with_rds,
            "states": self._states.wrap,
            "events": self._with_event_limits,
            "lambda": self._with_lambda_rules,
            "s3": object_events.wrap,
            "firehose": self.firehose.wrap,
        }
        for service, handler in list(handlers.items()):
            inner = own[service](handler) if service in own else handler
            self._seams.replace_item(handlers, service, self._guard.wrap(service, inner))
        self._seams.replace(
            emulator.app,
            "_handle_special_data_plane_request",
            self._deployer_only(emulator.app._handle_special_data_plane_request),
        )
        self._seams.replace(emulator.stepfunctions, "_run_execution", self._states.run)
        eventbridge, deliveries = emulator.eventbridge, self._deliveries
        self._seams.replace(eventbridge, "_invoke_target", deliveries.invoke_target)
        self._seams.replace(eventbridge, "_dispatch_to_stepfunctions", deliveries.start_execution)
        self._seams.replace(eventbridge, "_apply_input_transformer", deliveries.transform)
        checked = allowing_none(emulator.sqs._validate_redrive_policy)
        self._seams.replace(emulator.sqs, "_validate_redrive_policy", checked)
        self._install_functions(cleanup)
        security_groups.install(self._seams, emulator.module("ec2"))

    def _install_functions(self, cleanup: ExitStack) -> None:
        processes = Processes(
            role_of=self._role_of_function,
            credentials=self._principals.session,
            endpoint=self.endpoint,
            extra=self.environment,
        )
        cleanup.callback(processes.close)
        self.functions = Functions(self._emulator, processes)
        self.functions.install(self._seams)
        cleanup.callback(self.functions.close)
        self.event_sources = EventSources(
            Surroundings(
                self._emulator,
                self.functions,
                self._principals,
                self._access,
                StreamRecords(self._emulator),
                self._client_of_function,
                self.faults,
                self._wait_scale,
                self._report,
            )
        )
        self.event_sources.install(self._seams)
        cleanup.callback(self.event_sources.close)

    def _client_of_function(self, service: str, role: str, function_arn: str) -> Any:
        """Return a client with a function's role, which Lambda has to be let assume."""
        source = {"aws:SourceAccount": self.account, "aws:SourceArn": function_arn}
        return self._client_as(service, role, LAMBDA_SERVICE, source)

    def _with_rds(self, original: Handler) -> Handler:
        async def handle(
            method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any
        ) -> Response:
            form = Request("rds", method, path, headers, query_params, body).form
            if form.get("Action") == "StartExportTask":
                try:
                    self._check_export_role(form.get("IamRoleArn", ""))
                except PermissionError as error:
                    self._report(str(error))
                    return query_error(Refused("IamRoleMissingPermissions", str(error)), 400)
            response: Response = await self.rds.handle(
                method, path, headers, body, query_params, delegate=original
            )
            return response

        return handle

    def _check_export_role(self, role: str) -> None:
        if self._principals.trust_policy(role) is not None:
            self._access.assume(role, EXPORT_SERVICE, {"aws:SourceAccount": self.account})

    def _with_event_limits(self, original: Handler) -> Handler:
        async def handle(
            method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any
        ) -> Response:
            if headers.get("x-amz-target", "").endswith(".PutEvents"):
                entries = json.loads(body or b"{}").get("Entries", [])
                try:
                    limits.check_event_entries(entries)
                except limits.LimitError as error:
                    self._report(str(error))
                    refusal: Response = self._emulator.responses.error_response_json(
                        "ValidationException", str(error), 400
                    )
                    return refusal
            return await original(method, path, headers, body, query_params)

        return handle

    def _with_lambda_rules(self, original: Handler) -> Handler:
        async def handle(
            method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any
        ) -> Response:
            if path.endswith("/invocations") and len(body) > limits.LAMBDA_PAYLOAD_BYTES:
                too_large: Response = self._emulator.responses.error_response_json(
                    "RequestEntityTooLargeException", TOO_LARGE, 413
                )
                return too_large
            role = _GIVES_ROLE.fullmatch(path)
            if role and method in ("POST", "PUT"):
                data = json.loads(body or b"{}")
                refusal = self._refused_role(role["name"], data) or self._refused_network(
                    role["name"], data
                )
                if refusal is not None:
                    return refusal
            response: Response = await original(method, path, headers, body, query_params)
            if method == "PUT" and _GIVES_CODE.fullmatch(path) and response[0] == 200:
                return self._with_architectures(json.loads(body), response)
            return response

        return handle

    def _refused_role(self, name: str | None, data: dict[str, Any]) -> Response | None:
        """Return a refusal where Lambda may not assume the role that a function is given."""
        if name and "Role" not in data:
            return None
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:"
        try:
            self._assume_as_lambda(data.get("Role", ""), f"{arn}{name or data.get('FunctionName')}")
        except PermissionError as error:
            self._report(str(error))
            refusal: Response = self._emulator.responses.error_response_json(
                "InvalidParameterValueException",
                f"The role defined for the function cannot be assumed by Lambda. {error}",
                400,
            )
            return refusal
        return None

    def _refused_network(self, name: str | None, data: dict[str, Any]) -> Response | None:
        """Return a refusal where the role cannot connect a function to a VPC.

        Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC".
        """
        if not (data.get("VpcConfig") or {}).get("SubnetIds"):
            return None
        role = data.get("Role")
        if role is None:
            role = self._emulator.lambda_svc._functions[name]["config"]["Role"]
        for action in _CONNECTS_TO_VPC:
            try:
                self._access.authorize(role, f"ec2:{action}", "*", {})
            except PermissionError as error:
                self._report(str(error))
                refusal: Response = self._emulator.responses.error_response_json(
                    "InvalidParameterValueException",
                    "The provided execution role does not have permissions to call "
                    f"{action} on EC2",
                    400,
                )
                return refusal
        return None

    def _with_architectures(self, data: dict[str, Any], response: Response) -> Response:
        """Carry out what ministack overlooks: other code may be for another processor."""
        if not data.get("Architectures"):
            return response
        name = json.loads(response[2])["FunctionName"]
        config = self._emulator.lambda_svc._functions[name]["config"]
        config["Architectures"] = data["Architectures"]
        answer: Response = self._emulator.responses.json_response(config)
        return answer

    def _deployer_only(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def handle(
            method: str, path: str, headers: dict[str, str], *rest: Any
        ) -> Response | None:
            if not self._guard.is_deployer(headers):
                return None  # the guarded handlers answer
            response: Response | None = await original(method, path, headers, *rest)
            return response

        return handle

    def _role_of_function(self, function_arn: str) -> str:
        name = function_arn.split(":")[6]
        with self._emulator.scope():
            record = self._emulator.lambda_svc._functions[name]
        config = record["config"]
        role = str(config["Role"])
        self._assume_as_lambda(role, function_arn)
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        stream = f"arn:aws:logs:{self.region}:{self.account}:log-group:{group}:log-stream:x"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            # Lambda runs a function that may not log, and its logs and metrics are lost.
            with suppress(PermissionError):
                self.authorize(role, action, stream, {})
        return role

    def _assume_as_lambda(self, role: str, function_arn: str) -> None:
        source = {"aws:SourceAccount": self.account, "aws:SourceArn": function_arn}
        self._access.assume(role, LAMBDA_SERVICE, source)

    def _client(self, service: str, config: Config, credentials: Credentials) -> Any:
        session = boto3.session.Session(botocore_session=_botocore_session())
        return session.client(
            service,  # type: ignore[call-overload]
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token or None,
            config=config.merge(Config(s3={"addressing_style": "path"})),
        )

    def _client_as(self, service: str, role: str, by: str, context: Mapping[str, Any]) -> Any:
        """Return a client with the rights of *role*, once the AWS service *by* may assume it."""
        self._access.assume(role, by, context)
        return self._client(service, Config(), self._principals.session(role, by.partition(".")[0]))

    def _put_events(self, entries: list[dict[str, Any]]) -> None:
        """Put the local RDS's events on the default bus."""

        def put() -> None:
            answer = self.client("events").put_events(Entries=entries)
            for entry in answer["Entries"]:
                if "ErrorCode" in entry:
                    self._report(f"an event was not taken: {entry}")

        if self._server.is_current_thread:
            # Called while a request is answered: the answer must not wait for another request.
            threading.Thread(target=put, name="local-aws-events", daemon=True).start()
        else:
            put()


def _botocore_session() -> botocore.session.Session:
    """Return a session that reads none of the user's own AWS configuration."""
    session = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    session.register_component("data_loader", _loader())
    return session


_shared_loader: Any = None


def _loader() -> Any:
    """Return one loader of API models for all sessions: reading them is what a client costs."""
    global _shared_loader
    if _shared_loader is None:
        _shared_loader = botocore.session.Session().get_component("data_loader")
    return _shared_loader
