from __future__ import annotations

import dataclasses

from bench.transform import BUFFER, MAX_MB, MAX_RATIO, Measured, buffer, measure


def test_a_measurement_is_of_the_whole_buffer_in_one_run() -> None:
    measured = measure(rounds=1)
    assert measured.records == len(buffer()["records"])
    assert 0.99 * BUFFER < measured.megabytes * 1e6 < 1.01 * BUFFER
    assert 0 < measured.floor_seconds < measured.transform_seconds
    assert 0 < measured.peak_mb < MAX_MB


def test_the_promise_is_about_speed_and_memory() -> None:
    kept = Measured(
        records=1,
        megabytes=1.0,
        floor_seconds=1.0,
        transform_seconds=2.0,
        ratio=MAX_RATIO,
        peak_mb=MAX_MB - 1,
    )
    assert kept.kept
    assert not dataclasses.replace(kept, ratio=MAX_RATIO + 0.01).kept
    assert not dataclasses.replace(kept, peak_mb=MAX_MB).kept
