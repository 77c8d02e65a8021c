"""Both local clouds, and a plugin of each package that is configured for them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rehearsal.aws.cloud import LocalAws
from rehearsal.drivers import Clouds
from rehearsal.google.server import LocalGoogle
from rehearsal.google_api import DEPLOYER_TOKEN, GoogleApi
from tests.rehearsal.drivers.lifecycle import NUMBER, PROJECT, REGION
from tests.rehearsal.provider import plugin
from tests.rehearsal.provider.plugin import Plugin

TAGS, LABELS = {"service": "ferry", "team": "data"}, {"service": "ferry"}


@pytest.fixture(scope="module")
def local_aws() -> Iterator[LocalAws]:
    with LocalAws(REGION) as aws:
        yield aws


@pytest.fixture(scope="module")
def local_google(local_aws, tmp_path_factory) -> Iterator[LocalGoogle]:
    with LocalGoogle(
        PROJECT,
        project_number=NUMBER,
        aws_endpoint=local_aws.endpoint,
        aws_region=REGION,
        database=tmp_path_factory.mktemp("bigquery") / "bigquery.duckdb",
    ) as google:
        yield google


@pytest.fixture(scope="module")
def clouds(local_aws, local_google) -> Iterator[Clouds]:
    """The way past the plugins to what they make."""
    api = GoogleApi(local_google.endpoint)
    yield Clouds(local_aws, api)
    api.close()


@pytest.fixture(scope="module")
def aws(local_aws, tmp_path_factory) -> Iterator[Plugin]:
    services = ("iam", "s3", "sqs", "sts")
    with plugin.started("aws", tmp_path_factory.mktemp("aws")) as started:
        # What is nested in a provider's configuration travels as JSON.
        started.configure(
            region=REGION,
            accessKey="test",
            secretKey="test",
            endpoints=json.dumps([dict.fromkeys(services, local_aws.endpoint)]),
            defaultTags=json.dumps({"tags": TAGS}),
        )
        yield started


@pytest.fixture(scope="module")
def gcp(local_google, tmp_path_factory) -> Iterator[Plugin]:
    with plugin.started("gcp", tmp_path_factory.mktemp("gcp")) as started:
        started.configure(
            bigQueryCustomEndpoint=f"{local_google.endpoint}/bigquery/v2/",
            accessToken=DEPLOYER_TOKEN,
            defaultLabels=json.dumps(LABELS),
        )
        yield started
