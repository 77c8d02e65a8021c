"""Delivery of EventBridge events and Scheduler schedules to their targets.

ministack matches rules well, but delivers without asking for permission, starts executions under
random names, fills input transformers by plain text replacement, leaves a schedule's
`<aws.scheduler.*>` attributes as they are and knows no dead-letter queues. These are mended here.
Sources: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html,
.../eb-rule-dlq.html and https://docs.aws.amazon.com/scheduler/latest/UserGuide/
managing-schedule-context-attributes.html.
"""

from __future__ import annotations

import contextvars
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from rehearsal.aws.access import Access, service_allowed
from rehearsal.aws.emulator import Emulator
from rehearsal.aws.principals import Principals

EVENTS_SERVICE = "events.amazonaws.com"
SCHEDULER_SERVICE = "scheduler.amazonaws.com"

_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.\-]+)>")


@dataclass(frozen=True)
class _Delivery:
    """What is being delivered: to which target, for which rule or schedule."""

    target: Mapping[str, Any]
    event: Mapping[str, Any]
    event_id: str
    arn: str
    source_arn: str
    service: str


class Deliveries:
    """The mended parts of ministack's delivery; `cloud` puts them in place."""

    def __init__(
        self,
        emulator: Emulator,
        principals: Principals,
        access: Access,
        report: Callable[[str], None],
    ) -> None:
        self._emulator = emulator
        self._principals = principals
        self._access = access
        self._report = report
        self._invoke_target: Callable[..., None] = emulator.eventbridge._invoke_target
        self.last_rds_event: Mapping[str, Any] | None = None
        self._current: contextvars.ContextVar[_Delivery] = contextvars.ContextVar("delivery")

    def invoke_target(
        self, target: Mapping[str, Any], event: Any, rule: Mapping[str, Any], view: Any = None
    ) -> None:
        """Deliver *event* to one target of a rule or schedule, if the target lets it in."""
        if event.get("Source") == "aws.rds":
            self.last_rds_event = event
        is_schedule = "ScheduleExpressionTimezone" in rule
        delivery = _Delivery(
            target,
            event,
            event.get("EventId", str(uuid.uuid4())),
            rule.get("Arn", ""),
            _schedule_group(rule) if is_schedule else rule.get("Arn", ""),
            SCHEDULER_SERVICE if is_schedule else EVENTS_SERVICE,
        )
        refusal = self._refusal(delivery)
        if refusal:
            self._undelivered(delivery, refusal)
            return
        if is_schedule and "Input" in target:
            at = _iso(event.get("Time"))
            text = scheduled_input(target["Input"], delivery.arn, delivery.event_id, at)
            target = {**target, "Input": text}
        token = self._current.set(delivery)
        try:
            self._invoke_target(target, event, rule, view)
        finally:
            self._current.reset(token)

    def _refusal(self, delivery: _Delivery) -> str | None:
        """Say why the target may not be reached, None when it may."""
        arn = str(delivery.target.get("Arn", ""))
        try:
            if ":states:" in arn:
                self._as_role(delivery, "states:StartExecution", arn)
            elif ":sqs:" in arn:
                self._send(delivery, arn)
        except PermissionError as error:
            return str(error)
        return None

    def _as_role(self, delivery: _Delivery, action: str, resource: str) -> None:
        role = delivery.target.get("RoleArn")
        if not role:
            raise PermissionError("the target has no RoleArn")
        self._access.assume(role, delivery.service, self._source(delivery))
        self._access.authorize(role, action, resource, {})

    def _send(self, delivery: _Delivery, queue_arn: str) -> None:
        """Return when the queue takes messages: of Scheduler by its role, of a rule by policy."""
        if delivery.service == SCHEDULER_SERVICE:
            self._as_role(delivery, "sqs:SendMessage", queue_arn)
        elif not self._may_send(queue_arn, delivery):
            raise PermissionError(
                f"the policies of {queue_arn} and of its key do not let {delivery.service} send"
            )

    def _source(self, delivery: _Delivery) -> dict[str, str]:
        return {"aws:SourceArn": delivery.source_arn, "aws:SourceAccount": self._account}

    @property
    def _account(self) -> str:
        return self._emulator.account

    def _may_send(self, queue_arn: str, delivery: _Delivery) -> bool:
        source = self._source(delivery)
        policy = self._principals.resource_policy("sqs:SendMessage", queue_arn)
        if not service_allowed(policy, delivery.service, "sqs:SendMessage", queue_arn, source):
            return False
        key = self._principals.queue_key(queue_arn)
        if key is None:
            return True
        # SQS developer guide, "Configure KMS permissions for AWS services".
        key_policy = self._principals.key_policy(key)
        return all(
            service_allowed(key_policy, delivery.service, action, None, source)
            for action in ("kms:GenerateDataKey", "kms:Decrypt")
        )

    def _undelivered(self, delivery: _Delivery, why: str) -> None:
        """Tell of an undeliverable event and put it in the dead-letter queue, if there is one."""
        arn = delivery.target.get("Arn")
        self._report(f"{delivery.arn} does not reach its target {arn}: {why}")
        queue = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        try:
            self._send(delivery, queue)
        except PermissionError as error:
            self._report(f"{delivery.arn} cannot use its dead-letter queue: {error}")
            return
        eventbridge = self._emulator.eventbridge
        view = eventbridge._pattern_event_view(delivery.event)
        spec = eventbridge.parse_arn(queue)
        eventbridge._dispatch_to_sqs(spec, json.dumps(view.event_with_detail()))

    def start_execution(self, arn: str, payload: str) -> None:
        """Start the state machine *arn* under the name the real services give the execution."""
        delivery = self._current.get()
        states = self._emulator.stepfunctions
        why = None
        if states._resolve_state_machine_arn(arn) is None:
            why = "there is no such state machine"
        else:
            try:
                json.loads(payload)
            except ValueError:
                why = f"the input is not JSON: {payload[:200]}"
        if why:
            self._undelivered(delivery, why)
            return
        request = {"stateMachineArn": arn, "input": payload}
        if delivery.service == EVENTS_SERVICE:
            # `<event id>_<target id>`: a second delivery of the same event starts nothing.
            request["name"] = f"{delivery.event_id}_{delivery.target.get('Id', '')}"[:80]
        states._start_execution(request)

    def transform(
        self, transformer: Mapping[str, Any], rule: Mapping[str, Any] | None, view: Any
    ) -> str:
        """Fill the template of an input transformer."""
        event = view.event_with_detail()
        values: dict[str, Any] = {
            "aws.events.event": view.envelope(),
            "aws.events.event.json": event,
            "aws.events.event.ingestion-time": _iso(None),
            "aws.events.rule-name": (rule or {}).get("Name", ""),
            "aws.events.rule-arn": (rule or {}).get("Arn", ""),
        }
        for name, path in (transformer.get("InputPathsMap") or {}).items():
            found, value = _at(event, path)
            if not found:
                self._report(
                    f"{values['aws.events.rule-arn']}: the event has no {path} for the "
                    f"placeholder <{name}> of the input transformer"
                )
            values[name] = value
        return fill_template(transformer.get("InputTemplate", ""), values)


