"""Runs a Pulumi program under the SDK's mocks and records every resource it registers.

What a program sends to the engine is looked at in its raw form, where a secret is still marked as
one. An assertion is made on the list of recorded resources after the program ran, never inside an
`apply`: a list that is empty because nothing ran fails the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf import json_format
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import run_in_stack

ACCOUNT = "111122223333"
REGION = "eu-west-1"
PROJECT_NUMBER = "123456789012"
SECRET_OF_KEY = "wJalr-this-must-stay-secret"

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A resource as it was sent to the engine; `secrets` are the paths of its secret inputs."""

    type: str
    name: str
    urn: str
    parent: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    depends_on: frozenset[str]
    protect: bool
    ignore_changes: tuple[str, ...]
    secret_outputs: tuple[str, ...]
    provider: str
    custom: bool

    @property
    def text(self) -> str:
        return json.dumps(self.inputs, sort_keys=True)


@dataclass
class Recording:
    """Everything a program registered, in order, and the stack outputs."""

    resources: list[Registered] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()

    def all(self, type_: str) -> list[Registered]:
        found = [each for each in self.resources if each.type == type_]
        assert found, f"no {type_} among {sorted({each.type for each in self.resources})}"
        return found

    def one(self, type_: str, name: str | None = None) -> Registered:
        found = [each for each in self.all(type_) if name in (None, each.name)]
        assert len(found) == 1, f"{len(found)} of {type_} {name}: {[each.name for each in found]}"
        return found[0]

    def has(self, type_: str) -> bool:
        return any(each.type == type_ for each in self.resources)

    def position(self, resource: Registered) -> int:
        return self.resources.index(resource)

    def policies(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every policy document of the program with a description of where it stands."""
        for resource in self.resources:
            for key, text in _policies_of(resource.inputs):
                yield f"{resource.type} {resource.name} {key}", json.loads(text)

    def statements(self, type_: str, name: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the statements of the one policy of a resource, by their ids."""
        resource = self.one(type_, name)
        ((_, text),) = _policies_of(resource.inputs)
        listed = json.loads(text)["Statement"]
        statements = {each["Sid"]: each for each in listed}
        assert len(statements) == len(listed), "statement ids repeat"
        return statements


def _policies_of(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (key, value)
        for key, value in inputs.items()
        # Where a queue's messages go in the end is called a policy, too, and is none.
        if key.lower().endswith("policy") and key != "redrivePolicy" and isinstance(value, str)
    ]


# The outputs AWS and Google would add to what a resource was given.
_ARNS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "aws:s3/bucket:Bucket": lambda i: f"arn:aws:s3:::{i['bucket']}",
    "aws:iam/role:Role": lambda i: f"arn:aws:iam::{ACCOUNT}:role/{i['name']}",
    "aws:iam/user:User": lambda i: f"arn:aws:iam::{ACCOUNT}:user/{i['name']}",
    "aws:kms/key:Key": lambda i: f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{i['description']}",
    "aws:sns/topic:Topic": lambda i: f"arn:aws:sns:{REGION}:{ACCOUNT}:{i['name']}",
    "aws:sqs/queue:Queue": lambda i: f"arn:aws:sqs:{REGION}:{ACCOUNT}:{i['name']}",
    "aws:cloudwatch/logGroup:LogGroup": (
        lambda i: f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{i['name']}"
    ),
    "aws:sfn/stateMachine:StateMachine": (
        lambda i: f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{i['name']}"
    ),
    "aws:lambda/function:Function": (
        lambda i: f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{i['name']}"
    ),
    "aws:lambda/layerVersion:LayerVersion": (
        lambda i: f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{i['layerName']}:1"
    ),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": (
        lambda i: f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{i['name']}"
    ),
    "aws:dynamodb/table:Table": (
        lambda i: f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{i['name']}"
    ),
    "aws:cloudwatch/eventRule:EventRule": (
        lambda i: f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{i['name']}"
    ),
}


NOT_THERE = "not-there"
"""The name of a table, bucket or subnet group that no look-up finds."""

