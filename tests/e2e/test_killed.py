"""An update that was killed midway is taken up again, as docs/production.md says."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rehearsal import drivers
from tests.e2e.kit import Stack

_PATIENCE_SECONDS = 60.0
# What the stack `local` has.
ALL = Counter(aws=112, gcp=39)
# What is simply made again: the old one is then the same, or harms nobody.
ANEW = {
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:iam/accessKey:AccessKey",
    "gcp:bigquery/dataTransferConfig:DataTransferConfig",
    "gcp:bigquery/datasetIamMember:DatasetIamMember",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:projects/serviceIdentity:ServiceIdentity",
    "gcp:secretmanager/secretVersion:SecretVersion",
    "gcp:serviceaccount/iAMMember:IAMMember",
}


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def interrupted_up(stack: Stack, folder: Path, how: signal.Signals) -> str:
    """Start an update, end it with a signal once it has made some things; return what it said."""
    printed = folder / "killed.log"
    with printed.open("w") as output:
        process = stack.workspace.start(
            "up", "--yes", "--skip-preview", stack=stack.name, output=output
        )
        roles = stack.clouds.aws.client("iam").list_roles
        until(lambda: len(roles()["Roles"]) >= 2, "the first roles")
        if how == signal.SIGINT:
            os.kill(process.pid, how)
        else:
            kill_between_two_checkpoints(stack, process.pid)
        process.wait(_PATIENCE_SECONDS)
    assert process.returncode != 0, "it was done before it was ended; nothing was tried"
    return printed.read_text()


def kill_between_two_checkpoints(stack: Stack, leader: int) -> None:
    """Kill all that an update started, with its state written down to the end.

    A state file is not written at once, as an object of S3 or of Cloud Storage is: one that is cut
    off in the middle is a matter of the disk, and not tried here.
    """
    (state,) = (stack.workspace.folder / "state").glob(f".pulumi/stacks/*/{stack.name}.json")

    def stopped_between() -> bool:
        os.kill(leader, signal.SIGSTOP)
        try:
            checkpoint = json.loads(state.read_text())["checkpoint"]["latest"]
        except ValueError:
            checkpoint = {}
        if checkpoint.get("pending_operations"):
            return True
        os.kill(leader, signal.SIGCONT)
        return False

    try:
        until(stopped_between, "a checkpoint with something under way, written to its end")
    finally:
        for process in session_of(leader):
            # The others may end by themselves once the engine is gone.
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def session_of(leader: int) -> list[int]:
    """Return all processes that a command started: what ends when the machine under it does."""
    session = {p for p in processes() if session_number(p) == leader}
    return [leader, *(session - {leader})]


def processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def session_number(process: int) -> int | None:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return None


def made(stack: Stack) -> int:
    return len([each for each in stack.resources() if each.get("custom")])


def test_an_interrupted_update_is_simply_run_again(local: Stack, tmp_path: Path) -> None:
    """Ctrl-C once: the engine lets what is under way end, and writes it down."""
    interrupted_up(local, tmp_path, signal.SIGINT)
    assert 0 < made(local) < ALL.total()
    assert local.export().get("pending_operations", []) == []
    local.up().succeeded()
    assert local.counts() == ALL
    assert local.play_day().problems == []


def test_a_killed_update_is_taken_up_again(local: Stack, tmp_path: Path) -> None:
    """SIGKILL: the lock stays, and the engine does not know what became of what it began."""
    interrupted_up(local, tmp_path, signal.SIGKILL)
    assert 0 < made(local) < ALL.total()

    locked = local.up()
    assert locked.status != 0
    assert "pulumi cancel" in locked.text
    local.workspace.ask("cancel", "--yes", stack=local.name)

    # It waits for a moment in which something is under way, as far as the state knows.
    begun = local.export()["pending_operations"]
    found = {
        (each["resource"]["type"], each["resource"]["urn"].split("::", 3)[3]): identifier
        for each in begun
        if (identifier := there(local, each["resource"]))
    }
    # `refresh --import-pending-creates` only forgets them in Pulumi 3.274.1: they are imported.
    local.refresh("--clear-pending-creates").succeeded()
    if found:
        local.adopt(lambda *which: found.get(which), tmp_path / "import.json").succeeded()
    assert local.export().get("pending_operations", []) == []

    local.up().succeeded()
    assert local.counts() == ALL
    # Whatever it had been: all else is found by what the program says of it.
    made_by = [each for each in local.resources() if each["type"].startswith(("aws:", "gcp:"))]
    assert {each["type"] for each in made_by if not there(local, each)} == ANEW
    assert local.play_day().problems == []
    local.empty_buckets()
    local.destroy().succeeded()


def there(stack: Stack, resource: dict[str, Any]) -> str | None:
    """Return the provider's id of what was begun, if the cloud has it: what a person looks up."""
    clouds, kind = stack.clouds.clouds, resource["type"]
    for identifier in candidates(stack, kind, resource.get("inputs", {})):
        if drivers.read(clouds, kind, "it", identifier, {}) is not None:
            return identifier
    return None


