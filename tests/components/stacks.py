"""The configurations the tests run the program with."""

from __future__ import annotations

import json
import runpy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi_aws
import pulumi_gcp

from tests.components.recording import Recording, record

# The SDKs warn of old classes of theirs when a module is first used, whatever it is used for. Done
# here, so that a warning about something the program itself uses is still an error.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    _ = (pulumi_aws.s3.Bucket, pulumi_aws.lambda_.Function, pulumi_gcp.bigquery.Table)

ROOT = Path(__file__).resolve().parents[2]

DATABASES = {"shop-db": "aurora-mysql", "ledger-db": "postgres"}
SOURCES: list[dict[str, Any]] = [
    {"cluster": "shop-db", "engine": "mysql", "databases": {"shop": ["users", "orders"]}},
    {
        "instance": "ledger-db",
        "engine": "postgresql",
        "databases": {"ledger": {"public": ["accounts"]}},
    },
]
SNAPSHOT: dict[str, Any] = {
    "sources": SOURCES,
    "prefix": "exports",
    "retention_days": 5,
    "log_retention_days": 60,
}
BIGQUERY: dict[str, Any] = {"project": "shop-analytics", "location": "EU"}
LABELS = {"team": "data", "cost-centre": "a1"}
EMAILS = ["one@example.com", "two@example.com"]


def config(
    snapshot: Mapping[str, Any] | None = None, bigquery: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Return a stack's configuration as the engine hands it to the program."""
    return {
        "aws:region": "eu-west-1",
        "data-ferry:service": "shop",
        "data-ferry:snapshot": json.dumps({**SNAPSHOT, **(snapshot or {})}),
        "data-ferry:bigquery": json.dumps({**BIGQUERY, **(bigquery or {})}),
        "data-ferry:alerts": json.dumps({"emails": EMAILS}),
        "data-ferry:labels": json.dumps(LABELS),
    }


def run_program(
    configuration: Mapping[str, str],
    *,
    stack: str = "stg",
    databases: Mapping[str, str] = DATABASES,
    preview: bool = False,
) -> Recording:
    return record(
        lambda: runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__"),
        stack=stack,
        config=configuration,
        databases=databases,
        preview=preview,
    )
