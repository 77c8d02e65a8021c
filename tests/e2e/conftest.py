"""Clouds and stacks for the tests on the real engine. One process holds one pair of clouds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from rehearsal import scenario
from rehearsal.progress import Progress
from tests.e2e.kit import ROOT, Stack, stack_on_clouds
from tests.rehearsal.playing import once


@pytest.fixture(scope="session", autouse=True)
def packages(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """Build what the functions' resources deploy, once for all processes."""

    def build(_folder: Path) -> bool:
        scenario.package_handlers(ROOT, Progress(Console(quiet=True)))
        return True

    once(tmp_path_factory, worker_id, "packages", build)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Stack]:
    """The stack `local`, with nothing deployed yet."""
    with stack_on_clouds(tmp_path, "local") as stack:
        yield stack
