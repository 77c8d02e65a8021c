"""One HTTP server for the Google Cloud APIs of one project."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Collection
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from rehearsal.google.access import USER
from rehearsal.google.cloud import Cloud
from rehearsal.google.engine import Request
from rehearsal.google.errors import ApiError, OAuthError, invalid
from rehearsal.google.project import DEFAULT_SERVICES
from rehearsal.google.routing import Call, Json
from rehearsal.google.transfer_state import ConfigReport, RunReport

_log = logging.getLogger(__name__)
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_STOP_SECONDS = 30


class LocalGoogle:
    """Google Cloud's REST APIs for *project* on 127.0.0.1, data in the DuckDB file *database*.

    *aws_endpoint* is where S3 and STS of the other cloud are. *fail_transfers_of* may name, for a
    table, the error with which a transfer run into it is to fail. *services* are the APIs enabled
    from the start; *clock* tells the time; *port* is where to listen, 0 for any free port. Nothing
    but the database outlives ``stop()``.
    """

    def __init__(
        self,
        project: str,
        *,
        project_number: str = "123456789012",
        aws_endpoint: str,
        aws_region: str,
        database: Path,
        fail_transfers_of: Callable[[str], str | None] | None = None,
        services: Collection[str] = DEFAULT_SERVICES,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        port: int = 0,
    ) -> None:
        self.endpoint = ""
        self._port = port
        self._cloud = Cloud(
            project,
            project_number,
            aws_endpoint=aws_endpoint,
            aws_region=aws_region,
            database=database,
            fail_transfers_of=fail_transfers_of or (lambda _: None),
            services=services,
            clock=clock,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shutdown: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()

    def start(self) -> None:
        """Listen and open the database; ``endpoint`` is set when this returns.

        Raises OSError when the port is taken.
        """
        listener = socket.create_server(("127.0.0.1", self._port))
        self._cloud.open()
        self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._thread = threading.Thread(
            target=self._serve, args=(listener.detach(),), name="local-google", daemon=True
        )
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Finish what is running, close the database, end every thread."""
        if self._thread is None:
            return
        self._cloud.finish()
        if self._loop is not None and self._shutdown is not None:
            self._loop.call_soon_threadsafe(self._shutdown.set)
        self._thread.join(_STOP_SECONDS)
        self._thread = None
        self._cloud.close()

    def __enter__(self) -> LocalGoogle:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def configs(self) -> list[ConfigReport]:
        """The transfer configurations, in the order of their creation."""
        return self._cloud.transfers.config_reports()

    def runs(self) -> list[RunReport]:
        """All transfer runs, in the order of their start."""
        return self._cloud.transfers.run_reports()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a GoogleSQL query, as Python values."""
        outcome = self._cloud.engine.run(Request(sql), USER)
        try:
            return outcome.rows.read(0, outcome.rows.total)
        finally:
            outcome.rows.close()

    def _serve(self, descriptor: int) -> None:
        config = Config()
        config.bind = [f"fd://{descriptor}"]
        config.accesslog = None
        config.errorlog = None
        config.graceful_timeout = 1.0
        config.keep_alive_timeout = 60.0

        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self._shutdown = asyncio.Event()
            self._ready.set()
            await serve(self._application(), config, shutdown_trigger=self._shutdown.wait)  # type: ignore[arg-type]

        asyncio.run(run())

    def _application(self) -> Starlette:
        async def endpoint(request: HttpRequest) -> Response:
            body = await request.body()
            return await run_in_threadpool(self._answer, request, body)

        return Starlette(routes=[HttpRoute("/{path:path}", endpoint, methods=_METHODS)])

    def _answer(self, request: HttpRequest, body: bytes) -> Response:
        try:
            return _json(200, self._dispatch(request, body))
        except ApiError as error:
            return _json(error.code, error.body())
        except OAuthError as error:
            return _json(400, error.body())
        except Exception:
            # The request is not logged: it may carry a secret.
            _log.exception("unexpected failure of %s %s", request.method, request.url.path)
            internal = ApiError(500, "Internal error", status="INTERNAL", reason="internalError")
            return _json(500, internal.body())

    def _dispatch(self, request: HttpRequest, body: bytes) -> Any:
        route, params = self._cloud.router.find(request.method, request.url.path)
        identity = self._cloud.tokens.identify(request.headers.get("authorization"))
        if params.get("project", "-") != "-":
            params["project"] = self._cloud.project.resolve(params["project"])
        if route.service is not None:
            self._cloud.project.require_service(route.service)
        call = Call(
            request.method,
            request.url.path,
            params,
            dict(request.query_params),
            _parsed(request, body),
            identity,
            request.headers.get("if-match"),
        )
        return route.handler(call)


def _parsed(request: HttpRequest, body: bytes) -> Any:
    if not body:
        return None
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace")))
    try:
        return json.loads(body)
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}", "parseError") from error


def _json(status: int, content: Any) -> Response:
    if isinstance(content, Json):
        return Response(content.text, 204 if not content.text else status)
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(text, status, media_type="application/json; charset=UTF-8")
