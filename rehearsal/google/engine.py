"""Runs GoogleSQL against the store, with the caller's permissions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from rehearsal.google.access import Access, Identity
from rehearsal.google.catalog import Catalog, Table
from rehearsal.google.datasets import project_denied, table_denied
from rehearsal.google.encoding import field_of
from rehearsal.google.errors import not_found
from rehearsal.google.project import Project
from rehearsal.google.query import Statement, invalid_query, translate
from rehearsal.google.results import Rows
from rehearsal.google.schema import Field

_DEFAULT_LOCATION = "US"


@dataclass(frozen=True)
class Request:
    """What a caller wants to have run."""

    sql: str
    default_dataset: str | None = None
    parameters: Sequence[Mapping[str, Any]] = ()
    location: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it: rows of a SELECT, or the number of rows a statement changed."""

    kind: str
    location: str
    fields: tuple[Field, ...]
    rows: Rows
    affected: int | None


class Engine:
    """The query engine of one project."""

    def __init__(
        self,
        project: Project,
        catalog: Catalog,
        access: Access,
        clock: Callable[[], datetime],
    ) -> None:
        self._project = project
        self._catalog = catalog
        self._access = access
        self._clock = clock

    def run(self, request: Request, identity: Identity) -> Outcome:
        """Run one statement to its end."""
        self.require_job(identity)
        statement = translate(
            request.sql,
            resolve_project=self._project.resolve,
            default_dataset=request.default_dataset,
            catalog=self._catalog.store.catalog,
            parameters=request.parameters,
        )
        location = self._location(statement, request.location)
        self._check(statement, identity)
        if statement.target is None:
            return self._select(statement, location)
        target = self._catalog.table(statement.target.dataset, statement.target.table)
        return self._change(statement, location, target)

    def require_job(self, identity: Identity) -> None:
        """Refuse a caller who may not run jobs."""
        permission = "bigquery.jobs.create"
        refusal = project_denied(self._project.id, permission)
        self._access.require(identity, permission, refusal)

    def _location(self, statement: Statement, wanted: str | None) -> str:
        """Where the statement runs: all its datasets must be there."""
        names = [*statement.reads, *([statement.target] if statement.target else [])]
        for name in names:
            dataset = self._catalog.dataset(name.dataset)
            if wanted and dataset.location.lower() != wanted.lower():
                raise not_found(
                    f"Not found: Dataset {self._project.id}:{dataset.id} was not found in "
                    f"location {wanted}"
                )
            wanted = dataset.location
        return wanted or _DEFAULT_LOCATION

    def _check(self, statement: Statement, identity: Identity) -> None:
        for name in statement.reads:
            self._require(identity, "bigquery.tables.getData", name.dataset, name.table)
        if statement.target is not None:
            name = statement.target
            self._require(identity, "bigquery.tables.updateData", name.dataset, name.table)

    def _require(self, identity: Identity, permission: str, dataset: str, table: str) -> None:
        found = self._catalog.table(dataset, table)
        refusal = table_denied(self._project.id, dataset, table, permission)
        policies = (self._catalog.dataset(dataset).policy(), found.policy)
        self._access.require(identity, permission, refusal, *policies)
        if found.fields is None:
            raise invalid_query(
                f"Table {self._project.id}:{dataset}.{table} does not have a schema."
            )

    def _select(self, statement: Statement, location: str) -> Outcome:
        rows = Rows(self._catalog.store.work)
        try:
            with self._translated_errors(), self._catalog.store.cursor() as cursor:
                cursor.execute(statement.sql)
                fields = tuple(field_of(d[0], d[1]) for d in cursor.description)
                rows.write(Rows.chunks_of(cursor))
        except BaseException:
            rows.close()
            raise
        return Outcome(statement.kind, location, fields, rows, None)

    def _change(self, statement: Statement, location: str, target: Table) -> Outcome:
        store = self._catalog.store
        with self._translated_errors(), store.lock:
            with store.transaction() as cursor:
                cursor.execute(statement.sql)
                affected = int(cursor.fetchone()[0])
            target.touch(self._clock())
        return Outcome(statement.kind, location, (), Rows(store.work), affected)

    @staticmethod
    @contextlib.contextmanager
    def _translated_errors() -> Any:
        try:
            yield
        except duckdb.Error as error:
            raise invalid_query(str(error).splitlines()[0]) from error
