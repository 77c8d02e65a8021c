"""A function is invoked with a DynamoDB stream as Lambda does it: in order, again, or never."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.aws.cloud import LocalAws
from tests.rehearsal.aws.cloud_kit import REGION, local_aws, statement
from tests.rehearsal.aws.event_source_kit import (
    SUCCEEDS,
    Keeper,
    make_queue,
    make_table,
    name_of,
    put,
    receive,
    settle,
    wait_for_state,
)

FAILS_WITH_POISON = """
def work(event, records, bodies, inbox):
    if any("poison" in body for body in bodies):
        raise ValueError("poison")
"""
REPORTS_POISON = """
def work(event, records, bodies, inbox):
    return {"batchItemFailures": [
        {"itemIdentifier": record["dynamodb"]["SequenceNumber"]}
        for record, body in zip(records, bodies) if "poison" in body
    ]}
"""
POISON: dict[str, Any] = {"poison": {"BOOL": True}}
REPORT = ["ReportBatchItemFailures"]


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as cloud:
        yield cloud


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return name_of(str(request.node.name))


def switch(aws: LocalAws, identifier: str, on: bool) -> None:
    aws.client("lambda").update_event_source_mapping(UUID=identifier, Enabled=on)
    wait_for_state(aws, identifier, "Enabled" if on else "Disabled")


def result_of(aws: LocalAws, identifier: str) -> str:
    told = aws.client("lambda").get_event_source_mapping(UUID=identifier)
    return str(told["LastProcessingResult"])


# --- records --------------------------------------------------------------------------------------


def test_an_event_has_the_documented_form(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, stream = Keeper(aws, name, tmp_path), make_table(aws, name)
    put(aws, name, "a", 1, data={"B": b"\x00\xff"}, tags={"SS": ["x", "y"]})
    put(aws, name, "a", 1, data={"B": b"\x01"})
    aws.client("dynamodb").delete_item(TableName=name, Key={"id": {"S": "a"}, "n": {"N": "1"}})
    before = time.time()
    keeper.read(stream)
    settle(aws)
    (event,) = keeper.events()
    insert, modify, remove = event["Records"]
    assert [each["eventName"] for each in event["Records"]] == ["INSERT", "MODIFY", "REMOVE"]
    assert re.fullmatch("[0-9a-f]{32}", insert.pop("eventID"))
    assert abs(before - insert["dynamodb"].pop("ApproximateCreationDateTime")) < 60
    assert re.fullmatch("[0-9]{21,40}", insert["dynamodb"].pop("SequenceNumber"))
    image = {
        "id": {"S": "a"},
        "n": {"N": "1"},
        "data": {"B": "AP8="},
        "tags": {"SS": ["x", "y"]},
    }
    assert insert == {
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "eventSourceARN": stream,
        "dynamodb": {
            "Keys": {"id": {"S": "a"}, "n": {"N": "1"}},
            "NewImage": image,
            "SizeBytes": insert["dynamodb"]["SizeBytes"],
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }
    assert 20 < insert["dynamodb"]["SizeBytes"] < 60
    assert modify["dynamodb"]["OldImage"] == image
    assert modify["dynamodb"]["NewImage"]["data"] == {"B": "AQ=="}
    assert "NewImage" not in remove["dynamodb"]
    assert remove["dynamodb"]["OldImage"]["data"] == {"B": "AQ=="}


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("KEYS_ONLY", set()),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
    ],
)
def test_a_record_has_the_images_of_its_view(
    aws: LocalAws, name: str, tmp_path: Path, view: str, images: set[str]
) -> None:
    keeper = Keeper(aws, name, tmp_path)
    keeper.read(make_table(aws, name, view))
    put(aws, name, "a", x={"N": "1"})
    put(aws, name, "a", x={"N": "2"})
    settle(aws)
    last = keeper.events()[-1]["Records"][-1]["dynamodb"]
    assert set(last) & {"NewImage", "OldImage"} == images


def test_a_write_that_changes_nothing_leaves_no_record(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper = Keeper(aws, name, tmp_path)
    keeper.read(make_table(aws, name))
    for _ in range(2):
        put(aws, name, "a", x={"N": "1"})
    aws.client("dynamodb").update_item(
        TableName=name,
        Key={"id": {"S": "a"}, "n": {"N": "0"}},
        UpdateExpression="SET x = :x",
        ExpressionAttributeValues={":x": {"N": "1"}},
    )
    aws.client("dynamodb").delete_item(TableName=name, Key={"id": {"S": "b"}, "n": {"N": "0"}})
    put(aws, name, "c")
    settle(aws)
    assert keeper.records() == ["a/0", "c/0"]


def test_sequence_numbers_only_grow(
    aws: LocalAws, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper(aws, name, tmp_path)
    keeper.read(make_table(aws, name))
    put(aws, name, "a")
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: 1_000_000_000.0)  # the clock is set back
        put(aws, name, "b")
    put(aws, name, "c")
    settle(aws)
    records = [record for event in keeper.events() for record in event["Records"]]
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 3


# --- where reading begins, and goes on ------------------------------------------------------------


def test_latest_begins_with_what_comes_after_the_mapping(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    stream = make_table(aws, name)
    put(aws, name, "before")
    keeper = Keeper(aws, name, tmp_path)
    keeper.read(stream, StartingPosition="LATEST")
    put(aws, name, "after")
    settle(aws)
    assert keeper.records() == ["after/0"]


def test_a_mapping_goes_on_where_it_was_switched_off(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper = Keeper(aws, name, tmp_path)
    mapping = keeper.read(make_table(aws, name))
    put(aws, name, "a")
    settle(aws)
    switch(aws, mapping, on=False)
    put(aws, name, "b")
    assert aws.event_sources.is_idle(), "nobody waits for what is not read"
    switch(aws, mapping, on=True)
    settle(aws)
    assert keeper.records() == ["a/0", "b/0"]


def test_lanes_go_back_to_their_common_checkpoint(aws: LocalAws, name: str, tmp_path: Path) -> None:
    """What a lane was done with comes again where another one was not."""
    code = """
