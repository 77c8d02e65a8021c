"""An Aurora cluster that may load from a bucket, for tests of what it does and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pymysql

from rehearsal.aws.aurora import Aurora
from rehearsal.aws.cloud import ACCOUNT, LocalAws
from tests.rehearsal.aws.cloud_kit import REGION, document, make_role, statement
from tests.rehearsal.databases import need_mariadb

CLUSTER, BUCKET, DATABASE, GROUP = "orders-stg", "ferry-loads", "shop", "orders-group"
STRICT = "STRICT_ALL_TABLES"

Rows = tuple[tuple[Any, ...], ...]


@dataclass
class Stage:
    """A local AWS with one running Aurora cluster in it."""

    aws: LocalAws
    aurora: Aurora
    role: str

    def put(self, key: str, text: str | bytes) -> str:
        """Put an object and return its URI."""
        body = text.encode() if isinstance(text, str) else text
        self.aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def sql(self, statement: str) -> Rows:
        """Run a statement as the master user."""
        with self.aurora.master(DATABASE) as connection:
            return run(connection, statement)

    def connect(self, user: str, password: str, **options: Any) -> pymysql.Connection:
        """Connect over TLS, as the functions do; nothing commits by itself."""
        tls = {"ssl_ca": str(self.aurora.ca_file), "ssl_verify_identity": True}
        return pymysql.connect(
            host=self.aurora.endpoint,
            port=self.aurora.port,
            user=user,
            password=password,
            **{**tls, **options},
        )

    def loader(self, mode: str = STRICT) -> pymysql.Connection:
        """Connect as a user who may load, in a session of this sql_mode."""
        connection = self.connect("ferry", "hush", database=DATABASE)
        run(connection, f"SET SESSION sql_mode = '{mode}'")
        return connection

    def token(self, keys: dict[str, str], **changes: Any) -> str:
        """Make a token with somebody's keys, as boto3 makes it."""
        asked = {
            "DBHostname": self.aurora.endpoint,
            "Port": self.aurora.port,
            "DBUsername": "tokens",
            **changes,
        }
        made: str = boto3.client("rds", region_name=REGION, **keys).generate_db_auth_token(**asked)  # type: ignore[call-overload]
        return made

    def person(self, name: str, *resources: str) -> dict[str, str]:
        """Make an IAM user who may connect as these database users; return their keys."""
        iam = self.aws.client("iam")
        iam.create_user(UserName=name)
        allowed = [statement("rds-db:connect", resource) for resource in resources]
        if allowed:
            policy = document(*allowed)
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
        }

    def database_user(self, name: str) -> str:
        """Return the ARN of a database user for policies."""
        resource = self.aurora.cluster.resource_id
        return f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{resource}/{name}"


def run(connection: pymysql.Connection, statement: str) -> Rows:
    """Run a statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return tuple(cursor.fetchall())


def may_load(*resources: str) -> list[dict[str, Any]]:
    """Return the statements of the user guide's policy."""
    objects = list(resources) or [f"arn:aws:s3:::{BUCKET}/*"]
    return [
        statement("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
        statement(["s3:GetObject", "s3:GetObjectVersion"], objects),
    ]


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A cluster with a database, a user who may load, a user with tokens, and a bucket."""
    need_mariadb()
    with LocalAws(REGION) as aws:
        aws.rds.register_aurora(CLUSTER)
        with aws.rds.aurora(CLUSTER, folder) as aurora:
            yield _furnished(aws, aurora)


def _furnished(aws: LocalAws, aurora: Aurora) -> Stage:
    aws.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    role = make_role(aws, "aurora-loads", "rds.amazonaws.com", *may_load())
    rds = aws.client("rds")
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=GROUP,
        DBParameterGroupFamily="aurora-mysql8.0",
        Description="Loads",
    )
    parameter = {"ParameterName": "aws_default_s3_role", "ParameterValue": role}
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=GROUP, Parameters=[{**parameter, "ApplyMethod": "immediate"}]
    )
    rds.modify_db_cluster(DBClusterIdentifier=CLUSTER, DBClusterParameterGroupName=GROUP)
    rds.add_role_to_db_cluster(DBClusterIdentifier=CLUSTER, RoleArn=role)
    with aurora.master() as connection:
        for sql in (
            f"CREATE DATABASE {DATABASE}",
            # As a runbook has them, in Aurora's words.
            "CREATE USER 'ferry'@'%' IDENTIFIED BY 'hush'",
            "CREATE USER 'tokens'@'%' IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'",
            f"GRANT ALL ON {DATABASE}.* TO 'ferry'@'%'",
            f"GRANT SELECT ON {DATABASE}.* TO 'tokens'@'%'",
            "GRANT AWS_LOAD_S3_ACCESS TO 'ferry'@'%'",
            "SET DEFAULT ROLE AWS_LOAD_S3_ACCESS TO 'ferry'@'%'",
        ):
            run(connection, sql)
    return Stage(aws, aurora, role)
