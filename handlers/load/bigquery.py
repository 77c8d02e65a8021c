"""BigQuery: how many rows a table has, and emptying one.

Rules encoded (Google, "Method: tables.get", "Method: jobs.query" and "TRUNCATE TABLE statement"):
a query must name the location of its dataset; a `requestId` makes a repeated request one job.

The load functions' service account needs ``bigquery.tables.get``, ``bigquery.tables.getData`` and
``bigquery.tables.updateData`` on the dataset, and ``bigquery.jobs.create`` in the project.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

from shared.errors import GoogleRefused, GoogleUnavailable
from shared.google import Google

POLLS = 10

_SERVICE = "bigquery"
_WAIT = 20_000


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as it is now; `modified` when that is told."""

    rows: int
    location: str
    modified: datetime | None


class BigQuery:
    """The tables of one project."""

    def __init__(self, google: Google, project: str) -> None:
        self._google = google
        self._project = project

    def table(self, dataset: str, table: str) -> Table:
        """Return a table's facts."""
        path = f"bigquery/v2/projects/{self._project}/datasets/{dataset}/tables/{table}"
        answer = self._google.call("GET", _SERVICE, path)
        modified = answer.get("lastModifiedTime")
        return Table(
            rows=int(answer.get("numRows") or 0),
            location=str(answer.get("location") or ""),
            modified=(
                datetime.fromtimestamp(int(modified) / 1000, timezone.utc) if modified else None
            ),
        )

    def truncate(self, dataset: str, table: str, location: str) -> None:
        """Remove all rows of a table; its schema stays."""
        body = {
            "query": f"TRUNCATE TABLE `{self._project}.{dataset}.{table}`",
            "useLegacySql": False,
            "timeoutMs": _WAIT,
            "requestId": str(uuid.uuid4()),
            **({"location": location} if location else {}),
        }
        queries = f"bigquery/v2/projects/{self._project}/queries"
        answer = self._google.call("POST", _SERVICE, queries, body=body)
        for _ in range(POLLS):
            if answer.get("errors"):
                raise GoogleRefused(f"{dataset}.{table} could not be emptied: {answer['errors']}")
            if answer.get("jobComplete", True):
                return
            job = answer["jobReference"]
            params = {"timeoutMs": str(_WAIT), "location": job.get("location") or location}
            answer = self._google.call("GET", _SERVICE, f"{queries}/{job['jobId']}", params=params)
        raise GoogleUnavailable(f"{dataset}.{table} was not emptied in time")