import time

def work(event, records, bodies, inbox):
    while any("wait" in body for body in bodies) and not (inbox / "go").exists():
        time.sleep(0.01)
    if any("wait" in body for body in bodies) and not (inbox / "twice").exists():
        (inbox / "twice").touch()
        raise ValueError("first time")
"""
    keeper = Keeper(aws, name, tmp_path, code)
    mapping = keeper.read(make_table(aws, name), ParallelizationFactor=10, BatchSize=1)
    put(aws, name, "a", wait={"BOOL": True})
    for number in range(9):
        put(aws, name, f"b{number}")
    while len(set(keeper.records())) < 9:
        time.sleep(0.01)
    aws.client("lambda").update_event_source_mapping(UUID=mapping, Enabled=False)
    (keeper.inbox / "go").touch()
    wait_for_state(aws, mapping, "Disabled")
    first = len(keeper.records())
    switch(aws, mapping, on=True)
    settle(aws)
    again = keeper.records()[first:]
    assert set(again) >= {"a/0", *(f"b{number}/0" for number in range(8))}


# --- batches --------------------------------------------------------------------------------------


def test_batches_are_no_larger_than_they_may_be(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, stream = Keeper(aws, name, tmp_path), make_table(aws, name)
    for number in range(7):
        put(aws, name, "a", number)
    keeper.read(stream, BatchSize=3)
    settle(aws)
    assert [len(batch) for batch in keeper.batches()] == [3, 3, 1]
    assert keeper.records() == [f"a/{number}" for number in range(7)]


def test_a_batch_of_large_records_has_less_than_six_megabytes(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper, stream = Keeper(aws, name, tmp_path), make_table(aws, name)
    for number in range(20):
        put(aws, name, "a", number, x={"S": "é" * 190_000})
    keeper.read(stream)
    settle(aws)
    assert [len(batch) for batch in keeper.batches()] == [16, 4]


def test_filters_leave_records_out(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper = Keeper(aws, name, tmp_path)
    pattern = {
        "eventName": ["INSERT"],
        "dynamodb": {"NewImage": {"kind": {"S": [{"prefix": "view"}]}}},
    }
    keeper.read(
        make_table(aws, name), FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]}
    )
    put(aws, name, "a", kind={"S": "view-1"})
    put(aws, name, "a", kind={"S": "view-2"})
    put(aws, name, "b", kind={"S": "click"})
    put(aws, name, "c", kind={"S": "view"})
    settle(aws)
    assert keeper.records() == ["a/0", "c/0"]


def test_lanes_work_in_parallel_and_keep_the_order_of_an_item(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    code = "import time\ndef work(event, records, bodies, inbox):\n    time.sleep(0.1)\n"
    keeper, stream = Keeper(aws, name, tmp_path, code), make_table(aws, name)
    for number in range(40):
        put(aws, name, f"k{number % 8}", number)
    keeper.read(stream, BatchSize=1, ParallelizationFactor=5)
    settle(aws)
    assert len(keeper.processes()) > 2
    seen = defaultdict(list)
    for record in keeper.records():
        key, _, n = record.partition("/")
        seen[key].append(int(n))
    assert len(keeper.records()) == 40
    assert all(numbers == sorted(numbers) for numbers in seen.values())


# --- failures -------------------------------------------------------------------------------------


def test_a_failed_batch_is_retried_until_it_succeeds(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    code = """
def work(event, records, bodies, inbox):
    if len(list(inbox.glob("*.json"))) < 4:
        raise ValueError("not yet")
