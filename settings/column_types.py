"""The column types a flow may use: MySQL's words, what each holds, and what it takes in a row.

Rules encoded (MySQL 8.0 reference manual): "Data Type Storage Requirements"; "Limits on Table
Column Count and Row Size": a row has at most 65,535 bytes, of which columns that are stored apart
take 9 to 12, and what InnoDB keeps of it in its page less than half a page; "InnoDB Limits": a
key has at most 3,072 bytes. A character of utf8mb4 has up to four.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from settings.errors import show
from settings.rules import wrong

BYTES_PER_CHARACTER = 4
MAX_VARCHAR = 16383
MAX_VARBINARY = 65532
_MAX_DIGITS = 65
_MAX_SCALE = 30

# JSON Schema's words for the values that the transform function turns into a column's. A boolean
# may be 0 or 1, a time the seconds since 1970.
_TEXT = frozenset({"string"})
_WHOLE = frozenset({"integer"})
_NUMBER = frozenset({"integer", "number"})
_ANYTHING = frozenset({"boolean", "object", "array", "number", "integer", "string"})


@dataclass(frozen=True)
class _Kind:
    """A family of types: how many lengths its name takes, and what its columns can hold."""

    lengths: int
    holds: frozenset[str]
    key: frozenset[str] = frozenset()


_KINDS = {
    "varchar": _Kind(1, _TEXT, frozenset("S")),
    "longtext": _Kind(0, _ANYTHING),
    "tinyint": _Kind(1, frozenset({"boolean", "integer"})),
    "int": _Kind(0, _WHOLE, frozenset("N")),
    "bigint": _Kind(0, _WHOLE, frozenset("N")),
    "decimal": _Kind(2, _NUMBER, frozenset("N")),
    "double": _Kind(0, _NUMBER),
    "date": _Kind(0, _TEXT),
    "datetime": _Kind(1, _TEXT | _NUMBER),
    "json": _Kind(0, _ANYTHING),
    "varbinary": _Kind(1, _TEXT, frozenset("B")),
    "longblob": _Kind(0, _TEXT),
}
TYPES = (
    *("varchar(n)", "longtext", "tinyint(1)", "int", "bigint", "decimal(p,s)", "double", "date"),
    *("datetime(6)", "json", "varbinary(n)", "longblob"),
)
_FIXED = {"tinyint": "tinyint(1)", "datetime": "datetime(6)"}
_EXAMPLES = {"varchar": "varchar(255)", "decimal": "decimal(20,4)", "varbinary": "varbinary(255)"}
# What is near: MySQL's other types, and words of other languages.
_NEAR = {
    **dict.fromkeys(("text", "tinytext", "mediumtext", "clob"), "longtext"),
    **dict.fromkeys(("string", "str", "char", "nvarchar", "enum", "set", "time"), "varchar(255)"),
    **dict.fromkeys(("bool", "boolean", "bit"), "tinyint(1)"),
    **dict.fromkeys(("integer", "smallint", "mediumint", "int32", "year"), "int"),
    **dict.fromkeys(("long", "int64", "serial"), "bigint"),
    **dict.fromkeys(("numeric", "dec", "number", "fixed"), "decimal(20,4)"),
    **dict.fromkeys(("float", "real", "doubleprecision", "float64"), "double"),
    **dict.fromkeys(("timestamp", "timestamptz", "date-time"), "datetime(6)"),
    **dict.fromkeys(("object", "array", "map", "list", "jsonb"), "json"),
    **dict.fromkeys(("blob", "tinyblob", "mediumblob", "bytea", "bytes"), "longblob"),
    "binary": "varbinary(255)",
    "uuid": "varchar(36)",
}


@dataclass(frozen=True)
class ColumnType:
    """A type: the name of its kind and its lengths."""

    kind: str
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> ColumnType:
        """Return the type that a legal text names."""
        kind, *lengths = re.findall(r"[a-z]+|[0-9]+", text)
        return cls(kind, tuple(map(int, lengths)))

    @property
    def apart(self) -> bool:
        """Whether MySQL stores the values apart from the row, and so has no limit for them."""
        return self.kind in ("longtext", "longblob", "json")

    @property
    def varying(self) -> bool:
        """Whether a value takes no more room than it needs."""
        return self.kind in ("varchar", "varbinary")

    @property
    def most_bytes(self) -> int:
        """How many bytes a value of a column has at most; of one stored apart, its pointer's."""
        if self.kind == "varchar":
            return self.lengths[0] * BYTES_PER_CHARACTER
        if self.kind == "varbinary":
            return self.lengths[0]
        if self.kind == "decimal":
            digits, scale = self.lengths
            return _decimal_bytes(digits - scale) + _decimal_bytes(scale)
        return {"tinyint": 1, "int": 4, "date": 3}.get(self.kind, 12 if self.apart else 8)

    @property
    def row_bytes(self) -> int:
        """How much of the 65,535 bytes of a row a column takes."""
        return self.most_bytes + (self.varying and (2 if self.most_bytes > 255 else 1))

    @property
    def page_bytes(self) -> int:
        """How much of InnoDB's half page a column takes that is not part of the key.

        InnoDB moves values out of the page that may have more than 255 bytes, and leaves a pointer
        of 20 bytes; values of up to 40 bytes stay. All others stay whole.
        """
        if self.apart or (self.varying and self.most_bytes > 255):
            return 40 + 1
        return self.most_bytes + self.varying

    def holds(self, json_type: str) -> bool:
        """Whether a column can hold values of a type of JSON Schema."""
        return json_type in _KINDS[self.kind].holds

    def fits_key(self, attribute_type: str) -> bool:
        """Whether a column can hold key attributes of a type of DynamoDB."""
        return attribute_type in _KINDS[self.kind].key


