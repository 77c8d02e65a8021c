"""The functions' environment, typed and checked once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from shared.errors import InvalidInput

DEFAULT_API_ROOT = "https://{service}.googleapis.com"

_SERVICE_ACCOUNT = re.compile(
    r"/serviceAccounts/[^/@]+@(?P<project>[^/:]+)\.iam\.gserviceaccount\.com:generateAccessToken$"
)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What the program sets on each function.

    `credentials` is an external account configuration (workload identity federation): it says how
    to get a token and holds no secret. `project` is the service account's own, where BigQuery
    jobs run and where the dataset is.
    """

    service: str
    project: str
    credentials: Mapping[str, Any]
    api_root: str = DEFAULT_API_ROOT

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> Environment:
        """Read the environment; what is wrong is said with the variable's name."""
        for name in ("SERVICE_NAME", "GOOGLE_CREDENTIALS_CONFIG"):
            if not variables.get(name):
                raise InvalidInput(f"environment variable {name} is not set on this function")
        api_root = variables.get("GOOGLE_API_ROOT") or DEFAULT_API_ROOT
        credentials = _credentials(variables["GOOGLE_CREDENTIALS_CONFIG"])
        project = _project(credentials)
        for key in ("token_url", "service_account_impersonation_url"):
            credentials[key] = at_root(credentials[key], api_root)
        return cls(
            service=variables["SERVICE_NAME"],
            project=project,
            credentials=credentials,
            api_root=api_root,
        )


def service_root(api_root: str, service: str) -> str:
    """Return the address of one of Google's services, without a trailing slash."""
    return api_root.replace("{service}", service).rstrip("/")


def at_root(url: str, api_root: str) -> str:
    """Return one of Google's own addresses as it is below `api_root`."""
    parts = urlsplit(url)
    service, found, _ = (parts.hostname or "").partition(".googleapis.com")
    if not found:
        raise InvalidInput(
            f"GOOGLE_CREDENTIALS_CONFIG names {parts.hostname!r}; "
            "expected a host such as sts.googleapis.com"
        )
    return service_root(api_root, service) + parts.path


def _credentials(text: str) -> dict[str, Any]:
    try:
        credentials = json.loads(text)
    except ValueError:
        credentials = None
    if not isinstance(credentials, dict) or credentials.get("type") != "external_account":
        raise InvalidInput(
            "environment variable GOOGLE_CREDENTIALS_CONFIG is not the JSON of an "
            'external account ("type": "external_account")'
        )
    return credentials


def _project(credentials: Mapping[str, Any]) -> str:
    """Return the service account's project: a domain-scoped one is `project.domain` in an email."""
    match = _SERVICE_ACCOUNT.search(str(credentials.get("service_account_impersonation_url", "")))
    if not match or "token_url" not in credentials:
        raise InvalidInput(
            "GOOGLE_CREDENTIALS_CONFIG lacks token_url or a service_account_impersonation_url "
            "ending in /serviceAccounts/EMAIL:generateAccessToken"
        )
    project, _, domain = match["project"].partition(".")
    return f"{domain}:{project}" if domain else project
