"""The identity of an export: the one thing the AWS half and the Google half must agree on.

RDS writes an export below ``<prefix>/<export id>/``; a BigQuery transfer run reads the path that
its ``data_path`` template gives for the run's time. Both are made here, from the same source and
the same hour, so that a run can only ever read the export it was started for. The state machines
build the id at run time: their JSONata comes from here as well.

Everything is a pure function of plain values. Nothing here knows of Pulumi, and nothing checks
configuration: names arrive already accepted by the settings.

Rules encoded (AWS, "Exporting DB snapshot data to Amazon S3" and "File naming convention";
Google, "Amazon S3 transfers" and "Runtime parameter support"):

* an export task id begins with a letter, holds letters, digits and hyphens, neither ends in a
  hyphen nor has two in a row, and has at most 60 characters;
* MySQL has no schemas, so an export repeats the database name in the place of the schema;
* a backslash, backtick, double quote or space in an exported path becomes ``_``;
* a single ``*`` in a transfer's path spans directories, a second one would stop that;
* ``{run_time-1h|"%Y%m%d%H"}`` is the run's time in UTC, less an hour, so formatted; ``{``, ``}``,
  ``"`` and ``|`` are themselves when a backslash stands before them.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta, timezone

MAX_EXPORT_TASK_ID = 60

_HOUR_FORMAT = "%Y%m%d%H"
_HOUR_LENGTH = 10
_HASH_LENGTH = 8
_MAX_SOURCE_KEY = MAX_EXPORT_TASK_ID - _HOUR_LENGTH - 1

_HOUR_PICTURE = "'[Y0001][M01][D01][H01]'"
_RUN_TIME_PICTURE = "'[Y0001]-[M01]-[D01]T[H01]:00:00Z'"
_HOUR_MILLISECONDS = 3_600_000

_REPLACED_IN_PATHS = str.maketrans(dict.fromkeys('\\`" ', "_"))
_TEMPLATE_ESCAPES = str.maketrans({char: f"\\{char}" for char in '{}"|'})
_TEMPLATE_TOKEN = re.compile(
    r'\\(?P<literal>[{}"|])'
    r"|\{run_time(?:(?P<sign>[+-])(?P<hours>\d+)h)?\|\"(?P<format>[^\"]*)\"\}"
    r"|(?P<stray>[{}])"
)


def shorten(name: str, limit: int) -> str:
    """Return `name`, or a legal name of at most `limit` characters that stands for it alone.

    A name cut at a fixed place may end in a hyphen, and may become the name of another resource:
    the cut part loses its trailing hyphens and a hash of the whole name follows it.
    """
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{name[: limit - _HASH_LENGTH - 1].rstrip('-')}-{digest}"


def source_key(source: str) -> str:
    """Return the source's name as it stands in its export ids: at most 49 characters."""
    return shorten(source, _MAX_SOURCE_KEY)


def export_task_id(source: str, hour: datetime) -> str:
    """Return the id of the export of `source` whose snapshot was taken in `hour`.

    The same snapshot always gives the same id, which makes a repeated event harmless: RDS answers
    that the export exists already.
    """
    return f"{source_key(source)}-{_utc_hour(hour).strftime(_HOUR_FORMAT)}"


def export_prefix(prefix: str, source: str, hour: datetime) -> str:
    """Return the S3 prefix below which RDS writes that export, without a trailing ``/``."""
    return f"{prefix}/{export_task_id(source, hour)}"


def table_path(engine: str, database: str, schema: str, table: str) -> str:
    """Return the folder of a table below the export's root: ``db/db.table``, ``db/schema.table``.

    This is what RDS writes, not what the names say: see the replaced characters above.
    """
    namespace = database if engine == "mysql" else schema
    return f"{database}/{namespace}.{table}".translate(_REPLACED_IN_PATHS)


def table_target(engine: str, database: str, schema: str, table: str) -> str:
    """Return the table as ``ExportOnly`` and the export's manifest name it."""
    if engine == "mysql":
        return f"{database}.{table}"
    return f"{database}.{schema}.{table}"


