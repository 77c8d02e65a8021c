"""The replication route's configuration: what is taken, and what is told of what is not."""

from __future__ import annotations

import copy
import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import settings
from settings.column_types import ColumnType
from tests.project import CERTIFICATE, with_certificates

FLOW = "data-ferry:replication.flows.page-views"
CLUSTER = "data-ferry:replication.cluster"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:analytics/ferry-a1B2c3"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0d9c7a4e-5b1f-4c52-8a3e-6f7b8c9d0e1f"

MINIMAL: dict[str, Any] = {
    "aws:region": "eu-west-1",
    "data-ferry:service": "shop",
    "data-ferry:replication": {
        "cluster": {
            "identifier": "analytics-stg",
            "user": "ferry",
            "ca_bundle": "certs/eu-west-1-bundle.pem",
        },
        "flows": {
            "page-views": {
                "table": "page-views",
                "partition_key": {"page_id": "S"},
                "sort_key": {"at": "N"},
                "target": "analytics.page_views",
                "columns": {
                    "at": "bigint",
                    "device": {"path": "client.device", "type": "varchar(32)"},
                    "page_id": "varchar(64)",
                },
            }
        },
    },
}
SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["page_id", "at"],
    "additionalProperties": False,
    "properties": {
        "page_id": {"type": "string"},
        "at": {"type": "integer"},
        "client": {"$ref": "#/definitions/client"},
    },
    "definitions": {"client": {"type": "object", "properties": {"device": {"type": "string"}}}},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return with_certificates(tmp_path)


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_certificates(tmp_path_factory.mktemp("project"))


def steps(path: str) -> list[str]:
    return path.split(".")


def having(path: str, value: object, base: dict[str, Any] = MINIMAL) -> dict[str, Any]:
    """Return a configuration that has the value at one path; `None` takes what is there away."""
    config = copy.deepcopy(base)
    *above, last = steps(path)
    place = config
    for step in above:
        place = place[step]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = copy.deepcopy(value)
    return config


def columns(**types: object) -> dict[str, Any]:
    """Return a configuration with columns beside those of the key."""
    key = {"page_id": "varchar(64)", "at": "bigint"}
    return having(f"{FLOW}.columns", {**key, **types})


def replication(config: dict[str, Any], root: Path) -> settings.Replication:
    found = settings.load("stg", config, root).replication
    assert found is not None
    return found


def flow(config: dict[str, Any], root: Path) -> settings.Flow:
    (only,) = replication(config, root).flows
    return only


def errors(config: dict[str, Any], root: Path) -> list[str]:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load("stg", config, root)
    return caught.value.errors


def mended(config: dict[str, Any], line: str) -> dict[str, Any]:
    """Return the configuration after a user wrote what an error says where it says so."""
    *above, last = steps(line.partition(": ")[0])
    right = yaml.safe_load(line.rpartition("; write  ")[2])
    config = copy.deepcopy(config)
    place = config
    for step in above:
        place = place[step]
    place.pop(last, None)
    place.update(right)
    return config


class TestRight:
    def test_the_least_a_route_can_say_gets_defaults_for_the_rest(self, root: Path) -> None:
        stack = settings.load("stg", MINIMAL, root)
        assert stack.snapshot is None
        assert stack.bigquery is None
        assert stack.replication == settings.Replication(
            cluster=settings.Cluster(
                identifier="analytics-stg",
                user="ferry",
                secret_arn=None,
                secret_key_arn=None,
                ca_bundle="certs/eu-west-1-bundle.pem",
                modify=False,
                parameter_group_family=None,
            ),
            flows=(
                settings.Flow(
                    name="page-views",
                    table="page-views",
                    create_table=False,
                    key=(
                        settings.KeyAttribute(name="page_id", type="S"),
                        settings.KeyAttribute(name="at", type="N"),
                    ),
                    key_columns=("page_id", "at"),
                    database="analytics",
                    target="page_views",
                    schema=None,
                    columns=(
                        settings.Column(name="page_id", path=("page_id",), type="varchar(64)"),
                        settings.Column(name="at", path=("at",), type="bigint"),
                        settings.Column(
                            name="device", path=("client", "device"), type="varchar(32)"
                        ),
                    ),
                    batch_size=500,
                    batching_window_seconds=1,
                    parallelization_factor=1,
                    maximum_retry_attempts=20,
                    maximum_record_age_seconds=79_200,
                    transform_buffer_mib=1.0,
                    buffer_mib=16,
                    buffer_seconds=60,
                ),
            ),
            on_failure_bucket=None,
            on_failure_key_arn=None,
            retention_days=7,
            failed_retention_days=30,
            log_retention_days=90,
            load_lag_minutes=15,
        )

    def test_everything_that_can_be_said_is_taken(self, root: Path) -> None:
        config = having(f"{CLUSTER}.secret_key_arn", KEY, having(f"{CLUSTER}.secret_arn", SECRET))
        config["data-ferry:replication"] |= {
            "on_failure_bucket": "my.failures-1",
            "on_failure_key_arn": KEY,
            "retention_days": 1,
            "failed_retention_days": 2,
            "log_retention_days": 3,
            "load_lag_minutes": 30,
        }
        config["data-ferry:replication"]["cluster"] |= {
            "modify": True,
            "parameter_group_family": "aurora-mysql8.0",
        }
        reading = {
            "create_table": True,
            "batch_size": 10_000,
            "batching_window_seconds": 300,
            "parallelization_factor": 10,
            "maximum_retry_attempts": 0,
            "maximum_record_age_seconds": 60,
            "transform_buffer_mib": 2,
            "buffer_mib": 128,
            "buffer_seconds": 900,
        }
        config["data-ferry:replication"]["flows"]["page-views"] |= reading
        route = replication(config, root)
        assert (route.cluster.secret_arn, route.cluster.secret_key_arn) == (SECRET, KEY)
        assert route.cluster.modify is True
        assert route.cluster.parameter_group_family == "aurora-mysql8.0"
        assert (route.on_failure_bucket, route.on_failure_key_arn) == ("my.failures-1", KEY)
        assert route.load_lag_minutes == 30
        assert (route.retention_days, route.failed_retention_days) == (1, 2)
        assert route.log_retention_days == 3
        assert {key: getattr(route.flows[0], key) for key in reading} == reading

    def test_the_order_of_keys_means_nothing_for_pulumi_sorts_them(self, root: Path) -> None:
        config = having("data-ferry:replication.flows", {})
        flows = {name: copy.deepcopy(MINIMAL["data-ferry:replication"]["flows"]["page-views"])
                 for name in ("b", "a")}  # fmt: skip
        for name, each in flows.items():
            each |= {"table": f"table-{name}", "target": f"analytics.{name}"}
            each["columns"] = {"z": "int", **each["columns"], "a": "int"}
        config["data-ferry:replication"]["flows"] = flows
        in_pulumi = {
            key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            for key, value in config.items()
        }
        assert replication(config, root) == replication(in_pulumi, root)
        flow_a, flow_b = replication(config, root).flows
        assert (flow_a.name, flow_b.name) == ("a", "b")
        assert [each.name for each in flow_a.columns] == ["page_id", "at", "a", "device", "z"]

    def test_both_routes_may_be_on(self, root: Path) -> None:
        sources = [{"cluster": "shop", "engine": "mysql", "databases": {"shop": ["users"]}}]
        config = {
            **MINIMAL,
            "data-ferry:snapshot": {"sources": sources},
            "data-ferry:bigquery": {"project": "shop-analytics"},
        }
        stack = settings.load("stg", config, root)
        assert stack.snapshot
        assert stack.bigquery
        assert stack.replication

    def test_the_functions_are_told_their_flow(self, root: Path) -> None:
        config = having(f"{FLOW}.schema", {"type": "object"})
        assert flow(config, root).as_json() == {
            "flow": "page-views",
            "database": "analytics",
            "table": "page_views",
            "key": ["page_id", "at"],
            "columns": [
                {"name": "page_id", "path": ["page_id"], "type": "varchar(64)"},
                {"name": "at", "path": ["at"], "type": "bigint"},
                {"name": "device", "path": ["client", "device"], "type": "varchar(32)"},
            ],
            "schema": {"type": "object"},
        }

    def test_a_key_may_have_columns_of_other_names_and_a_dot_in_its_own(self, root: Path) -> None:
        config = having(f"{FLOW}.partition_key", {"page.id": "B"})
        config = having(
            f"{FLOW}.columns",
            {"id": {"path": ["page.id"], "type": "varbinary(16)"}, "at": "decimal(38,0)"},
            config,
        )
        assert flow(config, root).key_columns == ("id", "at")
        assert flow(config, root).columns[0].path == ("page.id",)

    def test_names_may_be_as_long_as_every_resource_allows(self, root: Path) -> None:
        name = "f" * 20
        config = having("data-ferry:service", "s" * 20)
        flows = config["data-ferry:replication"]["flows"]
        flows[name] = flows.pop("page-views")
        stack = settings.load("a" * 11, config, root)
        assert stack.replication
        longest = f"{stack.service}-{stack.stack}-{stack.replication.flows[0].name}-transform"
        assert len(longest) <= 64


