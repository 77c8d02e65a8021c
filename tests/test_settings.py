"""A stack's configuration becomes settings, or a list of everything that is wrong with it."""

from __future__ import annotations

import copy
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pulumi.runtime.config import set_all_config

import settings
from settings.schema import StackShape
from tests.project import CERTIFICATE

ROOT = Path(__file__).resolve().parents[1]
# The tables of the sample that the rehearsal carries over when no database is given to it.
SAMPLE = {"city", "country", "countrylanguage", "users", "orders"}

MINIMAL: dict[str, Any] = {
    "aws:region": "eu-west-1",
    "data-ferry:service": "shop",
    "data-ferry:snapshot": {
        "sources": [
            {"cluster": "shop", "engine": "mysql", "databases": {"shop": ["users", "orders"]}}
        ]
    },
    "data-ferry:bigquery": {"project": "shop-analytics"},
}
COMPLETE: dict[str, Any] = {
    **MINIMAL,
    "data-ferry:snapshot": {
        "sources": [
            {"cluster": "shop", "engine": "mysql", "databases": {"shop": ["users", "orders"]}},
            {
                "instance": "ledger",
                "engine": "postgresql",
                "databases": {"ledger": {"public": ["accounts"], "audit": ["entries"]}},
            },
        ],
        "trigger": {"schedule": "cron(30 3 * * ? *)", "timezone": "Europe/Berlin"},
        "manual_snapshots": False,
        "prefix": "rds/exports",
        "retention_days": 3,
        "log_retention_days": 30,
        "reader_key_generation": 2,
    },
    "data-ferry:bigquery": {
        "project": "shop-analytics",
        "project_number": "123456789012",
        "location": "europe-west1",
        "dataset": "shop",
        "table_name": "{database}_{table}",
        "run_time_offset_hours": 6,
        "deletion_protection": True,
    },
    "data-ferry:alerts": {"emails": ["data@example.com", "on-call@example.com"]},
    "data-ferry:labels": {"team": "data", "cost-centre": "a1"},
    "data-ferry:handlers": {"path": "out", "runtime": "python3.13", "architecture": "x86_64"},
}

PARTS = re.compile(r"\.|\[(\d+)\]\.?")


def steps(path: str) -> list[str | int]:
    """Return the steps of ``data-ferry:snapshot.sources[1].engine`` from the top."""
    found: list[str | int] = []
    for index, part in enumerate(PARTS.split(path)):
        if part:
            found.append(int(part) if index % 2 else part)
    return found


def having(path: str, value: object, base: dict[str, Any] = MINIMAL) -> dict[str, Any]:
    """Return a right configuration but for the value at one path."""
    config: Any = copy.deepcopy(base)
    *above, last = steps(path)
    place = config
    for step in above:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[last] = value
    return config  # type: ignore[no-any-return]


def errors(config: dict[str, Any], stack: str = "stg", root: Path = ROOT) -> list[str]:
    with pytest.raises(settings.SettingsError) as caught:
        settings.load(stack, config, root)
    return caught.value.errors


def exported(config: dict[str, Any], stack: str = "stg", root: Path = ROOT) -> settings.Snapshot:
    snapshot = settings.load(stack, config, root).snapshot
    assert snapshot is not None
    return snapshot


def loaded(config: dict[str, Any], stack: str = "stg") -> settings.BigQuery:
    bigquery = settings.load(stack, config, ROOT).bigquery
    assert bigquery is not None
    return bigquery


def mended(config: dict[str, Any], line: str) -> dict[str, Any]:
    """Return the configuration after a user did what an error says."""
    *above, last = steps(line.partition(": ")[0])
    right = yaml.safe_load(line.rpartition("; write  ")[2])
    config = copy.deepcopy(config)
    place: Any = config
    for step in above:
        place = place[step]
    if isinstance(right, list):
        place[last] = right[0]
    else:
        place.pop(last, None)
        place.update(right)
    return config