def column_type(value: str) -> str:
    """Accept one of the types, and return it without blanks between its lengths."""
    text = re.sub(r"\s*([(),])\s*", r"\1", value)
    match = re.fullmatch(r"([a-z]+)(?:\(([0-9]{1,9})(?:,([0-9]{1,9}))?\))?", text)
    kind = _KINDS.get(match[1]) if match else None
    if match is None or kind is None:
        raise wrong(_unknown(value), _nearest(re.sub(r"\s+", "", value).lower()))
    lengths = [int(length) for length in match.groups()[1:] if length is not None]
    checked: Callable[[str, list[int]], None] = _CHECKS.get(match[1], _exact)
    checked(text, lengths)
    return text


def _exact(text: str, lengths: list[int]) -> None:
    kind = re.split(r"\W", text)[0]
    right = _FIXED.get(kind, kind)
    if text != right:
        raise wrong(f"{show(text)} is not a column type; it is {right} here", right)


def _varchar(text: str, lengths: list[int]) -> None:
    _one_length(text, lengths, "varchar", MAX_VARCHAR, "longtext")


def _varbinary(text: str, lengths: list[int]) -> None:
    _one_length(text, lengths, "varbinary", MAX_VARBINARY, "longblob")


def _one_length(text: str, lengths: list[int], kind: str, most: int, longer: str) -> None:
    if len(lengths) != 1:
        raise wrong(f"{show(text)} does not say how long: {kind}(n)", _EXAMPLES[kind])
    if not 1 <= lengths[0] <= most:
        raise wrong(
            f"{show(text)} is not 1 to {most:,} long; {longer} holds more",
            longer if lengths[0] else f"{kind}(1)",
        )


def _decimal(text: str, lengths: list[int]) -> None:
    if len(lengths) != 2:
        raise wrong(
            f"{show(text)} does not say how many digits, and how many of them after the point: "
            "decimal(p,s)",
            f"decimal({min(max(lengths[0], 1), _MAX_DIGITS)},0)" if lengths else "decimal(20,4)",
        )
    digits, scale = lengths
    if not (1 <= digits <= _MAX_DIGITS and scale <= min(digits, _MAX_SCALE)):
        digits = min(max(digits, 1), _MAX_DIGITS)
        raise wrong(
            f"{show(text)} is not 1 to {_MAX_DIGITS} digits, at most {_MAX_SCALE} of them after "
            "the point",
            f"decimal({digits},{min(scale, digits, _MAX_SCALE)})",
        )


_CHECKS = {"varchar": _varchar, "varbinary": _varbinary, "decimal": _decimal}


def _unknown(value: str) -> str:
    if re.fullmatch(r"(decimal|numeric)\s*\(\s*[0-9]+", value, re.IGNORECASE):
        return f"{show(value)} ends at its comma: between braces a type with a comma needs quotes"
    return f"{show(value)} is not a column type: {', '.join(TYPES)}"


def _nearest(text: str) -> str | None:
    """Return the type that is probably meant, as near to what is written as can be told."""
    match = re.match(r"([a-z0-9-]+)(?:\(([0-9]{1,9})(?:,([0-9]{1,9}))?)?", text)
    if match is None:
        return None
    name, first, second = match.groups()
    if name in ("intunsigned", "integerunsigned"):
        return "bigint"
    if name == "bigintunsigned":
        return "decimal(20,0)"
    near = _NEAR.get(name)
    if near is None:
        found = difflib.get_close_matches(name, [*_KINDS, *_NEAR], n=1)
        near = _NEAR.get(found[0], found[0]) if found else None
    if near is None:
        return None
    kind = near.partition("(")[0]
    written = _with_lengths(kind, first, second)
    if written is not None:
        return written
    return near if "(" in near else _FIXED.get(kind, _EXAMPLES.get(kind, kind))


def _with_lengths(kind: str, first: str | None, second: str | None) -> str | None:
    """Return a type of the lengths that were written, if it is legal."""
    if first is None or _KINDS[kind].lengths == 0:
        return None
    text = f"{kind}({first})" if kind != "decimal" else f"decimal({first},{second or 2})"
    try:
        return column_type(text)
    except ValueError:
        return None


def _decimal_bytes(digits: int) -> int:
    """Return the bytes of that many digits, nine of which take four.

    MySQL 8.0 reference manual, "Precision Math": "DECIMAL Data Type Characteristics".
    """
    return digits // 9 * 4 + (0, 1, 1, 2, 2, 3, 3, 4, 4)[digits % 9]
