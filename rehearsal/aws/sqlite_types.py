"""The engine type that a SQLite column would have.

SQLite keeps the declared type as text and enforces little of it. A rehearsal reads a SQLite file
as if it were a MySQL or a PostgreSQL database, so each declared type is first translated to what
such a database would have declared.
"""

from __future__ import annotations

import re

from rehearsal.aws.mapping import MAX_DECIMAL_DIGITS, ColumnType, Engine

_DECLARED = re.compile(
    r"^\s*(?P<name>[^()]*?)\s*(?:\(\s*(?P<first>\d+)\s*(?:,\s*(?P<second>\d+)\s*)?\))?"
    r"\s*(?P<rest>[^()]*)$"
)

#: Declared names with one meaning, as (MySQL type, PostgreSQL type). SQLite stores 64 bits under
#: INT and INTEGER alike, so both are the engine's 64-bit integer.
_NAMES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("INT", "INTEGER", "BIGINT", "INT8", "BIGSERIAL"), ("bigint", "bigint")),
    **dict.fromkeys(("INT4", "SERIAL"), ("int", "integer")),
    **dict.fromkeys(("SMALLINT", "INT2", "SMALLSERIAL"), ("smallint", "smallint")),
    **dict.fromkeys(("BOOLEAN", "BOOL"), ("tinyint", "boolean")),
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), ("datetime", "timestamp without time zone")),
    "TIMESTAMP WITHOUT TIME ZONE": ("datetime", "timestamp without time zone"),
    **dict.fromkeys(
        ("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"), ("timestamp", "timestamp with time zone")
    ),
    **dict.fromkeys(("JSON",), ("json", "json")),
    "JSONB": ("json", "jsonb"),
    "MEDIUMINT": ("mediumint", "integer"),
    "TINYINT": ("tinyint", "smallint"),
    "YEAR": ("year", "smallint"),
    "DATE": ("date", "date"),
    "TIME": ("time", "time without time zone"),
    "VARBINARY": ("varbinary", "bytea"),
    "BINARY": ("binary", "bytea"),
    "BYTEA": ("longblob", "bytea"),
}

#: What UNSIGNED makes of an integer: PostgreSQL has none and takes the next wider type.
_UNSIGNED: dict[str, tuple[str, str]] = {
    "TINYINT": ("tinyint unsigned", "smallint"),
    "SMALLINT": ("smallint unsigned", "integer"),
    "MEDIUMINT": ("mediumint unsigned", "integer"),
    "INT4": ("int unsigned", "bigint"),
    **dict.fromkeys(
        ("INT", "INTEGER", "BIGINT", "INT8", "BIG INT"), ("bigint unsigned", "numeric")
    ),
}

_CHARACTER = ("CHAR", "CHARACTER", "NCHAR", "NATIVE CHARACTER")

#: Scale of a DECIMAL declared without one: BigQuery's NUMERIC has the same.
_DEFAULT_DECIMAL_SCALE = 9


def declared_type(engine: Engine, declared: str) -> ColumnType | None:
    """The engine's type for a type declared in SQLite; None when only the content can tell.

    Names that mean nothing to the engines follow SQLite's affinity rules (section 3.1 of
    "Datatypes In SQLite") where these name a type: text, blob, real.
    """
    match = _DECLARED.match(declared)
    if match is None:
        return None
    words = f"{match['name']} {match['rest']}".upper().split()
    first, second = (int(found) if found else None for found in match.group("first", "second"))
    name = " ".join(word for word in words if word not in _MODIFIERS)
    if "UNSIGNED" in words and name in _UNSIGNED:
        return _of(engine, _UNSIGNED[name])
    if name in ("DECIMAL", "NUMERIC", "DEC", "NUMBER"):
        return _decimal(engine, first, second)
    if name in _CHARACTER:
        return _of(engine, ("char", "character"), length=first or 1)
    if name in _NAMES:
        return _of(engine, _NAMES[name], length=first if "BINARY" in name else None)
    return _by_affinity(engine, name, first)


_MODIFIERS = frozenset({"UNSIGNED", "SIGNED", "ZEROFILL"})


def content_type(engine: Engine, kinds: set[str]) -> ColumnType:
    """The engine's type for an undeclared column that holds these kinds (SQLite's `typeof`).

    Text beside numbers makes text, since SQLite itself turned what looked like a number into one.
    """
    kinds = kinds - {"null"}
    if kinds == {"integer"}:
        return _of(engine, ("bigint", "bigint"))
    if kinds and kinds <= {"integer", "real"}:
        return _of(engine, ("double", "double precision"))
    if kinds == {"blob"}:
        return _of(engine, ("longblob", "bytea"))
    return _of(engine, ("longtext", "text"))


def _by_affinity(engine: Engine, name: str, length: int | None) -> ColumnType | None:
    if "CHAR" in name and length is not None:
        return _of(engine, ("varchar", "character varying"), length=length)
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return _of(engine, ("longtext", "text"))
    if "BLOB" in name:
        return _of(engine, ("longblob", "bytea"))
    if any(part in name for part in ("REAL", "FLOA", "DOUB")):
        return _of(engine, ("double", "double precision"))
    return None


def _decimal(engine: Engine, precision: int | None, scale: int | None) -> ColumnType:
    if engine == "postgresql":
        return ColumnType("numeric", precision=precision, scale=scale or 0 if precision else None)
    if precision is None:
        return ColumnType("decimal", precision=MAX_DECIMAL_DIGITS, scale=_DEFAULT_DECIMAL_SCALE)
    return ColumnType("decimal", precision=precision, scale=scale or 0)


def _of(engine: Engine, pair: tuple[str, str], length: int | None = None) -> ColumnType:
    return ColumnType(pair[0] if engine == "mysql" else pair[1], length=length)
