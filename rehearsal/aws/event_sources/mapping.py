"""The life of one mapping: its states, and the poller that works while it is enabled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rehearsal.aws.event_sources.queues import QueuePoller
from rehearsal.aws.event_sources.rules import SETTINGS, is_stream
from rehearsal.aws.event_sources.stream import StreamPoller
from rehearsal.aws.event_sources.surroundings import Surroundings


class EventSourceMapping:
    """A mapping, whose `record` is what the API tells of it.

    A thread of its own carries out what the API was asked for: the states that end in "ing" are
    those between the answer and its end, as in Lambda.
    """

    def __init__(
        self,
        record: dict[str, Any],
        enabled: bool,
        surroundings: Surroundings,
        gone: Callable[[str], None],
    ) -> None:
        """Describe a mapping; *gone* is told the UUID of one that was deleted."""
        self.record = record
        self._around = surroundings
        self._gone = gone
        self._enabled = enabled
        self._deleted = False
        self._position = self._first_position()
        self._changed = threading.Event()
        self._poller: StreamPoller | QueuePoller | None = None
        name = f"mapping-{record['UUID'][:8]}"
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def _first_position(self) -> int:
        source, records = str(self.record["EventSourceArn"]), self._around.records
        if not is_stream(source):
            return 0
        newest = self.record["StartingPosition"] == "LATEST"
        return records.end(source) if newest else records.start(source)

    def start(self) -> None:
        """Begin to live."""
        self._thread.start()

    def change(self, settings: dict[str, Any], enabled: bool | None) -> None:
        """Take on other settings, and switch on or off."""
        state = "Updating"
        if enabled is not None and enabled != self._enabled:
            self._enabled = enabled
            state = "Enabling" if enabled else "Disabling"
        for name in (self.record.keys() & SETTINGS) - settings.keys():
            del self.record[name]
        self.record.update(settings, State=state, LastModified=time.time())
        self._change()

    def delete(self) -> None:
        """Begin to end."""
        self.record["State"] = "Deleting"
        self._deleted = True
        self._change()

    def _change(self) -> None:
        if self._poller is not None:
            self._poller.stop()
        self._changed.set()

    def join(self) -> None:
        """Wait for the end of a mapping that is deleted."""
        self._thread.join()

    def is_idle(self) -> bool:
        """Say whether there is nothing to do: all is read and done, or nothing is to be read."""
        if not self._enabled:
            return bool(self.record["State"] == "Disabled")
        if self._poller is None or self.record["State"] != "Enabled":
            return False
        return self._poller.is_idle()

    def _live(self) -> None:
        while True:
            self._changed.clear()  # and only then look what is wanted
            if self._deleted:
                break
            if self._enabled:
                self._poll()
            else:
                self._settle("Disabled")
                self._changed.wait()
        self._gone(str(self.record["UUID"]))

    def _poll(self) -> None:
        """Have a poller work until something changes."""
        poller = self._new_poller()
        self._poller = poller
        poller.start()
        self._settle("Enabled")
        self._changed.wait()
        poller.stop()
        self._position = poller.join()
        self._poller = None

    def _new_poller(self) -> StreamPoller | QueuePoller:
        # A poller goes on with the settings it began with.
        settings = dict(self.record)
        if is_stream(str(self.record["EventSourceArn"])):
            return StreamPoller(settings, self._around, self._position, self._tell)
        return QueuePoller(settings, self._around, self._tell)

    def _tell(self, result: str) -> None:
        self.record["LastProcessingResult"] = result

    def _settle(self, state: str) -> None:
        if not self._changed.is_set():
            self.record["State"] = state
