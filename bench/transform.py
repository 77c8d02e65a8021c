"""What transforming records costs beside the floor: one process, the schema held against each.

The floor is what no transformation in Python can do without: base64 decode, `json.loads`,
`json.dumps`, base64 encode of the same records, and nothing else. Floor and function take turns on
the same buffer; the ratio is the median of the rounds' own, so that what disturbs the machine meets
both. Memory is the peak of a fresh process that transforms one buffer of 3 MiB, the largest that
Firehose hands over. Run it with ``python -m bench.transform [--rounds N] [--json]``.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import random
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).resolve().parents[1]
BUFFER = 3 * 1024 * 1024
ROUNDS = 11
# The promise: at most so many times the floor, and within the memory of a small function.
MAX_RATIO = 2.0
MAX_MB = 256.0

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0"
_DEVICES = ("phone", "tablet", "desktop")
_COUNTRIES = ("DE", "FR", "IT", "PL")

FLOW: dict[str, Any] = {
    "flow": "page-views",
    "database": "analytics",
    "table": "page_views",
    "key": ["page_id", "activity_time"],
    "columns": [
        {"name": "page_id", "path": ["page_id"], "type": "varchar(64)"},
        {"name": "activity_time", "path": ["activity_time"], "type": "bigint"},
        {"name": "seen", "path": ["seen"], "type": "datetime(6)"},
        {"name": "hits", "path": ["hits"], "type": "int"},
        {"name": "device", "path": ["device"], "type": "varchar(16)"},
        {"name": "session", "path": ["session"], "type": "varchar(36)"},
        {"name": "user_agent", "path": ["user_agent"], "type": "varchar(512)"},
        {"name": "client", "path": ["client"], "type": "json"},
        {"name": "country", "path": ["client", "country"], "type": "varchar(2)"},
        {"name": "revenue", "path": ["revenue"], "type": "decimal(12,4)"},
    ],
    "schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "required": ["page_id", "activity_time", "seen", "hits"],
        "properties": {
            "page_id": {"type": "string", "minLength": 1, "maxLength": 64},
            "activity_time": {"type": "integer", "minimum": 0},
            "seen": {"type": "string", "format": "date-time"},
            "hits": {"type": "integer", "minimum": 0},
            "device": {"enum": list(_DEVICES)},
            "session": {"type": "string", "pattern": "^[0-9a-f-]{36}$"},
            "user_agent": {"type": "string", "maxLength": 512},
            "client": {
                "type": "object",
                "properties": {
                    "country": {"type": "string", "maxLength": 2},
                    "screen": {
                        "type": "object",
                        "properties": {
                            "width": {"type": "integer"},
                            "height": {"type": "integer"},
                        },
                    },
                },
            },
            "revenue": {"type": "number"},
        },
    },
}


@dataclass(frozen=True)
class Measured:
    """Speeds of the floor and the function, of records as they are before base64."""

    records: int
    megabytes: float
    floor_seconds: float
    transform_seconds: float
    ratio: float
    peak_mb: float

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return self.ratio <= MAX_RATIO and self.peak_mb < MAX_MB


def buffer() -> dict[str, Any]:
    """Return the event of a full buffer of web analytics."""
    dice = random.Random(1)
    records: list[bytes] = []
    size = 0
    while True:
        record = _record(dice, len(records))
        size += len(record)
        if size > BUFFER:
            break
        records.append(record)
    return {
        "invocationId": str(uuid.UUID(int=1)),
        "records": [
            {"recordId": f"{number:056}", "data": base64.b64encode(record).decode()}
            for number, record in enumerate(records)
        ],
    }


def _record(dice: random.Random, number: int) -> bytes:
    item = {
        "page_id": f"/articles/{dice.randrange(10**6)}",
        "activity_time": 1763608800000 + number,
        "seen": f"2026-11-20T03:{number % 60:02}:12.{number % 1000:03}Z",
        "hits": dice.randrange(50),
        "device": dice.choice(_DEVICES),
        "session": str(uuid.UUID(int=dice.getrandbits(128))),
        "user_agent": _AGENT,
        "client": {
            "country": dice.choice(_COUNTRIES),
            "language": "de-DE",
            "screen": {"width": 1920, "height": 1080},
        },
        "revenue": dice.randrange(10**6) / 100,
    }
    sequence = str(100000000003498069978 + number)
    document = {"op": "upsert", "sequence": sequence, "item": item}
    return json.dumps(document, separators=(",", ":")).encode()


def floor(event: dict[str, Any]) -> None:
    """Do what cannot be left out."""
    for record in event["records"]:
        value = json.loads(base64.b64decode(record["data"]))
        base64.b64encode(json.dumps(value).encode())


def function() -> Callable[[dict[str, Any]], Any]:
    """Return the function as it runs in Lambda, but for S3, where nothing has to go."""
    sys.path.insert(0, str(PROGRAM / "handlers"))
    from replication import flow, lines, reasons, transform
    from shared import telemetry

    made = flow.Flow.parse(FLOW)
    nowhere: Any = None
    services = transform.Services(
        service="bench",
        flow=made.name,
        line=lines.line_writer(made),
        reasons=reasons.Reasons(nowhere, "bench", made.name),
        logger=telemetry.logger("bench"),
    )
    return lambda event: transform.transform(event, services)


def _seconds(work: Callable[[dict[str, Any]], Any], event: dict[str, Any]) -> float:
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work(event)
    return time.perf_counter() - began


def measure(rounds: int) -> Measured:
    """Let floor and function take turns, and measure the memory of a process of its own."""
    event, transform = buffer(), function()
    answers = transform_once(transform, event)
    if any(answer["result"] != "Ok" for answer in answers):
        raise SystemExit("a record of the benchmark could not be transformed")
    pairs = [(_seconds(floor, event), _seconds(transform, event)) for _ in range(rounds)]
    size = sum(len(base64.b64decode(record["data"])) for record in event["records"])
    return Measured(
        records=len(event["records"]),
        megabytes=round(size / 1e6, 2),
        floor_seconds=round(statistics.median(pair[0] for pair in pairs), 4),
        transform_seconds=round(statistics.median(pair[1] for pair in pairs), 4),
        ratio=round(statistics.median(ours / least for least, ours in pairs), 3),
        peak_mb=round(_peak_in_process(), 1),
    )


def transform_once(
    transform: Callable[[dict[str, Any]], Any], event: dict[str, Any]
) -> list[dict[str, str]]:
    """Return the function's answers."""
    with contextlib.redirect_stdout(io.StringIO()):
        answers: list[dict[str, str]] = transform(event)["records"]
    return answers


