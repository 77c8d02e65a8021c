"""Where the local clouds listen: where the stack's own endpoint settings say, or anywhere."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rehearsal.errors import BadInput
from rehearsal.stack_file import AWS_ENDPOINTS, GOOGLE_ENDPOINT


@dataclass(frozen=True)
class Ports:
    """A port for each cloud on 127.0.0.1; 0 stands for any free one."""

    aws: int = 0
    google: int = 0

    def check(self) -> None:
        """Raise BadInput naming each port that is taken, and the setting it is from."""
        taken = [
            f"{key} says port {port}, which is taken: end what listens there (`make down "
            "STACK=local`, or another `rehearsal up`?), or change the setting"
            for key, port in ((AWS_ENDPOINTS, self.aws), (GOOGLE_ENDPOINT, self.google))
            if port and not _is_free(port)
        ]
        if self.aws and self.aws == self.google:
            taken = [f"{AWS_ENDPOINTS}, {GOOGLE_ENDPOINT}: both say port {self.aws}; change one"]
        if taken:
            raise BadInput(taken)


ANY_PORTS = Ports()


def declared(config: Mapping[str, Any]) -> Ports:
    """Return the ports of a stack's endpoint settings; BadInput where they are of no use here."""
    return Ports(
        aws=_port(AWS_ENDPOINTS, _aws_urls(config.get(AWS_ENDPOINTS))),
        google=_port(GOOGLE_ENDPOINT, {str(config.get(GOOGLE_ENDPOINT) or "")} - {""}),
    )


def _aws_urls(endpoints: Any) -> set[str]:
    def urls() -> Iterator[str]:
        for each in endpoints if isinstance(endpoints, list) else []:
            yield from (str(url) for url in each.values()) if isinstance(each, Mapping) else ()

    return set(urls())


def _port(key: str, urls: set[str]) -> int:
    """Return the one port of *urls*; 0 for none of them."""
    found = {_local_port(url) for url in urls}
    if not found:
        return 0
    port, *others = found
    if others or port is None:
        given = ", ".join(sorted(urls))
        raise BadInput([f"{key}: {given}: the local cloud needs one http://127.0.0.1:PORT for all"])
    return port


def _local_port(url: str) -> int | None:
    """Return the port where a server of plain HTTP on this machine would listen for *url*."""
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
        return parts.port if local else None
    except ValueError:
        return None


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
