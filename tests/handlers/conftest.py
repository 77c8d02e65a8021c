from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import boto3
import pytest
from moto import mock_aws

from tests.handlers.world import AWS_SECRET, BUCKET, World


@pytest.fixture(autouse=True)
def _lambda_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What Lambda sets; after moto, which puts credentials of its own in its place."""
    with mock_aws():
        _set(monkeypatch)
        yield


def _set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-session-token-of-the-function")


@lru_cache(maxsize=1)
def _session() -> boto3.Session:
    """One session: it keeps the service models that it has read."""
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture
def world(_lambda_environment: None) -> World:
    s3 = _session().client("s3", region_name="eu-west-1")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return World(s3)