class TestRight:
    def test_the_least_a_stack_can_say_gets_defaults_for_the_rest(self) -> None:
        assert settings.load("stg", MINIMAL, ROOT) == settings.Settings(
            service="shop",
            stack="stg",
            region="eu-west-1",
            snapshot=settings.Snapshot(
                sources=(
                    settings.Source(
                        name="shop",
                        kind="cluster",
                        engine="mysql",
                        tables=(
                            settings.Table(
                                database="shop",
                                schema="shop",
                                name="users",
                                target="shop.users",
                                path="shop/shop.users",
                                destination="users",
                            ),
                            settings.Table(
                                database="shop",
                                schema="shop",
                                name="orders",
                                target="shop.orders",
                                path="shop/shop.orders",
                                destination="orders",
                            ),
                        ),
                    ),
                ),
                trigger=settings.Trigger(kind="event", schedule=None, timezone="UTC"),
                manual_snapshots=False,
                prefix="exports",
                retention_days=7,
                log_retention_days=90,
                reader_key_generation=1,
            ),
            bigquery=settings.BigQuery(
                project="shop-analytics",
                project_number=None,
                location="EU",
                dataset="shop_stg_rds_data",
                table_name="{table}",
                run_time_offset_hours=0,
                deletion_protection=False,
            ),
            alerts=settings.Alerts(emails=(), runbook_url="docs/runbook.md"),
            labels={},
            replication=None,
            handlers=settings.Handlers(
                path="build/lambda", runtime="python3.12", architecture="arm64"
            ),
        )

    def test_everything_that_can_be_said_is_taken(self) -> None:
        stack, snapshot = settings.load("stg", COMPLETE, ROOT), exported(COMPLETE)
        assert snapshot.trigger == settings.Trigger(
            kind="schedule", schedule="cron(30 3 * * ? *)", timezone="Europe/Berlin"
        )
        ledger = snapshot.sources[1]
        assert (ledger.name, ledger.kind, ledger.engine) == ("ledger", "instance", "postgresql")
        assert [table.target for table in ledger.tables] == [
            "ledger.public.accounts",
            "ledger.audit.entries",
        ]
        assert ledger.tables[0].path == "ledger/public.accounts"
        assert ledger.tables[0].destination == "ledger_accounts"
        assert snapshot.prefix == "rds/exports"
        assert snapshot.reader_key_generation == 2
        assert stack.bigquery == settings.BigQuery(
            project="shop-analytics",
            project_number="123456789012",
            location="europe-west1",
            dataset="shop",
            table_name="{database}_{table}",
            run_time_offset_hours=6,
            deletion_protection=True,
        )
        assert stack.alerts.emails == ("data@example.com", "on-call@example.com")
        assert stack.labels == {"team": "data", "cost-centre": "a1"}
        assert stack.handlers.architecture == "x86_64"

    def test_values_may_come_as_json_as_pulumi_hands_them_over(self) -> None:
        texts = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in COMPLETE.items()
        }
        assert settings.load("stg", texts, ROOT) == settings.load("stg", COMPLETE, ROOT)

    def test_empty_mappings_count_as_not_set(self) -> None:
        empty = {f"data-ferry:{key}": "{}" for key in ("alerts", "labels", "handlers")}
        assert settings.load("stg", {**MINIMAL, **empty}, ROOT) == settings.load(
            "stg", MINIMAL, ROOT
        )

    def test_keys_of_other_namespaces_are_not_ours_to_judge(self) -> None:
        config = {**MINIMAL, "gcp:project": "x", "pulumi:tags": {"a": "b"}}
        assert settings.load("stg", config, ROOT) == settings.load("stg", MINIMAL, ROOT)

    def test_a_project_number_may_stand_without_quotes(self) -> None:
        config = having("data-ferry:bigquery.project_number", 123456789012)
        assert loaded(config).project_number == "123456789012"

    def test_tables_of_the_stack_prod_are_protected(self) -> None:
        assert loaded(MINIMAL, "prod").deletion_protection
        config = having("data-ferry:bigquery.deletion_protection", False)
        assert not loaded(config, "prod").deletion_protection

    def test_the_default_dataset_has_underscores_for_hyphens(self) -> None:
        config = having("data-ferry:service", "web-shop")
        assert loaded(config, "eu-1").dataset == "web_shop_eu_1_rds_data"

    def test_what_a_table_id_cannot_hold_becomes_an_underscore(self) -> None:
        tables = ["orders$2024", "a b", "größe"]
        config = having("data-ferry:snapshot.sources[0].databases", {"shop": tables})
        source = exported(config).sources[0]
        assert [table.destination for table in source.tables] == ["orders_2024", "a_b", "gr__e"]

    def test_settings_cannot_be_changed(self) -> None:
        stack = settings.load("stg", COMPLETE, ROOT)
        with pytest.raises(AttributeError):
            stack.service = "other"  # type: ignore[misc]
        with pytest.raises(TypeError):
            stack.labels["team"] = "other"  # type: ignore[index]


class TestPartialExport:
    """RDS refuses a list with one odd name in it; then the whole snapshot has to be exported."""

    def source(self, engine: str, databases: object) -> settings.Source:
        value = {"cluster": "shop", "engine": engine, "databases": databases}
        config = having("data-ferry:snapshot.sources", [value])
        return exported(config).sources[0]

    def test_is_possible_with_plain_names(self) -> None:
        assert self.source("mysql", {"shop": ["users", "orders$2024"]}).partial_export

    @pytest.mark.parametrize(
        "databases",
        [
            {"my-shop": {"public": ["users"]}},
            {"shop": {"my-schema": ["users"]}},
            {"shop": {"public": ["users", "o-rders"]}},
            {"shop": {"public": ["größe"]}},
        ],
    )
    def test_is_not_with_an_odd_name(self, databases: object) -> None:
        assert not self.source("postgresql", databases).partial_export

    def test_is_not_with_a_list_of_more_than_200_kilobytes(self) -> None:
        fits = [f"table_{index:054}" for index in range(2800)]
        assert self.source("mysql", {"shop": fits}).partial_export
        too_many = [f"table_{index:054}" for index in range(3100)]
        assert not self.source("mysql", {"shop": too_many}).partial_export


