"""BigQuery's query jobs over REST (https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs).

Queries run to their end before the call returns; load, copy and extract jobs are not served.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rehearsal.google.access import Identity
from rehearsal.google.encoding import row_of, timestamps_of
from rehearsal.google.engine import Engine, Outcome, Request
from rehearsal.google.errors import ApiError, already_exists, invalid, not_found
from rehearsal.google.project import Project
from rehearsal.google.resources import milliseconds, page
from rehearsal.google.routing import Call, Router

_SERVICE = "bigquery.googleapis.com"
_MOST_ROWS = 10_000
_KEPT_JOBS = 500
_MULTI_REGIONS = {"us", "eu"}
_ID = re.compile(r"[\w\-]{1,1024}")


@dataclass
class Job:
    """A query that was run; it has an outcome or an error."""

    id: str
    location: str
    owner: Identity
    configuration: Mapping[str, Any]
    started: datetime
    ended: datetime
    outcome: Outcome | None = None
    error: ApiError | None = None
    labels: dict[str, str] = field(default_factory=dict)


class Jobs:
    """The handlers of ``/bigquery/v2/projects/P/jobs`` and ``.../queries``."""

    def __init__(self, project: Project, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._project = project
        self._engine = engine
        self._clock = clock
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/bigquery/v2/projects/{project}"
        for method, path, handler in (
            ("POST", f"{base}/queries", self._query),
            ("GET", f"{base}/queries/{{job}}", self._results),
            ("POST", f"{base}/jobs", self._insert),
            ("GET", f"{base}/jobs", self._list),
            ("GET", f"{base}/jobs/{{job}}", self._get),
            ("POST", f"{base}/jobs/{{job}}/cancel", self._cancel),
        ):
            router.add(method, path, handler, _SERVICE)

    def close(self) -> None:
        """Forget all jobs and their rows."""
        with self._lock:
            for job in self._jobs.values():
                if job.outcome is not None:
                    job.outcome.rows.close()
            self._jobs.clear()

    def _query(self, call: Call) -> dict[str, Any]:
        body = call.json()
        job = self._run(call.identity, body, None, body.get("location"))
        if job.error is not None:
            raise job.error
        options = {**body, **body.get("formatOptions", {})}
        return {
            "kind": "bigquery#queryResponse",
            **self._page(job, 0, body.get("maxResults"), options),
        }

    def _insert(self, call: Call) -> dict[str, Any]:
        body = call.json()
        configuration = body.get("configuration", {})
        if set(configuration) - {"query", "labels", "dryRun", "jobTimeoutMs", "jobType"}:
            raise invalid(
                f"Jobs of type {sorted(configuration)} are not served here; query jobs are"
            )
        reference = body.get("jobReference", {})
        query = {**configuration.get("query", {}), "dryRun": configuration.get("dryRun", False)}
        job = self._run(call.identity, query, reference.get("jobId"), reference.get("location"))
        return self._resource(job)

    def _run(
        self, identity: Identity, query: Mapping[str, Any], job_id: str | None, location: str | None
    ) -> Job:
        self._engine.require_job(identity)
        request = _request(query, location)
        job_id = job_id or f"job_{next(self._numbers):08d}"
        if not _ID.fullmatch(job_id):
            raise invalid(f'Invalid job ID "{job_id}"')
        now = self._clock()
        job = Job(job_id, location or "US", identity, dict(query), now, now)
        with self._lock:
            if job_id in self._jobs:
                raise already_exists(
                    f"Already Exists: Job {self._project.id}:{job.location}.{job_id}"
                )
            self._jobs[job_id] = job
        try:
            job.outcome = self._engine.run(request, identity)
            job.location = job.outcome.location
        except ApiError as error:
            job.error = error
        job.ended = self._clock()
        self._forget_old()
        return job

    def _forget_old(self) -> None:
        with self._lock:
            while len(self._jobs) > _KEPT_JOBS:
                _, old = self._jobs.popitem(last=False)
                if old.outcome is not None:
                    old.outcome.rows.close()

    def _job(self, call: Call) -> Job:
        """The job of a call; outside US and EU the caller must say where it ran."""
        job = self._jobs.get(call["job"])
        wanted = call.query.get("location", "").lower()
        if job is not None:
            here = job.location.lower()
            if wanted == here or (not wanted and here in _MULTI_REGIONS):
                return job
        where = f"{wanted}." if wanted else ""
        raise not_found(f"Not found: Job {self._project.id}:{where}{call['job']}")

    def _get(self, call: Call) -> dict[str, Any]:
        return self._resource(self._job(call))

    def _cancel(self, call: Call) -> dict[str, Any]:
        return {
            "kind": "bigquery#jobCancelResponse",
            "job": self._resource(self._job(call)),
        }

    def _list(self, call: Call) -> dict[str, Any]:
        with self._lock:
            jobs = list(reversed(self._jobs.values()))
        mine = [job for job in jobs if job.owner == call.identity or call.identity.unrestricted]
        items, more = page(call, mine, "maxResults")
        shown = [self._resource(job) for job in items]
        return {"kind": "bigquery#jobList", "jobs": shown, **more}

    def _results(self, call: Call) -> dict[str, Any]:
        job = self._job(call)
        if job.error is not None:
            raise job.error
        start = call.integer("pageToken", call.integer("startIndex", 0))
        options = {k.rpartition(".")[2]: v for k, v in call.query.items()}
        shown = self._page(job, start, call.query.get("maxResults"), options)
        return {"kind": "bigquery#getQueryResultsResponse", **shown}

    def _page(
        self, job: Job, start: int, wanted: Any, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        outcome = job.outcome
        answer: dict[str, Any] = {
            "jobReference": self._reference(job),
            "jobComplete": True,
            "cacheHit": False,
            "totalBytesProcessed": "0",
            "location": job.location,
        }
        if outcome is None:
            return answer
        if outcome.affected is not None:
            return {
                **answer,
                "totalRows": "0",
                "schema": {"fields": []},
                "numDmlAffectedRows": str(outcome.affected),
            }
        size = min(int(wanted), _MOST_ROWS) if wanted not in (None, "") else _MOST_ROWS
        how = timestamps_of(options)
        rows = outcome.rows.read(start, size)
        answer["schema"] = {"fields": [column.resource() for column in outcome.fields]}
        answer["totalRows"] = str(outcome.rows.total)
        if rows:
            answer["rows"] = [row_of(row, outcome.fields, how) for row in rows]
        if start + len(rows) < outcome.rows.total:
            answer["pageToken"] = str(start + len(rows))
        return answer

    def _reference(self, job: Job) -> dict[str, str]:
        return {"projectId": self._project.id, "jobId": job.id, "location": job.location}

    def _resource(self, job: Job) -> dict[str, Any]:
        status: dict[str, Any] = {"state": "DONE"}
        if job.error is not None:
            told = {"reason": job.error.reason, "message": job.error.message}
            status |= {"errorResult": told, "errors": [told]}
        query: dict[str, Any] = {"totalBytesProcessed": "0", "cacheHit": False}
        if job.outcome is not None:
            query["statementType"] = job.outcome.kind
            if job.outcome.affected is not None:
                query["numDmlAffectedRows"] = str(job.outcome.affected)
        return {
            "kind": "bigquery#job",
            "id": f"{self._project.id}:{job.location}.{job.id}",
            "jobReference": self._reference(job),
            "user_email": job.owner.name.rpartition(":")[2],
            "configuration": {"jobType": "QUERY", "query": dict(job.configuration)},
            "status": status,
            "statistics": {
                "creationTime": milliseconds(job.started),
                "startTime": milliseconds(job.started),
                "endTime": milliseconds(job.ended),
                "query": query,
            },
        }


def _request(query: Mapping[str, Any], location: str | None) -> Request:
    """What to run; the REST API's default is legacy SQL, which nothing here speaks."""
    if str(query.get("useLegacySql", True)).lower() != "false":
        raise invalid(
            "Legacy SQL is not served here. The API's default is legacy SQL: send "
            '"useLegacySql": false'
        )
    if query.get("dryRun"):
        raise invalid("Dry runs are not served here")
    if query.get("destinationTable"):
        raise invalid("Queries with a destination table are not served here")
    default = query.get("defaultDataset") or {}
    return Request(
        str(query.get("query", "")),
        default.get("datasetId"),
        tuple(query.get("queryParameters", ())),
        location,
    )
