"""One client's connection: log in, then carry packets, and load from S3 where Aurora would.

Everything goes to MariaDB as it came, but for statements that only Aurora knows. Several statements
in one command are not offered, and a command of 16 MiB or more is refused.

After LOAD DATA FROM S3 the session has inserted into the history table as well, in the client's
own transaction (that Aurora does so is inferred): ROW_COUNT() is then that of the history; SHOW
WARNINGS is answered with the warnings of the load.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from rehearsal.aws.aurora import dialect
from rehearsal.aws.aurora.authentication import TokenRefused, Tokens
from rehearsal.aws.aurora.cluster import MYSQL_VERSION, Cluster
from rehearsal.aws.aurora.load import ROLE, Loader, Statement, history
from rehearsal.aws.aurora.network import Network
from rehearsal.aws.aurora.packets import (
    AUTH_SWITCH,
    COM_QUERY,
    ERR,
    OK,
    TLS_REQUEST_BYTES,
    Capability,
    Channel,
    Greeting,
    Login,
    PacketTooLarge,
    Refusal,
    SqlError,
    warnings_in,
)

_SHOW_WARNINGS = re.compile(rb"\s*SHOW\s+WARNINGS\s*;?\s*", re.IGNORECASE)
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Rules:
    """What a session asks before it lets anything happen."""

    cluster: Cluster
    parameter: Callable[[str], str | None]
    tokens: Tokens
    network: Network
    loader: Loader
    tls: ssl.SSLContext
    secret: str
    """The password, in MariaDB, of users that come with tokens."""
    has_tokens: Callable[[str], bool]
    report: Callable[[str], None]


class Unreachable(Exception):
    """The client cannot have got here: its packets would have been dropped on the way."""


class Session:
    """A client and its connection to MariaDB, from its first packet to its last."""

    def __init__(self, client: socket.socket, server: socket.socket, rules: Rules) -> None:
        self._client = Channel(client)
        self._server = Channel(server)
        self._rules = rules
        self._warnings: list[bytes] | None = None

    def run(self) -> None:
        """Serve until one side goes. OSError and EOFError are how that shows."""
        try:
            self._log_in()
        except SqlError as error:
            self._report(error)
            self._client.send(error.packet())
        except Unreachable as error:
            self._report(error)
        else:
            self._carry()

    def close(self) -> None:
        """Close both connections."""
        for channel in (self._client, self._server):
            channel.socket.close()

    def _report(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, Refusal) else str(error)
        self._rules.report(f"Aurora {self._rules.cluster.identifier}: {reason}")

    # --- log in -----------------------------------------------------------------------------

    def _log_in(self) -> None:
        greeting = Greeting.of(self._server.read())
        self._client.send(greeting.packet(MYSQL_VERSION))
        first = self._client.read()
        if len(first) == TLS_REQUEST_BYTES and Capability.SSL in Login.of(first).capabilities:
            tls = self._rules.tls.wrap_socket(self._client.socket, server_side=True)
            self._client.socket = tls
            first = self._client.read()
        elif self._rules.parameter("require_secure_transport") in ("ON", "1"):
            message = "Connections using insecure transport are prohibited while "
            raise Refusal(3159, f"{message}--require_secure_transport=ON.")
        login = Login.of(first)
        with_token = self._rules.has_tokens(login.user)
        answer = self._with_token(login, greeting) if with_token else self._with_password(login)
        self._prepare()
        self._client.send(answer)

    def _with_password(self, login: Login) -> bytes:
        """Let MariaDB decide: the client has answered its very scramble."""
        self._server.send(login.packet(login.proof))
        answer = self._server.read()
        while answer[0] not in (OK, ERR):
            self._client.send(answer)
            self._server.send(self._client.read())
            answer = self._server.read()
        return _accepted(answer)

    def _with_token(self, login: Login, greeting: Greeting) -> bytes:
        """Ask for the token, and log in with the user's password in MariaDB where it is good."""
        try:
            if not isinstance(self._client.socket, ssl.SSLSocket):
                raise TokenRefused("IAM database authentication needs TLS")
            self._client.send(bytes([AUTH_SWITCH]) + b"mysql_clear_password\0")
            token = self._client.read().rstrip(b"\0").decode("utf-8", "replace")
            principal = self._rules.tokens.check(token, login.user)
        except TokenRefused as refusal:
            message = f"Access denied for user '{login.user}'@'127.0.0.1' (using password: YES)"
            reason = f"Access denied for user '{login.user}': {refusal}"
            raise Refusal(1045, message, "28000", reason=reason) from refusal
        obstacle = self._rules.network.why_unreachable(principal, self._rules.cluster)
        if obstacle:
            raise Unreachable(obstacle)
        proof = dialect.native_proof(self._rules.secret, greeting.scramble)
        self._server.send(login.packet(proof))
        return _accepted(self._server.read())

    def _prepare(self) -> None:
        """Set in the session what the cluster's parameter group says otherwise than MariaDB."""
        mode = self._rules.parameter("sql_mode")
        if mode is not None:
            quoted = mode.replace("'", "''")
            self._server.query(f"SET SESSION sql_mode = '{quoted}'")
        if self._rules.parameter("activate_all_roles_on_login") in ("1", "ON"):
            self._activate_all_roles()

    def _activate_all_roles(self) -> bytes:
        """Activate the role that loads from S3 where the user has it; returns the server's OK."""
        roles = self._server.query("SELECT ROLE_NAME FROM information_schema.APPLICABLE_ROLES")
        (answer,) = self._server.result(f"SET ROLE {ROLE if [ROLE] in roles else 'NONE'}")
        return answer

    # --- carry ------------------------------------------------------------------------------

    def _carry(self) -> None:
        client, server = self._client.socket, self._server.socket
        while True:
            waiting = isinstance(client, ssl.SSLSocket) and client.pending() > 0
            readable = [client] if waiting else select.select([client, server], [], [])[0]
            if server in readable:
                piece = server.recv(_PIECE_BYTES)
                if not piece:
                    return
                client.sendall(piece)
            if client in readable:
                self._command()

    def _command(self) -> None:
        try:
            packet = self._client.read()
            if packet[:1] == bytes([COM_QUERY]):
                self._query(packet[1:])
            else:
                self._pass_on(packet)
        except SqlError as error:
            if isinstance(error, Refusal):
                self._report(error)
            self._client.send(error.packet())
        except PacketTooLarge:
            # The rest of it is not read: the client must connect anew.
            text = "Got a packet bigger than 16 MiB, which is not rehearsed"
            self._client.send(SqlError(1153, text, "08S01").packet())
            raise

    def _query(self, sql: bytes) -> None:
        warnings, self._warnings = self._warnings, None
        statement = Statement.of(sql)
        if statement is not None:
            self._load(statement)
        elif warnings is not None and _SHOW_WARNINGS.fullmatch(sql):
            for packet in warnings:
                self._client.send(packet)
        elif dialect.activates_all_roles(sql):
            self._client.send(self._activate_all_roles())
        else:
            self._pass_on(bytes([COM_QUERY]) + dialect.translated(sql, self._rules.secret, ROLE))

    def _pass_on(self, packet: bytes) -> None:
        """Give a command to MariaDB, under the number it came with."""
        self._server.sequence = (self._client.sequence - 1) % 256
        self._server.send(packet)

    def _load(self, statement: Statement) -> None:
        if self._server.query("SELECT CURRENT_ROLE()") != [[ROLE]]:
            raise Refusal(
                1227,
                "Access denied; you need (at least one of) the LOAD FROM S3 privilege(s) for this "
                "operation",
                "42000",
            )
        with self._rules.loader.fetched(statement) as fetched:
            self._server.command(bytes([COM_QUERY]) + statement.from_file(fetched.file))
            answer = _accepted(self._server.read())
        if warnings_in(answer):
            self._warnings = self._server.result("SHOW WARNINGS")
        self._server.query(history(statement, fetched.objects))
        self._client.send(answer)


def _accepted(answer: bytes) -> bytes:
    if answer[0] == ERR:
        raise SqlError.of(answer)
    return answer
