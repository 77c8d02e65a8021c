from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import engine
from bench.engine import STEPS, Cost, rows_of


def test_a_cost_per_table_is_the_difference_to_one_table() -> None:
    base = {step: Cost(5.0, {"program": 1.0, "engine": 1.0}) for step in STEPS}
    cost = {step: Cost(104.0, {"program": 25.0, "engine": 50.0, "clouds": 25.0}) for step in STEPS}
    rows = rows_of(100, base, cost)
    assert [row.step for row in rows] == list(STEPS)
    assert {row.ms_per_table for row in rows} == {1000.0}
    assert {(row.program, row.engine, row.plugins, row.clouds) for row in rows} == {
        (0.25, 0.5, 0.0, 0.25)
    }
    assert {row.outside for row in rows} == {0.75}


def test_a_cost_per_table_needs_two_of_them() -> None:
    with pytest.raises(SystemExit):
        engine.main(["--tables", "1"])


def test_each_process_is_on_a_side(tmp_path: Path) -> None:
    """What works in the session of a command is looked at, and nothing else."""
    import subprocess

    busy = "import sys\nwhile True: pass"
    with subprocess.Popen(
        [sys.executable, "-c", busy, "pulumi-language-python-exec"],
        text=True,
        start_new_session=True,
    ) as process:
        try:
            while True:
                seen = dict(engine._processes(process))
                if seen and seen[process.pid][1] > 0.2:
                    break
        finally:
            process.kill()
    assert seen.keys() == {process.pid}
    assert seen[process.pid][0] == "program"
    assert os.getpid() not in seen
