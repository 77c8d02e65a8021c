from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from replication import flow, load, resend, stream, transform
from tests.handlers.replication.kit import FLOW, Log
from tests.rehearsal.databases import mariadb

__all__ = ["mariadb"]


@pytest.fixture
def log() -> Log:
    return Log()


@dataclass
class Layer:
    """The layer of a function, and the context of an invocation."""

    folder: Path

    @property
    def context(self) -> Layer:
        return self

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layer]:
    """A layer with the flow, as the program makes it; handlers start afresh."""
    folder = tmp_path / "layer" / "python"
    (folder / "ferry_flow").mkdir(parents=True)
    (folder / "ferry_flow" / "flow.json").write_text(json.dumps(FLOW))
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    cached = [flow.configured, *(module.services for module in (load, resend, stream, transform))]
    for each in cached:
        each.cache_clear()
    yield Layer(folder / "ferry_flow")
    for each in cached:
        each.cache_clear()
    sys.modules.pop("ferry_flow", None)
