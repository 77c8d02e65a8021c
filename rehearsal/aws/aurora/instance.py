"""A cluster that runs: MariaDB, its front, and what Aurora has in a new database."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import pymysql

from rehearsal.aws.aurora import certificates, dialect
from rehearsal.aws.aurora.authentication import Tokens
from rehearsal.aws.aurora.cluster import Cluster
from rehearsal.aws.aurora.front import Front
from rehearsal.aws.aurora.load import HISTORY, HISTORY_TABLE, ROLE, Loader
from rehearsal.aws.aurora.network import Network
from rehearsal.aws.aurora.server import MariaDb
from rehearsal.aws.aurora.session import Rules
from rehearsal.aws.aurora.surroundings import Surroundings

MASTER = "admin"

_HOST = "127.0.0.1"


class Aurora:
    """The database of a registered cluster; while it runs, the cluster's endpoint is here.

    Users are made with SQL, by the master. `CREATE USER ... IDENTIFIED WITH AWSAuthenticationPlugin
    AS 'RDS'` makes one that logs in with tokens.
    """

    def __init__(
        self,
        cluster: Cluster,
        parameter: Callable[[str], str | None],
        surroundings: Surroundings,
        folder: Path,
        *,
        authority: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        """Take *folder*, which must exist and be empty; BadInput where MariaDB is not installed.

        *parameter* tells the cluster's parameters as they are now. *authority* is the folder of
        the certificate authority whose certificate the server has; else it has one of its own.
        """
        self.cluster = cluster
        self.endpoint = _HOST
        self.port = 0
        self.master_password = secrets.token_urlsafe(16)
        self.server = MariaDb(folder)
        keys = authority or self.server.folder
        self.ca_file = certificates.authority(keys)
        self._tls = certificates.server_context(keys, cluster.endpoint, self.server.folder)
        self._parameter = parameter
        self._surroundings = surroundings
        self._tokens = Tokens(cluster, surroundings, now)
        self._network = Network(surroundings.client)
        self._loader = Loader(cluster, parameter, surroundings, self.server.files)
        # The password, in MariaDB, of users that log in with tokens; it leaves this process never.
        self._secret = secrets.token_urlsafe(24)
        self._front: Front | None = None

    def start(self) -> None:
        """Start the database, empty, and give the cluster its endpoint."""
        self.server.start()
        try:
            self._make_database()
            self._listen()
        except BaseException:
            self.server.kill()
            raise

    def stop(self) -> None:
        """End every connection and the database."""
        self._cut()
        self.server.stop()

    def take_down(self) -> None:
        """Let the database crash: connections break, and new ones are refused."""
        self._cut()
        self.server.kill()

    def bring_up(self) -> None:
        """Start the crashed database again, on its data, at the same endpoint."""
        self.server.start()
        self._listen()

    def master(self, database: str | None = None) -> pymysql.Connection:
        """Return a connection of the master user over TLS; each statement commits by itself."""
        return pymysql.connect(
            host=self.endpoint,
            port=self.port,
            user=MASTER,
            password=self.master_password,
            database=database,
            ssl_ca=str(self.ca_file),
            ssl_verify_identity=True,
            autocommit=True,
        )

    def __enter__(self) -> Aurora:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- inside -----------------------------------------------------------------------------

    def _listen(self) -> None:
        self._front = Front(self.port, self.server.port, self._rules)
        self.port = self._front.port
        self.cluster.endpoint, self.cluster.port = self.endpoint, self.port
        self._front.start()

    def _cut(self) -> None:
        if self._front is not None:
            self._front.stop()
            self._front = None

    def _rules(self) -> Rules:
        return Rules(
            cluster=self.cluster,
            parameter=self._parameter,
            tokens=self._tokens,
            network=self._network,
            loader=self._loader,
            tls=self._tls,
            secret=self._secret,
            has_tokens=self._has_tokens,
            report=self._surroundings.report,
        )

    def _make_database(self) -> None:
        """Make the role and the table that Aurora has, and the master user.

        Reading the files that the front provides takes the privilege FILE: only the role has it.
        "The administrative user for a DB cluster is granted the appropriate role by default."
        """
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(HISTORY_TABLE)
            for statement in (
                f"CREATE ROLE {ROLE}",
                f"GRANT FILE ON *.* TO {ROLE}",
                f"GRANT INSERT ON {HISTORY} TO {ROLE}",
                f"CREATE USER {MASTER} IDENTIFIED BY '{self.master_password}'",
                f"GRANT ALL PRIVILEGES ON *.* TO {MASTER} WITH GRANT OPTION",
                f"REVOKE FILE ON *.* FROM {MASTER}",
                f"GRANT {ROLE} TO {MASTER} WITH ADMIN OPTION",
                f"SET DEFAULT ROLE {ROLE} FOR {MASTER}",
            ):
                cursor.execute(statement)

    def _has_tokens(self, user: str) -> bool:
        """Tell whether a user was made for IAM database authentication."""
        with self.server.connect() as connection, connection.cursor() as cursor:
            kept = "JSON_VALUE(Priv, '$.authentication_string')"
            cursor.execute(f"SELECT {kept} FROM mysql.global_priv WHERE User = %s", (user,))  # noqa: S608
            rows = cursor.fetchall()
        return (dialect.password_hash(self._secret),) in rows
