"""Access tokens: who is behind an Authorization header."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rehearsal.google.access import USER, Identity
from rehearsal.google.errors import unauthenticated

#: The token of the person who deploys; known to the rehearsal alone and good for nothing else.
DEPLOYER_TOKEN = "local-deployer"  # noqa: S105

_UNKNOWN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)


@dataclass(frozen=True)
class _Grant:
    identity: Identity
    expires: datetime


class Tokens:
    """Mints tokens and recognises them until they expire."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._grants: dict[str, _Grant] = {}
        self._lock = threading.Lock()

    def mint(self, identity: Identity, lifetime: timedelta) -> tuple[str, datetime]:
        """A new token of *identity* and the moment it expires."""
        token = f"local.{secrets.token_urlsafe(32)}"
        now = self._clock()
        with self._lock:
            self._grants = {t: g for t, g in self._grants.items() if g.expires > now}
            self._grants[token] = _Grant(identity, now + lifetime)
        return token, now + lifetime

    def identify(self, authorization: str | None) -> Identity:
        """The caller; without a header it is the local user, whose client is anonymous."""
        if authorization is None:
            return USER
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise unauthenticated(_UNKNOWN)
        if token == DEPLOYER_TOKEN:
            return USER
        grant = self._grants.get(token)
        if grant is None or grant.expires <= self._clock():
            raise unauthenticated(_UNKNOWN)
        return grant.identity
