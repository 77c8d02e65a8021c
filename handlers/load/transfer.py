"""BigQuery Data Transfer Service: the runs of a transfer config.

Rules encoded (Google, "REST Resource: projects.locations.transferConfigs" and "…runs"): a config
without a schedule runs only when asked to, for a `requestedRunTime`; a run's `runTime` is that
time; a run ends as SUCCEEDED, FAILED or CANCELLED.

The load functions' service account needs ``bigquery.transfers.get`` and
``bigquery.transfers.update`` (`startManualRuns`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from load.worklist import ENDED_BADLY, SUCCEEDED, UNDER_WAY
from shared.errors import GoogleRefused, GoogleUnavailable, redact
from shared.google import Google

MAX_PAGES = 20
STARTS = 3

_SERVICE = "bigquerydatatransfer"
_WORTH_ADOPTING = (SUCCEEDED, *reversed(UNDER_WAY))


@dataclass(frozen=True, kw_only=True)
class Run:
    """A transfer run; `error` only when it ended badly."""

    name: str
    state: str
    run_time: str
    started: str | None
    error: str | None


class Transfers:
    """The runs of transfer configs."""

    def __init__(self, google: Google) -> None:
        self._google = google

    def adopt_or_start(self, config: str, run_time: str) -> Run:
        """Return the config's run for `run_time`: one that is there, else a new one.

        A start that got no clear answer may have been done: the runs are looked at again before
        another is asked for, so that a table is not loaded twice at once.
        """
        for attempt in range(1, STARTS + 1):
            found = self.find(config, run_time)
            if found:
                return found
            try:
                return self._start(config, run_time)
            except GoogleUnavailable:
                if attempt == STARTS:
                    raise
                self._google.pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def find(self, config: str, run_time: str) -> Run | None:
        """Return a run for `run_time` that loads, or has loaded, the table."""
        wanted = _instant(run_time)
        runs = [run for run in self._runs(config) if _instant(run.run_time) == wanted]
        return next((r for state in _WORTH_ADOPTING for r in runs if r.state == state), None)

    def get(self, name: str) -> Run:
        """Return a run as it is now."""
        return _run(self._google.call("GET", _SERVICE, f"v1/{name}"))

    def _start(self, config: str, run_time: str) -> Run:
        path = f"v1/{config}:startManualRuns"
        body = {"requestedRunTime": run_time}
        answer = self._google.call("POST", _SERVICE, path, body=body, repeatable=False)
        runs = answer.get("runs") or []
        if not runs:
            raise GoogleRefused(f"{config}: no run was started for {run_time}")
        return _run(runs[0])

    def _runs(self, config: str) -> Iterator[Run]:
        params = {"pageSize": "1000"}
        for _ in range(MAX_PAGES):
            answer = self._google.call("GET", _SERVICE, f"v1/{config}/runs", params=params)
            yield from map(_run, answer.get("transferRuns") or [])
            token = answer.get("nextPageToken")
            if not token:
                return
            params = {**params, "pageToken": token}


def _run(answer: Mapping[str, Any]) -> Run:
    state = str(answer.get("state", ""))
    message = (answer.get("errorStatus") or {}).get("message")
    error = redact(str(message)) if message else "no message; its log is in the BigQuery console"
    return Run(
        name=str(answer.get("name", "")),
        state=state,
        run_time=str(answer.get("runTime", "")),
        started=answer.get("startTime"),
        error=error if state in ENDED_BADLY else None,
    )


def _instant(text: str) -> datetime | None:
    """Return an RFC 3339 time to the second; how its fraction is written does not matter."""
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
