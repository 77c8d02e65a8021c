"""The configuration reference, written from the models that check the configuration.

``python -m settings.reference`` writes `docs/configuration.md`; with ``--check`` it only says, by
its exit status, whether the file is what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.errors import flow
from settings.schema import NAMESPACE, RegionShape, StackShape

FILE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

_INTRODUCTION = f"""\
# Configuration

This page is written by `python -m settings.reference` from the models that check the
configuration; a test holds it to them. Edit `settings/schema.py`, not this page.

A stack's configuration is the `config` of its `Pulumi.<stack>.yaml`. Complete ones are
[Pulumi.stg.yaml](../Pulumi.stg.yaml) and [Pulumi.prod.yaml](../Pulumi.prod.yaml). Rules for all of
it:

- Keys that begin with `{NAMESPACE}:` and are not listed here are errors. Nothing is ignored.
- Values are taken as they are: `"7"` is text and not a number.
- There are no secrets. Encrypted values are errors; the program makes the one key it needs.
- All that is wrong with a stack is told at once, one line each, with YAML that would be right;
  nothing has been created then.
- `[]` stands for each element of a list.
"""
_HEADER = "| key | type | required | default | meaning | example |\n|---|---|---|---|---|---|\n"
_TABLES_FILE = """\
## Many tables

`tables_file` names a text file, so that ten thousand tables need not stand in the stack's YAML.
The file is part of the repository, and its changes are reviewed like any other:

```
# shop: what finance reads
shop.users
shop.orders     # since March
```

A MySQL source has `database.table` on each line, a PostgreSQL source `database.schema.table`.
Names that hold a dot can only be written in `databases`.

## Names in BigQuery

A table's name in BigQuery is `table_name` with its placeholders filled in, every character other
than letters, digits and `_` made a `_`: `orders$2024` becomes `orders_2024`. For MySQL `{schema}`
is the database. When two tables would get one name, the error names both and proposes a template
that keeps all of the stack's tables apart.

## Tables that RDS cannot export alone

RDS exports the declared tables only, as long as the names of all of a source's databases, schemas
and tables have nothing but letters, digits, `$` and `_`, and the list has at most 200 KB. Otherwise
it exports the whole snapshot, for the same price, and the declared tables are loaded from that.
"""


def reference() -> str:
    """Return the page."""
    region = RegionShape.model_fields["region"]
    parts = [_INTRODUCTION, f"## Every stack\n\n{_HEADER}{_row('aws:region', region)}"]
    for name, field in StackShape.model_fields.items():
        key = f"{NAMESPACE}:{name}"
        model = _model(field.annotation)
        if model is None:
            parts[1] += _row(key, field)
        else:
            rows = "".join(_row(*row) for row in ((key, field), *_rows(key, model)))
            parts.append(f"## `{key}`\n\n{model.__doc__}\n\n{_HEADER}{rows}")
    return "\n".join([*parts, _TABLES_FILE])


def main(arguments: Sequence[str]) -> int:
    """Write the page, or check it."""
    text = reference()
    if list(arguments) == ["--check"]:
        if FILE.is_file() and FILE.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"{FILE.name} is not up to date; run  python -m settings.reference\n")
        return 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text, encoding="utf-8")
    return 0


def _rows(key: str, model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        path = f"{key}.{name}"
        yield path, field
        inner = _model(field.annotation)
        if inner is not None:
            is_list = get_origin(field.annotation) is list
            yield from _rows(f"{path}[]" if is_list else path, inner)


def _row(key: str, field: FieldInfo) -> str:
    required = _extra(field, "required_text") or ("yes" if field.is_required() else "no")
    example = " or ".join(map(_code, field.examples or []))
    cells = (f"`{key}`", _type(field.annotation), required, _default(field), field.description)
    return f"| {' | '.join(str(cell) for cell in cells)} | {example} |\n"


def _default(field: FieldInfo) -> str:
    text = _extra(field, "default_text")
    if text is not None:
        return text
    if field.is_required() or field.default is None:
        return ""
    if isinstance(field.default, BaseModel):
        return "its keys' defaults"
    return _code(field.default)


def _extra(field: FieldInfo, key: str) -> str | None:
    extra = field.json_schema_extra
    return str(extra[key]) if isinstance(extra, dict) and key in extra else None


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_type(one) for one in inner if one is not type(None))
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is list:
        return "list of mappings" if _model(inner[0]) else f"list of {_type(inner[0])}s"
    names = {str: "text", int: "whole number", bool: "`true` or `false`"}
    return names.get(annotation, "mapping")


def _model(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) is list:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _code(value: object) -> str:
    return f"`{flow(value)}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