# What is wrong, and words that the message must have.
WRONG: list[tuple[str, object, str]] = [
    ("aws:region", "mars", "not an AWS region"),
    ("aws:region", "us-gov-west-1", "cannot read S3"),
    ("aws:region", 3, "a whole number, not text"),
    ("data-ferry:service", "Shop", "lower-case"),
    ("data-ferry:service", "1shop", "a letter first"),
    ("data-ferry:service", "shop-", "no hyphen last"),
    ("data-ferry:service", "a" * 21, "1 to 20"),
    ("data-ferry:service", "gcp-shop", "reserved"),
    ("data-ferry:service", "", "1 to 20"),
    ("data-ferry:service", None, "is missing"),
    ("data-ferry:snapshot", "yes", "text, not a mapping"),
    ("data-ferry:snapshot.sources", [], "is empty"),
    ("data-ferry:snapshot.sources", {"cluster": "a"}, "a mapping, not a list"),
    ("data-ferry:snapshot.sources[0]", "shop", "text, not a mapping"),
    ("data-ferry:snapshot.sources[0].cluster", "Shop", "not an RDS identifier"),
    ("data-ferry:snapshot.sources[0].cluster", "a--b", "single hyphens"),
    ("data-ferry:snapshot.sources[0].cluster", "a-", "no hyphen last"),
    ("data-ferry:snapshot.sources[0].cluster", "a" * 64, "1 to 63"),
    ("data-ferry:snapshot.sources[0].cluster", 7, "not text"),
    ("data-ferry:snapshot.sources[0].engine", "oracle", "'mysql' or 'postgresql'"),
    ("data-ferry:snapshot.sources[0].databases", ["users"], "a list, not a mapping"),
    ("data-ferry:snapshot.sources[0].databases", "shop", "text, not a mapping"),
    ("data-ferry:snapshot.sources[0].databases.shop", None, "not a list of tables"),
    ("data-ferry:snapshot.sources[0].databases", {}, "names no database"),
    ("data-ferry:snapshot.sources[0].databases.shop", [], "names no table"),
    ("data-ferry:snapshot.sources[0].databases.shop", "users", "not a list of tables"),
    ("data-ferry:snapshot.sources[0].databases.shop", {"public": ["users"]}, "MySQL has none"),
    ("data-ferry:snapshot.trigger", "daily", "neither event nor a schedule"),
    ("data-ferry:snapshot.trigger.timezone", "UTC", "is missing"),
    ("data-ferry:snapshot.manual_snapshots", "no", "text, not true or false"),
    ("data-ferry:snapshot.prefix", "a:b", "colon"),
    ("data-ferry:snapshot.prefix", "/exports", "begins or ends with /"),
    ("data-ferry:snapshot.prefix", "exports/", "begins or ends with /"),
    ("data-ferry:snapshot.prefix", "a//b", "empty folder"),
    ("data-ferry:snapshot.prefix", "a b", "letters, digits"),
    ("data-ferry:snapshot.prefix", "", "letters, digits"),
    ("data-ferry:snapshot.prefix", "catalog", "its own records"),
    ("data-ferry:snapshot.prefix", "loads/exports", "its own records"),
    ("data-ferry:snapshot.retention_days", 0, "less than 1"),
    ("data-ferry:snapshot.retention_days", "7", "not a whole number"),
    ("data-ferry:snapshot.retention_days", 1.5, "not a whole number"),
    ("data-ferry:snapshot.retention_days", True, "not a whole number"),
    ("data-ferry:snapshot.log_retention_days", 91, "retention times"),
    ("data-ferry:snapshot.log_retention_days", 9999, "retention times"),
    ("data-ferry:snapshot.reader_key_generation", 0, "less than 1"),
    ("data-ferry:bigquery", [], "a list, not a mapping"),
    ("data-ferry:bigquery.project", "Shop", "not a project id"),
    ("data-ferry:bigquery.project", "short", "6 to 30"),
    ("data-ferry:bigquery.project_number", "12-34", "digits only"),
    ("data-ferry:bigquery.location", "eu", "not a BigQuery location"),
    ("data-ferry:bigquery.location", "eu-west-1", "not a BigQuery location"),
    ("data-ferry:bigquery.location", "aws-eu-west-1", "Omni"),
    ("data-ferry:bigquery.dataset", "shop-stg", "not a dataset name"),
    ("data-ferry:bigquery.dataset", "a" * 1025, "1 to 1,024"),
    ("data-ferry:bigquery.dataset", "", "1 to 1,024"),
    ("data-ferry:bigquery.table_name", "{tabel}", "a placeholder other than"),
    ("data-ferry:bigquery.table_name", "{table!r}", "a placeholder other than"),
    ("data-ferry:bigquery.table_name", "{table", "brace"),
    ("data-ferry:bigquery.table_name", "", "empty"),
    ("data-ferry:bigquery.run_time_offset_hours", 24, "more than 23"),
    ("data-ferry:bigquery.run_time_offset_hours", -1, "less than 0"),
    ("data-ferry:bigquery.deletion_protection", 1, "not true or false"),
    ("data-ferry:alerts.emails", "data@example.com", "not a list"),
    ("data-ferry:alerts.emails[0]", "data.example.com", "not an e-mail address"),
    ("data-ferry:alerts.emails[0]", "a b@example.com", "not an e-mail address"),
    ("data-ferry:alerts.runbook_url", "our wiki", "not a link"),
    ("data-ferry:labels.Team", "data", "lower-case"),
    ("data-ferry:labels.team", "Data Team", "lower-case"),
    ("data-ferry:labels.team", 7, "not text"),
    ("data-ferry:labels.team", "x" * 64, "63"),
    ("data-ferry:labels.aws:team", "data", "reserved by AWS"),
    ("data-ferry:labels.goog-team", "data", "reserved by Google"),
    ("data-ferry:labels.stack", "stg", "sets the label stack itself"),
    ("data-ferry:labels.1team", "data", "a letter first"),
    ("data-ferry:handlers.runtime", "python2.7", "python3.12"),
    ("data-ferry:handlers.architecture", "arm", "'arm64' or 'x86_64'"),
    ("data-ferry:handlers.path", "", "is empty"),
    ("data-ferry:snapshots", {"sources": []}, "perhaps snapshot is meant"),
    ("data-ferry:snapshot.retension_days", 7, "perhaps retention_days is meant"),
    ("data-ferry:snapshot.sources[0].cluser", "shop", "perhaps cluster is meant"),
    ("data-ferry:bigquery.data_set", "shop", "perhaps dataset is meant"),
    ("data-ferry:capture", {"a": 1}, "is not a key"),
    (
        "data-ferry:bigquery.reader_key_generation",
        2,
        "is not a key here; it belongs to data-ferry:snapshot; write  "
        "data-ferry:snapshot: {reader_key_generation: ",
    ),
    ("data-ferry:reader_key_generation", 2, "it belongs to data-ferry:snapshot"),
    ("data-ferry:bigquery.password", "hunter2", "no secret belongs here"),
]


