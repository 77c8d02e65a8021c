"""What BigQuery knows of its datasets and tables besides their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rehearsal.google.access import Policy
from rehearsal.google.errors import already_exists, invalid, not_found
from rehearsal.google.roles import BASIC_DATASET_ROLES
from rehearsal.google.schema import Field
from rehearsal.google.store import Store


@dataclass
class Table:
    """A table; *fields* is None until somebody gives it a schema."""

    dataset: str
    id: str
    fields: tuple[Field, ...] | None
    settings: dict[str, Any]
    created: datetime
    modified: datetime
    policy: Policy = field(default_factory=Policy)
    revision: int = 0
    _size: tuple[int, int, int] = (-1, 0, 0)

    def touch(self, now: datetime) -> None:
        """Note that the table changed."""
        self.modified = now
        self.revision += 1

    def measure(self, store: Store) -> tuple[int, int]:
        """Rows and bytes, counted once per change."""
        if self.fields is None:
            return 0, 0
        revision = self.revision
        if self._size[0] != revision:
            rows = store.count(self.dataset, self.id)
            self._size = (revision, rows, store.size(self.dataset, self.id, self.fields))
        return self._size[1], self._size[2]


@dataclass
class Dataset:
    """A dataset, its access list and its tables."""

    id: str
    location: str
    settings: dict[str, Any]
    access: list[dict[str, Any]]
    created: datetime
    modified: datetime
    tables: dict[str, Table] = field(default_factory=dict)
    revision: int = 0

    def policy(self) -> Policy:
        """The access list as an allow policy."""
        policy = Policy()
        for entry in self.access:
            member = access_member(entry)
            role = entry.get("role", "")
            if member:
                role = BASIC_DATASET_ROLES.get(role, role)
                policy.bindings.setdefault(role, []).append(member)
        return policy


def access_member(entry: Mapping[str, Any]) -> str | None:
    """The IAM member an access entry means; None for special groups and authorised views."""
    if "iamMember" in entry:
        return str(entry["iamMember"])
    email = str(entry.get("userByEmail", ""))
    if email:
        kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
        return f"{kind}:{email}"
    if "groupByEmail" in entry:
        return f"group:{entry['groupByEmail']}"
    return None


class Catalog:
    """The datasets of one project; its writers hold the store's lock."""

    def __init__(self, project: str, store: Store) -> None:
        self.project = project
        self.store = store
        self._datasets: dict[str, Dataset] = {}

    def datasets(self) -> Sequence[Dataset]:
        """All datasets by name."""
        return [self._datasets[name] for name in sorted(self._datasets)]

    def dataset(self, dataset: str) -> Dataset:
        """The dataset called *dataset*; 404 without one."""
        if dataset not in self._datasets:
            raise not_found(f"Not found: Dataset {self.project}:{dataset}")
        return self._datasets[dataset]

    def table(self, dataset: str, table: str) -> Table:
        """The table *dataset.table*; 404 without one."""
        found = self.dataset(dataset).tables.get(table)
        if found is None:
            raise not_found(f"Not found: Table {self.project}:{dataset}.{table}")
        return found

    def add_dataset(self, dataset: Dataset) -> None:
        """Create *dataset*; 409 if there is one already."""
        with self.store.lock:
            if dataset.id in self._datasets:
                raise already_exists(f"Already Exists: Dataset {self.project}:{dataset.id}")
            self._refuse_case_variant(dataset.id, self._datasets)
            self.store.create_dataset(dataset.id)
            self._datasets[dataset.id] = dataset

    def remove_dataset(self, dataset: str, *, with_tables: bool) -> None:
        """Delete a dataset; one that has tables only if asked to."""
        with self.store.lock:
            if self.dataset(dataset).tables and not with_tables:
                raise invalid(
                    f"Dataset {self.project}:{dataset} is still in use", reason="resourceInUse"
                )
            self.store.drop_dataset(dataset)
            del self._datasets[dataset]

    def add_table(self, table: Table) -> None:
        """Create *table*; 409 if there is one already."""
        with self.store.lock:
            tables = self.dataset(table.dataset).tables
            if table.id in tables:
                raise already_exists(
                    f"Already Exists: Table {self.project}:{table.dataset}.{table.id}"
                )
            self._refuse_case_variant(table.id, tables)
            if table.fields is not None:
                with self.store.transaction() as cursor:
                    self.store.create_table(cursor, table.dataset, table.id, table.fields)
            tables[table.id] = table

    def remove_table(self, dataset: str, table: str) -> None:
        """Delete a table."""
        with self.store.lock:
            self.table(dataset, table)
            self.store.drop_table(dataset, table)
            del self.dataset(dataset).tables[table]

    @staticmethod
    def _refuse_case_variant(name: str, taken: Mapping[str, object]) -> None:
        # BigQuery's names are case-sensitive, DuckDB's are not: refuse rather than mix up two.
        for other in taken:
            if other.lower() == name.lower():
                raise invalid(
                    f"{name!r} and {other!r} differ only in case; BigQuery keeps them apart, the "
                    "local store cannot"
                )
