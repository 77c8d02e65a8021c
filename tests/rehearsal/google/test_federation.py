"""Keyless access from AWS, exercised with google-auth as the load functions use it."""

from __future__ import annotations

import json
import urllib.parse

import google.auth.aws
import google.auth.exceptions
import google.auth.transport.requests
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.google.conditions import ConditionError, aws_role, compile_condition

POOLS = "/v1/projects/shop-analytics/locations/global/workloadIdentityPools"
AUDIENCE = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/shop-prod"
    "/providers/aws-account"
)
ROLE = "arn:aws:sts::111122223333:assumed-role/shop-load"
MEMBER = f"principalSet:{AUDIENCE.partition('/providers')[0]}/attribute.aws_role/{ROLE}"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture
def functions(world):
    """A pool, a provider and the account that the load role may become."""
    world.enable()
    provider(world)
    email = world.account("shop-load", "roles/bigquery.jobUser")
    path = f"/v1/projects/shop-analytics/serviceAccounts/{email}"
    world.grant(path, "roles/iam.workloadIdentityUser", MEMBER)
    return email


def provider(world, provider_id="aws-account", pool=True, **fields):
    if pool:
        world.api("POST", f"{POOLS}?workloadIdentityPoolId=shop-prod", {"displayName": "shop"})
    return world.api(
        "POST",
        f"{POOLS}/shop-prod/providers?workloadIdentityPoolProviderId={provider_id}",
        {"aws": {"accountId": "111122223333"}, **fields},
    )


@pytest.fixture
def sign_in(world, monkeypatch):
    """What a load function does: google-auth with the configuration the program writes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAFUNCTION")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    session = requests.Session()

    def refreshed(email, audience=AUDIENCE):
        endpoint = world.google.endpoint
        credentials = google.auth.aws.Credentials.from_info(
            {
                "type": "external_account",
                "audience": audience,
                "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
                "token_url": f"{endpoint}/v1/token",
                "service_account_impersonation_url": (
                    f"{endpoint}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
                ),
                "credential_source": {
                    "environment_id": "aws1",
                    "regional_cred_verification_url": (
                        "https://sts.{region}.amazonaws.com"
                        "?Action=GetCallerIdentity&Version=2011-06-15"
                    ),
                },
            },
            scopes=[SCOPE],
        )
        credentials.refresh(google.auth.transport.requests.Request(session))
        return credentials.token

    yield refreshed
    session.close()


def test_a_function_of_the_right_role_becomes_its_account(
    world, aws, functions, sign_in, new_api
) -> None:
    api = new_api(world, sign_in(functions))
    assert api.query("SELECT 1 AS one")["rows"] == [{"f": [{"v": "1"}]}]
    (signed,) = aws.sts_requests
    method, path, headers = signed
    assert (method, path) == ("POST", "/?Action=GetCallerIdentity&Version=2011-06-15")
    assert headers["host"] == "sts.eu-west-1.amazonaws.com"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIAFUNCTION/")
    assert headers["x-amz-security-token"] == "session"


def test_another_role_of_the_account_does_not(aws, functions, sign_in) -> None:
    aws.caller = "arn:aws:sts::111122223333:assumed-role/shop-load-other/x"
    with pytest.raises(google.auth.exceptions.RefreshError, match="getAccessToken"):
        sign_in(functions)


def test_another_account_does_not(aws, functions, sign_in) -> None:
    aws.caller, aws.account = ROLE.replace("1111", "9999") + "/x", "999922223333"
    with pytest.raises(google.auth.exceptions.OAuthError, match="999922223333"):
        sign_in(functions)


def test_a_signature_aws_refuses_is_refused(aws, functions, sign_in) -> None:
    aws.sts_status = 403
    with pytest.raises(google.auth.exceptions.OAuthError, match="SignatureDoesNotMatch"):
        sign_in(functions)


@pytest.mark.parametrize(
    "audience",
    [AUDIENCE.replace("aws-account", "aws-other"), AUDIENCE.replace("123456789012", "999")],
)
def test_a_provider_that_does_not_exist(functions, sign_in, audience) -> None:
    with pytest.raises(google.auth.exceptions.OAuthError, match="invalid_target"):
        sign_in(functions, audience)


def test_an_audience_by_project_id_is_no_audience(functions, sign_in) -> None:
    with pytest.raises(google.auth.exceptions.OAuthError, match="full resource name"):
        sign_in(functions, AUDIENCE.replace("123456789012", "shop-analytics"))


def test_a_deleted_provider_lets_nobody_in_and_keeps_its_id(
    world, functions, sign_in, refused
) -> None:
    world.api("DELETE", f"{POOLS}/shop-prod/providers/aws-account")
    with pytest.raises(google.auth.exceptions.OAuthError, match="invalid_target"):
        sign_in(functions)
    with pytest.raises(refused) as error:
        provider(world, pool=False)
    assert error.value.code == 409


@pytest.mark.parametrize(
    ("condition", "admitted"),
    [
        (f'attribute.aws_role == "{ROLE}"', True),
        (f"attribute.aws_role == '{ROLE}-other'", False),
        ('assertion.arn.startsWith("arn:aws:sts::111122223333:assumed-role/shop-")', True),
        ('assertion.arn.startsWith("arn:aws:sts::111122223333:assumed-role/other-")', False),
        ("assertion.account == '111122223333' && google.subject.contains('settle')", True),
        ("assertion.account != '111122223333' || (assertion.arn.endsWith('settle'))", True),
        ("assertion.account != '111122223333'", False),
    ],
)
def test_the_providers_condition_decides(world, functions, sign_in, condition, admitted) -> None:
    world.api(
        "PATCH", f"{POOLS}/shop-prod/providers/aws-account", {"attributeCondition": condition}
    )
    if admitted:
        assert sign_in(functions)
    else:
        with pytest.raises(google.auth.exceptions.OAuthError, match="attribute condition"):
            sign_in(functions)


@pytest.mark.parametrize(
    "fields",
    [
        {"attributeCondition": "attribute.aws_role in ['x']"},
        {"attributeCondition": "assertion.arn == "},
        {"attributeCondition": "assertion.arn.matches('.*')"},
        {"attributeCondition": "true"},
        {"attributeMapping": {"attribute.aws_role": "assertion.arn"}},
        {"attributeMapping": {"google.subject": "assertion.sub"}},
        {"attributeMapping": {"google.subject": "assertion.arn.split('/')[1]"}},
        {"attributeMapping": {"google.subject": "assertion.arn", "google.other": "assertion.arn"}},
        {"aws": {"accountId": "1111"}},
    ],
)
def test_what_is_not_understood_is_refused_when_it_is_made(world, refused, fields) -> None:
    world.enable()
    with pytest.raises(refused) as error:
        provider(world, **fields)
    assert error.value.code == 400


def test_a_subject_that_is_too_long_is_refused(aws, functions, sign_in) -> None:
    """Role and function names of full length together pass Google's 127 bytes."""
    aws.caller = f"{ROLE}/{'f' * 80}"
    with pytest.raises(google.auth.exceptions.OAuthError, match="127 bytes"):
        sign_in(functions)


