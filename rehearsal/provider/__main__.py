"""Serves one provider to the engine that starts this: ``python -m rehearsal.provider aws``.

The first line of standard output is the port; the process ends with the engine.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from concurrent import futures
from importlib.util import find_spec
from pathlib import Path

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from rehearsal.provider.servicer import Provider

PACKAGES = ("aws", "gcp")
# The engine asks for as many resources at once as it is told by --parallel.
_THREADS = 64
# A state of some thousand resources travels in single messages.
_LARGEST_MESSAGE = 400 * 2**20
_LOOK_SECONDS = 0.5


def version_of(package: str) -> str:
    """Return the version of the official plugin that the installed SDK asks for."""
    spec = find_spec(f"pulumi_{package}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"the Python package pulumi-{package} is not installed; run make setup")
    plugin = json.loads((Path(spec.origin).parent / "pulumi-plugin.json").read_text())
    return str(plugin["version"])


def main(arguments: list[str]) -> int:
    """Serve until the engine ends or sends SIGTERM."""
    if not arguments or arguments[0] not in PACKAGES:
        print(f"usage: python -m rehearsal.provider {{{','.join(PACKAGES)}}}", file=sys.stderr)
        return 2
    package, engine = arguments[0], os.getppid()
    limits = [(f"grpc.max_{way}_message_length", _LARGEST_MESSAGE) for way in ("send", "receive")]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=limits)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        Provider(package, version_of(package)), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stop.set())
    # An engine that was killed says no good-bye.
    while not stop.wait(_LOOK_SECONDS) and os.getppid() == engine:
        pass
    server.stop(grace=1).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
