"""The events RDS sends about snapshots and exports, as EventBridge entries.

Ids, categories and messages are those of "Amazon RDS event categories and event messages"; a
cluster snapshot's creation has the category `backup`, an instance snapshot's `creation`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

Kind = Literal["cluster", "instance"]
Moment = Literal["creating", "created"]
Ending = Literal["COMPLETE", "FAILED", "CANCELED"]

#: Events of an export that reads a cluster itself and no snapshot have the subject `live`.
Subject = Literal["cluster", "instance", "live"]

_SNAPSHOT_EVENTS: dict[tuple[Kind, bool, Moment], tuple[str, str]] = {
    ("cluster", True, "creating"): ("RDS-EVENT-0168", "Creating automated cluster snapshot"),
    ("cluster", True, "created"): ("RDS-EVENT-0169", "Automated cluster snapshot created"),
    ("cluster", False, "creating"): ("RDS-EVENT-0074", "Creating manual cluster snapshot"),
    ("cluster", False, "created"): ("RDS-EVENT-0075", "Manual cluster snapshot created"),
    ("instance", True, "creating"): ("RDS-EVENT-0090", "Creating automated snapshot"),
    ("instance", True, "created"): ("RDS-EVENT-0091", "Automated snapshot created"),
    ("instance", False, "creating"): ("RDS-EVENT-0040", "Creating manual snapshot"),
    ("instance", False, "created"): ("RDS-EVENT-0042", "Manual snapshot created"),
}
_EXPORT_EVENTS: dict[tuple[Subject, Ending], str] = {
    ("cluster", "FAILED"): "RDS-EVENT-0162",
    ("cluster", "CANCELED"): "RDS-EVENT-0163",
    ("cluster", "COMPLETE"): "RDS-EVENT-0164",
    ("instance", "FAILED"): "RDS-EVENT-0159",
    ("instance", "CANCELED"): "RDS-EVENT-0160",
    ("instance", "COMPLETE"): "RDS-EVENT-0161",
    ("live", "FAILED"): "RDS-EVENT-0234",
    ("live", "CANCELED"): "RDS-EVENT-0235",
    ("live", "COMPLETE"): "RDS-EVENT-0236",
}
_ENDINGS: dict[Ending, str] = {
    "COMPLETE": "completed",
    "FAILED": "failed",
    "CANCELED": "was canceled",
}
_DETAIL_TYPES: dict[Subject, tuple[str, str, str]] = {
    "cluster": ("RDS DB Cluster Snapshot Event", "CLUSTER_SNAPSHOT", "cluster snapshot"),
    "instance": ("RDS DB Snapshot Event", "SNAPSHOT", "snapshot"),
    "live": ("RDS DB Cluster Event", "CLUSTER", "cluster"),
}


@dataclass(frozen=True)
class EventSource:
    """What an event is about."""

    subject: Subject
    identifier: str
    arn: str


def snapshot_event(
    about: EventSource, kind: Kind, automated: bool, moment: Moment, at: datetime
) -> dict[str, Any]:
    """A snapshot is being created, or is there."""
    event_id, message = _SNAPSHOT_EVENTS[kind, automated, moment]
    return _entry(about, event_id, "backup" if kind == "cluster" else "creation", message, at)


def export_event(about: EventSource, ending: Ending, at: datetime) -> dict[str, Any]:
    """An export task has ended."""
    noun = _DETAIL_TYPES[about.subject][2]
    message = f"The {noun} export task {_ENDINGS[ending]}."
    return _entry(about, _EXPORT_EVENTS[about.subject, ending], "notification", message, at)


def table_failed_event(
    about: EventSource, task: str, table: str, reason: str, at: datetime
) -> dict[str, Any]:
    """One table of an export could not be extracted; documented for cluster snapshots only."""
    message = f"Export task {task}: Table extraction failed for table {table} due to {reason}"
    return _entry(about, "RDS-EVENT-0489", "failure", message, at)


def _entry(
    about: EventSource, event_id: str, category: str, message: str, at: datetime
) -> dict[str, Any]:
    detail_type, source_type, _ = _DETAIL_TYPES[about.subject]
    utc = at.astimezone(timezone.utc)
    detail = {
        "EventCategories": [category],
        "SourceType": source_type,
        "SourceArn": about.arn,
        "Date": utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z",
        "Message": message,
        "SourceIdentifier": about.identifier,
        "EventID": event_id,
    }
    return {
        "Source": "aws.rds",
        "DetailType": detail_type,
        "Resources": [about.arn],
        "Time": at,
        "Detail": json.dumps(detail),
    }
