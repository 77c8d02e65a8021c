"""The columns of a flow's table, checked as the table they make together.

Rules encoded: see `settings.column_types`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from settings.column_types import BYTES_PER_CHARACTER, ColumnType
from settings.errors import Problems, snippet
from settings.json_schemas import JsonSchema, Place
from settings.model import Column, KeyAttribute
from settings.replication_schema import ColumnShape

_MAX_KEY_BYTES = 3072
_MAX_ROW_BYTES = 65_535
# "Row size too large (> 8126)": what a page of 16 KB has for a row.
_MAX_PAGE_BYTES = 8126
# Of each row: its header, the transaction that wrote it, and the undo log.
_ROW_OVERHEAD = 5 + 6 + 7
# What the loads' table has beside these columns: ferry_row, ferry_op and ferry_sequence.
_STAGE_BYTES = 8 + 1 + 29
_KEY_TYPES = {"S": "varchar(255)", "N": "bigint", "B": "varbinary(255)"}
_KEY_JSON = {"S": "string", "N": "number", "B": "string"}


def read_columns(values: Mapping[str, object]) -> tuple[Column, ...]:
    """Return the columns of a mapping that is right by itself."""
    shapes = {name: ColumnShape.model_validate(value) for name, value in values.items()}
    return tuple(
        Column(name=name, path=_path(name, shape.path), type=shape.type)
        for name, shape in shapes.items()
    )


def in_order(columns: Sequence[Column], key_columns: Sequence[str]) -> tuple[Column, ...]:
    """Return the columns with those of the key first, the others by name.

    Not as they are written: Pulumi hands mappings over sorted by their keys.
    """
    places = {name: place for place, name in enumerate(key_columns)}
    return tuple(sorted(columns, key=lambda c: (places.get(c.name, len(places)), c.name)))


def check_names(columns: Sequence[Column], path: str, problems: Problems) -> None:
    """Note columns whose names MySQL takes for the same."""
    seen: dict[str, str] = {}
    for column in columns:
        first = seen.setdefault(column.name.lower(), column.name)
        if first != column.name:
            problems.add(
                f"{path}.columns.{column.name}",
                f"is {first} but for its case, and MySQL takes both for one column",
                _written(column, name=f"{column.name[:62]}_2"),
            )


def key_columns(
    columns: Sequence[Column],
    key: Sequence[KeyAttribute],
    schema: JsonSchema | None,
    path: str,
    problems: Problems,
    *,
    whole: bool = True,
) -> tuple[str, ...] | None:
    """Return the names of the columns of the key attributes; note what is wrong with them.

    Of what is wrong the `schema` may tell more of what would be right.
    Unless these are the `whole` of the columns, one that is missing may be among the others.
    """
    found: list[Column] = []
    for attribute in key:
        right = _key_type(attribute, schema.at((attribute.name,)) if schema else Place())
        _check_inside(columns, attribute, path, problems)
        mapped = [column for column in columns if column.path == (attribute.name,)]
        if not mapped and whole:
            _no_column(columns, attribute, right, path, problems)
        for column in mapped[1:]:
            problems.add(
                f"{path}.columns.{column.name}",
                f"is mapped from the key attribute {attribute.name}, as {mapped[0].name} is; only "
                "one column may be: leave one of them out",
                None,
            )
        found += [c for c in mapped[:1] if _fits_key(c, attribute, right, path, problems)]
    if len(found) != len(key):
        return None
    _check_key_length(found, path, problems)
    return tuple(column.name for column in found)


def check_row(columns: Sequence[Column], key: Sequence[str], path: str, problems: Problems) -> None:
    """Note columns that together make a longer row than MySQL, or InnoDB's pages, can have.

    In the table that the loads read files into, which has some columns more than the target.
    """
    types = {column: ColumnType.of(column.type) for column in columns}
    others = {column: kind for column, kind in types.items() if column.name not in key}
    nulls = (len(others) + 7) // 8
    row = _STAGE_BYTES + nulls + sum(kind.row_bytes for kind in types.values())
    if row > _MAX_ROW_BYTES:
        _too_long(
            {column: kind.row_bytes for column, kind in others.items() if not kind.apart},
            f"a row would have up to {row:,} bytes, and MySQL's rows have at most "
            f"{_MAX_ROW_BYTES:,}",
            path,
            problems,
        )
        return
    page = _STAGE_BYTES + nulls + _ROW_OVERHEAD
    page += sum(kind.row_bytes for column, kind in types.items() if column not in others)
    page += sum(kind.page_bytes for kind in others.values())
    if page >= _MAX_PAGE_BYTES:
        _too_long(
            {c: k.page_bytes for c, k in others.items() if k.varying and k.most_bytes > 40},
            f"a row would have up to {page:,} bytes in its page, even with long values stored "
            f"apart, and InnoDB has room for {_MAX_PAGE_BYTES:,}",
            path,
            problems,
        )


def check_schema(
    columns: Sequence[Column],
    key: Sequence[KeyAttribute],
    schema: JsonSchema,
    path: str,
    problems: Problems,
) -> None:
    """Note what the schema says of columns that cannot be: no such value, or one they cannot hold.

    As far as it is plain; the transform function looks at each item.
    """
    keys: dict[tuple[str, ...], KeyAttribute] = {(each.name,): each for each in key}
    for attribute in key:
        _check_key_schema(columns, attribute, schema, path, problems)
    for column in columns:
        place, of_key = schema.at(column.path), keys.get(column.path)
        if len(column.path) > 1 and column.path[:1] in keys:
            continue  # see `_check_inside`
        if of_key is not None and (place.problem or not _says_key(place.types, of_key)):
            continue
        if of_key is not None and not ColumnType.of(column.type).fits_key(of_key.type):
            continue  # see `_fits_key`
        where = f"{path}.columns.{column.name}"
        if place.problem is not None:
            problem = f"can have no value: {place.problem}"
            if place.meant is not None:
                problems.add(where, problem, _written(column, path=place.meant))
            else:
                right = snippet("properties", {place.lacking: {}})
                problems.add(where, f"{problem}, unless you add it there", right)
            continue
        kind = ColumnType.of(column.type)
        unheld = sorted(one for one in place.types or () if not kind.holds(one))
        if unheld:
            problem = f"the schema says {' or '.join(unheld)}, which {column.type} does not hold"
            right = _holder(place.types or frozenset(), place.max_length)
            problems.add(where, problem, _held(column, right, of_key))
        elif kind.kind == "varchar" and (place.max_length or 0) > kind.lengths[0]:
            problem = f"the schema allows {place.max_length} characters, and {column.type} fewer"
            right = _holder(frozenset({"string"}), place.max_length)
            problems.add(where, problem, _held(column, right, of_key))


def _check_key_schema(
    columns: Sequence[Column],
    attribute: KeyAttribute,
    schema: JsonSchema,
    path: str,
    problems: Problems,
) -> None:
    """Note a schema that no item of the table could meet."""
    place, type = schema.at((attribute.name,)), _KEY_JSON[attribute.type]
    mapped = [ColumnType.of(c.type) for c in columns if c.path == (attribute.name,)]
    if type == "number" and not all(column.holds(type) for column in mapped):
        type = "integer"
    where = f"{path}.schema" if schema.file is None else f"{path}.schema: {schema.file}"
    right = snippet("properties", {attribute.name: {"type": type}})
    if place.problem is not None:
        problem = f"forbids the key attribute {attribute.name}, which every item has"
        problems.add(where, problem, right)
    elif not _says_key(place.types, attribute):
        says = " or ".join(sorted(place.types or ())) or "null"
        problem = f"says that the key attribute {attribute.name} is {says}, and its type is "
        problems.add(where, problem + attribute.type, right)


def _says_key(types: frozenset[str] | None, attribute: KeyAttribute) -> bool:
    fitting = {"integer", "number"} if attribute.type == "N" else {"string"}
    return types is None or bool(types & fitting)


def _holder(types: frozenset[str], max_length: int | None) -> str:
    """Return a column type for values of these JSON types."""
    if types <= {"string"}:
        return f"varchar({max_length or 255})" if (max_length or 0) <= 1024 else "longtext"
    if types <= {"integer"}:
        return "bigint"
    if types <= {"integer", "number"}:
        return "decimal(38,9)"
    return "tinyint(1)" if types <= {"boolean"} else "json"


def _held(column: Column, type: str, attribute: KeyAttribute | None) -> str | None:
    """Return a column with a type for its values, unless it is a key's that cannot have it."""
    right = ColumnType.of(type)
    if attribute is not None and not (
        right.fits_key(attribute.type) and right.most_bytes <= _MAX_KEY_BYTES
    ):
        return None
    return _written(column, type=type)