# What is wrong, and words that the message must have.
WRONG: list[tuple[str, object, str]] = [
    ("data-ferry:replication", "yes", "text, not a mapping"),
    ("data-ferry:replication.clusters", {}, "perhaps cluster is meant"),
    ("data-ferry:replication.flows", {}, "is empty"),
    ("data-ferry:replication.flows", None, "is missing"),
    ("data-ferry:replication.flows", ["page-views"], "a list, not a mapping"),
    ("data-ferry:replication.on_failure_bucket", "Failures", "not the name of an S3 bucket"),
    ("data-ferry:replication.on_failure_bucket", "ab", "3 to 63"),
    ("data-ferry:replication.on_failure_bucket", "a..b", "single dots"),
    ("data-ferry:replication.on_failure_bucket", "192.168.0.1", "IP address"),
    ("data-ferry:replication.on_failure_bucket", "failures-", "ends with a hyphen"),
    ("data-ferry:replication.on_failure_bucket", "xn--failures", "AWS's own"),
    ("data-ferry:replication.on_failure_bucket", "failures--x-s3", "AWS's own"),
    ("data-ferry:replication.on_failure_bucket", "arn:aws:s3:::failures", "not the name"),
    ("data-ferry:replication.retention_days", 0, "less than 1"),
    ("data-ferry:replication.failed_retention_days", "30", "not a whole number"),
    ("data-ferry:replication.log_retention_days", 91, "retention times"),
    ("data-ferry:replication.load_lag_minutes", 0, "less than 1"),
    ("data-ferry:replication.load_lag_minutes", 2, "lets changes wait for up to 120 seconds"),
    ("data-ferry:replication.on_failure_key_arn", KEY, "on_failure_bucket names, and that is"),
    ("data-ferry:replication.on_failure_key_arn", "alias/x", "not the ARN of a KMS key"),
    ("data-ferry:replication.prefix", "x", "belongs to data-ferry:snapshot"),
    (CLUSTER, "analytics", "text, not a mapping"),
    (CLUSTER, None, "is missing"),
    (f"{CLUSTER}.identifier", "Analytics", "not an RDS identifier"),
    (f"{CLUSTER}.user", None, "is missing"),
    (f"{CLUSTER}.user", "ferry@%", "1 to 32 letters"),
    (f"{CLUSTER}.user", "u" * 33, "1 to 32"),
    (f"{CLUSTER}.user", "rdsadmin", "the database's own user"),
    (f"{CLUSTER}.secret_arn", SECRET[:-7], "not the whole ARN"),
    (f"{CLUSTER}.secret_arn", SECRET.replace("eu-west-1", "eu-west-2"), "is in eu-west-2"),
    (f"{CLUSTER}.secret_key_arn", KEY, "secret_arn names, and that is missing"),
    (f"{CLUSTER}.secret_key_arn", "alias/loader", "not the ARN of a KMS key"),
    (f"{CLUSTER}.password", "hunter2", "only the ARN of the secret"),
    (f"{CLUSTER}.ca_bundle", None, "https://truststore.pki.rds.amazonaws.com/"),
    (f"{CLUSTER}.ca_bundle", "certs/none.pem", "eu-west-1/eu-west-1-bundle.pem"),
    (f"{CLUSTER}.ca_bundle", "../bundle.pem", "outside the project's folder"),
    (f"{CLUSTER}.ca_bundle", "", "is empty"),
    (f"{CLUSTER}.modify", "yes", "not true or false"),
    (f"{CLUSTER}.parameter_group_family", "mysql8.0", "of Aurora MySQL"),
    (f"{FLOW}", ["x"], "a list, not a mapping"),
    (f"{FLOW}.table", None, "is missing"),
    (f"{FLOW}.table", "ab", "3 to 255"),
    (f"{FLOW}.table", "page views", "not the name of a DynamoDB table"),
    (f"{FLOW}.table", "arn:aws:dynamodb:eu-west-1:1:table/page-views", "not the name"),
    (f"{FLOW}.create_table", 1, "not true or false"),
    (f"{FLOW}.key", {"page_id": "S"}, "is not a key; there are table"),
    (f"{FLOW}.partition_key", None, "is missing"),
    (f"{FLOW}.partition_key", {}, "is empty"),
    (f"{FLOW}.partition_key", "page_id", "text, not a mapping of its name to its type"),
    (f"{FLOW}.partition_key", {"page_id": "S", "x": "S"}, "the other goes to sort_key: {x: S}"),
    (f"{FLOW}.sort_key", {"at": "N", "x": "S"}, "at most 1"),
    (f"{FLOW}.partition_key.page_id", "string", "'S', 'N' or 'B'"),
    (f"{FLOW}.partition_key", {"p" * 256: "S"}, "1 to 255 bytes"),
    (f"{FLOW}.sort_key", {"page_id": "S"}, "as the partition key is"),
    (f"{FLOW}.sort_key", "at", "text, not a mapping"),
    (f"{FLOW}.target", "page_views", "not database.table"),
    (f"{FLOW}.target", "a.b.c", "not database.table"),
    (f"{FLOW}.target", "analytics.", "letters, digits"),
    (f"{FLOW}.target", "analytics.page views", "letters, digits"),
    (f"{FLOW}.target", f"analytics.{'t' * 51}", "has 50 here"),
    (f"{FLOW}.target", f"{'d' * 65}.t", "has 64 here"),
    (f"{FLOW}.target", "MySQL.page_views", "MySQL's own database"),
    (f"{FLOW}.target", "information_schema.x", "MySQL's own database"),
    (f"{FLOW}.target", "analytics.ferry_loads", "the program's own"),
    (f"{FLOW}.columns", None, "is missing"),
    (f"{FLOW}.columns", {}, "is empty"),
    (f"{FLOW}.columns", ["page_id"], "a list, not a mapping"),
    (f"{FLOW}.columns", [{"page_id": "varchar(36)"}, {"at": "int"}], "leave the dashes out"),
    (f"{FLOW}.columns.device", 7, "neither a type nor a mapping"),
    (f"{FLOW}.columns.device", {"path": "a"}, "is missing"),
    (f"{FLOW}.columns.device", {"tipe": "int", "type": "int"}, "perhaps type is meant"),
    (f"{FLOW}.columns.device.path", "client..device", "an empty name"),
    (f"{FLOW}.columns.device.path", [], "levels deep"),
    (f"{FLOW}.columns.device.path", ["a", 1], "not the name of an attribute"),
    (f"{FLOW}.columns.device.path", {"a": 1}, "names with dots between"),
    (f"{FLOW}.columns.device.path", ".".join("a" * 33), "33 levels deep"),
    (f"{FLOW}.columns.device.path", "page_id.x", "inside the key attribute page_id"),
    (f"{FLOW}.columns.device.path", "at", "only one column may be"),
    (f"{FLOW}.columns.device.type", "text", "not a column type"),
    (f"{FLOW}.columns." + "c" * 65, "int", "1 to 64 characters"),
    (f"{FLOW}.columns.x ", "int", "ends with a blank"),
    (f"{FLOW}.columns.a`b", "int", "no column's name"),
    (f"{FLOW}.columns.\U0001f600", "int", "no column's name"),
    (f"{FLOW}.columns.ferry_sequence", "int", "the program's own"),
    (f"{FLOW}.columns.Device", "int", "takes both for one"),
    (f"{FLOW}.columns.page_id", "longtext", "of type S needs varchar(n)"),
    (f"{FLOW}.columns.page_id", "varchar(800)", "at most 3,072"),
    (f"{FLOW}.columns.at", "double", "of type N needs bigint"),
    (f"{FLOW}.columns.at", None, "no column is mapped from the key attribute at"),
    (f"{FLOW}.schema", 7, "a whole number, not a JSON Schema"),
    (f"{FLOW}.schema", ["x"], "a list, not a JSON Schema"),
    (f"{FLOW}.schema", "schemas/none.json", "there is no file schemas/none.json"),
    (f"{FLOW}.batch_size", 0, "less than 1"),
    (f"{FLOW}.batch_size", 10_001, "more than 10000"),
    (f"{FLOW}.batching_window_seconds", 301, "more than 300"),
    (f"{FLOW}.batching_window_seconds", 0, "at least 1"),
    (f"{FLOW}.parallelization_factor", 11, "more than 10"),
    (f"{FLOW}.maximum_retry_attempts", -1, "less than 0"),
    (f"{FLOW}.maximum_record_age_seconds", 59, "less than 60"),
    (f"{FLOW}.maximum_record_age_seconds", 86_401, "more than 86400"),
    (f"{FLOW}.transform_buffer_mib", 0.1, "less than 0.2"),
    (f"{FLOW}.transform_buffer_mib", 2.1, "more than 2"),
    (f"{FLOW}.transform_buffer_mib", "1", "not a number"),
    (f"{FLOW}.transform_buffer_mib", float("nan"), "finite"),
    (f"{FLOW}.buffer_mib", 129, "more than 128"),
    (f"{FLOW}.buffer_mib", 1.5, "not a whole number"),
    (f"{FLOW}.buffer_seconds", 901, "more than 900"),
]

