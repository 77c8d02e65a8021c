"""The types a column may have, in MySQL's own words, and their limits.

Rules encoded (MySQL, "Numeric Data Type Syntax", "The CHAR and VARCHAR Types", "DECIMAL Data Type
Characteristics"): a VARCHAR of utf8mb4 holds at most 16,383 characters, a DECIMAL 65 digits, 30 of
them after the point. A primary key may hold fixed numbers and bounded text and bytes; DynamoDB's
keys are strings, numbers and bytes (AWS, "Supported data types").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.errors import InvalidInput

MAX_VARCHAR = 16_383
MAX_VARBINARY = 65_532
MAX_PRECISION = 65
MAX_SCALE = 30

_PLAIN = {
    "tinyint(1)": "boolean",
    "int": "int",
    "bigint": "bigint",
    "double": "double",
    "date": "date",
    "datetime(6)": "datetime",
    "json": "json",
    "longtext": "longtext",
    "longblob": "longblob",
}
_SIZED = re.compile(r"(varchar|varbinary)\((\d{1,5})\)")
_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
_KEYS = frozenset({"varchar", "varbinary", "bigint", "int", "decimal"})
_BINARY = frozenset({"varbinary", "longblob"})


@dataclass(frozen=True, kw_only=True)
class ColumnType:
    """A type: its kind, and for some kinds a size in characters, bytes or digits."""

    kind: str
    size: int = 0
    scale: int = 0

    @classmethod
    def parse(cls, text: str) -> ColumnType:
        """Read a type as flow.json writes it."""
        kind = _PLAIN.get(text)
        if kind:
            return cls(kind=kind)
        sized = _SIZED.fullmatch(text)
        if sized:
            size = int(sized[2])
            if 1 <= size <= (MAX_VARCHAR if sized[1] == "varchar" else MAX_VARBINARY):
                return cls(kind=sized[1], size=size)
        decimal = _DECIMAL.fullmatch(text)
        if decimal:
            size, scale = int(decimal[1]), int(decimal[2])
            if 1 <= size <= MAX_PRECISION and scale <= min(size, MAX_SCALE):
                return cls(kind="decimal", size=size, scale=scale)
        raise InvalidInput(f"flow.json: {text!r} is not a column type")

    def __str__(self) -> str:
        if self.kind == "decimal":
            return f"decimal({self.size},{self.scale})"
        return {"boolean": "tinyint(1)", "datetime": "datetime(6)"}.get(
            self.kind, f"{self.kind}({self.size})" if self.size else self.kind
        )

    @property
    def is_key(self) -> bool:
        """May a primary key hold it?"""
        return self.kind in _KEYS

    @property
    def is_binary(self) -> bool:
        """Does it hold bytes, which travel as base64?"""
        return self.kind in _BINARY
