"""What the tests of the local AWS share: a small RDS, roles, functions, machines."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from rehearsal.aws.cloud import ACCOUNT, LocalAws

REGION = "eu-west-1"
_XMLNS = "http://rds.amazonaws.com/doc/2014-10-31/"

SNAPSHOT = (
    "<DBClusterSnapshots><DBClusterSnapshot>"
    "<DBClusterSnapshotIdentifier>rds:shop-2026-11-20-03-05</DBClusterSnapshotIdentifier>"
    "<DBClusterIdentifier>shop</DBClusterIdentifier>"
    "<SnapshotCreateTime>2026-11-20T03:05:00Z</SnapshotCreateTime>"
    "</DBClusterSnapshot></DBClusterSnapshots>"
)


class SmallRds:
    """Stands where LocalRds stands: answers by action, or refuses by error code."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.requests: list[dict[str, str]] = []
        self.answers: dict[str, str | tuple[str, str]] = {"DescribeDBClusterSnapshots": SNAPSHOT}

    async def handle(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: Any,
        delegate: Callable[..., Any],
    ) -> Any:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        answer = self.answers.get(form.get("Action", ""))
        if answer is None:
            return await delegate(method, path, headers, body, query_params)
        self.requests.append(form)
        if isinstance(answer, tuple):
            code, message = answer
            xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            return 400, {"Content-Type": "text/xml"}, f"{xml}</ErrorResponse>".encode()
        action = form["Action"]
        xml = f'<{action}Response xmlns="{_XMLNS}"><{action}Result>{answer}</{action}Result>'
        return 200, {"Content-Type": "text/xml"}, f"{xml}</{action}Response>".encode()

    def close(self) -> None:
        """Nothing runs."""


def local_aws(**options: Any) -> LocalAws:
    """Return a local AWS with the small RDS."""
    return LocalAws(REGION, rds=SmallRds, **options)


def statement(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    """Return an Allow statement."""
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def document(*statements: Mapping[str, Any]) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, **more: Any) -> str:
    """Return a trust policy for an AWS service."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
            **more,
        }
    )


def make_role(aws: LocalAws, name: str, service: str, *statements: Mapping[str, Any]) -> str:
    """Make a role that *service* may assume; return its ARN."""
    iam = aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
    return str(role["Role"]["Arn"])


# What Lambda needs to connect a function to a VPC.
INTERFACES = [
    *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
    *("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
]


def make_function(
    aws: LocalAws,
    name: str,
    code: str,
    *statements: Mapping[str, Any],
    connects: bool = True,
    **options: Any,
) -> str:
    """Make a function with a role of its own; *code* is its module `app`.

    In a VPC its role may connect it, unless it is to do so by the *statements* alone.
    """
    logs = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/{name}:*"
    may_log = statement(["logs:CreateLogStream", "logs:PutLogEvents"], logs)
    connect = [statement(INTERFACES, "*")] if connects and "VpcConfig" in options else []
    role = make_role(
        aws, f"{name}-function-role", "lambda.amazonaws.com", may_log, *connect, *statements
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("app.py", code)
    made = aws.client("lambda").create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.12",
        Handler="app.handler",
        Code={"ZipFile": archive.getvalue()},
        **{"Timeout": 30, **options},
    )
    return str(made["FunctionArn"])


def make_machine(
    aws: LocalAws, name: str, states: Mapping[str, Any], *statements: Mapping[str, Any], **more: Any
) -> str:
    """Make a JSONata machine with a role of its own that starts at its first state."""
    role = make_role(aws, f"{name}-role", "states.amazonaws.com", *statements)
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": next(iter(states)),
        "States": states,
        **more,
    }
    made = aws.client("stepfunctions").create_state_machine(
        name=name, roleArn=role, definition=json.dumps(definition)
    )
    return str(made["stateMachineArn"])


def play(aws: LocalAws, machine: str, payload: Any) -> dict[str, Any]:
    """Play an execution to its end and return its description."""
    states = aws.client("stepfunctions")
    started = states.start_execution(stateMachineArn=machine, input=json.dumps(payload))
    assert aws.wait_idle(30)
    described: dict[str, Any] = states.describe_execution(executionArn=started["executionArn"])
    return described


def sdk_task(service: str, action: str, arguments: Any, **more: Any) -> dict[str, Any]:
    """Return a Task state of an AWS SDK integration that ends the machine."""
    task = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::aws-sdk:{service}:{action}",
        "Arguments": arguments,
        **more,
    }
    return task if "Next" in task else {**task, "End": True}


def rds_arn(resource: str) -> str:
    """Return the ARN of an RDS resource of the local account."""
    return f"arn:aws:rds:{REGION}:{ACCOUNT}:{resource}"
