"""Google's answers, good and bad, and what must never be heard of them."""

from __future__ import annotations

import traceback

import pytest
import requests

from shared.errors import GoogleRefused, GoogleUnavailable, redact
from shared.google import Google
from tests.handlers.world import AWS_SECRET, FEDERATED_TOKEN, TOKEN, Fault, World

PATH = "bigquery/v2/projects/shop-analytics-stg/datasets/d/tables/users"
SECRETS = (TOKEN, FEDERATED_TOKEN, AWS_SECRET, "the-session-token-of-the-function")


@pytest.fixture
def client(world: World) -> Google:
    world.declare("users")
    return world.client


def test_the_functions_role_becomes_the_service_account(world: World, client: Google) -> None:
    assert client.call("GET", "bigquery", PATH)["numRows"] == "3"
    assert [call.host for call in world.google.calls] == [
        "sts.googleapis.com",
        "iamcredentials.googleapis.com",
        "bigquery.googleapis.com",
    ]
    client.call("GET", "bigquery", PATH)
    assert world.google.count("/v1/token") == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(world: World, client: Google, status: int) -> None:
    world.google.faults.append(Fault("/tables/users", status, times=2))
    client.call("GET", "bigquery", PATH)
    assert world.pauses == [1.0, 2.0]


def test_retry_after_is_kept_within_bounds(world: World, client: Google) -> None:
    for asked_for in ("7", "86400", "Fri, 20 Nov 2026 03:00:00 GMT"):
        world.google.faults.append(
            Fault("/tables/users", 429, times=1, headers={"Retry-After": asked_for})
        )
    client.call("GET", "bigquery", PATH)
    assert world.pauses == [7.0, 30.0, 4.0]


def test_a_rate_limit_in_the_guise_of_403_is_tried_again(world: World, client: Google) -> None:
    world.google.faults.append(Fault("/tables/users", 403, times=1, reason="rateLimitExceeded"))
    client.call("GET", "bigquery", PATH)
    assert len(world.pauses) == 1


def test_attempts_end(world: World, client: Google) -> None:
    world.google.faults.append(Fault("/tables/users", 503))
    with pytest.raises(GoogleUnavailable, match=f"^GET bigquery {PATH}: 503 as scripted$"):
        client.call("GET", "bigquery", PATH)
    assert world.google.count("/tables/users") == 5
    assert len(world.pauses) == 4


def test_a_refusal_is_not_tried_again(world: World, client: Google) -> None:
    world.google.faults.append(Fault("/tables/users", 403, message="no bigquery.tables.get"))
    with pytest.raises(GoogleRefused, match=r"403 no bigquery\.tables\.get"):
        client.call("GET", "bigquery", PATH)
    assert world.google.count("/tables/users") == 1


@pytest.mark.parametrize(("status", "sent"), [(503, 1), (429, 5)])
def test_what_must_not_be_done_twice_is_sent_again_only_when_it_was_not_done(
    world: World, client: Google, status: int, sent: int
) -> None:
    world.google.faults.append(Fault("/tables/users", status))
    with pytest.raises(GoogleUnavailable):
        client.call("POST", "bigquery", PATH, repeatable=False)
    assert world.google.count("/tables/users") == sent


def test_a_token_that_is_refused_is_renewed_once(world: World, client: Google) -> None:
    world.google.faults.append(Fault("/tables/users", 401, times=1))
    client.call("GET", "bigquery", PATH)
    assert world.google.count(":generateAccessToken") == 2
    world.google.faults.append(Fault("/tables/users", 401))
    with pytest.raises(GoogleRefused, match="401"):
        client.call("GET", "bigquery", PATH)


def test_a_connection_that_breaks_is_tried_again(world: World, client: Google) -> None:
    broken = requests.ConnectionError("reset by peer")
    world.google.faults.append(Fault("/tables/users", 0, times=2, raises=broken))
    client.call("GET", "bigquery", PATH)
    world.google.faults.append(Fault("/tables/users", 0, raises=broken))
    with pytest.raises(GoogleUnavailable, match="ConnectionError: reset by peer"):
        client.call("GET", "bigquery", PATH)


def test_federation_that_is_refused_says_so(world: World, client: Google) -> None:
    world.google.faults.append(Fault("/v1/token", 400, message="attribute condition rejected"))
    with pytest.raises(GoogleRefused, match="workload identity federation"):
        client.call("GET", "bigquery", PATH)


def test_federation_that_is_away_is_tried_again(world: World, client: Google) -> None:
    world.google.faults.append(
        Fault("/v1/token", 0, times=2, raises=requests.ConnectionError("away"))
    )
    client.call("GET", "bigquery", PATH, repeatable=False)
    assert world.google.count("/v1/token") == 3


@pytest.mark.parametrize("pattern", ["/v1/token", ":generateAccessToken", "/tables/users"])
def test_no_secret_is_in_an_error_or_its_traceback(
    world: World, client: Google, pattern: str
) -> None:
    """Google echoes, libraries quote: neither may reach a log."""
    echo = f"you sent Bearer {TOKEN} {FEDERATED_TOKEN} and {AWS_SECRET}"
    world.google.faults.append(Fault(pattern, 400, message=echo))
    with pytest.raises(GoogleRefused) as caught:
        client.call("GET", "bigquery", PATH)
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    for secret in SECRETS:
        assert secret not in said


def test_what_looks_like_a_secret_is_hidden() -> None:
    text = redact(
        "AKIAIOSFODNN7EXAMPLE secret_access_key: abc/def+1 eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln "
        "AWS4-HMAC-SHA256 Signature=0a1b2c, Bearer opaque-thing"
    )
    for secret in ("AKIA", "abc/def", "eyJ", "0a1b2c", "opaque"):
        assert secret not in text
    assert len(redact("x" * 10_000)) == 500