# Of what nothing that is written tells what would be right.
NOTHING_TO_WRITE = (
    *("names, and that is missing", "not a JSON Schema or the name", "there is no file"),
    *("outside the project's folder", "only one column may be", "at most 1 fit"),
    *("as the partition key is", "name of a key attribute"),
)


class TestWrong:
    @pytest.mark.parametrize(("path", "value", "words"), WRONG)
    def test_one_value_is_one_line_with_its_path_and_reason(
        self, shared_root: Path, path: str, value: object, words: str
    ) -> None:
        (line,) = errors(having(path, value), shared_root)
        assert line.startswith(path) or path.startswith(line.partition(": ")[0])
        assert words in line
        assert "hunter2" not in line

    @pytest.mark.parametrize(("path", "value", "words"), WRONG)
    def test_what_the_error_says_to_write_is_right(
        self, shared_root: Path, path: str, value: object, words: str
    ) -> None:
        config = having(path, value)
        for _ in range(3):
            try:
                settings.load("stg", config, shared_root)
            except settings.SettingsError as error:
                line = error.errors[0]
                if "; write  " not in line:
                    assert any(reason in line for reason in NOTHING_TO_WRITE)
                    return
                config = mended(config, line)
        assert settings.load("stg", config, shared_root)

    @pytest.mark.parametrize(
        ("path", "value", "right"),
        [
            (f"{FLOW}.partition_key", "user id", "partition_key: {user id: S}"),
            (f"{FLOW}.partition_key", {"a": "S", "b": "N"}, "partition_key: {a: S}"),
            (
                f"{FLOW}.columns",
                [{"page_id": "varchar(36)"}, {"n": {"path": "a.n", "type": "int"}}],
                "columns: {page_id: varchar(36), n: {path: a.n, type: int}}",
            ),
            (
                f"{FLOW}.columns.ferry_score",
                {"path": "score.value", "type": "bigint"},
                "score: {path: score.value, type: bigint}",
            ),
            (f"{FLOW}.columns.ferry_score", "bigint", "score: {path: ferry_score, type: bigint}"),
            (f"{FLOW}.columns.ferry_a.b", "int", "a.b: {path: [ferry_a.b], type: int}"),
            (f"{FLOW}.columns.a`b", "int", "a_b: {path: a`b, type: int}"),
            ("data-ferry:labels", {"Team": "web"}, "team: web"),
            (f"{FLOW}.buffer_mib", 500, "buffer_mib: 128"),
            (f"{FLOW}.buffer_mib", -1, "buffer_mib: 1"),
        ],
    )
    def test_what_is_to_be_written_keeps_what_is_written(
        self, root: Path, path: str, value: object, right: str
    ) -> None:
        *above, last = steps(path)
        if "ferry_a.b" in path:
            (*above, last) = (*above[:-1], f"{above[-1]}.{last}")
        config = copy.deepcopy(MINIMAL)
        place = config
        for step in above:
            place = place[step]
        place[last] = value
        assert errors(config, root)[0].endswith(f"; write  {right}")

    def test_a_name_that_is_another_ones_is_not_told(self, root: Path) -> None:
        (line,) = errors(columns(ferry_x="int", X="int"), root)
        assert line.endswith("columns that begin with ferry_ are the program's own")

    @pytest.mark.parametrize(
        ("name", "right"),
        [
            ("Page_Views", "page-views"),
            ("1st", "st"),
            ("a--b", "a-b"),
            ("a-", "a"),
            ("f" * 21, "f" * 20),
            ("load", "load-flow"),
        ],
    )
    def test_a_flow_that_cannot_be_in_a_name_is_an_error(
        self, root: Path, name: str, right: str
    ) -> None:
        config = copy.deepcopy(MINIMAL)
        flows = config["data-ferry:replication"]["flows"]
        flows[name] = flows.pop("page-views")
        (line,) = errors(config, root)
        assert line.startswith(f"data-ferry:replication.flows.{name}: ")
        assert line.endswith(f"; {right} would do")

    def test_all_errors_of_all_routes_are_told_at_once(self, root: Path) -> None:
        config = having(f"{FLOW}.batch_size", 0)
        config["data-ferry:service"] = "Shop"
        config["data-ferry:snapshot"] = {"sources": []}
        route = config["data-ferry:replication"]
        route["retention_days"] = 0
        route["cluster"]["ca_bundle"] = "certs/none.pem"
        route["flows"]["page-views"] |= {"schema": {"type": "string"}, "buffer_mib": 0}
        route["flows"]["page-views"]["columns"]["at"] = "double"
        route["flows"]["clicks"] = {"table": "clicks", "target": "analytics.page_views"}
        clicks = "data-ferry:replication.flows.clicks"
        assert [line.partition(": ")[0] for line in errors(config, root)] == [
            "data-ferry:bigquery",
            "data-ferry:service",
            "data-ferry:snapshot.sources",
            f"{FLOW}.batch_size",
            f"{FLOW}.buffer_mib",
            f"{clicks}.partition_key",
            f"{clicks}.columns",
            "data-ferry:replication.retention_days",
            f"{CLUSTER}.ca_bundle",
            f"{clicks}.target",
            f"{FLOW}.schema",
            f"{FLOW}.columns.at",
        ]

    def test_a_wrong_column_hides_nothing_that_is_wrong_of_the_others(self, root: Path) -> None:
        config = columns(
            device="text",
            Model={"path": "page_id.model", "type": "int"},
            model="int",
            at="double",
        )
        assert [line.partition(": ")[0].rpartition(".")[2] for line in errors(config, root)] == [
            "device",
            "model",
            "Model",
            "at",
        ]

    def test_a_wrong_column_may_be_the_one_of_the_key(self, root: Path) -> None:
        (line,) = errors(having(f"{FLOW}.columns.at", "number"), root)
        assert "not a column type" in line

    def test_of_a_key_column_only_one_thing_is_told_and_the_schema_says_its_length(
        self, root: Path
    ) -> None:
        schema = {"type": "object", "properties": {"page_id": {"type": "string", "maxLength": 36}}}
        config = having(f"{FLOW}.schema", schema)
        for type in ("bigint", None):
            (line,) = errors(having(f"{FLOW}.columns.page_id", type, config), root)
            assert line.endswith("; write  page_id: varchar(36)")

    def test_a_key_column_is_not_told_a_type_that_no_key_has(self, root: Path) -> None:
        for says in ({"type": "string", "maxLength": 900}, {"type": ["string", "integer"]}):
            schema = {"type": "object", "properties": {"page_id": says}}
            (line,) = errors(having(f"{FLOW}.schema", schema), root)
            assert "page_id: the schema " in line
            assert "; write  " not in line
        schema = {"type": "object", "properties": {"at": {"type": "number"}}}
        config = having(f"{FLOW}.schema", schema, having(f"{FLOW}.columns.at", "double"))
        (line,) = errors(config, root)
        assert settings.load("stg", mended(config, line), root)

    def test_a_wrong_key_attribute_hides_nothing_that_is_wrong_of_the_other(
        self, root: Path
    ) -> None:
        for key, column in (("sort_key", "page_id"), ("partition_key", "at")):
            config = having(f"{FLOW}.{key}", {"x": "X"}, having(f"{FLOW}.columns.{column}", "json"))
            first, second = errors(config, root)
            assert first.startswith(f"{FLOW}.{key}.x: ")
            assert second.startswith(f"{FLOW}.columns.{column}: is json, and the key attribute")

    def test_a_key_is_in_the_region_of_its_secret(self, root: Path) -> None:
        elsewhere = KEY.replace("eu-west-1", "eu-west-2")
        config = having(
            f"{CLUSTER}.secret_key_arn", elsewhere, having(f"{CLUSTER}.secret_arn", SECRET)
        )
        (line,) = errors(config, root)
        assert "is in eu-west-2" in line
        assert mended(config, line) == having(
            f"{CLUSTER}.secret_key_arn", KEY, having(f"{CLUSTER}.secret_arn", SECRET)
        )

    def test_without_a_region_nothing_is_said_of_where_the_secret_is(self, root: Path) -> None:
        config = having(f"{CLUSTER}.secret_arn", SECRET)
        del config["aws:region"]
        (line,) = errors(config, root)
        assert line.startswith("aws:region: is missing")

    def test_an_encrypted_value_is_an_error_and_nothing_else_is_said_of_it(
        self, root: Path
    ) -> None:
        (line,) = errors(having(f"{CLUSTER}.user", {"secure": "AAABAHh4eHg="}), root)
        assert line.startswith(f"{CLUSTER}.user: is encrypted, and no secret belongs here")

    @pytest.mark.parametrize("key", [f"{CLUSTER}.password", "data-ferry:password"])
    def test_an_encrypted_value_of_no_key_is_to_be_taken_out(self, root: Path, key: str) -> None:
        (line,) = errors(having(key, {"secure": "AAABAHh4eHg="}), root)
        assert line.startswith(f"{key}: is encrypted, and no secret belongs here")
        assert line.endswith("; take it out")

    def test_a_property_named_secure_is_no_encrypted_value(self, root: Path) -> None:
        properties = {"secure": {"type": "boolean"}}
        schema = {"type": "object", "properties": properties}
        assert flow(having(f"{FLOW}.schema", schema), root).schema == schema


