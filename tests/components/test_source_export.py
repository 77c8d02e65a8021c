from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

from components.source_export import Schedule, SnapshotEvents, SourceExport, SourceExportArgs
from state_machines import export
from tests.components.recording import ACCOUNT, REGION, Recording, record
from tests.components.stacks import config, run_program

MACHINE = "aws:sfn/stateMachine:StateMachine"
RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
SCHEDULE = "aws:scheduler/schedule:Schedule"
RDS = f"arn:aws:rds:{REGION}:{ACCOUNT}"
DEAD_LETTERS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:shop-stg-rds-events-dlq"


def arguments(**changes: Any) -> SourceExportArgs:
    values: dict[str, Any] = {
        "source": "db",
        "identifier": "db",
        "kind": "cluster",
        "export_only": None,
        "trigger": SnapshotEvents(manual=False),
        "bucket": "b",
        "prefix": "exports",
        "export_role_arn": f"arn:aws:iam::{ACCOUNT}:role/export",
        "key_arn": "arn:aws:kms:k",
        "topic_arn": "arn:aws:sns:t",
        "topic_key_arn": "arn:aws:kms:t",
        "dead_letter_queue_arn": "arn:aws:sqs:q",
        "run_time_offset_hours": 0,
        "runbook_url": "runbook",
        "log_retention_days": 30,
        "account_id": ACCOUNT,
        "region": REGION,
    }
    return SourceExportArgs(**{**values, **changes})


def pattern(stack: Recording, name: str) -> dict[str, Any]:
    return dict(json.loads(stack.one(RULE, name).inputs["eventPattern"]))


def test_automated_cluster_snapshots_are_matched_by_event_source_and_year(
    ferry: Recording,
) -> None:
    """`rds:shop-` would also be the beginning of the snapshots of shop-db-replica."""
    assert pattern(ferry, "shop-stg-export-shop-db-automated") == {
        "source": ["aws.rds"],
        "detail-type": ["RDS DB Cluster Snapshot Event"],
        "detail": {
            "SourceType": ["CLUSTER_SNAPSHOT"],
            "EventID": ["RDS-EVENT-0169"],
            "SourceIdentifier": [{"prefix": "rds:shop-db-20"}],
        },
    }


def test_automated_instance_snapshots_have_their_own_words(ferry: Recording) -> None:
    assert pattern(ferry, "shop-stg-export-ledger-db-automated") == {
        "source": ["aws.rds"],
        "detail-type": ["RDS DB Snapshot Event"],
        "detail": {
            "SourceType": ["SNAPSHOT"],
            "EventID": ["RDS-EVENT-0091"],
            "SourceIdentifier": [{"prefix": "rds:ledger-db-20"}],
        },
    }


def test_manual_snapshots_are_matched_when_asked_for(ferry: Recording) -> None:
    cluster = pattern(ferry, "shop-stg-export-shop-db-manual")["detail"]
    assert cluster == {"SourceType": ["CLUSTER_SNAPSHOT"], "EventID": ["RDS-EVENT-0075"]}
    instance = pattern(ferry, "shop-stg-export-ledger-db-manual")["detail"]
    assert instance == {"SourceType": ["SNAPSHOT"], "EventID": ["RDS-EVENT-0042"]}


def test_manual_snapshots_are_left_alone_when_not_asked_for() -> None:
    stack = record(lambda: SourceExport("export-db", arguments()))
    assert [rule.name for rule in stack.all(RULE)] == ["export-db-automated"]


def test_a_target_hands_on_the_snapshot_and_nothing_else(ferry: Recording) -> None:
    target = ferry.one(TARGET, "shop-stg-export-shop-db-automated")
    transformer = target.inputs["inputTransformer"]
    assert transformer["inputPaths"] == {
        "snapshot_id": "$.detail.SourceIdentifier",
        "snapshot_arn": "$.detail.SourceArn",
        "event_id": "$.id",
    }
    template = transformer["inputTemplate"]
    assert json.loads(template) == {name: f"<{name}>" for name in transformer["inputPaths"]}
    assert target.inputs["arn"] == (
        f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:shop-stg-export-shop-db"
    )


