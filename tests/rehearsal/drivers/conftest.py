"""Both local clouds, for the driver tests of a module: there is one local AWS per process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rehearsal import drivers
from rehearsal.aws.cloud import LocalAws
from rehearsal.google.server import LocalGoogle
from rehearsal.google_api import GoogleApi
from tests.rehearsal.drivers.lifecycle import NUMBER, PROJECT, REGION


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[drivers.Clouds]:
    database = tmp_path_factory.mktemp("bigquery") / "bigquery.duckdb"
    with (
        LocalAws(REGION) as aws,
        LocalGoogle(
            PROJECT,
            project_number=NUMBER,
            aws_endpoint=aws.endpoint,
            aws_region=REGION,
            database=database,
        ) as google,
    ):
        api = GoogleApi(google.endpoint)
        yield drivers.Clouds(aws, api)
        api.close()
