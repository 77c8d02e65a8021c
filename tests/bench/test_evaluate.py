from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.evaluate import MAX_KB_PER_TABLE, MAX_MS_PER_TABLE, Row

ROOT = Path(__file__).resolve().parents[2]


def test_a_measurement_evaluates_the_whole_program() -> None:
    command = [sys.executable, "-m", "bench.evaluate", "--measure", "program", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    cost = json.loads(done.stdout)
    assert set(cost) == {"seconds", "cpu_seconds", "kilobytes"}
    assert cost["seconds"] > 0
    assert cost["kilobytes"] > 0


def test_the_promise_is_about_time_and_memory() -> None:
    def row(ms: float, kb: float) -> Row:
        return Row(
            tables=1_000,
            seconds=1.0,
            ms_per_table=ms,
            kb_per_table=kb,
            ms_per_bare_resource=2.0,
            kb_per_bare_resource=100.0,
        )

    kept = row(MAX_MS_PER_TABLE, MAX_KB_PER_TABLE)
    assert kept.kept
    assert kept.ratio == MAX_MS_PER_TABLE / 2
    assert not row(MAX_MS_PER_TABLE + 0.1, 1.0).kept
    assert not row(1.0, MAX_KB_PER_TABLE + 1).kept