"""
    keeper, stream = Keeper(aws, name, tmp_path, code), make_table(aws, name)
    put(aws, name, "a")
    put(aws, name, "b")
    mapping = keeper.read(stream)
    settle(aws)
    assert keeper.batches() == [["a/0", "b/0"]] * 4
    assert result_of(aws, mapping) == "OK"


def test_a_batch_is_given_up_after_its_retries(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, stream = Keeper(aws, name, tmp_path, FAILS_WITH_POISON), make_table(aws, name)
    put(aws, name, "a")
    put(aws, name, "b", **POISON)
    put(aws, name, "c")
    mapping = keeper.read(stream, MaximumRetryAttempts=2, BatchSize=3)
    settle(aws)
    assert keeper.batches() == [["a/0", "b/0", "c/0"]] * 3
    assert result_of(aws, mapping) == "PROBLEM: Function call failed"


def test_bisecting_finds_the_record_that_fails(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, stream = Keeper(aws, name, tmp_path, FAILS_WITH_POISON), make_table(aws, name)
    for number in range(4):
        put(aws, name, "a", number, **(POISON if number == 2 else {}))
    keeper.read(stream, MaximumRetryAttempts=1, BisectBatchOnFunctionError=True)
    settle(aws)
    assert keeper.batches() == [
        ["a/0", "a/1", "a/2", "a/3"],
        ["a/0", "a/1"],
        ["a/2", "a/3"],
        ["a/2"],
        ["a/2"],
        ["a/3"],
    ]


def test_a_partial_response_is_gone_on_from(aws: LocalAws, name: str, tmp_path: Path) -> None:
    keeper, stream = Keeper(aws, name, tmp_path, REPORTS_POISON), make_table(aws, name)
    for number in range(4):
        put(aws, name, "a", number, **(POISON if number == 2 else {}))
    keeper.read(stream, MaximumRetryAttempts=1, FunctionResponseTypes=REPORT)
    settle(aws)
    assert keeper.batches() == [
        ["a/0", "a/1", "a/2", "a/3"],
        ["a/2", "a/3"],
    ]


def test_a_partial_response_with_bisecting_loses_the_failed_record_alone(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper, stream = Keeper(aws, name, tmp_path, REPORTS_POISON), make_table(aws, name)
    for number in range(4):
        put(aws, name, "a", number, **(POISON if number == 2 else {}))
    keeper.read(
        stream,
        MaximumRetryAttempts=0,
        FunctionResponseTypes=REPORT,
        BisectBatchOnFunctionError=True,
    )
    settle(aws)
    assert keeper.batches() == [
        ["a/0", "a/1", "a/2", "a/3"],
        ["a/2", "a/3"],
        ["a/2"],
        ["a/3"],
    ]


def test_a_response_that_nobody_asked_for_means_nothing(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper, stream = Keeper(aws, name, tmp_path, REPORTS_POISON), make_table(aws, name)
    put(aws, name, "a", **POISON)
    keeper.read(stream)
    settle(aws)
    assert keeper.records() == ["a/0"]


def test_a_throttled_batch_waits_without_losing_retries(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper, stream = Keeper(aws, name, tmp_path), make_table(aws, name)
    lambda_ = aws.client("lambda")
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    put(aws, name, "a")
    keeper.read(stream, MaximumRetryAttempts=0)
    assert not aws.event_sources.wait_idle(0.5)
    lambda_.delete_function_concurrency(FunctionName=name)
    settle(aws)
    assert keeper.records() == ["a/0"]


def test_records_that_are_too_old_are_given_up(
    aws: LocalAws, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = make_queue(aws, name)
    keeper = Keeper(aws, name, tmp_path, SUCCEEDS, statement("sqs:SendMessage", lost))
    stream, clock = make_table(aws, name), time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: clock() - 90)
        put(aws, name, "old", 1)
        put(aws, name, "old", 2)
    put(aws, name, "new")
    keeper.read(
        stream,
        MaximumRecordAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": lost}},
    )
    settle(aws)
    assert keeper.records() == ["new/0"]
    (told,) = receive(aws, lost)
    assert told["requestContext"]["condition"] == "RecordAgeExceeded"
    assert told["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in told
    assert told["DDBStreamBatchInfo"]["batchSize"] == 2


# --- destinations ---------------------------------------------------------------------------------

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


def give_up(aws: LocalAws, name: str, folder: Path, destination: str, *may: Any) -> Keeper:
    """Have a function fail with the second and third of four records until they are given up."""
    keeper = Keeper(aws, name, folder, FAILS_WITH_POISON, *may)
    stream = make_table(aws, name)
    for number in range(4):
        put(aws, name, "a", number, **(POISON if number in (1, 2) else {}))
    keeper.read(
        stream,
        MaximumRetryAttempts=0,
        BatchSize=2,
        DestinationConfig={"OnFailure": {"Destination": destination}},
    )
    settle(aws)
    return keeper


def check_metadata(told: dict[str, Any], keeper: Keeper, records: list[Any]) -> None:
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    info = told["DDBStreamBatchInfo"]
    assert re.fullmatch(MOMENT + r"\.\d{3}Z", told["timestamp"])
    for arrival in ("approximateArrivalOfFirstRecord", "approximateArrivalOfLastRecord"):
        assert re.fullmatch(MOMENT + "Z", info.pop(arrival))
    assert re.fullmatch("[0-9a-f-]{36}", told["requestContext"].pop("requestId"))
    assert {key: value for key, value in told.items() if key not in ("timestamp", "payload")} == {
        "requestContext": {
            "functionArn": keeper.arn,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000000000000000000-00000000",
            "startSequenceNumber": numbers[0],
            "endSequenceNumber": numbers[-1],
            "batchSize": len(numbers),
            "streamArn": records[0]["eventSourceARN"],
        },
    }


def test_a_bucket_gets_what_was_given_up(aws: LocalAws, name: str, tmp_path: Path) -> None:
    s3, bucket = aws.client("s3"), f"{name}-lost"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    may = [
        statement("s3:PutObject", f"arn:aws:s3:::{bucket}/*"),
        statement("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
    ]
    keeper = give_up(aws, name, tmp_path, f"arn:aws:s3:::{bucket}", *may)
    found = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    (mapping,) = aws.client("lambda").list_event_source_mappings(FunctionName=name)[
        "EventSourceMappings"
    ]
    pattern = (
        rf"aws/lambda/{mapping['UUID']}/shardId-0{{20}}-0{{8}}/\d{{4}}/\d\d/\d\d/"
        r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d-[0-9a-f-]{36}"
    )
    assert [bool(re.fullmatch(pattern, key)) for key in found] == [True, True]
    lost = []
    for key in found:
        told = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        records = json.loads(told["payload"])["Records"]
        check_metadata(told, keeper, records)
        lost += records
    numbers = sorted(int(each["dynamodb"]["Keys"]["n"]["N"]) for each in lost)
    assert numbers == [0, 1, 2, 3]


def test_a_queue_is_told_of_what_was_given_up(aws: LocalAws, name: str, tmp_path: Path) -> None:
    lost = make_queue(aws, name)
    keeper = give_up(aws, name, tmp_path, lost, statement("sqs:SendMessage", lost))
    first, second = receive(aws, lost)
    assert "payload" not in first
    check_metadata(first, keeper, keeper.events()[0]["Records"])
    check_metadata(second, keeper, keeper.events()[1]["Records"])


def test_a_topic_is_told_of_what_was_given_up(aws: LocalAws, name: str, tmp_path: Path) -> None:
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    queue = make_queue(aws, name)
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    keeper = give_up(aws, name, tmp_path, topic, statement("sns:Publish", topic))
    first = json.loads(receive(aws, queue)[0]["Message"])
    check_metadata(first, keeper, keeper.events()[0]["Records"])


def test_a_destination_that_cannot_be_reached_any_more_is_a_problem(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    lost = make_queue(aws, name)
    keeper = Keeper(aws, name, tmp_path, FAILS_WITH_POISON, statement("sqs:SendMessage", lost))
    keeper.read(
        make_table(aws, name),
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": lost}},
    )
    role = f"{name}-function-role"
    policy = aws.client("iam").get_role_policy(RoleName=role, PolicyName="own")["PolicyDocument"]
    policy["Statement"] = policy["Statement"][:-1]
    aws.client("iam").put_role_policy(
        RoleName=role, PolicyName="own", PolicyDocument=json.dumps(policy)
    )
    put(aws, name, "a", **POISON)
    settle(aws)
    problems = [line for line in aws.problems if "1 records are lost" in line and lost in line]
    assert len(problems) == 1
    assert "sqs:SendMessage" in problems[0]


def test_a_role_that_may_not_read_any_more_stops_the_reading(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    keeper = Keeper(aws, name, tmp_path)
    mapping = keeper.read(make_table(aws, name))
    iam, role = aws.client("iam"), f"{name}-function-role"
    policy = iam.get_role_policy(RoleName=role, PolicyName="own")["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName="own")
    put(aws, name, "a")
    assert not aws.event_sources.wait_idle(0.3)
    assert "dynamodb:GetRecords" in result_of(aws, mapping)
    assert [line for line in aws.problems if "dynamodb:GetRecords" in line and role in line]
    iam.put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=json.dumps(policy))
    settle(aws)
    assert keeper.records() == ["a/0"]


# --- metrics, and beside each other ---------------------------------------------------------------


def test_the_age_of_what_is_read_is_a_metric(
    aws: LocalAws, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, stream, clock = Keeper(aws, name, tmp_path), make_table(aws, name), time.time
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: clock() - 120)
        put(aws, name, "a")
    keeper.read(stream)
    settle(aws)
    dimension = {"Name": "FunctionName", "Value": name}
    assert 119_000 < metric(aws, "IteratorAge", dimension, "Maximum") < 135_000


def metric(aws: LocalAws, metric: str, dimension: dict[str, str], statistic: str) -> float:
    now = time.time()
    (point,) = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[dimension],
        StartTime=now - 300,
        EndTime=now + 60,
        Period=600,
        Statistics=[statistic],
    )["Datapoints"]
    return float(point[statistic])


def test_events_are_counted_where_the_mapping_is_asked_to(
    aws: LocalAws, name: str, tmp_path: Path
) -> None:
    lost = make_queue(aws, name)
    may = statement("sqs:SendMessage", lost)
    keeper, stream = Keeper(aws, name, tmp_path, FAILS_WITH_POISON, may), make_table(aws, name)
    for number in range(3):
        put(aws, name, "a", number, **(POISON if number == 0 else {}))
    mapping = keeper.read(
        stream,
        BatchSize=1,
        MaximumRetryAttempts=1,
        MetricsConfig={"Metrics": ["EventCount"]},
        DestinationConfig={"OnFailure": {"Destination": lost}},
        FilterCriteria={"Filters": [{"Pattern": '{"dynamodb": {"Keys": {"n": {"N": ["0"]}}}}'}]},
    )
    settle(aws)
    dimension = {"Name": "EventSourceMappingUUID", "Value": mapping}
    counted = {
        each: metric(aws, each, dimension, "Sum")
        for each in (
            "PolledEventCount",
            "FilteredOutEventCount",
            "InvokedEventCount",
            "FailedInvokeEventCount",
            "OnFailureDestinationDeliveredEventCount",
        )
    }
    assert list(counted.values()) == [3, 2, 2, 2, 1]


def test_streams_of_other_tables_stay_apart(aws: LocalAws, name: str, tmp_path: Path) -> None:
    one, two = Keeper(aws, f"{name}-1", tmp_path), Keeper(aws, f"{name}-2", tmp_path)
    streams = [make_table(aws, f"{name}-{number}") for number in (1, 2)]
    one.read(streams[0])
    two.read(streams[1])
    put(aws, f"{name}-1", "a")
    put(aws, f"{name}-2", "b")
    settle(aws)
    assert (one.records(), two.records()) == (["a/0"], ["b/0"])
