"""The flows that a stack declares, as much of them as the rehearsal plays and compares."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rehearsal.stack_file import REPLICATION, Config


@dataclass(frozen=True)
class Flow:
    """A DynamoDB table and the MySQL table that is its copy.

    `key` are the key attributes with their types, `columns` have `name`, `path` and `type`.
    """

    name: str
    table: str
    is_made: bool
    key: Mapping[str, str]
    database: str
    target: str
    columns: list[dict[str, Any]]

    @property
    def key_columns(self) -> list[str]:
        """The columns of the key attributes, in their order."""
        mapped = {tuple(column["path"]): str(column["name"]) for column in self.columns}
        return [mapped[attribute,] for attribute in self.key]


def cluster(config: Config) -> Mapping[str, Any] | None:
    """Return what a stack says of its cluster; None where it has no such route.

    What is wrong in it, the program tells.
    """
    declared = config.get(REPLICATION)
    found = declared.get("cluster") if isinstance(declared, Mapping) else None
    return found if isinstance(found, Mapping) and "identifier" in found else None


def declared_flows(config: Config) -> list[Flow]:
    """Return the flows of a stack; what is no flow is left out: the program tells what is wrong."""
    declared = config.get(REPLICATION)
    flows = declared.get("flows") if isinstance(declared, Mapping) else None
    found = []
    for name, flow in flows.items() if isinstance(flows, Mapping) else ():
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            found.append(_flow(str(name), flow))
    return found


def _flow(name: str, flow: Mapping[str, Any]) -> Flow:
    database, _, target = str(flow["target"]).partition(".")
    return Flow(
        name=name,
        table=str(flow["table"]),
        is_made=bool(flow.get("create_table")),
        key={**flow["partition_key"], **flow.get("sort_key", {})},
        database=database,
        target=target,
        columns=[_column(str(column), value) for column, value in flow["columns"].items()],
    )


def _column(name: str, value: Any) -> dict[str, Any]:
    given = value if isinstance(value, Mapping) else {"type": value}
    path = given.get("path", [name])
    return {
        "name": name,
        "path": path.split(".") if isinstance(path, str) else list(path),
        "type": str(given["type"]).replace(" ", "").lower(),
    }
