"""The program as a whole, for every stack there is."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pulumi
import pytest
import yaml

from settings import load
from tests.components.recording import NOT_THERE, Recording
from tests.components.stacks import LABELS, ROOT, config, databases_of, run_program

COMPONENTS = {
    "data-ferry:alarms:Alarms",
    "data-ferry:alerts:Alerts",
    "data-ferry:catalog:Catalog",
    "data-ferry:dataset:Dataset",
    "data-ferry:dead-letters:DeadLetterQueue",
    "data-ferry:export-bucket:ExportBucket",
    "data-ferry:export-key:ExportKey",
    "data-ferry:export-key:ExportKeyPolicy",
    "data-ferry:export-role:ExportRole",
    "data-ferry:federation:Federation",
    "data-ferry:google-services:GoogleServices",
    "data-ferry:load:Load",
    "data-ferry:load:LoadFunctions",
    "data-ferry:reader-secrets:ReaderSecrets",
    "data-ferry:reader:Reader",
    "data-ferry:source-export:SourceExport",
    "data-ferry:state-machine:StateMachine",
    "data-ferry:transfer-identity:TransferIdentity",
    "data-ferry:transfers:Transfers",
}
TRIGGERS = {
    "ferry": "data-ferry:trigger:EventTrigger",
    "production": "data-ferry:trigger:ScheduleTrigger",
}


@pytest.mark.parametrize("stack", ["stg", "prod", "local"])
def test_the_committed_stacks_are_whole(stack: str) -> None:
    raw = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    settings = load(stack, raw, ROOT)
    recording = run_program(
        {k: v if isinstance(v, str) else json.dumps(v) for k, v in raw.items()},
        stack=stack,
        databases=databases_of(settings),
    )
    assert settings.snapshot is not None
    tables = sum(len(each.tables) for each in settings.snapshot.sources)
    assert len(recording.all("gcp:bigquery/table:Table")) == tables
    assert len(recording.all("gcp:bigquery/dataTransferConfig:DataTransferConfig")) == tables
    assert recording.outputs["transfer_configs"] == tables
    assert len(recording.all("data-ferry:source-export:SourceExport")) == len(
        settings.snapshot.sources
    )
    assert recording.one("gcp:bigquery/dataset:Dataset").protect is (stack == "prod")


def test_the_type_tokens_of_the_replication_route_are_these(replication: Recording) -> None:
    ours = {each.type for each in replication.resources if each.type.startswith("data-ferry:")}
    assert ours == {
        "data-ferry:alerts:Alerts",
        "data-ferry:aurora:AuroraAccess",
        "data-ferry:dead-letters:DeadLetterQueue",
        "data-ferry:delivery-stream:DeliveryStream",
        "data-ferry:flow-alarms:FlowAlarms",
        "data-ferry:flow-layer:FlowLayer",
        "data-ferry:flow-load:FlowLoad",
        "data-ferry:flow-stream:FlowStream",
        "data-ferry:load-network:LoadNetwork",
        "data-ferry:packaged-function:PackagedFunction",
        "data-ferry:replication-bucket:ReplicationBucket",
        "data-ferry:source-table:SourceTable",
    }


def test_the_type_tokens_are_these(ferry: Recording, production: Recording) -> None:
    """A changed token is another resource: the stack would be torn down and made again."""
    for name, recording in (("ferry", ferry), ("production", production)):
        ours = {each.type for each in recording.resources if each.type.startswith("data-ferry:")}
        both = {*COMPONENTS, TRIGGERS[name], "data-ferry:trigger:EventTrigger"}
        assert ours == both


def test_no_two_resources_share_an_urn_or_a_name_in_the_cloud(ferry: Recording) -> None:
    assert [urn for urn, n in Counter(e.urn for e in ferry.resources).items() if n > 1] == []
    named = Counter(
        (each.type, each.inputs["name"])
        for each in ferry.resources
        if "name" in each.inputs and each.type != "aws:iam/rolePolicy:RolePolicy"
    )
    assert len(named) > 20
    assert [name for name, n in named.items() if n > 1] == []


def test_every_resource_has_a_component_and_an_explicit_provider(ferry: Recording) -> None:
    components = {each.urn for each in ferry.resources if each.type.startswith("data-ferry:")}
    for each in ferry.resources:
        package = each.type.partition(":")[0]
        if package not in ("aws", "gcp"):
            continue
        assert each.parent in components, each.urn
        assert f"pulumi:providers:{package}::{package}::" in each.provider, each.urn


def test_every_resource_is_labelled_by_its_provider(ferry: Recording) -> None:
    labels = {**LABELS, "service": "shop", "stack": "stg", "managed-by": "data-ferry"}
    in_aws = ferry.one("pulumi:providers:aws").inputs
    assert json.loads(in_aws["defaultTags"]) == {"tags": labels}
    assert in_aws["region"] == "eu-west-1"
    in_google = ferry.one("pulumi:providers:gcp").inputs
    assert json.loads(in_google["defaultLabels"]) == labels
    assert in_google["project"] == "shop-analytics"


def test_the_providers_take_what_the_stack_says_of_them() -> None:
    """An explicit provider reads no config by itself: local endpoints would not be used."""
    recording = run_program(
        {
            **config(),
            "aws:accessKey": "test",
            "aws:s3UsePathStyle": "true",
            "aws:endpoints": '[{"s3": "http://127.0.0.1:4566"}]',
            "aws:skipCredentialsValidation": "true",
            "gcp:accessToken": "token",
            "gcp:credentials": '{"type": "authorized_user"}',
            "gcp:bigQueryCustomEndpoint": "http://127.0.0.1:9050/bigquery/v2/",
            "gcp:addPulumiAttributionLabel": "false",
        }
    )
    in_aws = recording.one("pulumi:providers:aws")
    assert in_aws.inputs["accessKey"] == "test"
    assert "accessKey" in in_aws.secrets
    assert json.loads(in_aws.inputs["endpoints"]) == [{"s3": "http://127.0.0.1:4566"}]
    assert json.loads(in_aws.inputs["s3UsePathStyle"]) is True
    in_google = recording.one("pulumi:providers:gcp").inputs
    assert in_google["accessToken"] == "token"
    assert in_google["credentials"] == '{"type": "authorized_user"}'
    assert in_google["bigQueryCustomEndpoint"] == "http://127.0.0.1:9050/bigquery/v2/"
    assert json.loads(in_google["addPulumiAttributionLabel"]) is False


def test_a_preview_shows_every_resource(ferry: Recording) -> None:
    """What is created inside an `apply` is missing while the clouds' answers are not known."""
    preview = run_program(
        config({"manual_snapshots": True}, {"run_time_offset_hours": 2}), preview=True
    )
    assert {each.urn for each in preview.resources} == {each.urn for each in ferry.resources}


def test_what_is_wrong_is_told_all_at_once_and_nothing_is_created() -> None:
    wrong: dict[str, Any] = {"prefix": "/exports", "retention_days": 0}
    with pytest.raises(pulumi.RunError) as caught:
        run_program(config(wrong))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("data-ferry:snapshot.") for line in lines)


def test_a_project_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        run_program(config(bigquery={"project": NOT_THERE}))
    (line,) = str(caught.value).splitlines()
    where = f"data-ferry:bigquery.project: the project {NOT_THERE} could not be looked up: "
    assert line.startswith(where)


def test_the_outputs_are_what_an_operator_needs(ferry: Recording) -> None:
    assert set(ferry.outputs) == {
        "bucket",
        "export_machines",
        "load_machine",
        "alerts_topic",
        "dead_letter_queue",
        "dataset",
        "transfer_configs",
    }
    assert set(ferry.outputs["export_machines"]) == {"shop-db", "ledger-db"}
    assert ferry.outputs["dataset"] == "shop-analytics.shop_stg_rds_data"
    assert ferry.outputs["transfer_configs"] == 3
