from __future__ import annotations

import json

from state_machines import load
from tests.components.recording import ACCOUNT, PROJECT_NUMBER, REGION, Recording

FUNCTION = "aws:lambda/function:Function"
BUCKET = f"arn:aws:s3:::shop-stg-rds-exports-{ACCOUNT}"
STEPS = {
    "shop-stg-load-plan": "load.plan.handler",
    "shop-stg-load-start-runs": "load.start_runs.handler",
    "shop-stg-load-check-runs": "load.check_runs.handler",
    "shop-stg-load-settle": "load.settle.handler",
}


def arn(step: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:shop-stg-load-{step}"


def test_four_functions_of_one_package(ferry: Recording) -> None:
    functions = {each.inputs["name"]: each.inputs for each in ferry.all(FUNCTION)}
    assert {name: each["handler"] for name, each in functions.items()} == STEPS
    for each in functions.values():
        assert each["code"]["path"] == "build/lambda/load.zip"
        assert each["runtime"] == "python3.12"
        assert each["architectures"] == ["arm64"]
        assert each["memorySize"] >= 512
        # Step Functions gives up after 930 seconds: the function's own end comes first.
        assert each["timeout"] <= 900
        assert each["role"] == f"arn:aws:iam::{ACCOUNT}:role/shop-stg-load-functions"


def test_the_functions_hold_no_secret_and_reach_google_by_federation(ferry: Recording) -> None:
    email = "shop-stg-load@shop-analytics.iam.gserviceaccount.com"
    pool = f"projects/{PROJECT_NUMBER}/locations/global/workloadIdentityPools/shop-stg"
    for each in ferry.all(FUNCTION):
        assert not each.secrets
        variables = dict(each.inputs["environment"]["variables"])
        assert json.loads(variables.pop("GOOGLE_CREDENTIALS_CONFIG")) == {
            "type": "external_account",
            "universe_domain": "googleapis.com",
            "audience": f"//iam.googleapis.com/{pool}/providers/aws-load",
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": (
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
                f"{email}:generateAccessToken"
            ),
            "credential_source": {
                "environment_id": "aws1",
                "regional_cred_verification_url": (
                    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
                ),
            },
        }
        assert variables == {
            "SERVICE_NAME": "shop-stg",
            "POWERTOOLS_SERVICE_NAME": each.inputs["name"].removeprefix("shop-stg-"),
            "POWERTOOLS_METRICS_NAMESPACE": "data-ferry",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }


def test_the_functions_read_exports_and_write_work_lists(ferry: Recording) -> None:
    statements = ferry.statements("aws:iam/rolePolicy:RolePolicy", "shop-stg-load-functions")
    assert set(statements) == {"List", "Read", "KeepWork", "UseKey", "Log"}
    readable = ["catalog/*", "exports/*", "loads/*"]
    assert statements["List"]["Action"] == ["s3:ListBucket"]
    assert statements["List"]["Resource"] == [BUCKET]
    assert statements["List"]["Condition"] == {"StringLikeIfExists": {"s3:prefix": readable}}
    assert statements["Read"]["Action"] == ["s3:GetObject"]
    assert statements["Read"]["Resource"] == [f"{BUCKET}/{prefix}" for prefix in readable]
    assert statements["KeepWork"]["Action"] == ["s3:PutObject"]
    assert statements["KeepWork"]["Resource"] == [f"{BUCKET}/loads/*"]
    assert statements["UseKey"]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statements["UseKey"]["Condition"]["StringEquals"] == {
        "kms:ViaService": f"s3.{REGION}.amazonaws.com"
    }
    assert statements["Log"]["Resource"] == [
        f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{name}:*" for name in STEPS
    ]


def test_every_log_forgets(ferry: Recording) -> None:
    groups = ferry.all("aws:cloudwatch/logGroup:LogGroup")
    assert len(groups) == len(STEPS) + 3
    assert {group.inputs["retentionInDays"] for group in groups} == {60}
    by_name = {group.inputs["name"]: group for group in groups}
    for each in ferry.all(FUNCTION):
        # Made by Lambda, the group would keep everything for good.
        assert by_name[f"/aws/lambda/{each.inputs['name']}"].urn in each.depends_on


def test_the_machine_calls_these_functions(ferry: Recording) -> None:
    machine = ferry.one("aws:sfn/stateMachine:StateMachine", "shop-stg-load")
    expected = load.definition(
        load.LoadMachine(
            plan_arn=arn("plan"),
            start_runs_arn=arn("start-runs"),
            check_runs_arn=arn("check-runs"),
            settle_arn=arn("settle"),
            topic_arn=f"arn:aws:sns:{REGION}:{ACCOUNT}:shop-stg-alerts",
            runbook_url="docs/runbook.md",
        )
    )
    assert json.loads(machine.inputs["definition"]) == expected
    statements = ferry.statements("aws:iam/rolePolicy:RolePolicy", "shop-stg-load")
    assert set(statements) == {"CallFunctions", "Alert", "EncryptAlerts", "DeliverLogs", "Trace"}
    assert statements["CallFunctions"]["Action"] == ["lambda:InvokeFunction"]
    assert statements["CallFunctions"]["Resource"] == [
        arn(step) for step in ("plan", "start-runs", "check-runs", "settle")
    ]


def test_a_load_is_started_by_exports_into_this_stacks_bucket_alone(ferry: Recording) -> None:
    rule = ferry.one("aws:cloudwatch/eventRule:EventRule", "shop-stg-load-export-completed")
    assert json.loads(rule.inputs["eventPattern"]) == {
        "source": ["data-ferry"],
        "detail-type": ["Export Completed"],
        "detail": {"bucket": [f"shop-stg-rds-exports-{ACCOUNT}"]},
    }
    target = ferry.one("aws:cloudwatch/eventTarget:EventTarget", "shop-stg-load-export-completed")
    assert target.inputs["inputPath"] == "$.detail"
    assert target.inputs["arn"].endswith(":stateMachine:shop-stg-load")
