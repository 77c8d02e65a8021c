"""Deploying into the local clouds, and what a play looks like from inside."""

from __future__ import annotations

import io
import json
import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from rehearsal import cli, comparison, deploy, drivers, sample, stage
from rehearsal.errors import BadInput
from tests.rehearsal.drivers.test_registry import registered
from tests.rehearsal.playing import once

NO_CLOUDS: Any = drivers.Clouds(aws=object(), google=object())  # type: ignore[arg-type]
SHOP = "local-project.ferry_local_rds_data"


@dataclass
class Inside:
    """What was seen of a play while both clouds were up."""

    status: int = -1
    told: str = ""
    made: Counter[str] = field(default_factory=Counter)
    resources: dict[str, int] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    datasets: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    by_currency: dict[str, tuple[int, Any]] = field(default_factory=dict)
    oldest: list[Any] = field(default_factory=list)

    def ask_google(self, clouds: stage.Stage) -> None:
        """Use Google's own client as someone with `rehearsal up` would."""
        client = bigquery.Client(
            clouds.project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": clouds.google.endpoint},
        )
        with closing(client):
            self.datasets = [each.dataset_id for each in client.list_datasets()]
            (dataset,) = self.datasets
            self.tables = sorted(each.table_id for each in client.list_tables(dataset))
            for table in self.tables:
                ((count,),) = client.query(f"SELECT COUNT(*) FROM `{SHOP}.{table}`").result()
                self.counts[table] = count
            rows = client.query(
                "SELECT SAFE_CONVERT_BYTES_TO_STRING(currency) AS code, COUNT(*) AS orders, "
                f"SUM(total) AS total FROM `{SHOP}.orders` GROUP BY code ORDER BY code"
            ).result()
            self.by_currency = {row["code"]: (row["orders"], row["total"]) for row in rows}
            rows = client.query(
                f"SELECT name, created_at FROM `{SHOP}.users` ORDER BY created_at, id LIMIT 3"
            ).result()
            self.oldest = [
                (r["name"], r["created_at"].isoformat(" ", "microseconds")) for r in rows
            ]


def play_from_inside(folder: Path) -> Inside:
    """Play the sample in this process, which alone can ask the clouds before they are gone."""
    inside = Inside()
    compare, create = comparison.compare, drivers.create

    def asked(cast: Any, clouds: stage.Stage, deployment: deploy.Deployment) -> Any:
        inside.ask_google(clouds)
        return compare(cast, clouds, deployment)

    def created(
        clouds: drivers.Clouds, token: str, name: str, inputs: Mapping[str, Any]
    ) -> drivers.Created:
        made = create(clouds, token, name, inputs)
        inside.made[token] += 1
        if token == "aws:iam/accessKey:AccessKey":
            inside.secrets.add(made.outputs["secret"])
        return made

    printed = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(printed),
        redirect_stderr(printed),
    ):
        patch.setattr(comparison, "compare", asked)
        patch.setattr(drivers, "create", created)
        outputs = {"--json": folder / "o.json", "--html": folder / "o.html", "--keep": folder}
        inside.status = cli.main(
            ["run", "--traceback", *(str(x) for pair in outputs.items() for x in pair)]
        )
    assert inside.status == 0, printed.getvalue()
    inside.resources = json.loads((folder / "o.json").read_text())["resources"]
    inside.told = printed.getvalue()
    inside.told += "".join(path.read_text() for path in (folder / "o.json", folder / "o.html"))
    inside.told += (folder / "bigquery.duckdb").read_bytes().decode("latin-1")
    return inside


@pytest.fixture(scope="session")
def inside(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Inside:
    # A process of its own: there is one emulator per process, and none is left in the tests' own.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return once(
            tmp_path_factory,
            worker_id,
            "inside",
            lambda folder: process.submit(play_from_inside, folder).result(),
        )


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The sample that was played, as SQLite holds it."""
    path = tmp_path_factory.mktemp("sample") / "sample.db"
    sample.make(path)
    with closing(sqlite3.connect(path)) as database:
        yield database


def test_googles_own_client_sees_what_was_transferred(inside: Inside, source: Any) -> None:
    assert inside.datasets == ["ferry_local_rds_data"]
    assert inside.tables == ["city", "country", "countrylanguage", "orders", "users"]
    assert inside.counts == {
        table: source.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in inside.tables
    }
    expected: dict[str, tuple[int, Decimal]] = {}
    for currency, total in source.execute("SELECT currency, total FROM orders"):
        count, amount = expected.get(currency, (0, Decimal(0)))
        # SQLite keeps a double; its two decimals are what was stored.
        expected[currency] = (count + 1, amount + Decimal(f"{total:.2f}"))
    assert inside.by_currency == expected
    oldest = source.execute("SELECT name, created_at FROM users ORDER BY created_at, id LIMIT 3")
    assert inside.oldest == [(name, f"{at}+00:00") for name, at in oldest]
    assert inside.oldest[0][1] < "1970"


def test_every_resource_that_the_program_registers_is_made(inside: Inside) -> None:
    wanted = Counter(resource.type for resource in registered("local"))
    assert inside.made == wanted
    assert inside.resources == {
        cloud: sum(n for token, n in wanted.items() if token.startswith(f"{cloud}:"))
        for cloud in ("aws", "gcp")
    }


def test_the_readers_secret_key_is_shown_nowhere(inside: Inside) -> None:
    (secret,) = inside.secrets
    assert len(secret) >= 20
    assert secret not in inside.told


def deployed(folder: Path, program: str) -> deploy.Deployment:
    (folder / "__main__.py").write_text(program)
    return deploy.deploy(folder, "dev", {}, NO_CLOUDS, lambda _: None)


def test_a_resource_type_without_a_driver_ends_the_deployment(tmp_path: Path) -> None:
    program = "import pulumi\npulumi.CustomResource('aws:moon/base:Base', 'one', {})\n"
    with pytest.raises(deploy.DeploymentFailed, match=r"^aws:moon/base:Base: .*no driver"):
        deployed(tmp_path, program)


def test_a_property_without_a_driver_ends_the_deployment(tmp_path: Path) -> None:
    program = (
        "import pulumi\n"
        "pulumi.CustomResource('aws:sqs/queue:Queue', 'dead', {'name': 'q', 'smell': 'bad'})\n"
    )
    with pytest.raises(deploy.DeploymentFailed) as failed:
        deployed(tmp_path, program)
    assert str(failed.value) == (
        "aws:sqs/queue:Queue (dead): smell: the driver does not know this property"
    )


def test_settings_that_the_program_refuses_are_bad_input_line_by_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        deployed(tmp_path, "import pulumi\nraise pulumi.RunError('a: is wrong\\nb: is missing')\n")
    assert refused.value.lines == ["a: is wrong", "b: is missing"]


def test_a_mistake_in_the_program_is_not_taken_for_the_users(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        deployed(tmp_path, "1 / 0\n")


def test_the_program_sees_its_stack_and_its_exports_are_kept(tmp_path: Path) -> None:
    """Components are counted in neither cloud: they exist in the program only."""
    program = (
        "import pulumi\n"
        "part = pulumi.ComponentResource('data-ferry:part:Part', 'part')\n"
        "pulumi.export('stack', pulumi.get_stack())\n"
        "pulumi.export('secret', pulumi.Output.secret({'a': [1]}))\n"
    )
    deployment = deployed(tmp_path, program)
    assert deployment.outputs["stack"] == "dev"
    assert deployment.resources == {"aws": 0, "gcp": 0}