class TestCertificates:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "has no certificate in it"),
            ("not PEM", "has no certificate in it"),
            (CERTIFICATE.replace("MIIB", "XXXX"), "has a certificate that is not one"),
            (CERTIFICATE.partition("-----END")[0], "has a certificate that is not one"),
            (f"{CERTIFICATE}-----BEGIN PRIVATE KEY-----\n", "has a private key in it"),
        ],
    )
    def test_that_nobody_could_trust_are_an_error(self, root: Path, text: str, words: str) -> None:
        (root / "certs" / "eu-west-1-bundle.pem").write_text(text)
        (line,) = errors(MINIMAL, root)
        assert line.startswith(f"{CLUSTER}.ca_bundle: certs/eu-west-1-bundle.pem {words}")

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("certs/eu-west-1-bundel.pem", "certs/eu-west-1-bundle.pem"),
            ("certs/rds.pem", None),
            ("certs/eu-west-1-bundle.crt", None),
            ("cert/eu-west-1-bundle.pem", None),
        ],
    )
    def test_that_are_not_there_may_be_the_ones_beside(
        self, root: Path, name: str, meant: str | None
    ) -> None:
        (line,) = errors(having(f"{CLUSTER}.ca_bundle", name), root)
        assert "https://truststore.pki.rds.amazonaws.com/eu-west-1/" in line
        assert line.partition("; write  ")[2] == (f"ca_bundle: {meant}" if meant else "")

    def test_of_another_region_are_not_the_ones_meant(self, root: Path) -> None:
        config = {**MINIMAL, "aws:region": "eu-west-2"}
        (line,) = errors(having(f"{CLUSTER}.ca_bundle", "certs/eu-west-2-bundle.pem", config), root)
        assert "there is no file" in line
        assert "; write  " not in line

    def test_may_be_many_with_words_between(self, root: Path) -> None:
        text = f"# RDS\n{CERTIFICATE}\n# and another\n{CERTIFICATE}"
        (root / "certs" / "eu-west-1-bundle.pem").write_text(text)
        assert replication(MINIMAL, root)


