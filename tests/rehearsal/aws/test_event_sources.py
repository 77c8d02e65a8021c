"""Mappings are made, refused, told, changed and deleted as Lambda does it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rehearsal.aws.cloud import ACCOUNT, LocalAws
from tests.rehearsal.aws.cloud_kit import REGION, local_aws, make_function, statement
from tests.rehearsal.aws.event_source_kit import (
    Keeper,
    make_queue,
    make_table,
    put,
    send,
    wait_for_state,
)

NOTHING = "def handler(event, context):\n    return None\n"


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with local_aws() as cloud:
        yield cloud


@pytest.fixture(scope="module")
def keeper(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Keeper:
    return Keeper(aws, "keeper", tmp_path_factory.mktemp("inbox"))


@pytest.fixture(scope="module")
def stream(aws: LocalAws) -> str:
    return make_table(aws, "shared")


@pytest.fixture(scope="module")
def queue(aws: LocalAws) -> str:
    return make_queue(aws, "shared")


def create(aws: LocalAws, source: str, **settings: Any) -> dict[str, Any]:
    given = {"FunctionName": "keeper", **settings}
    if ":dynamodb:" in source:
        given.setdefault("StartingPosition", "LATEST")
    made: dict[str, Any] = aws.client("lambda").create_event_source_mapping(
        EventSourceArn=source, **{key: value for key, value in given.items() if value is not None}
    )
    return made


def refused(aws: LocalAws, source: str, **settings: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as failure:
        create(aws, source, **settings)
    error = failure.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def test_a_mapping_of_a_stream_has_the_defaults_of_the_reference(
    aws: LocalAws, keeper: Keeper
) -> None:
    source = make_table(aws, "defaults")
    made = create(aws, source)
    assert made["State"] == "Creating"
    wait_for_state(aws, made["UUID"], "Enabled")
    told = aws.client("lambda").get_event_source_mapping(UUID=made["UUID"])
    del told["ResponseMetadata"], told["LastModified"]
    assert told == {
        "UUID": made["UUID"],
        "EventSourceArn": source,
        "EventSourceMappingArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:"
        + made["UUID"],
        "FunctionArn": keeper.arn,
        "StartingPosition": "LATEST",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "BisectBatchOnFunctionError": False,
        "TumblingWindowInSeconds": 0,
        "DestinationConfig": {"OnFailure": {}},
        "FunctionResponseTypes": [],
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
        "LastProcessingResult": "No records processed",
    }


def test_a_mapping_is_switched_off_changed_and_deleted(aws: LocalAws, keeper: Keeper) -> None:
    lambda_ = aws.client("lambda")
    made = create(
        aws,
        make_queue(aws, "changed"),
        Enabled=False,
        Tags={"team": "data"},
        ScalingConfig={"MaximumConcurrency": 2},
        FilterCriteria={"Filters": [{"Pattern": '{"body": ["x"]}'}]},
    )
    identifier, arn = made["UUID"], made["EventSourceMappingArn"]
    wait_for_state(aws, identifier, "Disabled")
    assert lambda_.list_tags(Resource=arn)["Tags"] == {"team": "data"}
    changed = lambda_.update_event_source_mapping(UUID=identifier, Enabled=True, BatchSize=5)
    assert (changed["State"], changed["BatchSize"]) == ("Enabling", 5)
    wait_for_state(aws, identifier, "Enabled")
    changed = lambda_.update_event_source_mapping(
        UUID=identifier, ScalingConfig={}, FilterCriteria={}
    )
    assert changed["State"] == "Updating"
    assert not {"ScalingConfig", "FilterCriteria"} & set(changed)
    wait_for_state(aws, identifier, "Enabled")
    listed = lambda_.list_event_source_mappings(EventSourceArn=made["EventSourceArn"])
    assert [each["UUID"] for each in listed["EventSourceMappings"]] == [identifier]
    threads = [t for t in threading.enumerate() if identifier[:8] in t.name]
    assert threads
    assert lambda_.delete_event_source_mapping(UUID=identifier)["State"] == "Deleting"
    for thread in threads:
        thread.join(10)
    assert not [thread for thread in threads if thread.is_alive()]
    with pytest.raises(ClientError, match="The resource you requested does not exist"):
        lambda_.get_event_source_mapping(UUID=identifier)


def test_mappings_of_a_function_are_listed_in_pages(aws: LocalAws, tmp_path: Path) -> None:
    pages = Keeper(aws, "pages", tmp_path)
    made = {pages.read(make_queue(aws, f"page-{number}")) for number in range(3)}
    lambda_ = aws.client("lambda")
    first = lambda_.list_event_source_mappings(FunctionName="pages", MaxItems=2)
    second = lambda_.list_event_source_mappings(
        FunctionName="pages", MaxItems=2, Marker=first["NextMarker"]
    )
    assert "NextMarker" not in second
    found = first["EventSourceMappings"] + second["EventSourceMappings"]
    assert {each["UUID"] for each in found} == made


@pytest.mark.parametrize("kind", ["stream", "queue"])
def test_a_pair_has_one_mapping(aws: LocalAws, keeper: Keeper, kind: str) -> None:
    source = make_table(aws, "pair") if kind == "stream" else make_queue(aws, "pair")
    first = create(aws, source)["UUID"]
    pair = f'(" {source} ") and function (" keeper ")'
    text = {
        "stream": f"The event source arn {pair} provided mapping already exists. ",
        "queue": f"An event source mapping with SQS arn {pair} already exists. ",
    }[kind]
    assert refused(aws, source) == (
        "ResourceConflictException",
        f"{text}Please update or delete the existing mapping with UUID {first}",
    )


VALIDATION = "1 validation error detected: Value '{}' at '{}' failed to satisfy constraint: Member "
NO_SUCH = "Unsupported {} parameter for given event source mapping type."


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"StartingPosition": None}, "Invalid", "Value null at 'startingPosition'"),
        ({"StartingPosition": "AT_TIMESTAMP"}, "Invalid", "Unsupported starting position"),
        ({"BatchSize": 10_001}, "Validation", VALIDATION.format(10_001, "batchSize")),
        (
            {"MaximumBatchingWindowInSeconds": 301},
            "Validation",
            VALIDATION.format(301, "maximumBatchingWindowInSeconds"),
        ),
        (
            {"ParallelizationFactor": 11},
            "Validation",
            "parallelizationFactor' failed to satisfy constraint: Member must have value less than "
            "or equal to 10",
        ),
        ({"MaximumRetryAttempts": 10_001}, "Validation", "less than or equal to 10000"),
        ({"MaximumRecordAgeInSeconds": 604_801}, "Validation", "less than or equal to 604800"),
        ({"MaximumRecordAgeInSeconds": 59}, "Invalid", "-1 or at least 60"),
        ({"ScalingConfig": {"MaximumConcurrency": 2}}, "Invalid", NO_SUCH.format("ScalingConfig")),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sqs:x:1:q"}}},
            "Invalid",
            NO_SUCH.format("DestinationConfig"),
        ),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:lambda:x:1:f:f"}}},
            "Invalid",
            "The destination ARN arn:aws:lambda:x:1:f:f is invalid.",
        ),
        (
            {"FilterCriteria": {"Filters": [{"Pattern": '{"eventName": "INSERT"}'}]}},
            "Invalid",
            "Invalid filter pattern definition.",
        ),
        ({"TumblingWindowInSeconds": 60}, "Invalid", "no tumbling windows"),
        ({"Queues": ["x"]}, "Invalid", "does not know the parameter Queues"),
        ({"FunctionName": "nobody"}, "Invalid", "Function does not exist"),
    ],
)
def test_what_lambda_refuses_of_a_stream(
    aws: LocalAws, keeper: Keeper, stream: str, settings: dict[str, Any], code: str, text: str
) -> None:
    told = refused(aws, stream, **settings)
    assert told[0] == {"Invalid": "InvalidParameterValueException"}.get(code, f"{code}Exception")
    assert text in told[1]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"BatchSize": 11},
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10",
        ),
        ({"BatchSize": 10_001}, "Member must have value less than or equal to 10000"),
        ({"ScalingConfig": {"MaximumConcurrency": 1001}}, "less than or equal to 1000"),
        ({"StartingPosition": "LATEST"}, NO_SUCH.format("StartingPosition")),
        ({"BisectBatchOnFunctionError": True}, NO_SUCH.format("BisectBatchOnFunctionError")),
        ({"MaximumRetryAttempts": 3}, NO_SUCH.format("MaximumRetryAttempts")),
        ({"ParallelizationFactor": 2}, NO_SUCH.format("ParallelizationFactor")),
    ],
)
def test_what_lambda_refuses_of_a_queue(
    aws: LocalAws, keeper: Keeper, queue: str, settings: dict[str, Any], text: str
) -> None:
    assert text in refused(aws, queue, **settings)[1]


def test_a_refused_change_changes_nothing(aws: LocalAws, keeper: Keeper) -> None:
    identifier = create(aws, make_queue(aws, "kept"))["UUID"]
    lambda_ = aws.client("lambda")
    with pytest.raises(ClientError, match="Maximum batch window"):
        lambda_.update_event_source_mapping(UUID=identifier, BatchSize=100)
    wait_for_state(aws, identifier, "Enabled")
    assert lambda_.get_event_source_mapping(UUID=identifier)["BatchSize"] == 10
    lambda_.update_event_source_mapping(
        UUID=identifier, BatchSize=100, MaximumBatchingWindowInSeconds=1
    )


def test_sources_must_exist(aws: LocalAws, keeper: Keeper, stream: str) -> None:
    label = stream.rpartition("/")[0]
    assert refused(aws, f"{label}/2020-01-01T00:00:00.000")[1].startswith("Stream not found: ")
    text = refused(aws, f"arn:aws:sqs:{REGION}:{ACCOUNT}:nowhere")[1]
    assert text.endswith("The specified queue does not exist.")


def test_a_queue_must_not_be_more_impatient_than_its_function(aws: LocalAws) -> None:
    reads = statement(["sqs:*"], "*")
    make_function(aws, "slow", NOTHING, reads, Timeout=180)
    assert refused(aws, make_queue(aws, "fast", VisibilityTimeout="60"), FunctionName="slow") == (
        "InvalidParameterValueException",
        "Queue visibility timeout: 60 seconds is less than Function timeout: 180 seconds",
    )
    made = create(aws, make_queue(aws, "even", VisibilityTimeout="180"), FunctionName="slow")
    assert made["State"] == "Creating"


@pytest.mark.parametrize(
    "missing", ["GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"]
)
def test_the_role_must_be_able_to_read_the_stream(aws: LocalAws, stream: str, missing: str) -> None:
    allowed = {"GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"} - {missing}
    name = f"cannot-{missing.lower()}"
    make_function(aws, name, NOTHING, statement([f"dynamodb:{a}" for a in allowed], stream))
    assert refused(aws, stream, FunctionName=name) == (
        "InvalidParameterValueException",
        f"Cannot access stream {stream}. Please ensure the role can perform the GetRecords, "
        "GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM.",
    )


@pytest.mark.parametrize("missing", ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"])
def test_the_role_must_be_able_to_read_the_queue(aws: LocalAws, queue: str, missing: str) -> None:
    allowed = {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} - {missing}
    name = f"cannot-{missing.lower()}"
    make_function(aws, name, NOTHING, statement([f"sqs:{a}" for a in allowed], queue))
    text = refused(aws, queue, FunctionName=name)[1]
    assert text == (
        f"The function execution role does not have permissions to call {missing} on SQS"
    )


@pytest.mark.parametrize(
    ("destination", "text"),
    [
        (f"arn:aws:sqs:{REGION}:{ACCOUNT}:lost", "call SendMessage on SQS"),
        (f"arn:aws:sns:{REGION}:{ACCOUNT}:lost", "call Publish on SNS"),
        ("arn:aws:s3:::lost", "call PutObject on S3"),
    ],
)
def test_the_role_must_be_able_to_send_to_the_destination(
    aws: LocalAws, keeper: Keeper, stream: str, destination: str, text: str
) -> None:
    config = {"OnFailure": {"Destination": destination}}
    assert refused(aws, stream, DestinationConfig=config)[1] == (
        f"The provided execution role does not have permissions to {text}"
    )


def test_idle_is_when_nothing_is_left(aws: LocalAws, tmp_path: Path) -> None:
    slow = "import time\ndef work(event, records, bodies, inbox):\n    time.sleep(0.3)\n"
    busy = Keeper(aws, "busy", tmp_path, slow)
    source, table = make_queue(aws, "busy"), make_table(aws, "busy")
    assert aws.event_sources.wait_idle(5)
    busy.read(source)
    busy.read(table)
    assert aws.event_sources.wait_idle(5)
    send(aws, source, "one")
    assert not aws.event_sources.is_idle()
    assert aws.event_sources.wait_idle(10)
    assert busy.records() == ["one"]
    put(aws, "busy", "a")
    assert not aws.event_sources.is_idle()
    assert aws.event_sources.wait_idle(10)
    assert busy.records() == ["one", "a/0"]
