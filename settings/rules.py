"""The rules that names and values must obey, each with the page that states it.

A rule takes a value and returns it, or raises `wrong` with the reason and, where it can be told,
the value that would be right.
"""

from __future__ import annotations

import re
import string
import zoneinfo
from bisect import bisect_left
from functools import cache

from pydantic_core import PydanticCustomError

from settings.errors import show

TEMPLATE_FIELDS = ("source", "database", "schema", "table")

# CloudWatch Logs, PutRetentionPolicy.
LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096),
    *(1827, 2192, 2557, 2922, 3288, 3653),
)
# Every resource has these labels from the program itself.
OWN_LABELS = ("service", "stack", "managed-by")
_AWS_BUCKET_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_AWS_BUCKET_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
# The export bucket's own folders, beside the exports.
_BUCKET_FOLDERS = ("catalog", "loads")


def wrong(problem: str, write: object = None) -> PydanticCustomError:
    """Return the error of a value; `write` is a right one, if not simply the key's example."""
    return PydanticCustomError("wrong", "{problem}", {"problem": problem, "write": write})


def made_legal(value: str, limit: int) -> str | None:
    """Return the nearest name of lower-case letters, digits and single hyphens, if there is one."""
    name = re.sub(r"[^a-z0-9]+", "-", value.lower()).lstrip("0123456789-")
    return name[:limit].rstrip("-") or None


def region(value: str) -> str:
    """Accept an AWS region that BigQuery's Amazon S3 transfers can read from.

    Google, "Amazon S3 transfers": AWS GovCloud regions are unsupported. The regions in China are a
    partition of their own, with other endpoints and other ARNs.
    """
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", value):
        raise wrong(f"{show(value)} is not an AWS region")
    if value.startswith(("us-gov-", "cn-", "us-iso", "eu-isoe-")):
        raise wrong(f"BigQuery cannot read S3 in {value}, which is a partition of its own")
    return value


def service(value: str) -> str:
    """Accept a name that may begin the name of every resource in both clouds.

    Google, "Workload identity pools": the prefix ``gcp-`` is reserved. Amazon S3, "Bucket naming
    rules": so are the prefixes ``xn--``, ``sthree-`` and ``amzn-s3-demo-``.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", value) or "--" in value or value.endswith("-"):
        raise wrong(
            f"{show(value)} is not 1 to 20 lower-case letters, digits and single hyphens, "
            "a letter first and no hyphen last",
            made_legal(value, 20),
        )
    for prefix in ("gcp-", "sthree-", "amzn-s3-demo-"):
        if f"{value}-".startswith(prefix):
            raise wrong(f"names that begin with {prefix} are reserved", f"x-{value}"[:20])
    return value


def rds_identifier(value: str) -> str:
    """Accept an RDS identifier as RDS keeps it.

    Amazon RDS, "Quotas and constraints": 1 to 63 letters, digits and hyphens, a letter first, no
    two hyphens in a row, none last. RDS turns capitals into lower case.
    """
    if len(value) > 63 or not re.fullmatch(r"[a-z](-?[a-z0-9])*", value):
        raise wrong(
            f"{show(value)} is not an RDS identifier, which has 1 to 63 lower-case letters, "
            "digits and single hyphens, a letter first and no hyphen last",
            made_legal(value, 63),
        )
    return value


def project(value: str) -> str:
    """Accept a Google Cloud project id.

    Google, "Creating and managing projects": 6 to 30 lower-case letters, digits and hyphens, a
    letter first, no hyphen last.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", value):
        raise wrong(
            f"{show(value)} is not a project id, which has 6 to 30 lower-case letters, digits and "
            "hyphens, a letter first and no hyphen last"
        )
    return value


def project_number(value: object) -> object:
    """Accept a Google Cloud project number, written as text or as a number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and not re.fullmatch(r"[1-9][0-9]{5,18}", text):
        raise wrong(f"{show(value)} is not a project number, which has digits only")
    return text


def location(value: str) -> str:
    """Accept a BigQuery location.

    Google, "BigQuery locations": ``US``, ``EU`` or a region. "Amazon S3 transfers": BigQuery Omni
    locations (``aws-us-east-1``) cannot be a destination.
    """
    if value in ("US", "EU") or re.fullmatch(r"[a-z]+-[a-z]+[1-9][0-9]?", value):
        return value
    if value.startswith(("aws-", "azure-")):
        raise wrong(f"{show(value)} is a BigQuery Omni location, which no transfer can load into")
    known = {"us": "US", "eu": "EU"}.get(value.lower())
    raise wrong(f"{show(value)} is not a BigQuery location: US, EU or a Google Cloud region", known)


def dataset(value: str) -> str:
    """Accept a BigQuery dataset name.

    Google, "Creating datasets": up to 1,024 letters, digits and underscores.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]{1,1024}", value):
        legal = re.sub(r"[^A-Za-z0-9_]", "_", value)[:1024] or None
        raise wrong(
            f"{show(value)} is not a dataset name, which has 1 to 1,024 letters, digits and "
            "underscores",
            legal,
        )
    return value


def table_name(value: str) -> str:
    """Accept a template of BigQuery table ids."""
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError:
        raise wrong(f"{show(value)} has a brace that is not closed or not opened") from None
    for _, field, form, conversion in parts:
        if field is not None and (field not in TEMPLATE_FIELDS or form or conversion):
            fields = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
            raise wrong(f"{show(value)} has a placeholder other than {fields}")
    if not parts:
        raise wrong("is empty, and would name no table")
    return value


