"""The configuration reference, written from the models that check the configuration.

``python -m settings.reference`` writes `docs/configuration.md`; with ``--check`` it only says, by
its exit status, whether the file is what it would write.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.errors import flow
from settings.schema import NAMESPACE, RegionShape, StackShape
from settings.shape import keys

FILE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

_INTRODUCTION = f"""\
# Configuration

This page is written by `python -m settings.reference` from the models that check the
configuration; a test holds it to them. Edit `settings/schema.py` and `replication_schema.py`, not
this page.

A stack's configuration is the `config` of its `Pulumi.<stack>.yaml`. Complete ones are
[Pulumi.stg.yaml](../Pulumi.stg.yaml) and [Pulumi.prod.yaml](../Pulumi.prod.yaml). Rules for all of
it:

- Keys that begin with `{NAMESPACE}:` and are not listed here are errors. Nothing is ignored.
- Values are taken as they are: `"7"` is text and not a number.
- A stack has the routes whose keys it sets, at least one: `snapshot` and `bigquery` together are
  the snapshot route, `replication` is the replication route.
- There are no secrets. Encrypted values are errors; the program makes the one key it needs.
- All that is wrong with a stack is told at once, one line each, with YAML that would be right
  where that can be told; nothing has been created then.
- `[]` stands for each element of a list, `<name>` for each name in a mapping that you choose. A
  mapping's order means nothing: Pulumi sorts it.
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
_FLOWS = """\
## A flow

A flow carries every change of a DynamoDB table to a table of the cluster:

```yaml
data-ferry:replication:
  cluster:
    identifier: analytics-prod
    user: ferry
    ca_bundle: certs/eu-west-1-bundle.pem
  flows:
    page-views:
      table: page-views
      partition_key: {page_id: S}
      sort_key: {at: N}
      target: analytics.page_views
      schema:
        type: object
        required: [page_id, at]
        properties:
          page_id: {type: string, maxLength: 64}
          price: {type: number}
      columns:
        page_id: varchar(64)
        at: bigint
        device: {path: client.device, type: varchar(32)}
        price: decimal(12,2)
```

A column is mapped from the attribute of its own name, or from where `path` says. Exactly one column
is mapped from each key attribute; these columns are the primary key, with at most 3,072 bytes, four
for each character. In the table they come first, the others by their names.

| what an item has | types of columns | of a key attribute |
|---|---|---|
| text | `varchar(n)`, n up to 16,383; `longtext` | `S`: `varchar(n)` |
| whole numbers | `int`, `bigint` | `N`: `int`, `bigint` |
| numbers | `decimal(p,s)`, p up to 65, s up to 30; `double` | `N`: `decimal(p,s)` |
| true and false, or 1 and 0 | `tinyint(1)` | |
| days: `2026-11-20` | `date` | |
| times: `2026-11-20T03:05:12Z`, or seconds since 1970 | `datetime(6)` | |
| anything, as JSON | `json`, `longtext` | |
| bytes | `varbinary(n)`, n up to 65,532; `longblob` | `B`: `varbinary(n)` |

Between braces a type with a comma needs quotes: `{type: 'decimal(12,2)'}`. An attribute with a dot
in its name is written in a list: `path: [client, os.name]`.

A `schema` is a JSON Schema of draft 7 without references to other documents. It is held against
each item, in which bytes are text in base64 and sets are lists. What it says of a column must be
what the column's type takes: `type: number` is no `int`. The whole of a flow has at most 256 KB.
"""


def reference() -> str:
    """Return the page."""
    region = RegionShape.model_fields["region"]
    parts = [_INTRODUCTION, f"## Every stack\n\n{_HEADER}{_row('aws:region', region)}"]
    for name, field in keys(StackShape).items():
        key = f"{NAMESPACE}:{name}"
        model = _model(field.annotation)
        if model is None:
            parts[1] += _row(key, field)
        else:
            rows = "".join(_row(*row) for row in ((key, field), *_rows(key, model)))
            about = inspect.cleandoc(model.__doc__ or "")
            parts.append(f"## `{key}`\n\n{about}\n\n{_HEADER}{rows}")
    return "\n".join([*parts, _TABLES_FILE, _FLOWS])


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
    for name, field in keys(model).items():
        path = f"{key}.{name}"
        yield path, field
        inner = _model(field.annotation)
        if inner is not None:
            each = {list: "[]", dict: ".<name>"}.get(get_origin(_given(field.annotation)), "")
            yield from _rows(f"{path}{each}", inner)


def _row(key: str, field: FieldInfo) -> str:
    required = _extra(field, "required_text") or ("yes" if field.is_required() else "no")
    example = " or ".join(map(_code, field.examples or []))
    kind = (_extra(field, "type_text") or _type(field.annotation)) + _range(field)
    cells = (f"`{key}`", kind, required, _default(field), field.description)
    return f"| {' | '.join(str(cell) for cell in cells)} | {example} |\n"


def _range(field: FieldInfo) -> str:
    """Return the least and the most that a number may be."""
    least = next((one.ge for one in field.metadata if isinstance(one, Ge)), None)
    most = next((one.le for one in field.metadata if isinstance(one, Le)), None)
    if least is None:
        return ""
    return f", at least {least}" if most is None else f", {least} to {most}"


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
    if origin is dict and _model(inner[1]):
        return "mapping of mappings"
    if origin is list:
        return "list of mappings" if _model(inner[0]) else f"list of {_type(inner[0])}s"
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return names.get(annotation, "mapping")


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a mapping, or of each entry of a list or mapping."""
    annotation = _given(annotation)
    if get_origin(annotation) in (list, dict):
        annotation = get_args(annotation)[-1]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _given(annotation: Any) -> Any:
    """Return what a value is when it is given: ``X | None`` without the ``None``."""
    while get_origin(annotation) in (Union, UnionType, Annotated):
        annotation = get_args(annotation)[0]
    return annotation


def _code(value: object) -> str:
    return f"`{flow(value)}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
