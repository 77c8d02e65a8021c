from __future__ import annotations

from typing import Any

import pytest

from components.iam import EVERYONE, Statement


def statement(**changes: Any) -> Statement:
    return Statement(
        **{"sid": "Read", "actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::b/*"], **changes}
    )


@pytest.mark.parametrize("action", ["s3:*", "*", "s3:Get*", "kms:ReEncrypt?rom"])
def test_an_allowed_wildcard_action_is_refused(action: str) -> None:
    with pytest.raises(ValueError, match="name every action"):
        statement(actions=["s3:GetObject", action])


@pytest.mark.parametrize("action", ["*", "s3:Put*"])
def test_a_denial_may_name_a_whole_service_and_no_other_wildcard(action: str) -> None:
    statement(effect="Deny", actions=["s3:*"], principals=EVERYONE)
    with pytest.raises(ValueError, match="wildcard action"):
        statement(effect="Deny", actions=[action], principals=EVERYONE)


def test_a_statement_without_actions_is_refused() -> None:
    with pytest.raises(ValueError, match="has no action"):
        statement(actions=[])


def test_any_resource_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="statement Read allows any resource"):
        statement(resources=["*"])
    allowed = statement(resources=["*"], any_resource_because="there is nothing narrower")
    assert allowed.document()["Resource"] == ["*"]


def test_a_role_is_passed_by_name_and_to_a_service() -> None:
    condition = {"StringEquals": {"iam:PassedToService": "export.rds.amazonaws.com"}}
    role = "arn:aws:iam::111122223333:role/export"
    passed = statement(actions=["iam:PassRole"], resources=[role], conditions=condition)
    assert passed.document()["Condition"] == condition
    missing: tuple[dict[str, Any], ...] = (
        {"conditions": {}},
        {"resources": ["*"], "any_resource_because": "laziness"},
        {"resources": []},
        {"actions": ["iam:PassRole", "s3:GetObject"]},
    )
    for changes in missing:
        with pytest.raises(ValueError, match="iam:PassRole stands alone"):
            statement(
                **{
                    "actions": ["iam:PassRole"],
                    "resources": [role],
                    "conditions": condition,
                    **changes,
                }
            )


def test_a_denial_for_everyone_names_the_principal_star() -> None:
    denied = statement(effect="Deny", actions=["s3:*"], principals=EVERYONE)
    assert denied.document()["Principal"] == "*"
