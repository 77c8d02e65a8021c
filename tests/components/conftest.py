"""The program, run once for each kind of stack, as a list of what it registered."""

from __future__ import annotations

import pytest

from tests.components.recording import Recording
from tests.components.stacks import (
    FAILURES_KEY,
    REPLICATION,
    SECRET_KEY,
    config,
    replication_config,
    run_program,
)


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


@pytest.fixture(scope="session")
def replication() -> Recording:
    """The replication route alone, on a table of its own and a cluster it may change."""
    return run_program(replication_config())


@pytest.fixture(scope="session")
def guest() -> Recording:
    """The replication route in production, where everything around it is somebody else's."""
    cluster = {
        "identifier": "analytics-db",
        "user": "ferry",
        "secret_arn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ferry-a1B2c3",
        "secret_key_arn": SECRET_KEY,
        "ca_bundle": REPLICATION["cluster"]["ca_bundle"],
    }
    flow = {**REPLICATION["flows"]["page-views"], "create_table": False}
    return run_program(
        replication_config(
            cluster=cluster,
            flows={"page-views": flow},
            on_failure_bucket="their-failures",
            on_failure_key_arn=FAILURES_KEY,
        ),
        stack="prod",
    )