STREAM = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/page-views/stream/2026-01-01T00:00:00.000"
_VPC = {"vpcId": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"]}

# What look-ups find.
_FOUND: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "aws:rds/getSubnetGroup:getSubnetGroup": lambda i: {**i, **_VPC},
    "aws:s3/getBucket:getBucket": lambda i: {**i, "arn": f"arn:aws:s3:::{i['bucket']}"},
    "aws:dynamodb/getTable:getTable": lambda i: {
        **i,
        "arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{i['name']}",
        "hashKey": "page_id",
        "rangeKey": "at",
        "attributes": [{"name": "at", "type": "N"}, {"name": "page_id", "type": "S"}],
        "streamEnabled": i["name"] != "no-stream",
        "streamViewType": "KEYS_ONLY" if i["name"] == "keys-only" else "NEW_AND_OLD_IMAGES",
        "streamArn": STREAM,
    },
}


def _cluster(identifier: str, databases: Mapping[str, str]) -> dict[str, Any]:
    """Return a cluster; databases may say `engine version`, and `no-tokens` after that."""
    engine, version, *rest = [*databases[identifier].split(), "8.0.mysql_aurora.3.08.2"]
    return {
        "engine": engine,
        "engineVersion": version,
        "arn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{identifier}",
        "clusterIdentifier": identifier,
        "endpoint": f"{identifier}.cluster-x.{REGION}.rds.amazonaws.com",
        "port": 3306,
        "clusterResourceId": "cluster-ABC",
        "dbSubnetGroupName": "default",
        "vpcSecurityGroupIds": ["sg-cluster", "sg-other"],
        "iamDatabaseAuthenticationEnabled": "no-tokens" not in rest,
    }