def data_path(
    bucket: str,
    prefix: str,
    source: str,
    engine: str,
    database: str,
    schema: str,
    table: str,
    offset_hours: int = 0,
) -> str:
    """Return the `data_path` of the table's BigQuery transfer config.

    One wildcard: it spans the batch folders of a table, however many an export has, and leaves
    ``_SUCCESS`` alone. With an offset the runs' times are later than the exports' hours, and the
    template goes back by as much.
    """
    back = f"-{offset_hours}h" if offset_hours else ""
    folder = table_path(engine, database, schema, table).translate(_TEMPLATE_ESCAPES)
    hour = f'{{run_time{back}|"{_HOUR_FORMAT}"}}'
    return f"s3://{bucket}/{prefix}/{source_key(source)}-{hour}/{folder}/*.parquet"


def run_time(hour: datetime, offset_hours: int = 0) -> datetime:
    """Return the `requestedRunTime` of the transfer run that loads the export of `hour`."""
    return _utc_hour(hour) + timedelta(hours=offset_hours)


def resolve(data_path: str, run_time: datetime) -> str:
    """Return what BigQuery's transfer service makes of a `data_path` at `run_time`.

    Only the parameters that `data_path` writes are known here; anything else in braces is an
    error rather than a path that silently matches nothing.
    """

    def value(token: re.Match[str]) -> str:
        if token["stray"]:
            raise ValueError(f"not a runtime parameter of ours at {token.start()}: {data_path}")
        if token["literal"]:
            return token["literal"]
        hours = int(token["hours"] or 0) * (-1 if token["sign"] == "-" else 1)
        at = run_time.astimezone(timezone.utc) + timedelta(hours=hours)
        return at.strftime(token["format"])

    return _TEMPLATE_TOKEN.sub(value, data_path)


def jsonata_hour(time_expr: str) -> str:
    """Return JSONata for the UTC hour, ``YYYYMMDDHH``, of an ISO 8601 time.

    The time is first brought to the form that every implementation reads: the number of decimals
    differs between services, and not all readers take ``Z``.
    """
    plain = f"$replace($replace({time_expr}, /[.][0-9]+/, ''), 'Z', '+00:00')"
    return f"$fromMillis($toMillis({plain}), {_HOUR_PICTURE})"


def jsonata_export_task_id(source: str, hour_expr: str) -> str:
    """Return JSONata for the export id of `source` in the hour that `hour_expr` gives."""
    return f"('{source_key(source)}-' & {hour_expr})"


def jsonata_next_hour(hour_expr: str) -> str:
    """Return JSONata for the hour after the one `hour_expr` gives: a failed export's next id."""
    later = f"{_jsonata_milliseconds(hour_expr)} + {_HOUR_MILLISECONDS}"
    return f"$fromMillis({later}, {_HOUR_PICTURE})"


def jsonata_run_time(hour_expr: str, offset_hours: int) -> str:
    """Return JSONata for the RFC 3339 time of the transfer runs that load that hour's export."""
    later = f"{_jsonata_milliseconds(hour_expr)} + {offset_hours * _HOUR_MILLISECONDS}"
    return f"$fromMillis({later}, {_RUN_TIME_PICTURE})"


def _jsonata_milliseconds(hour_expr: str) -> str:
    """Return JSONata for the start of an hour, in milliseconds since 1970.

    The ISO form is put together by hand: reading digits that stand side by side needs a picture
    string, and implementations of JSONata differ in how they split those.
    """
    parts = ((0, 4, "-"), (4, 2, "-"), (6, 2, "T"), (8, 2, ":00:00+00:00"))
    pieces = (f"$substring($hour, {at}, {length}) & '{end}'" for at, length, end in parts)
    return f"($hour := {hour_expr}; $toMillis({' & '.join(pieces)}))"


def _utc_hour(hour: datetime) -> datetime:
    if hour.tzinfo is None:
        raise ValueError(f"a time without a zone cannot name an export: {hour.isoformat()}")
    return hour.astimezone(timezone.utc).replace(minute=0, second=0, microsecond=0)
