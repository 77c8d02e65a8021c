"""Plan: compare what the export holds with what is declared.

Every declared table gets one disposition: `load` (it has Parquet files in any of its batch
folders), `empty` (exported without a row: RDS then writes no Parquet file, but a ``_SUCCESS``, or
gives the size as 0), `skipped` (the export says it is not whole) or `missing` (the export does not
speak of it, or nothing is where it should be). Nothing is started here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

from load import catalog, manifest, worklist
from load.catalog import Catalog, DeclaredTable
from load.manifest import MAX_REASON, Manifest
from load.request import Context, LoadRequest
from load.services import Services, logger_for, services
from load.worklist import EMPTY, ENDED_BADLY, GOOD, LOAD, MISSING, SKIPPED, TableWork, Work
from shared.parallel import THREADS
from shared.storage import Storage


class Planned(TypedDict):
    """How many tables have each disposition."""

    load: int
    empty: int
    missing: int
    skipped: int


def handler(event: Mapping[str, Any], context: Context) -> Planned:
    """Answer the load state machine."""
    return plan(LoadRequest.parse(event), services())


def plan(request: LoadRequest, services: Services) -> Planned:
    """Store the work list of this export; runs of an earlier plan of the same export are kept."""
    storage = services.storage(request.bucket)
    declared = catalog.read(storage, request)
    tables = _dispositions(storage, request, declared)
    earlier = worklist.load(storage, request)
    if earlier:
        before = {(table.name, table.transfer_config): table for table in earlier.tables}
        for table in tables:
            _keep(table, before.get((table.name, table.transfer_config)))
    work = Work(
        source=request.source,
        export_task=request.export_task,
        run_time=request.run_time,
        dataset=declared.dataset,
        tables=tables,
    )
    worklist.save(storage, request, work)
    counts = Counter(table.disposition for table in tables)
    logger_for(services, request).info("planned", extra={"tables": dict(counts)})
    return Planned(
        load=counts[LOAD], empty=counts[EMPTY], missing=counts[MISSING], skipped=counts[SKIPPED]
    )


def _keep(table: TableWork, before: TableWork | None) -> None:
    """Take over an earlier plan's run: one that ended badly is to be started again, and only a
    good outcome stands."""
    if not before or before.disposition != table.disposition:
        return
    if before.run and before.state not in ENDED_BADLY:
        table.run, table.state, table.started = before.run, before.state, before.started
    if before.outcome == GOOD:
        table.outcome, table.rows = before.outcome, before.rows


def _dispositions(storage: Storage, request: LoadRequest, declared: Catalog) -> list[TableWork]:
    found = manifest.read(storage, request.prefix)

    def one(table: DeclaredTable) -> TableWork:
        disposition, reason = _disposition(storage, request, found, table)
        return TableWork(
            name=table.name,
            table=table.table,
            transfer_config=table.transfer_config,
            disposition=disposition,
            reason=reason,
        )

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, declared.tables))


def _disposition(
    storage: Storage, request: LoadRequest, found: Manifest | None, table: DeclaredTable
) -> tuple[str, str | None]:
    warned = f"; it warns: {request.warning[:MAX_REASON]}" if request.warning else ""
    if found is None:
        return (
            MISSING,
            f"{request.prefix}/ has no export_tables_info_*.json: nothing is known{warned}",
        )
    if not found.knows(table.name):
        return MISSING, f"the export does not hold it{warned}"
    reason = found.reason(table.name)
    if reason:
        return SKIPPED, reason
    folder = f"{request.prefix}/{table.path}/"
    if _has_files(storage, folder):
        return LOAD, None
    # Only what is known to be empty is emptied: a folder that RDS spells otherwise looks the same.
    if found.is_empty(table.name) or any(storage.keys(folder)):
        return EMPTY, None
    return MISSING, f"the export lists it as {manifest.COMPLETE}, but {folder} holds nothing"


def _has_files(storage: Storage, folder: str) -> bool:
    """Is there a Parquet file in any batch folder?"""
    return any(key.endswith(".parquet") for key in storage.keys(folder))