class TestWrong:
    @pytest.mark.parametrize(("path", "value", "words"), WRONG)
    def test_one_value_is_one_line_with_its_path_and_reason(
        self, path: str, value: object, words: str
    ) -> None:
        base = having("data-ferry:alerts", {"emails": ["x@example.com"]})
        found = errors(having(path, value, base))
        at = f"{path}.schedule" if path.endswith("timezone") else path
        at = "data-ferry:snapshot.trigger.schedule" if "timezone" in path else at
        (line,) = [line for line in found if line.startswith(f"{at}: ")]
        assert words in line
        assert "hunter2" not in line

    @pytest.mark.parametrize(("path", "value", "words"), WRONG)
    def test_what_the_error_says_to_write_is_right(
        self, path: str, value: object, words: str
    ) -> None:
        base = having("data-ferry:alerts", {"emails": ["x@example.com"]})
        config = having(path, value, base)
        for _ in range(3):
            try:
                settings.load("stg", config, ROOT)
            except settings.SettingsError as error:
                config = mended(config, error.errors[0])
        assert settings.load("stg", config, ROOT)

    @pytest.mark.parametrize("key", MINIMAL)
    def test_a_missing_key_is_named(self, key: str) -> None:
        config = {name: value for name, value in MINIMAL.items() if name != key}
        (line,) = errors(config)
        assert line.startswith(f"{key}: is missing")
        assert f"; write  {key}: " in line

    @pytest.mark.parametrize(
        ("given_key", "missing"), [("snapshot", "bigquery"), ("bigquery", "snapshot")]
    )
    def test_half_a_route_is_told_of_the_other_half(self, given_key: str, missing: str) -> None:
        config = {**MINIMAL, f"data-ferry:{missing}": {}}
        (line,) = errors(config)
        assert line.startswith(f"data-ferry:{missing}: is missing")
        assert f"the snapshot route needs it beside data-ferry:{given_key}" in line

    def test_a_stack_without_a_route_is_told_so(self) -> None:
        config = {**MINIMAL, "data-ferry:snapshot": {}, "data-ferry:bigquery": {}}
        (line,) = errors(config)
        assert line.startswith("data-ferry: there is no route: ")
        assert "a stack has a route only if it sets the route's keys" in line
        right = yaml.safe_load(line.rpartition("; write  ")[2])
        assert settings.load("stg", {**config, **right}, ROOT)

    def test_a_key_that_is_called_as_encrypted_values_are_is_only_unknown(self) -> None:
        lines = errors({"aws:region": "eu-west-1", "data-ferry:secure": "x"})
        assert any(line.startswith("data-ferry:secure: is not a key") for line in lines)

    def test_all_errors_of_a_stack_are_told_at_once(self) -> None:
        config = copy.deepcopy(COMPLETE)
        config["data-ferry:service"] = "Shop"
        config["data-ferry:snapshot"]["retention_days"] = 0
        config["data-ferry:snapshot"]["sources"][0]["engine"] = "oracle"
        config["data-ferry:snapshot"]["sources"][1]["databases"]["ledger"] = ["accounts"]
        config["data-ferry:bigquery"]["location"] = "mars"
        config["data-ferry:alerts"]["emails"] = ["nobody"]
        config["data-ferry:labels"]["Team"] = "Data"
        config["data-ferry:handlers"]["runtime"] = "cobol"
        config["data-ferry:other"] = 1
        del config["aws:region"]
        paths = [line.partition(": ")[0] for line in errors(config, "Stg")]
        assert paths == [
            "aws:region",
            "data-ferry:service",
            "data-ferry:snapshot.sources[0].engine",
            "data-ferry:snapshot.retention_days",
            "data-ferry:bigquery.location",
            "data-ferry:alerts.emails[0]",
            "data-ferry:labels.Team",
            "data-ferry:labels.Team",
            "data-ferry:handlers.runtime",
            "data-ferry:other",
            "stack Stg",
            "data-ferry:snapshot.sources[1].databases.ledger",
        ]

    def test_the_exception_says_them_all(self) -> None:
        with pytest.raises(settings.SettingsError) as caught:
            settings.load("stg", {}, ROOT)
        assert str(caught.value) == "\n".join(caught.value.errors)
        assert len(caught.value.errors) == 3