@pytest.mark.parametrize(
    "expression", ["assertion.userid", "assertion.arn.extract('assumed-role/{role}/')"]
)
def test_an_own_mapping_may_shorten_the_subject(world, aws, functions, sign_in, expression) -> None:
    aws.caller = f"{ROLE}/{'f' * 80}"
    mapping = world.api("GET", f"{POOLS}/shop-prod/providers/aws-account")["attributeMapping"]
    world.api(
        "PATCH",
        f"{POOLS}/shop-prod/providers/aws-account",
        {"attributeMapping": {**mapping, "google.subject": expression}},
    )
    assert sign_in(functions)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"url": "https://example.com?Action=GetCallerIdentity"}, "no host of AWS STS"),
        ({"url": "https://sts.amazonaws.com?Action=AssumeRole"}, "must be GetCallerIdentity"),
        ({"headers": [{"key": "x-goog-cloud-target-resource", "value": "x"}]}, "must equal"),
        ({"headers": None}, "no serialised"),
    ],
)
def test_only_a_signed_getcalleridentity_counts(
    world, aws, functions, refused, change, told
) -> None:
    token = {
        "url": "https://sts.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        "method": "POST",
        "headers": [{"key": "x-goog-cloud-target-resource", "value": AUDIENCE}],
        **change,
    }
    with pytest.raises(refused) as error:
        world.api(
            "POST",
            "/v1/token",
            {
                "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
                "audience": AUDIENCE,
                "subjectTokenType": "urn:ietf:params:aws:token-type:aws4_request",
                "subjectToken": urllib.parse.quote(json.dumps(token)),
            },
        )
    assert error.value.code == 400
    assert told in error.value.body["error_description"]
    assert aws.sts_requests == []


def test_pool_ids_are_checked(world, refused) -> None:
    world.enable()
    for pool_id in ("abc", "gcp-shop", "Shop-prod", "x" * 33):
        with pytest.raises(refused, match="Invalid workload identity pool id"):
            world.api("POST", f"{POOLS}?workloadIdentityPoolId={pool_id}", {})


def test_the_update_mask_decides_what_changes(world) -> None:
    world.enable()
    name = provider(world)["response"]["name"]
    for path in (f"{POOLS}/shop-prod", f"/v1/{name}"):
        body = {"description": "d", "displayName": "n", "disabled": True}
        changed = world.api("PATCH", f"{path}?updateMask=description,disabled", body)["response"]
        assert (changed["description"], changed["disabled"]) == ("d", True)
        assert changed.get("displayName") != "n"
        cleared = world.api("PATCH", f"{path}?updateMask=description", {})["response"]
        assert (cleared.get("description"), cleared["disabled"]) == (None, True)
    mapped = world.api("PATCH", f"/v1/{name}?updateMask=attributeMapping", {})["response"]
    assert mapped["attributeMapping"]["google.subject"] == "assertion.arn"


def test_the_sts_api_must_be_enabled(world, functions, sign_in) -> None:
    world.api("POST", "/v1/projects/shop-analytics/services/sts.googleapis.com:disable", {})
    with pytest.raises(google.auth.exceptions.GoogleAuthError, match="SERVICE_DISABLED"):
        sign_in(functions)


names = st.text(alphabet="abcXYZ019-_.@", min_size=1, max_size=20)


@given(names, names)
def test_the_role_of_a_session(role: str, session: str) -> None:
    arn = f"arn:aws:sts::111122223333:assumed-role/{role}"
    assert aws_role(f"{arn}/{session}") == arn
    assert aws_role(f"arn:aws:iam::111122223333:user/{role}") == (
        f"arn:aws:iam::111122223333:user/{role}"
    )


@given(st.text(max_size=60))
def test_no_text_at_all_gets_past_the_reader_of_conditions_by_accident(text: str) -> None:
    """Either it is refused, or it is a test that answers."""
    try:
        test = compile_condition(text)
    except ConditionError:
        return
    assert test({"assertion.arn": "x"}) in (True, False)
