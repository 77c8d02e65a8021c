"""Evaluation of IAM policies, as one account evaluates them.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
condition operators from .../reference_policies_elements_condition_operators.html, KMS key policies
from https://docs.aws.amazon.com/kms/latest/developerguide/control-access.html. Everything here is a
pure function of policy documents; `PolicySource` says where they come from. What a document holds
that this module does not know raises PolicyError: nothing is ever skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

Context = Mapping[str, Any]
Document = Mapping[str, Any]

ALLOW, DENY = "Allow", "Deny"

_STATEMENT_ELEMENTS = {
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "Condition",
}


class PolicyError(PermissionError):
    """A policy document cannot be evaluated, so that nothing is allowed by it."""


@dataclass(frozen=True)
class Identity:
    """Who asks: the ARN shown in messages, the IAM entity behind it, and its policies."""

    arn: str
    entity: str
    policies: tuple[Document, ...]
    boundary: Document | None = None

    @property
    def account(self) -> str:
        """Return the account of the entity."""
        return self.entity.split(":")[4]


class PolicySource(Protocol):
    """Where policies are kept."""

    def identity(self, principal_arn: str) -> Identity:
        """Return the user, role or role session; PermissionError when there is none."""

    def resource_policy(self, action: str, resource: str) -> Document | None:
        """Return the policy of the resource itself (bucket, topic, queue), if it has one."""

    def key_policy(self, key_arn: str) -> Document | None:
        """Return the policy of a KMS key, None when there is no such key."""

    def trust_policy(self, role_arn: str) -> Document | None:
        """Return the trust policy of a role, None when there is no such role."""


def load(text: str | Document) -> Document:
    """Parse a policy document."""
    try:
        document = json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        raise PolicyError(f"the policy document is not JSON: {error}") from error
    if not isinstance(document, Mapping) or "Statement" not in document:
        raise PolicyError("the policy document has no Statement")
    return document


# --- matching ---------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    text = "".join(parts.get(char, re.escape(char)) for char in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def matches(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """Tell whether *value* matches *pattern*, in which `*` is any text and `?` any character."""
    return _pattern(pattern, ignore_case).fullmatch(value) is not None


def arn_matches(pattern: str, value: str) -> bool:
    """Tell whether an ARN matches; each of its first five parts is matched on its own."""
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    if len(patterns) < 6 or len(values) < 6:
        return matches(pattern, value)
    return all(matches(one, other) for one, other in zip(patterns, values, strict=True))


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def _substitute(text: str, context: Context) -> str | None:
    """Put policy variables in; None when one has no value, so that the text matches nothing."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name = match[1]
        if name in ("*", "?", "$"):
            return name
        found = _lookup(context, name)
        if found is None or isinstance(found, list | tuple):
            missing = True
            return ""
        return str(found)

    replaced = _VARIABLE.sub(value, text)
    return None if missing else replaced


def _lookup(context: Context, key: str) -> Any:
    wanted = key.lower()
    for name, value in context.items():
        if name.lower() == wanted:
            return value
    return None


# --- conditions -------------------------------------------------------------------------------

Test = Callable[[str, str], bool]


def _numeric(compare: Callable[[float, float], bool]) -> Test:
    return lambda wanted, value: compare(float(value), float(wanted))


def _date(compare: Callable[[float, float], bool]) -> Test:
    return lambda wanted, value: compare(_epoch(value), _epoch(wanted))