def prefix(value: str) -> str:
    """Accept the S3 prefix of the exports.

    Amazon RDS, "Exporting DB snapshot data to Amazon S3": no colon; RDS adds the slash itself, so
    that one of ours would make an empty folder name. The catalogue and the loads' records lie
    beside the exports in the same bucket and must not expire with them.
    """
    cleaned = re.sub(r"[^A-Za-z0-9._/-]+", "-", value).strip("/-")
    right = re.sub(r"/{2,}", "/", cleaned) or None
    if ":" in value:
        raise wrong(f"{show(value)} has a colon, which RDS does not allow", right)
    if value.startswith("/") or value.endswith("/") or "//" in value:
        raise wrong(f"{show(value)} begins or ends with / or has an empty folder name", right)
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", value):
        raise wrong(f"{show(value)} is not made of letters, digits and . _ - /", right)
    if value.split("/")[0] in _BUCKET_FOLDERS:
        raise wrong(f"{show(value)} is where the program keeps its own records")
    return value


def bucket_name(value: str) -> str:
    """Accept the name of an S3 bucket.

    Amazon S3, "Bucket naming rules": 3 to 63 lower-case letters, digits, dots and hyphens, a
    letter or digit at both ends, no two dots in a row, no IP address; some prefixes and suffixes
    are AWS's own.
    """
    name = value.removeprefix("s3://").removeprefix("arn:aws:s3:::").partition("/")[0]
    legal = re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9.-]+", "-", name.lower()))
    legal = legal.strip(".-")[:63].rstrip(".-")
    right = legal if len(legal) >= 3 else None
    if not re.fullmatch(r"[a-z0-9](\.?[a-z0-9-])*", value) or not 3 <= len(value) <= 63:
        raise wrong(
            f"{show(value)} is not the name of an S3 bucket, which has 3 to 63 lower-case letters, "
            "digits, single dots and hyphens",
            right,
        )
    if value.endswith("-") or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", value):
        raise wrong(f"{show(value)} ends with a hyphen or is an IP address, as no S3 bucket may")
    for prefix in _AWS_BUCKET_PREFIXES:
        if value.startswith(prefix):
            raise wrong(f"buckets that begin with {prefix} are AWS's own")
    for suffix in _AWS_BUCKET_SUFFIXES:
        if value.endswith(suffix):
            raise wrong(f"buckets that end with {suffix} are AWS's own")
    return value


def log_retention_days(value: int) -> int:
    """Accept a number of days that CloudWatch Logs offers."""
    if value not in LOG_RETENTION_DAYS:
        at = min(bisect_left(LOG_RETENTION_DAYS, value), len(LOG_RETENTION_DAYS) - 1)
        raise wrong(
            f"{value} is not one of CloudWatch's retention times: "
            f"{', '.join(map(str, LOG_RETENTION_DAYS))}",
            LOG_RETENTION_DAYS[at],
        )
    return value


def time_zone(value: str) -> str:
    """Accept the name of a time zone in the IANA database, as EventBridge Scheduler does."""
    known = _time_zones()
    if value in known:
        return value
    if known == {"UTC"}:
        raise wrong(f"{show(value)} cannot be checked: this machine has no time zone data", "UTC")
    near = {name.lower(): name for name in sorted(known)}.get(value.lower())
    raise wrong(f"{show(value)} is not a time zone of the IANA database", near)


def runbook_url(value: str) -> str:
    """Accept a link, or a path in the repository: one word, for it ends the lines of messages."""
    if not re.fullmatch(r"[!-~]{1,500}", value):
        raise wrong(f"{show(value)} is not a link: at most 500 characters, no blanks")
    return value


def email(value: str) -> str:
    """Accept what can be an e-mail address; only a mail that arrives proves one."""
    if not re.fullmatch(r"[^@\s<>(),;:\"\[\]\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", value):
        raise wrong(f"{show(value)} is not an e-mail address")
    return value


def label_key(value: str) -> str:
    """Accept a key that may be a Google Cloud label and an AWS tag.

    Google, "Requirements for labels": lower-case letters, digits, ``_`` and ``-``, at most 63, a
    letter first; keys that begin with ``goog`` are Google's. AWS, "Tag naming limits": keys that
    begin with ``aws:`` are AWS's.
    """
    legal = _label_text(value).lstrip("0123456789_-")[:63]
    if value.lower().startswith("aws:"):
        raise wrong("tags that begin with aws: are reserved by AWS", f"x-{legal}"[:63])
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", value):
        raise wrong(
            f"the key {show(value)} is not 1 to 63 lower-case letters, digits, _ and -, a letter "
            "first",
            legal or "team",
        )
    if value in OWN_LABELS:
        raise wrong(f"the program sets the label {value} itself", f"my-{value}")
    if value.startswith("goog"):
        raise wrong("labels that begin with goog are reserved by Google", f"x-{value}"[:63])
    return value


def label_value(value: str) -> str:
    """Accept a value that may be a Google Cloud label's and an AWS tag's."""
    if not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
        raise wrong(
            f"{show(value)} is not at most 63 lower-case letters, digits, _ and -",
            _label_text(value)[:63],
        )
    return value


@cache
def _time_zones() -> frozenset[str]:
    """Return all time zones; looking for them reads hundreds of files, so once is enough."""
    return frozenset(zoneinfo.available_timezones() | {"UTC"})


def _label_text(value: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", value.lower()).strip("-")