class TestSources:
    def test_needs_a_cluster_or_an_instance(self) -> None:
        (line,) = errors(having("data-ferry:snapshot.sources[0].cluster", None))
        assert line.startswith("data-ferry:snapshot.sources[0]: has neither cluster nor instance;")

    def test_cannot_be_both(self) -> None:
        (line,) = errors(having("data-ferry:snapshot.sources[0].instance", "shop"))
        assert "has both cluster and instance; write  cluster: shop" in line

    def test_needs_tables(self) -> None:
        (line,) = errors(having("data-ferry:snapshot.sources[0].databases", None))
        assert "has neither databases nor tables_file" in line

    def test_of_postgresql_is_shown_tables_of_postgresql(self) -> None:
        source = {"instance": "ledger", "engine": "postgresql"}
        (line,) = errors(having("data-ferry:snapshot.sources", [source]))
        assert line.endswith("; write  databases: {ledger: {public: [accounts]}}")
        (line,) = errors(having("data-ferry:snapshot.sources", [{**source, "databases": ["a"]}]))
        assert line.endswith("; write  databases: {ledger: {public: [accounts]}}")

    def test_takes_tables_from_one_place(self) -> None:
        (line,) = errors(having("data-ferry:snapshot.sources[0].tables_file", "tables.txt"))
        assert "has both databases and tables_file" in line

    def test_two_with_one_name_are_an_error_even_of_different_kinds(self) -> None:
        sources = [
            {"cluster": "shop", "engine": "mysql", "databases": {"a": ["b"]}},
            {"instance": "shop", "engine": "mysql", "databases": {"c": ["d"]}},
        ]
        (line,) = errors(having("data-ferry:snapshot.sources", sources))
        assert line.startswith("data-ferry:snapshot.sources[1].instance: shop is declared already")
        assert "at sources[0]" in line

    def test_postgresql_needs_schemas(self) -> None:
        source = {"instance": "l", "engine": "postgresql", "databases": {"ledger": ["accounts"]}}
        (line,) = errors(having("data-ferry:snapshot.sources", [source]))
        assert "PostgreSQL's tables lie in schemas" in line
        assert line.endswith("; write  ledger: {public: [accounts]}")

    def test_mysql_has_no_schemas(self) -> None:
        path = "data-ferry:snapshot.sources[0].databases.shop"
        (line,) = errors(having(path, {"public": ["users"], "audit": ["entries"]}))
        assert line.endswith("; write  shop: [users, entries]")

    @pytest.mark.parametrize(
        ("databases", "where"),
        [
            ({}, "databases"),
            ({"l": {}}, "databases.l"),
            ({"l": {"public": []}}, "databases.l.public"),
        ],
    )
    def test_postgresql_needs_tables_too(self, databases: object, where: str) -> None:
        source = {"instance": "l", "engine": "postgresql", "databases": databases}
        (line,) = errors(having("data-ferry:snapshot.sources", [source]))
        assert line.startswith(f"data-ferry:snapshot.sources[0].{where}: names no ")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("", "is empty"),
            (" users", "spaces at an end"),
            ("a/b", "RDS skips tables"),
            ("a*", "wildcard"),
            ("a\nb", "control character"),
            ("a" * 65, "at most 64 characters"),
            (True, "true is a true/false value, not a table's name; write  'true'"),
            (2024, "2024 is a whole number, not a table's name; write  '2024'"),
            (None, "not a table's name"),
        ],
    )
    def test_a_table_must_have_a_name_that_can_be_carried(self, name: object, words: str) -> None:
        (line,) = errors(having("data-ferry:snapshot.sources[0].databases.shop[1]", name))
        assert line.startswith("data-ferry:snapshot.sources[0].databases.shop[1]: ")
        assert words in line

    def test_a_table_is_listed_once(self) -> None:
        path = "data-ferry:snapshot.sources[0].databases.shop"
        (line,) = errors(having(path, ["users", "orders", "users"]))
        assert line.startswith(f"{path}[2]: shop.users is listed already, at databases.shop[0];")

    def test_two_tables_that_rds_would_write_into_one_folder_are_an_error(self) -> None:
        path = "data-ferry:snapshot.sources[0].databases.shop"
        lines = errors(having(path, ["a b", "a_b"]))
        assert "RDS would export shop.a_b and shop.a b (at databases.shop[0])" in lines[0]


