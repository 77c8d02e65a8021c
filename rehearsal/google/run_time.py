"""Run-time parameters of a transfer's ``data_path`` and table name.

``{run_date}`` and ``{run_time[+-offset]|"format"}``, in UTC, as described on
https://cloud.google.com/bigquery/docs/gcs-transfer-parameters#run-time-parameters : the offset is
hours, minutes, seconds in this order, decimals allowed, no days; no blanks between the parts;
``\\{ \\} \\" \\|`` stand for the characters themselves; a format cannot ask for minutes.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

_ESCAPABLE = '{}"|'
_PARAMETER = re.compile(
    r'\{(?:(?P<date>run_date)|run_time(?P<offset>[+-][^|}"]*)?\|"(?P<format>(?:[^"\\]|\\.)*)")\}'
)
_OFFSET = re.compile(
    r"(?P<sign>[+-])(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?"
)
_UNITS = {"h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}


class TemplateError(ValueError):
    """A template the service would not accept; the message says where and what would be right."""


def resolve(template: str, run_time: datetime) -> str:
    """Put the values of *run_time* (any zone) in place of the parameters of *template*."""
    moment = run_time.astimezone(timezone.utc)
    parts: list[str] = []
    position = 0
    while position < len(template):
        char = template[position]
        following = template[position + 1 : position + 2]
        if char == "\\" and following and following in _ESCAPABLE:
            parts.append(following)
            position += 2
        elif char == "{":
            value, position = _parameter(template, position, moment)
            parts.append(value)
        elif char == "}":
            raise TemplateError(f"{template!r} closes a brace it never opened; write \\}}")
        else:
            parts.append(char)
            position += 1
    return "".join(parts)


def check(template: str) -> None:
    """Raise TemplateError if *template* could not be resolved."""
    resolve(template, datetime(2000, 1, 1, tzinfo=timezone.utc))


def _parameter(template: str, position: int, moment: datetime) -> tuple[str, int]:
    match = _PARAMETER.match(template, position)
    if match is None:
        raise TemplateError(
            f"{template!r} has no valid parameter at character {position + 1}; right would be "
            '{run_date} or {run_time-1h|"%Y%m%d%H"} (no blanks; \\{ for a plain brace)'
        )
    if match["date"]:
        return _format("%Y%m%d", moment), match.end()
    return _format(_unescaped(match["format"]), _shifted(moment, match["offset"])), match.end()


def _shifted(moment: datetime, offset: str | None) -> datetime:
    if not offset:
        return moment
    match = _OFFSET.fullmatch(offset)
    if match is None or not any(match[unit] for unit in _UNITS):
        raise TemplateError(
            f"the offset {offset!r} is not hours, minutes, seconds in this order, e.g. -24h or "
            "+1h30m (there is no unit for days)"
        )
    microseconds = sum(Decimal(match[unit] or 0) * size for unit, size in _UNITS.items())
    try:
        shift = timedelta(microseconds=int(microseconds))
        return moment + shift if match["sign"] == "+" else moment - shift
    except OverflowError as error:
        raise TemplateError(f"the offset {offset!r} leads out of the calendar") from error


def _unescaped(text: str) -> str:
    return re.sub(r'\\([{}"|])', r"\1", text)


def _format(text: str, moment: datetime) -> str:
    values = {
        "Y": f"{moment.year:04d}",
        "y": f"{moment.year % 100:02d}",
        "m": f"{moment.month:02d}",
        "d": f"{moment.day:02d}",
        "H": f"{moment.hour:02d}",
        "j": f"{moment.timetuple().tm_yday:03d}",
        "%": "%",
    }

    def value(match: re.Match[str]) -> str:
        letter = match[1]
        if letter not in values:
            raise TemplateError(
                f"the format {text!r} has %{letter}, which cannot be used here; known are "
                f"{' '.join('%' + known for known in values)}"
            )
        return values[letter]

    return re.sub(r"%(.?)", value, text, flags=re.DOTALL)
