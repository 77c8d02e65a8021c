"""The rules of the replication route's names and values, each with the page that states it.

As in `settings.rules`, a rule takes a value and returns it, or raises `wrong`.
"""

from __future__ import annotations

import re

from settings.errors import brief, kind, show, snippet
from settings.rules import made_legal, wrong

# A flow's resources are named <service>-<stack>-<flow>-<part>. Service and stack have at most 32
# characters, a part has at most 10 (`transform` has 9), so that the whole fits what takes least:
# a Lambda function, a Firehose stream, an IAM role and an EventBridge rule have 64 at most.
MAX_FLOW_NAME = 20
# Names that would begin with what the program's other resources begin with.
_TAKEN_FLOW_NAMES = ("alerts", "export", "load", "reader", "replication")

MAX_DATABASE_NAME = 64
# The tables that the loads keep their books in are named after the target, with something added.
MAX_TARGET_NAME = 50
OWN_PREFIX = "ferry_"
_SYSTEM_DATABASES = ("information_schema", "mysql", "performance_schema", "sys")
_MAX_COLUMN_NAME = 64
_MAX_ATTRIBUTE_BYTES = 255
_MAX_NESTING = 32
_RESERVED_USERS = ("rdsadmin", "root", "mysql.sys", "mysql.session", "mysql.infoschema")
CA_BUNDLES = "https://truststore.pki.rds.amazonaws.com/<region>/<region>-bundle.pem"


def flow_name(value: str) -> str:
    """Accept a name that may be part of the names of a flow's resources."""
    if len(value) > MAX_FLOW_NAME or not re.fullmatch(r"[a-z](-?[a-z0-9])*", value):
        raise wrong(
            f"the flow's name {show(value)} is not 1 to {MAX_FLOW_NAME} lower-case letters, "
            "digits and single hyphens, a letter first and no hyphen last",
            made_legal(value, MAX_FLOW_NAME),
        )
    if value in _TAKEN_FLOW_NAMES:
        raise wrong(f"the program's own resources are named {value}", f"{value}-flow")
    return value


def dynamodb_table(value: str) -> str:
    """Accept the name of a DynamoDB table.

    Amazon DynamoDB, "Naming rules": 3 to 255 letters, digits and ``_ . -``.
    """
    if not re.fullmatch(r"[a-zA-Z0-9_.-]{3,255}", value):
        name = value.rpartition("/")[2] if value.startswith("arn:") else value
        legal = re.sub(r"[^a-zA-Z0-9_.-]+", "-", name)[:255]
        raise wrong(
            f"{show(value)} is not the name of a DynamoDB table, which has 3 to 255 letters, "
            "digits and _ . -",
            legal if len(legal) >= 3 else None,
        )
    return value


def attribute_name(value: str) -> str:
    """Accept the name of a key attribute.

    Amazon DynamoDB, "Naming rules": key attributes have at most 255 bytes.
    """
    if not value or len(value.encode(errors="replace")) > _MAX_ATTRIBUTE_BYTES:
        raise wrong(f"{show(value)} is not the name of a key attribute, which has 1 to 255 bytes")
    return value


def key_mapping(value: object) -> object:
    """Accept a key attribute that is not its name alone."""
    if isinstance(value, str) and value:
        problem = f"{show(value)} is text, not a mapping of its name to its type, S, N or B"
        raise wrong(problem, {value: "S"})
    return value


def partition_key(value: object) -> object:
    """Accept a partition key without the sort key beside it."""
    if isinstance(value, dict) and len(value) == 2 and brief(value):
        first, second = ({name: type} for name, type in value.items())
        problem = (
            f"has 2 entries; at most 1 fit, and the other goes to {snippet('sort_key', second)}"
        )
        raise wrong(problem, first)
    return value


