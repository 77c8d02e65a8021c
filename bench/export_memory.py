"""What exporting a large table costs: seconds, and memory above what the process begins with.

A table of ten columns of the usual kinds is read from a SQLite file and written as Parquet, in a
process of its own, once small and once large. Streaming means that the large one takes hardly
more memory than the small one, and time in line with its rows. S3 is left out: parts are written
to disk as for an upload and then dropped, so that the export alone is measured.
Run it with ``python -m bench.export_memory [--rows N] [--engine mysql|postgresql] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from rehearsal.aws.mapping import Engine
from rehearsal.aws.parquet import Destination, TableWriter
from rehearsal.aws.sources import Source

ROWS = 1_000_000
SMALL = 20_000
# The promise, for a machine of two cores.
MAX_SECONDS = 40.0
MAX_MEGABYTES = 300.0

_TABLE = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY, user_id INTEGER, amount DECIMAL(12,2), name VARCHAR(80),
    country CHAR(2), active BOOLEAN, ratio DOUBLE, created_at DATETIME, day DATE, note TEXT
)
"""


class Dropped:
    """Stands in for S3: takes what is uploaded and keeps nothing."""

    def upload_file(self, path: str, *_: Any, **__: Any) -> None:
        """Take a part file."""

    def put_object(self, **_: Any) -> None:
        """Take a marker."""


def fill(path: Path, rows: int) -> None:
    """Write the table with so many rows."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_TABLE)
        database.executemany(f"INSERT INTO events VALUES ({', '.join('?' * 10)})", _rows(rows))


def _rows(count: int) -> Iterator[tuple[Any, ...]]:
    for n in range(count):
        day = f"{1960 + n % 60}-{n % 12 + 1:02d}-{n % 28 + 1:02d}"
        yield (
            *(n, n * 7919 % 100_003, f"{n % 999_983}.{n % 90 + 10}", f"Zoë Müller {n}"),
            *(("DE", "FR", "JP")[n % 3], n % 2, n / 7, f"{day} 12:{n % 60:02d}:01.5", day),
            None if n % 4 == 0 else f"note {n * 31 % 65_537} with some words in it",
        )


def export(path: Path, engine: Engine) -> dict[str, float]:
    """Export the table in this process and tell seconds, megabytes and parts."""
    source = Source.open(f"sqlite:///{path}", engine)
    (table,) = source.tables()
    before = _peak_megabytes()
    began = time.perf_counter()
    destination = Destination("bucket", "exports/id", "key")
    with TableWriter(Dropped(), destination, "db/db.events", table.arrow_schema) as writer:
        for batch in source.stream(table):
            writer.write(batch)
        writer.finish()
        written = {"rows": float(writer.rows), "files": writer.files, "bytes": writer.bytes}
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "megabytes": _peak_megabytes() - before, **written}


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(rows: int, engine: str) -> dict[str, float]:
    """The cost of exporting so many rows, taken in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.db"
        fill(path, rows)
        command = [sys.executable, "-m", "bench.export_memory", "--child", str(path)]
        done = subprocess.run(
            [*command, "--engine", engine], check=True, capture_output=True, text=True
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Measure, print, and fail when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--engine", choices=("mysql", "postgresql"), default="mysql")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(export(asked.child, asked.engine)))
        return 0
    small, large = measured(SMALL, asked.engine), measured(asked.rows, asked.engine)
    result = {
        "rows": asked.rows,
        "engine": asked.engine,
        "large": large,
        "small": small,
        "rows_per_second": asked.rows / large["seconds"],
        "memory_ratio": large["megabytes"] / small["megabytes"],
        "row_ratio": asked.rows / SMALL,
    }
    if asked.json:
        print(json.dumps(result, indent=2))
    else:
        print(
            f"{asked.rows:,} rows as {asked.engine}: {large['seconds']:.1f} s "
            f"({result['rows_per_second']:,.0f} rows/s), {large['megabytes']:.0f} MB above start "
            f"in {large['files']:.0f} parts of {large['bytes'] / large['files'] / 1e6:.1f} MB; "
            f"{result['row_ratio']:.0f} times the rows of the small table take "
            f"{result['memory_ratio']:.1f} times its memory"
        )
    kept = large["seconds"] <= MAX_SECONDS and large["megabytes"] <= MAX_MEGABYTES
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
