"""The program, run once for each kind of stack, as a list of what it registered."""

from __future__ import annotations

import pytest

from tests.components.recording import Recording
from tests.components.stacks import config, run_program


@pytest.fixture(scope="session")
def ferry() -> Recording:
    """A stack that is started by events, manual snapshots included, and loads two hours later."""
    return run_program(config({"manual_snapshots": True}, {"run_time_offset_hours": 2}))


@pytest.fixture(scope="session")
def production() -> Recording:
    """The production stack, on a schedule, with the second generation of the reader's key."""
    trigger = {"schedule": "cron(30 3 * * ? *)", "timezone": "Europe/Madrid"}
    return run_program(
        config(
            {"trigger": trigger, "reader_key_generation": 2}, {"project_number": "424242424242"}
        ),
        stack="prod",
    )
