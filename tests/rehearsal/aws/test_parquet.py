"""The layout, encryption and limits of the Parquet files an export writes."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from rehearsal.aws.parquet import Destination, PartLimits, TableWriter

BUCKET = "exports-bucket"
_FIELDS: dict[str, pa.DataType] = {"n": pa.int64(), "text": pa.string()}
SCHEMA = pa.schema(_FIELDS)
PART = re.compile(
    r"exports/id-1/shop/shop\.users/(\d+)/part-(\d{5})"
    r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.gz\.parquet"
)


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


def batch(first: int, rows: int) -> pa.RecordBatch:
    numbers = list(range(first, first + rows))
    return pa.RecordBatch.from_pydict(
        {"n": numbers, "text": [f"row {number}" for number in numbers]}, schema=SCHEMA
    )


def keys(s3: Any) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def write(s3: Any, rows: int, limits: PartLimits | None = None) -> TableWriter:
    destination = Destination(BUCKET, "exports/id-1", "arn:aws:kms:us-east-1:1:key/k")
    with TableWriter(s3, destination, "shop/shop.users", SCHEMA, limits) as writer:
        for first in range(0, rows, 10):
            writer.write(batch(first, min(10, rows - first)))
        writer.finish()
    return writer


def read(s3: Any, key: str) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()))


def test_a_small_table_is_one_part_and_a_marker(s3: Any) -> None:
    writer = write(s3, 25)
    marker, part = keys(s3)
    assert marker == "exports/id-1/shop/shop.users/1/_SUCCESS"
    assert PART.fullmatch(part)
    assert s3.head_object(Bucket=BUCKET, Key=marker)["ContentLength"] == 0
    file = read(s3, part)
    assert file.read().column("n").to_pylist() == list(range(25))
    assert {file.metadata.row_group(0).column(c).compression for c in (0, 1)} == {"GZIP"}
    assert (writer.rows, writer.files) == (25, 1)
    assert writer.bytes == s3.head_object(Bucket=BUCKET, Key=part)["ContentLength"]


def test_the_arrow_schema_is_not_in_the_file(s3: Any) -> None:
    write(s3, 1)
    metadata = read(s3, keys(s3)[1]).metadata.metadata
    assert not metadata or b"ARROW:schema" not in metadata


def test_everything_is_encrypted_with_the_exports_key(s3: Any) -> None:
    write(s3, 1)
    for key in keys(s3):
        head = s3.head_object(Bucket=BUCKET, Key=key)
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"] == "arn:aws:kms:us-east-1:1:key/k"


def test_a_large_table_has_parts_batches_and_gaps(s3: Any) -> None:
    writer = write(s3, 100, PartLimits(rows=20, parts_per_batch=3))
    parts = [match for match in map(PART.fullmatch, keys(s3)) if match]
    assert [(match[1], match[2]) for match in parts] == [
        ("1", "00000"),
        ("1", "00001"),
        ("1", "00003"),
        ("2", "00000"),
        ("2", "00001"),
    ]
    markers = [key for key in keys(s3) if key.endswith("_SUCCESS")]
    assert [key.split("/")[-2] for key in markers] == ["1", "2"]
    found = [n for match in parts for n in read(s3, match[0]).read().column("n").to_pylist()]
    assert found == list(range(100))
    assert (writer.rows, writer.files) == (100, 5)


def test_parts_are_limited_in_bytes_too(s3: Any) -> None:
    destination = Destination(BUCKET, "exports/id-1", "key")
    schema = pa.schema([("b", pa.binary())])
    # Bytes that do not compress, each batch large enough to be a row group.
    noise = [random.randbytes(17 * 1024 * 1024) for _ in range(4)]
    limits = PartLimits(bytes=20 * 1024 * 1024)
    with TableWriter(s3, destination, "shop/shop.users", schema, limits) as writer:
        for value in noise:
            writer.write(pa.RecordBatch.from_pydict({"b": [value]}, schema=schema))
        writer.finish()
    assert writer.files == 2


def test_an_empty_table_is_a_marker_alone(s3: Any) -> None:
    writer = write(s3, 0)
    assert keys(s3) == ["exports/id-1/shop/shop.users/1/_SUCCESS"]
    assert (writer.rows, writer.files, writer.bytes) == (0, 0, 0)


def test_a_discarded_table_leaves_nothing(s3: Any) -> None:
    destination = Destination(BUCKET, "exports/id-1", "key")
    with TableWriter(s3, destination, "shop/shop.users", SCHEMA, PartLimits(rows=10)) as writer:
        writer.write(batch(0, 10))
        assert len(keys(s3)) == 1
        writer.discard()
    assert keys(s3) == []
    assert (writer.rows, writer.files, writer.bytes) == (0, 0, 0)


def test_an_abandoned_writer_leaves_no_temporary_files(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    destination = Destination(BUCKET, "exports/id-1", "key")

    def fail() -> None:
        with TableWriter(s3, destination, "f", SCHEMA, PartLimits(rows=1000)) as writer:
            writer.write(batch(0, 10))
            assert list(tmp_path.iterdir())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []
