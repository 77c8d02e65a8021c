from __future__ import annotations

import http.client
import importlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from rehearsal.aws.cloud import ACCOUNT, LocalAws
from rehearsal.aws.emulator import Emulator, Server
from rehearsal.aws.event_delivery import fill_template
from rehearsal.aws.principals import UnknownKey
from rehearsal.aws.seams import SEAMS
from tests.rehearsal.aws.cloud_kit import (
    REGION,
    SmallRds,
    document,
    local_aws,
    make_function,
    make_machine,
    make_role,
    play,
    rds_arn,
    sdk_task,
    statement,
    trust,
)

BUCKET = "shop-stg-rds-exports"
BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with local_aws() as running:
        yield running


def client_of(aws: LocalAws, service: str, key: str, secret: str, token: str | None = None) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name=aws.region,
        endpoint_url=aws.endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def make_reader(aws: LocalAws, *statements: dict[str, Any]) -> tuple[str, str]:
    """Make the IAM user `reader` with an access key."""
    iam = aws.client("iam")
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="own", PolicyDocument=document(*statements))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def make_bucket(aws: LocalAws) -> Any:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return s3


def make_key(aws: LocalAws, *statements: dict[str, Any]) -> str:
    """Make a key whose policy delegates to the account, or says what is given."""
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    policy = document(*(statements or [statement("kms:*", "*", Principal=root)]))
    return str(aws.client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"])


def encrypt_bucket(aws: LocalAws, key_arn: str, *, bucket_key: bool) -> None:
    rule = {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": key_arn,
        },
        "BucketKeyEnabled": bucket_key,
    }
    aws.client("s3").put_bucket_encryption(
        Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )


def code_of(failure: pytest.ExceptionInfo[ClientError]) -> str:
    return str(failure.value.response["Error"]["Code"])


# --- life ---------------------------------------------------------------------------------------


def test_every_seam_is_where_it_was() -> None:
    Emulator(ACCOUNT, REGION)
    for path, attribute in SEAMS:
        module, _, owner = path.partition(".Worker")
        found = importlib.import_module(module)
        target = found.Worker if owner or path.endswith(".Worker") else found
        assert hasattr(target, attribute), f"ministack has no {path}.{attribute} any more"
    app = importlib.import_module("ministack.app")
    assert {"rds", "s3", "states", "events", "lambda", "sts", "kms"} <= set(app.SERVICE_HANDLERS)


def test_stop_puts_everything_back_and_leaves_nothing_running() -> None:
    app = importlib.import_module("ministack.app")
    before = dict(app.SERVICE_HANDLERS)
    variables = dict(os.environ)
    threads = set(threading.enumerate())
    with local_aws() as aws:
        make_bucket(aws)
        make_function(aws, "f", "def handler(event, context):\n    return 1\n")
        aws.client("lambda").invoke(FunctionName="f")
        assert app.SERVICE_HANDLERS["s3"] is not before["s3"]
        processes = aws._emulator.lambda_runtime.subprocess._started
        pids = [process.pid for process in processes]
        assert len(pids) == 1
    assert before == app.SERVICE_HANDLERS
    assert dict(os.environ) == variables
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= threads
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    with local_aws() as again:
        assert again.client("s3").list_buckets()["Buckets"] == []


def test_a_running_execution_is_aborted_by_stop() -> None:
    aws = local_aws(wait_scale=1.0)
    with aws:
        machine = make_machine(aws, "m", {"W": {"Type": "Wait", "Seconds": 3600, "End": True}})
        aws.client("stepfunctions").start_execution(stateMachineArn=machine)
        assert not aws.wait_idle(0.05)
    assert not [thread for thread in threading.enumerate() if "Thread-" in thread.name]


def test_a_request_of_which_a_part_never_comes_is_none() -> None:
    """As a function leaves it that dies while it sends."""
    whole: list[bytes] = []
    over = threading.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        try:
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
            whole.append(body)
        finally:
            over.set()

    server = Server(application)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"PUT /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf")
        assert over.wait(30)
        assert whole == []
    finally:
        server.stop()


def test_only_one_runs_in_a_process_and_a_failed_start_is_no_obstacle(aws: LocalAws) -> None:
    with pytest.raises(RuntimeError, match="already running"):
        local_aws().start()


def test_a_start_that_fails_leaves_room_for_the_next_one() -> None:
    def broken(**_: Any) -> SmallRds:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        LocalAws(REGION, rds=broken).start()
    with local_aws():
        pass


def test_regions_may_follow_each_other_in_a_process() -> None:
    for region in ("eu-west-1", "us-east-1"):
        with LocalAws(region, rds=SmallRds) as aws:
            topic = aws.client("sns").create_topic(Name="alerts")["TopicArn"]
            assert topic == f"arn:aws:sns:{region}:{ACCOUNT}:alerts"


def test_the_emulator_is_silent_and_its_warnings_are_kept() -> None:
    script = (
        "import logging; from tests.rehearsal.aws.cloud_kit import local_aws\n"
        "with local_aws() as aws:\n"
        "    logging.getLogger('ministack').error('kept')\n"
        "    aws.client('secretsmanager').list_secrets()\n"
        "    assert aws.log == ['kept'], aws.log\n"
        "assert logging.getLogger().handlers == []\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_users_own_aws_settings_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SERVICES", "dynamodb")
    with local_aws() as aws:
        assert aws.client("s3").list_buckets()["Buckets"] == []


def test_the_log_of_the_program_is_untouched(aws: LocalAws) -> None:
    assert logging.getLogger().level == logging.WARNING


# --- who calls ------------------------------------------------------------------------------------


def test_the_deployer_may_do_everything(aws: LocalAws) -> None:
    s3 = make_bucket(aws)
    s3.put_object(Bucket=BUCKET, Key="a/ü b+c.txt", Body=b"x")
    assert s3.get_object(Bucket=BUCKET, Key="a/ü b+c.txt")["Body"].read() == b"x"
    assert aws.problems == []


@pytest.mark.parametrize("key", ["AKIAIOSFODNN7EXAMPLE", ACCOUNT])
def test_an_unknown_access_key_is_refused(aws: LocalAws, key: str) -> None:
    with pytest.raises(ClientError) as s3:
        client_of(aws, "s3", key, "x").list_buckets()
    assert code_of(s3) == "InvalidAccessKeyId"
    with pytest.raises(ClientError) as sts:
        client_of(aws, "sts", key, "x").get_caller_identity()
    assert code_of(sts) == "InvalidClientTokenId"
    with pytest.raises(ClientError) as events:
        client_of(aws, "events", key, "x").list_rules()
    assert code_of(events) == "UnrecognizedClientException"
    assert len(aws.problems) == 3


def test_a_wrong_secret_is_refused(aws: LocalAws) -> None:
    make_bucket(aws)
    key, secret = make_reader(aws, statement("s3:*", "*"))
    client_of(aws, "s3", key, secret).list_objects_v2(Bucket=BUCKET)
    with pytest.raises(ClientError) as failure:
        client_of(aws, "s3", key, secret + "x").list_objects_v2(Bucket=BUCKET)
    assert code_of(failure) == "SignatureDoesNotMatch"
    with pytest.raises(ClientError) as failure:
        client_of(aws, "sts", key, secret + "x").get_caller_identity()
    assert code_of(failure) == "SignatureDoesNotMatch"


def test_an_inactive_key_is_refused_and_so_is_a_deleted_one(aws: LocalAws) -> None:
    key, secret = make_reader(aws, statement("s3:*", "*"))
    iam = aws.client("iam")
    reader = client_of(aws, "s3", key, secret)
    reader.list_buckets()
    iam.update_access_key(UserName="reader", AccessKeyId=key, Status="Inactive")
    with pytest.raises(ClientError) as failure:
        reader.list_buckets()
    assert code_of(failure) == "InvalidAccessKeyId"
    iam.delete_access_key(UserName="reader", AccessKeyId=key)
    with pytest.raises(UnknownKey):
        aws._principals.caller(key)


def test_a_user_is_told_who_it_is(aws: LocalAws) -> None:
    identity = client_of(aws, "sts", *make_reader(aws)).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/reader"
    assert identity["Account"] == ACCOUNT


def test_an_unsigned_request_is_refused(aws: LocalAws) -> None:
    make_bucket(aws)
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint).netloc)
    for host in ("s3.eu-west-1.amazonaws.com", f"{BUCKET}.s3.eu-west-1.amazonaws.com"):
        connection.request("GET", f"/{BUCKET}?list-type=2", headers={"Host": host})
        answer = connection.getresponse()
        assert answer.status == 403
        assert b"AccessDenied" in answer.read()
    connection.close()


def test_a_presigned_url_of_the_deployer_works_and_nobody_elses(aws: LocalAws) -> None:
    make_bucket(aws).put_object(Bucket=BUCKET, Key="k", Body=b"x")

    def fetch(client: Any) -> int:
        url = urlsplit(
            client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "k"})
        )
        connection = http.client.HTTPConnection(url.netloc)
        connection.request("GET", f"{url.path}?{url.query}")
        status = connection.getresponse().status
        connection.close()
        return status

    sigv4 = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    session = boto3.session.Session("test", "test", region_name=REGION)
    assert fetch(session.client("s3", endpoint_url=aws.endpoint, config=sigv4)) == 200
    key, secret = make_reader(aws, statement("s3:*", "*"))
    session = boto3.session.Session(key, secret, region_name=REGION)
    assert fetch(session.client("s3", endpoint_url=aws.endpoint, config=sigv4)) == 403


def test_a_session_needs_its_token(aws: LocalAws) -> None:
    key, secret = make_reader(aws, statement("sts:AssumeRole", "*"))
    role = make_role(aws, "r", "lambda.amazonaws.com")
    credentials = aws._principals.session(role, "run")
    who = client_of(
        aws, "sts", credentials.access_key, credentials.secret_key, credentials.token
    ).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/r/run"
    with pytest.raises(ClientError) as failure:
        client_of(
            aws, "sts", credentials.access_key, credentials.secret_key, "other"
        ).get_caller_identity()
    assert code_of(failure) == "InvalidClientTokenId"
    with pytest.raises(ClientError, match="trust policy"):
        client_of(aws, "sts", key, secret).assume_role(RoleArn=role, RoleSessionName="run")


def test_a_user_assumes_a_role_that_trusts_it(aws: LocalAws) -> None:
    key, secret = make_reader(aws)
    user = f"arn:aws:iam::{ACCOUNT}:user/reader"
    policy = document({"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"})
    role = aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=policy)["Role"]
    given = client_of(aws, "sts", key, secret).assume_role(
        RoleArn=role["Arn"], RoleSessionName="run"
    )["Credentials"]
    session = client_of(
        aws, "sts", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )
    assert session.get_caller_identity()["Arn"].endswith("assumed-role/r/run")


def test_a_signed_identity_request_can_be_passed_on_by_another_party(aws: LocalAws) -> None:
    """Workload identity federation: Google replays the request with the host it was signed for."""
    role = make_role(aws, "load", "lambda.amazonaws.com")
    session = aws._principals.session(role, "load")
    url = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("POST", url, headers={"x-goog-cloud-target-resource": "//iam/x"})
    signer = Credentials(session.access_key, session.secret_key, session.token)
    SigV4Auth(signer, "sts", REGION).add_auth(request)
    headers = {**dict(request.headers.items()), "Host": "sts.eu-west-1.amazonaws.com"}

    def send(sent: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(aws.endpoint).netloc)
        connection.request("POST", "/?Action=GetCallerIdentity&Version=2011-06-15", "", sent)
        answer = connection.getresponse()
        told = answer.status, answer.read().decode()
        connection.close()
        return told

    status, body = send(headers)
    assert status == 200
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/load/load" in body
    status, body = send({**headers, "x-goog-cloud-target-resource": "//iam/y"})
    assert (status, "SignatureDoesNotMatch" in body) == (403, True)


# --- what they may --------------------------------------------------------------------------------


def test_a_reader_sees_its_prefix_and_nothing_else(aws: LocalAws) -> None:
    s3 = make_bucket(aws)
    for name in ("exports/a.parquet", "catalog/shop.json"):
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"x")
    prefixed = {"StringLike": {"s3:prefix": ["exports/*", "exports/"]}}
    reader = client_of(
        aws,
        "s3",
        *make_reader(
            aws,
            statement("s3:GetObject", f"{BUCKET_ARN}/exports/*"),
            statement("s3:ListBucket", BUCKET_ARN, Condition=prefixed),
            statement("s3:GetBucketLocation", BUCKET_ARN),
        ),
    )
    assert reader.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    assert reader.list_objects_v2(Bucket=BUCKET, Prefix="exports/")["KeyCount"] == 1
    assert reader.get_object(Bucket=BUCKET, Key="exports/a.parquet")["Body"].read() == b"x"
    assert reader.head_object(Bucket=BUCKET, Key="exports/a.parquet")["ContentLength"] == 1
    assert aws.problems == []
    calls: list[Callable[[], Any]] = [
        lambda: reader.get_object(Bucket=BUCKET, Key="catalog/shop.json"),
        lambda: reader.list_objects_v2(Bucket=BUCKET, Prefix=""),
        lambda: reader.put_object(Bucket=BUCKET, Key="exports/b", Body=b""),
        lambda: reader.delete_object(Bucket=BUCKET, Key="exports/a.parquet"),
        lambda: reader.get_bucket_policy(Bucket=BUCKET),
        lambda: reader.list_buckets(),
    ]
    for call in calls:
        with pytest.raises(ClientError) as failure:
            call()
        assert code_of(failure) == "AccessDenied"
    assert len(aws.problems) == 6
    assert "the rehearsal knows no IAM action for this request" in "\n".join(aws.problems)


def test_a_missing_key_looks_forbidden_to_who_may_not_list(aws: LocalAws) -> None:
    make_bucket(aws)
    key = make_reader(aws, statement("s3:GetObject", f"{BUCKET_ARN}/*"))
    with pytest.raises(ClientError) as failure:
        client_of(aws, "s3", *key).get_object(Bucket=BUCKET, Key="nothing")
    assert code_of(failure) == "AccessDenied"
    aws.client("iam").put_user_policy(
        UserName="reader",
        PolicyName="list",
        PolicyDocument=document(statement("s3:ListBucket", BUCKET_ARN)),
    )
    with pytest.raises(ClientError) as failure:
        client_of(aws, "s3", *key).get_object(Bucket=BUCKET, Key="nothing")
    assert code_of(failure) == "NoSuchKey"


def test_a_bucket_policy_against_plain_http_and_old_tls_lets_the_rehearsal_in(
    aws: LocalAws,
) -> None:
    s3 = make_bucket(aws)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    never = [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]
    denials = [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [BUCKET_ARN, f"{BUCKET_ARN}/*"],
            "Condition": condition,
        }
        for condition in never
    ]
    s3.put_bucket_policy(Bucket=BUCKET, Policy=document(*denials))
    reader = client_of(aws, "s3", *make_reader(aws, statement("s3:GetObject", "*")))
    assert reader.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"
    denials[0]["Condition"] = {"StringNotEquals": {"aws:PrincipalArn": "arn:aws:iam::1:user/x"}}
    s3.put_bucket_policy(Bucket=BUCKET, Policy=document(*denials))
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        reader.get_object(Bucket=BUCKET, Key="k")


@pytest.mark.parametrize("bucket_key", [True, False])
def test_encrypted_objects_need_the_key_through_s3_in_its_context(
    aws: LocalAws, bucket_key: bool
) -> None:
    s3 = make_bucket(aws)
    key = make_key(aws)
    encrypt_bucket(aws, key, bucket_key=bucket_key)
    s3.put_object(Bucket=BUCKET, Key="exports/a", Body=b"x")
    context = BUCKET_ARN if bucket_key else f"{BUCKET_ARN}/exports/a"
    user = make_reader(aws, statement(["s3:GetObject", "s3:PutObject"], f"{BUCKET_ARN}/*"))
    reader = client_of(aws, "s3", *user)
    with pytest.raises(ClientError, match="kms:Decrypt on resource: " + key):
        reader.get_object(Bucket=BUCKET, Key="exports/a")

    def may(action: str, arn: str) -> None:
        condition = {
            "StringEquals": {
                "kms:ViaService": f"s3.{REGION}.amazonaws.com",
                "kms:EncryptionContext:aws:s3:arn": arn,
            }
        }
        aws.client("iam").put_user_policy(
            UserName="reader",
            PolicyName="key",
            PolicyDocument=document(statement(action, key, Condition=condition)),
        )

    may("kms:Decrypt", "arn:aws:s3:::other")
    with pytest.raises(ClientError, match="kms:Decrypt"):
        reader.get_object(Bucket=BUCKET, Key="exports/a")
    may("kms:Decrypt", context)
    assert reader.get_object(Bucket=BUCKET, Key="exports/a")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="kms:GenerateDataKey"):
        reader.put_object(Bucket=BUCKET, Key="exports/a", Body=b"y")
    may("kms:GenerateDataKey", context)
    reader.put_object(Bucket=BUCKET, Key="exports/a", Body=b"y")
    with pytest.raises(ClientError, match="kms:Decrypt"):
        reader.create_multipart_upload(Bucket=BUCKET, Key="exports/a")


def test_a_key_policy_without_the_reader_keeps_it_out(aws: LocalAws) -> None:
    s3 = make_bucket(aws)
    other = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"}
    encrypt_bucket(aws, make_key(aws, statement("kms:*", "*", Principal=other)), bucket_key=True)
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    reader = client_of(aws, "s3", *make_reader(aws, statement(["s3:*", "kms:*"], "*")))
    with pytest.raises(ClientError, match="no resource-based policy allows the kms:Decrypt"):
        reader.get_object(Bucket=BUCKET, Key="a")


def test_a_managed_policy_and_a_group_count(aws: LocalAws) -> None:
    make_bucket(aws)
    iam = aws.client("iam")
    user = make_reader(aws)
    policy = iam.create_policy(
        PolicyName="list", PolicyDocument=document(statement("s3:ListBucket", BUCKET_ARN))
    )["Policy"]["Arn"]
    reader = client_of(aws, "s3", *user)
    with pytest.raises(ClientError):
        reader.list_objects_v2(Bucket=BUCKET)
    iam.attach_user_policy(UserName="reader", PolicyArn=policy)
    reader.list_objects_v2(Bucket=BUCKET)
    iam.detach_user_policy(UserName="reader", PolicyArn=policy)
    iam.create_group(GroupName="readers")
    iam.add_user_to_group(GroupName="readers", UserName="reader")
    iam.attach_group_policy(GroupName="readers", PolicyArn=policy)
    reader.list_objects_v2(Bucket=BUCKET)


def test_a_policy_that_cannot_be_evaluated_refuses_and_tells(aws: LocalAws) -> None:
    make_bucket(aws)
    broken = statement("s3:*", "*", Condition={"StringEqualz": {"a": "b"}})
    reader = client_of(aws, "s3", *make_reader(aws, broken))
    with pytest.raises(ClientError, match="StringEqualz"):
        reader.list_objects_v2(Bucket=BUCKET)
    assert "StringEqualz" in aws.problems[0]


def start_export(aws: LocalAws, role: str, key: str, client: Any) -> Any:
    return client.start_export_task(
        ExportTaskIdentifier="shop-2026112003",
        SourceArn=rds_arn("cluster-snapshot:rds:shop-2026-11-20-03-05"),
        S3BucketName=BUCKET,
        IamRoleArn=role,
        KmsKeyId=key,
    )


def test_starting_an_export_needs_four_permissions(aws: LocalAws) -> None:
    rds: Any = aws.rds
    rds.answers["StartExportTask"] = "<Status>STARTING</Status>"
    key = make_key(aws)
    role = make_role(aws, "export", "export.rds.amazonaws.com")
    passed = {"StringEquals": {"iam:PassedToService": "export.rds.amazonaws.com"}}
    granted = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    needed = [
        statement("rds:StartExportTask", rds_arn("cluster-snapshot:rds:shop-*")),
        statement("iam:PassRole", role, Condition=passed),
        statement("kms:DescribeKey", key),
        statement("kms:CreateGrant", key, Condition=granted),
    ]
    user = make_reader(aws, *needed)
    assert start_export(aws, role, key, client_of(aws, "rds", *user))["Status"] == "STARTING"
    for missing in needed:
        aws.client("iam").put_user_policy(
            UserName="reader",
            PolicyName="own",
            PolicyDocument=document(*(one for one in needed if one is not missing)),
        )
        with pytest.raises(ClientError, match=missing["Action"]) as failure:
            start_export(aws, role, key, client_of(aws, "rds", *user))
        assert code_of(failure) == "AccessDenied"
    assert len(aws.problems) == 4


def test_an_export_role_must_trust_the_export_service(aws: LocalAws) -> None:
    rds: Any = aws.rds
    rds.answers["StartExportTask"] = "<Status>STARTING</Status>"
    role = make_role(aws, "export", "rds.amazonaws.com")
    with pytest.raises(ClientError, match=r"export\.rds\.amazonaws\.com") as failure:
        start_export(aws, role, make_key(aws), aws.client("rds"))
    assert code_of(failure) == "IamRoleMissingPermissions"


def test_the_local_rds_is_given_what_the_contract_says(aws: LocalAws) -> None:
    rds: Any = aws.rds
    assert (rds.given["account"], rds.given["region"]) == (ACCOUNT, REGION)
    make_bucket(aws)
    assert rds.given["s3"]().list_buckets()["Buckets"][0]["Name"] == BUCKET
    role = make_role(aws, "export", "export.rds.amazonaws.com")
    with pytest.raises(PermissionError, match=f"User: {role} is not authorized"):
        rds.given["authorize"](role, "s3:PutObject", f"{BUCKET_ARN}/x", {})
    assert "s3:PutObject" in aws.problems[0]


def test_what_the_small_rds_does_not_know_goes_to_the_emulator(aws: LocalAws) -> None:
    assert aws.client("rds").describe_db_clusters()["DBClusters"] == []


# --- functions ------------------------------------------------------------------------------------

LOOK = """
import importlib.util, os, boto3

def handler(event, context):
    return {
        "who": boto3.client("sts").get_caller_identity()["Arn"],
        "env": dict(os.environ),
        "found": [name for name in event["names"] if importlib.util.find_spec(name)],
    }
"""


def test_a_function_has_its_role_its_variables_and_only_its_own_packages(
    aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "x")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    aws.environment["GOOGLE_API_ROOT"] = "http://127.0.0.1:9"
    make_function(aws, "plan", LOOK, Environment={"Variables": {"SERVICE_NAME": "shop"}})
    names = ["pydantic", "duckdb", "rehearsal", "botocore", "urllib3"]
    answer = aws.client("lambda").invoke(
        FunctionName="plan", Payload=json.dumps({"names": names}).encode()
    )
    told = json.loads(answer["Payload"].read())
    assert told["who"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/plan-function-role/plan"
    assert told["found"] == ["botocore", "urllib3"]
    env = told["env"]
    assert (env["SERVICE_NAME"], env["GOOGLE_API_ROOT"]) == ("shop", "http://127.0.0.1:9")
    assert (env["AWS_REGION"], env["AWS_ENDPOINT_URL"]) == (REGION, aws.endpoint)
    assert env["AWS_LAMBDA_FUNCTION_NAME"] == "plan"
    assert not {"HOST_SECRET", "AWS_PROFILE", "VIRTUAL_ENV"} & set(env)


def test_a_function_may_do_what_its_role_may(aws: LocalAws) -> None:
    make_bucket(aws)
    code = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    boto3.client('s3').put_object(Bucket=event['bucket'], Key=event['key'], Body=b'1')\n"
    )
    make_function(aws, "settle", code, statement("s3:PutObject", f"{BUCKET_ARN}/loads/*"))

    def call(key: str) -> Any:
        return aws.client("lambda").invoke(
            FunctionName="settle",
            Payload=json.dumps({"bucket": BUCKET, "key": key}).encode(),
        )

    assert "FunctionError" not in call("loads/work.json")
    refused = call("exports/x")
    assert refused["FunctionError"] == "Unhandled"
    told = json.loads(refused["Payload"].read())
    assert told["errorType"] == "AccessDenied"
    assert "AccessDenied" in told["errorMessage"]
    assert any("s3:PutObject" in problem for problem in aws.problems)


def test_a_function_that_may_not_log_is_a_problem(aws: LocalAws) -> None:
    make_function(aws, "plan", "def handler(event, context):\n    return 1\n")
    role = "plan-function-role"
    aws.client("iam").delete_role_policy(RoleName=role, PolicyName="own")
    aws.client("lambda").invoke(FunctionName="plan")
    assert [line for line in aws.problems if "logs:PutLogEvents" in line]


def test_a_function_needs_a_role_that_lambda_may_assume(aws: LocalAws) -> None:
    role = make_role(aws, "r", "states.amazonaws.com")
    with pytest.raises(ClientError, match="cannot be assumed by Lambda") as failure:
        aws.client("lambda").create_function(
            FunctionName="f",
            Role=role,
            Runtime="python3.12",
            Handler="app.handler",
            Code={"ZipFile": b"x"},
        )
    assert code_of(failure) == "InvalidParameterValueException"


# --- events ---------------------------------------------------------------------------------------

PATTERN = {
    "source": ["aws.rds"],
    "detail-type": ["RDS DB Cluster Snapshot Event"],
    "detail": {"EventID": ["RDS-EVENT-0169"], "SourceIdentifier": [{"prefix": "rds:shop-20"}]},
}
TRANSFORMER = {
    "InputPathsMap": {"id": "$.detail.SourceIdentifier", "arn": "$.detail.SourceArn", "e": "$.id"},
    "InputTemplate": '{"snapshot_id": <id>, "snapshot_arn": "<arn>", "event_id": <e>}',
}


def snapshot_event(identifier: str) -> dict[str, Any]:
    detail = {
        "EventID": "RDS-EVENT-0169",
        "SourceIdentifier": identifier,
        "SourceArn": rds_arn(f"cluster-snapshot:{identifier}"),
    }
    return {
        "Source": "aws.rds",
        "DetailType": "RDS DB Cluster Snapshot Event",
        "Detail": json.dumps(detail),
    }


def echo_machine(aws: LocalAws, name: str = "export") -> str:
    return make_machine(aws, name, {"S": {"Type": "Succeed"}})


def make_rule(aws: LocalAws, target: str, role: str | None, **more: Any) -> str:
    events = aws.client("events")
    rule = events.put_rule(Name="snapshots", EventPattern=json.dumps(PATTERN))["RuleArn"]
    entry = {"Id": "machine", "Arn": target, "InputTransformer": TRANSFORMER, **more}
    events.put_targets(Rule="snapshots", Targets=[{**entry, "RoleArn": role} if role else entry])
    return str(rule)


def make_queue(aws: LocalAws, rule_arn: str | None) -> tuple[str, str]:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="dlq")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dlq"
    if rule_arn:
        policy = document(
            statement(
                "sqs:SendMessage",
                arn,
                Principal={"Service": "events.amazonaws.com"},
                Condition={"ArnEquals": {"aws:SourceArn": rule_arn}},
            )
        )
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def test_a_snapshot_event_starts_the_machine_with_the_transformed_input(aws: LocalAws) -> None:
    machine = echo_machine(aws)
    role = make_role(
        aws, "events", "events.amazonaws.com", statement("states:StartExecution", machine)
    )
    make_rule(aws, machine, role)
    answer = aws.client("events").put_events(
        Entries=[
            snapshot_event("rds:shop-2026-11-20-03-05"),
            snapshot_event("rds:shop-replica-2026-11-20-03-05"),
            {**snapshot_event("rds:shop-2026-11-20-03-05"), "Source": "aws.backup"},
        ]
    )
    assert aws.wait_idle(10)
    (execution,) = aws.executions()
    event_id = answer["Entries"][0]["EventId"]
    assert execution.arn.endswith(f":{event_id}_machine")
    described = aws.client("stepfunctions").describe_execution(executionArn=execution.arn)
    assert json.loads(described["input"]) == {
        "snapshot_id": "rds:shop-2026-11-20-03-05",
        "snapshot_arn": rds_arn("cluster-snapshot:rds:shop-2026-11-20-03-05"),
        "event_id": event_id,
    }
    assert aws.problems == []


def test_an_event_delivered_twice_starts_one_execution(aws: LocalAws) -> None:
    machine = echo_machine(aws)
    role = make_role(
        aws, "events", "events.amazonaws.com", statement("states:StartExecution", machine)
    )
    make_rule(aws, machine, role)
    with pytest.raises(LookupError, match="no rule has taken"):
        aws.repeat_last_event()
    rds: Any = aws.rds
    rds.given["put_events"]([snapshot_event("rds:shop-2026-11-20-03-05")])
    aws.repeat_last_event()
    assert aws.wait_idle(10)
    assert len(aws.executions()) == 1


def test_a_target_role_without_permission_starts_nothing_and_fills_the_dead_letters(
    aws: LocalAws,
) -> None:
    machine = echo_machine(aws)
    role = make_role(aws, "events", "events.amazonaws.com")
    url, queue = make_queue(aws, f"arn:aws:events:{REGION}:{ACCOUNT}:rule/snapshots")
    make_rule(aws, machine, role, DeadLetterConfig={"Arn": queue})
    aws.client("events").put_events(Entries=[snapshot_event("rds:shop-2026-11-20-03-05")])
    assert aws.executions() == []
    assert f"does not reach its target {machine}" in aws.problems[0]
    assert "states:StartExecution" in aws.problems[0]
    message = aws.client("sqs").receive_message(QueueUrl=url)["Messages"][0]
    assert json.loads(message["Body"])["detail"]["EventID"] == "RDS-EVENT-0169"


@pytest.mark.parametrize("service", ["states.amazonaws.com", None])
def test_a_target_needs_a_role_that_trusts_eventbridge(aws: LocalAws, service: str | None) -> None:
    machine = echo_machine(aws)
    allowed = statement("states:StartExecution", machine)
    role = make_role(aws, "events", service, allowed) if service else None
    _, queue = make_queue(aws, None)
    make_rule(aws, machine, role, DeadLetterConfig={"Arn": queue})
    aws.client("events").put_events(Entries=[snapshot_event("rds:shop-2026-11-20-03-05")])
    assert aws.executions() == []
    assert "does not reach its target" in aws.problems[0]
    assert "cannot use its dead-letter queue" in aws.problems[1]


def test_an_encrypted_dead_letter_queue_needs_its_key(aws: LocalAws) -> None:
    url, queue = make_queue(aws, f"arn:aws:events:{REGION}:{ACCOUNT}:rule/snapshots")
    key = make_key(aws)
    aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": key})
    make_rule(aws, echo_machine(aws), None, DeadLetterConfig={"Arn": queue})
    events = aws.client("events")
    events.put_events(Entries=[snapshot_event("rds:shop-2026-11-20-03-05")])
    assert "cannot use its dead-letter queue" in aws.problems[1]
    principal = {"Service": "events.amazonaws.com"}
    policy = document(statement(["kms:GenerateDataKey*", "kms:Decrypt"], "*", Principal=principal))
    aws.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    events.put_events(Entries=[snapshot_event("rds:shop-2026-11-20-03-05")])
    assert len(aws.client("sqs").receive_message(QueueUrl=url)["Messages"]) == 1


def test_an_encrypted_topic_needs_its_key(aws: LocalAws) -> None:
    key = make_key(aws)
    topic = aws.client("sns").create_topic(Name="alerts", Attributes={"KmsMasterKeyId": key})
    arn = topic["TopicArn"]
    user = make_reader(aws, statement("sns:Publish", arn))
    with pytest.raises(ClientError, match="kms:GenerateDataKey"):
        client_of(aws, "sns", *user).publish(TopicArn=arn, Message="x")
    aws.client("iam").put_user_policy(
        UserName="reader",
        PolicyName="key",
        PolicyDocument=document(statement(["kms:GenerateDataKey*", "kms:Decrypt"], key)),
    )
    client_of(aws, "sns", *user).publish(TopicArn=arn, Message="x")


def test_a_machine_that_is_gone_is_told_and_the_event_kept(aws: LocalAws) -> None:
    url, queue = make_queue(aws, f"arn:aws:events:{REGION}:{ACCOUNT}:rule/snapshots")
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:gone"
    role = make_role(
        aws, "events", "events.amazonaws.com", statement("states:StartExecution", machine)
    )
    make_rule(aws, machine, role, DeadLetterConfig={"Arn": queue})
    aws.client("events").put_events(Entries=[snapshot_event("rds:shop-2026-11-20-03-05")])
    assert "there is no such state machine" in aws.problems[0]
    assert len(aws.client("sqs").receive_message(QueueUrl=url)["Messages"]) == 1


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"a": <text>}', {"a": 'x "y"'}),
        ('{"a": "<text>"}', {"a": 'x "y"'}),
        ('{"a": "is <text>!"}', {"a": 'is x "y"!'}),
        ('{"a": <list>, "b": <number>}', {"a": [1, "z"], "b": 7}),
        ('{"a": "<list>"}', {"a": '[1, "z"]'}),
        ('{"a": "<other> <"}', {"a": "<other> <"}),
        ('"<text>"', 'x "y"'),
    ],
)
def test_placeholders_are_quoted_as_eventbridge_quotes_them(template: str, expected: Any) -> None:
    values = {"text": 'x "y"', "list": [1, "z"], "number": 7}
    assert json.loads(fill_template(template, values)) == expected


def make_schedule(aws: LocalAws, machine: str, role: str, state: str = "ENABLED") -> None:
    aws.client("scheduler").create_schedule(
        Name="shop",
        ScheduleExpression="cron(30 3 * * ? *)",
        ScheduleExpressionTimezone="Europe/Berlin",
        FlexibleTimeWindow={"Mode": "OFF"},
        State=state,
        Target={
            "Arn": machine,
            "RoleArn": role,
            "Input": '{"scheduled_time": "<aws.scheduler.scheduled-time>"}',
        },
    )


def schedule_role(aws: LocalAws, machine: str) -> str:
    group = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/default"
    iam = aws.client("iam")
    role = iam.create_role(
        RoleName="schedule",
        AssumeRolePolicyDocument=trust(
            "scheduler.amazonaws.com",
            Condition={"ArnEquals": {"aws:SourceArn": group}},
        ),
    )
    iam.put_role_policy(
        RoleName="schedule",
        PolicyName="start",
        PolicyDocument=document(statement("states:StartExecution", machine)),
    )
    return str(role["Role"]["Arn"])


def test_a_schedule_starts_the_machine_with_its_time(aws: LocalAws) -> None:
    machine = echo_machine(aws)
    make_schedule(aws, machine, schedule_role(aws, machine))
    assert aws.executions() == []
    aws.fire_schedule("shop", at=datetime(2026, 11, 20, 2, 30, tzinfo=timezone.utc))
    assert aws.wait_idle(10)
    (execution,) = aws.executions()
    described = aws.client("stepfunctions").describe_execution(executionArn=execution.arn)
    assert json.loads(described["input"]) == {"scheduled_time": "2026-11-20T02:30:00Z"}
    assert aws.problems == []


def test_a_schedule_needs_a_role_that_trusts_its_group(aws: LocalAws) -> None:
    machine = echo_machine(aws)
    role = make_role(
        aws, "wrong", "events.amazonaws.com", statement("states:StartExecution", machine)
    )
    make_schedule(aws, machine, role)
    aws.fire_schedule("shop")
    assert aws.executions() == []
    assert "scheduler.amazonaws.com is not authorized" in aws.problems[0]


def test_only_an_enabled_schedule_that_exists_can_be_fired(aws: LocalAws) -> None:
    machine = echo_machine(aws)
    make_schedule(aws, machine, schedule_role(aws, machine), "DISABLED")
    with pytest.raises(ValueError, match="DISABLED"):
        aws.fire_schedule("shop")
    with pytest.raises(KeyError, match="no schedule default/other"):
        aws.fire_schedule("other")


def test_an_event_over_the_limit_is_refused(aws: LocalAws) -> None:
    entry = {"Source": "s", "DetailType": "d", "Detail": json.dumps({"x": "y" * 262_144})}
    with pytest.raises(ClientError, match="over the limit"):
        aws.client("events").put_events(Entries=[entry])
    assert "over the limit" in aws.problems[0]


# --- the whole way --------------------------------------------------------------------------------


def test_from_a_snapshot_event_to_a_function_in_one_go(aws: LocalAws) -> None:
    """Event, export machine, its own event, load machine, function: each under its own role."""
    make_bucket(aws)
    code = (
        "import boto3, json\n"
        "def handler(event, context):\n"
        "    boto3.client('s3').put_object(\n"
        "        Bucket=event['bucket'], Key='loads/work.json', Body=json.dumps(event).encode()\n"
        "    )\n"
        "    return {'tables': 1}\n"
    )
    function = make_function(aws, "plan", code, statement("s3:PutObject", f"{BUCKET_ARN}/loads/*"))
    plan = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "End": True,
    }
    load = make_machine(aws, "load", {"Plan": plan}, statement("lambda:InvokeFunction", function))
    describe = sdk_task(
        "rds",
        "describeDBClusterSnapshots",
        {"DbClusterSnapshotIdentifier": "{% $states.input.snapshot_id %}"},
        Assign={"made": "{% $states.result.DbClusterSnapshots[0].SnapshotCreateTime %}"},
        Next="Tell",
    )
    tell = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {
            "Entries": [
                {
                    "Source": "data-ferry",
                    "DetailType": "Export Completed",
                    "Detail": {
                        "bucket": BUCKET,
                        "hour": "{% $fromMillis($toMillis($made), '[Y0001][M01][D01][H01]') %}",
                    },
                }
            ]
        },
        "End": True,
    }
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    export = make_machine(
        aws,
        "export",
        {"Describe": describe, "Tell": tell},
        statement("rds:DescribeDBClusterSnapshots", rds_arn("cluster-snapshot:rds:shop-*")),
        statement("events:PutEvents", bus),
    )
    role = make_role(
        aws, "events", "events.amazonaws.com", statement("states:StartExecution", [export, load])
    )
    make_rule(aws, export, role)
    events = aws.client("events")
    events.put_rule(Name="done", EventPattern=json.dumps({"source": ["data-ferry"]}))
    events.put_targets(
        Rule="done",
        Targets=[{"Id": "load", "Arn": load, "RoleArn": role, "InputPath": "$.detail"}],
    )
    events.put_events(Entries=[snapshot_event("rds:shop-2026-11-20-03-05")])
    assert aws.wait_idle(20)
    assert [(one.machine, one.status) for one in aws.executions()] == [
        ("export", "SUCCEEDED"),
        ("load", "SUCCEEDED"),
    ], aws.executions()
    work = aws.client("s3").get_object(Bucket=BUCKET, Key="loads/work.json")["Body"].read()
    assert json.loads(work) == {"bucket": BUCKET, "hour": "2026112003"}
    assert aws.problems == []
    assert aws.log == []


def test_a_role_of_a_machine_may_not_more_than_its_policy(aws: LocalAws) -> None:
    machine = make_machine(aws, "m", {"L": sdk_task("s3", "listObjectsV2", {"Bucket": BUCKET})})
    make_bucket(aws)
    ended = play(aws, machine, {})
    assert ended["status"] == "FAILED"
    assert "s3:ListBucket" in ended["cause"]