class Clouds(pulumi_mocks.Mocks):
    """Answers as the clouds would; databases are given as identifier -> engine."""

    def __init__(
        self, recording: Recording, databases: Mapping[str, str], *, preview: bool
    ) -> None:
        self.recording = recording
        self.databases = databases
        self.preview = preview

    def call(self, args: pulumi_mocks.MockCallArgs) -> Any:
        self.recording.calls.append((args.token, args.args))
        try:
            return self._found(args)
        except LookupError as error:
            # As the providers say it, on several lines.
            return {}, [("", f"1 error occurred:\n\t* {args.token}: {error}: not found\n\n")]

    def _found(self, args: pulumi_mocks.MockCallArgs) -> Any:
        if args.token == "aws:index/getCallerIdentity:getCallerIdentity":
            return {"accountId": ACCOUNT, "id": ACCOUNT}
        if args.token == "gcp:organizations/getProject:getProject":
            self._must_be_there(args)
            return {"number": PROJECT_NUMBER, "projectId": args.args["projectId"]}
        if args.token == "aws:rds/getCluster:getCluster":
            return _cluster(args.args["clusterIdentifier"], self.databases)
        if args.token in _FOUND:
            self._must_be_there(args)
            return _FOUND[args.token](args.args)
        if args.token == "aws:rds/getInstance:getInstance":
            engine, _, cluster = self.databases[args.args["dbInstanceIdentifier"]].partition("@")
            return {"engine": engine, "dbClusterIdentifier": cluster}
        raise AssertionError(f"unexpected call {args.token}")

    @staticmethod
    def _must_be_there(args: pulumi_mocks.MockCallArgs) -> None:
        if NOT_THERE in args.args.values():
            raise LookupError(NOT_THERE)

    def new_resource(self, args: pulumi_mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = _plain(args.inputs)
        state = {**inputs}
        if self.preview and args.custom and not args.typ.startswith("pulumi:"):
            return "", state  # what the clouds will add is not known yet
        if args.typ in _ARNS:
            state["arn"] = _ARNS[args.typ](inputs)
        if args.typ == "aws:dynamodb/table:Table":
            state["streamArn"] = STREAM
        if args.typ == "aws:lambda/eventSourceMapping:EventSourceMapping":
            state["uuid"] = f"uuid-of-{args.name}"
        if args.typ == "aws:kms/key:Key":
            state["keyId"] = inputs["description"]
        if args.typ == "aws:sqs/queue:Queue":
            state["url"] = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{inputs['name']}"
        if args.typ == "aws:iam/accessKey:AccessKey":
            return f"AKIA-{args.name}", {**state, "secret": SECRET_OF_KEY}
        state.update(_google(args, inputs))
        return f"{args.name}-id", state


def _google(args: pulumi_mocks.MockResourceArgs, inputs: dict[str, Any]) -> dict[str, Any]:
    project = inputs.get("project")
    if args.typ == "gcp:serviceaccount/account:Account":
        email = f"{inputs['accountId']}@{project}.iam.gserviceaccount.com"
        return {
            "email": email,
            "member": f"serviceAccount:{email}",
            "name": f"projects/{project}/serviceAccounts/{email}",
        }
    if args.typ == "gcp:projects/iAMCustomRole:IAMCustomRole":
        return {"name": f"projects/{project}/roles/{inputs['roleId']}"}
    pools = f"projects/{PROJECT_NUMBER}/locations/global/workloadIdentityPools"
    if args.typ == "gcp:iam/workloadIdentityPool:WorkloadIdentityPool":
        return {"name": f"{pools}/{inputs['workloadIdentityPoolId']}"}
    if args.typ == "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider":
        pool, provider = (
            inputs["workloadIdentityPoolId"],
            inputs["workloadIdentityPoolProviderId"],
        )
        return {"name": f"{pools}/{pool}/providers/{provider}"}
    if args.typ == "gcp:bigquery/dataTransferConfig:DataTransferConfig":
        where = f"projects/{PROJECT_NUMBER}/locations/{inputs['location']}"
        return {"name": f"{where}/transferConfigs/{args.name}"}
    return {}


@contextlib.contextmanager
def _loop_of_this_thread() -> Iterator[None]:
    """Give the SDK's monitor the event loop it needs in its worker thread, and close it again."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class _Monitor(pulumi_mocks.MockMonitor):
    def __init__(self, mocks: Clouds) -> None:
        super().__init__(mocks)
        self._recording = mocks.recording

    def RegisterResource(self, request: Any) -> Any:
        with _loop_of_this_thread():
            response = cast(Any, super()).RegisterResource(request)
        if request.type == "pulumi:pulumi:Stack":
            return response
        raw = json_format.MessageToDict(request.object)
        self._recording.resources.append(
            Registered(
                type=request.type,
                name=request.name,
                urn=response.urn,
                parent=request.parent,
                inputs=_plain(raw),
                secrets=frozenset(_secret_paths(raw, "")),
                depends_on=frozenset(request.dependencies),
                protect=request.protect,
                ignore_changes=tuple(request.ignoreChanges),
                secret_outputs=tuple(request.additionalSecretOutputs),
                provider=request.provider,
                custom=request.custom,
            )
        )
        return response

    def Invoke(self, request: Any) -> Any:
        with _loop_of_this_thread():
            return cast(Any, super()).Invoke(request)

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            raw = json_format.MessageToDict(request.outputs)
            self._recording.outputs = _plain(raw)
            self._recording.secret_outputs = frozenset(_secret_paths(raw, ""))
        return cast(Any, super()).RegisterResourceOutputs(request)


def _plain(value: Any) -> Any:
    """Return a value without the marks of secrets."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            return _plain(value["value"])
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _secret_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET_SIGNATURE:
            yield path
            return
        for key, inner in value.items():
            yield from _secret_paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secret_paths(inner, f"{path}[{index}]")


def record(
    program: Callable[[], Any],
    *,
    stack: str = "stg",
    config: Mapping[str, str] | None = None,
    databases: Mapping[str, str] | None = None,
    preview: bool = False,
) -> Recording:
    """Run a program as the engine would run it, and return what it registered."""
    # Of a program that is stopped, every waiting task would log a traceback when it is forgotten.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    recording = Recording()
    monitor = _Monitor(Clouds(recording, databases or {}, preview=preview))
    # set_mocks makes a stack of its own unless there is one; the program's is made by
    # run_in_stack, in the loop the program runs in, as the language host does.
    set_root_resource(cast(Any, object()))
    pulumi_mocks.set_mocks(
        monitor.mocks, project="data-ferry", stack=stack, preview=preview, monitor=monitor
    )
    set_root_resource(cast(Any, None))
    # A program that was stopped leaves outputs behind that nobody will ever await.
    SETTINGS.outputs.clear()
    set_all_config(dict(config or {}))

    def run() -> None:
        program()

    asyncio.run(run_in_stack(run))
    assert recording.resources, "the program registered nothing"
    return recording
