"""What the real Pulumi engine takes for many tables: up, an up that changes nothing, destroy.

The program, the engine, the plugins and both local clouds share this machine, so the seconds are an
upper bound of what is ours and a lower bound of what a user waits: real clouds answer over a
network. What matters is how the time grows with the tables, and whose it is: the CPU time of each
side is told as a share of all. A cost per table is the difference to a stack of one table, measured
in the same run: starting up and the stack's fixed resources do not count.

Run it with ``python -m bench.engine [--tables N] [--json]``. It needs Linux, and `make pulumi`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rehearsal import cast, engine, scenario, stack_file, stage
from rehearsal.progress import Progress

PROGRAM = Path(__file__).resolve().parents[1]
TABLES = 1_000
STEPS = {
    "up": ["up", "--yes", "--skip-preview"],
    "up, no change": ["up", "--yes", "--skip-preview"],
    "destroy": ["destroy", "--yes", "--skip-preview"],
}
_STACK = "bench"
_LOOK_SECONDS = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")
# Whose a process is, by a word of its command line; the rest is the engine's.
_DONE = re.compile(r" (?:created|updated|deleted|refreshed) \(")
_SIDES = {"pulumi-language-python-exec": "program", "rehearsal.provider": "plugins"}


@dataclass(frozen=True)
class Cost:
    """What one command took: seconds by the clock, and CPU seconds by side."""

    seconds: float
    cpu: dict[str, float]

    def share(self, side: str) -> float:
        """The part of all CPU time that was this side's."""
        return self.cpu.get(side, 0.0) / sum(self.cpu.values())


@dataclass(frozen=True)
class Row:
    """A command on a stack of so many tables."""

    step: str
    tables: int
    seconds: float
    ms_per_table: float
    program: float
    engine: float
    plugins: float
    clouds: float

    @property
    def outside(self) -> float:
        """The share of CPU time spent outside the program."""
        return 1 - self.program


def measure(tables: int, log: Path, progress: Progress) -> dict[str, Cost]:
    """Deploy, deploy again and destroy a stack of so many tables, on new clouds."""
    with tempfile.TemporaryDirectory(prefix="data-ferry-bench-") as name:
        folder = Path(name)
        played = cast.from_sample(_config(tables), None, PROGRAM, folder)
        with stage.built(played, folder / "bigquery.duckdb") as clouds:
            variables = engine.environment_of(
                clouds.aws.endpoint, clouds.google.endpoint, clouds.aws.region
            )
            # The state is written whole at each step; a backup would be written as often.
            variables["PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS"] = "true"
            workspace = engine.Workspace(PROGRAM, folder / "workspace", variables)
            workspace.prepare()
            workspace.configure(_STACK, played.config)
            costs = {}
            for step, command in STEPS.items():
                if step == "destroy":
                    s3 = clouds.aws.client("s3")
                    for bucket in s3.list_buckets()["Buckets"]:
                        engine.empty(s3, bucket["Name"])
                title = f"{step}: {tables:,} tables" if tables > 1 else f"{step}: one table"
                with progress.act(title, title):
                    costs[step] = _timed(workspace, command, log, title, progress)
            return costs


def _config(tables: int) -> dict[str, Any]:
    names = [f"table_{number:05}" for number in range(tables)]
    source = {"cluster": "shop-bench", "engine": "mysql", "databases": {"shop": names}}
    return {
        "aws:region": "eu-west-1",
        "data-ferry:service": "shop",
        "data-ferry:snapshot": {"sources": [source]},
        "data-ferry:bigquery": {"project": "shop-bench", "project_number": "123456789012"},
        "data-ferry:handlers": {"path": stack_file.LOCAL_PACKAGES},
    }


def _timed(
    workspace: engine.Workspace, command: list[str], log: Path, title: str, progress: Progress
) -> Cost:
    """Run a command, and look at its processes until it ends."""
    began, own = time.perf_counter(), time.process_time()
    with log.open("w") as output:
        process = workspace.start(*command, stack=_STACK, output=output)
    seen: dict[int, tuple[str, float]] = {}
    while process.poll() is None:
        seen.update(_processes(process))
        progress.say(f"{title}: {len(_DONE.findall(log.read_text())):,} resources changed")
        time.sleep(_LOOK_SECONDS)
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise SystemExit(f"pulumi {' '.join(command)} failed; see {log}")
    cpu: dict[str, float] = defaultdict(float, clouds=time.process_time() - own)
    for side, spent in seen.values():
        cpu[side] += spent
    return Cost(seconds, dict(cpu))


def _processes(leader: subprocess.Popen[str]) -> Iterator[tuple[int, tuple[str, float]]]:
    """Yield side and CPU seconds of each process that a command has started."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # After the name, which may hold blanks: state, parent, group, session ... user, system.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            line = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if int(fields[3]) == leader.pid:
            side = next((side for word, side in _SIDES.items() if word in line), "engine")
            yield int(folder.name), (side, (int(fields[11]) + int(fields[12])) / _TICKS)


def rows_of(tables: int, base: dict[str, Cost], cost: dict[str, Cost]) -> list[Row]:
    """Set the costs of many tables beside those of one."""
    return [
        Row(
            step=step,
            tables=tables,
            seconds=round(cost[step].seconds, 1),
            ms_per_table=round(1000 * (cost[step].seconds - base[step].seconds) / (tables - 1), 1),
            **{
                side: round(cost[step].share(side), 3)
                for side in ("program", "engine", "plugins", "clouds")
            },
        )
        for step in STEPS
    ]


def _print(rows: list[Row]) -> None:
    print("The real engine on the local clouds")
    print(
        f"{'':<14} {'tables':>7} {'seconds':>8} {'s/table':>8}   CPU time: "
        f"{'program':>8} {'outside':>8} = {'engine':>7} {'plugins':>8} {'clouds':>7}"
    )
    for row in rows:
        print(
            f"{row.step:<14} {row.tables:>7,} {row.seconds:>8.1f} {row.ms_per_table / 1000:>8.3f}"
            f"             {row.program:>8.1%} {row.outside:>8.1%}   {row.engine:>7.1%} "
            f"{row.plugins:>8.1%} {row.clouds:>7.1%}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--tables", type=int, default=TABLES, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if options.tables < 2:
        parser.error("--tables must be at least 2: a cost per table is a difference")
    engine.cli()
    progress = Progress(Console(stderr=True))
    scenario.package_handlers(PROGRAM, progress)
    log = PROGRAM / "build" / "bench-engine.log"
    costs = {tables: measure(tables, log, progress) for tables in (1, options.tables)}
    rows = rows_of(options.tables, costs[1], costs[options.tables])
    if options.json:
        print(json.dumps([{**asdict(row), "outside": round(row.outside, 3)} for row in rows]))
    else:
        _print(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