class TestColumnTypes:
    @pytest.mark.parametrize(
        "text",
        [
            *("varchar(1)", "varchar(16000)", "longtext", "tinyint(1)", "int", "bigint"),
            *("decimal(1,0)", "decimal(65,30)", "decimal(5,5)", "double", "date", "datetime(6)"),
            *("json", "varbinary(1)", "longblob"),
        ],
    )
    def test_are_mysqls_words(self, root: Path, text: str) -> None:
        config = having(f"{FLOW}.columns", {"page_id": "varchar(6)", "at": "int", "x": text})
        assert flow(config, root).columns[2].type == text

    def test_may_have_blanks_where_mysql_has_none(self, root: Path) -> None:
        assert flow(columns(x="decimal( 10, 2 )"), root).columns[2].type == "decimal(10,2)"

    @pytest.mark.parametrize(
        ("text", "right"),
        [
            ("text", "longtext"),
            ("string", "varchar(255)"),
            ("String", "varchar(255)"),
            ("char(36)", "varchar(36)"),
            ("VARCHAR(64)", "varchar(64)"),
            ("varchar", "varchar(255)"),
            ("varchar(0)", "varchar(1)"),
            ("varchar(16384)", "longtext"),
            ("varchr(20)", "varchar(20)"),
            ("boolean", "tinyint(1)"),
            ("tinyint", "tinyint(1)"),
            ("tinyint(4)", "tinyint(1)"),
            ("integer", "int"),
            ("int(11)", "int"),
            ("INT", "int"),
            ("int unsigned", "bigint"),
            ("bigint unsigned", "decimal(20,0)"),
            ("long", "bigint"),
            ("number", "decimal(20,4)"),
            ("decimal", "decimal(20,4)"),
            ("decimal(10)", "decimal(10,0)"),
            ("numeric(10, 2)", "decimal(10,2)"),
            ("decimal(66,2)", "decimal(65,2)"),
            ("decimal(40,31)", "decimal(40,30)"),
            ("decimal(2,3)", "decimal(2,2)"),
            ("float", "double"),
            ("double precision", "double"),
            ("timestamp", "datetime(6)"),
            ("datetime", "datetime(6)"),
            ("datetime(3)", "datetime(6)"),
            ("uuid", "varchar(36)"),
            ("blob", "longblob"),
            ("varbinary", "varbinary(255)"),
            ("varbinary(65533)", "longblob"),
        ],
    )
    def test_of_other_words_are_told_the_nearest(self, root: Path, text: str, right: str) -> None:
        (line,) = errors(columns(x=text), root)
        assert line.startswith(f"{FLOW}.columns.x: {json.dumps(text)} ")
        assert yaml.safe_load(line.rpartition("; write  ")[2]) == {"x": right}

    def test_cut_at_their_comma_between_braces_are_told_of_quotes(self, root: Path) -> None:
        written = yaml.safe_load("{path: price, type: decimal(10,2)}")
        lines = errors(columns(price=written), root)
        assert "between braces a type with a comma needs quotes" in lines[0]
        advice = lines[0].rpartition("; write  ")[2]
        assert yaml.safe_load(f"{{path: price, {advice}}}")["type"] == "decimal(10,2)"

    def test_that_are_unknown_are_told_them_all(self, root: Path) -> None:
        (line,) = errors(columns(x="geometry"), root)
        assert "varchar(n), longtext, tinyint(1), int, bigint, decimal(p,s), double" in line


