"""From a provider's configuration to the local clouds it names.

The keys and the environment variables are the official providers' own, so that the same stack file
serves both. Whatever does not point at this machine is refused: these plugins must not be taken
for the real ones.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.drivers import Clouds, DriverError
from rehearsal.google_api import GoogleApi

# The endpoint key of a boto3 service where the provider's has another name.
_ENDPOINT_KEYS = {"stepfunctions": "sfn"}
_AWS_VARIABLE = "AWS_ENDPOINT_URL"
_LOCAL = ("127.0.0.1", "localhost", "::1")


def parsed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provider's configuration with its nested values, which travel as JSON, parsed."""
    return {key: _value(value) for key, value in config.items()}


def _value(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def clouds(package: str, config: Mapping[str, Any]) -> Clouds:
    """Return the clouds behind the configuration of the provider *package* (``aws``, ``gcp``).

    Only that provider's own cloud can be used. Raises DriverError when it is not on this machine.
    """
    if package == "aws":
        return Clouds(aws=_Aws(config), google=_Absent("gcp"))
    return Clouds(aws=_Absent("aws"), google=_google(config))


class _Absent:
    """The cloud of the other provider."""

    account = region = ""

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, _name: str) -> Any:
        raise DriverError(f"a driver of the other package asked for the cloud of {self._package}")


class _Aws:
    """The local AWS, with the credentials and endpoints of the provider."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.region = config.get("region") or os.environ.get("AWS_REGION", "")
        self._endpoints = _endpoints(config.get("endpoints", []))
        self._everywhere = os.environ.get(_AWS_VARIABLE, "")
        self._session: Any = boto3.Session(
            aws_access_key_id=config.get("accessKey") or os.environ.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=(
                config.get("secretKey") or os.environ.get("AWS_SECRET_ACCESS_KEY")
            ),
            region_name=self.region,
        )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.account = self._account()

    def client(self, service: str) -> Any:
        """Return the client of a service, the same one each time."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(
                    service,
                    endpoint_url=self._endpoint(service),
                    config=Config(
                        s3={"addressing_style": "path"},
                        max_pool_connections=64,
                        retries={"mode": "standard", "max_attempts": 3},
                    ),
                )
            return self._clients[service]

    def _account(self) -> str:
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as error:
            raise DriverError(f"{self._endpoint('sts')} does not answer as AWS: {error}") from None

    def _endpoint(self, service: str) -> str:
        key = _ENDPOINT_KEYS.get(service, service)
        url = self._endpoints.get(key) or self._everywhere
        return _on_this_machine(url, f"aws:endpoints[0].{key}", _AWS_VARIABLE)


def _endpoints(given: Any) -> dict[str, str]:
    """Return the endpoint of each service; all are looked at, needed or not."""
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise DriverError("aws:endpoints is no list of mappings from services to URLs")
    return {
        service: _on_this_machine(str(url), f"aws:endpoints[{index}].{service}", _AWS_VARIABLE)
        for index, each in enumerate(given)
        for service, url in each.items()
        if url
    }


def _google(config: Mapping[str, Any]) -> GoogleApi:
    for key, value in config.items():
        if key.endswith("CustomEndpoint") and value:
            _on_this_machine(str(value), f"gcp:{key}", _google_variable(key))
    # One server answers all of Google Cloud's APIs here, each at its own path.
    key = "bigQueryCustomEndpoint"
    url = config.get(key) or os.environ.get(_google_variable(key), "")
    parts = urlsplit(_on_this_machine(url, f"gcp:{key}", _google_variable(key)))
    token = config.get("accessToken") or os.environ.get("GOOGLE_OAUTH_ACCESS_TOKEN", "")
    return GoogleApi(f"{parts.scheme}://{parts.netloc}", token)


def _google_variable(key: str) -> str:
    return "GOOGLE_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).upper()


def _on_this_machine(url: str, key: str, variable: str) -> str:
    with suppress(ValueError):
        if urlsplit(url).hostname in _LOCAL:
            return url
    where = f"is {url}" if url else "is not set"
    raise DriverError(
        f"{key} (or {variable}) {where}. This plugin serves the local clouds of the rehearsal "
        "alone; start those with `python -m rehearsal up`, or install the official plugin."
    )
