"""What evaluating the program costs for many tables, in time and memory, before any cloud is asked.

Pulumi evaluates the whole program for every preview. A table costs two resources; this measures
what a table costs beside what one bare resource costs under the same monitor (the SDK's own test
monitor, which answers at once), in the same run, and whether the cost grows in line with the
number of tables.

Each measurement is a process of its own, so that none inherits the memory of another, and a cost
is the difference to the same program with one table: start-up and the stack's fixed resources do
not count. Run it with ``python -m bench.evaluate [--full] [--json]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks
from pulumi.runtime.settings import set_root_resource
from pulumi.runtime.stack import run_in_stack

PROGRAM = Path(__file__).resolve().parents[1]
SIZES = (100, 1_000)
FULL_SIZES = (*SIZES, 10_000)
# The promise, for a machine of two cores.
MAX_MS_PER_TABLE = 10.0
MAX_KB_PER_TABLE = 400.0

_SOURCE = "shop-bench"
_CONFIG = {
    "aws:region": "eu-west-1",
    "data-ferry:service": "shop",
    "data-ferry:bigquery": {"project": "shop-bench", "project_number": "123456789012"},
}


_COMPUTED = ("arn", "email", "keyId", "member", "name", "secret", "url")


@dataclass(frozen=True)
class Cost:
    """What one evaluation took."""

    seconds: float
    cpu_seconds: float
    kilobytes: float


@dataclass(frozen=True)
class Row:
    """What a table costs in a stack of so many, and what a bare resource does among as many."""

    tables: int
    seconds: float
    ms_per_table: float
    kb_per_table: float
    ms_per_bare_resource: float
    kb_per_bare_resource: float

    @property
    def ratio(self) -> float:
        """How many bare resources a table costs; two is the least there can be."""
        return self.ms_per_table / self.ms_per_bare_resource

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return self.ms_per_table <= MAX_MS_PER_TABLE and self.kb_per_table <= MAX_KB_PER_TABLE


class _Clouds(mocks.Mocks):
    """Gives every resource what it was given, and the few outputs the program computes with."""

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token.startswith("aws:rds/"):
            return {"engine": "aurora-mysql"}
        return {"accountId": "111122223333"}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return args.name, {**dict.fromkeys(_COMPUTED, args.name), **args.inputs}


class _Bare(pulumi.CustomResource):
    def __init__(self, name: str) -> None:
        super().__init__("bench:index:Bare", name, {"value": "x"})


def _bare(count: int) -> None:
    for number in range(count):
        _Bare(f"bare-{number}")


def _program(_count: int) -> None:
    runpy.run_path(str(PROGRAM / "__main__.py"), run_name="__main__")


_SUBJECTS: dict[str, Callable[[int], None]] = {"program": _program, "bare": _bare}


def _config(count: int) -> dict[str, Any]:
    snapshot = {
        "sources": [
            {
                "cluster": _SOURCE,
                "engine": "mysql",
                "databases": {"shop": [f"table_{number:05}" for number in range(count)]},
            }
        ]
    }
    return {**_CONFIG, "data-ferry:snapshot": snapshot}


def _evaluate(subject: str, count: int) -> Cost:
    """Evaluate once, in this process."""
    sys.path.insert(0, str(PROGRAM))
    config = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in _config(count).items()
    }
    clouds = _Clouds()
    # The stack is made by run_in_stack, in the loop the program runs in; set_mocks would make one
    # of its own if there were none.
    set_root_resource(cast(Any, object()))
    quiet = logging.getLogger("bench")
    mocks.set_mocks(clouds, project="data-ferry", stack="bench", preview=False, logger=quiet)
    set_root_resource(cast(Any, None))
    pulumi.runtime.set_all_config(config)
    _import_everything()
    memory = _peak_kilobytes()
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run_in_stack(lambda: _SUBJECTS[subject](count)))
    return Cost(
        time.perf_counter() - began,
        time.process_time() - cpu,
        _peak_kilobytes() - memory,
    )


def _peak_kilobytes() -> float:
    """Return the most memory this process has had.

    From /proc where there is one: Linux's `getrusage` begins with what the parent process had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().partition("VmHWM:")[2].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else float(peak)


def _import_everything() -> None:
    """Import what the program does, which no table pays for."""
    for package in ("components", "routes"):
        for module in sorted((PROGRAM / package).glob("*.py")):
            __import__(f"{package}.{module.stem}")
    __import__("settings")


def _in_process(subject: str, count: int) -> Cost:
    command = [sys.executable, "-m", "bench.evaluate", "--measure", subject, str(count)]
    done = subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"evaluating {subject} with {count} failed:\n{done.stderr}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _best(subject: str, count: int, repeats: int) -> Cost:
    """Return the fastest of some evaluations: what disturbs a measurement only adds to it."""
    return min((_in_process(subject, count) for _ in range(repeats)), key=lambda c: c.seconds)


def measure(sizes: tuple[int, ...], repeats: int = 2) -> list[Row]:
    """Measure stacks of these numbers of tables."""
    base = {subject: _best(subject, 1, repeats) for subject in _SUBJECTS}
    rows = []
    for size in sizes:
        cost = {subject: _best(subject, size, repeats) for subject in _SUBJECTS}
        per = {
            subject: Cost(
                (cost[subject].seconds - base[subject].seconds) / (size - 1),
                (cost[subject].cpu_seconds - base[subject].cpu_seconds) / (size - 1),
                (cost[subject].kilobytes - base[subject].kilobytes) / (size - 1),
            )
            for subject in _SUBJECTS
        }
        rows.append(
            Row(
                tables=size,
                seconds=round(cost["program"].seconds, 3),
                ms_per_table=round(per["program"].seconds * 1000, 3),
                kb_per_table=round(per["program"].kilobytes, 1),
                ms_per_bare_resource=round(per["bare"].seconds * 1000, 3),
                kb_per_bare_resource=round(per["bare"].kilobytes, 1),
            )
        )
    return rows


def _print(rows: list[Row]) -> None:
    print("Evaluating the program, under the SDK's test monitor")
    print(
        f"{'tables':>8} {'seconds':>9} {'ms/table':>9} {'kB/table':>9} {'bare ms':>9} {'ratio':>6}"
    )
    for row in rows:
        print(
            f"{row.tables:>8,} {row.seconds:>9.2f} {row.ms_per_table:>9.2f} "
            f"{row.kb_per_table:>9.0f} {row.ms_per_bare_resource:>9.2f} {row.ratio:>6.2f}"
        )
    print(
        f"promised: at most {MAX_MS_PER_TABLE:g} ms and {MAX_KB_PER_TABLE:g} kB per table; "
        "a table is two resources, so a ratio of 2 is the floor"
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 when the promise was not kept for 1,000 tables or more."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluate", description=__doc__)
    parser.add_argument("--full", action="store_true", help="also 10,000 tables (minutes)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--measure", nargs=2, metavar=("SUBJECT", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(asdict(_evaluate(options.measure[0], int(options.measure[1])))))
        return 0
    rows = measure(FULL_SIZES if options.full else SIZES)
    if options.json:
        print(json.dumps([{**asdict(row), "ratio": round(row.ratio, 2)} for row in rows]))
    else:
        _print(rows)
    return 0 if all(row.kept for row in rows if row.tables >= 1_000) else 1


if __name__ == "__main__":
    sys.exit(main())
