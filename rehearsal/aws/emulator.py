"""ministack's modules, loaded quietly and served on 127.0.0.1 by a thread of their own.

ministack keeps its state in module globals: there is one emulator per process. It reads part of its
configuration when it is imported and part of it on every request, hence `environment`.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import importlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

_SERVER_THREADS = 64

DEPLOYER_SECRET = "test"  # noqa: S105  # of an account that exists on this machine alone

# What would make ministack load or keep state from elsewhere, or answer for fewer services.
_FOREIGN_SETTINGS = (
    "EDGE_PORT",
    "LOCALSTACK_PERSISTENCE",
    "LOCALSTACK_SFN_MOCK_CONFIG",
    "MINISTACK_HOST",
    "PERSIST_STATE",
    "S3_PERSIST",
    "SERVICES",
    "SFN_MOCK_CONFIG",
)
_SETTINGS = {
    "LAMBDA_EXECUTOR": "local",
    "LAMBDA_STATE_TRANSITION_SECONDS": "0",
    "LAMBDA_STRICT": "0",
    "LOG_LEVEL": "WARNING",
    "MINISTACK_TEST_NO_AUTOSTART": "1",
}


class Emulator:
    """The modules of ministack that the rehearsal works with, and what they log."""

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        self.log: collections.deque[str] = collections.deque(maxlen=1000)
        self._handler = _Collector(self.log)
        with self.environment(_SETTINGS), _root_logger_untouched():
            self.app: Any = importlib.import_module("ministack.app")
            self.responses: Any = importlib.import_module("ministack.core.responses")
            self.lambda_runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
            self.eventbridge = self.module("eventbridge")
            self.iam = self.module("iam")
            self.kms = self.module("kms")
            self.lambda_svc = self.module("lambda_svc")
            self.s3 = self.module("s3")
            self.scheduler = self.module("scheduler")
            self.sns = self.module("sns")
            self.sqs = self.module("sqs")
            self.stepfunctions = self.module("stepfunctions")
            self.sts = self.module("sts")
        self._quieten()

    def module(self, name: str) -> Any:
        """Return the module of one service, as ministack itself would load it."""
        return self.app._get_module(name)

    def load(self, service: str) -> None:
        """Load the module behind *service* now, so that what it logs is collected as well."""
        name = self.app.SERVICE_REGISTRY[service]["module"]
        if name not in self.app._loaded_modules:
            with _root_logger_untouched():
                self.module(name)
            self._quieten()

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which ministack's stores show our account and region."""
        scope: contextlib.AbstractContextManager[None] = self.responses.request_scope(
            self.account, self.region
        )
        return scope

    @contextlib.contextmanager
    def environment(self, extra: Mapping[str, str] | None = None) -> Iterator[None]:
        """Set the variables that ministack reads, for as long as the context lasts."""
        wanted: dict[str, str | None] = dict.fromkeys(_FOREIGN_SETTINGS)
        wanted |= {"MINISTACK_ACCOUNT_ID": self.account, "MINISTACK_REGION": self.region}
        # What ministack verifies the deployer's presigned URLs with.
        wanted |= {"AWS_SECRET_ACCESS_KEY": DEPLOYER_SECRET}
        wanted |= extra or {}
        before = {name: os.environ.get(name) for name in wanted}
        _set_variables(wanted)
        try:
            yield
        finally:
            _set_variables(before)

    def reset(self) -> None:
        """Forget every resource, with ministack's own reset, and stop Lambda workers."""
        self.app._reset_all_state()
        self.lambda_runtime.reset()

    def _quieten(self) -> None:
        """Send what ministack logs to `log`: standard error belongs to the command line."""
        for name, module in list(sys.modules.items()):
            # Looking into modules of others would load those that are lazy, Pulumi's among them.
            logger = getattr(module, "logger", None) if name.startswith("ministack.") else None
            if isinstance(logger, logging.Logger):
                logger.handlers = [self._handler]
                logger.propagate = False
                logger.setLevel(logging.WARNING)


class _Collector(logging.Handler):
    def __init__(self, lines: collections.deque[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextlib.contextmanager
def _root_logger_untouched() -> Iterator[None]:
    """Keep `logging.basicConfig` of an imported module from adding a handler of its own."""
    root = logging.getLogger()
    level, guard = root.level, logging.NullHandler()
    root.addHandler(guard)
    try:
        yield
    finally:
        root.removeHandler(guard)
        root.setLevel(level)


def _set_variables(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


Application = Callable[..., Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class _ClientGone(Exception):
    """A client went away before all of its request had come."""


def _whole(receive: Receive) -> Receive:
    """Return what hands on a request, and raises `_ClientGone` where a part of it never comes.

    A function that dies in the midst of a request leaves half of it; no service acts on that.
    """
    complete = False

    async def whole() -> dict[str, Any]:
        nonlocal complete
        message = await receive()
        if message["type"] == "http.disconnect" and not complete:
            raise _ClientGone
        complete = complete or not message.get("more_body", False)
        return message

    return whole


class Server:
    """Serves an ASGI application on a port of 127.0.0.1 in a background thread."""

    def __init__(self, application: Application, port: int = 0) -> None:
        """Take the port, any free one for 0; OSError where it is taken."""
        self._application = application
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="local-aws", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shutdown: asyncio.Event | None = None
        self._failure: BaseException | None = None

    @property
    def is_current_thread(self) -> bool:
        """Tell whether the caller runs on the server's own thread and so must not wait for it."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Start serving; returns when connections are accepted."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise RuntimeError(f"the local AWS does not start: {self._failure}")

    def stop(self) -> None:
        """Stop serving and wait for the thread to end."""
        if self._loop is not None and self._shutdown is not None:
            self._loop.call_soon_threadsafe(self._shutdown.set)
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Lambda invocations each hold a thread; Python's default is a handful.
        pool = ThreadPoolExecutor(_SERVER_THREADS, thread_name_prefix="local-aws")
        self._loop.set_default_executor(pool)
        self._shutdown = asyncio.Event()
        config = Config()
        config.bind = [f"fd://{self._socket.detach()}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 1
        await serve(self._entry, config, shutdown_trigger=self._shutdown.wait)

    async def _entry(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            with contextlib.suppress(_ClientGone):
                await self._application(scope, _whole(receive), send)
            return
        # ministack's own lifespan starts tickers, listeners and start-up scripts and stops Docker
        # containers it takes for its own: none of it belongs in a rehearsal.
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.startup":
                self._ready.set()
            else:
                return
