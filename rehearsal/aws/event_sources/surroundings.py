"""What mappings work with: the local Lambda, the sources, and the chances of a rehearsal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.aws.access import Access
from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.aws.emulator import Emulator
from rehearsal.aws.event_sources.rules import EVENT_COUNT
from rehearsal.aws.event_sources.stream_records import StreamRecords
from rehearsal.aws.functions import Functions, Invocation, ThrottledError
from rehearsal.aws.principals import Principals

POLL = 0.03
"""Seconds between two looks at a source."""

_LONGEST_BACKOFF = 60


@dataclass
class Surroundings:
    """What a mapping needs of the local AWS.

    *client_as* makes a client of a service with a role's credentials, for a function; *scale*
    shortens waiting (batching windows, backoff, the rest of a visibility timeout), and nothing that
    is worked in.
    """

    emulator: Emulator
    functions: Functions
    principals: Principals
    access: Access
    records: StreamRecords
    client_as: Callable[[str, str, str], Any]
    faults: DeliveryFaults
    scale: float
    report: Callable[[str], None]
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    def function(self, arn: str) -> Mapping[str, Any]:
        """Return the configuration of a function; LookupError where there is none."""
        with self.emulator.scope():
            _, config, _ = self.emulator.lambda_svc._get_func_record_for_ref(arn)
        if config is None:
            raise LookupError(f"Function not found: {arn}")
        found: Mapping[str, Any] = config
        return found

    def client(self, service: str, function_arn: str) -> Any:
        """Return a client of *service* with the permissions of a function's role."""
        config = self.function(function_arn)
        key = (service, str(config["Role"]), str(config["FunctionArn"]))
        if key not in self._clients:
            self._clients[key] = self.client_as(*key)
        return self._clients[key]

    def authorize(self, role: str, action: str, resource: str) -> None:
        """Return when a role may do *action*; PermissionError when not."""
        self.access.authorize(role, action, resource, {})

    def invoke(self, function_arn: str, event: bytes) -> Invocation | None:
        """Invoke a function with an event; None where that is not possible now."""
        try:
            return self.functions.invoke(function_arn, event, crash=self.faults.crashes())
        except (LookupError, ThrottledError):
            return None

    @contextlib.contextmanager
    def telling(self, mapping: Mapping[str, Any]) -> Iterator[None]:
        """Tell of whatever ends a thread of a mapping: its records would wait without a word."""
        try:
            yield
        except Exception as error:
            self.report(f"mapping {mapping['UUID']} has stopped reading: {error!r}")
            raise

    def waited(self, seconds: float) -> float:
        """Return how long a wait of *seconds* takes here: something, where it is anything."""
        return min(seconds, max(seconds * self.scale, POLL))

    def backoff(self, failures: int) -> float:
        """Return the wait before the next try after so many failures."""
        return self.waited(float(min(2 ** min(failures, 10), _LONGEST_BACKOFF)))

    def count(self, mapping: Mapping[str, Any], metric: str, events: int) -> None:
        """Count events for CloudWatch, where the mapping is asked to.

        Lambda developer guide, "Types of metrics", event source mapping metrics.
        """
        asked = (mapping.get("MetricsConfig") or {}).get("Metrics", ())
        if events and EVENT_COUNT in asked:
            self._record(metric, events, "Count", {"EventSourceMappingUUID": mapping["UUID"]})

    def note_age(self, function_arn: str, created: float) -> None:
        """Tell CloudWatch how old the last record of a batch was when its function was done."""
        age = max(0.0, time.time() - created) * 1000
        dimensions = {"FunctionName": function_arn.split(":")[6]}
        self._record("IteratorAge", age, "Milliseconds", dimensions)

    def _record(self, name: str, value: float, unit: str, dimensions: dict[str, str]) -> None:
        cloudwatch = self.emulator.module("cloudwatch")
        with self.emulator.scope():
            cloudwatch.record_metric("AWS/Lambda", name, value, unit, dimensions)
