"""The plugins as the engine meets them: the real executables, real gRPC, real local clouds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.exceptions import ClientError
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from rehearsal.drivers import registry
from rehearsal.provider.values import struct
from tests.rehearsal.drivers.google_kit import enable
from tests.rehearsal.drivers.lifecycle import PROJECT, REGION
from tests.rehearsal.provider import plugin
from tests.rehearsal.provider.conftest import LABELS, TAGS
from tests.rehearsal.provider.plugin import UNKNOWN, Plugin, secret

QUEUE = "aws:sqs/queue:Queue"
BUCKET = "aws:s3/bucket:Bucket"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
USER, KEY = "aws:iam/user:User", "aws:iam/accessKey:AccessKey"
DATASET, TABLE = "gcp:bigquery/dataset:Dataset", "gcp:bigquery/table:Table"
SECRET = "gcp:secretmanager/secret:Secret"
VERSION = "gcp:secretmanager/secretVersion:SecretVersion"
NO_DRIVER = "{}: the rehearsal has no driver for this resource type"

Response = provider_pb2.DiffResponse
Kind = provider_pb2.PropertyDiff


@pytest.fixture(params=["aws", "gcp"])
def either(request) -> Plugin:
    found: Plugin = request.getfixturevalue(request.param)
    return found


def package_of(started: Plugin) -> str:
    return started.stderr.stem


# --- the provider itself


def test_it_stands_for_the_official_plugin_of_the_sdk(either) -> None:
    spec = find_spec(f"pulumi_{package_of(either)}")
    assert spec is not None
    assert spec.origin is not None
    wanted = json.loads((Path(spec.origin).parent / "pulumi-plugin.json").read_text())["version"]
    assert either.stub.GetPluginInfo(Empty()).version == wanted


def test_it_shakes_hands_and_tells_its_name(either) -> None:
    either.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
    schema = json.loads(either.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)
    assert schema["name"] == package_of(either)


AMAZON, GOOGLE = "https://s3.amazonaws.com", "https://secretmanager.googleapis.com/v1/"
HERE = "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("package", "config", "begin"),
    [
        ("aws", {}, "aws:endpoints[0].sts (or AWS_ENDPOINT_URL) is not set. "),
        ("aws", {"endpoints": [{"s3": HERE}]}, "aws:endpoints[0].sts (or AWS_ENDPOINT_URL) is not"),
        ("aws", {"endpoints": [{"sts": HERE, "s3": AMAZON}]}, "aws:endpoints[0].s3 (or AWS_ENDPO"),
        ("aws", {"endpoints": [{"sts": HERE}, {"s3": AMAZON}]}, "aws:endpoints[1].s3 (or AWS_END"),
        ("aws", {"endpoints": [{"sts": "http://[::1"}]}, "aws:endpoints[0].sts (or AWS_ENDPOINT_"),
        ("aws", {"endpoints": [{"sts": "https://127.0.0.1.example.com"}]}, "aws:endpoints[0].sts"),
        ("aws", {"endpoints": "[{garbled"}, "aws:endpoints is no list of mappings"),
        ("aws", {"endpoints": {"sts": HERE}}, "aws:endpoints is no list of mappings"),
        ("gcp", {}, "gcp:bigQueryCustomEndpoint (or GOOGLE_BIG_QUERY_CUSTOM_ENDPOINT) is not set"),
        (
            "gcp",
            {"bigQueryCustomEndpoint": GOOGLE},
            f"gcp:bigQueryCustomEndpoint (or GOOGLE_BIG_QUERY_CUSTOM_ENDPOINT) is {GOOGLE}. ",
        ),
        (
            "gcp",
            {"bigQueryCustomEndpoint": HERE, "secretManagerCustomEndpoint": GOOGLE},
            "gcp:secretManagerCustomEndpoint (or GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT) is "
            f"{GOOGLE}. ",
        ),
    ],
)
def test_a_cloud_that_is_not_on_this_machine_is_refused(request, package, config, begin) -> None:
    started = request.getfixturevalue(package)
    packed = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }
    refused = started.refusal(started.configure, region=REGION, **packed)
    assert refused.startswith(begin)
    assert "no list" in begin or "python -m rehearsal up" in refused


def test_a_local_cloud_that_is_not_up_is_told_with_its_address(aws) -> None:
    refused = aws.refusal(
        aws.configure,
        region=REGION,
        accessKey="a",
        secretKey="hush-Hush9x",
        endpoints=json.dumps([{"sts": HERE}]),
    )
    assert refused.startswith(f"{HERE} does not answer as AWS: ")
    assert "hush-Hush9x" not in refused + aws.stderr.read_text()


def test_a_configuration_that_is_not_known_yet_is_waited_for(aws) -> None:
    """In the first preview of a program that makes its own provider."""
    aws.configure(region=REGION, accessKey=UNKNOWN)
    assert aws.invoke("aws:index/getCallerIdentity:getCallerIdentity")["accountId"]


def test_a_changed_configuration_replaces_no_provider(aws) -> None:
    request = provider_pb2.DiffRequest(
        olds=struct({"region": "a", "secretKey": "x"}),
        old_inputs=struct({"region": "a", "secretKey": "x"}),
        news=struct({"region": "a", "secretKey": "y", "profile": "p"}),
    )
    answer = aws.stub.DiffConfig(request)
    assert (answer.changes, list(answer.replaces)) == (Response.DIFF_SOME, [])
    assert list(answer.diffs) == ["profile", "secretKey"]
    request.news.CopyFrom(request.old_inputs)
    assert aws.stub.DiffConfig(request).changes == Response.DIFF_NONE


def test_invoke_tells_who_calls(aws, local_aws) -> None:
    answer = aws.invoke("aws:index/getCallerIdentity:getCallerIdentity")
    assert answer["accountId"] == answer["id"] == local_aws.account
    assert answer["arn"].startswith("arn:aws:iam::")


def test_a_function_without_an_answer_is_refused_by_its_token(aws) -> None:
    token = "aws:ec2/getVpc:getVpc"
    assert (
        aws.refusal(aws.invoke, token) == f"{token}: the rehearsal has no answer to this function"
    )


# --- Check


def test_each_unknown_and_each_missing_property_is_named(aws) -> None:
    _, failures = aws.check(TARGET, {"rule": "r", "colour": "red", "smell": 1})
    assert failures == {
        "colour": "the driver does not know this property",
        "smell": "the driver does not know this property",
        "targetId": "this property is required",
        "arn": "this property is required",
    }


def test_values_that_are_not_known_yet_are_let_through(aws) -> None:
    inputs = {
        "rule": UNKNOWN,
        "targetId": "t",
        "arn": UNKNOWN,
        "deadLetterConfig": {"arn": UNKNOWN},
    }
    assert aws.check(TARGET, inputs) == (inputs, {})


def test_a_property_that_is_null_counts_as_left_out(aws) -> None:
    inputs, failures = aws.check(TARGET, {"rule": "r", "arn": "a", "targetId": None})
    assert (inputs, set(failures)) == ({"rule": "r", "arn": "a"}, {"targetId"})


def test_default_tags_lie_below_a_resources_own(aws) -> None:
    assert aws.check(QUEUE, {"name": "q"})[0]["tags"] == TAGS
    own = {"team": "web", "extra": "x"}
    assert aws.check(QUEUE, {"name": "q", "tags": own})[0]["tags"] == {**TAGS, **own}
    assert "tags" not in aws.check(TARGET, {"rule": "r"})[0]


def test_tags_that_are_not_known_yet_are_left_alone(aws) -> None:
    assert aws.check(QUEUE, {"name": "q", "tags": UNKNOWN})[0]["tags"] == UNKNOWN


def test_default_labels_lie_below_a_resources_own(gcp) -> None:
    inputs = {"datasetId": "d", "project": PROJECT}
    assert gcp.check(DATASET, inputs)[0]["labels"] == LABELS
    own = {"service": "other", "team": "web"}
    assert gcp.check(DATASET, {**inputs, "labels": own})[0]["labels"] == own


def test_a_type_without_a_driver_is_refused_by_its_token(either) -> None:
    token = f"{package_of(either)}:moon/base:Base"
    refused = NO_DRIVER.format(token)
    assert either.refusal(either.check, token, {}) == refused
    assert either.refusal(either.diff, token, {}, {}) == refused
    assert either.refusal(either.create, token, {}) == refused
    assert either.refusal(either.create, token, {}, preview=True) == refused
    assert either.refusal(either.read, token, "id") == refused
    assert either.refusal(either.update, token, "id", {}, {}) == refused
    assert either.refusal(either.delete, token, "id", {}) == refused


# --- Diff


def within(path: str, value: Any) -> dict[str, Any]:
    """Return inputs with one value at a path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


@pytest.mark.parametrize("token", registry.tokens())
def test_what_cannot_be_changed_in_place_replaces(request, token: str) -> None:
    started = request.getfixturevalue(token.partition(":")[0])
    driver = registry.driver_of(token)
    fixed = driver.replace_on.split()
    for path in fixed:
        answer = started.diff(token, within(path, "old"), within(path, "new"))
        top = path.partition(".")[0]
        assert (list(answer.diffs), list(answer.replaces)) == ([top], [top]), path
        assert {path: each.kind for path, each in answer.detailedDiff.items()} == {
            path: Kind.UPDATE_REPLACE
        }
        if path not in (driver.autonamed, ""):
            assert answer.deleteBeforeReplace is driver.delete_first, path
    for name in sorted(driver.properties - set(fixed)):
        # Where something below it is fixed, the rest of it is not.
        path = f"{name}.rest" if any(each.startswith(f"{name}.") for each in fixed) else name
        answer = started.diff(token, within(path, "old"), within(path, "new"))
        assert (list(answer.diffs), list(answer.replaces)) == ([name], []), path
        assert {path: each.kind for path, each in answer.detailedDiff.items()} == {
            path: Kind.UPDATE
        }
        assert not answer.deleteBeforeReplace, path


@pytest.mark.parametrize(
    ("token", "old", "new", "first"),
    [
        # Two things of one name cannot be there at once ...
        ("aws:iam/role:Role", {"name": "a", "path": "/"}, {"name": "a", "path": "/x/"}, True),
        ("aws:iam/role:Role", {"name": "a"}, {"name": "b"}, True),
        ("aws:s3/bucket:Bucket", {"bucket": "a"}, {"bucket": "b"}, True),
        ("aws:sfn/stateMachine:StateMachine", {"name": "a"}, {"name": "b"}, True),
        ("gcp:bigquery/table:Table", {"tableId": "a"}, {"tableId": "b"}, True),
        ("gcp:secretmanager/secret:Secret", {"secretId": "a"}, {"secretId": "b"}, True),
        # ... and what has no name of the program's giving is made before the old one goes.
        ("aws:iam/accessKey:AccessKey", {"user": "a"}, {"user": "b"}, False),
        ("gcp:bigquery/dataset:Dataset", {"datasetId": "a"}, {"datasetId": "b"}, False),
        (
            "gcp:bigquery/dataTransferConfig:DataTransferConfig",
            {"params": {"data_path": "a"}},
            {"params": {"data_path": "b"}},
            False,
        ),
        ("gcp:secretmanager/secretVersion:SecretVersion", {"secret": "a"}, {"secret": "b"}, False),
    ],
)
def test_what_goes_first_in_a_replacement(request, token, old, new, first) -> None:
    answer = request.getfixturevalue(token.partition(":")[0]).diff(token, old, new)
    assert answer.replaces
    assert answer.deleteBeforeReplace is first


@pytest.mark.parametrize("token", registry.tokens())
def test_every_fixed_path_is_one_of_a_property(token: str) -> None:
    driver = registry.driver_of(token)
    assert {path.partition(".")[0] for path in driver.replace_on.split()} <= driver.properties


def test_nothing_changed_is_no_difference(aws) -> None:
    answer = aws.diff(QUEUE, {"name": "q", "tags": {"a": "b"}}, {"name": "q", "tags": {"a": "b"}})
    assert answer.changes == Response.DIFF_NONE
    assert not answer.diffs
    assert not answer.replaces
    assert not answer.detailedDiff
    assert not answer.deleteBeforeReplace


def test_each_change_is_told_with_its_kind(gcp) -> None:
    old = {"tableId": "a", "labels": {"x": "1", "y": "1", "a.b": "1"}, "schema": "[1, 2]"}
    new = {
        "tableId": "b",
        "labels": {"x": "2", "z": "1", "a.b": "2"},
        "schema": "[1,2]",
        "project": UNKNOWN,
    }
    answer = gcp.diff(TABLE, old, new)
    assert answer.changes == Response.DIFF_SOME
    assert answer.hasDetailedDiff
    assert {path: each.kind for path, each in answer.detailedDiff.items()} == {
        "tableId": Kind.UPDATE_REPLACE,
        "project": Kind.ADD_REPLACE,
        "labels.x": Kind.UPDATE,
        "labels.y": Kind.DELETE,
        "labels.z": Kind.ADD,
        'labels["a.b"]': Kind.UPDATE,
    }
    assert all(each.inputDiff for each in answer.detailedDiff.values())
    assert list(answer.diffs) == ["labels", "project", "tableId"]
    assert list(answer.replaces) == ["project", "tableId"]
    assert answer.deleteBeforeReplace
    gone = gcp.diff(TABLE, {"tableId": "a", "project": "p"}, {"tableId": "a"})
    assert gone.detailedDiff["project"].kind == Kind.DELETE_REPLACE


# --- real resources


def test_a_preview_makes_nothing(aws, clouds) -> None:
    inputs = {"name": "only-previewed", "tags": {"arn": UNKNOWN}}
    assert aws.create(QUEUE, inputs, preview=True) == ("", inputs)
    found = clouds.aws.client("sqs").list_queues(QueueNamePrefix="only-previewed")
    assert not found.get("QueueUrls")


def test_a_life_on_aws(aws, clouds) -> None:
    sqs = clouds.aws.client("sqs")
    inputs = {"name": "life", "messageRetentionSeconds": 3600, "tags": {"a": "b"}}
    url, outputs = aws.create(QUEUE, inputs)
    assert sqs.get_queue_url(QueueName="life")["QueueUrl"] == url
    assert outputs.items() >= inputs.items()
    assert outputs["arn"].endswith(":life")
    assert aws.read(QUEUE, url, outputs, inputs) == (url, outputs, inputs)

    changed = {**inputs, "messageRetentionSeconds": 7200}
    previewed = aws.update(QUEUE, url, outputs, changed, preview=True)
    assert previewed == {**outputs, **changed}
    assert retention(sqs, url) == 3600
    updated = aws.update(QUEUE, url, outputs, changed)
    assert updated == {**outputs, **changed}
    assert retention(sqs, url) == 7200

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    _, drifted, shown = aws.read(QUEUE, url, updated, changed)
    assert drifted["messageRetentionSeconds"] == shown["messageRetentionSeconds"] == 60

    aws.delete(QUEUE, url, updated)
    with pytest.raises(ClientError, match="NonExistentQueue"):
        sqs.get_queue_url(QueueName="life")
    assert aws.read(QUEUE, url, updated, changed) == ("", {}, {})
    aws.delete(QUEUE, url, updated)


def retention(sqs: Any, url: str) -> int:
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["MessageRetentionPeriod"])
    return int(asked["Attributes"]["MessageRetentionPeriod"])


def test_a_life_on_google_cloud(gcp, clouds) -> None:
    inputs = {"datasetId": "life", "project": PROJECT, "location": "EU", "description": "before"}
    path = f"/bigquery/v2/projects/{PROJECT}/datasets/life"
    identifier, outputs = gcp.create(DATASET, inputs)
    assert clouds.google.get(path)["description"] == "before"
    assert gcp.read(DATASET, identifier, outputs, inputs) == (identifier, outputs, inputs)
    changed = {**inputs, "description": "after"}
    updated = gcp.update(DATASET, identifier, outputs, changed)
    assert updated.items() >= changed.items()
    assert clouds.google.get(path)["description"] == "after"
    gcp.delete(DATASET, identifier, updated)
    assert gcp.read(DATASET, identifier, updated, changed) == ("", {}, {})


def test_an_import_reads_by_the_id_alone(aws, clouds) -> None:
    location = {"LocationConstraint": REGION}
    clouds.aws.client("s3").create_bucket(Bucket="by-hand", CreateBucketConfiguration=location)
    identifier, outputs, inputs = aws.read(BUCKET, "by-hand")
    assert (identifier, outputs["arn"]) == ("by-hand", "arn:aws:s3:::by-hand")
    # The Region is told of every resource; the program would have to say it of none.
    assert inputs == {"bucket": "by-hand"}
    assert aws.read(BUCKET, "nowhere") == ("", {}, {})


def test_a_refresh_keeps_a_region_that_the_program_said(aws) -> None:
    inputs = {"bucket": "with-region", "region": REGION}
    identifier, outputs = aws.create(BUCKET, inputs)
    assert aws.read(BUCKET, identifier, outputs, inputs)[2] == inputs
    without = {"bucket": "with-region"}
    assert aws.read(BUCKET, identifier, outputs, without)[2] == without


def test_a_refresh_shows_what_was_added_by_hand(aws, clouds) -> None:
    inputs = {"bucket": "tagged-by-hand"}
    identifier, outputs = aws.create(BUCKET, inputs)
    tagging = {"TagSet": [{"Key": "by", "Value": "hand"}]}
    clouds.aws.client("s3").put_bucket_tagging(Bucket="tagged-by-hand", Tagging=tagging)
    shown = aws.read(BUCKET, identifier, outputs, inputs)[2]
    assert shown == {**inputs, "tags": {"by": "hand"}}


