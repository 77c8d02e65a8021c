from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.aws.access import (
    Access,
    Document,
    Identity,
    PolicyError,
    arn_matches,
    condition_holds,
    decide,
    load,
    matches,
    service_allowed,
)

ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/load"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/load/run"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1"
OBJECT = "arn:aws:s3:::exports/a/b"


def policy(*statements: Mapping[str, Any]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


@dataclass
class Policies:
    identities: dict[str, Identity] = field(default_factory=dict)
    resources: dict[str, Document] = field(default_factory=dict)
    keys: dict[str, Document] = field(default_factory=dict)
    trusts: dict[str, Document] = field(default_factory=dict)

    def identity(self, principal_arn: str) -> Identity:
        return self.identities[principal_arn]

    def resource_policy(self, action: str, resource: str) -> Document | None:
        return self.resources.get(resource)

    def key_policy(self, key_arn: str) -> Document | None:
        return self.keys.get(key_arn)

    def trust_policy(self, role_arn: str) -> Document | None:
        return self.trusts.get(role_arn)


def access(*statements: Mapping[str, Any], boundary: Document | None = None, **more: Any) -> Access:
    own = Identity(SESSION, ROLE, (policy(*statements),), boundary)
    return Access(Policies({SESSION: own}, **more))


# --- wildcards ----------------------------------------------------------------------------


def by_hand(pattern: str, value: str) -> bool:
    """Wildcard matching as one would explain it, character by character."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return by_hand(pattern[1:], value) or (bool(value) and by_hand(pattern, value[1:]))
    return bool(value) and pattern[0] in ("?", value[0]) and by_hand(pattern[1:], value[1:])


@given(st.text("ab*?.", max_size=7), st.text("ab.\n", max_size=7))
def test_wildcards_match_as_by_hand(pattern: str, value: str) -> None:
    assert matches(pattern, value) == by_hand(pattern, value)


@given(st.text(st.characters(exclude_characters="*?"), max_size=20), st.text(max_size=20))
def test_a_pattern_without_wildcards_matches_itself_only(pattern: str, value: str) -> None:
    assert matches(pattern, pattern)
    assert matches(pattern, value) == (pattern == value)


def test_actions_ignore_case_and_resources_do_not() -> None:
    documents = [policy(allow("S3:getobject", "arn:aws:s3:::exports/*"))]
    assert decide(documents, "s3:GetObject", OBJECT, {}) == "Allow"
    assert decide(documents, "s3:GetObject", "arn:aws:s3:::EXPORTS/a", {}) is None


def test_an_arn_pattern_does_not_reach_over_its_colons() -> None:
    pattern = "arn:aws:states:eu-west-1:*:stateMachine:shop-*"
    assert arn_matches(pattern, f"arn:aws:states:eu-west-1:{ACCOUNT}:stateMachine:shop-load")
    assert not arn_matches("arn:aws:states:*:x:y", f"arn:aws:states:eu-west-1:{ACCOUNT}:x:y")


# --- laws of evaluation ---------------------------------------------------------------------

ACTIONS = st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:*", "*", "rds:Start*"])
RESOURCES = st.sampled_from(["*", "arn:a", "arn:b", "arn:?", "arn:a*"])
STATEMENTS = st.builds(
    lambda effect, action, resource: {"Effect": effect, "Action": action, "Resource": resource},
    st.sampled_from(["Allow", "Deny"]),
    ACTIONS,
    RESOURCES,
)
ASKED = st.tuples(
    st.sampled_from(["s3:GetObject", "s3:PutObject", "rds:StartExportTask"]),
    st.sampled_from(["arn:a", "arn:b", "arn:ab"]),
)


@given(st.lists(STATEMENTS, max_size=5), ASKED)
def test_a_decision_is_deny_then_allow_then_nothing(
    statements: list[dict[str, str]], asked: tuple[str, str]
) -> None:
    hits = {
        one["Effect"]
        for one in statements
        if by_hand(one["Action"], asked[0]) and by_hand(one["Resource"], asked[1])
    }
    expected = "Deny" if "Deny" in hits else "Allow" if hits else None
    assert decide([policy(*statements)], *asked, {}) == expected


@given(st.lists(STATEMENTS, max_size=4), ACTIONS, RESOURCES, ASKED)
def test_adding_a_deny_never_grants(
    statements: list[dict[str, str]], action: str, resource: str, asked: tuple[str, str]
) -> None:
    before = decide([policy(*statements)], *asked, {})
    after = decide([policy(*statements), policy(deny(action, resource))], *asked, {})
    assert not (after == "Allow" and before != "Allow")


@given(st.lists(STATEMENTS, max_size=4), ACTIONS, RESOURCES, ASKED)
def test_adding_an_allow_never_takes_away(
    statements: list[dict[str, str]], action: str, resource: str, asked: tuple[str, str]
) -> None:
    before = decide([policy(*statements)], *asked, {})
    after = decide([policy(*statements, allow(action, resource))], *asked, {})
    assert not (before == "Allow" and after != "Allow")


def test_not_action_and_not_resource() -> None:
    documents = [policy({"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:b"})]
    assert decide(documents, "s3:GetObject", "arn:a", {}) == "Allow"
    assert decide(documents, "iam:PassRole", "arn:a", {}) is None
    assert decide(documents, "s3:GetObject", "arn:b", {}) is None


def test_a_policy_variable_takes_its_value_from_the_request() -> None:
    documents = [policy(allow("s3:GetObject", "arn:aws:s3:::home/${aws:username}/*"))]
    resource = "arn:aws:s3:::home/ana/x"
    assert decide(documents, "s3:GetObject", resource, {"aws:username": "ana"}) == "Allow"
    assert decide(documents, "s3:GetObject", resource, {"aws:username": "bo"}) is None
    assert decide(documents, "s3:GetObject", resource, {}) is None


# --- conditions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "context", "expected"),
    [
        ({"StringEquals": {"k": "a"}}, {"k": "a"}, True),
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "A"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"k": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"k": "a"}}, {"k": "b"}, False),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, False),
        ({"StringLike": {"k": "exports/*"}}, {"k": "exports/x"}, True),
        ({"StringNotLike": {"k": "exports/*"}}, {"k": "exports/x"}, False),
        ({"StringEqualsIgnoreCase": {"k": "A"}}, {"k": "a"}, True),
        ({"ArnLike": {"k": "arn:aws:s3:::b*"}}, {"k": "arn:aws:s3:::bucket"}, True),
        ({"ArnNotEquals": {"k": "arn:aws:s3:::b"}}, {"k": "arn:aws:s3:::b"}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": True}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"aws:SecureTransport": "true"}, True),
        ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, {"s3:TlsVersion": "1.3"}, False),
        ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, {"s3:TlsVersion": "1.0"}, True),
        ({"NumericGreaterThanEquals": {"k": 5}}, {"k": 5}, True),
        ({"DateGreaterThan": {"k": "2026-01-01T00:00:00Z"}}, {"k": "2026-11-20T03:00:00Z"}, True),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "false"}}, {}, False),
        ({"ForAnyValue:StringEquals": {"k": ["a"]}}, {"k": ["a", "z"]}, True),
        ({"ForAnyValue:StringEquals": {"k": ["a"]}}, {}, False),
        ({"ForAllValues:StringEquals": {"k": ["a"]}}, {"k": ["a", "z"]}, False),
        ({"ForAllValues:StringEquals": {"k": ["a"]}}, {}, True),
        ({"StringEquals": {"k": "a"}, "Bool": {"l": "true"}}, {"k": "a", "l": False}, False),
    ],
)
def test_condition_operators(
    condition: dict[str, Any], context: dict[str, Any], expected: bool
) -> None:
    assert condition_holds(condition, context) is expected


@pytest.mark.parametrize(
    "statement",
    [
        allow("*", Condition={"StringEqualz": {"k": "a"}}),
        allow("*", Condition={"ForSome:StringEquals": {"k": "a"}}),
        {**allow("*"), "NotPrincipal": "*"},
        {"Action": "*", "Resource": "*"},
    ],
)
def test_what_is_not_known_is_refused_aloud(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        decide([policy(statement)], "s3:GetObject", OBJECT, {"k": "a"})


def test_a_document_must_be_a_policy() -> None:
    assert load(json.dumps(policy()))["Statement"] == []
    for text in ("{", "[]", "{}"):
        with pytest.raises(PolicyError):
            load(text)


# --- decisions -------------------------------------------------------------------------------


def test_what_no_policy_allows_is_refused_in_the_words_of_aws() -> None:
    with pytest.raises(PermissionError) as refusal:
        access().authorize(SESSION, "s3:GetObject", OBJECT, {})
    assert str(refusal.value) == (
        f"User: {SESSION} is not authorized to perform: s3:GetObject on resource: {OBJECT} "
        "because no identity-based policy allows the s3:GetObject action"
    )


def test_an_explicit_deny_wins_over_every_allow() -> None:
    bucket = {OBJECT: policy({**allow("s3:*", "*"), "Principal": "*"})}
    allowed = access(allow("s3:*"), deny("s3:Get*"), resources=bucket)
    with pytest.raises(PermissionError, match="explicit deny in an identity-based policy"):
        allowed.authorize(SESSION, "s3:GetObject", OBJECT, {})
    forbidding = {OBJECT: policy({**deny("s3:*", "*"), "Principal": "*"})}
    with pytest.raises(PermissionError, match="explicit deny in a resource-based policy"):
        access(allow("s3:*"), resources=forbidding).authorize(SESSION, "s3:GetObject", OBJECT, {})


@pytest.mark.parametrize("principal", ["*", {"AWS": ROLE}, {"AWS": [SESSION]}, {"AWS": "*"}])
def test_a_bucket_policy_may_let_a_principal_in_by_itself(principal: Any) -> None:
    bucket = {OBJECT: policy({**allow("s3:GetObject", f"{OBJECT}*"), "Principal": principal})}
    access(resources=bucket).authorize(SESSION, "s3:GetObject", OBJECT, {})


def test_a_bucket_policy_for_the_account_only_delegates() -> None:
    bucket = {OBJECT: policy({**allow("s3:GetObject", "*"), "Principal": {"AWS": ROOT}})}
    with pytest.raises(PermissionError):
        access(resources=bucket).authorize(SESSION, "s3:GetObject", OBJECT, {})
    access(allow("s3:GetObject"), resources=bucket).authorize(SESSION, "s3:GetObject", OBJECT, {})


def test_a_permissions_boundary_limits_what_policies_allow() -> None:
    with pytest.raises(PermissionError, match="no permissions boundary allows"):
        access(allow("*"), boundary=policy(allow("rds:*"))).authorize(
            SESSION, "s3:GetObject", OBJECT, {}
        )


DELEGATING = policy({**allow("kms:*"), "Principal": {"AWS": ROOT}})


def test_a_key_needs_its_own_policy_whatever_the_identity_may_do() -> None:
    other = policy({**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"}})
    with pytest.raises(PermissionError, match="no resource-based policy allows the kms:Decrypt"):
        access(allow("kms:*"), keys={KEY: other}).authorize(SESSION, "kms:Decrypt", KEY, {})


def test_a_key_policy_that_delegates_needs_the_identity_policy_too() -> None:
    with pytest.raises(PermissionError, match="no identity-based policy allows the kms:Decrypt"):
        access(keys={KEY: DELEGATING}).authorize(SESSION, "kms:Decrypt", KEY, {})
    access(allow("kms:Decrypt", KEY), keys={KEY: DELEGATING}).authorize(
        SESSION, "kms:Decrypt", KEY, {}
    )


def test_a_key_policy_that_names_the_role_is_enough() -> None:
    direct = policy({**allow("kms:Decrypt"), "Principal": {"AWS": ROLE}})
    access(keys={KEY: direct}).authorize(SESSION, "kms:Decrypt", KEY, {})


def test_a_key_may_be_bound_to_s3_and_to_one_bucket() -> None:
    narrow = allow(
        "kms:Decrypt",
        KEY,
        Condition={
            "StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::exports*"},
        },
    )
    allowed = access(narrow, keys={KEY: DELEGATING})
    context = {
        "kms:ViaService": "s3.eu-west-1.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::exports",
    }
    allowed.authorize(SESSION, "kms:Decrypt", KEY, context)
    for key, value in (
        ("kms:ViaService", "rds.eu-west-1.amazonaws.com"),
        ("kms:EncryptionContext:aws:s3:arn", "arn:aws:s3:::other"),
    ):
        with pytest.raises(PermissionError):
            allowed.authorize(SESSION, "kms:Decrypt", KEY, {**context, key: value})


def test_a_key_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PermissionError, match="does not exist"):
        access(allow("kms:*")).authorize(SESSION, "kms:Decrypt", KEY, {})


# --- trust -----------------------------------------------------------------------------------


def trusting(principal: Any, **more: Any) -> Document:
    return policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more})


def test_a_service_assumes_the_roles_that_trust_it_under_their_conditions() -> None:
    condition = {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/shop-*"}}
    trust = trusting({"Service": "events.amazonaws.com"}, Condition=condition)
    allowed = access(trusts={ROLE: trust})
    rule = {"aws:SourceArn": f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/shop-stg"}
    allowed.assume(ROLE, "events.amazonaws.com", rule)
    with pytest.raises(PermissionError, match=r"User: states\.amazonaws\.com is not authorized"):
        allowed.assume(ROLE, "states.amazonaws.com", rule)
    with pytest.raises(PermissionError):
        allowed.assume(ROLE, "events.amazonaws.com", {})
    with pytest.raises(PermissionError, match="does not exist"):
        allowed.assume(ROLE + "x", "events.amazonaws.com", rule)


def test_a_deny_in_a_trust_policy_wins() -> None:
    trust = policy(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"},
        {
            "Effect": "Deny",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["a.amazonaws.com"]},
        },
    )
    assert not service_allowed(trust, "a.amazonaws.com", "sts:AssumeRole", None, {})
    assert service_allowed(trust, "b.amazonaws.com", "sts:AssumeRole", None, {})


def test_a_role_assumes_another_one_that_trusts_it() -> None:
    other = f"arn:aws:iam::{ACCOUNT}:role/other"
    access(trusts={other: trusting({"AWS": ROLE})}).assume_as(SESSION, other, {})
    by_account = {other: trusting({"AWS": ROOT})}
    with pytest.raises(PermissionError, match="no identity-based policy"):
        access(trusts=by_account).assume_as(SESSION, other, {})
    access(allow("sts:AssumeRole", other), trusts=by_account).assume_as(SESSION, other, {})
    with pytest.raises(PermissionError, match="trust policy"):
        access(allow("sts:*"), trusts={other: trusting({"AWS": other})}).assume_as(
            SESSION, other, {}
        )
