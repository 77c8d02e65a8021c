"""The connection to the cluster: one for each load, so that none is met that has died meanwhile.

TLS is verified against the certificates of the function's layer, host name included. The password
is a token that IAM signs (valid for 15 minutes, for connecting only: AWS, "IAM database
authentication"), or stands in a secret as RDS writes it; it is fetched for each connection, so a
rotation needs nothing. No error carries it: what PyMySQL says of a failure holds no password.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymysql
from botocore.exceptions import BotoCoreError, ClientError
from pymysql.connections import Connection

from shared.errors import FerryError, redact

MAX_CONNECT_SECONDS = 10.0
SECONDS_TO_SPARE = 5.0
"""So long before the invocation ends nobody waits for the server any more, and an error is told."""
SQL_MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
SESSION = "SET SESSION time_zone = '+00:00', SESSION wait_timeout = 60"
"""Times are UTC. And who is killed within a transaction leaves its locks for a minute, not for the
8 hours of the default."""


@dataclass(frozen=True)
class Login:
    """Who connects; the password is in no text of this."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r})"


Credentials = Callable[[], Login]


def iam_token(client: Any, host: str, port: int, user: str, region: str) -> Credentials:
    """Return credentials by IAM database authentication; `client` is boto3's of RDS."""
    return lambda: Login(
        user,
        client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region),
    )


def secret(client: Any, arn: str, user: str) -> Credentials:
    """Return credentials from a secret; `client` is boto3's of Secrets Manager."""

    def read() -> Login:
        try:
            text = client.get_secret_value(SecretId=arn)["SecretString"]
        except (BotoCoreError, ClientError) as error:
            raise FerryError(redact(f"{arn} cannot be read: {error}")) from None
        try:
            document = json.loads(text)
            return Login(document.get("username") or user, document["password"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise FerryError(f"{arn} is not JSON with a password, as RDS writes it") from None

    return read


def verified(certificates: str) -> ssl.SSLContext:
    """Return what verifies the server.

    Without Python 3.13's VERIFY_X509_STRICT, which asks for extensions that certificates of older
    authorities lack; chain, time and host name are verified all the same.
    """
    context = ssl.create_default_context(cadata=certificates)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


class Database:
    """One database of the cluster."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        database: str,
        credentials: Credentials,
        tls: ssl.SSLContext,
    ) -> None:
        self._host = host
        self._port = port
        self._database = database
        self._credentials = credentials
        self._tls = tls

    @contextmanager
    def connection(self, seconds_left: float) -> Iterator[Connection[Any]]:
        """Open a connection that waits for no answer longer than there is time.

        At the end it is closed: the server rolls back what was not committed.
        """
        connection = self._connect(max(seconds_left - SECONDS_TO_SPARE, 1.0))
        try:
            yield connection
        finally:
            with suppress(pymysql.MySQLError):  # of a connection that is closed already
                connection.close()

    def _connect(self, patience: float) -> Connection[Any]:
        login = self._credentials()
        connection = pymysql.connect(
            host=self._host,
            port=self._port,
            user=login.user,
            password=login.password,
            database=self._database,
            ssl=self._tls,
            charset="utf8mb4",
            sql_mode=SQL_MODE,
            init_command=SESSION,
            autocommit=True,
            connect_timeout=min(MAX_CONNECT_SECONDS, patience),
            read_timeout=patience,
            write_timeout=patience,
        )
        if not is_mariadb(connection):
            # AWS_LOAD_S3_ACCESS is a role, which a session has only once it is set (AWS, "Loading
            # data into an Aurora MySQL DB cluster from text files in an Amazon S3 bucket").
            with connection.cursor() as cursor:
                cursor.execute("SET ROLE ALL")
        return connection


def is_mariadb(connection: Connection[Any]) -> bool:
    """Is the server a MariaDB? It stands in for Aurora where there is none."""
    return "mariadb" in str(getattr(connection, "server_version", "")).lower()
