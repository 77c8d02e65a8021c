"""The API of event source mappings, in ministack's place."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from rehearsal.aws.event_sources import rules
from rehearsal.aws.event_sources.mapping import EventSourceMapping
from rehearsal.aws.event_sources.rules import Refusal
from rehearsal.aws.event_sources.surroundings import POLL, Surroundings
from rehearsal.aws.guard import Response
from rehearsal.aws.seams import Seams

_NO_RECORDS = "No records processed"
_PAGE = 100


class EventSources:
    """Creates, tells, changes and deletes event source mappings, and ends them all."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._lambda = surroundings.emulator.lambda_svc
        self._mappings: dict[str, EventSourceMapping] = {}
        self._lock = threading.Lock()

    def install(self, seams: Seams) -> None:
        """Put the API in ministack's place; its own poller then never starts."""
        self._around.records.install(seams)
        operations: dict[str, Callable[..., Response]] = {
            "_create_esm": self._create,
            "_get_esm": self._get,
            "_update_esm": self._update,
            "_delete_esm": self._delete,
            "_list_esms": self._list,
        }
        for name, operation in operations.items():
            seams.replace(self._lambda, name, self._answering(operation))

    def close(self) -> None:
        """End every mapping; what runs is killed."""
        mappings = self._all()
        for mapping in mappings:
            mapping.delete()
        self._around.functions.close()
        for mapping in mappings:
            mapping.join()

    def is_idle(self) -> bool:
        """Say whether no stream or queue that is read has anything left, and nothing runs."""
        return all(mapping.is_idle() for mapping in self._all())

    def wait_idle(self, timeout: float) -> bool:
        """Wait until it is idle; False when it is not after *timeout* seconds."""
        deadline = time.monotonic() + timeout
        while not self.is_idle():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL)
        return True

    # --- API --------------------------------------------------------------------------------

    def _answering(self, operation: Callable[..., Response]) -> Callable[..., Response]:
        responses = self._around.emulator.responses

        def answer(*arguments: Any) -> Response:
            try:
                return operation(*arguments)
            except Refusal as refusal:
                refused: Response = responses.error_response_json(
                    refusal.code, refusal.message, refusal.status
                )
                return refused

        return answer

    def _create(self, request: dict[str, Any]) -> Response:
        settings = rules.settings(request, None, self._around.emulator.eventbridge)
        source, function = request["EventSourceArn"], self._function_arn(request)
        record = {
            **settings,
            "EventSourceArn": source,
            "FunctionArn": function,
            "FunctionName": function.split(":")[6],
        }
        self._check(record)
        self._check_conflict(record)
        identifier = str(uuid.uuid4())
        emulator = self._around.emulator
        place = f"arn:aws:lambda:{emulator.region}:{emulator.account}:event-source-mapping"
        record |= {
            "UUID": identifier,
            "EventSourceMappingArn": f"{place}:{identifier}",
            "State": "Creating",
            "StateTransitionReason": "USER_INITIATED",
            "LastModified": time.time(),
            "LastProcessingResult": _NO_RECORDS,
            "Tags": dict(request.get("Tags") or {}),
        }
        enabled = request.get("Enabled")
        mapping = EventSourceMapping(record, enabled is not False, self._around, self._forget)
        with self._lock:
            self._mappings[identifier] = mapping
        # ministack's own store: its API for tags looks there.
        self._lambda._esms[identifier] = record
        answer = self._told(mapping, 202)
        mapping.start()
        return answer

    def _function_arn(self, request: dict[str, Any]) -> str:
        name, qualifier, refusal = self._lambda._resolve_existing_esm_function(
            request.get("FunctionName", "")
        )
        if refusal is not None:
            raise rules.invalid("Function does not exist")
        return str(self._lambda._func_arn(name)) + (f":{qualifier}" if qualifier else "")

    def _check(self, record: dict[str, Any]) -> None:
        """Refuse what the source, the function and its role do not allow."""
        source = record["EventSourceArn"]
        config = self._around.function(record["FunctionArn"])
        if not rules.is_stream(source):
            queue = self._around.emulator.sqs._queue_by_arn(source)
            if queue is None:
                raise rules.invalid(
                    "Error occurred while ReceiveMessage. SQS Error Code: "
                    "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified "
                    "queue does not exist."
                )
            seconds = int(queue["attributes"]["VisibilityTimeout"])
            rules.check_visibility(seconds, int(config["Timeout"]))
        elif not self._around.records.exists(source):
            raise rules.invalid(f"Stream not found: {source}")
        rules.check_role(str(config["Role"]), record, self._around.authorize)

    def _check_conflict(self, record: dict[str, Any]) -> None:
        source, function = record["EventSourceArn"], record["FunctionArn"]
        for other in self._all():
            found = other.record
            if (found["EventSourceArn"], found["FunctionArn"]) == (source, function):
                pair = f'(" {source} ") and function (" {record["FunctionName"]} ")'
                text = f"The event source arn {pair} provided mapping already exists."
                if not rules.is_stream(source):
                    text = f"An event source mapping with SQS arn {pair} already exists."
                how = f"Please update or delete the existing mapping with UUID {found['UUID']}"
                raise Refusal("ResourceConflictException", f"{text} {how}", 409)

    def _get(self, identifier: str) -> Response:
        return self._told(self._found(identifier), 200)

    def _update(self, identifier: str, request: dict[str, Any]) -> Response:
        mapping = self._found(identifier)
        before = {
            key: value
            for key, value in mapping.record.items()
            if key in rules.SETTINGS or key == "EventSourceArn"
        }
        settings = rules.settings(request, before, self._around.emulator.eventbridge)
        if "FunctionName" in request:
            settings["FunctionArn"] = self._function_arn(request)
            settings["FunctionName"] = settings["FunctionArn"].split(":")[6]
        self._check({**mapping.record, **settings})
        mapping.change(settings, request.get("Enabled"))
        return self._told(mapping, 202)

    def _delete(self, identifier: str) -> Response:
        mapping = self._found(identifier)
        mapping.delete()
        return self._told(mapping, 202)

    def _list(self, query: dict[str, Any]) -> Response:
        first = self._lambda._qp_first
        function = self._lambda._resolve_request_scoped_name(first(query, "FunctionName"))
        wanted = {"FunctionName": function, "EventSourceArn": first(query, "EventSourceArn")}
        found = [
            each
            for each in self._all()
            if all(not value or each.record[key] == value for key, value in wanted.items())
        ]
        start = int(first(query, "Marker") or 0)
        end = start + min(int(first(query, "MaxItems") or _PAGE), _PAGE)
        answer: dict[str, Any] = {"EventSourceMappings": [_shown(m) for m in found[start:end]]}
        if end < len(found):
            answer["NextMarker"] = str(end)
        return self._json(answer, 200)

    def _all(self) -> list[EventSourceMapping]:
        with self._lock:
            return [*self._mappings.values()]

    def _found(self, identifier: str) -> EventSourceMapping:
        mapping = self._mappings.get(identifier)
        if mapping is None:
            raise Refusal(
                "ResourceNotFoundException", "The resource you requested does not exist.", 404
            )
        return mapping

    def _forget(self, identifier: str) -> None:
        with self._lock:
            self._mappings.pop(identifier, None)
        with self._around.emulator.scope():
            self._lambda._esms.pop(identifier, None)

    def _told(self, mapping: EventSourceMapping, status: int) -> Response:
        return self._json(_shown(mapping), status)

    def _json(self, answer: dict[str, Any], status: int) -> Response:
        response: Response = self._around.emulator.responses.json_response(answer, status)
        return response


def _shown(mapping: EventSourceMapping) -> dict[str, Any]:
    """Return what the API tells of a mapping."""
    hidden = ("FunctionName", "Tags")
    return {key: value for key, value in mapping.record.items() if key not in hidden}
