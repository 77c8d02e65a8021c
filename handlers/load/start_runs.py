"""Start runs: one transfer run for each table that has something to load.

Some hundreds in a call; the answer's cursor says where to go on. A run that exists for the same
run time is taken over, so calling this again, or for the same export again, starts nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from load import worklist
from load.faults import Faults
from load.request import Context, LoadRequest
from load.services import Services, logger_for, seconds_left, services
from load.worklist import TableWork
from shared.errors import GoogleError
from shared.parallel import work_off

CHUNK = 500


class Started(TypedDict):
    """Where to go on; None when all are started."""

    cursor: int | None


def handler(event: Mapping[str, Any], context: Context) -> Started:
    """Answer the load state machine."""
    return start_runs(LoadRequest.parse(event), services(), seconds_left(context))


def start_runs(
    request: LoadRequest, services: Services, seconds_left: Callable[[], float]
) -> Started:
    """Start the runs of the next tables, and store what was started."""
    storage = services.storage(request.bucket)
    work = worklist.require(storage, request)
    todo = [
        (index, table)
        for index, table in enumerate(work.tables)
        if index >= request.cursor and table.is_unstarted()
    ]
    faults = Faults()

    def start(numbered: tuple[int, TableWork]) -> None:
        table = numbered[1]
        try:
            run = services.transfers.adopt_or_start(table.transfer_config, request.run_time)
        except GoogleError as error:
            faults.add(table, error)
        else:
            table.run, table.state = run.name, run.state
            table.started, table.error = run.started, run.error
            faults.fine()

    undone = work_off(todo, start, seconds_left, CHUNK)
    logger = logger_for(services, request)
    faults.report(logger, "a run could not be started")
    if not faults.is_outage():
        faults.mark_failed("its run could not be started")
    worklist.save(storage, request, work)
    faults.raise_outage()
    cursor = None if undone is None else todo[undone][0]
    logger.info("started", extra={"tables": faults.good, "cursor": cursor})
    return Started(cursor=cursor)
