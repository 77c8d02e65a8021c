"""Schedule expressions, checked before EventBridge Scheduler would refuse them.

Amazon EventBridge Scheduler, "Schedule types": ``rate(value unit)`` with a positive whole number
and minutes, hours or days; ``cron(minutes hours day-of-month month day-of-week year)``, where one
of the two day fields, and only one, is ``?``. ``at(...)`` happens once and is no schedule for a
daily load.
"""

from __future__ import annotations

import re

from settings.errors import show
from settings.rules import wrong

_DIGITS = re.compile(r"[0-9]+")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, start=1)},
    "day of the week": {name: number for number, name in enumerate(_DAYS, start=1)},
}
_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 1, 7),
    ("year", 1970, 2199),
)
_SPECIAL = {
    "day of the month": re.compile(r"\?|L|LW|(?:[1-9]|[12][0-9]|3[01])W"),
    "day of the week": re.compile(r"\?|L|(?:[1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)(?:L|#[1-5])"),
}


def expression(value: str) -> str:
    """Accept a ``cron(...)`` or ``rate(...)`` expression."""
    match = re.fullmatch(r"(cron|rate)\((.*)\)", value)
    if match is None:
        raise wrong(f"{show(value)} is not a cron(...) or rate(...) expression")
    if match[1] == "rate":
        _rate(value, match[2])
    else:
        _cron(value, match[2])
    return value


def _rate(value: str, body: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]* (minute|hour|day)s?", body):
        raise wrong(
            f"{show(value)} is not a positive number of minutes, hours or days", "rate(1 days)"
        )


def _cron(value: str, body: str) -> None:
    fields = body.split()
    if len(fields) != len(_FIELDS):
        raise wrong(
            f"{show(value)} has {len(fields)} fields, not the six minutes, hours, day of the "
            "month, month, day of the week and year"
        )
    for text, (name, low, high) in zip(fields, _FIELDS, strict=True):
        if not _legal(text, name, low, high):
            raise wrong(f"{show(value)}: {show(text)} is not a {name}, {low} to {high}")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise wrong(
            f"{show(value)}: either the day of the month or the day of the week must be ?, and "
            "not both"
        )


def _legal(text: str, name: str, low: int, high: int) -> bool:
    special = _SPECIAL.get(name)
    if special and special.fullmatch(text):
        return True
    return all(_legal_part(part, name, low, high) for part in text.split(","))


def _legal_part(part: str, name: str, low: int, high: int) -> bool:
    span, slash, step = part.partition("/")
    if slash and not (_DIGITS.fullmatch(step) and 1 <= int(step) <= high):
        return False
    if span == "*":
        return True
    ends = [_number(end, name) for end in span.split("-")]
    return len(ends) <= 2 and all(end is not None and low <= end <= high for end in ends)


def _number(text: str, name: str) -> int | None:
    if _DIGITS.fullmatch(text):
        return int(text)
    return _NAMES.get(name, {}).get(text.upper())