class TestRows:
    """What MySQL would refuse with error 1118 or 1071, when the table is made or a row written."""

    def test_that_are_as_long_as_mysql_takes_them_are_right(self, root: Path) -> None:
        # 65,535 less a byte for what is null, 258 for page_id, 8 for at, 2 for the length, 38 for
        # the loads' own columns. tests/handlers/replication has a server make it.
        assert flow(columns(x=f"varbinary({65_535 - 1 - 258 - 8 - 2 - 38})"), root)

    def test_that_are_longer_are_an_error_at_the_longest_column(self, root: Path) -> None:
        (line,) = errors(columns(a="varchar(8000)", b="varchar(9000)"), root)
        assert line.startswith(f"{FLOW}.columns.b: a row would have up to 68,309 bytes")
        assert line.endswith("; write  b: longtext")
        (line,) = errors(columns(x=f"varbinary({65_535 - 1 - 258 - 8 - 2 - 37})"), root)
        assert line.endswith("; write  x: longblob")

    def test_that_do_not_fit_a_page_are_an_error(self, root: Path) -> None:
        many = {f"c{index:03}": "varchar(60)" for index in range(40)}
        (line,) = errors(columns(**many), root)
        assert "InnoDB has room for 8,126" in line
        assert yaml.safe_load(line.rpartition("; write  ")[2]) == {"c039": "longtext"}
        assert flow(columns(**dict.fromkeys(many, "varchar(64)")), root)

    def test_of_too_many_columns_are_an_error(self, root: Path) -> None:
        many = {f"c{index:03}": "longtext" for index in range(200)}
        (line,) = errors(columns(**many), root)
        assert line.startswith(f"{FLOW}.columns: ")
        assert line.endswith(": have fewer columns, or one of type json for several")
        (line,) = errors(columns(**{f"c{index}": "date" for index in range(1000)}), root)
        assert line.endswith("has 1002 entries; at most 1000 fit")

    def test_of_a_thousand_small_columns_are_right(self, root: Path) -> None:
        assert flow(columns(**{f"c{index}": "bigint" for index in range(900)}), root)

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            *(("decimal(14,4)", 7), ("decimal(65,30)", 30), ("decimal(9,0)", 4)),
            *(("varchar(63)", 252), ("datetime(6)", 8), ("date", 3), ("json", 12)),
        ],
    )
    def test_have_the_sizes_that_mysqls_manual_gives(self, text: str, size: int) -> None:
        assert ColumnType.of(text).most_bytes == size

    def test_have_a_key_of_at_most_3072_bytes(self, root: Path) -> None:
        assert flow(having(f"{FLOW}.columns.page_id", "varchar(766)"), root)
        (line,) = errors(having(f"{FLOW}.columns.page_id", "varchar(767)"), root)
        assert "the key would have up to 3,076 bytes" in line
        assert line.endswith("; write  page_id: varchar(766)")


class TestBetweenFlows:
    def two(self, **changes: object) -> dict[str, Any]:
        config = copy.deepcopy(MINIMAL)
        flows = config["data-ferry:replication"]["flows"]
        second = {"table": "clicks", "target": "analytics.clicks", **changes}
        flows["clicks"] = {**copy.deepcopy(flows["page-views"]), **second}
        return config

    def test_two_are_kept_apart(self, root: Path) -> None:
        assert len(replication(self.two(), root).flows) == 2

    def test_one_target_has_one_flow_whatever_its_case(self, root: Path) -> None:
        (line,) = errors(self.two(target="analytics.Page_Views"), root)
        assert line.startswith("data-ferry:replication.flows.clicks.target: ")
        assert "the target of page-views already" in line

    def test_one_table_may_have_two_flows_but_no_third(self, root: Path) -> None:
        config = self.two(table="page-views")
        assert len(replication(config, root).flows) == 2
        flows = config["data-ferry:replication"]["flows"]
        flows["third"] = {**flows["clicks"], "target": "analytics.third"}
        (line,) = errors(config, root)
        assert line.startswith("data-ferry:replication.flows.third.table: ")
        assert "would be throttled" in line

    def test_a_table_that_is_made_has_one_flow(self, root: Path) -> None:
        (line,) = errors(self.two(table="page-views", create_table=True), root)
        assert line.startswith(f"{FLOW}.table: page-views is made for clicks, and has that flow")


