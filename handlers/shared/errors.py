"""The errors a function ends with, and the promise that none of them carries a secret.

Step Functions knows an error by its class name: `GoogleUnavailable` is what the load state machine
tries again later. All of them are raised ``from None``: a chained exception would be printed with
its own text, which this module has not seen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

MAX_TEXT = 500

_HIDDEN = "[hidden]"
_SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")
_SHORTEST_SECRET = 8
_SECRET_SHAPES = re.compile(
    r"""(?ix)
    ya29\.[\w.-]+                               # Google access token
    | ey[\w-]{10,}\.[\w-]+\.[\w-]*              # JSON web token
    | (?:AKIA|ASIA)[A-Z0-9]{16}                 # AWS access key id
    | (?<=Bearer\ )[^\s"',]+
    | (?<=Signature=)[^\s"',&]+
    | (?<=secret_access_key)["']?\s*[:=]\s*["']?[^\s"',&}]+
    """
)


class FerryError(Exception):
    """An error whose text may be logged, stored and mailed."""


class InvalidInput(FerryError):
    """What a function was given, or found in S3, is not what it can work with."""


class GoogleError(FerryError):
    """Google did not do what it was asked to."""


class GoogleRefused(GoogleError):
    """Google refused for good: asking again will not help."""


class GoogleUnavailable(GoogleError):
    """Google could not be reached, or had no time, in all attempts: asking later may help."""


def redact(text: str, secrets: Iterable[str | None] = ()) -> str:
    """Return text, cut to a sane length, without known secrets or what looks like one."""
    known = {os.environ.get(name) for name in _SECRET_VARIABLES} | set(secrets)
    for secret in sorted((s for s in known if s and len(s) >= _SHORTEST_SECRET), reverse=True):
        text = text.replace(secret, _HIDDEN)
    text = _SECRET_SHAPES.sub(_HIDDEN, text)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 4]} ..."
