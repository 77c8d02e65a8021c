"""What is there before a stack with the replication route is deployed: its cluster, its tables."""

from __future__ import annotations

import json
import re
import secrets
import ssl
from pathlib import Path

from rehearsal import stack_file
from rehearsal.aws.aurora import certificates
from rehearsal.aws.cloud import LocalAws
from rehearsal.replication import flows
from rehearsal.replication.flows import Flow
from rehearsal.stack_file import Config

_SECRET_ARN = re.compile(r"arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:.+-[A-Za-z0-9]{6}")


def with_certificates(config: Config, project: Path) -> Config:
    """Return *config* with the local authority's certificate, which is made if it is not there.

    Whatever a stack trusts, the cluster of a rehearsal has a certificate of this authority. A file
    that is not there, or is no certificate, stays as it is, for the program to tell.
    """
    cluster = flows.cluster(config)
    if cluster is None:
        return config
    folder = authority_of(project)
    file = certificates.authority(folder)
    if not _are_certificates(project / str(cluster.get("ca_bundle"))):
        return config
    trusted = {**cluster, "ca_bundle": file.relative_to(project).as_posix()}
    return stack_file.with_option(config, stack_file.REPLICATION, cluster=trusted)


def _are_certificates(file: Path) -> bool:
    try:
        ssl.create_default_context(cafile=file)
        return b"PRIVATE KEY" not in file.read_bytes()
    except OSError:  # which SSLError is one of
        return False


def authority_of(project: Path) -> Path:
    """Return the folder of the local certificate authority: git and the packages leave it alone."""
    return project / stack_file.LOCAL_PACKAGES


def make(aws: LocalAws, config: Config) -> None:
    """Make what the stack looks up; nothing where it has no such route, or says it wrongly."""
    cluster = flows.cluster(config)
    if cluster is None:
        return
    aws.rds.register_aurora(str(cluster["identifier"]))
    for flow in flows.declared_flows(config):
        if not flow.is_made:
            _make_table(aws, flow)


def with_secret(aws: LocalAws, config: Config) -> tuple[Config, str | None]:
    """Return *config* with a local secret in place of the one it names, and the password in it.

    None is the password of a user that logs on with tokens. What is no ARN of a secret stays as it
    is, for the program to tell.
    """
    cluster = flows.cluster(config)
    if cluster is None or not _SECRET_ARN.fullmatch(str(cluster.get("secret_arn"))):
        return config, None
    password = secrets.token_urlsafe(16)
    content = {"username": cluster["user"], "password": password}
    made = aws.client("secretsmanager").create_secret(
        Name=str(cluster["secret_arn"]).split(":")[-1].rpartition("-")[0] or "loader",
        SecretString=json.dumps(content),
    )
    named = {**cluster, "secret_arn": made["ARN"]}
    return stack_file.with_option(config, stack_file.REPLICATION, cluster=named), password


def _make_table(aws: LocalAws, flow: Flow) -> None:
    aws.client("dynamodb").create_table(
        TableName=flow.table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": type_} for name, type_ in flow.key.items()
        ],
        KeySchema=[
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(flow.key, ("HASH", "RANGE"), strict=False)
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
