"""The outcome of one table: how its load ended, and what to say of it."""

from __future__ import annotations

from datetime import datetime, timezone

from load.bigquery import BigQuery, Table
from load.worklist import EMPTY, ENDED_BADLY, GOOD, MISSING, SKIPPED, SUCCEEDED, TableWork

FAILED, LATE, STALE = "failed", "late", "stale"


def settle_table(bigquery: BigQuery, dataset: str, table: TableWork) -> bool:
    """Set the table's outcome; empty it in BigQuery when the export found it empty.

    Returns whether BigQuery had to be asked, and so was in reach.
    """
    kind, message = _problem(table)
    if kind:
        table.outcome, table.message = kind, message
        return False
    now = bigquery.table(dataset, table.table)
    table.outcome, table.message = GOOD, None
    if table.disposition == EMPTY:
        if now.rows:
            bigquery.truncate(dataset, table.table, now.location)
        table.rows = 0
        return True
    table.rows = now.rows
    if _is_stale(table, now):
        table.outcome = STALE
        table.message = (
            f"its run succeeded, but the table was last changed at {now.modified}, "
            f"before the run began: the run found no file ({table.run})"
        )
    return True


def _problem(table: TableWork) -> tuple[str | None, str | None]:
    """Return the kind of problem and its text, from what is already known."""
    if table.disposition in (MISSING, SKIPPED):
        return table.disposition, table.reason
    if table.disposition == EMPTY or table.state == SUCCEEDED:
        return None, None
    if table.state in ENDED_BADLY:
        run = f" ({table.run})" if table.run else ""
        return FAILED, f"{table.error or table.state}{run}"
    if table.run is None:
        return FAILED, "no run was started for it in time"
    return LATE, f"its run had not ended in time: {table.state} ({table.run})"


def _is_stale(table: TableWork, now: Table) -> bool:
    """Did the run leave the table alone? One that matches no file succeeds all the same."""
    if now.modified is None or not table.started:
        return False
    try:
        started = datetime.strptime(table.started[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return False
    return now.modified < started.replace(tzinfo=timezone.utc)
