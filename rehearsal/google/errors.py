"""Refusals, with the bodies Google's APIs send.

The shape is the one of https://cloud.google.com/apis/design/errors#http_mapping; ``errors`` is the
older list that BigQuery's clients still read
(https://cloud.google.com/bigquery/docs/error-messages).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ApiError(Exception):
    """A call that is refused: HTTP *code*, Google's *status* name and BigQuery's *reason* word."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: str,
        reason: str,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.reason = reason
        self.details = details

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "errors": [{"message": self.message, "domain": "global", "reason": self.reason}],
            "status": self.status,
        }
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return {"error": error}


class OAuthError(Exception):
    """A refusal of the token service, whose bodies follow RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    def body(self) -> dict[str, str]:
        """The JSON body of the answer."""
        return {"error": self.error, "error_description": self.description}


def invalid(message: str, reason: str = "invalid") -> ApiError:
    """400: the request itself is wrong."""
    return ApiError(400, message, status="INVALID_ARGUMENT", reason=reason)


def failed_precondition(message: str) -> ApiError:
    """400: the request is well formed, but the project is not in the state it needs."""
    return ApiError(400, message, status="FAILED_PRECONDITION", reason="failedPrecondition")


def unauthenticated(message: str) -> ApiError:
    """401: nobody is known by this token."""
    return ApiError(401, message, status="UNAUTHENTICATED", reason="authError")


def denied(
    message: str, reason: str = "accessDenied", details: Sequence[Mapping[str, Any]] = ()
) -> ApiError:
    """403: the caller lacks a permission."""
    return ApiError(403, message, status="PERMISSION_DENIED", reason=reason, details=details)


def not_found(message: str) -> ApiError:
    """404: there is no such thing."""
    return ApiError(404, message, status="NOT_FOUND", reason="notFound")


def already_exists(message: str) -> ApiError:
    """409: the name is taken."""
    return ApiError(409, message, status="ALREADY_EXISTS", reason="duplicate")


def aborted(message: str) -> ApiError:
    """409: somebody else changed it in between."""
    return ApiError(409, message, status="ABORTED", reason="aborted")


def condition_not_met() -> ApiError:
    """412: the etag of the request's If-Match is an old one."""
    return ApiError(
        412, "Precondition check failed.", status="FAILED_PRECONDITION", reason="conditionNotMet"
    )


def service_disabled(service: str, title: str, project_number: str) -> ApiError:
    """403: the API is not enabled in the project (https://cloud.google.com/apis/docs/troubleshooting)."""
    url = (
        f"https://console.developers.google.com/apis/api/{service}/overview"
        f"?project={project_number}"
    )
    return denied(
        f"{title} has not been used in project {project_number} before or it is disabled. "
        f"Enable it by visiting {url} then retry. If you enabled this API recently, wait a few "
        "minutes for the action to propagate to our systems and retry.",
        reason="accessNotConfigured",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
                "metadata": {"service": service, "consumer": f"projects/{project_number}"},
            }
        ],
    )