def candidates(stack: Stack, kind: str, inputs: dict[str, Any]) -> list[str]:
    """Return the ids that a resource with these inputs can have."""
    if kind in LISTED:
        return LISTED[kind](stack, inputs)
    aws, project = stack.clouds.aws, f"projects/{inputs.get('project')}"
    name, bucket = inputs.get("name", ""), inputs.get("bucket", "")
    place = f"{aws.region}:{aws.account}"
    by_kind = {
        "aws:cloudwatch/logStream:LogStream": f"{inputs.get('logGroupName')}:{name}",
        "aws:iam/rolePolicy:RolePolicy": f"{inputs.get('role')}:{name}",
        "aws:iam/userPolicy:UserPolicy": f"{inputs.get('user')}:{name}",
        "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": (
            f"arn:aws:firehose:{place}:deliverystream/{name}"
        ),
        "aws:kms/keyPolicy:KeyPolicy": str(inputs.get("keyId")),
        "aws:rds/clusterRoleAssociation:ClusterRoleAssociation": (
            f"{inputs.get('dbClusterIdentifier')},{inputs.get('roleArn')}"
        ),
        "aws:sqs/queue:Queue": f"{aws.endpoint}/{aws.account}/{name}",
        "aws:sqs/queuePolicy:QueuePolicy": str(inputs.get("queueUrl")),
        "aws:sfn/stateMachine:StateMachine": f"arn:aws:states:{place}:stateMachine:{name}",
        "aws:s3/bucketObjectv2:BucketObjectv2": f"{bucket}/{inputs.get('key')}",
        "aws:sns/topic:Topic": f"arn:aws:sns:{place}:{name}",
        "aws:sns/topicPolicy:TopicPolicy": str(inputs.get("arn")),
        "gcp:projects/service:Service": f"{inputs.get('project')}/{inputs.get('service')}",
        "gcp:projects/iAMCustomRole:IAMCustomRole": f"{project}/roles/{inputs.get('roleId')}",
        "gcp:secretmanager/secret:Secret": f"{project}/secrets/{inputs.get('secretId')}",
        "gcp:bigquery/dataset:Dataset": f"{project}/datasets/{inputs.get('datasetId')}",
        "gcp:bigquery/table:Table": (
            f"{project}/datasets/{inputs.get('datasetId')}/tables/{inputs.get('tableId')}"
        ),
        "gcp:serviceaccount/account:Account": (
            f"{project}/serviceAccounts/{inputs.get('accountId')}"
            f"@{inputs.get('project')}.iam.gserviceaccount.com"
        ),
        "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": (
            f"{project}/locations/global/workloadIdentityPools/"
            f"{inputs.get('workloadIdentityPoolId')}"
        ),
        "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": (
            f"{project}/locations/global/workloadIdentityPools/"
            f"{inputs.get('workloadIdentityPoolId')}/providers/"
            f"{inputs.get('workloadIdentityPoolProviderId')}"
        ),
        # Nothing of it can be read; it is simply asked for again.
        "gcp:projects/serviceIdentity:ServiceIdentity": "",
    }
    identifier = by_kind.get(kind, name or bucket)
    return [identifier] if identifier else []


def keys(stack: Stack, inputs: dict[str, Any]) -> list[str]:
    kms = stack.clouds.aws.client("kms")
    found = [kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in kms.list_keys()["Keys"]]
    return [key["KeyId"] for key in found if key["Description"] == inputs["description"]]


def layers(stack: Stack, inputs: dict[str, Any]) -> list[str]:
    found = stack.clouds.aws.client("lambda").list_layer_versions(LayerName=inputs["layerName"])
    return [each["LayerVersionArn"] for each in found["LayerVersions"]]


def mappings(stack: Stack, inputs: dict[str, Any]) -> list[str]:
    listed = stack.clouds.aws.client("lambda").list_event_source_mappings
    source = inputs["eventSourceArn"]
    return [m["UUID"] for m in listed(EventSourceArn=source)["EventSourceMappings"]]


def groups(stack: Stack, inputs: dict[str, Any]) -> list[str]:
    listed = stack.clouds.aws.client("ec2").describe_security_groups()["SecurityGroups"]
    return [each["GroupId"] for each in listed if each["GroupName"] == inputs["name"]]


def rules(stack: Stack, inputs: dict[str, Any]) -> list[str]:
    within = [{"Name": "group-id", "Values": [inputs["securityGroupId"]]}]
    listed = stack.clouds.aws.client("ec2").describe_security_group_rules(Filters=within)
    return [
        each["SecurityGroupRuleId"]
        for each in listed["SecurityGroupRules"]
        if each.get("Description") == inputs["description"]
    ]


# What the cloud gives an id to that nobody can tell beforehand.
LISTED: dict[str, Callable[[Stack, dict[str, Any]], list[str]]] = {
    "aws:ec2/securityGroup:SecurityGroup": groups,
    "aws:kms/key:Key": keys,
    "aws:lambda/eventSourceMapping:EventSourceMapping": mappings,
    "aws:lambda/layerVersion:LayerVersion": layers,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": rules,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": rules,
}