def _key_type(attribute: KeyAttribute, place: Place) -> str:
    """Return a column type for a key attribute, of which the schema may say more."""
    if attribute.type == "N" and "number" in (place.types or ()):
        return _holder(frozenset({"number"}), None)
    longest = place.max_length or 0
    if attribute.type == "S" and 0 < longest <= _MAX_KEY_BYTES // BYTES_PER_CHARACTER:
        return f"varchar({longest})"
    return _KEY_TYPES[attribute.type]


def _path(name: str, path: str | list[str] | None) -> tuple[str, ...]:
    if path is None:
        return (name,)
    return tuple(path.split(".") if isinstance(path, str) else path)


def _written(
    column: Column,
    *,
    name: str | None = None,
    path: tuple[str, ...] | None = None,
    type: str | None = None,
) -> str:
    """Return a column as YAML, with some of it changed."""
    to, at, of = name or column.name, path or column.path, type or column.type
    if at == (to,):
        return snippet(to, of)
    plain = not any("." in part for part in at)
    return snippet(to, {"path": ".".join(at) if plain else list(at), "type": of})


def _check_inside(
    columns: Sequence[Column], attribute: KeyAttribute, path: str, problems: Problems
) -> None:
    for column in columns:
        if len(column.path) > 1 and column.path[0] == attribute.name:
            problems.add(
                f"{path}.columns.{column.name}",
                f"is mapped from inside the key attribute {attribute.name}, which is no mapping",
                _written(column, path=column.path[1:]),
            )


