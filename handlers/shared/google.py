"""Google's REST APIs with a keyless identity: the role of this function, by federation.

google-auth makes the token (AWS's signed `GetCallerIdentity` → Google's token service → the
service account), this module sends it. Not its `AuthorizedSession`: that starts a thread which
asks Google for allowed locations, which is pointless in a function that is frozen between calls,
and it refreshes an expired token once per thread instead of once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import requests
from google.auth import aws, exceptions
from google.auth.transport.requests import Request

from shared.environment import Environment, service_root
from shared.errors import GoogleError, GoogleRefused, GoogleUnavailable, redact
from shared.retry import Backoff, may_pass

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
CONNECTIONS = 16

_TIMEOUT = (5.0, 60.0)


class Identity:
    """The function's identity at Google: one token, shared by all threads."""

    def __init__(self, config: Mapping[str, Any], session: requests.Session) -> None:
        make: Any = aws.Credentials.from_info
        self._credentials = make(dict(config), scopes=list(SCOPES))
        self._request = Request(session)
        self._lock = threading.Lock()

    def token(self, stale: str | None = None) -> str:
        """Return a valid token; never `stale`, which Google has just refused."""
        with self._lock:
            if not self._credentials.valid or self._credentials.token == stale:
                self._credentials.refresh(self._request)
            return str(self._credentials.token)


class Google:
    """A small client of Google's REST APIs."""

    def __init__(
        self,
        environment: Environment,
        *,
        session: requests.Session | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._session = session or _session()
        self._root = environment.api_root
        self._identity = Identity(environment.credentials, self._session)
        self._backoff = backoff or Backoff()

    def pause(self, attempt: int) -> None:
        """Wait as after failed attempt number `attempt`: for what is tried again elsewhere."""
        self._backoff.pause(attempt, None)

    def call(
        self,
        method: str,
        service: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        repeatable: bool = True,
    ) -> dict[str, Any]:
        """Return the answer's JSON.

        `repeatable`: may be sent again when it is unclear whether it was done. A 429 was not done,
        nor was what an expired token came with: those are always sent again.
        """
        stale: str | None = None
        for attempt in range(1, self._backoff.attempts + 1):
            last = attempt == self._backoff.attempts
            try:
                token = self._token(stale)
                response = self._send(token, method, service, path, params, body)
            except _Failed as failed:
                if last or not (failed.untouched or repeatable) or not failed.passing:
                    raise failed.error from None
                self._backoff.pause(attempt, None)
                continue
            if response.ok:
                return _json(response)
            message, reason = _problem(response)
            text = redact(f"{method} {service} {path}: {response.status_code} {message}", [token])
            if response.status_code == 401 and stale is None and not last:
                stale = token
                continue
            if not may_pass(response.status_code, reason):
                raise GoogleRefused(text)
            if last or not (repeatable or response.status_code == 429):
                raise GoogleUnavailable(text)
            self._backoff.pause(attempt, response.headers.get("Retry-After"))
        raise AssertionError("every last attempt returns or raises")

    def _token(self, stale: str | None) -> str:
        try:
            return self._identity.token(stale)
        except exceptions.GoogleAuthError as failure:
            passing = isinstance(failure, exceptions.TransportError) or failure.retryable
            kind = GoogleUnavailable if passing else GoogleRefused
            text = f"no access to Google (workload identity federation): {_said(failure)}"
            raise _Failed(kind(text), passing=passing, untouched=True) from None

    def _send(
        self,
        token: str,
        method: str,
        service: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                f"{service_root(self._root, service)}/{path}",
                params=params,
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=_TIMEOUT,
            )
        except requests.RequestException as failure:
            error = GoogleUnavailable(f"{method} {service} {path}: {_said(failure)}")
            raise _Failed(error, passing=True, untouched=False) from None


class _Failed(Exception):
    """An attempt that brought no answer; `untouched`: it cannot have done anything."""

    def __init__(self, error: GoogleError, *, passing: bool, untouched: bool) -> None:
        super().__init__()
        self.error = error
        self.passing = passing
        self.untouched = untouched


def _session() -> requests.Session:
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=CONNECTIONS)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _said(failure: Exception) -> str:
    """Return an error's first words: what follows is an answer's body, or a whole request."""
    text = str(failure.args[0]) if failure.args else ""
    return redact(f"{type(failure).__name__}: {text}")


def _json(response: requests.Response) -> dict[str, Any]:
    if not response.content:
        return {}
    try:
        answer = response.json()
    except ValueError:
        raise GoogleUnavailable(f"{_where(response)}: the answer is not JSON") from None
    return answer if isinstance(answer, dict) else {}


def _where(response: requests.Response) -> str:
    return (response.url or "").split("?")[0]


def _problem(response: requests.Response) -> tuple[str, str | None]:
    """Return Google's message and reason; their standard form, or the bare status."""
    try:
        error = response.json()["error"]
        details = error.get("errors") or [{}]
        return str(error.get("message") or response.reason), details[0].get("reason")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return str(response.reason), None