def _peak_in_process() -> float:
    command = [sys.executable, "-m", "bench.transform", "--measure-memory"]
    done = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"measuring memory failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def _measure_memory() -> float:
    """Return the peak megabytes of this process, after an event as Lambda hands it over."""
    payload = json.dumps(buffer())
    event = json.loads(payload)
    answer = {"records": transform_once(function(), event)}
    json.dumps(answer)
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _print(result: Measured) -> None:
    print(f"Transforming {result.records:,} records of {result.megabytes} MB, one process")
    for name, seconds in (
        ("floor (base64, loads, dumps, base64)", result.floor_seconds),
        ("transform, schema validation on", result.transform_seconds),
    ):
        records, megabytes = result.records / seconds, result.megabytes / seconds
        print(f"  {name:<38} {records:>9,.0f} records/s {megabytes:>7.1f} MB/s")
    print(f"  {'transform, times the floor':<38} {result.ratio:>9.2f}")
    print(f"  {'peak memory of a buffer of 3 MiB':<38} {result.peak_mb:>9.0f} MB")
    print(f"promised: at most {MAX_RATIO:g} times the floor, less than {MAX_MB:g} MB")


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when the promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.transform", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--measure-memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure_memory:
        print(_measure_memory())
        return 0
    result = measure(options.rounds)
    if options.json:
        print(json.dumps(asdict(result)))
    else:
        _print(result)
    return int(not result.kept)


if __name__ == "__main__":
    sys.exit(main())
