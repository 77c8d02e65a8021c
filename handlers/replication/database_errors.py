"""What an error of the database means, and what may be said of it.

Rules encoded (MySQL, "Server Error Message Reference" and "Client Error Message Reference";
MariaDB, "Error Codes"). Some messages quote the value that was refused (1062, 1292, 1366): values
are cut out, for no item's content goes to the logs.
"""

from __future__ import annotations

import re

import pymysql

from shared.errors import redact

NO_SUCH_TABLE = 1146

# Another attempt may help: the server was busy, restarted, failed over, or another was quicker.
_PASSING = frozenset(
    {
        1040,  # too many connections
        1053,  # server shutdown in progress
        1158,  # network error on reading
        1159,  # network timeout on reading
        1160,  # network error on writing
        1161,  # network timeout on writing
        1205,  # lock wait timeout
        1213,  # deadlock
        1290,  # read-only: the writer has become a reader
        1317,  # query interrupted
        1815,  # internal error: among others S3 was not reached
        1836,  # read-only mode
        1927,  # connection was killed
        2002,  # cannot connect
        2003,  # cannot connect to host
        2006,  # server has gone away
        2013,  # lost connection during a query
        2055,  # lost connection at reading
        3161,  # storage engine is disabled: the writer has become a reader
        4031,  # disconnected for inactivity
        63985,  # one of Aurora's own: what S3 answered was an error
    }
)
_OTHER_NUMBER = (1261, 1262)  # a row has too few values, or too many
_NO_SUCH_MEMBER = 1265  # of an enumeration
_VALUES = (
    re.compile(r"(value:?|entry) (['\"]).*\2(?= for (?:column|key) )", re.DOTALL),
    re.compile(r"(value:?|entry) (['\"]).*\2$", re.DOTALL),
)


def code_of(error: pymysql.MySQLError) -> int:
    """Return the error's number, or 0.

    The protocol has two bytes for it, which PyMySQL reads with a sign: Aurora's 63985 is -1551.
    """
    code = error.args[0] if error.args else 0
    return code % 65_536 if isinstance(code, int) else 0


def may_pass(error: pymysql.MySQLError) -> bool:
    """Is this worth another attempt, on another connection?"""
    return isinstance(error, pymysql.InterfaceError) or code_of(error) in _PASSING


def is_other_columns(code: int, text: str) -> bool:
    """Does LOAD DATA say that a line is not of the columns it reads: too few, too many, or by its
    mark of others?"""
    return code in _OTHER_NUMBER or (code == _NO_SUCH_MEMBER and "ferry_op" in text)


def said(error: pymysql.MySQLError) -> str:
    """Return an error's number and text, without the values it quotes."""
    text = str(error.args[1]) if len(error.args) > 1 else type(error).__name__
    return redact(f"database error {code_of(error)}: {without_values(text)}")


def without_values(text: str) -> str:
    """Return a message of the database without the values it quotes."""
    for pattern in _VALUES:
        text = pattern.sub(r"\1 ...", text)
    return text
