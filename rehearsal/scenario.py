"""A day on the snapshot route: deploy, snapshot, export, load; `comparison` says how it went."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from rehearsal import comparison, deploy, stack_file, stage
from rehearsal.cast import Cast
from rehearsal.errors import RehearsalFailed
from rehearsal.faults import FaultChoice
from rehearsal.outcome import Outcome
from rehearsal.progress import Progress

# The day's snapshot was taken some hours ago: an export tried again under the next hours' ids
# still has a run time in the past, and need not be waited for.
_SNAPSHOT_AGE = timedelta(hours=5)
# From an event to the execution it starts; both are on this machine.
_DELIVERY_SECONDS = 15.0
_PATIENCE_SECONDS = 3600.0
_LOOK_SECONDS = 0.05


def play(
    project: Path,
    cast: Cast,
    stack: str,
    database: Path,
    progress: Progress,
    fault: FaultChoice | None = None,
) -> Outcome:
    """Play the day of *stack* with *cast*; the DuckDB file *database* holds BigQuery afterwards.

    Raises BadInput where the program refuses the stack's settings, RehearsalFailed where something
    breaks of which no team would be told.
    """
    began = time.monotonic()
    with progress.act("package", "Packaging the Lambda functions"):
        _package_handlers(project)
    with stage.built(cast, database, fault) as clouds:
        deployment = _deploy(project, cast, stack, clouds, progress)
        if fault is not None and fault.name == "reader-key-revoked":
            _revoke_user_keys(clouds)
        with progress.act("export", "Exporting"):
            _export(cast, clouds, deployment, progress, fault)
        with progress.act("load", "Loading"):
            _load(clouds, deployment, progress)
        outcome = comparison.compare(cast, clouds, deployment)
    outcome.seconds = {
        **{act: progress.seconds[act] for act in ("deploy", "export", "load")},
        "total": time.monotonic() - began,
    }
    return outcome


def _package_handlers(project: Path) -> None:
    """Build the Lambda packages for this machine's Python; at once when they are up to date."""
    built = subprocess.run(
        [sys.executable, "-m", "handlers.package", "--target", "local"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        reason = (built.stderr or built.stdout).strip().splitlines()[-1:]
        raise RehearsalFailed(f"packaging the Lambda functions failed: {' '.join(reason)}")


def _deploy(
    project: Path, cast: Cast, stack: str, clouds: stage.Stage, progress: Progress
) -> deploy.Deployment:
    config = stack_file.with_option(cast.config, stack_file.HANDLERS, path="build/local")
    title = f"Deploying stack {stack}"

    def told(deployment: deploy.Deployment) -> None:
        made = deployment.resources
        progress.say(f"{title}: {made['aws']} resources on AWS, {made['gcp']} on Google Cloud")

    with progress.act("deploy", title):
        try:
            return deploy.deploy(project, stack, config, clouds.clouds, told)
        except deploy.DeploymentFailed as error:
            raise RehearsalFailed(f"deploying stack {stack} failed: {error}") from error


def _revoke_user_keys(clouds: stage.Stage) -> None:
    iam = clouds.aws.client("iam")
    for user in iam.list_users()["Users"]:
        name = user["UserName"]
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")


def _export(
    cast: Cast,
    clouds: stage.Stage,
    deployment: deploy.Deployment,
    progress: Progress,
    fault: FaultChoice | None,
) -> None:
    """Take the day's snapshots and follow the exports that their events set going."""
    at = datetime.now(timezone.utc) - _SNAPSHOT_AGE
    for actor in cast.actors:
        clouds.aws.rds.take_snapshot(actor.identifier, at=at)
        if fault is not None and fault.name == "duplicate-event":
            clouds.aws.repeat_last_event()
    for schedule in clouds.aws.client("scheduler").list_schedules()["Schedules"]:
        clouds.aws.fire_schedule(schedule["Name"], at=at, group=schedule["GroupName"])
    machines = set(deployment.outputs["export_machines"].values())

    def say() -> None:
        tables = [table for export in clouds.aws.rds.exports() for table in export.tables]
        rows = sum(table.rows for table in tables)
        progress.say(f"Exporting: {rows:,} rows of {len(tables)} tables, as Parquet on S3")

    _follow(clouds, machines, len(machines), say)


def _load(clouds: stage.Stage, deployment: deploy.Deployment, progress: Progress) -> None:
    """Follow the loads that completed exports set going."""
    exported = [export for export in clouds.aws.rds.exports() if export.status == "COMPLETE"]

    def say() -> None:
        runs = clouds.google.runs()
        rows = sum(run.rows or 0 for run in runs)
        ended = sum(run.state not in ("PENDING", "RUNNING") for run in runs)
        progress.say(f"Loading: {rows:,} rows in BigQuery, {ended} of {len(runs)} transfers ended")

    _follow(clouds, {deployment.outputs["load_machine"]}, len(exported), say)


def _follow(clouds: stage.Stage, machines: set[str], wanted: int, say: Callable[[], None]) -> None:
    """Wait until *wanted* executions of *machines* have begun, or do not, and all have ended."""
    began = time.monotonic()
    while True:
        played = clouds.executions_of(machines)
        running = any(execution.status == "RUNNING" for execution in played)
        waited = time.monotonic() - began
        if not running and (len(played) >= wanted or waited > _DELIVERY_SECONDS):
            break
        if waited > _PATIENCE_SECONDS:
            raise RehearsalFailed(f"state machines still run after {_PATIENCE_SECONDS:.0f} s")
        say()
        time.sleep(_LOOK_SECONDS)
    say()
