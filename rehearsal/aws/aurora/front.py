"""The port that clients connect to: a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

import pymysql

from rehearsal.aws.aurora.packets import PacketTooLarge
from rehearsal.aws.aurora.session import Rules, Session


class Front:
    """Listens on 127.0.0.1 and plays a session with whoever connects."""

    def __init__(self, port: int, server_port: int, rules: Callable[[], Rules]) -> None:
        """Take *port*, 0 for any free one; behind it MariaDB listens on *server_port*."""
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._server_port = server_port
        self._rules = rules
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name="local-aurora", daemon=True)

    def start(self) -> None:
        """Begin to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, cut every connection, and wait for their threads."""
        _cut(self._listener)
        self._thread.join()
        with self._lock:
            for each in self._sockets:
                _cut(each)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            client.close()
            return
        # Small packets go back and forth: none may wait for another.
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # TLS takes the client's socket over; a copy of it can still be cut from outside.
        handles = (client.dup(), server.dup())
        with self._lock:
            self._sockets.update(handles)
        session = Session(client, server, self._rules())
        try:
            # How it shows that the client has left, or that the database went down.
            with contextlib.suppress(OSError, EOFError, PacketTooLarge, pymysql.Error):
                session.run()
        finally:
            session.close()
            with self._lock:
                self._sockets.difference_update(handles)
            for handle in handles:
                handle.close()


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
