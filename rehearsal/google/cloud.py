"""Puts the services of one project together."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from rehearsal.google.access import Access
from rehearsal.google.catalog import Catalog
from rehearsal.google.datasets import Datasets
from rehearsal.google.engine import Engine
from rehearsal.google.federation import Federation
from rehearsal.google.iam import Accounts, CustomRoles
from rehearsal.google.jobs import Jobs
from rehearsal.google.objects import Buckets
from rehearsal.google.project import Project
from rehearsal.google.routing import Call, Router
from rehearsal.google.secrets import Secrets
from rehearsal.google.services import Services
from rehearsal.google.store import Store
from rehearsal.google.tables import Tables
from rehearsal.google.tokens import Tokens
from rehearsal.google.transfer import SERVICE as TRANSFER_SERVICE
from rehearsal.google.transfer import Transfers
from rehearsal.google.transfer_run import Runner


class Cloud:
    """Everything behind the server."""

    def __init__(
        self,
        project: str,
        number: str,
        *,
        aws_endpoint: str,
        aws_region: str,
        database: Path,
        fail_transfers_of: Callable[[str], str | None],
        services: Collection[str],
        clock: Callable[[], datetime],
    ) -> None:
        self.project = Project.create(project, number, services)
        self.router = Router()
        self.tokens = Tokens(clock)
        self._access = Access()
        work = database.parent / f".{database.stem}-{os.getpid()}-work"
        self._store = Store(database, work)
        self._buckets = Buckets(aws_endpoint, aws_region)
        catalog = Catalog(project, self._store)
        accounts = Accounts(self.project, self._access, self.tokens, clock)
        self._access.account_exists = accounts.exists
        self.engine = Engine(self.project, catalog, self._access, clock)
        self._jobs = Jobs(self.project, self.engine, clock)
        agent = self.project.agent_email(TRANSFER_SERVICE)
        runner = Runner(catalog, self._access, self._buckets, agent, clock, fail_transfers_of)
        self.transfers = Transfers(self.project, catalog, self._access, accounts, runner, clock)
        for service in (
            Datasets(catalog, self._access, clock),
            Tables(catalog, self._access, clock),
            self._jobs,
            self.transfers,
            accounts,
            CustomRoles(self.project, self._access, clock),
            Federation(self.project, self._access, self.tokens, aws_endpoint),
            Secrets(self.project, self._access, clock),
            Services(self.project, self._access),
        ):
            service.register(self.router)
        self.router.add("GET", "/bigquery/v2/projects", self._projects)

    def open(self) -> None:
        """Open the database."""
        self._store.open()
        self.transfers.open()

    def finish(self) -> None:
        """Let running transfers end; start no others."""
        self.transfers.close()

    def close(self) -> None:
        """Close the database, once no call is being answered any more."""
        self._jobs.close()
        self._buckets.close()
        self._store.close()

    def _projects(self, _: Call) -> dict[str, Any]:
        shown = {
            "kind": "bigquery#project",
            "id": self.project.id,
            "numericId": self.project.number,
            "projectReference": {"projectId": self.project.id},
            "friendlyName": self.project.id,
        }
        return {"kind": "bigquery#projectList", "projects": [shown], "totalItems": 1}
