"""The prefixes of delivered objects and the expressions in them.

Rules: Amazon Data Firehose developer guide, "Understand custom prefixes for Amazon S3 objects"
(https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html), whose table of examples has a
stream without an ErrorOutputPrefix as well. Of Java's DateTimeFormatter the letters of dates and
times are known here, and any other is refused. Not documented, and taken literally: an
ErrorOutputPrefix without expressions.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import datetime

from rehearsal.aws.firehose_shapes import ApiError, invalid

PROCESSING_FAILED = "processing-failed"
"""What `!{firehose:error-output-type}` is for records that were not transformed."""

_ERROR_TYPE = "!{firehose:error-output-type}"
_DEFAULT_TIME = "!{timestamp:yyyy/MM/dd/HH/}"
_LONGEST = 512

_EXPRESSION = re.compile(r"!\{([^}:]*):([^}]*)\}")
_PATTERN = re.compile(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)")

# Letter of a Java pattern -> what it makes of a time and of how often the letter is there.
_LETTERS: dict[str, Callable[[datetime, int], str]] = {
    "y": lambda at, width: f"{at.year:0{width}d}" if width != 2 else f"{at.year % 100:02d}",
    "u": lambda at, width: f"{at.year:0{width}d}" if width != 2 else f"{at.year % 100:02d}",
    "M": lambda at, width: _name_or_number(at, width, at.month, "%b", "%B"),
    "d": lambda at, width: f"{at.day:0{width}d}",
    "D": lambda at, width: f"{at.timetuple().tm_yday:0{width}d}",
    "E": lambda at, width: at.strftime("%A" if width == 4 else "%a"),
    "H": lambda at, width: f"{at.hour:0{width}d}",
    "h": lambda at, width: f"{(at.hour + 11) % 12 + 1:0{width}d}",
    "m": lambda at, width: f"{at.minute:0{width}d}",
    "s": lambda at, width: f"{at.second:0{width}d}",
    "a": lambda at, _: at.strftime("%p"),
}


def _name_or_number(at: datetime, width: int, number: int, short: str, long: str) -> str:
    if width < 3:
        return f"{number:0{width}d}"
    return at.strftime(short if width == 3 else long)


def check_prefixes(prefix: str, error_prefix: str) -> None:
    """Raise InvalidArgumentException for prefixes that Firehose does not take."""
    if "!{" in prefix and not error_prefix:
        raise _constraint(
            "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"
        )
    if _ERROR_TYPE in prefix:
        raise _constraint(f"Prefix must not contain any occurrence of {_ERROR_TYPE}")
    if "!{" in error_prefix and _ERROR_TYPE not in error_prefix:
        raise _constraint(
            f"ErrorOutputPrefix must contain at least one occurrence of {_ERROR_TYPE}"
        )
    for name, text in (("Prefix", prefix), ("ErrorOutputPrefix", error_prefix)):
        _check_expressions(name, text)
        # Any time will do: the longest names of months and days differ by a few characters.
        if len(_evaluated(text, datetime(2026, 9, 30, 23, 59, 59))) > _LONGEST:
            raise _constraint(f"{name} must not be longer than {_LONGEST} once it is evaluated")


def _constraint(told: str) -> ApiError:
    # "Ths" is the service's own spelling.
    return invalid(f"Ths supplied prefix(es) do not satisfy the following constraint: {told}")


def _check_expressions(name: str, text: str) -> None:
    if "!{" in _EXPRESSION.sub("", text):
        raise _constraint(f"{name} has a !{{ that begins no !{{namespace:value}} expression")
    for namespace, value in _EXPRESSION.findall(text):
        if namespace == "timestamp":
            known = all(letter in _LETTERS for letter in _letters(value))
        elif namespace == "firehose":
            known = value in ("error-output-type", "random-string")
        else:
            raise _constraint(f"{name} has the namespace {namespace}, which is not known")
        if not known:
            raise _constraint(
                f"Invalid conversion character used in the value of the expression in {name}"
            )


def _letters(pattern: str) -> list[str]:
    return [match[3] for match in _PATTERN.finditer(pattern) if match[3]]


def object_prefix(prefix: str, at: datetime) -> str:
    """Return where records that arrived from *at* on are delivered."""
    return _evaluated(prefix if "!{timestamp:" in prefix else prefix + _DEFAULT_TIME, at)


def error_prefix_of(prefix: str, error_prefix: str, at: datetime) -> str:
    """Return where those of them go that were not transformed."""
    if error_prefix:
        return _evaluated(error_prefix, at)
    return _evaluated(f"{prefix}{_ERROR_TYPE}/{_DEFAULT_TIME}", at)


def _evaluated(prefix: str, at: datetime) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] == "timestamp":
            return _formatted(match[2], at)
        # A random string is another one at each place: eleven characters, as of a UUID.
        return PROCESSING_FAILED if match[2] == "error-output-type" else str(uuid.uuid4())[:11]

    return _EXPRESSION.sub(value, prefix)


def _formatted(pattern: str, at: datetime) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1].replace("''", "'") or "'"
        return _LETTERS[match[3]](at, len(match[2]))

    return _PATTERN.sub(value, pattern)
