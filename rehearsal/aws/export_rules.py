"""What StartExportTask refuses, and which tables an `ExportOnly` list selects.

Texts and limits are those of the page "Exporting DB snapshot data to Amazon S3", of the API
reference, and of error messages reported by users of the service.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rehearsal.aws.mapping import Engine
from rehearsal.aws.rds_api import ApiError

MAX_CONCURRENT_EXPORTS = 5

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_MAX_IDENTIFIER = 60
_EXPORTABLE_NAME = re.compile(r"[A-Za-z0-9$_]+")
_MAX_EXPORT_ONLY_BYTES = 200 * 1024
_REPLACED_IN_PATHS = re.compile(r'[\\`" ]')


def check_identifier(identifier: str) -> None:
    """Refuse an ExportTaskIdentifier that is no RDS identifier or is over 60 characters long."""
    legal = _IDENTIFIER.fullmatch(identifier)
    if not legal or identifier.endswith("-") or "--" in identifier:
        raise ApiError(
            "InvalidParameterValue",
            "The parameter ExportTaskIdentifier is not a valid identifier. Identifiers must begin "
            "with a letter; must contain only ASCII letters, digits, and hyphens; and must not "
            "end with a hyphen or contain two consecutive hyphens.",
        )
    if len(identifier) > _MAX_IDENTIFIER:
        raise ApiError(
            "InvalidParameterValue",
            f"The parameter ExportTaskIdentifier is not a valid identifier because it is longer "
            f"than {_MAX_IDENTIFIER} characters.",
        )


def check_prefix(prefix: str) -> None:
    """Refuse an S3Prefix with a colon, as in the identifier of an automated snapshot."""
    if ":" in prefix:
        raise ApiError(
            "InvalidParameterValue", f"The S3 prefix {prefix} must not contain a colon (:)."
        )


def check_export_only(engine: Engine, entries: Sequence[str]) -> None:
    """Refuse a list that is too long or has a name a partial export cannot address."""
    size = sum(len(entry.encode()) for entry in entries)
    if size > _MAX_EXPORT_ONLY_BYTES:
        raise ApiError(
            "InvalidExportOnly",
            f"The ExportOnly list takes {size} bytes; the limit is {_MAX_EXPORT_ONLY_BYTES}.",
        )
    depth = 2 if engine == "mysql" else 3
    for entry in entries:
        parts = entry.split(".")
        if len(parts) > depth or not all(map(_EXPORTABLE_NAME.fullmatch, parts)):
            form = "database.table" if engine == "mysql" else "database.schema.table"
            raise ApiError(
                "InvalidExportOnly",
                f"The ExportOnly value {entry} is not valid: it must be {form} or a leading part "
                "of it, with names of the characters A-Z, a-z, 0-9, $ and _ only.",
            )


def selected(target: str, export_only: Sequence[str]) -> bool:
    """Whether an export with this list (empty: everything) contains a table."""
    if not export_only:
        return True
    return any(target == entry or target.startswith(f"{entry}.") for entry in export_only)


def export_root(prefix: str | None, identifier: str) -> str:
    """Where an export's objects begin; the prefix is taken as it is, a trailing slash included."""
    return f"{prefix}/{identifier}" if prefix else identifier


def path_part(name: str) -> str:
    """A name as it appears in object keys: backslash, backtick, quote and space become `_`."""
    return _REPLACED_IN_PATHS.sub("_", name)
