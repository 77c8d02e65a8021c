"""Objects as Firehose writes them to S3: names, buffers, rights, retries, faults, volume."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from rehearsal.aws.cloud import ACCOUNT
from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.aws.firehose_buffer import Buffer, Record
from rehearsal.aws.firehose_delivery import Delivery, Parcel
from tests.rehearsal.aws.cloud_kit import REGION, make_role, statement
from tests.rehearsal.aws.firehose_kit import (
    BUCKET,
    BUCKET_ARN,
    GROUP,
    LOGGING,
    QUICK,
    STREAM,
    STREAM_ARN,
    TO_BUCKET,
    TO_FUNCTION,
    TO_LOG,
    Shop,
    data_of,
    ok,
    open_shop,
    processing,
)

NAME = r"(\d{4}/\d\d/\d\d/\d\d)/views-(\d+)-(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)-[0-9a-f-]{36}"
DENIED = (
    "Access was denied. Ensure that the trust policy for the provided IAM role allows Firehose to "
    "assume the role, and the access policy allows access to the S3 bucket."
)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened


@pytest.fixture
def quick() -> Iterator[Shop]:
    with open_shop(wait_scale=QUICK) as opened:
        yield opened


class Watch:
    """Tells of every attempt to deliver an object."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcomes: list[tuple[Parcel, bool]] = []
        self.changed = threading.Condition()
        deliver = Delivery.deliver

        def watched(delivery: Delivery, parcel: Parcel) -> bool:
            delivered = deliver(delivery, parcel)
            with self.changed:
                self.outcomes.append((parcel, delivered))
                self.changed.notify_all()
            return delivered

        monkeypatch.setattr(Delivery, "deliver", watched)

    def wait(self, *outcomes: bool) -> list[Parcel]:
        """Wait for the first attempts to end so, and return what was tried."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.outcomes) >= len(outcomes), 20)
            assert [each for _, each in self.outcomes][: len(outcomes)] == list(outcomes)
            return [parcel for parcel, _ in self.outcomes]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


# --- names and contents ---------------------------------------------------------------------------


def test_an_object_is_named_by_stream_version_and_time(shop: Shop) -> None:
    shop.create()
    before = datetime.now(timezone.utc).replace(microsecond=0)
    shop.put(b"one;", b"two;")
    shop.put(b"three;")
    assert shop.delivered() == b"one;two;three;"
    (key,) = shop.keys()
    found = re.fullmatch(f"loads/{NAME}", key)
    assert found
    told = datetime.strptime(f"{found[3]}+0000", "%Y-%m-%d-%H-%M-%S%z")
    assert before <= told <= datetime.now(timezone.utc)
    assert found[1] == told.strftime("%Y/%m/%d/%H")
    assert found[2] == "1"
    shop.update(BufferingHints={"SizeInMBs": 6, "IntervalInSeconds": 300})
    shop.put(b"four;")
    assert shop.delivered() == b"one;two;three;four;"
    assert any("/views-2-" in key for key in shop.keys())  # noqa: SIM118  # no mapping
    head = shop.s3.head_object(Bucket=BUCKET, Key=key)
    assert head["ContentType"] == "application/octet-stream"
    assert shop.aws.problems == []


def test_what_waits_follows_an_update(shop: Shop) -> None:
    shop.create()
    shop.put(b"one;")
    shop.update(
        Prefix="other/!{timestamp:yyyy}/", ErrorOutputPrefix="!{firehose:error-output-type}/"
    )
    assert shop.delivered("other/2") == b"one;"
    assert shop.keys("loads/") == []


def test_times_may_be_of_another_zone(shop: Shop) -> None:
    shop.create(CustomTimeZone="Asia/Tokyo", Prefix="loads/")
    shop.put(b"one;")
    shop.delivered()
    (key,) = shop.keys()
    found = re.fullmatch(f"loads/{NAME}", key)
    assert found
    utc = datetime.now(timezone.utc).replace(tzinfo=None)
    told = datetime.strptime(found[3], "%Y-%m-%d-%H-%M-%S")
    assert round((told - utc).total_seconds() / 3600) == 9


def test_compression(shop: Shop) -> None:
    shop.create(CompressionFormat="GZIP")
    shop.put(b"one;", b"two;")
    assert gzip.decompress(shop.delivered()) == b"one;two;"
    (zipped,) = shop.keys()
    assert zipped.endswith(".gz")
    assert shop.s3.head_object(Bucket=BUCKET, Key=zipped)["ContentEncoding"] == "gzip"
    shop.update(CompressionFormat="ZIP", Prefix="zip/")
    shop.put(b"three;")
    with zipfile.ZipFile(io.BytesIO(shop.delivered("zip/"))) as archive:
        (entry,) = archive.namelist()
        assert archive.read(entry) == b"three;"
    shop.update(CompressionFormat="UNCOMPRESSED", Prefix="csv/", FileExtension=".csv")
    shop.put(b"four;")
    assert shop.delivered("csv/") == b"four;"
    assert shop.keys("csv/")[0].endswith(".csv")


def test_untransformed_records_are_backed_up(shop: Shop) -> None:
    backup = {"RoleARN": shop.role, "BucketARN": BUCKET_ARN, "Prefix": "raw/"}
    shop.create(
        ProcessingConfiguration=processing(),
        S3BackupMode="Enabled",
        S3BackupConfiguration={**backup, "CompressionFormat": "GZIP"},
    )
    shop.function.answer = lambda event: {
        "records": [
            {**ok(each, data_of(each).upper()), "result": result}
            for each, result in zip(
                event["records"], ("Ok", "Dropped", "ProcessingFailed"), strict=True
            )
        ]
    }
    shop.put(b"one;", b"two;", b"three;")
    assert gzip.decompress(shop.delivered("raw/")) == b"one;two;three;"
    assert shop.delivered("loads/2") == b"ONE;"
    assert len(shop.failed()) == 1


def test_bucket_notifications_tell_of_objects(shop: Shop) -> None:
    queue = shop.aws.client("sqs").create_queue(QueueName="loads")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:loads"
    shop.s3.put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    shop.create()
    shop.put(b"one;")
    shop.delivered()
    sqs = shop.aws.client("sqs")
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    (record,) = [
        record
        for message in received
        for record in json.loads(message["Body"]).get("Records", [])  # a test event has none
    ]
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["s3"]["object"]["key"] == shop.keys()[0]
    assert record["s3"]["object"]["size"] == 4


def test_objects_are_encrypted_as_the_destination_says(shop: Shop) -> None:
    key = shop.aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    shop.create(EncryptionConfiguration={"KMSEncryptionConfig": {"AWSKMSKeyARN": key}})
    shop.put(b"one;")
    assert not shop.aws.firehose.flush()
    assert any(f"kms:GenerateDataKey on resource: {key}" in each for each in shop.aws.problems)
    shop.allow(TO_BUCKET, statement("kms:GenerateDataKey", key))
    assert shop.delivered() == b"one;"
    head = shop.s3.head_object(Bucket=BUCKET, Key=shop.keys()[0])
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == key


# --- the buffer before S3 -------------------------------------------------------------------------


def test_a_batch_that_is_taken_leaves_its_room() -> None:
    buffer = Buffer()
    buffer.add([Record(str(number), b"abc", 0, since=number) for number in range(5)])
    assert buffer.due(6, 100) == 0, "as much as fits is there"
    first, second = buffer.take(6, 100, now=50)
    assert [record.id for record in (*first, *second)] == ["0", "1", "2", "3"]
    assert buffer.due(6, 100) == 104
    assert buffer.take(6, 100, now=103.9) == []
    assert [record.id for (record,) in buffer.take(6, 100, now=104)] == ["4"]
    assert buffer.due(6, 100) is None
    assert len(buffer) == 0


def test_an_object_is_written_when_the_buffer_is_full(watch: Watch) -> None:
    with open_shop() as shop:
        shop.create(BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 900})
        shop.put(*[b"a" * 1024] * 500)
        shop.put(*[b"a" * 1024] * 500)
        shop.put(*[b"a" * 1024] * 100)
        (parcel,) = watch.wait(True)
        assert len(parcel.body) == 1024 * 1024
        assert not shop.aws.firehose.is_idle()
        assert len(shop.delivered()) == 1100 * 1024


def test_an_object_is_written_when_the_interval_is_over(watch: Watch) -> None:
    with open_shop(wait_scale=0.1) as shop:
        shop.create(BufferingHints={"SizeInMBs": 128, "IntervalInSeconds": 3})
        started = time.monotonic()
        shop.put(b"one;")
        shop.put(b"two;")
        (parcel,) = watch.wait(True)
        assert parcel.body == b"one;two;"
        assert time.monotonic() - started >= 0.3


def test_an_interval_of_zero_waits_for_nothing(shop: Shop, watch: Watch) -> None:
    shop.create(BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 0})
    shop.put(b"one;")
    watch.wait(True)
    assert shop.aws.firehose.flush()
    assert shop.body(shop.keys()[0]) == b"one;"


def test_flush_delivers_all_that_is_there_and_idle_says_so(shop: Shop) -> None:
    assert shop.aws.firehose.is_idle()
    assert shop.aws.firehose.flush()
    shop.create(ProcessingConfiguration=processing())
    shop.create("orders", Prefix="orders/")
    shop.put(b"view;")
    shop.put(b"order;", name="orders")
    assert shop.aws.firehose.flush()
    assert shop.aws.firehose.is_idle()
    assert b"".join(map(shop.body, shop.keys("loads/"))) == b"VIEW;"
    assert b"".join(map(shop.body, shop.keys("orders/"))) == b"order;"


# --- what stands in the way -----------------------------------------------------------------------


def test_a_denied_delivery_is_told_and_retried(quick: Shop, watch: Watch) -> None:
    shop = quick
    shop.allow(TO_LOG)
    shop.create(CloudWatchLoggingOptions=LOGGING)
    shop.put(b"one;")
    assert shop.aws.firehose.flush() is False
    assert any("s3:GetBucketLocation" in problem for problem in shop.aws.problems)
    event = shop.logged()[0]
    assert event == {
        "deliveryStreamARN": STREAM_ARN,
        "destination": BUCKET_ARN,
        "deliveryStreamVersionId": "1",
        "message": DENIED,
        "errorCode": "S3.AccessDenied",
    }
    shop.allow(TO_BUCKET, TO_LOG)
    with watch.changed:
        assert watch.changed.wait_for(lambda: watch.outcomes[-1][1], 20), "by itself"
    assert len({parcel.key for parcel, _ in watch.outcomes}) == 1, "under one name"
    assert shop.delivered() == b"one;"
    assert shop.aws.firehose.is_idle()


@pytest.mark.parametrize("missing", TO_BUCKET["Action"])
def test_the_role_needs_every_action_of_the_guide(shop: Shop, missing: str) -> None:
    actions = [action for action in TO_BUCKET["Action"] if action != missing]
    shop.allow({**TO_BUCKET, "Action": actions})
    shop.create()
    shop.put(b"one;")
    assert shop.aws.firehose.flush() is False
    assert missing in shop.aws.problems[0]
    assert shop.keys() == []


def test_a_role_that_is_no_longer_trusted(shop: Shop) -> None:
    shop.create()
    iam = shop.aws.client("iam")
    nobody = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.update_assume_role_policy(RoleName="delivery", PolicyDocument=nobody)
    shop.put(b"one;")
    assert shop.aws.firehose.flush() is False
    assert (
        "firehose.amazonaws.com is not authorized to perform: sts:AssumeRole"
        in (shop.aws.problems[0])
    )


def test_a_bucket_that_is_not_there(shop: Shop) -> None:
    missing = statement(TO_BUCKET["Action"], ["arn:aws:s3:::moon", "arn:aws:s3:::moon/*"])
    shop.allow(missing, TO_LOG)
    shop.create(CloudWatchLoggingOptions=LOGGING, BucketARN="arn:aws:s3:::moon")
    shop.put(b"one;")
    assert shop.aws.firehose.flush() is False
    (problem,) = shop.aws.problems
    assert problem.startswith(f"{STREAM_ARN} cannot deliver to s3://moon/loads/: ")
    assert shop.logged()[0]["errorCode"] == "S3.NoSuchBucket"
    shop.s3.create_bucket(Bucket="moon", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert shop.aws.firehose.flush()
    assert len(shop.s3.list_objects_v2(Bucket="moon")["Contents"]) == 1


def test_after_a_day_data_is_lost_and_told(
    shop: Shop, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.allow()
    shop.create()
    shop.put(b"one;", b"two;")
    assert shop.aws.firehose.flush() is False
    assert not shop.aws.firehose.is_idle()
    monkeypatch.setattr("rehearsal.aws.firehose_pipeline._KEPT_SECONDS", 0)
    assert shop.aws.firehose.flush() is False
    assert shop.aws.firehose.is_idle()
    key = watch.outcomes[0][0].key
    assert shop.aws.problems[-1] == (
        f"{STREAM_ARN} lost 2 records: {key} could not be delivered within 24 hours"
    )


def test_a_log_group_that_is_not_there_is_a_problem() -> None:
    with open_shop(logs=False) as shop:
        shop.create(CloudWatchLoggingOptions=LOGGING, ProcessingConfiguration=processing())
        shop.function.answer = lambda _: {"records": []}
        shop.put(b"one;")
        assert len(shop.failed()) == 1
        (problem,) = shop.aws.problems
        assert problem.startswith(f"{STREAM_ARN} cannot log to {GROUP}")


def test_a_role_that_may_not_log_is_a_problem(shop: Shop) -> None:
    shop.allow(TO_BUCKET, TO_FUNCTION)
    shop.create(CloudWatchLoggingOptions=LOGGING, ProcessingConfiguration=processing())
    shop.function.answer = lambda _: {"records": []}
    shop.put(b"one;")
    assert len(shop.failed()) == 1
    assert any("logs:PutLogEvents" in problem for problem in shop.aws.problems)


def test_a_delivery_role_needs_no_rights_of_the_function(shop: Shop) -> None:
    role = make_role(shop.aws, "transforming", "firehose.amazonaws.com", TO_FUNCTION)
    shop.allow(TO_BUCKET)
    shop.create(ProcessingConfiguration=processing(("RoleArn", role)))
    shop.put(b"one;")
    assert shop.delivered() == b"ONE;"
    assert shop.aws.problems == []


# --- faults ---------------------------------------------------------------------------------------


RECORDS = [f"{number};".encode() for number in range(400)]


def test_records_may_come_twice() -> None:
    with open_shop(faults=DeliveryFaults(seed=1, duplicated=0.25)) as shop:
        shop.create(ProcessingConfiguration=processing())
        shop.put(*RECORDS)
        counts = Counter(shop.delivered().split(b";")[:-1])
        assert set(counts) == {record[:-1] for record in RECORDS}
        assert set(counts.values()) == {1, 2}
        assert 40 < list(counts.values()).count(2) < 160
        (event,) = shop.function.events
        ids = [record["recordId"] for record in event["records"]]
        assert len(set(ids)) == len(ids)


def test_records_may_lose_their_order() -> None:
    with open_shop(faults=DeliveryFaults(seed=1, reordered=True)) as shop:
        shop.create(ProcessingConfiguration=processing())
        shop.put(*RECORDS)
        content = shop.delivered()
        (event,) = shop.function.events
        transformed = [data_of(record) for record in event["records"]]
        assert transformed != RECORDS
        assert content != b"".join(transformed), "each buffer loses it"
        assert sorted(content.split(b";")[:-1]) == sorted(record[:-1] for record in RECORDS)


def test_without_faults_order_is_kept(shop: Shop) -> None:
    shop.create()
    for start in range(0, 400, 50):
        shop.put(*RECORDS[start : start + 50])
    assert shop.delivered() == b"".join(RECORDS)


# --- volume ---------------------------------------------------------------------------------------


def test_a_hundred_thousand_records_pass_in_seconds(shop: Shop) -> None:
    shop.create(ProcessingConfiguration=processing())
    batch = [{"Data": b"a" * 300}] * 500
    started = time.monotonic()
    for _ in range(200):
        shop.api.put_record_batch(DeliveryStreamName=STREAM, Records=batch)
    assert len(shop.delivered()) == 100_000 * 300
    assert time.monotonic() - started < 30
