"""Compares what stands in the source, in the export and in BigQuery, table by table.

What went wrong on the way is taken from where a team would find it too: the failed executions,
and the load's own record of every table in the export bucket.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from rehearsal import deploy, stage
from rehearsal.aws.export_task import ExportedTable, ExportRecord
from rehearsal.cast import Actor, Cast
from rehearsal.outcome import Export, Outcome, Problem, TableOutcome

_SUCCEEDED = "SUCCEEDED"


@dataclass
class _Record:
    """What is known of one declared table."""

    entry: dict[str, Any]
    dataset: str
    source_rows: int | None = None
    exported: ExportedTable | None = None
    work: dict[str, Any] = field(default_factory=dict)
    loaded_rows: int | None = None


def compare(cast: Cast, clouds: stage.Stage, deployment: deploy.Deployment) -> Outcome:
    """Return the outcome of the day, its timings left empty."""
    outcome = Outcome(deployment.stack, dict(deployment.resources))
    bucket = str(deployment.outputs["bucket"])
    for actor in cast.actors:
        exports = [e for e in clouds.aws.rds.exports() if e.source == actor.identifier]
        outcome.exports.extend(_export(export) for export in exports)
        records = _records(clouds, bucket, actor, exports)
        outcome.tables.extend(_row(actor, record) for record in records.values())
        outcome.problems.extend(
            Problem(name, "not carried", "the program deployed nothing for it")
            for name in actor.expected
            if name not in records
        )
        outcome.problems.extend(
            _problems(actor, records, _failures(clouds, deployment, actor, exports))
        )
    outcome.problems.extend(
        Problem("the rehearsal", "would be refused", text) for text in clouds.aws.problems
    )
    return outcome


def _export(export: ExportRecord) -> Export:
    tables = [
        {
            "name": t.name,
            "rows": t.rows,
            "files": t.files,
            "bytes": t.bytes,
            **({"notes": list(t.notes)} if t.notes else {}),
        }
        for t in export.tables
        if t.status == "COMPLETE"
    ]
    return Export(export.source, export.id, export.status, tables)


def _records(
    clouds: stage.Stage, bucket: str, actor: Actor, exports: list[ExportRecord]
) -> dict[str, _Record]:
    catalog = _read(clouds, bucket, f"catalog/{actor.identifier}.json") or {}
    records = {
        entry["name"]: _Record(entry, catalog["dataset"]) for entry in catalog.get("tables", [])
    }
    for name, rows in _source_rows(actor):
        if name in records:
            records[name].source_rows = rows
    for export in exports:
        for table in export.tables:
            if table.name in records and table.status == "COMPLETE":
                records[table.name].exported = table
        work = _read(clouds, bucket, f"loads/{export.id}/work.json") or {}
        for entry in work.get("tables", []):
            if entry["name"] in records:
                records[entry["name"]].work = entry
    for record in records.values():
        record.loaded_rows = _loaded_rows(clouds, record)
    return records


def _source_rows(actor: Actor) -> Iterator[tuple[str, int]]:
    for database, source in actor.databases.items():
        with source.snapshot() as reader:
            for table in reader.tables():
                parts = [database, table.name]
                if actor.engine == "postgresql":
                    parts.insert(1, table.schema)
                yield ".".join(parts), reader.count(table)


def _loaded_rows(clouds: stage.Stage, record: _Record) -> int | None:
    project = clouds.project
    path = f"/bigquery/v2/projects/{project}/datasets/{record.dataset}/tables"
    return int(clouds.google_api.get(f"{path}/{record.entry['table']}")["numRows"])


def _read(clouds: stage.Stage, bucket: str, key: str) -> dict[str, Any] | None:
    s3 = clouds.aws.client("s3")
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    return dict(json.loads(content))


def _row(actor: Actor, record: _Record) -> TableOutcome:
    exported = record.exported
    return TableOutcome(
        source=actor.identifier,
        name=record.entry["name"],
        dataset=record.dataset,
        table=record.entry["table"],
        source_rows=record.source_rows,
        exported_rows=exported.rows if exported else None,
        loaded_rows=record.loaded_rows,
        files=exported.files if exported else 0,
        bytes=exported.bytes if exported else 0,
        state=_state(record),
    )


def _state(record: _Record) -> str:
    outcome = record.work.get("outcome")
    if outcome == "succeeded":
        return _SUCCEEDED
    return str(outcome or record.work.get("state") or "not loaded").upper()


def _failures(
    clouds: stage.Stage, deployment: deploy.Deployment, actor: Actor, exports: list[ExportRecord]
) -> list[str]:
    """Return why executions of this source's machines failed; the load's only when it is silent.

    A load that failed because of tables says which in its record, and is not told of twice.
    """
    machine = deployment.outputs["export_machines"][actor.identifier]
    played = clouds.executions_of({machine})
    if not played:
        return ["no event started its export"]
    reasons = [f"{e.error}: {e.cause}" for e in played if e.status != _SUCCEEDED]
    reasons += [
        f"{e.error}: {e.cause}"
        for e in clouds.executions_of({deployment.outputs["load_machine"]})
        if e.status != _SUCCEEDED and any(f'"{export.id}"' in e.input for export in exports)
    ]
    return reasons


def _problems(actor: Actor, records: dict[str, _Record], failures: list[str]) -> Iterator[Problem]:
    named = False
    for name, record in records.items():
        problem = _problem(name, record, failures)
        if problem is not None:
            named = True
            yield problem
    if not named:
        for reason in failures:
            yield Problem(actor.identifier, "failed", reason)


def _problem(name: str, record: _Record, failures: list[str]) -> Problem | None:
    outcome = record.work.get("outcome")
    if outcome not in (None, "succeeded"):
        return Problem(name, str(outcome), str(record.work.get("message")))
    if outcome is None:
        reason = failures[0] if failures else "no load has settled it"
        return Problem(name, "not loaded", reason)
    rows = (record.source_rows, record.exported.rows if record.exported else None)
    if not rows[0] == rows[1] == record.loaded_rows:
        return Problem(
            name,
            "rows differ",
            f"{rows[0]} in the source, {rows[1]} exported, {record.loaded_rows} in BigQuery",
        )
    return None
