"""Who may do what: identities, roles, policies, and the one question asked of them.

Only what the program uses is modelled: allow policies without conditions on projects, service
accounts, secrets, datasets and tables (https://cloud.google.com/iam/docs/allow-policies). Deny
policies, groups and organisations are not.
"""

from __future__ import annotations

import base64
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rehearsal.google.errors import ApiError, aborted, invalid
from rehearsal.google.roles import PREDEFINED_ROLES


@dataclass(frozen=True)
class Identity:
    """A caller: its *members* are the names by which a policy can mean it."""

    name: str
    members: frozenset[str]
    unrestricted: bool = False


#: The person who deploys and who looks at the data; everything is theirs to do.
USER = Identity("user:deployer@example.com", frozenset({"user:deployer@example.com"}), True)


def service_account_identity(email: str) -> Identity:
    """The identity of a service account."""
    return Identity(email, frozenset({f"serviceAccount:{email}"}))


@dataclass
class Policy:
    """An allow policy: role -> members."""

    bindings: dict[str, list[str]] = field(default_factory=dict)
    revision: int = 0

    @property
    def etag(self) -> str:
        """Changes with every write, so that a stale one can be refused."""
        return base64.b64encode(b"policy-%06d" % self.revision).decode()

    def resource(self) -> dict[str, Any]:
        """The policy as the APIs show it."""
        bindings = [{"role": role, "members": list(m)} for role, m in self.bindings.items()]
        shown: dict[str, Any] = {"version": 1, "etag": self.etag}
        return {**shown, "bindings": bindings} if bindings else shown


class Access:
    """The roles of the project and the checks made with them."""

    def __init__(self) -> None:
        self.custom_roles: dict[str, dict[str, Any]] = {}
        self.project_policy = Policy()
        #: Set by the service-account registry; says whether a ``serviceAccount:`` member exists.
        self.account_exists: Callable[[str], bool] = lambda _: True
        self._lock = threading.Lock()
        self._revisions = itertools.count(1)

    def permissions_of(self, role: str) -> frozenset[str]:
        """The permissions *role* holds; of a deleted custom role, none."""
        if role in PREDEFINED_ROLES:
            return PREDEFINED_ROLES[role]
        custom = self.custom_roles.get(role, {})
        if custom.get("deleted"):
            return frozenset()
        return frozenset(custom.get("includedPermissions", ()))

    def knows_role(self, role: str) -> bool:
        """Whether *role* can be granted."""
        return role in PREDEFINED_ROLES or role in self.custom_roles

    def allowed(self, identity: Identity, permission: str, *policies: Policy) -> bool:
        """Whether the project's policy or one of *policies* gives *permission* to *identity*."""
        if identity.unrestricted:
            return True
        return any(
            permission in self.permissions_of(role) and not identity.members.isdisjoint(members)
            for policy in (self.project_policy, *policies)
            for role, members in policy.bindings.items()
        )

    def require(
        self, identity: Identity, permission: str, refusal: ApiError, *policies: Policy
    ) -> None:
        """Raise *refusal* unless *identity* holds *permission*."""
        if not self.allowed(identity, permission, *policies):
            raise refusal

    def replace(self, policy: Policy, body: Mapping[str, Any]) -> dict[str, Any]:
        """setIamPolicy: put the request's policy in place of *policy*'s content."""
        wanted = body.get("policy")
        if not isinstance(wanted, dict):
            raise invalid("The request must contain a policy.")
        bindings = self._bindings(wanted.get("bindings", []), policy.bindings)
        with self._lock:
            etag = wanted.get("etag")
            if etag and etag != policy.etag:
                raise aborted(
                    "There were concurrent policy changes. Please retry the whole "
                    "read-modify-write with exponential backoff."
                )
            policy.bindings = bindings
            policy.revision = next(self._revisions)
        return policy.resource()

    def _bindings(
        self, wanted: Iterable[Mapping[str, Any]], present: Mapping[str, Sequence[str]]
    ) -> dict[str, list[str]]:
        """Role -> members as *wanted*; a member who is *present* may be gone since."""
        bindings: dict[str, list[str]] = {}
        for binding in wanted:
            role = str(binding.get("role", ""))
            if binding.get("condition"):
                raise invalid(f"The binding of {role} has a condition, which is not evaluated here")
            self.check_role(role)
            members = bindings.setdefault(role, [])
            for member in binding.get("members", []):
                if member not in present.get(role, ()):
                    self.check_member(member)
                if member not in members:
                    members.append(member)
        return {role: members for role, members in bindings.items() if members}

    def check_role(self, role: str) -> None:
        """Refuse a role that nobody could be granted here."""
        if not self.knows_role(role):
            raise invalid(
                f"Role {role} is not supported for this resource. Known here: the project's "
                f"custom roles and {', '.join(sorted(PREDEFINED_ROLES))}"
            )

    def check_member(self, member: str) -> None:
        """Refuse a member that is misspelt, or a service account that does not exist."""
        kind, _, who = member.partition(":")
        known = {"user", "group", "domain", "serviceAccount", "principal", "principalSet"}
        if member in ("allUsers", "allAuthenticatedUsers"):
            return
        if kind not in known or not who:
            raise invalid(f"Invalid member: {member}. Members look like serviceAccount:EMAIL")
        if kind == "serviceAccount" and not self.account_exists(who):
            raise invalid(f"Service account {who} does not exist.")
