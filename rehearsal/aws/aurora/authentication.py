"""IAM database authentication: is a token good, and whose is it.

"IAM database authentication" of the Amazon Aurora User Guide: a token is a presigned URL of the
action `connect` of the service `rds-db`, for one host, port and database user; it lives for 15
minutes, and who signed it needs `rds-db:connect` on the cluster's database user.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from rehearsal.aws.aurora.cluster import Cluster
from rehearsal.aws.aurora.surroundings import Surroundings
from rehearsal.aws.principals import Caller, UnknownKey

SERVICE = "rds-db"
LIFETIME = timedelta(minutes=15)
# Signature Version 4 allows for clocks that differ by so much.
_TOO_EARLY = timedelta(minutes=5)


class TokenRefused(Exception):
    """A token does not let its bearer in; the message says why."""


@dataclass(frozen=True)
class Tokens:
    """Tells the good tokens of a cluster from the bad ones."""

    cluster: Cluster
    surroundings: Surroundings
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)

    def check(self, token: str, user: str) -> str:
        """Return the principal that may log in as *user* with *token*; TokenRefused where none."""
        if not self.cluster.iam_authentication:
            raise TokenRefused("the cluster has IAM database authentication switched off")
        host, _, query = token.partition("/?")
        fields = dict(parse_qsl(query, keep_blank_values=True))
        self._check_target(host, fields, user)
        self._check_time(fields)
        caller = self._check_signature(host, query, fields)
        self._check_policy(caller, user)
        return caller.arn

    def _check_target(self, host: str, fields: dict[str, str], user: str) -> None:
        wanted = f"{self.cluster.endpoint}:{self.cluster.port}"
        if fields.get("Action") != "connect" or "X-Amz-Signature" not in fields:
            raise TokenRefused("the password is no authentication token")
        if host != wanted:
            raise TokenRefused(f"the token is for {host}, this is {wanted}")
        if fields.get("DBUser") != user:
            raise TokenRefused(f"the token is for the database user {fields.get('DBUser')}")

    def _check_time(self, fields: dict[str, str]) -> None:
        try:
            made = datetime.strptime(fields["X-Amz-Date"], "%Y%m%dT%H%M%S%z")
            lifetime = timedelta(seconds=int(fields["X-Amz-Expires"]))
        except (KeyError, ValueError) as error:
            raise TokenRefused(f"the token has no date or no expiry: {error}") from error
        now = self.now()
        if made > now + _TOO_EARLY:
            raise TokenRefused(f"the token is from the future: {fields['X-Amz-Date']}")
        if now > made + min(lifetime, LIFETIME):
            raise TokenRefused(f"the token of {fields['X-Amz-Date']} has expired")

    def _check_signature(self, host: str, query: str, fields: dict[str, str]) -> Caller:
        scope = fields.get("X-Amz-Credential", "").split("/")
        if len(scope) != 5 or scope[2:4] != [self.cluster.region, SERVICE]:
            raise TokenRefused(f"the token is not signed for {SERVICE} in {self.cluster.region}")
        try:
            caller = self.surroundings.caller(scope[0])
        except UnknownKey:
            raise TokenRefused(f"nobody has the access key {scope[0]}") from None
        if fields.get("X-Amz-Security-Token") != caller.token:
            raise TokenRefused(f"the token has not the session token of {caller.arn}")
        expected = _signature(host, query, Credentials(scope[0], caller.secret), scope, fields)
        if not hmac.compare_digest(expected, fields["X-Amz-Signature"]):
            raise TokenRefused(f"the token is not signed with the secret key of {caller.arn}")
        return caller

    def _check_policy(self, caller: Caller, user: str) -> None:
        cluster = self.cluster
        resource = f"dbuser:{cluster.resource_id}/{user}"
        arn = f"arn:aws:{SERVICE}:{cluster.region}:{cluster.account}:{resource}"
        try:
            self.surroundings.authorize(caller.arn, f"{SERVICE}:connect", arn, {})
        except PermissionError as error:
            raise TokenRefused(str(error)) from error


def _signature(
    host: str,
    query: str,
    credentials: Credentials,
    scope: list[str],
    fields: dict[str, str],
) -> str:
    """Sign anew what the token says that was signed: its URL without the signature."""
    signed = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    signer = SigV4Auth(credentials, SERVICE, scope[2])
    request = AWSRequest(method="GET", url=f"https://{host}/?{signed}")
    request.context["timestamp"] = fields["X-Amz-Date"]
    canonical = signer.canonical_request(request)
    signature: str = signer.signature(signer.string_to_sign(request, canonical), request)
    return signature
