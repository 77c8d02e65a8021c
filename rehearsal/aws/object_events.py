"""S3's events on EventBridge, as S3 writes them and when it has stored the object.

ministack tells of an object from a thread of its own, while the request is still being answered:
its event knows no version, and a message that it puts into a queue can be lost to a request that
changes the queue at the same moment. Here the event follows its request, in the request's thread.
Source: Amazon S3 user guide, "EventBridge event message structure" (a key is not URL-encoded).
"""

from __future__ import annotations

import contextvars
import json
import secrets
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from rehearsal.aws.emulator import Emulator
from rehearsal.aws.guard import Handler, Response
from rehearsal.aws.seams import Seams

_REQUEST_ID_BYTES = 8


class ObjectEvents:
    """Holds events back until their request is answered, and gives them S3's form."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._fire = emulator.s3._fire_s3_event
        self._fire_apart = emulator.s3._fire_s3_event_async
        self._dispatch = emulator.eventbridge._dispatch_event
        self._waiting: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar(
            "waiting", default=None
        )
        self._version: contextvars.ContextVar[str | None] = contextvars.ContextVar(
            "version", default=None
        )
        self._lock = threading.Lock()
        self._last = 0

    def install(self, seams: Seams) -> None:
        """Put this in place of ministack's parts; `wrap` is for its handler."""
        seams.replace(self._emulator.s3, "_fire_s3_event_async", self._hold)
        seams.replace(self._emulator.eventbridge, "_dispatch_event", self._sent)

    def wrap(self, original: Handler) -> Handler:
        """Return the handler of S3 that tells what happened after it has happened."""

        async def handle(*request: Any) -> Response:
            waiting: list[Any] = []
            token = self._waiting.set(waiting)
            try:
                response: Response = await original(*request)
            finally:
                self._waiting.reset(token)
            self._version.set(response[1].get("x-amz-version-id"))
            for arguments, named in waiting:
                self._fire(*arguments, **named)
            return response

        return handle

    def _hold(self, *arguments: Any, **named: Any) -> None:
        waiting = self._waiting.get()
        if waiting is None:
            self._fire_apart(*arguments, **named)
        else:
            waiting.append((arguments, named))

    def _sent(self, event: Mapping[str, Any], view: Any = None) -> None:
        self._dispatch(self._as_of_s3(event) if event.get("Source") == "aws.s3" else event, view)

    def _as_of_s3(self, event: Mapping[str, Any]) -> dict[str, Any]:
        detail = json.loads(event["Detail"])
        told = {key: value for key, value in detail["object"].items() if key != "sequencer"}
        version = self._version.get()
        if version is not None:
            told["version-id"] = version
        told["sequencer"] = self._sequencer()
        detail |= {"object": told, "request-id": secrets.token_hex(_REQUEST_ID_BYTES).upper()}
        detail.pop("event-version", None)
        second = f"{str(event['Time'])[:19]}Z"
        return {
            **event,
            "EventId": str(uuid.uuid4()),
            "Time": second,
            "Detail": json.dumps(detail),
        }

    def _sequencer(self) -> str:
        """Return a number in hexadecimal digits, which is greater for what happened later."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return f"{self._last:018X}"
