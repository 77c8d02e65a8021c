"""Service accounts, custom roles and their policies (https://cloud.google.com/iam/docs/reference/rest)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rehearsal.google.access import Access, Policy, service_account_identity
from rehearsal.google.errors import (
    ApiError,
    already_exists,
    denied,
    failed_precondition,
    invalid,
    not_found,
)
from rehearsal.google.project import Project
from rehearsal.google.resources import masked, page, rfc3339
from rehearsal.google.routing import Call, Router
from rehearsal.google.tokens import Tokens

_SERVICE = "iam.googleapis.com"
_CREDENTIALS = "iamcredentials.googleapis.com"
_ACCOUNT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_ROLE_ID = re.compile(r"[A-Za-z0-9_.]{3,64}")
_PERMISSION = re.compile(r"[a-z]\w*\.\w+\.\w+")
_LONGEST_TOKEN = timedelta(hours=1)


@dataclass
class Account:
    """A service account of the project."""

    email: str
    display_name: str
    description: str
    unique_id: str
    policy: Policy = field(default_factory=Policy)
    disabled: bool = False


class Accounts:
    """The handlers of service accounts, and of the tokens minted for them."""

    def __init__(
        self, project: Project, access: Access, tokens: Tokens, clock: Callable[[], datetime]
    ) -> None:
        self._project = project
        self._access = access
        self._tokens = tokens
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/v1/projects/{project}/serviceAccounts"
        one = base + "/{account}"
        for method, path, handler in (
            ("GET", base, self._list),
            ("POST", base, self._create),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("DELETE", one, self._delete),
            ("POST", one + ":enable", self._enable),
            ("POST", one + ":disable", self._disable),
            ("POST", one + ":getIamPolicy", self._get_policy),
            ("POST", one + ":setIamPolicy", self._set_policy),
        ):
            router.add(method, path, handler, _SERVICE)
        router.add("POST", one + ":generateAccessToken", self._token, _CREDENTIALS)

    def find(self, name: str) -> Account | None:
        """The account with the e-mail address or unique id *name*."""
        account = self._accounts.get(name)
        if account is not None:
            return account
        return next((a for a in self._accounts.values() if a.unique_id == name), None)

    def exists(self, email: str) -> bool:
        """Whether *email* can be a member of a policy: ours, an agent's, or of another project."""
        if email.endswith(f"@{self._project.id}.iam.gserviceaccount.com"):
            return email in self._accounts
        if email.startswith(f"service-{self._project.number}@"):
            return self._project.has_agent(email)
        return True

    def _account(self, call: Call) -> Account:
        account = self.find(call["account"])
        if account is None:
            raise not_found(f"Unknown service account: {call['account']}")
        return account

    def _require(self, call: Call, permission: str, account: Account | None = None) -> None:
        policies = () if account is None else (account.policy,)
        self._access.require(call.identity, permission, permission_denied(permission), *policies)

    def _list(self, call: Call) -> dict[str, Any]:
        self._require(call, "iam.serviceAccounts.list")
        items, more = page(call, list(self._accounts.values()))
        return {"accounts": [self._resource(account) for account in items], **more}

    def _create(self, call: Call) -> dict[str, Any]:
        self._require(call, "iam.serviceAccounts.create")
        body = call.json()
        account_id = str(body.get("accountId", ""))
        if not _ACCOUNT_ID.fullmatch(account_id):
            raise invalid(
                f"Account ID {account_id!r} must have 6 to 30 lower-case letters, digits and "
                "hyphens, begin with a letter and not end with a hyphen"
            )
        email = f"{account_id}@{self._project.id}.iam.gserviceaccount.com"
        if email in self._accounts:
            raise already_exists(
                f"Service account {account_id} already exists within project "
                f"projects/{self._project.id}."
            )
        wanted = body.get("serviceAccount") or {}
        account = Account(
            email,
            str(wanted.get("displayName", "")),
            str(wanted.get("description", "")),
            f"1{zlib.crc32(email.encode()):020d}",
        )
        self._accounts[email] = account
        return self._resource(account)

    def _get(self, call: Call) -> dict[str, Any]:
        account = self._account(call)
        self._require(call, "iam.serviceAccounts.get", account)
        return self._resource(account)

    def _patch(self, call: Call) -> dict[str, Any]:
        account = self._account(call)
        self._require(call, "iam.serviceAccounts.update", account)
        present = {"displayName": account.display_name, "description": account.description}
        wanted = masked(call, present, call.json().get("serviceAccount") or {})
        account.display_name = str(wanted.get("displayName", ""))
        account.description = str(wanted.get("description", ""))
        return self._resource(account)

    def _delete(self, call: Call) -> dict[str, Any]:
        account = self._account(call)
        self._require(call, "iam.serviceAccounts.delete", account)
        del self._accounts[account.email]
        return {}

    def _enable(self, call: Call) -> dict[str, Any]:
        account = self._account(call)
        self._require(call, "iam.serviceAccounts.enable", account)
        account.disabled = False
        return {}

    def _disable(self, call: Call) -> dict[str, Any]:
        account = self._account(call)
        self._require(call, "iam.serviceAccounts.disable", account)
        account.disabled = True
        return {}

    def _get_policy(self, call: Call) -> dict[str, Any]:
        account = self._account(call)
        self._require(call, "iam.serviceAccounts.getIamPolicy", account)
        return account.policy.resource()

    def _set_policy(self, call: Call) -> dict[str, Any]:
        account = self._account(call)
        self._require(call, "iam.serviceAccounts.setIamPolicy", account)
        return self._access.replace(account.policy, call.json())

    def _token(self, call: Call) -> dict[str, Any]:
        """generateAccessToken; the caller needs getAccessToken on the account."""
        permission = "iam.serviceAccounts.getAccessToken"
        account = self.find(call["account"])
        if account is None:
            raise permission_denied(permission)
        self._require(call, permission, account)
        if account.disabled:
            raise failed_precondition(f"Service account {account.email} is disabled.")
        body = call.json()
        if not body.get("scope"):
            raise invalid("Request must contain at least one scope.")
        lifetime = _lifetime(str(body.get("lifetime") or "3600s"))
        token, expires = self._tokens.mint(service_account_identity(account.email), lifetime)
        return {"accessToken": token, "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _resource(self, account: Account) -> dict[str, Any]:
        return {
            "name": f"projects/{self._project.id}/serviceAccounts/{account.email}",
            "projectId": self._project.id,
            "uniqueId": account.unique_id,
            "email": account.email,
            "displayName": account.display_name,
            "description": account.description,
            "oauth2ClientId": account.unique_id,
            "etag": account.policy.etag,
            **({"disabled": True} if account.disabled else {}),
        }


class CustomRoles:
    """The handlers of ``/v1/projects/P/roles``."""

    def __init__(self, project: Project, access: Access, clock: Callable[[], datetime]) -> None:
        self._project = project
        self._access = access
        self._clock = clock

    def register(self, router: Router) -> None:
        """Add the routes."""
        base = "/v1/projects/{project}/roles"
        one = base + "/{role}"
        for method, path, handler in (
            ("GET", base, self._list),
            ("POST", base, self._create),
            ("GET", one, self._get),
            ("PATCH", one, self._patch),
            ("DELETE", one, self._delete),
            ("POST", one + ":undelete", self._undelete),
        ):
            router.add(method, path, handler, _SERVICE)

    def _role(self, call: Call, permission: str) -> dict[str, Any]:
        self._access.require(call.identity, permission, permission_denied(permission))
        name = f"projects/{self._project.id}/roles/{call['role']}"
        role = self._access.custom_roles.get(name)
        if role is None:
            raise not_found(f"The role named {name} was not found.")
        return role

    def _list(self, call: Call) -> dict[str, Any]:
        self._access.require(call.identity, "iam.roles.list", permission_denied("iam.roles.list"))
        roles = [role for role in self._access.custom_roles.values() if not role.get("deleted")]
        items, more = page(call, roles)
        return {"roles": list(items), **more}

    def _create(self, call: Call) -> dict[str, Any]:
        permission = "iam.roles.create"
        self._access.require(call.identity, permission, permission_denied(permission))
        body = call.json()
        role_id = str(body.get("roleId", ""))
        if not _ROLE_ID.fullmatch(role_id):
            raise invalid(
                f"The role_id {role_id!r} must have 3 to 64 letters, digits, underscores and dots"
            )
        name = f"projects/{self._project.id}/roles/{role_id}"
        if name in self._access.custom_roles:
            raise already_exists(
                f"A role named {role_id} in projects/{self._project.id} already exists."
            )
        role = {"name": name, **_role_fields(body.get("role") or {}), "etag": self._etag()}
        self._access.custom_roles[name] = role
        return role

    def _get(self, call: Call) -> dict[str, Any]:
        return self._role(call, "iam.roles.get")

    def _patch(self, call: Call) -> dict[str, Any]:
        role = self._role(call, "iam.roles.update")
        if role.get("deleted"):
            raise failed_precondition(f"You can't update a deleted role: {role['name']}")
        return self._replace({**role, **_role_fields({**role, **call.json()})})

    def _delete(self, call: Call) -> dict[str, Any]:
        return self._replace({**self._role(call, "iam.roles.delete"), "deleted": True})

    def _undelete(self, call: Call) -> dict[str, Any]:
        role = self._role(call, "iam.roles.undelete")
        return self._replace({k: v for k, v in role.items() if k != "deleted"})

    def _replace(self, role: dict[str, Any]) -> dict[str, Any]:
        changed = {**role, "etag": self._etag()}
        self._access.custom_roles[role["name"]] = changed
        return changed

    def _etag(self) -> str:
        return rfc3339(self._clock())


def permission_denied(permission: str) -> ApiError:
    """IAM's words for a missing permission."""
    return denied(
        f"Permission '{permission}' denied on resource (or it may not exist).",
        reason="forbidden",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "IAM_PERMISSION_DENIED",
                "domain": "iam.googleapis.com",
                "metadata": {"permission": permission},
            }
        ],
    )


def _role_fields(role: dict[str, Any]) -> dict[str, Any]:
    permissions = list(role.get("includedPermissions", []))
    for permission in permissions:
        if not _PERMISSION.fullmatch(permission):
            raise invalid(f"Permission {permission} is not valid.")
    return {
        "title": str(role.get("title", "")),
        "description": str(role.get("description", "")),
        "includedPermissions": permissions,
        "stage": str(role.get("stage") or "GA"),
    }


def _lifetime(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)(?:\.\d+)?s", text)
    lifetime = timedelta(seconds=int(match[1])) if match else timedelta(0)
    if not timedelta(0) < lifetime <= _LONGEST_TOKEN:
        raise invalid(f"Invalid lifetime {text!r}; it is at most 3600s, e.g. 3600s")
    return lifetime
