"""The connection to the cluster: made when it is needed, kept between invocations, made anew.

TLS is verified against the certificates of the function's layer, host name included. The password
is a token that IAM signs (valid for 15 minutes, for connecting only: AWS, "IAM database
authentication"), or stands in a secret as RDS writes it; it is fetched for each connection, so a
rotation needs nothing. No error carries it: what PyMySQL says of a failure holds no password.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pymysql
from botocore.exceptions import BotoCoreError, ClientError
from pymysql.connections import Connection

from shared.errors import FerryError, redact

MAX_CONNECT_SECONDS = 10.0
SQL_MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
SESSION = "SET SESSION time_zone = '+00:00', SESSION wait_timeout = 60"
"""Times are UTC. And who is killed within a transaction leaves its locks for a minute, not for the
8 hours of the default; a connection that ends so between two invocations is made anew."""


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
    """One database of the cluster, by at most one connection at a time."""

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
        self._connection: Connection[Any] | None = None
        self._patience = 0.0

    def connection(self, seconds_left: float) -> Connection[Any]:
        """Return a connection that answers, and that gives up before the time is over.

        A connection waits as long for an answer as was decided when it was made: half of the time
        that was left. It is used again while that still fits.
        """
        if self._connection and self._patience <= seconds_left:
            try:
                self._connection.ping(reconnect=False)
            except pymysql.MySQLError:
                self.close()
            else:
                return self._connection
        self.close()
        self._patience = max(seconds_left / 2, 1.0)
        self._connection = self._connect(self._patience)
        return self._connection

    def close(self) -> None:
        """End the connection: the server rolls back what was not committed."""
        connection, self._connection = self._connection, None
        if connection:
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
