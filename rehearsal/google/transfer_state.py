"""Transfer configurations, their runs and the runs' logs, as the Data Transfer Service shows them.

Source: https://cloud.google.com/bigquery/docs/reference/datatransfer/rest/v1/projects.locations.transferConfigs
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rehearsal.google.resources import rfc3339
from rehearsal.google.transfer_params import DATA_SOURCE, S3Params

PENDING, RUNNING, SUCCEEDED, FAILED = "PENDING", "RUNNING", "SUCCEEDED", "FAILED"

#: google.rpc.Code numbers used in ``errorStatus``.
INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, INTERNAL = 3, 5, 7, 13


@dataclass(frozen=True)
class LogLine:
    """One message of a run."""

    time: datetime
    severity: str
    text: str

    def resource(self) -> dict[str, str]:
        """The message as the API shows it."""
        return {
            "messageTime": rfc3339(self.time),
            "severity": self.severity,
            "messageText": self.text,
        }


@dataclass
class Run:
    """One run; *params* are those the configuration had when it was started."""

    name: str
    config: TransferConfig
    params: S3Params
    run_time: datetime
    requested: datetime
    state: str = PENDING
    started: datetime | None = None
    ended: datetime | None = None
    error_code: int = 0
    error: str | None = None
    table: str | None = None
    rows: int | None = None
    log: list[LogLine] = field(default_factory=list)

    def resource(self) -> dict[str, Any]:
        """The run as the API shows it."""
        shown: dict[str, Any] = {
            "name": self.name,
            "dataSourceId": DATA_SOURCE,
            "destinationDatasetId": self.config.dataset,
            "params": self.params.shown(),
            "runTime": rfc3339(self.run_time),
            "scheduleTime": rfc3339(self.requested),
            "updateTime": rfc3339(self.ended or self.started or self.requested),
            "state": self.state,
            "userId": self.config.user_id,
            "emailPreferences": {},
            "errorStatus": {},
        }
        if self.started is not None:
            shown["startTime"] = rfc3339(self.started)
        if self.ended is not None:
            shown["endTime"] = rfc3339(self.ended)
        if self.error is not None:
            shown["errorStatus"] = {"code": self.error_code, "message": self.error}
        return shown


@dataclass
class TransferConfig:
    """A configuration; *settings* are the fields that are only kept and shown."""

    name: str
    location: str
    region: str
    dataset: str
    display_name: str
    params: S3Params
    service_account: str
    on_demand: bool
    settings: dict[str, Any]
    updated: datetime
    user_id: str
    runs: dict[str, Run] = field(default_factory=dict)

    def resource(self) -> dict[str, Any]:
        """The configuration as the API shows it: without the secret."""
        runs = list(self.runs.values())
        return {
            "name": self.name,
            "destinationDatasetId": self.dataset,
            "displayName": self.display_name,
            "updateTime": rfc3339(self.updated),
            "dataSourceId": DATA_SOURCE,
            "params": self.params.shown(),
            "userId": self.user_id,
            "datasetRegion": self.region,
            "ownerInfo": {"email": self.service_account},
            "emailPreferences": {},
            "encryptionConfiguration": {},
            **({"state": runs[-1].state} if runs else {}),
            **self.settings,
        }

    def last_success(self) -> datetime | None:
        """When the newest successful run looked at the bucket."""
        times = [run.started for run in self.runs.values() if run.state == SUCCEEDED]
        return max((time for time in times if time is not None), default=None)


@dataclass(frozen=True)
class ConfigReport:
    """A configuration, for reports."""

    name: str
    display_name: str
    dataset: str
    table: str
    data_path: str


@dataclass(frozen=True)
class RunReport:
    """A run, for reports; *rows* is what it loaded, None unless it succeeded."""

    name: str
    config: str
    dataset: str
    table: str
    run_time: datetime
    state: str
    rows: int | None
    error: str | None
