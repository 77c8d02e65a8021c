"""The two kinds of JSON file that RDS leaves beside an export's data.

    <root>/export_info_<id>.json                            the task itself
    <root>/export_tables_info_<id>_from_<a>_to_<b>.json     its tables, so many to a file

AWS documents neither; the shapes are those that programs reading real ones rely on. The words for
a table that was not exported are not known: anything but COMPLETE is to be taken as a warning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from rehearsal.aws.export_task import ExportedTable, ExportTask
from rehearsal.aws.mapping import ColumnType
from rehearsal.aws.tables import Column

TABLES_PER_FILE = 100

_GIGABYTE = 1024**3


def export_info(task: ExportTask, root: str, at: datetime) -> dict[str, Any]:
    """The content of `export_info_<id>.json`."""
    request = task.request
    return {
        "exportTaskIdentifier": request.identifier,
        "sourceArn": request.about.arn,
        "exportOnly": list(request.export_only),
        "snapshotTime": _time(request.snapshot_time) if request.snapshot_time else None,
        "taskStartTime": _time(task.started),
        "taskEndTime": _time(at),
        "s3Bucket": request.bucket,
        "s3Prefix": request.prefix or "",
        "exportedFilesPath": root,
        "iamRoleArn": request.role_arn,
        "kmsKeyId": request.kms_key,
        "status": "COMPLETE",
        "percentProgress": 100,
        "totalExportedDataInGB": task.gigabytes,
    }


def table_info(table: ExportedTable, columns: Sequence[Column]) -> dict[str, Any]:
    """A table's entry in `export_tables_info_*.json`."""
    finished = table.status == "COMPLETE"
    entry: dict[str, Any] = {
        "tableStatistics": {
            "partitioningInfo": {
                "numberOfPartitions": 1,
                "numberOfCompletedPartitions": int(finished),
            },
        },
        "schemaMetadata": {"originalTypeMappings": [_type_mapping(column) for column in columns]},
        "status": table.status,
        "sizeGB": table.bytes / _GIGABYTE,
        "target": table.name,
    }
    if table.warning:
        entry["warningMessage"] = table.warning
    return entry


def warning_message(tables: Sequence[ExportedTable]) -> str | None:
    """The task's WarningMessage: JSON naming the tables left out; None when there are none."""
    skipped = [
        {"tableName": table.name, "reason": table.warning}
        for table in tables
        if table.warning is not None
    ]
    if not skipped:
        return None
    return json.dumps({"skippedTables": skipped, "skippedObjectives": [], "general": []})


def files(task: ExportTask, root: str, entries: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """All manifest files of an export by their key."""
    identifier = task.request.identifier
    info = export_info(task, root, datetime.now(timezone.utc))
    found = {f"{root}/export_info_{identifier}.json": _json(info)}
    for start in range(0, max(1, len(entries)), TABLES_PER_FILE):
        part = entries[start : start + TABLES_PER_FILE]
        name = f"export_tables_info_{identifier}_from_{start + 1}_to_{start + len(part)}.json"
        found[f"{root}/{name}"] = _json({"perTableStatus": part})
    return found


def _type_mapping(column: Column) -> dict[str, Any]:
    type_: ColumnType = column.type
    return {
        "columnName": column.name,
        "originalType": type_.name,
        "expectedExportedType": column.export.parquet,
        "originalCharMaxLength": type_.length or 0,
        "originalNumPrecision": type_.precision or 0,
        "originalDateTimePrecision": type_.time_precision or 0,
    }


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _time(at: datetime) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