def columns(value: object) -> object:
    """Accept columns that are not a list of mappings, which dashes make of them."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        pairs = [pair for each in value for pair in each.items()]
        merged = dict(pairs)
        single = all(len(each) == 1 for each in value) and len(merged) == len(value)
        if single and all(map(brief, merged.values())):
            raise wrong(f"{show(value)} is a list, not a mapping: leave the dashes out", merged)
    return value


def target(value: str) -> str:
    """Accept a MySQL table, with its database.

    MySQL, "Identifier length limits": 64 characters. What other characters names may have is left
    out: they would have to be quoted wherever the table is used.
    """
    database, dot, table = value.partition(".")
    if not dot or "." in table:
        named = re.sub(r"[^A-Za-z0-9_$-]+", "_", value).strip("_")[:MAX_TARGET_NAME]
        raise wrong(f"{show(value)} is not database.table", f"analytics.{named or 'page_views'}")
    for name, most in ((database, MAX_DATABASE_NAME), (table, MAX_TARGET_NAME)):
        if not re.fullmatch(r"[A-Za-z0-9_$-]+", name):
            raise wrong(f"{show(name)} is not made of letters, digits, _, $ and -")
        if len(name) > most:
            what = "a table's name" if name is table else "a database's name"
            right = f"{database[:MAX_DATABASE_NAME]}.{table[:MAX_TARGET_NAME]}"
            raise wrong(f"{show(name)} has {len(name)} characters; {what} has {most} here", right)
    if database.lower() in _SYSTEM_DATABASES:
        raise wrong(f"{database} is MySQL's own database", f"analytics.{table}")
    if table.lower().startswith(OWN_PREFIX):
        right = f"{database}.{table[len(OWN_PREFIX) :] or 'page_views'}"
        raise wrong(f"tables that begin with {OWN_PREFIX} are the program's own", right)
    return value


def column_name(value: str) -> str:
    """Accept a column's name.

    MySQL, "Schema object names": no character outside the Basic Multilingual Plane, no blank at
    the end; "Identifier length limits": 64 characters. A backtick would end what the loads quote.
    """
    if not value or len(value) > _MAX_COLUMN_NAME:
        right = value[:_MAX_COLUMN_NAME].rstrip() or None
        raise wrong(f"the column {show(value)} has no name of 1 to 64 characters", right)
    if value != value.rstrip():
        raise wrong(f"the column {show(value)} ends with a blank", value.rstrip() or None)
    legal = re.sub(r"[\x00-\x1f\x7f`\ud800-\udfff\U00010000-\U0010ffff]", "_", value)
    if value != legal:
        problem = f"the column {show(value)} has a character that no column's name can have here"
        raise wrong(problem, legal)
    if value.lower().startswith(OWN_PREFIX):
        right = value[len(OWN_PREFIX) :] or None
        raise wrong(f"columns that begin with {OWN_PREFIX} are the program's own", right)
    return value


def column_path(value: object) -> object:
    """Accept where in an item a value stands: names with dots between, or a list of them.

    Amazon DynamoDB, "Constraints": attributes may be 32 levels deep.
    """
    parts = value.split(".") if isinstance(value, str) else value
    if not isinstance(parts, list):
        raise wrong(f"{show(value)} is {kind(value)}, not names with dots between, or a list")
    for part in parts:
        if not isinstance(part, str):
            right = [str(part) for part in parts if isinstance(part, (str, int))]
            problem = f"{show(part)} is {kind(part)}, not the name of an attribute"
            raise wrong(problem, right or None)
    if not all(parts):
        raise wrong(
            f"{show(value)} has an empty name in it",
            ".".join(part for part in parts if part) or None,
        )
    if not 1 <= len(parts) <= _MAX_NESTING:
        raise wrong(f"{show(value)} is {len(parts)} levels deep; DynamoDB has 1 to 32")
    return value


def database_user(value: str) -> str:
    """Accept the name of a database user.

    MySQL, "Grant tables": 32 characters. Only such as can stand in an ARN, which IAM database
    authentication needs (Aurora, "Creating and using an IAM policy for IAM database access").
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", value):
        legal = re.sub(r"[^A-Za-z0-9_.-]+", "_", value)[:32].strip("_") or None
        raise wrong(f"{show(value)} is not 1 to 32 letters, digits and _ . -", legal)
    if value.lower() in _RESERVED_USERS:
        raise wrong(f"{value} is the database's own user, not one made for the loads")
    return value


def secret_arn(value: str) -> str:
    """Accept the ARN of a secret, with the six characters that Secrets Manager adds to its name.

    AWS Secrets Manager, "What's in a secret": without them AWS guesses which secret is meant.
    """
    if not re.fullmatch(
        r"arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+-[A-Za-z0-9]{6}",
        value,
    ):
        raise wrong(f"{show(value)} is not the whole ARN of a secret in Secrets Manager")
    return value


def key_arn(value: str) -> str:
    """Accept the ARN of a KMS key.

    An alias is none: a policy that names one gives no right on its key (AWS KMS, "Use aliases to
    control access to KMS keys").
    """
    if not re.fullmatch(r"arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-)?[0-9a-f-]{32,36}", value):
        raise wrong(f"{show(value)} is not the ARN of a KMS key, which ends in key/ and its ID")
    return value


def parameter_group_family(value: str) -> str:
    """Accept the family of cluster parameter groups that a cluster of this route can have.

    Aurora MySQL version 3, which the load needs, is of the one family ``aurora-mysql8.0`` (Amazon
    RDS, CreateDBClusterParameterGroup).
    """
    if value != "aurora-mysql8.0":
        raise wrong(
            f"{show(value)} is not the parameter group family of Aurora MySQL version 3",
            "aurora-mysql8.0",
        )
    return value
