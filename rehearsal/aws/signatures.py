"""Signature Version 4: who signed a request, and did they know the secret.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. The
signature is computed again by botocore from the headers the request says were signed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class Signature:
    """The parts of an Authorization header."""

    access_key: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def parse(headers: Mapping[str, str]) -> Signature | None:
    """Return the signature of a request, None when it has none in its Authorization header."""
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", "").strip())
    scope = match["credential"].split("/") if match else []
    if match is None or len(scope) != 5:
        return None
    names = tuple(match["headers"].split(";"))
    return Signature(scope[0], scope[2], scope[3], names, match["signature"])


def presigned_key(query: Mapping[str, list[str]]) -> str | None:
    """Return the access key of a presigned URL, None when the request has none."""
    credential = query.get("X-Amz-Credential", [""])[0]
    return credential.split("/", 1)[0] or None


def is_valid(
    signature: Signature,
    secret: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    query: Mapping[str, list[str]],
    body: bytes,
) -> bool:
    """Tell whether *signature* was made with *secret* over this very request."""
    if "x-amz-date" not in headers or "host" not in headers:
        return False
    kind = S3SigV4Auth if signature.service == "s3" else SigV4Auth
    signer = kind(Credentials(signature.access_key, secret), signature.service, signature.region)
    request = AWSRequest(
        method=method,
        url=f"http://{headers['host']}{quote(path, safe='/~')}{_query(query)}",
        headers={name: _header(headers, name) for name in signature.signed_headers},
        data=body,
    )
    request.context["timestamp"] = headers["x-amz-date"]
    expected = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    return hmac.compare_digest(expected, signature.signature) and _body_matches(headers, body)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if name == "content-encoding" and headers.get("x-amz-content-sha256", "").startswith("STREAM"):
        # The emulator takes the chunking marker off when it decodes the body.
        return f"aws-chunked,{value}" if value else "aws-chunked"
    return value


def _query(query: Mapping[str, list[str]]) -> str:
    pairs = [
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, values in query.items()
        for value in values
    ]
    return f"?{'&'.join(pairs)}" if pairs else ""


def _body_matches(headers: Mapping[str, str], body: bytes) -> bool:
    told = headers.get("x-amz-content-sha256", "")
    if not re.fullmatch("[0-9a-f]{64}", told):
        return True
    return hmac.compare_digest(told, hashlib.sha256(body).hexdigest())
