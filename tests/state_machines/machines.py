"""The machines of an imaginary stack."""

from __future__ import annotations

from typing import Any

from state_machines import export, load


def export_machine(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "source": "shop-stg",
        "kind": "cluster",
        "export_only": ("shop.orders", "shop.users"),
        "bucket": "shop-stg-rds-exports-111122223333",
        "prefix": "exports",
        "export_role_arn": "arn:aws:iam::111122223333:role/shop-stg-export",
        "kms_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/1",
        "topic_arn": "arn:aws:sns:eu-west-1:111122223333:shop-stg-alerts",
        "run_time_offset_hours": 0,
        "runbook_url": "https://example.com/runbook",
        **changes,
    }
    return export.definition(export.ExportMachine(**values))


def load_machine() -> dict[str, Any]:
    function = "arn:aws:lambda:eu-west-1:111122223333:function:shop-stg-load"
    return load.definition(
        load.LoadMachine(
            plan_arn=f"{function}-plan",
            start_runs_arn=f"{function}-start-runs",
            check_runs_arn=f"{function}-check-runs",
            settle_arn=f"{function}-settle",
            topic_arn="arn:aws:sns:eu-west-1:111122223333:shop-stg-alerts",
            runbook_url="https://example.com/runbook",
        )
    )
