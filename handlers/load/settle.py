"""Settle: give every table its outcome, publish it, and name the problems.

Metrics (namespace `data-ferry`, dimensions `service` and `table`, the table as it is called in
BigQuery): `LoadSucceeded` and `LoadFailed`, one of them 1 and the other 0, and `RowsLoaded` of the
tables that succeeded. They are published once for each table, unless a call dies between
publishing and storing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from load import worklist
from load.faults import Faults
from load.outcome import FAILED, settle_table
from load.request import Context, LoadRequest
from load.services import Services, logger_for, seconds_left, services
from load.worklist import GOOD, TableWork, Work
from shared import telemetry
from shared.errors import GoogleError
from shared.parallel import work_off

CHUNK = 5_000
LISTED = 50
MAX_MESSAGE = 300
MAX_ANSWER = 30_000


class Problem(TypedDict):
    """A table that was not loaded, and why."""

    table: str
    kind: str
    message: str


class Settled(TypedDict):
    """The outcome of the load; the first problems, and how many there are in all."""

    succeeded: int
    problems: list[Problem]
    problem_count: int
    cursor: int | None


def handler(event: Mapping[str, Any], context: Context) -> Settled:
    """Answer the load state machine."""
    return settle(LoadRequest.parse(event), services(), seconds_left(context))


def settle(request: LoadRequest, services: Services, seconds_left: Callable[[], float]) -> Settled:
    """Settle the next tables; say how all that are settled ended."""
    storage = services.storage(request.bucket)
    work = worklist.require(storage, request)
    todo = [table for table in work.tables if table.outcome is None]
    faults = Faults()

    def one(table: TableWork) -> None:
        try:
            if settle_table(services.bigquery, work.dataset, table):
                faults.fine()
        except GoogleError as error:
            faults.add(table, error)

    undone = work_off(todo, one, seconds_left, CHUNK)
    logger = logger_for(services, request)
    faults.report(logger, "a table could not be settled")
    if not faults.is_outage():
        for table, error in faults.bad:
            table.outcome, table.message = FAILED, str(error)
    settled = [table for table in todo if table.outcome is not None]
    for table in settled:
        telemetry.emit(services.service, table.table, _metrics(table))
    worklist.save(storage, request, work)
    faults.raise_outage()
    answer = _answer(work, None if undone is None else request.cursor + 1)
    for problem in answer["problems"]:
        logger.error("a table was not loaded", extra={"problem": problem})
    logger.info(
        "settled", extra={"succeeded": answer["succeeded"], "problems": answer["problem_count"]}
    )
    return answer


def _metrics(table: TableWork) -> dict[str, int]:
    if table.outcome == GOOD:
        return {"LoadSucceeded": 1, "LoadFailed": 0, "RowsLoaded": table.rows or 0}
    return {"LoadSucceeded": 0, "LoadFailed": 1}


def _answer(work: Work, cursor: int | None) -> Settled:
    """Return the outcome, its list of problems cut to what a state machine may carry."""
    bad = [table for table in work.tables if table.outcome not in (None, GOOD)]
    problems = [
        Problem(
            table=table.name,
            kind=str(table.outcome),
            message=(table.message or "no reason was given")[:MAX_MESSAGE],
        )
        for table in bad[:LISTED]
    ]
    while len(json.dumps(problems).encode()) > MAX_ANSWER:
        problems.pop()
    return Settled(
        succeeded=sum(table.outcome == GOOD for table in work.tables),
        problems=problems,
        problem_count=len(bad),
        cursor=cursor,
    )