class TestDestinations:
    def clash(self, sources: list[object]) -> list[str]:
        return errors(having("data-ferry:snapshot.sources", sources))

    def test_two_tables_with_one_name_are_both_named(self) -> None:
        databases = {"shop": ["users", "orders"], "crm": ["users"]}
        (line,) = self.clash([{"cluster": "a", "engine": "mysql", "databases": databases}])
        assert line == (
            "data-ferry:bigquery.table_name: a shop.users and a crm.users would all be loaded into "
            "the table users; write  table_name: '{database}_{table}'"
        )

    def test_the_proposal_tells_all_tables_apart(self) -> None:
        databases = {"a": {"x": ["t"], "y": ["t"]}, "b": {"x": ["t"], "y": ["t"]}}
        sources: list[object] = [
            {"cluster": "one", "engine": "postgresql", "databases": databases},
            {"cluster": "two", "engine": "postgresql", "databases": databases},
        ]
        (line,) = self.clash(sources)
        assert "and 5 more" in line
        config = having("data-ferry:snapshot.sources", sources)
        template = yaml.safe_load(line.rpartition("write  ")[2])["table_name"]
        mended = having("data-ferry:bigquery.table_name", template, config)
        ids = [t.destination for source in exported(mended).sources for t in source.tables]
        assert len(set(ids)) == 8

    def test_names_that_differ_only_in_what_becomes_an_underscore_clash(self) -> None:
        databases = {"shop": ["orders$2024", "orders_2024"]}
        (line,) = self.clash([{"cluster": "a", "engine": "mysql", "databases": databases}])
        assert "shop.orders$2024 and a shop.orders_2024" in line


class TestTablesFile:
    def load(self, root: Path, text: str | bytes, engine: str = "mysql") -> dict[str, Any]:
        data = text.encode() if isinstance(text, str) else text
        (root / "tables.txt").write_bytes(data)
        source = {"cluster": "big", "engine": engine, "tables_file": "tables.txt"}
        return having("data-ferry:snapshot.sources", [source])

    def test_lists_tables_with_comments_and_empty_lines(self, tmp_path: Path) -> None:
        text = "# the shop\nshop.users\n\n  shop.orders  # since March\r\n"
        config = self.load(tmp_path, text)
        (source,) = exported(config, root=tmp_path).sources
        assert [table.target for table in source.tables] == ["shop.users", "shop.orders"]

    def test_of_postgresql_names_schemas(self, tmp_path: Path) -> None:
        config = self.load(tmp_path, "ledger.public.accounts\n", "postgresql")
        (source,) = exported(config, root=tmp_path).sources
        assert source.tables[0].path == "ledger/public.accounts"

    @pytest.mark.parametrize(
        ("text", "engine", "where", "words"),
        [
            ("shop.a\nusers\n", "mysql", ": tables.txt:2", '"users" is not database.table'),
            ("a.b.c\n", "mysql", ": tables.txt:1", "is not database.table"),
            ("a.b\n", "postgresql", ": tables.txt:1", "is not database.schema.table"),
            ("shop.\n", "mysql", ": tables.txt:1", "is empty"),
            ("shop.a/b\n", "mysql", ": tables.txt:1", "RDS skips"),
            ("a.b\nc.d\na.b\n", "mysql", ": tables.txt:3", "a.b is listed already"),
            ("# nothing\n", "mysql", "", "names no table"),
            (b"\xff\xfe", "mysql", "", "not UTF-8 text, at byte 0"),
        ],
    )
    def test_errors_name_the_line(
        self, tmp_path: Path, text: str | bytes, engine: str, where: str, words: str
    ) -> None:
        (line,) = errors(self.load(tmp_path, text, engine), root=tmp_path)
        assert line.startswith(f"data-ferry:snapshot.sources[0].tables_file{where}: ")
        assert words in line

    def test_every_wrong_line_is_told(self, tmp_path: Path) -> None:
        assert len(errors(self.load(tmp_path, "a\nb\nc.d\ne\n"), root=tmp_path)) == 3

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("missing.txt", "there is no file missing.txt"),
            ("folder", "folder cannot be read"),
            ("../outside.txt", "outside the project's folder"),
            ("/etc/passwd", "outside the project's folder"),
            ("a\0b", "cannot be the name of a file"),
        ],
    )
    def test_that_cannot_be_read_is_an_error(self, tmp_path: Path, name: str, words: str) -> None:
        (tmp_path / "folder").mkdir()
        source = {"cluster": "big", "engine": "mysql", "tables_file": name}
        (line,) = errors(having("data-ferry:snapshot.sources", [source]), root=tmp_path)
        assert words in line

    def test_ten_thousand_tables_load_in_seconds(self, tmp_path: Path) -> None:
        text = "".join(f"shop.table_{index}\n" for index in range(10_000))
        config = self.load(tmp_path, text)
        begin = time.perf_counter()
        snapshot = exported(config, root=tmp_path)
        assert time.perf_counter() - begin < 5
        assert len(snapshot.sources[0].tables) == 10_000

    def test_ten_thousand_clashes_are_told_in_seconds(self, tmp_path: Path) -> None:
        text = "".join(f"shop.table_{index}\n" for index in range(10_000))
        (tmp_path / "tables.txt").write_text(text)
        sources = [
            {"cluster": name, "engine": "mysql", "tables_file": "tables.txt"} for name in "ab"
        ]
        begin = time.perf_counter()
        assert len(errors(having("data-ferry:snapshot.sources", sources), root=tmp_path)) == 10_000
        assert time.perf_counter() - begin < 10