class TestSchemas:
    def wrong(self, root: Path, schema: object) -> str:
        (line,) = errors(having(f"{FLOW}.schema", schema), root)
        assert line.startswith(f"{FLOW}.")
        return line

    def test_may_be_written_in_place(self, root: Path) -> None:
        assert flow(having(f"{FLOW}.schema", SCHEMA), root).schema == SCHEMA

    def test_may_be_a_file(self, root: Path) -> None:
        (root / "page_view.json").write_text(json.dumps(SCHEMA))
        assert flow(having(f"{FLOW}.schema", "page_view.json"), root).schema == SCHEMA

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("schemas/orders.json", "schemas/order.json"),
            ("schemas/page-view.json", "schemas/page_view.json"),
            ("schemas/sessions.json", None),
            ("schemas/note.json", None),
            ("other/order.json", None),
        ],
    )
    def test_that_are_not_there_may_be_the_one_beside(
        self, root: Path, name: str, meant: str | None
    ) -> None:
        (root / "schemas").mkdir()
        for file in ("order.json", "page_view.json", "notes.txt"):
            (root / "schemas" / file).write_text('{"type": "object"}')
        line = self.wrong(root, name)
        assert f"there is no file {name} in the project's folder" in line
        assert line.partition("; write  ")[2] == (f"schema: {meant}" if meant else "")

    def test_are_left_as_they_are_written(self, root: Path) -> None:
        """The compiler writes absolute references into what it is given."""
        schema = {**SCHEMA, "$id": "https://example.com/page-view.json"}
        carried = flow(having(f"{FLOW}.schema", copy.deepcopy(schema)), root).schema
        assert carried == schema
        fastjsonschema.compile(dict(carried or {}))({"page_id": "a", "at": 1})

    @pytest.mark.parametrize(
        ("text", "place", "words"),
        [
            ("{", ":1:2", "is not JSON: Expecting property name"),
            ("", ":1:1", "is not JSON: Expecting value"),
            ('{"maximum": NaN}', "", "NaN is not a number in JSON"),
            ("null", "", "is null"),
            ("[]", "#", "is a list, not a JSON Schema"),
            ('{"type": "string"}', "#/type", "does not say that an item is an object"),
            ('{"type": "object", "minimum": "1"}', "#/minimum", "draft 7: '1' is not of type"),
            ("[" * 100_000, "", "is nested too deeply"),
        ],
    )
    def test_in_a_file_are_told_the_place_in_it(
        self, root: Path, text: str, place: str, words: str
    ) -> None:
        (root / "a.json").write_text(text)
        line = self.wrong(root, "a.json")
        assert line.startswith(f"{FLOW}.schema: a.json{place}: ")
        assert words in line
        assert line.partition("; write  ")[2] in ("", "type: object")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, "is not draft 7"),
            ({"type": ["object", "null"]}, "does not say that an item is an object"),
            ({"properties": {"x": {"type": "strin"}}}, "(at #/properties/x/type)"),
            ({"properties": {"x": {"pattern": "["}}}, "is not a 'regex'"),
            ({"properties": {"x": {"$ref": "https://example.com/x"}}}, "no other is fetched"),
            ({"properties": {"x": {"$ref": "other.json#/x"}}}, "no other is fetched"),
            ({"properties": {"x": {"$ref": "#x"}}}, "no other is fetched"),
            ({"anyOf": [{"$ref": "file:///etc/passwd"}]}, "(at #/anyOf/0/$ref)"),
            ({"properties": {"x": {"$ref": "#/definitions/x"}}}, "leads to no schema"),
            (
                {
                    "definitions": {
                        "a": {"$ref": "#/definitions/b"},
                        "b": {"$ref": "#/definitions/a"},
                    }
                },
                "leads in a circle",
            ),
            ({"properties": {"x": {"$id": "x.json"}}}, "has an $id"),
            ({"properties": {"x": {"const": datetime.date(2026, 11, 20)}}}, "is not JSON"),
            ({"maxProperties": float("inf")}, "is not JSON"),
            ({"properties": {"a/b": {"$ref": 1}}}, "(at #/properties/a~1b/$ref)"),
            (
                {"items": {"$ref": "#/x-own/a"}, "x-own": {"a": {"$ref": "http://example.com"}}},
                "(at #/x-own/a/$ref)",
            ),
            (
                {"items": {"$ref": "#/x-own/a"}, "x-own": {"a": {"type": 1}}},
                "of draft 7: 1 is not valid under any of the given schemas (at #/x-own/a/type)",
            ),
            ({"$ref": "#/definitions/x", "definitions": {"x": {}}}, "is a $ref, beside which"),
        ],
    )
    def test_that_the_transform_function_could_not_use_are_an_error(
        self, root: Path, change: dict[str, Any], words: str
    ) -> None:
        line = self.wrong(root, {"type": "object", **change})
        assert words in line
        right = line.partition("; write  ")[2]
        assert right in ("", "type: object", "$schema: 'http://json-schema.org/draft-07/schema#'")

    def test_have_all_their_mistakes_told_five_at_most(self, root: Path) -> None:
        properties: dict[str, Any] = {"a": {"pattern": "["}, "b": {"maxLength": "36"}}
        schema = {"type": "object", "properties": properties, "required": "a"}
        config = having(f"{FLOW}.schema", schema)
        assert sorted(line.rpartition(" (at ")[2] for line in errors(config, root)) == [
            "#/properties/a/pattern)",
            "#/properties/b/maxLength)",
            "#/required)",
        ]
        properties |= {f"c{index}": {"minimum": "1"} for index in range(9)}
        assert len(errors(having(f"{FLOW}.schema", schema), root)) == 5

    def test_that_cannot_be_compiled_are_an_error(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def compile(*_: object, **__: object) -> None:
            raise fastjsonschema.JsonSchemaDefinitionException("no luck")

        monkeypatch.setattr(fastjsonschema, "compile", compile)
        assert "cannot be compiled: no luck" in self.wrong(root, SCHEMA)

    def test_may_refer_to_themselves(self, root: Path) -> None:
        schema = {
            "type": "object",
            "properties": {
                "client": {"$ref": "#/definitions/a"},
                "tree": {"$ref": "#"},
            },
            "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/$defs/c"}},
            "$defs": {"c": {"type": "object"}},
        }
        config = having(f"{FLOW}.columns.leaf", {"path": "tree.tree.n", "type": "int"})
        assert flow(having(f"{FLOW}.schema", schema, config), root).schema == schema

    def test_larger_than_a_function_should_be_told_are_an_error(self, root: Path) -> None:
        schema = {"type": "object", "description": "x" * 262_144}
        assert "bytes long; at most 262,144 fit" in self.wrong(root, schema)