# --- what is secret


def test_the_secret_of_an_access_key_is_marked(aws) -> None:
    user, known = aws.create(USER, {"name": "reader"})
    key, outputs = aws.create(KEY, {"user": "reader"})
    value = outputs["secret"]["value"]
    assert outputs == {"user": "reader", "secret": secret(value)}
    assert len(value) > 20
    assert aws.read(KEY, key, outputs, {"user": "reader"})[1]["secret"] == secret(value)
    off = aws.update(KEY, key, outputs, {"user": "reader", "status": "Inactive"})
    assert off["secret"] == secret(value)
    previewed = aws.update(KEY, key, outputs, {"user": "reader"}, preview=True)
    assert previewed["secret"] == secret(value)
    aws.delete(KEY, key, off)
    aws.delete(USER, user, known)


def test_the_value_of_a_secret_is_marked(gcp, clouds) -> None:
    enable(clouds)
    holder, _ = gcp.create(
        SECRET, {"secretId": "marked", "project": PROJECT, "replication": {"auto": {}}}
    )
    inputs = {"secret": holder, "secretData": secret("hush-Hush9x")}
    _, previewed = gcp.create(VERSION, {**inputs, "secretData": "hush-Hush9x"}, preview=True)
    assert previewed["secretData"] == secret("hush-Hush9x")
    version, outputs = gcp.create(VERSION, inputs)
    assert outputs["secretData"] == secret("hush-Hush9x")
    read = gcp.read(VERSION, version, outputs, inputs)
    assert read[1]["secretData"] == read[2]["secretData"] == secret("hush-Hush9x")
    # What the cloud holds is the value, not its wrapping.
    payload = clouds.google.get(f"/v1/{version}:access")["payload"]["data"]
    assert payload == "aHVzaC1IdXNoOXg="


def test_a_refusal_of_a_cloud_is_a_plain_sentence(aws, gcp) -> None:
    refused = aws.refusal(aws.create, KEY, {"user": "nobody"})
    assert refused.startswith(f"{KEY} (it): ")
    assert "nobody" in refused
    refused = gcp.refusal(
        gcp.create, TABLE, {"datasetId": "nowhere", "tableId": "t", "project": PROJECT}
    )
    assert refused.startswith(f"{TABLE} (it): ")
    assert "nowhere" in refused


def test_a_refusal_tells_no_secret(gcp) -> None:
    nowhere = f"projects/{PROJECT}/secrets/nowhere"
    inputs = {"secret": nowhere, "secretData": secret("hush-Hush9x")}
    refused = gcp.refusal(gcp.create, VERSION, inputs)
    assert refused.startswith(f"{VERSION} (it): ")
    assert "hush-Hush9x" not in refused


def test_nothing_is_said_outside_the_protocol(either) -> None:
    """What a plugin writes to its standard error lands between the lines of `pulumi up`."""
    either.refusal(either.create, f"{package_of(either)}:moon/base:Base", {})
    assert either.stderr.read_text() == ""


# --- its end


@contextmanager
def plugin_in(*parent: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a plugin below the command *parent*; yields the parent, and the plugin's port."""
    with subprocess.Popen(
        [*parent, str(plugin.PLUGINS / "pulumi-resource-aws")],
        env=plugin.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def says_no_more(process: subprocess.Popen[str]) -> bool:
    """Wait until nobody holds the plugin's standard output open: it has ended."""
    try:
        rest, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        return False
    return rest == ""


def is_served(port: str) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        try:
            stub.GetSchema(provider_pb2.GetSchemaRequest(), timeout=60)
        except grpc.RpcError:
            return False
        return True


def test_it_ends_when_it_is_told_to() -> None:
    with plugin_in() as (process, port):
        assert is_served(port)
        process.send_signal(signal.SIGTERM)
        assert says_no_more(process)
        assert process.returncode == 0
        assert not is_served(port)


def test_it_ends_with_an_engine_that_was_killed() -> None:
    with plugin_in("sh", "-c", '"$0" & wait') as (engine, port):
        assert is_served(port)
        engine.kill()
        assert says_no_more(engine)
        assert not is_served(port)


def test_a_package_that_there_is_not_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal.provider", "azure"],
        cwd=plugin.PLUGINS.parents[1],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: python -m rehearsal.provider {aws,gcp}\n"
