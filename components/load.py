"""The load: four functions, the state machine that calls them, and the event that starts it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import iam
from components.alerts import publish_permissions
from components.catalog import CATALOG
from components.export_bucket import LOADS
from components.export_key import through_s3
from components.iam import Statement
from components.packaged_function import powertools
from components.state_machine import StateMachine, StateMachineArgs
from components.trigger import EventTrigger, EventTriggerArgs
from export_identity import shorten
from state_machines import load

MAX_ROLE_NAME = 64


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A function of the load: its module in the package, its size, and what it does."""

    module: str
    memory_mb: int
    timeout_seconds: int
    description: str


# The plan holds the manifest and the catalog of a whole source; the others go through its tables
# in portions and wait for Google most of the time.
_STEPS = {
    "plan": _Step(
        module="plan",
        memory_mb=1024,
        timeout_seconds=300,
        description="Compares an export's manifest with the declared tables",
    ),
    "start-runs": _Step(
        module="start_runs",
        memory_mb=512,
        timeout_seconds=900,
        description="Starts one BigQuery transfer run per table",
    ),
    "check-runs": _Step(
        module="check_runs",
        memory_mb=512,
        timeout_seconds=900,
        description="Asks how the transfer runs are doing",
    ),
    "settle": _Step(
        module="settle",
        memory_mb=512,
        timeout_seconds=900,
        description="Counts rows, truncates empty tables, reports every table's outcome",
    ),
}


@dataclass(frozen=True, kw_only=True)
class LoadFunctionsArgs:
    """The package, what the functions may touch, and how they reach Google Cloud."""

    package: str
    runtime: str
    architecture: str
    service: str
    google_credentials: pulumi.Input[str]
    bucket_arn: pulumi.Input[str]
    prefix: str
    key_arn: pulumi.Input[str]
    region: str
    log_retention_days: int


def role_name(name: str) -> str:
    """Return the role's name for a component of that name: Google's side is told of it first."""
    return shorten(f"{name}-functions", MAX_ROLE_NAME)


class LoadFunctions(pulumi.ComponentResource):
    """Four functions of one package with one role; their names begin with the component's."""

    role_arn: pulumi.Output[str]
    arns: dict[str, pulumi.Output[str]]

    def __init__(
        self, name: str, args: LoadFunctionsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:load:LoadFunctions", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-functions",
            name=role_name(name),
            description="The load functions; trusted by Google Cloud under this name",
            assume_role_policy=iam.trust("lambda.amazonaws.com"),
            opts=child,
        )
        logs = {
            step: aws.cloudwatch.LogGroup(
                f"{name}-{step}",
                name=f"/aws/lambda/{name}-{step}",
                retention_in_days=args.log_retention_days,
                opts=child,
            )
            for step in _STEPS
        }
        permissions = aws.iam.RolePolicy(
            f"{name}-functions",
            name="load",
            role=role.name,
            policy=iam.policy(
                *_permissions(args), iam.write_logs(*(group.arn for group in logs.values()))
            ),
            opts=child,
        )
        package = pulumi.FileArchive(args.package)
        self.arns = {}
        for step, settings in _STEPS.items():
            function = aws.lambda_.Function(
                f"{name}-{step}",
                name=f"{name}-{step}",
                description=settings.description,
                role=role.arn,
                code=package,
                handler=f"load.{settings.module}.handler",
                runtime=args.runtime,
                architectures=[args.architecture],
                memory_size=settings.memory_mb,
                timeout=settings.timeout_seconds,
                environment={"variables": _environment(args, f"load-{step}")},
                # Lambda would make a log group that never forgets.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[permissions, logs[step]]),
            )
            self.arns[step] = function.arn
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn, "arns": self.arns})


def _environment(args: LoadFunctionsArgs, service: str) -> dict[str, pulumi.Input[str]]:
    return {
        "GOOGLE_CREDENTIALS_CONFIG": args.google_credentials,
        **powertools(args.service, service),
    }


def _permissions(args: LoadFunctionsArgs) -> list[Statement]:
    def objects(prefix: str) -> pulumi.Output[str]:
        return pulumi.Output.concat(args.bucket_arn, f"/{prefix}/*")

    readable = (CATALOG, args.prefix, LOADS)
    return [
        # S3 says of an object that is not there that it is not found, rather than forbidden, only
        # to those who may list; it asks that without a prefix, hence IfExists.
        Statement(
            sid="List",
            actions=["s3:ListBucket"],
            resources=[args.bucket_arn],
            conditions={
                "StringLikeIfExists": {"s3:prefix": [f"{prefix}/*" for prefix in readable]}
            },
        ),
        Statement(
            sid="Read",
            actions=["s3:GetObject"],
            resources=[objects(prefix) for prefix in readable],
        ),
        Statement(sid="KeepWork", actions=["s3:PutObject"], resources=[objects(LOADS)]),
        Statement(
            sid="UseKey",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[args.key_arn],
            conditions=through_s3(args.region, args.bucket_arn, None),
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class LoadArgs:
    """The functions, the exports whose completion starts a load, and who hears of failures."""

    functions: LoadFunctions
    bucket: pulumi.Input[str]
    topic_arn: pulumi.Input[str]
    topic_key_arn: pulumi.Input[str]
    dead_letter_queue_arn: pulumi.Input[str]
    runbook_url: str
    log_retention_days: int
    account_id: pulumi.Input[str]
    region: str


class Load(pulumi.ComponentResource):
    """Loads every export into this stack's bucket; its name is the state machine's."""

    machine_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: LoadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:load:Load", name, {}, opts)
        machine = StateMachine(
            name,
            StateMachineArgs(
                definition=_definition(args),
                permissions=[
                    Statement(
                        sid="CallFunctions",
                        actions=["lambda:InvokeFunction"],
                        resources=list(args.functions.arns.values()),
                    ),
                    *publish_permissions(args.topic_arn, args.topic_key_arn, args.region),
                ],
                account_id=args.account_id,
                region=args.region,
                log_retention_days=args.log_retention_days,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        EventTrigger(
            f"{name}-export-completed",
            EventTriggerArgs(
                description="An export into this stack's bucket is complete: load it",
                pattern=pulumi.Output.json_dumps(
                    {
                        "source": ["data-ferry"],
                        "detail-type": ["Export Completed"],
                        "detail": {"bucket": [args.bucket]},
                    }
                ),
                input_path="$.detail",
                machine_arn=machine.arn,
                dead_letter_queue_arn=args.dead_letter_queue_arn,
                account_id=args.account_id,
                region=args.region,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.machine_arn = machine.arn
        self.register_outputs({"machine_arn": self.machine_arn})


def _definition(args: LoadArgs) -> pulumi.Output[str]:
    def render(values: dict[str, str]) -> str:
        return json.dumps(load.definition(load.LoadMachine(runbook_url=args.runbook_url, **values)))

    arns = args.functions.arns
    return pulumi.Output.all(
        plan_arn=arns["plan"],
        start_runs_arn=arns["start-runs"],
        check_runs_arn=arns["check-runs"],
        settle_arn=arns["settle"],
        topic_arn=args.topic_arn,
    ).apply(render)