def test_every_target_retries_for_a_day_and_keeps_what_it_could_not_deliver(
    ferry: Recording,
) -> None:
    targets = ferry.all(TARGET)
    assert len(targets) == 5  # two per source, and the load's
    for target in targets:
        assert target.inputs["retryPolicy"] == {
            "maximumEventAgeInSeconds": 86_400,
            "maximumRetryAttempts": 185,
        }
        assert target.inputs["deadLetterConfig"] == {"arn": DEAD_LETTERS}
        role = next(r for r in ferry.all("aws:iam/role:Role") if r.name == target.name)
        assert target.inputs["roleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{role.inputs['name']}"
        policy = ferry.one("aws:iam/rolePolicy:RolePolicy", target.name)
        assert policy.urn in target.depends_on
        (start,) = json.loads(policy.inputs["policy"])["Statement"]
        assert start["Action"] == ["states:StartExecution"]
        assert start["Resource"] == [target.inputs["arn"]]


def test_a_rule_can_only_be_used_by_itself(ferry: Recording) -> None:
    for rule in ferry.all(RULE):
        role = ferry.one("aws:iam/role:Role", rule.name)
        (assume,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        assert assume["Condition"]["ArnEquals"] == {
            "aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule.inputs['name']}"
        }


def test_a_schedule_starts_every_export_with_its_time(production: Recording) -> None:
    schedules = production.all(SCHEDULE)
    assert {each.name for each in schedules} == {
        "shop-prod-export-shop-db-schedule",
        "shop-prod-export-ledger-db-schedule",
    }
    for each in schedules:
        assert each.inputs["scheduleExpression"] == "cron(30 3 * * ? *)"
        assert each.inputs["scheduleExpressionTimezone"] == "Europe/Madrid"
        assert each.inputs["flexibleTimeWindow"] == {"mode": "OFF"}
        target = each.inputs["target"]
        assert json.loads(target["input"]) == {"scheduled_time": "<aws.scheduler.scheduled-time>"}
        assert target["retryPolicy"] == {
            "maximumEventAgeInSeconds": 86_400,
            "maximumRetryAttempts": 185,
        }
        queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:shop-prod-rds-events-dlq"
        assert target["deadLetterConfig"] == {"arn": queue}
        statements = production.statements("aws:iam/rolePolicy:RolePolicy", each.name)
        assert statements["Start"]["Resource"] == [target["arn"]]
        assert statements["KeepFailures"]["Resource"] == [queue]
        assert statements["KeepFailures"]["Action"] == ["sqs:SendMessage"]
    rules = {rule.name for rule in production.all(RULE)}
    assert rules == {"shop-prod-load-export-completed"}


def test_the_machine_is_the_export_machine_of_the_declared_tables(ferry: Recording) -> None:
    machine = ferry.one(MACHINE, "shop-stg-export-shop-db")
    role = ferry.one("aws:iam/role:Role", "shop-stg-rds-export")
    expected = export.definition(
        export.ExportMachine(
            source="shop-db",
            kind="cluster",
            export_only=("shop.users", "shop.orders"),
            bucket=f"shop-stg-rds-exports-{ACCOUNT}",
            prefix="exports",
            export_role_arn=f"arn:aws:iam::{ACCOUNT}:role/{role.inputs['name']}",
            kms_key_arn=ferry.one(
                "aws:s3/bucketServerSideEncryptionConfiguration:"
                "BucketServerSideEncryptionConfiguration"
            ).inputs["rules"][0]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"],
            topic_arn=f"arn:aws:sns:{REGION}:{ACCOUNT}:shop-stg-alerts",
            run_time_offset_hours=2,
            runbook_url="docs/runbook.md",
        )
    )
    assert json.loads(machine.inputs["definition"]) == expected


def test_an_odd_table_name_means_a_whole_export() -> None:
    sources = [
        {"cluster": "shop-db", "engine": "mysql", "databases": {"shop": ["users", "odd-name"]}}
    ]
    stack = run_program(config({"sources": sources}))
    machine = stack.one(MACHINE, "shop-stg-export-shop-db")
    assert "ExportOnly" not in machine.inputs["definition"]


def test_every_machine_is_logged_without_data_and_traced(ferry: Recording) -> None:
    machines = ferry.all(MACHINE)
    assert len(machines) == 3
    for machine in machines:
        name = machine.inputs["name"]
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/vendedlogs/states/{name}"
        assert machine.inputs["loggingConfiguration"] == {
            "level": "ERROR",
            "includeExecutionData": False,
            "logDestination": f"{group}:*",
        }
        assert machine.inputs["tracingConfiguration"] == {"enabled": True}
        assert machine.inputs["type"] == "STANDARD"
        policy = ferry.one("aws:iam/rolePolicy:RolePolicy", machine.name)
        assert policy.urn in machine.depends_on


@pytest.mark.parametrize(
    ("source", "action", "own", "snapshots"),
    [
        ("shop-db", "rds:DescribeDBClusterSnapshots", "cluster:shop-db", "cluster-snapshot"),
        ("ledger-db", "rds:DescribeDBSnapshots", "db:ledger-db", "snapshot"),
    ],
)
def test_a_machine_may_export_its_source_and_nothing_else(
    ferry: Recording, production: Recording, source: str, action: str, own: str, snapshots: str
) -> None:
    automated = f"{RDS}:{snapshots}:rds:{source}-20*"
    for stack, stage, allowed in (
        # A manual snapshot's name is anything, so with them any snapshot may be looked at.
        (ferry, "stg", f"{RDS}:{snapshots}:*"),
        (production, "prod", automated),
    ):
        name = f"shop-{stage}-export-{source}"
        statements = stack.statements("aws:iam/rolePolicy:RolePolicy", name)
        assert set(statements) == {
            "FindSnapshot",
            "StartExport",
            "WatchExport",
            "PassExportRole",
            "SeeKey",
            "GrantKeyToRds",
            "AnnounceExport",
            "Alert",
            "EncryptAlerts",
            "DeliverLogs",
            "Trace",
        }
        assert statements["FindSnapshot"]["Action"] == [action]
        assert statements["FindSnapshot"]["Resource"] == [f"{RDS}:{own}", allowed]
        assert statements["StartExport"]["Action"] == ["rds:StartExportTask"]
        assert statements["StartExport"]["Resource"] == [allowed]
        assert statements["GrantKeyToRds"]["Action"] == ["kms:CreateGrant"]
        assert statements["GrantKeyToRds"]["Condition"] == {
            "Bool": {"kms:GrantIsForAWSResource": "true"}
        }
        assert statements["AnnounceExport"]["Resource"] == [
            f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
        ]
        assert statements["AnnounceExport"]["Condition"] == {
            "StringEquals": {"events:source": "data-ferry"}
        }
        topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:shop-{stage}-alerts"
        assert statements["Alert"]["Resource"] == [topic]


def test_the_longest_identifier_gives_legal_names() -> None:
    """A rule, a role and a schedule have at most 64 characters, a state machine 80."""
    identifier = "a" * 63
    name = f"shop-stg-export-{identifier}"
    events = record(
        lambda: SourceExport(
            name, arguments(identifier=identifier, trigger=SnapshotEvents(manual=True))
        )
    )
    timed = record(
        lambda: SourceExport(
            name,
            arguments(
                identifier=identifier,
                trigger=Schedule(expression="rate(1 day)", timezone="UTC"),
            ),
        )
    )
    for stack in (events, timed):
        assert len(stack.one(MACHINE).inputs["name"]) <= 80
        roles = [role.inputs["name"] for role in stack.all("aws:iam/role:Role")]
        assert len(set(roles)) == len(roles)
        assert all(len(role) <= 64 for role in roles)
    rules = [rule.inputs["name"] for rule in events.all(RULE)]
    assert len(set(rules)) == 2
    assert all(len(rule) <= 64 and rule.startswith("shop-stg-") for rule in rules)
    assert len(timed.one(SCHEDULE).inputs["name"]) <= 64


def test_a_database_of_another_engine_stops_the_program() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        run_program(config(), databases={"shop-db": "aurora-postgresql", "ledger-db": "postgres"})
    assert str(caught.value) == (
        "data-ferry:snapshot.sources: cluster shop-db is declared as mysql, but RDS says its "
        "engine is aurora-postgresql: declare `engine: postgresql`"
    )


def test_an_engine_rds_cannot_export_stops_the_program() -> None:
    with pytest.raises(pulumi.RunError, match="its engine is oracle-ee: RDS cannot export it"):
        run_program(config(), databases={"shop-db": "aurora-mysql", "ledger-db": "oracle-ee"})


def test_an_instance_of_a_cluster_has_no_snapshots_of_its_own() -> None:
    databases = {"shop-db": "aurora-mysql", "ledger-db": "aurora-postgresql@ledger"}
    with pytest.raises(pulumi.RunError, match="declare `cluster: ledger`"):
        run_program(config(), databases=databases)


def test_a_database_that_is_not_there_stops_the_program() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        run_program(config(), databases={"shop-db": "aurora-mysql"})
    (line,) = str(caught.value).splitlines()
    where = "data-ferry:snapshot.sources: the instance ledger-db could not be looked up: "
    assert line.startswith(where)
    assert "not found" in line


def test_the_databases_are_looked_up_and_never_owned(ferry: Recording) -> None:
    looked_up = [
        (token, arguments) for token, arguments in ferry.calls if token.startswith("aws:rds/")
    ]
    assert sorted(looked_up) == [
        ("aws:rds/getCluster:getCluster", {"clusterIdentifier": "shop-db"}),
        ("aws:rds/getInstance:getInstance", {"dbInstanceIdentifier": "ledger-db"}),
    ]
    assert not [each for each in ferry.resources if each.type.startswith("aws:rds/")]