def fill_template(template: str, values: Mapping[str, Any]) -> str:
    """Put *values* for the `<placeholders>` of an input template.

    Inside a JSON string a value becomes text, outside it becomes JSON: EventBridge adds the quotes
    around a string itself.
    """
    filled, position = [], 0
    for match in _PLACEHOLDER.finditer(template):
        if match[1] not in values:
            continue
        before = template[: match.start()]
        quoted = len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        filled.append(template[position : match.start()])
        filled.append(_inside(values[match[1]]) if quoted else json.dumps(values[match[1]]))
        position = match.end()
    return "".join([*filled, template[position:]])


def _inside(value: Any) -> str:
    return json.dumps(value if isinstance(value, str) else json.dumps(value))[1:-1]


def _at(event: Any, path: str) -> tuple[bool, Any]:
    for part in path.removeprefix("$").strip(".").split("."):
        name, *indexes = re.findall(r"[^\[\]]+", part) or [""]
        if not name:
            continue
        if not isinstance(event, Mapping) or name not in event:
            return False, ""
        event = event[name]
        for index in indexes:
            if not isinstance(event, list) or not index.isdigit() or int(index) >= len(event):
                return False, ""
            event = event[int(index)]
    return True, event


def scheduled_input(template: str, schedule_arn: str, execution_id: str, at: str) -> str:
    """Put the context attributes into the Input of a schedule's target."""
    attributes = {
        "schedule-arn": schedule_arn,
        "scheduled-time": at,
        "execution-id": execution_id,
        "attempt-number": "1",
    }
    for name, value in attributes.items():
        template = template.replace(f"<aws.scheduler.{name}>", value)
    return template


def allowing_none(validate: Callable[[str], None]) -> Callable[[str], None]:
    """Wrap ministack's check of a queue's RedrivePolicy, which "" takes away in SQS."""

    def checked(policy: str) -> None:
        if policy:
            validate(policy)

    return checked


def _schedule_group(schedule: Mapping[str, Any]) -> str:
    """Return the ARN Scheduler gives as its source: "Confused deputy prevention", its guide."""
    return re.sub(r":schedule/([^/]+)/.*", r":schedule-group/\1", str(schedule.get("Arn", "")))


def _iso(epoch: float | None) -> str:
    moment = datetime.now(timezone.utc)
    if epoch is not None:
        moment = datetime.fromtimestamp(epoch, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
