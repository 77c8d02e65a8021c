"""Which function answers which call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.google.access import Identity
from rehearsal.google.errors import invalid, not_found


@dataclass(frozen=True)
class Call:
    """One request, as a handler sees it. ``params["project"]`` is always the project's id."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    identity: Identity
    if_match: str | None = None

    def __getitem__(self, name: str) -> str:
        return self.params[name]

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object (an empty body counts as one)."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise invalid("Invalid JSON payload received. Root element must be a message.")
        return self.body

    def integer(self, name: str, default: int, *, least: int = 0) -> int:
        """The query parameter *name* as a number."""
        text = self.query.get(name) or str(default)
        if not text.isdecimal() or int(text) < least:
            raise invalid(f"Invalid value at '{name}' (TYPE_UINT64), \"{text}\"")
        return int(text)


@dataclass(frozen=True)
class Json:
    """An answer whose JSON text is already at hand."""

    text: bytes


NO_CONTENT = Json(b"")

Handler = Callable[[Call], "Mapping[str, Any] | Json"]


@dataclass(frozen=True)
class Route:
    """A pattern and its handler; *service* is the API that must be enabled, None for any."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    service: str | None


class Router:
    """Routes in the order of their registration."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, method: str, path: str, handler: Handler, service: str | None = None) -> None:
        """Register *handler* for *path*, in which ``{name}`` stands for one path segment."""
        expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/:]+)", re.escape(path))
        self._routes.append(Route(method, re.compile(expression), handler, service))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of a call and the values of its placeholders."""
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match and route.method == method:
                return route, match.groupdict()
        raise not_found(f"The local Google Cloud serves no method for {method} {path}")
