"""Workload identity federation from AWS: pools, providers and the token exchange.

Source: https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools
and https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

from rehearsal.google.access import Access, Identity
from rehearsal.google.conditions import (
    DEFAULT_MAPPING,
    ConditionError,
    check_mapping,
    compile_condition,
    map_attributes,
)
from rehearsal.google.errors import OAuthError, already_exists, invalid, not_found
from rehearsal.google.iam import permission_denied
from rehearsal.google.project import Project
from rehearsal.google.resources import masked, page
from rehearsal.google.routing import Call, Router
from rehearsal.google.tokens import Tokens

_IAM = "iam.googleapis.com"
_STS = "sts.googleapis.com"
_POOL_ID = re.compile(r"(?!gcp-)[a-z0-9-]{4,32}")
_AUDIENCE = re.compile(
    r"//iam\.googleapis\.com/projects/(?P<number>\d+)/locations/global/workloadIdentityPools/"
    r"(?P<pool>[a-z0-9-]+)/providers/(?P<provider>[a-z0-9-]+)"
)
_AWS_STS_HOST = re.compile(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com")
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_AWS_TOKEN = "urn:ietf:params:aws:token-type:aws4_request"  # noqa: S105
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
_LONGEST_SUBJECT = 127
_LIFETIME = timedelta(hours=1)
_TIMEOUT_SECONDS = 30


@dataclass
class Provider:
    """An AWS provider of a pool."""

    name: str
    account: str
    mapping: dict[str, str]
    condition: str
    settings: dict[str, Any]
    deleted: bool = False


@dataclass
class Pool:
    """A pool; deleted ones keep their id."""

    name: str
    settings: dict[str, Any]
    providers: dict[str, Provider] = field(default_factory=dict)
    deleted: bool = False


class Federation:
    """The handlers of pools and providers, and of ``/v1/token``."""

    def __init__(self, project: Project, access: Access, tokens: Tokens, aws_endpoint: str) -> None:
        self._project = project
        self._access = access
        self._tokens = tokens
        self._aws_endpoint = aws_endpoint.rstrip("/")
        self._pools: dict[str, Pool] = {}

    def register(self, router: Router) -> None:
        """Add the routes."""
        pools = "/v1/projects/{project}/locations/global/workloadIdentityPools"
        pool = pools + "/{pool}"
        provider = pool + "/providers/{provider}"
        for method, path, handler in (
            ("GET", pools, self._list_pools),
            ("POST", pools, self._create_pool),
            ("GET", pool, self._get_pool),
            ("PATCH", pool, self._patch_pool),
            ("DELETE", pool, self._delete_pool),
            ("GET", f"{pool}/providers", self._list_providers),
            ("POST", f"{pool}/providers", self._create_provider),
            ("GET", provider, self._get_provider),
            ("PATCH", provider, self._patch_provider),
            ("DELETE", provider, self._delete_provider),
        ):
            router.add(method, path, handler, _IAM)
        router.add("POST", "/v1/token", self._exchange, _STS)

    def _require(self, call: Call, verb: str, kind: str = "workloadIdentityPools") -> None:
        permission = f"iam.{kind}.{verb}"
        self._access.require(call.identity, permission, permission_denied(permission))

    # --- pools

    def _pool(self, call: Call) -> Pool:
        pool = self._pools.get(call["pool"])
        if pool is None:
            raise not_found(f"Requested entity was not found: {call.path.removeprefix('/v1/')}")
        return pool

    def _list_pools(self, call: Call) -> dict[str, Any]:
        self._require(call, "list")
        items, more = page(call, [p for p in self._pools.values() if not p.deleted])
        return {"workloadIdentityPools": [_shown_pool(pool) for pool in items], **more}

    def _create_pool(self, call: Call) -> dict[str, Any]:
        self._require(call, "create")
        pool_id = call.query.get("workloadIdentityPoolId", "")
        if not _POOL_ID.fullmatch(pool_id):
            raise invalid(
                f"Invalid workload identity pool id {pool_id!r}: 4 to 32 of [a-z0-9-], not "
                "beginning with gcp-"
            )
        if pool_id in self._pools:
            raise already_exists(
                f"Requested entity already exists: {pool_id} (the id of a deleted pool stays taken "
                "for 30 days)"
            )
        name = f"projects/{self._project.number}/locations/global/workloadIdentityPools/{pool_id}"
        pool = Pool(name, _settings(call.json()))
        self._pools[pool_id] = pool
        return _operation(_shown_pool(pool))

    def _get_pool(self, call: Call) -> dict[str, Any]:
        self._require(call, "get")
        return _shown_pool(self._pool(call))

    def _patch_pool(self, call: Call) -> dict[str, Any]:
        self._require(call, "update")
        pool = self._pool(call)
        pool.settings = _settings(masked(call, pool.settings, call.json()))
        return _operation(_shown_pool(pool))

    def _delete_pool(self, call: Call) -> dict[str, Any]:
        self._require(call, "delete")
        pool = self._pool(call)
        pool.deleted = True
        return _operation(_shown_pool(pool))

    # --- providers

    def _provider(self, call: Call) -> Provider:
        provider = self._pool(call).providers.get(call["provider"])
        if provider is None:
            raise not_found(f"Requested entity was not found: {call.path.removeprefix('/v1/')}")
        return provider

    def _list_providers(self, call: Call) -> dict[str, Any]:
        self._require(call, "list", "workloadIdentityPoolProviders")
        present = [p for p in self._pool(call).providers.values() if not p.deleted]
        items, more = page(call, present)
        return {"workloadIdentityPoolProviders": [_shown_provider(p) for p in items], **more}

    def _create_provider(self, call: Call) -> dict[str, Any]:
        self._require(call, "create", "workloadIdentityPoolProviders")
        pool = self._pool(call)
        provider_id = call.query.get("workloadIdentityPoolProviderId", "")
        if not _POOL_ID.fullmatch(provider_id):
            raise invalid(
                f"Invalid provider id {provider_id!r}: 4 to 32 of [a-z0-9-], not beginning with "
                "gcp-"
            )
        if provider_id in pool.providers:
            raise already_exists(f"Requested entity already exists: {provider_id}")
        provider = _provider_of(f"{pool.name}/providers/{provider_id}", call.json())
        pool.providers[provider_id] = provider
        return _operation(_shown_provider(provider))

    def _get_provider(self, call: Call) -> dict[str, Any]:
        self._require(call, "get", "workloadIdentityPoolProviders")
        return _shown_provider(self._provider(call))

    def _patch_provider(self, call: Call) -> dict[str, Any]:
        self._require(call, "update", "workloadIdentityPoolProviders")
        old = self._provider(call)
        present = {
            "aws": {"accountId": old.account},
            "attributeMapping": old.mapping,
            "attributeCondition": old.condition,
            **old.settings,
        }
        provider = _provider_of(old.name, masked(call, present, call.json()))
        self._pool(call).providers[call["provider"]] = provider
        return _operation(_shown_provider(provider))

    def _delete_provider(self, call: Call) -> dict[str, Any]:
        self._require(call, "delete", "workloadIdentityPoolProviders")
        provider = self._provider(call)
        provider.deleted = True
        return _operation(_shown_provider(provider))

    # --- the token exchange

    def _exchange(self, call: Call) -> dict[str, Any]:
        form = {
            re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", name): value
            for name, value in call.json().items()
        }
        if form.get("grant_type") != _EXCHANGE:
            raise OAuthError("unsupported_grant_type", f"grant_type must be {_EXCHANGE}")
        if form.get("subject_token_type") != _AWS_TOKEN:
            raise OAuthError("invalid_request", f"subject_token_type must be {_AWS_TOKEN}")
        audience = str(form.get("audience", ""))
        pool, provider = self._target(audience)
        caller = self._caller(str(form.get("subject_token", "")), audience)
        identity = _admit(pool, provider, caller)
        token, _ = self._tokens.mint(identity, _LIFETIME)
        return {
            "access_token": token,
            "issued_token_type": _ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": int(_LIFETIME.total_seconds()),
        }

    def _target(self, audience: str) -> tuple[Pool, Provider]:
        match = _AUDIENCE.fullmatch(audience)
        if match is None:
            raise OAuthError(
                "invalid_request",
                'Invalid value for "audience". This value should be the full resource name of the '
                "Identity Provider: //iam.googleapis.com/projects/PROJECT_NUMBER/locations/global/"
                "workloadIdentityPools/POOL/providers/PROVIDER",
            )
        pool = self._pools.get(match["pool"])
        provider = None if pool is None else pool.providers.get(match["provider"])
        if (
            match["number"] != self._project.number
            or pool is None
            or provider is None
            or any((pool.deleted, provider.deleted))
            or any((pool.settings.get("disabled"), provider.settings.get("disabled")))
        ):
            raise OAuthError(
                "invalid_target",
                'The target service indicated by the "audience" parameters is invalid. This might '
                "either be because the pool or provider is disabled or deleted or because it "
                "doesn't exist.",
            )
        return pool, provider

    def _caller(self, subject_token: str, audience: str) -> dict[str, str]:
        """Ask AWS who signed the request: the account, ARN and user id it answers with."""
        url, method, headers, data = _signed_request(subject_token, audience)
        parts = urlsplit(url)
        local = f"{self._aws_endpoint}{parts.path or '/'}?{parts.query}"
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc: the signature stands as it is
            try:
                response = session.request(
                    method, local, headers=headers, data=data, timeout=_TIMEOUT_SECONDS
                )
            except requests.RequestException as error:
                raise OAuthError("invalid_grant", f"AWS STS did not answer: {error}") from error
        if not response.ok:
            raise OAuthError(
                "invalid_grant",
                f"AWS STS refused the signed GetCallerIdentity request with status "
                f"{response.status_code}: {response.text[:500]}",
            )
        caller = {
            claim: _element(response.text, element)
            for claim, element in (("arn", "Arn"), ("account", "Account"), ("userid", "UserId"))
        }
        if not caller["arn"] or not caller["account"]:
            raise OAuthError("invalid_grant", "AWS STS answered without an Arn and an Account")
        return caller


def _signed_request(
    subject_token: str, audience: str
) -> tuple[str, str, dict[str, str], str | None]:
    """URL, method, headers and body in the subject token, which must ask who the caller is."""
    try:
        request = json.loads(unquote(subject_token))
        headers = {item["key"].lower(): item["value"] for item in request["headers"]}
        url, method = str(request["url"]), str(request["method"])
    except (ValueError, KeyError, TypeError) as error:
        raise OAuthError(
            "invalid_request", "The subject token is no serialised, signed AWS request"
        ) from error
    parts = urlsplit(url)
    if parts.scheme != "https" or not _AWS_STS_HOST.fullmatch(parts.hostname or ""):
        raise OAuthError("invalid_grant", f"{parts.hostname} is no host of AWS STS")
    if "Action=GetCallerIdentity" not in f"{parts.query}&{request.get('data', '')}":
        raise OAuthError("invalid_grant", "The signed request must be GetCallerIdentity")
    if headers.get("x-goog-cloud-target-resource") != audience:
        raise OAuthError(
            "invalid_grant", "The header x-goog-cloud-target-resource must equal the audience"
        )
    return url, method, headers, request.get("data")


def _element(xml: str, name: str) -> str:
    match = re.search(rf"<{name}>\s*([^<]+?)\s*</{name}>", xml)
    return match[1] if match else ""


def _admit(pool: Pool, provider: Provider, caller: Mapping[str, str]) -> Identity:
    """The federated identity of an AWS caller, if the provider lets it in."""
    if caller["account"] != provider.account:
        raise OAuthError(
            "unauthorized_client",
            f"The AWS account {caller['account']} is not the provider's, {provider.account}",
        )
    mapped = map_attributes(provider.mapping, caller)
    subject = mapped["google.subject"]
    if len(subject.encode()) > _LONGEST_SUBJECT:
        raise OAuthError(
            "invalid_request",
            f"The size of mapped attribute google.subject exceeds the {_LONGEST_SUBJECT} bytes "
            "limit. Either modify your attribute mapping or the incoming assertion to produce a "
            f"mapped attribute that is less than {_LONGEST_SUBJECT} bytes. It is {subject}",
        )
    if provider.condition:
        values = {**{f"assertion.{k}": v for k, v in caller.items()}, **mapped}
        try:
            admitted = compile_condition(provider.condition)(values)
        except ConditionError as error:
            raise OAuthError("unauthorized_client", str(error)) from error
        if not admitted:
            raise OAuthError(
                "unauthorized_client",
                "The given credential is rejected by the attribute condition.",
            )
    base = f"//iam.googleapis.com/{pool.name}"
    sets = {
        f"principalSet:{base}/{key}/{value}"
        for key, value in mapped.items()
        if key.startswith("attribute.")
    }
    principal = f"principal:{base}/subject/{subject}"
    return Identity(principal, frozenset({principal, f"principalSet:{base}/*", *sets}))


def _provider_of(name: str, body: Mapping[str, Any]) -> Provider:
    account = str((body.get("aws") or {}).get("accountId", ""))
    if not re.fullmatch(r"\d{12}", account):
        raise invalid(
            f"aws.account_id {account!r} must be the 12 digits of an AWS account (only AWS "
            "providers are served here)"
        )
    mapping = dict(body.get("attributeMapping") or DEFAULT_MAPPING)
    condition = str(body.get("attributeCondition") or "")
    try:
        check_mapping(mapping)
        if condition:
            compile_condition(condition)
    except ConditionError as error:
        raise invalid(str(error)) from error
    return Provider(name, account, mapping, condition, _settings(body))


def _settings(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is only kept and shown; Google shows no text that is empty and nothing that is off."""
    return {k: body[k] for k in ("displayName", "description", "disabled") if body.get(k)}


def _state(deleted: bool) -> str:
    return "DELETED" if deleted else "ACTIVE"


def _shown_pool(pool: Pool) -> dict[str, Any]:
    return {"name": pool.name, "state": _state(pool.deleted), **pool.settings}


def _shown_provider(provider: Provider) -> dict[str, Any]:
    return {
        "name": provider.name,
        "state": _state(provider.deleted),
        "aws": {"accountId": provider.account},
        "attributeMapping": provider.mapping,
        **({"attributeCondition": provider.condition} if provider.condition else {}),
        **provider.settings,
    }


def _operation(response: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"{response['name']}/operations/done", "done": True, "response": response}
