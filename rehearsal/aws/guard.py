"""The guard before every service of the local AWS: who are you, and may you.

ministack lets every request through. The guard refuses what the real services would refuse, in
their own words and wire formats, and tells `LocalAws.problems` of each refusal.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from typing import Any
from xml.sax.saxutils import escape

from rehearsal.aws import signatures
from rehearsal.aws.access import Access
from rehearsal.aws.iam_actions import Actions, Request, Requirement
from rehearsal.aws.principals import DEPLOYER_KEY, Caller, Principals, UnknownKey

Response = tuple[int, dict[str, Any], Any]
Handler = Callable[..., Awaitable[Response]]

_QUERY_SERVICES = frozenset({"rds", "sns", "sts", "iam", "cloudformation", "autoscaling"})
_SIGNED_SERVICES = frozenset({"s3", "sts"})
_MESSAGES = {
    "SignatureDoesNotMatch": (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    ),
    "InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
    "InvalidClientTokenId": "The security token included in the request is invalid.",
    "MissingAuthenticationToken": "Request is missing Authentication Token",
}


class Refused(Exception):
    """A request is refused with an error code of its service."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Guard:
    """Wraps the handlers of ministack's services."""

    def __init__(
        self,
        principals: Principals,
        access: Access,
        actions: Actions,
        report: Callable[[str], None],
        load: Callable[[str], None],
    ) -> None:
        self._principals = principals
        self._access = access
        self._actions = actions
        self._report = report
        self._load = load

    def wrap(self, service: str, handler: Handler) -> Handler:
        """Return *handler* with the guard before it."""

        async def guarded(
            method: str,
            path: str,
            headers: dict[str, str],
            body: bytes,
            query_params: dict[str, list[str]],
        ) -> Response:
            self._load(service)
            request = Request(service, method, path, headers, query_params, body)
            try:
                caller = self._authenticate(request)
                if caller.is_deployer:
                    return await handler(method, path, headers, body, query_params)
                if request.operation == "GetCallerIdentity" and ":user/" in caller.arn:
                    return self._caller_identity(caller)
                self._authorize(request, caller)
            except Refused as refusal:
                return refuse(request, refusal)
            response = await handler(method, path, headers, body, query_params)
            return self._without_existence(request, caller, response)

        return guarded

    def is_deployer(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request carries the deployer's access key."""
        signature = signatures.parse(headers)
        try:
            return bool(signature and self._principals.caller(signature.access_key).is_deployer)
        except UnknownKey:
            return False

    # --- who ----------------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> Caller:
        signature = signatures.parse(request.headers)
        if signature is None:
            return self._presigned(request)
        try:
            caller = self._principals.caller(signature.access_key)
        except UnknownKey:
            code = "InvalidAccessKeyId" if request.service == "s3" else "InvalidClientTokenId"
            self._report(
                f"{request.service} {request.operation}: {code} for access key "
                f"{signature.access_key}"
            )
            raise Refused(code, _MESSAGES[code]) from None
        if caller.is_deployer or request.service not in _SIGNED_SERVICES:
            return caller
        genuine = signatures.is_valid(
            signature,
            caller.secret,
            request.method,
            request.path,
            request.headers,
            request.query,
            request.body,
        )
        if not genuine:
            self._report(
                f"{request.service} {request.operation}: SignatureDoesNotMatch for {caller.arn}"
            )
            raise Refused("SignatureDoesNotMatch", _MESSAGES["SignatureDoesNotMatch"])
        if caller.token and request.headers.get("x-amz-security-token") != caller.token:
            code = "InvalidToken" if request.service == "s3" else "InvalidClientTokenId"
            self._report(f"{request.service} {request.operation}: {code} for {caller.arn}")
            raise Refused(code, _MESSAGES["InvalidClientTokenId"])
        return caller

    def _presigned(self, request: Request) -> Caller:
        """Let the deployer's presigned URLs through; ministack checks their signature itself."""
        if signatures.presigned_key(request.query) == DEPLOYER_KEY:
            return self._principals.caller(DEPLOYER_KEY)
        raise self._unsigned(request)

    def _unsigned(self, request: Request) -> Refused:
        self._report(f"{request.service} {request.operation}: the request has no signature header")
        if request.service == "s3":
            return Refused("AccessDenied", "Access Denied")
        code = "MissingAuthenticationToken"
        return Refused(code, _MESSAGES[code])

    def _caller_identity(self, caller: Caller) -> Response:
        """Answer for an IAM user, whom ministack takes for the account's root."""
        identity = self._principals.identity(caller.arn)
        body = (
            '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<GetCallerIdentityResult><Arn>{escape(identity.entity)}</Arn>"
            f"<UserId>AIDA{identity.entity.rsplit('/', 1)[-1].upper()[:17]:X<17}</UserId>"
            f"<Account>{identity.account}</Account></GetCallerIdentityResult>"
            f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
            "</GetCallerIdentityResponse>"
        )
        return 200, {"Content-Type": "text/xml"}, body.encode()

    # --- may ----------------------------------------------------------------------------------

    def _authorize(self, request: Request, caller: Caller) -> None:
        needs = self._actions.requirements(request)
        if needs is None:
            message = (
                f"User: {caller.arn} is not authorized to perform: {request.service} "
                f"{request.operation} (the rehearsal knows no IAM action for this request)"
            )
            self._report(message)
            raise Refused(_denied_code(request.service), message)
        for need in needs:
            try:
                self.authorize(caller.arn, need, request.service)
            except PermissionError as error:
                self._report(f"{request.service} {request.operation}: {error}")
                raise Refused(_denied_code(request.service), str(error)) from error

    def authorize(self, principal_arn: str, need: Requirement, service: str = "") -> None:
        """Return when the principal has *need*; PermissionError when not."""
        context = {**self.request_context(), **need.context}
        if need.action == "sts:AssumeRole" and service == "sts":
            self._access.assume_as(principal_arn, need.resource, context)
        else:
            self._access.authorize(principal_arn, need.action, need.resource, context)

    def request_context(self) -> dict[str, Any]:
        """Return the condition keys that hold for every request here."""
        return {
            # The loopback interface stands for TLS to the real endpoints.
            "aws:SecureTransport": True,
            "s3:TlsVersion": "1.3",
            "aws:SourceIp": "127.0.0.1",
            "aws:CurrentTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _without_existence(self, request: Request, caller: Caller, response: Response) -> Response:
        """Turn 404 into 403 for a reader who may not list, as S3 does (GetObject API reference)."""
        bucket, _, key = request.path.lstrip("/").partition("/")
        if request.service != "s3" or response[0] != 404 or not key:
            return response
        try:
            self.authorize(caller.arn, Requirement("s3:ListBucket", f"arn:aws:s3:::{bucket}"))
        except PermissionError as error:
            self._report(f"s3 {request.operation}: there is no such key, and {error}")
            return refuse(request, Refused("AccessDenied", str(error)))
        return response


def _denied_code(service: str) -> str:
    if service == "s3" or service in _QUERY_SERVICES:
        return "AuthorizationError" if service == "sns" else "AccessDenied"
    return "AccessDeniedException"


def refuse(request: Request, refusal: Refused) -> Response:
    """Write a refusal in the wire format of the service it comes from."""
    if request.service == "s3":
        return _s3_error(request, refusal)
    if request.service in _QUERY_SERVICES:
        return query_error(refusal)
    return _json_error(request, refusal)


def _s3_error(request: Request, refusal: Refused) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
        f"<Resource>{escape(request.path)}</Resource><RequestId>{uuid.uuid4()}</RequestId></Error>"
    )
    content = b"" if request.method == "HEAD" else body.encode()
    return 403, {"Content-Type": "application/xml"}, content


def query_error(refusal: Refused, status: int = 403) -> Response:
    """Write a refusal in the XML of the query protocol."""
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{refusal.code}</Code>"
        f"<Message>{escape(refusal.message)}</Message></Error>"
        f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return status, {"Content-Type": "text/xml"}, body.encode()


def _json_error(request: Request, refusal: Refused) -> Response:
    code = {
        "InvalidClientTokenId": "UnrecognizedClientException",
        "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    }.get(refusal.code, refusal.code)
    body = json.dumps({"__type": code, "message": refusal.message, "Message": refusal.message})
    headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-errortype": code}
    return (403 if request.service == "lambda" else 400), headers, body.encode()
