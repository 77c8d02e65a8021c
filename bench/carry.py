"""What carrying a large table costs: seconds and memory of a whole rehearsal, beside the floor.

The floor moves the same rows with nothing in between: read them from SQLite, write gzip Parquet,
load that into DuckDB. What the rehearsal adds is the two clouds: the type mapping, S3, encryption,
signatures and permissions, two state machines, Lambda functions and the transfer service. Run it
with ``python -m bench.carry [--rows N] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

PROGRAM = Path(__file__).resolve().parents[1]
ROWS = 1_000_000
# The promise, for a table of a million rows.
MAX_MB = 1024
_BATCH = 50_000
_COLUMNS = (
    "id INTEGER PRIMARY KEY, name TEXT, note VARCHAR(80), visits INTEGER, score DOUBLE, "
    "seen DATETIME, price DECIMAL(10,2), active BOOLEAN, code CHAR(3), raw BLOB"
)
_NAMES = ("id", "name", "note", "visits", "score", "seen", "price", "active", "code", "raw")


@dataclass(frozen=True)
class Carried:
    """Costs in seconds and megabytes (of the process that holds both clouds)."""

    rows: int
    floor_seconds: float
    deploy_seconds: float
    export_seconds: float
    load_seconds: float
    peak_mb: float

    @property
    def ratio(self) -> float:
        """Export and load, as a multiple of the floor."""
        return (self.export_seconds + self.load_seconds) / self.floor_seconds


def make_source(path: Path, rows: int) -> None:
    """Make a SQLite database with one table of *rows* rows and ten columns."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE visit ({_COLUMNS})")
        connection.executemany(
            f"INSERT INTO visit VALUES ({','.join('?' * len(_NAMES))})",
            (_row(number) for number in range(rows)),
        )


def _row(number: int) -> tuple[Any, ...]:
    seen = f"2026-01-{number % 28 + 1:02d} {number % 24:02d}:{number % 60:02d}:00"
    return (
        number,
        f"name {number}",
        f"note {number * 7919 % 1_000_003}" if number % 11 else None,
        number * 31,
        number / 7,
        seen,
        number % 1_000_000 / 100,
        number % 2,
        f"{number % 900 + 100}",
        number.to_bytes(8, "big"),
    )


def floor(source: Path, folder: Path) -> float:
    """Return the seconds of the shortest way from SQLite through Parquet to DuckDB."""
    began = time.perf_counter()
    parquet = folder / "floor.parquet"
    writer: pq.ParquetWriter | None = None
    with sqlite3.connect(source) as connection:
        cursor = connection.execute("SELECT * FROM visit")
        while rows := cursor.fetchmany(_BATCH):
            columns = [pa.array(column) for column in zip(*rows, strict=True)]
            batch = pa.record_batch(columns, names=list(_NAMES))
            writer = writer or pq.ParquetWriter(
                parquet, batch.schema, compression="gzip", compression_level=1
            )
            writer.write_batch(batch)
    if writer is not None:
        writer.close()
    with duckdb.connect(str(folder / "floor.duckdb")) as database:
        database.execute(f"CREATE TABLE visit AS SELECT * FROM '{parquet}'")
    return time.perf_counter() - began


def carry(source: Path, folder: Path) -> tuple[dict[str, float], float]:
    """Rehearse the route with *source*; return the seconds of its acts and its peak megabytes."""
    outcome, errors = folder / "outcome.json", folder / "errors.txt"
    command = [sys.executable, "-m", "rehearsal", "run", "--source", f"sqlite:///{source}"]
    with errors.open("w") as stream:
        process = subprocess.Popen(
            [*command, "--json", str(outcome)],
            cwd=PROGRAM,
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
        # The memory of this very child; getrusage would give the largest of all there ever were.
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"the rehearsal failed:\n{errors.read_text()}")
    return json.loads(outcome.read_text())["seconds"], usage.ru_maxrss / 1024


def measure(rows: int) -> Carried:
    """Measure the floor and a rehearsal with a table of *rows* rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source.db"
        make_source(source, rows)
        seconds, peak = carry(source, folder)
        lowest = floor(source, folder)
    return Carried(
        rows=rows,
        floor_seconds=round(lowest, 3),
        deploy_seconds=seconds["deploy"],
        export_seconds=seconds["export"],
        load_seconds=seconds["load"],
        peak_mb=round(peak, 1),
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when the promised memory was exceeded."""
    parser = argparse.ArgumentParser(prog="python -m bench.carry", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    result = measure(options.rows)
    if options.json:
        print(json.dumps({**asdict(result), "ratio": round(result.ratio, 2)}))
    else:
        print(f"Carrying a table of {result.rows:,} rows and {len(_NAMES)} columns")
        print(f"  floor (SQLite, Parquet, DuckDB alone)  {result.floor_seconds:8.2f} s")
        print(f"  export                                 {result.export_seconds:8.2f} s")
        print(f"  load                                   {result.load_seconds:8.2f} s")
        print(f"  export and load, times the floor       {result.ratio:8.2f}")
        print(f"  peak memory of the rehearsal           {result.peak_mb:8.0f} MB")
        print(f"promised: at most {MAX_MB} MB at {ROWS:,} rows")
    return int(result.peak_mb > MAX_MB)


if __name__ == "__main__":
    sys.exit(main())