class TestSchemasAndColumns:
    def lines(self, root: Path, **changes: object) -> list[str]:
        config = having(f"{FLOW}.schema", {**copy.deepcopy(SCHEMA), **changes})
        return errors(config, root)

    def with_property(self, says: object, type: str) -> dict[str, Any]:
        schema = {"type": "object", "properties": {"x": says}}
        return having(f"{FLOW}.schema", schema, columns(x=type))

    def test_a_schema_that_forbids_a_key_attribute_is_an_error(self, root: Path) -> None:
        properties = {name: SCHEMA["properties"][name] for name in ("page_id", "client")}
        (line,) = self.lines(root, properties=properties, required=["page_id"])
        assert line == (
            f"{FLOW}.schema: forbids the key attribute at, which every item has; "
            "write  properties: {at: {type: integer}}"
        )

    def test_the_type_told_is_one_that_the_column_can_hold(self, root: Path) -> None:
        schema = {"type": "object", "properties": {"at": {"type": "string"}}}
        for column, type in (("bigint", "integer"), ("decimal(20,4)", "number")):
            config = having(f"{FLOW}.schema", schema, having(f"{FLOW}.columns.at", column))
            (line,) = errors(config, root)
            assert line.endswith(f"; write  properties: {{at: {{type: {type}}}}}")
            schema_then = {"type": "object", **yaml.safe_load(line.rpartition("; write  ")[2])}
            assert flow(having(f"{FLOW}.schema", schema_then, config), root)

    def test_so_is_one_that_says_another_type_of_it(self, root: Path) -> None:
        (root / "a.json").write_text(
            json.dumps({"type": "object", "properties": {"at": {"type": "string"}}})
        )
        (line,) = errors(having(f"{FLOW}.schema", "a.json"), root)
        assert line.startswith(f"{FLOW}.schema: a.json: says that the key attribute at is string")

    def test_a_column_of_what_cannot_be_there_is_an_error(self, root: Path) -> None:
        config = having(f"{FLOW}.schema", SCHEMA)
        config = having(f"{FLOW}.columns.city", {"path": "address.city", "type": "json"}, config)
        (line,) = errors(config, root)
        assert line.startswith(
            f"{FLOW}.columns.city: can have no value: the schema lets no address"
        )
        assert line.endswith(", unless you add it there; write  properties: {address: {}}")

    def test_one_inside_a_key_attribute_is_told_once(self, root: Path) -> None:
        config = having(f"{FLOW}.schema", SCHEMA)
        wrong = having(f"{FLOW}.columns.x", {"path": "page_id.x", "type": "int"}, config)
        (line,) = errors(wrong, root)
        assert "is mapped from inside the key attribute page_id" in line

    def test_one_that_is_nearly_there_is_told_what_may_be_meant(self, root: Path) -> None:
        config = having(f"{FLOW}.schema", SCHEMA)
        for path, meant in (("clint.device", "client.device"), ("pageid", "page_id")):
            wrong = having(f"{FLOW}.columns.x", {"path": path, "type": "varchar(9)"}, config)
            (line,) = errors(wrong, root)
            assert line.endswith(f"; write  x: {{path: {meant}, type: varchar(9)}}")

    def test_so_is_one_of_what_is_inside_a_text(self, root: Path) -> None:
        config = having(f"{FLOW}.schema", {**SCHEMA, "additionalProperties": True})
        path = {"path": "client.device.name", "type": "json"}
        (line,) = errors(having(f"{FLOW}.columns.name", path, config), root)
        assert "the schema says that client.device is string, no object" in line
        assert line.endswith("; write  name: {path: client.device, type: json}")

    @pytest.mark.parametrize(
        "change",
        [
            {"patternProperties": {"^addr": {"type": "object"}}},
            {"additionalProperties": {"type": "object"}},
            {"additionalProperties": True},
        ],
    )
    def test_what_may_be_there_is_left_alone(self, root: Path, change: dict[str, Any]) -> None:
        config = having(f"{FLOW}.schema", {**SCHEMA, **change})
        config = having(f"{FLOW}.columns.city", {"path": "address.city", "type": "json"}, config)
        assert flow(config, root)

    @pytest.mark.parametrize(
        ("says", "type", "right"),
        [
            ({"type": "integer"}, "date", "bigint"),
            ({"type": "string"}, "int", "varchar(255)"),
            ({"type": "string"}, "tinyint(1)", "varchar(255)"),
            ({"type": "number"}, "bigint", "decimal(38,9)"),
            ({"type": "boolean"}, "varchar(5)", "tinyint(1)"),
            ({"type": "object"}, "varchar(100)", "json"),
            ({"type": ["integer", "string", "null"]}, "int", "json"),
            ({"type": "integer"}, "varbinary(8)", "bigint"),
            ({"type": "string", "maxLength": 100}, "varchar(64)", "varchar(100)"),
            ({"type": "string", "maxLength": 100_000}, "varchar(64)", "longtext"),
        ],
    )
    def test_a_column_that_cannot_hold_what_the_schema_says_is_an_error(
        self, root: Path, says: object, type: str, right: str
    ) -> None:
        (line,) = errors(self.with_property(says, type), root)
        assert line.startswith(f"{FLOW}.columns.x: the schema ")
        assert yaml.safe_load(line.rpartition("; write  ")[2]) == {"x": right}

    @pytest.mark.parametrize(
        ("says", "type"),
        [
            (True, "int"),
            ({}, "date"),
            ({"enum": ["a"]}, "int"),
            ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "int"),
            ({"type": ["integer", "null"]}, "int"),
            ({"type": "null"}, "int"),
            ({"type": "integer"}, "datetime(6)"),
            ({"type": "integer"}, "tinyint(1)"),
            ({"type": "number"}, "double"),
            ({"type": "boolean"}, "longtext"),
            ({"type": "array"}, "json"),
            ({"type": "string", "maxLength": 64}, "varchar(64)"),
        ],
    )
    def test_one_that_may_hold_it_is_left_alone(self, root: Path, says: object, type: str) -> None:
        assert flow(self.with_property(says, type), root)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "$ref", "items", "properties", "path"])
            | st.text(max_size=8)
            | st.integers(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in a value, at any depth."""
    for key, part in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from places(part, (*path, key))


class TestWhateverIsWritten:
    @given(st.data())
    @hypothesis_settings(
        max_examples=400,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    def test_gives_settings_or_errors_of_one_line_each(
        self, shared_root: Path, data: st.DataObject
    ) -> None:
        config = having(f"{FLOW}.schema", SCHEMA)
        for _ in range(data.draw(st.integers(1, 3))):
            route = config["data-ferry:replication"]
            *above, last = data.draw(st.sampled_from(list(places(route))))
            place: Any = route
            for step in above:
                place = place[step]
            if data.draw(st.booleans()):
                place[last] = data.draw(JUNK)
            else:
                place[data.draw(st.text(max_size=8) | st.integers())] = place.pop(last)
        try:
            found = settings.load("stg", config, shared_root)
        except settings.SettingsError as error:
            for line in error.errors:
                assert re.fullmatch(r"[^\r\n]+: [^\r\n]+", line), line
                if "; write  " in line:
                    assert yaml.safe_load(line.rpartition("; write  ")[2]) is not None, line
        else:
            for each in found.replication.flows if found.replication else ():
                assert json.loads(json.dumps(each.as_json())) == each.as_json()
