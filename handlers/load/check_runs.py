"""Check runs: look at the transfer runs that have not ended."""

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

CHUNK = 5_000


class Checked(TypedDict):
    """How many runs are under way, and where to go on in this round (None: it is complete)."""

    pending: int
    cursor: int | None


def handler(event: Mapping[str, Any], context: Context) -> Checked:
    """Answer the load state machine."""
    return check_runs(LoadRequest.parse(event), services(), seconds_left(context))


def check_runs(
    request: LoadRequest, services: Services, seconds_left: Callable[[], float]
) -> Checked:
    """Store the states of the runs. A run that cannot be looked at now is looked at next time."""
    storage = services.storage(request.bucket)
    work = worklist.require(storage, request)
    todo = [
        (index, table)
        for index, table in enumerate(work.tables)
        if index >= request.cursor and table.is_pending()
    ]
    faults = Faults()

    def look(numbered: tuple[int, TableWork]) -> None:
        table = numbered[1]
        try:
            run = services.transfers.get(table.run or "")
        except GoogleError as error:
            faults.add(table, error)
        else:
            table.state, table.error = run.state, run.error
            table.started = run.started or table.started
            faults.fine()

    undone = work_off(todo, look, seconds_left, CHUNK)
    logger = logger_for(services, request)
    faults.report(logger, "a run could not be looked at")
    if todo:
        worklist.save(storage, request, work)
    faults.raise_outage()
    pending = sum(table.is_pending() for table in work.tables)
    cursor = None if undone is None else todo[undone][0]
    logger.info("checked", extra={"pending": pending, "cursor": cursor})
    return Checked(pending=pending, cursor=cursor)
