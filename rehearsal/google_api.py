"""A small client of the local Google Cloud's REST API, with the deployer's rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from rehearsal.drivers.registry import DriverError, NotFound

DEPLOYER_TOKEN = "local-deployer"  # noqa: S105  # known to the local server alone
_TIMEOUT_SECONDS = 60
_CONNECTIONS = 64


class GoogleApi:
    """Sends JSON to the local server at *endpoint*; refusals become DriverError, a 404 NotFound."""

    def __init__(self, endpoint: str, token: str = DEPLOYER_TOKEN) -> None:
        self._endpoint = endpoint
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> dict[str, Any]:
        """GET *path*."""
        return self.send("GET", path)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send *body* to *path*; returns the JSON answer, ``{}`` for an empty one."""
        response = self._session.request(
            method, f"{self._endpoint}{path}", json=body, timeout=_TIMEOUT_SECONDS
        )
        if response.status_code == requests.codes.not_found:
            raise NotFound(_message(response))
        if not response.ok:
            raise DriverError(_message(response))
        return dict(response.json()) if response.content else {}

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}: {response.text[:300]}"
