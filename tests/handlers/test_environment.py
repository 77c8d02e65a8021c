"""A function's environment and event: what is wrong is said by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from load.request import LoadRequest
from shared.environment import Environment
from shared.errors import InvalidInput
from tests.handlers.world import CREDENTIALS, EVENT, VARIABLES


def variables(**changes: Any) -> dict[str, str]:
    return {**VARIABLES, "GOOGLE_CREDENTIALS_CONFIG": json.dumps({**CREDENTIALS, **changes})}


def test_googles_own_addresses_by_default() -> None:
    environment = Environment.parse(VARIABLES)
    assert environment.project == "shop-analytics-stg"
    assert environment.service == "shop-stg"
    assert environment.credentials == CREDENTIALS


def test_every_address_moves_with_the_api_root() -> None:
    environment = Environment.parse({**VARIABLES, "GOOGLE_API_ROOT": "http://127.0.0.1:1234/"})
    credentials = environment.credentials
    assert credentials["token_url"] == "http://127.0.0.1:1234/v1/token"
    assert credentials["service_account_impersonation_url"].startswith(
        "http://127.0.0.1:1234/v1/projects/-/serviceAccounts/shop-stg-load@"
    )
    # What AWS signs is AWS's own address, and so is the audience: both are part of the proof.
    assert credentials["credential_source"] == CREDENTIALS["credential_source"]
    assert credentials["audience"] == CREDENTIALS["audience"]


def test_an_api_root_may_name_the_service() -> None:
    environment = Environment.parse({**VARIABLES, "GOOGLE_API_ROOT": "http://{service}.local:80"})
    assert environment.credentials["token_url"] == "http://sts.local:80/v1/token"


def test_a_domain_scoped_project() -> None:
    url = CREDENTIALS["service_account_impersonation_url"]
    assert isinstance(url, str)
    scoped = url.replace("@shop-analytics-stg.", "@shop-analytics.example.com.")
    environment = Environment.parse(variables(service_account_impersonation_url=scoped))
    assert environment.project == "example.com:shop-analytics"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "SERVICE_NAME is not set"),
        ({"SERVICE_NAME": "s"}, "GOOGLE_CREDENTIALS_CONFIG is not set"),
        ({**VARIABLES, "GOOGLE_CREDENTIALS_CONFIG": "{"}, "is not the JSON of an external account"),
        (variables(type="service_account"), "is not the JSON of an external account"),
        (variables(service_account_impersonation_url="x"), "lacks token_url or"),
        (variables(token_url="https://evil.example/token"), r"names 'evil\.example'"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Environment.parse(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bucket": ""}, "lacks bucket"),
        ({"source": None, "prefix": 3}, "lacks source, prefix"),
        ({"run_time": "2026-11-20 03:00"}, "run_time is '2026-11-20 03:00'"),
        ({"cursor": -1}, "cursor is -1"),
        ({"cursor": 1.5}, r"cursor is 1\.5"),
    ],
)
def test_a_wrong_event_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        LoadRequest.parse({**EVENT, **change})


def test_a_cursor_may_come_as_jsonata_numbers_do() -> None:
    assert LoadRequest.parse({**EVENT, "cursor": 500.0}).cursor == 500
    assert LoadRequest.parse({**EVENT, "cursor": None}).cursor == 0
