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

# The first snapshot was taken a day ago, each later one an hour after the last: an export tried
# again under the next hours' ids still has a run time in the past, and need not be waited for.
_FIRST_SNAPSHOT_AGE = timedelta(hours=29)
_LAST_SNAPSHOT_AGE = timedelta(hours=4)
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
    package_handlers(project, progress)
    with stage.built(cast, database, fault) as clouds:
        deployment = deploy_stack(project, cast, stack, clouds, progress)
        outcome = play_day(cast, clouds, deployment, progress, fault)
    outcome.seconds["total"] = time.monotonic() - began
    return outcome


def play_day(
    cast: Cast,
    clouds: stage.Stage,
    deployment: deploy.Deployment,
    progress: Progress,
    fault: FaultChoice | None = None,
) -> Outcome:
    """Play a day through what *deployment* left in the clouds; returns how it went."""
    if fault is not None and fault.name == "reader-key-revoked":
        _revoke_user_keys(clouds)
    earlier_runs = len(clouds.google.runs())
    with progress.act("export", "Exporting"):
        _export(cast, clouds, deployment, progress, fault)
    with progress.act("load", "Loading"):
        _load(clouds, deployment, progress, earlier_runs)
    outcome = comparison.compare(cast, clouds, deployment)
    acts = ("deploy", "export", "load")
    outcome.seconds = {act: progress.seconds.get(act, 0.0) for act in acts}
    outcome.seconds["total"] = sum(outcome.seconds.values())
    return outcome


def package_handlers(project: Path, progress: Progress) -> None:
    """Build the Lambda packages for this machine's Python; at once when they are up to date."""
    with progress.act("package", "Packaging the Lambda functions"):
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


def deploy_stack(
    project: Path, cast: Cast, stack: str, clouds: stage.Stage, progress: Progress
) -> deploy.Deployment:
    """Deploy the program in this process, with the packages that `package_handlers` built."""
    config = stack_file.with_option(
        cast.config, stack_file.HANDLERS, path=stack_file.LOCAL_PACKAGES
    )
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
    machines = set(deployment.outputs["export_machines"].values())
    wanted = len(clouds.executions_of(machines)) + len(machines)
    earlier = len(clouds.aws.rds.exports())
    at = _snapshot_time(clouds)
    for actor in cast.actors:
        clouds.aws.rds.take_snapshot(actor.identifier, at=at)
        if fault is not None and fault.name == "duplicate-event":
            clouds.aws.repeat_last_event()
    for schedule in clouds.aws.client("scheduler").list_schedules()["Schedules"]:
        clouds.aws.fire_schedule(schedule["Name"], at=at, group=schedule["GroupName"])

    def say() -> None:
        exports = clouds.aws.rds.exports()[earlier:]
        tables = [table for export in exports for table in export.tables]
        rows = sum(table.rows for table in tables)
        progress.say(f"Exporting: {rows:,} rows of {len(tables)} tables, as Parquet on S3")

    _follow(clouds, machines, wanted, say)


def _snapshot_time(clouds: stage.Stage) -> datetime:
    """Return a time for the next snapshots: later than all there are, and long enough ago."""
    now = datetime.now(timezone.utc)
    rds = clouds.aws.client("rds")
    taken = [
        *rds.describe_db_cluster_snapshots()["DBClusterSnapshots"],
        *rds.describe_db_snapshots()["DBSnapshots"],
    ]
    if not taken:
        return now - _FIRST_SNAPSHOT_AGE
    at: datetime = max(each["SnapshotCreateTime"] for each in taken) + timedelta(hours=1)
    if at > now - _LAST_SNAPSHOT_AGE:
        raise RehearsalFailed(
            "as many days as fit have been played here; start anew, or in an hour"
        )
    return at


def _load(
    clouds: stage.Stage, deployment: deploy.Deployment, progress: Progress, earlier_runs: int
) -> None:
    """Follow the loads that completed exports set going."""
    exported = [export for export in clouds.aws.rds.exports() if export.status == "COMPLETE"]

    def say() -> None:
        runs = clouds.google.runs()[earlier_runs:]
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
