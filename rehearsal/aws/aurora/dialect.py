"""Statements of Aurora MySQL 3's users and roles that MariaDB says in other words.

They are what a runbook has an administrator run: "Creating a database account using IAM
authentication" (Amazon Aurora User Guide), and SET ROLE and SET DEFAULT ROLE (MySQL 8.0 Reference
Manual). MariaDB has one active role at a time; `ALL` therefore stands for the one role that is
here.
"""

from __future__ import annotations

import hashlib
import re

_IAM_USER = re.compile(
    rb"(\s*(?:CREATE|ALTER)\s+USER\s.*?IDENTIFIED)\s+WITH\s+['\"`]?AWSAuthenticationPlugin['\"`]?"
    rb"\s+AS\s+(?:'RDS'|\"RDS\")",
    re.IGNORECASE | re.DOTALL,
)
_DEFAULT_ROLE = re.compile(
    rb"(\s*SET\s+DEFAULT\s+ROLE\s+)(\S+)\s+TO(\s+\S+\s*;?\s*)", re.IGNORECASE | re.DOTALL
)
_ALL_ROLES = re.compile(rb"\s*SET\s+ROLE\s+ALL\s*;?\s*", re.IGNORECASE)


def translated(sql: bytes, secret: str, role: str) -> bytes:
    """Return *sql* in MariaDB's words; *secret* is the password of users that have only tokens."""
    sql = _IAM_USER.sub(rb"\1 BY '" + secret.encode() + b"'", sql, count=1)
    found = _DEFAULT_ROLE.fullmatch(sql)
    if found is None:
        return sql
    named = role.encode() if found[2].upper() == b"ALL" else found[2]
    return found[1] + named + b" FOR" + found[3]


def activates_all_roles(sql: bytes) -> bool:
    """Tell whether *sql* activates every role that the user has."""
    return _ALL_ROLES.fullmatch(sql) is not None


def password_hash(password: str) -> str:
    """Return what the server keeps of a native password."""
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324  # MySQL's own choice
    return f"*{hashlib.sha1(inner).hexdigest().upper()}"  # noqa: S324


def native_proof(password: str, scramble: bytes) -> bytes:
    """Return the answer of mysql_native_password to a server's scramble."""
    first = hashlib.sha1(password.encode()).digest()  # noqa: S324
    second = hashlib.sha1(first).digest()  # noqa: S324
    mask = hashlib.sha1(scramble + second).digest()  # noqa: S324
    return bytes(one ^ other for one, other in zip(first, mask, strict=True))