def _epoch(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# Operator -> (test of one wanted value and one actual value, whether it is a negation).
_OPERATORS: dict[str, tuple[Test, bool]] = {
    "StringEquals": (lambda wanted, value: wanted == value, False),
    "StringNotEquals": (lambda wanted, value: wanted == value, True),
    "StringEqualsIgnoreCase": (lambda wanted, value: wanted.lower() == value.lower(), False),
    "StringNotEqualsIgnoreCase": (lambda wanted, value: wanted.lower() == value.lower(), True),
    "StringLike": (matches, False),
    "StringNotLike": (matches, True),
    "ArnEquals": (arn_matches, False),
    "ArnLike": (arn_matches, False),
    "ArnNotEquals": (arn_matches, True),
    "ArnNotLike": (arn_matches, True),
    "Bool": (lambda wanted, value: wanted.lower() == value.lower(), False),
    "NumericEquals": (_numeric(lambda value, wanted: value == wanted), False),
    "NumericNotEquals": (_numeric(lambda value, wanted: value == wanted), True),
    "NumericLessThan": (_numeric(lambda value, wanted: value < wanted), False),
    "NumericLessThanEquals": (_numeric(lambda value, wanted: value <= wanted), False),
    "NumericGreaterThan": (_numeric(lambda value, wanted: value > wanted), False),
    "NumericGreaterThanEquals": (_numeric(lambda value, wanted: value >= wanted), False),
    "DateEquals": (_date(lambda value, wanted: value == wanted), False),
    "DateLessThan": (_date(lambda value, wanted: value < wanted), False),
    "DateGreaterThan": (_date(lambda value, wanted: value > wanted), False),
}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def condition_holds(condition: Mapping[str, Any], context: Context) -> bool:
    """Tell whether every operator and key of a Condition block holds in *context*."""
    return all(
        _key_holds(operator, key, _list(wanted), context)
        for operator, block in condition.items()
        for key, wanted in block.items()
    )


def _key_holds(operator: str, key: str, wanted: list[Any], context: Context) -> bool:
    actual = _lookup(context, key)
    if operator == "Null":
        return all((_text(value) == "true") == (actual is None) for value in wanted)
    name, if_exists = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    quantifier, _, bare = name.rpartition(":")
    if bare not in _OPERATORS or quantifier not in ("", "ForAnyValue", "ForAllValues"):
        raise PolicyError(f"the condition operator '{operator}' is not known")
    test, negated = _OPERATORS[bare]
    if actual is None:
        # An absent key fails a positive test and passes a negated one; ForAllValues is true of
        # no values at all, ForAnyValue is not.
        return if_exists or quantifier == "ForAllValues" or (negated and not quantifier)
    texts = [text for value in wanted if (text := _substitute(_text(value), context)) is not None]

    def one(value: Any) -> bool:
        return negated != any(test(text, _text(value)) for text in texts)

    values = _list(actual)
    return any(map(one, values)) if quantifier == "ForAnyValue" else all(map(one, values))


# --- statements -------------------------------------------------------------------------------


def _statements(document: Document) -> list[Mapping[str, Any]]:
    statements = _list(document["Statement"])
    for statement in statements:
        unknown = set(statement) - _STATEMENT_ELEMENTS
        if unknown:
            raise PolicyError(f"the policy element '{sorted(unknown)[0]}' is not known")
        if statement.get("Effect") not in (ALLOW, DENY):
            raise PolicyError("a policy statement has no Effect")
    return statements


def _action_applies(statement: Mapping[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(
            matches(pattern, action, ignore_case=True) for pattern in _list(statement["NotAction"])
        )
    return any(
        matches(pattern, action, ignore_case=True) for pattern in _list(statement.get("Action", []))
    )


def _resource_applies(statement: Mapping[str, Any], resource: str, context: Context) -> bool:
    def any_of(patterns: list[str]) -> bool:
        texts = (_substitute(pattern, context) for pattern in patterns)
        return any(text is not None and matches(text, resource) for text in texts)

    if "NotResource" in statement:
        return not any_of(_list(statement["NotResource"]))
    return any_of(_list(statement.get("Resource", [])))


def _applies(
    statement: Mapping[str, Any], action: str, resource: str | None, context: Context
) -> bool:
    return (
        _action_applies(statement, action)
        and (resource is None or _resource_applies(statement, resource, context))
        and condition_holds(statement.get("Condition", {}), context)
    )


def decide(
    documents: Iterable[Document], action: str, resource: str, context: Context
) -> str | None:
    """Return Deny, Allow, or None when identity policies say nothing of the request."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _statements(document)
        if _applies(statement, action, resource, context)
    }
    return DENY if DENY in effects else ALLOW if ALLOW in effects else None


def _names_principal(principal: Any, identity: Identity) -> str | None:
    """Say how a Principal element names the caller: "direct", "account" or not at all (None)."""
    if principal == "*":
        return "direct"
    named = [str(value) for value in _list((principal or {}).get("AWS", []))]
    if any(value in ("*", identity.arn, identity.entity) for value in named):
        return "direct"
    root = f"arn:aws:iam::{identity.account}:root"
    return "account" if root in named or identity.account in named else None


def decide_resource(
    document: Document,
    identity: Identity,
    action: str,
    resource: str | None,
    context: Context,
) -> tuple[str | None, bool]:
    """Return the effect of a resource's policy and whether it only delegates to the account.

    With *resource* None the policy's own Resource elements are not looked at, as for a KMS key,
    whose policy is about that key alone.
    """
    direct = delegated = False
    for statement in _statements(document):
        how = _names_principal(statement.get("Principal"), identity)
        if how is None or not _applies(statement, action, resource, context):
            continue
        if statement["Effect"] == DENY:
            return DENY, False
        direct = direct or how == "direct"
        delegated = delegated or how == "account"
    return (ALLOW if direct or delegated else None), delegated and not direct


def service_allowed(
    document: Document | None, service: str, action: str, resource: str | None, context: Context
) -> bool:
    """Tell whether a policy lets an AWS service (`events.amazonaws.com`) do *action*."""
    if document is None:
        return False
    allowed = False
    for statement in _statements(document):
        principal = statement.get("Principal")
        named = principal == "*" or (
            isinstance(principal, Mapping) and service in _list(principal.get("Service", []))
        )
        if named and _applies(statement, action, resource, context):
            if statement["Effect"] == DENY:
                return False
            allowed = True
    return allowed


# --- decisions --------------------------------------------------------------------------------


def _refusal(identity: Identity, action: str, resource: str, why: str) -> PermissionError:
    return PermissionError(
        f"User: {identity.arn} is not authorized to perform: {action} on resource: {resource} {why}"
    )


class Access:
    """Decides requests by the policies of a PolicySource."""

    def __init__(self, source: PolicySource) -> None:
        self._source = source

    def authorize(self, principal_arn: str, action: str, resource: str, context: Context) -> None:
        """Return when the principal may do *action* on *resource*; PermissionError when not.

        The message is AWS's: who, what, where, and which kind of policy is in the way.
        """
        identity = self._source.identity(principal_arn)
        context = {**self._principal_context(identity), **context}
        if action.startswith("kms:") and action != "kms:ListAliases":
            self._authorize_key(identity, action, resource, context)
        else:
            self._authorize(identity, action, resource, context)

    def assume(self, role_arn: str, service: str, context: Context) -> None:
        """Return when the AWS service may assume the role; PermissionError when not."""
        trust = self._source.trust_policy(role_arn)
        if trust is None:
            raise PermissionError(f"The role {role_arn} does not exist")
        if not service_allowed(trust, service, "sts:AssumeRole", None, context):
            raise PermissionError(
                f"User: {service} is not authorized to perform: sts:AssumeRole on resource: "
                f"{role_arn} because no trust policy statement allows it"
            )

    def assume_as(self, principal_arn: str, role_arn: str, context: Context) -> None:
        """Return when a user or role may assume another role; PermissionError when not."""
        identity = self._source.identity(principal_arn)
        trust = self._source.trust_policy(role_arn)
        full = {**self._principal_context(identity), **context}
        effect, delegated = (
            (None, False)
            if trust is None
            else decide_resource(trust, identity, "sts:AssumeRole", None, full)
        )
        if effect != ALLOW:
            raise _refusal(
                identity, "sts:AssumeRole", role_arn, "because its trust policy does not"
            )
        own = decide(identity.policies, "sts:AssumeRole", role_arn, full)
        if own == DENY or (delegated and own != ALLOW):
            raise _refusal(
                identity, "sts:AssumeRole", role_arn, _identity_reason(own, "sts:AssumeRole")
            )

    def _authorize(self, identity: Identity, action: str, resource: str, context: Context) -> None:
        own = decide(identity.policies, action, resource, context)
        self._within_boundary(identity, action, resource, context)
        policy = self._source.resource_policy(action, resource)
        theirs, delegated = (
            (None, False)
            if policy is None
            else decide_resource(policy, identity, action, resource, context)
        )
        if theirs == DENY:
            raise _refusal(
                identity, action, resource, "with an explicit deny in a resource-based policy"
            )
        if own == DENY or (own is None and (theirs != ALLOW or delegated)):
            raise _refusal(identity, action, resource, _identity_reason(own, action))

    def _authorize_key(
        self, identity: Identity, action: str, resource: str, context: Context
    ) -> None:
        policy = self._source.key_policy(resource)
        if policy is None:
            raise _refusal(identity, action, resource, "because the resource does not exist")
        own = decide(identity.policies, action, resource, context)
        self._within_boundary(identity, action, resource, context)
        theirs, delegated = decide_resource(policy, identity, action, None, context)
        if theirs == DENY:
            raise _refusal(
                identity, action, resource, "with an explicit deny in a resource-based policy"
            )
        if own == DENY:
            raise _refusal(identity, action, resource, _identity_reason(own, action))
        if theirs is None:
            raise _refusal(
                identity,
                action,
                resource,
                f"because no resource-based policy allows the {action} action",
            )
        if delegated and own != ALLOW:
            raise _refusal(identity, action, resource, _identity_reason(own, action))

    def _within_boundary(
        self, identity: Identity, action: str, resource: str, context: Context
    ) -> None:
        if identity.boundary is None:
            return
        if decide([identity.boundary], action, resource, context) != ALLOW:
            raise _refusal(
                identity,
                action,
                resource,
                f"because no permissions boundary allows the {action} action",
            )

    @staticmethod
    def _principal_context(identity: Identity) -> dict[str, Any]:
        is_user = ":user/" in identity.entity
        context: dict[str, Any] = {
            "aws:PrincipalArn": identity.entity,
            "aws:PrincipalAccount": identity.account,
            "aws:PrincipalType": "User" if is_user else "AssumedRole",
            "aws:PrincipalIsAWSService": False,
            "aws:ViaAWSService": False,
        }
        if is_user:
            context["aws:username"] = identity.entity.rsplit("/", 1)[-1]
        return context


def _identity_reason(effect: str | None, action: str) -> str:
    if effect == DENY:
        return "with an explicit deny in an identity-based policy"
    return f"because no identity-based policy allows the {action} action"