class TestTrigger:
    @pytest.mark.parametrize(
        "expression",
        [
            "cron(30 3 * * ? *)",
            "cron(0 8 1 * ? *)",
            "cron(0/15 * ? * MON-FRI *)",
            "cron(0 10 ? * 6L 2026-2030)",
            "cron(0 10 ? * 2#1 *)",
            "cron(5,35 14 L * ? *)",
            "cron(0 0 15W JAN,jul ? *)",
            "rate(1 day)",
            "rate(12 hours)",
        ],
    )
    def test_a_schedule_that_eventbridge_takes_is_taken(self, expression: str) -> None:
        config = having("data-ferry:snapshot.trigger", {"schedule": expression})
        trigger = exported(config).trigger
        assert trigger == settings.Trigger(kind="schedule", schedule=expression, timezone="UTC")

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ("30 3 * * ? *", "not a cron(...) or rate(...)"),
            ("at(2026-11-20T03:00:00)", "not a cron(...) or rate(...)"),
            ("cron(30 3 * * *)", "5 fields"),
            ("cron(60 3 * * ? *)", '"60" is not a minute'),
            ("cron(30 24 * * ? *)", '"24" is not a hour'),
            ("cron(30 3 32 * ? *)", "not a day of the month"),
            ("cron(30 3 ? * 8 *)", "not a day of the week"),
            ("cron(30 3 ? * TOD *)", "not a day of the week"),
            ("cron(30 3 * 13 ? *)", "not a month"),
            ("cron(30 3 * * ? 1969)", "not a year"),
            ("cron(30/0 3 * * ? *)", "not a minute"),
            ("cron(30 3 * * * *)", "must be ?"),
            ("cron(30 3 ? * ? *)", "must be ?"),
            ("rate(0 days)", "positive number"),
            ("rate(1 week)", "positive number"),
        ],
    )
    def test_one_that_it_refuses_is_an_error(self, expression: str, words: str) -> None:
        (line,) = errors(having("data-ferry:snapshot.trigger", {"schedule": expression}))
        assert line.startswith("data-ferry:snapshot.trigger.schedule: ")
        assert words in line

    def test_the_time_zone_must_exist(self) -> None:
        trigger = {"schedule": "rate(1 day)", "timezone": "europe/berlin"}
        (line,) = errors(having("data-ferry:snapshot.trigger", trigger))
        assert line.endswith("; write  timezone: Europe/Berlin")

    def test_manual_snapshots_need_the_event(self) -> None:
        config = having("data-ferry:snapshot.manual_snapshots", True)
        assert exported(config).manual_snapshots
        config["data-ferry:snapshot"]["trigger"] = {"schedule": "rate(1 day)"}
        (line,) = errors(config)
        assert line.startswith("data-ferry:snapshot.manual_snapshots: has no effect")


class TestNames:
    @pytest.mark.parametrize("stack", ["Stg", "my_stack", "a.b", "-a", "a--b", "a-", ""])
    def test_a_stack_that_cannot_be_in_a_name_is_an_error(self, stack: str) -> None:
        (line,) = errors(MINIMAL, stack)
        assert line.startswith(f"stack {stack}: ")
        assert re.search(r"write  pulumi stack rename [a-z0-9-]+$", line)

    def test_service_and_stack_together_must_fit(self) -> None:
        stack = "a" * 27
        assert settings.load(stack, MINIMAL, ROOT)
        (line,) = errors(MINIMAL, f"{stack}a")
        assert line.startswith("data-ferry:service: shop-aaa")
        assert "33 characters" in line
        assert line.endswith("write  data-ferry:service: sho")

    def test_a_stack_that_leaves_no_room_is_to_be_renamed(self) -> None:
        (line,) = errors(MINIMAL, "a" * 40)
        assert line.endswith(f"write  pulumi stack rename {'a' * 27}")

    def test_service_and_stack_together_must_be_long_enough(self) -> None:
        (line,) = errors(having("data-ferry:service", "a"), "b")
        assert "needs 4 characters" in line


