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

from rehearsal.aws.aurora import certificates
from settings import Settings
from tests.components.recording import Recording, record
from tests.test_docs import anchors

# The SDKs warn of old classes of theirs when a module is first used, whatever it is used for. Done
# here, so that a warning about something the program itself uses is still an error.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    _ = (pulumi_aws.s3.Bucket, pulumi_aws.lambda_.Function, pulumi_aws.ec2.SecurityGroup)
    _gcp = pulumi_gcp.bigquery.Table

ROOT = Path(__file__).resolve().parents[2]
# What the stack `local` trusts; a rehearsal makes it too.
certificates.authority(ROOT / "build" / "local")

DATABASES = {"shop-db": "aurora-mysql", "ledger-db": "postgres", "analytics-db": "aurora-mysql"}
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
REPLICATION: dict[str, Any] = {
    "cluster": {
        "identifier": "analytics-db",
        "user": "ferry",
        "ca_bundle": "tests/components/rds-ca.pem",
        "modify": True,
        "parameter_group_family": "aurora-mysql8.0",
    },
    "flows": {
        "page-views": {
            "table": "page-views",
            "create_table": True,
            "partition_key": {"page_id": "S"},
            "sort_key": {"at": "N"},
            "target": "analytics.page_views",
            "schema": {"type": "object", "properties": {"page_id": {"type": "string"}}},
            "columns": {"page_id": "varchar(64)", "at": "bigint", "note": "longtext"},
            "transform_buffer_mib": 1.5,
        }
    },
    "retention_days": 5,
    "failed_retention_days": 20,
    "log_retention_days": 60,
    "load_lag_minutes": 10,
}
SECRET_KEY = "arn:aws:kms:eu-west-1:111122223333:key/0d9c7a4e-5b1f-4c52-8a3e-6f7b8c9d0e1f"
FAILURES_KEY = "arn:aws:kms:eu-west-1:111122223333:key/1a9c7a4e-5b1f-4c52-8a3e-6f7b8c9d0e1f"
BIGQUERY: dict[str, Any] = {"project": "shop-analytics", "location": "EU"}
LABELS = {"team": "data", "cost-centre": "a1"}
EMAILS = ["one@example.com", "two@example.com"]


def links_a_section(alarm: Mapping[str, Any]) -> bool:
    """Does an alarm's description link a section of the runbook that is there?"""
    path, _, section = str(alarm["alarmDescription"]).partition("What to do: ")[2].partition("#")
    return section in anchors(ROOT / path)


def databases_of(settings: Settings) -> dict[str, str]:
    """Return the databases that a stack looks up, with their engines."""
    engines = {"mysql": "aurora-mysql", "postgresql": "aurora-postgresql"}
    sources = settings.snapshot.sources if settings.snapshot else ()
    found = {source.name: engines[source.engine] for source in sources}
    if settings.replication is not None:
        found[settings.replication.cluster.identifier] = "aurora-mysql"
    return found


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


def replication_config(**replication: Any) -> dict[str, str]:
    """Return the configuration of a stack that has the replication route alone."""
    return {
        "aws:region": "eu-west-1",
        "data-ferry:service": "shop",
        "data-ferry:replication": json.dumps({**REPLICATION, **replication}),
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
