"""The BigQuery Data Transfer Service over REST, for Amazon S3.

Runs are started by ``startManualRuns`` alone: the clock starts none, whatever a configuration's
schedule says.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

from rehearsal.google.access import Access, Identity, service_account_identity
from rehearsal.google.catalog import Catalog, Dataset
from rehearsal.google.errors import ApiError, denied, failed_precondition, invalid, not_found
from rehearsal.google.iam import Accounts
from rehearsal.google.project import Project
from rehearsal.google.resources import camel, check_keys, page, parse_rfc3339
from rehearsal.google.routing import Call, Router
from rehearsal.google.transfer_params import (
    DATA_SOURCE,
    FIXED,
    OPTIONAL,
    REQUIRED,
    SECRET,
    S3Params,
    parse,
)
from rehearsal.google.transfer_run import Runner
from rehearsal.google.transfer_state import (
    PENDING,
    RUNNING,
    ConfigReport,
    Run,
    RunReport,
    TransferConfig,
)

SERVICE = "bigquerydatatransfer.googleapis.com"
_CONCURRENT_RUNS = 2
_DEFAULT_LOCATION = "us"
#: What the service calls the two multi-regions.
_REGION_NAMES = {"europe": "eu"}

_KEPT = {
    *("schedule", "scheduleOptions", "dataRefreshWindowDays", "disabled", "emailPreferences"),
    *("notificationPubsubTopic", "encryptionConfiguration"),
}
_WRITABLE = _KEPT | {"destinationDatasetId", "displayName", "dataSourceId", "params"}
_OUTPUT = {"name", "updateTime", "nextRunTime", "state", "userId", "datasetRegion", "ownerInfo"}

#: What the owner of a transfer needs
#: (https://cloud.google.com/bigquery/docs/s3-transfer#required_permissions).
_OWNER_PERMISSIONS = (
    "bigquery.datasets.get",
    "bigquery.datasets.getIamPolicy",
    "bigquery.datasets.setIamPolicy",
    "bigquery.datasets.update",
    "bigquery.jobs.create",
    "bigquery.transfers.get",
    "bigquery.transfers.update",
)


class Transfers:
    """The handlers of ``/v1/projects/P/locations/L/transferConfigs`` and below."""

    def __init__(
        self,
        project: Project,
        catalog: Catalog,
        access: Access,
        accounts: Accounts,
        runner: Runner,
        clock: Callable[[], datetime],
    ) -> None:
        self._project = project
        self._catalog = catalog
        self._access = access
        self._accounts = accounts
        self._runner = runner
        self._clock = clock
        self._configs: dict[str, TransferConfig] = {}
        self._runs: list[Run] = []
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def open(self) -> None:
        """Be ready to run transfers."""
        self._pool = ThreadPoolExecutor(_CONCURRENT_RUNS, thread_name_prefix="transfer")

    def close(self) -> None:
        """Finish the running transfers and start no other."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def register(self, router: Router) -> None:
        """Add the routes, each with and without a location (which then is US)."""
        for parent in ("/v1/projects/{project}/locations/{location}", "/v1/projects/{project}"):
            configs = f"{parent}/transferConfigs"
            one = f"{configs}/{{config}}"
            run = f"{one}/runs/{{run}}"
            for method, path, handler in (
                ("GET", f"{parent}/dataSources/{DATA_SOURCE}", self._data_source),
                ("POST", configs, self._create),
                ("GET", configs, self._list),
                ("GET", one, self._get),
                ("PATCH", one, self._patch),
                ("DELETE", one, self._delete),
                ("POST", f"{one}:startManualRuns", self._start),
                ("GET", f"{one}/runs", self._list_runs),
                ("GET", run, self._get_run),
                ("DELETE", run, self._delete_run),
                ("GET", f"{run}/transferLogs", self._logs),
            ):
                router.add(method, path, handler, SERVICE)

    def config_reports(self) -> list[ConfigReport]:
        """All configurations, for reports."""
        return [
            ConfigReport(c.name, c.display_name, c.dataset, c.params.table, c.params.data_path)
            for c in list(self._configs.values())
        ]

    def run_reports(self) -> list[RunReport]:
        """All runs, for reports; those of deleted configurations too."""
        return [
            RunReport(
                run.name,
                run.config.name,
                run.config.dataset,
                run.table or run.params.table,
                run.run_time,
                run.state,
                run.rows,
                run.error,
            )
            for run in list(self._runs)
        ]

    # --- configurations

    def _create(self, call: Call) -> dict[str, Any]:
        body = call.json()
        self._require(call, "bigquery.transfers.update")
        check_keys(body, _WRITABLE | _OUTPUT, "transfer_config")
        if body.get("dataSourceId") != DATA_SOURCE:
            raise not_found(f"Data source {body.get('dataSourceId')} was not found.")
        if not body.get("displayName"):
            raise invalid("Missing display name.")
        params = parse(body.get("params"))
        dataset = self._catalog.dataset(str(body.get("destinationDatasetId", "")))
        location = _location(call)
        _require_location(location, dataset)
        owner = self._owner(call, dataset)
        on_demand = _on_demand(body)
        self._grant_agent(dataset)
        identifier = str(uuid.uuid4())
        config = TransferConfig(
            name=(
                f"projects/{self._project.number}/locations/{location}/transferConfigs/{identifier}"
            ),
            location=location,
            region=location,
            dataset=dataset.id,
            display_name=str(body["displayName"]),
            params=params,
            service_account=owner,
            on_demand=on_demand,
            settings={k: v for k, v in body.items() if k in _KEPT and v is not None},
            updated=self._clock(),
            user_id=str(uuid.UUID(identifier).int % 2**62),
        )
        with self._lock:
            self._configs[identifier] = config
        return config.resource()

    def _owner(self, call: Call, dataset: Dataset) -> str:
        """The service account the transfer is to run as, once everything it needs is there."""
        email = call.query.get("serviceAccountName", "")
        if not email:
            raise invalid(
                "Failed to find a valid credential. The request to create a transfer config is "
                "supposed to contain an authorization code or a service account name."
            )
        account = self._accounts.find(email)
        if account is None or account.disabled:
            raise not_found(f"Service account {email} was not found.")
        actas = "iam.serviceAccounts.actAs"
        self._access.require(
            call.identity, actas, _denied(actas, f"serviceAccounts/{email}"), account.policy
        )
        self._require_agent(email)
        self._require_owner(email, dataset)
        return email

    def _require_owner(self, email: str, dataset: Dataset) -> None:
        """The owner needs permissions of its own."""
        owner = service_account_identity(email)
        missing = [
            p for p in _OWNER_PERMISSIONS if not self._access.allowed(owner, p, dataset.policy())
        ]
        if missing:
            raise denied(
                f"Service account {email} lacks what the owner of a transfer into dataset "
                f"{dataset.id} needs: {', '.join(missing)}",
                reason="forbidden",
            )

    def _require_agent(self, email: str) -> None:
        """The service's agent must be able to get tokens of the owner."""
        agent = self._project.agent_email(SERVICE)
        account = self._accounts.find(email)
        policies = () if account is None else (account.policy,)
        permission = "iam.serviceAccounts.getAccessToken"
        if not self._access.allowed(service_account_identity(agent), permission, *policies):
            raise invalid(
                f"DTS service agent needs {permission} permission. Running the following command "
                "may resolve this error: gcloud iam service-accounts add-iam-policy-binding "
                f"{email} --member='serviceAccount:{agent}' "
                "--role='roles/iam.serviceAccountTokenCreator'",
                reason="badRequest",
            )

    def _grant_agent(self, dataset: Dataset) -> None:
        """The service lets its agent write into the dataset of every configuration."""
        self._project.agents.add(SERVICE)
        agent = self._project.agent_email(SERVICE)
        entry = {"role": "WRITER", "userByEmail": agent}
        with self._catalog.store.lock:
            if entry not in dataset.access:
                dataset.access = [*dataset.access, entry]
                dataset.revision += 1

    def _config(self, call: Call, permission: str) -> TransferConfig:
        self._require(call, permission)
        config = self._configs.get(call["config"])
        if config is None or _location(call) != config.location:
            raise not_found(f"Requested entity was not found: {call.path.removeprefix('/v1/')}")
        return config

    def _get(self, call: Call) -> dict[str, Any]:
        return self._config(call, "bigquery.transfers.get").resource()

    def _list(self, call: Call) -> dict[str, Any]:
        self._require(call, "bigquery.transfers.get")
        location = _location(call)
        here = [c for c in list(self._configs.values()) if c.location == location]
        items, more = page(call, here)
        return {"transferConfigs": [config.resource() for config in items], **more}

    def _patch(self, call: Call) -> dict[str, Any]:
        config = self._config(call, "bigquery.transfers.update")
        body = call.json()
        check_keys(body, _WRITABLE | _OUTPUT, "transfer_config")
        mask = [camel(name) for name in call.query.get("updateMask", "").split(",") if name]
        if not mask:
            raise invalid("The update mask must name the fields to change.")
        settings = dict(config.settings)
        changed: dict[str, Any] = {"updated": self._clock(), "settings": settings}
        for name in mask:
            changed |= self._change(call, config, name, body, settings)
        updated = replace(config, **changed)
        updated.on_demand = _on_demand(updated.settings)
        with self._lock:
            self._configs[call["config"]] = updated
        self._grant_agent(self._catalog.dataset(updated.dataset))
        return updated.resource()

    def _change(
        self,
        call: Call,
        config: TransferConfig,
        name: str,
        body: Mapping[str, Any],
        settings: dict[str, Any],
    ) -> dict[str, Any]:
        """What the field *name* of the update mask changes."""
        if name == "params" or name.startswith("params."):
            return {"params": _changed_params(config.params, body.get("params"))}
        if name == "displayName":
            return {"display_name": str(body.get("displayName", ""))}
        if name == "serviceAccountName":
            return {"service_account": self._owner(call, self._catalog.dataset(config.dataset))}
        if name == "destinationDatasetId":
            return {"dataset": self._destination(config, str(body.get(name, "")))}
        if name in _KEPT:
            if body.get(name) is None:
                settings.pop(name, None)
            else:
                settings[name] = body[name]
            return {}
        raise invalid(f"The field {name} of a transfer configuration cannot be updated.")

    def _destination(self, config: TransferConfig, name: str) -> str:
        """Another dataset for *config*, whose owner needs the same permissions there."""
        dataset = self._catalog.dataset(name)
        _require_location(config.location, dataset)
        self._require_owner(config.service_account, dataset)
        return dataset.id

    def _delete(self, call: Call) -> dict[str, Any]:
        self._config(call, "bigquery.transfers.update")
        with self._lock:
            del self._configs[call["config"]]
        return {}

    def _data_source(self, call: Call) -> dict[str, Any]:
        self._require(call, "bigquery.transfers.get")
        location = _location(call)
        parameters = [
            {"paramId": name, "type": "STRING", "required": name in REQUIRED}
            for name in (*REQUIRED, *OPTIONAL)
        ]
        parent = f"projects/{self._project.number}/locations/{location}"
        return {
            "name": f"{parent}/dataSources/{DATA_SOURCE}",
            "dataSourceId": DATA_SOURCE,
            "displayName": "Amazon S3",
            "supportsCustomSchedule": True,
            "minimumScheduleInterval": "3600s",
            "parameters": parameters,
        }

    # --- runs

    def _start(self, call: Call) -> dict[str, Any]:
        config = self._config(call, "bigquery.transfers.update")
        body = call.json()
        check_keys(body, {"requestedRunTime", "requestedTimeRange"}, "start_manual_runs")
        if "requestedRunTime" not in body:
            if config.on_demand:
                raise invalid(
                    "Starting transfer run with on-demand schedule requires 'requested_run_time'"
                )
            raise invalid("requestedTimeRange is not served here; send requestedRunTime")
        run_time = parse_rfc3339(body["requestedRunTime"], "requested_run_time")
        now = self._clock()
        if run_time > now:
            raise invalid(
                f"requested_run_time {body['requestedRunTime']} is in the future "
                f"(it is {now:%Y-%m-%dT%H:%M:%SZ})"
            )
        if config.settings.get("disabled"):
            raise failed_precondition(f"Transfer config {config.name} is disabled.")
        run = self._queue(config, run_time, now)
        return {"runs": [run.resource()]}

    def _queue(self, config: TransferConfig, run_time: datetime, now: datetime) -> Run:
        identifier = str(uuid.uuid4())
        run = Run(f"{config.name}/runs/{identifier}", config, config.params, run_time, now)
        if self._pool is None:
            raise failed_precondition("The local Google Cloud is being stopped.")
        with self._lock:
            config.runs[identifier] = run
            self._runs.append(run)
        self._pool.submit(self._runner.execute, run)
        return run

    def _run(self, call: Call, permission: str) -> Run:
        run = self._config(call, permission).runs.get(call["run"])
        if run is None:
            raise not_found(f"Requested entity was not found: {call.path.removeprefix('/v1/')}")
        return run

    def _get_run(self, call: Call) -> dict[str, Any]:
        return self._run(call, "bigquery.transfers.get").resource()

    def _list_runs(self, call: Call) -> dict[str, Any]:
        config = self._config(call, "bigquery.transfers.get")
        wanted = call.query.get("states")
        runs = [
            run
            for run in reversed(list(config.runs.values()))
            if not wanted or run.state in wanted.split(",")
        ]
        items, more = page(call, runs)
        return {"transferRuns": [run.resource() for run in items], **more}

    def _delete_run(self, call: Call) -> dict[str, Any]:
        run = self._run(call, "bigquery.transfers.update")
        if run.state in (PENDING, RUNNING):
            raise failed_precondition(f"Transfer run {run.name} is not finished.")
        with self._lock:
            del run.config.runs[call["run"]]
        return {}

    def _logs(self, call: Call) -> dict[str, Any]:
        lines = list(self._run(call, "bigquery.transfers.get").log)
        wanted = call.query.get("messageTypes")
        if wanted:
            lines = [line for line in lines if line.severity in wanted.split(",")]
        items, more = page(call, lines)
        return {"transferMessages": [line.resource() for line in items], **more}

    def _require(self, call: Call, permission: str) -> None:
        self._require_identity(call.identity, permission)

    def _require_identity(self, identity: Identity, permission: str) -> None:
        refusal = _denied(permission, f"projects/{self._project.id}")
        self._access.require(identity, permission, refusal)


def _denied(permission: str, resource: str) -> ApiError:
    return denied(
        f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
        reason="forbidden",
    )


def _location(call: Call) -> str:
    location = call.params.get("location", _DEFAULT_LOCATION).lower()
    return _REGION_NAMES.get(location, location)


def _require_location(location: str, dataset: Dataset) -> None:
    if dataset.location.lower() != location:
        raise invalid(
            f"Cannot create a transfer in location {location} when the destination dataset "
            f"{dataset.id} is in {dataset.location}."
        )


def _on_demand(body: Mapping[str, Any]) -> bool:
    return bool((body.get("scheduleOptions") or {}).get("disableAutoScheduling"))


def _changed_params(present: S3Params, wanted: Any) -> S3Params:
    params = parse(wanted)
    for name in FIXED:
        if params.given[name] != present.given[name]:
            raise invalid(
                f"The parameter '{name}' of data source {DATA_SOURCE} is immutable; delete the "
                "transfer config and create it anew."
            )
    if not params.given.get(SECRET):
        raise invalid(f"Missing required parameter '{SECRET}'")
    return params