class TestSecrets:
    def test_an_encrypted_value_is_an_error_wherever_it_is(self) -> None:
        config = having("data-ferry:bigquery.project", {"secure": "AAABAHh4eHg="})
        config["data-ferry:labels"] = {"secure": "AAABAHl5eXk="}
        lines = errors(config)
        assert [line.partition(": ")[0] for line in lines] == [
            "data-ferry:bigquery.project",
            "data-ferry:labels",
        ]
        assert all("no secret belongs here" in line for line in lines)
        assert "AAABAH" not in "".join(lines)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A running program of the stack `stg`, without configuration yet."""
    monkeypatch.setattr(pulumi, "get_stack", lambda: "stg")
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    yield
    set_all_config({}, [])


@pytest.mark.usefixtures("program")
class TestFromPulumi:
    def texts(self) -> dict[str, str]:
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in COMPLETE.items()
        }

    def test_reads_the_running_programs_configuration(self) -> None:
        set_all_config(self.texts(), [])
        assert settings.from_pulumi() == settings.load("stg", COMPLETE, ROOT)

    def test_reads_what_the_engine_hands_over_in_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(self.texts()))
        assert settings.from_pulumi() == settings.load("stg", COMPLETE, ROOT)

    def test_an_unknown_key_is_an_error(self) -> None:
        set_all_config({**self.texts(), "data-ferry:snapshto": "{}"}, [])
        with pytest.raises(settings.SettingsError, match="perhaps snapshot is meant"):
            settings.from_pulumi()

    def test_a_secret_is_an_error_and_is_not_shown(self) -> None:
        config = {**self.texts(), "data-ferry:alerts": "hunter2", "aws:secretKey": "hunter3"}
        set_all_config(config, ["data-ferry:alerts", "aws:secretKey"])
        with pytest.raises(settings.SettingsError) as caught:
            settings.from_pulumi()
        (line,) = caught.value.errors
        assert line.startswith("data-ferry:alerts: is encrypted")
        assert "hunter" not in line


def without_replication(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "data-ferry:replication"}


def beside_certificates(root: Path, config: dict[str, Any]) -> Path:
    """Return a folder with what a stack's file names: its own schemas, certificates of nobody.

    Those that it names are made by the rehearsal, or had from AWS.
    """
    if (ROOT / "schemas").is_dir():
        shutil.copytree(ROOT / "schemas", root / "schemas")
    if "data-ferry:replication" in config:
        bundle = root / config["data-ferry:replication"]["cluster"]["ca_bundle"]
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_text(CERTIFICATE, encoding="utf-8")
    return root


def stack_file(name: str) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))["config"]
    assert isinstance(config, dict)
    return config


class TestStackFiles:
    @pytest.mark.parametrize("name", ["local", "stg", "prod"])
    def test_is_right_and_names_tables_the_rehearsal_has(self, name: str, tmp_path: Path) -> None:
        config = stack_file(name)
        snapshot = exported(config, name, beside_certificates(tmp_path, config))
        tables = {table.name for source in snapshot.sources for table in source.tables}
        assert tables == SAMPLE
        assert all(source.partial_export for source in snapshot.sources)

    def test_prod_is_kept_safer_than_stg(self) -> None:
        files = {name: without_replication(stack_file(name)) for name in ("stg", "prod")}
        stg, prod = (loaded(config, name) for name, config in files.items())
        assert prod.deletion_protection
        assert not stg.deletion_protection
        assert prod.project != stg.project
        stg_days, prod_days = (exported(each, name).retention_days for name, each in files.items())
        assert prod_days > stg_days
        assert settings.load("prod", files["prod"], ROOT).alerts.emails

    def test_the_project_declares_every_key(self) -> None:
        declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
        assert list(declared) == [f"data-ferry:{key}" for key in StackShape.model_fields]
        assert all(key["description"] for key in declared.values())

    def test_the_project_demands_no_key_that_a_stack_may_leave_out(self) -> None:
        """Pulumi refuses a stack that lacks a declared key without a default."""
        declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
        demanded = {key for key, value in declared.items() if "default" not in value}
        assert demanded == {"data-ferry:service"}


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers() | st.booleans(), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to everything in a value, at any depth."""
    inner = value.items() if isinstance(value, dict) else ()
    for key, part in enumerate(value) if isinstance(value, list) else inner:
        yield (*path, key)
        yield from places(part, (*path, key))


def outcome(config: dict[str, Any]) -> settings.Settings | list[str]:
    try:
        return settings.load("stg", config, ROOT)
    except settings.SettingsError as error:
        return error.errors


class TestWhateverIsWritten:
    @given(st.data())
    @hypothesis_settings(
        max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    def test_gives_settings_or_errors_of_one_line_each(self, data: st.DataObject) -> None:
        config = copy.deepcopy(COMPLETE)
        for _ in range(data.draw(st.integers(1, 3))):
            *above, last = data.draw(st.sampled_from(list(places(config))))
            place: Any = config
            for step in above:
                place = place[step]
            place[last] = data.draw(JUNK)
        result = outcome(config)
        assert result
        for line in result if isinstance(result, list) else []:
            assert re.fullmatch(r"[^\r\n]+: [^\r\n]+", line), line
            if "; write  " in line:
                assert yaml.safe_load(line.rpartition("; write  ")[2]) is not None, line