def _no_column(
    columns: Sequence[Column], attribute: KeyAttribute, right: str, path: str, problems: Problems
) -> None:
    names = {column.name for column in columns}
    name = attribute.name if attribute.name not in names else f"{attribute.name[:60]}_key"
    missing = Column(name=name, path=(attribute.name,), type=right)
    problems.add(
        f"{path}.columns.{name}",
        f"is missing: no column is mapped from the key attribute {attribute.name}",
        _written(missing),
    )


def _fits_key(
    column: Column, attribute: KeyAttribute, right: str, path: str, problems: Problems
) -> bool:
    if ColumnType.of(column.type).fits_key(attribute.type):
        return True
    wanted = {"S": "varchar(n)", "N": "bigint, int or decimal(p,s)", "B": "varbinary(n)"}
    problems.add(
        f"{path}.columns.{column.name}",
        f"is {column.type}, and the key attribute {attribute.name} of type {attribute.type} needs "
        f"{wanted[attribute.type]}",
        _written(column, type=right),
    )
    return False


def _check_key_length(columns: Sequence[Column], path: str, problems: Problems) -> None:
    types = [ColumnType.of(column.type) for column in columns]
    total = sum(kind.most_bytes for kind in types)
    if total <= _MAX_KEY_BYTES:
        return
    kind, longest = max(zip(types, columns, strict=True), key=lambda pair: pair[0].most_bytes)
    # Of two columns that are both too long, this one cannot make room for the other alone.
    room = max(_MAX_KEY_BYTES - (total - kind.most_bytes), _MAX_KEY_BYTES // 3)
    length = room // BYTES_PER_CHARACTER if kind.kind == "varchar" else room
    problems.add(
        f"{path}.columns.{longest.name}",
        f"the key would have up to {total:,} bytes, and InnoDB's keys have at most "
        f"{_MAX_KEY_BYTES:,}, at {BYTES_PER_CHARACTER} for each character",
        _written(longest, type=f"{kind.kind}({length})"),
    )


def _too_long(sizes: Mapping[Column, int], problem: str, path: str, problems: Problems) -> None:
    """Add a problem of a row's length, with the column that would save most."""
    if not sizes:
        problem += ": have fewer columns, or one of type json for several"
        problems.add(f"{path}.columns", problem, None)
        return
    largest = max(sizes, key=lambda column: (sizes[column], column.name))
    apart = "longblob" if largest.type.startswith("varbinary") else "longtext"
    problems.add(f"{path}.columns.{largest.name}", problem, _written(largest, type=apart))
