"""Each handler with its layer and its environment, as the program gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

from replication import flow, load, resend, stream, transform
from replication.database import Database
from shared.errors import InvalidInput
from tests.handlers.replication.kit import BUCKET, STREAM, change, firehose_event, record
from tests.handlers.replication.test_load import batch

VARIABLES = {
    "SERVICE_NAME": "shop",
    "DELIVERY_STREAM": STREAM,
    "BUCKET": BUCKET,
    "DATABASE_HOST": "127.0.0.1",
    "DATABASE_PORT": "1",
    "DATABASE_USER": "ferry",
}


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def make_bucket() -> Any:
    s3 = boto3.client("s3", region_name="eu-west-1")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return s3


def make_stream() -> None:
    make_bucket()
    boto3.client("firehose", region_name="eu-west-1").create_delivery_stream(
        DeliveryStreamName=STREAM,
        DeliveryStreamType="DirectPut",
        S3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::111122223333:role/firehose",
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
        },
    )


def test_the_stream_function_answers(layer: Any) -> None:
    make_stream()
    records = [change(7, {"page_id": {"S": "a"}}), change(8, None)]
    assert stream.handler({"Records": records}, layer.context) == {
        "batchItemFailures": [{"itemIdentifier": "8"}]
    }


def test_the_transform_function_answers(layer: Any) -> None:
    s3 = make_bucket()
    event = firehose_event([record({"page_id": "a", "at": 1}), b"poison"])
    answer = transform.handler(event, layer.context)
    assert [each["result"] for each in answer["records"]] == ["Ok", "Dropped"]
    (stored,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert stored["Key"].startswith("processing-failed/page-views/reasons/")


def test_the_resend_function_answers(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_stream()
    monkeypatch.setenv("TABLE_NAME", "page-views")
    boto3.client("s3", region_name="eu-west-1").put_object(
        Bucket=BUCKET, Key="processing-failed/page-views/a", Body=b'{"rawData": "AAAA"}'
    )
    answer = resend.handler(
        {"bucket": BUCKET, "key": "processing-failed/page-views/a"}, layer.context
    )
    assert answer == {"objects": 1, "records": 1, "not_carried": 0, "next": None}
    assert resend.services().table == "page-views"


@pytest.mark.parametrize("arn", [None, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:x"])
def test_the_load_function_answers(
    layer: Any, monkeypatch: pytest.MonkeyPatch, arn: str | None
) -> None:
    pem = Path(__file__).parents[2] / "components" / "rds-ca.pem"
    (layer.folder / "rds-ca.pem").write_bytes(pem.read_bytes())
    if arn:
        monkeypatch.setenv("DATABASE_SECRET_ARN", arn)
    assert isinstance(load.services().loader._database, Database)
    assert load.handler(batch("no event"), layer.context) == {
        "batchItemFailures": [{"itemIdentifier": "message-0"}]
    }


@pytest.mark.parametrize("missing", ["SERVICE_NAME", "DELIVERY_STREAM"])
def test_a_variable_that_is_not_set_is_told(
    layer: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(InvalidInput, match=f"variable {missing} is not set"):
        stream.handler({"Records": []}, layer.context)


def test_a_function_without_its_layer_tells_what_is_missing(layer: Any) -> None:
    with pytest.raises(InvalidInput, match=r"no layer with ferry_flow/rds-ca\.pem"):
        flow.certificates()
    (layer.folder / "flow.json").unlink()
    with pytest.raises(InvalidInput, match=r"no layer with ferry_flow/flow\.json"):
        flow.configured()
