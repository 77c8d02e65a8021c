"""The commands that use the real Pulumi engine: `deploy`, `destroy`, `pulumi`."""

from __future__ import annotations

import argparse
import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from rehearsal import cast, engine, kept, report, scenario, stack_file, stage
from rehearsal.deploy import Deployment
from rehearsal.errors import BadInput, RehearsalFailed
from rehearsal.kept import Kept
from rehearsal.progress import Progress

_PROJECT = Path(__file__).resolve().parent.parent
_FOLDER = _PROJECT / ".rehearsal"
_BUCKET = "aws:s3/bucket:Bucket"
_NO_DATABASE = (
    "The replication route takes changes, and writes files of them; Aurora does not run here, so\n"
    "none is loaded. `make replicate` plays the whole route.\n\n"
)
# The output of a stack that has the snapshot route.
_MACHINES = "export_machines"


def deploy(options: argparse.Namespace, errors: Console) -> int:
    """Start or find the clouds, `pulumi up`, play a day of the snapshot route.

    Returns the exit status.
    """
    progress = Progress(errors)
    folder = _FOLDER / options.stack
    with tempfile.TemporaryDirectory(prefix="data-ferry-") as samples:
        played = cast.of_stack(
            _PROJECT, Path(samples), options.stack, options.source, options.engine
        )
    engine.cli()
    scenario.package_handlers(_PROJECT, progress)
    with _alone(options.stack):
        clouds = _clouds(options, folder, progress)
    workspace = _workspace(folder, clouds.aws, clouds.google, clouds.region)
    workspace.configure(options.stack, local_config(played.config))
    try:
        good = _up_and_play(workspace, clouds, played, options, progress)
    except KeyboardInterrupt:
        errors.print(
            f"The clouds stay up: go on with `{_again('deploy', options)}`, or end it with "
            f"`{_again('destroy', options)}`."
        )
        raise
    errors.print(_what_next(clouds, options, played.config), markup=False, highlight=False)
    return 0 if good else 1


def _up_and_play(
    workspace: engine.Workspace,
    clouds: Kept,
    played: cast.Cast,
    options: argparse.Namespace,
    progress: Progress,
) -> bool:
    if workspace.run("up", "--yes", "--skip-preview", stack=options.stack) != 0:
        raise RehearsalFailed(
            f"pulumi up failed. Mend what it says and run `{_again('deploy', options)}` again; "
            f"`{_again('destroy', options)}` ends it"
        )
    if not options.play:
        return True
    deployed = deployment(workspace, options.stack)
    if _MACHINES not in deployed.outputs:
        report.console().print(f"Stack {options.stack} has no snapshot route: no day is played.")
        return True
    expected = {actor.identifier: actor.expected for actor in played.actors}
    outcome = clouds.play(deployed, expected, progress)
    report.show(outcome, report.console())
    return outcome.is_good


@contextmanager
def _alone(stack: str) -> Iterator[None]:
    """Wait until nobody else starts clouds for this stack."""
    _FOLDER.mkdir(exist_ok=True)
    with (_FOLDER / f"{stack}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def destroy(options: argparse.Namespace, errors: Console) -> int:
    """Empty the buckets, `pulumi destroy`, end the clouds; returns the exit status."""
    folder = _FOLDER / options.stack
    # What is no stack's name may be the way to another folder, and this one is deleted.
    if folder not in _FOLDER.glob("*") or not folder.is_dir():
        stack_file.load(_PROJECT, options.stack)
    if options.force:
        there = kept.kill(folder)
        shutil.rmtree(folder, ignore_errors=True)
        errors.print("Both clouds have ended." if there else _nothing(options.stack))
        return 0
    clouds = kept.find(folder)
    if clouds is None:
        shutil.rmtree(folder, ignore_errors=True)
        errors.print(_nothing(options.stack))
        return 0
    workspace = _workspace(folder, clouds.aws, clouds.google, clouds.region)
    # A `deploy` that was interrupted early leaves clouds without a stack on them.
    if workspace.has(options.stack):
        _destroy(workspace, clouds, options, errors)
    kept.stop(folder)
    shutil.rmtree(folder)
    errors.print("Both clouds have ended; nothing is left.")
    return 0


def _nothing(stack: str) -> str:
    return f"No clouds are up for stack {stack}; nothing is left to destroy."


def _destroy(
    workspace: engine.Workspace, clouds: Kept, options: argparse.Namespace, errors: Console
) -> None:
    s3 = engine.s3_of(clouds.aws, clouds.region)
    for bucket in _buckets(workspace, options.stack):
        gone = engine.empty(s3, bucket)
        errors.print(f"Emptied bucket {bucket}: {gone} objects.", highlight=False)
    if workspace.run("destroy", "--yes", "--skip-preview", "--remove", stack=options.stack) != 0:
        raise RehearsalFailed(
            "pulumi destroy failed; the clouds stay up to be looked at, until "
            f"`{_again('destroy', options)} --force`"
        )


def pulumi(options: argparse.Namespace, errors: Console) -> int:
    """Run a pulumi command on the clouds that are up for the stack, else on new ones.

    The command sees the stack's settings and the handlers as they are now.
    """
    folder = _FOLDER / options.stack
    with tempfile.TemporaryDirectory(prefix="data-ferry-") as temporary:
        new = Path(temporary)
        played = cast.of_stack(_PROJECT, new, options.stack, None, None)
        engine.cli()
        scenario.package_handlers(_PROJECT, Progress(errors))
        clouds = kept.find(folder)
        if clouds is not None:
            workspace = _workspace(folder, clouds.aws, clouds.google, clouds.region)
            # Of a source of the user's own, the tables are known to `deploy` alone.
            if clouds.has(None, None):
                workspace.configure(options.stack, local_config(played.config))
            return workspace.run(*_from_here(options.arguments), stack=options.stack)
        with stage.built(played, new / "bigquery.duckdb") as up:
            workspace = _workspace(new, up.aws.endpoint, up.google.endpoint, up.aws.region)
            workspace.configure(options.stack, local_config(played.config))
            return workspace.run(*_from_here(options.arguments), stack=options.stack)


# What names a file: `pulumi` works in its workspace, and the user somewhere else.
_FILES = ("--file", "-f", "--import-file", "--out", "-o", "--plan", "--save-plan", "--config-file")


def _from_here(arguments: list[str]) -> list[str]:
    """Return pulumi's arguments with the files among them as seen from where the user is."""
    found: list[str] = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if found and found[-1] in _FILES:
            found.append(str(Path(argument).absolute()))
        elif equals and flag in _FILES:
            found.append(f"{flag}={Path(value).absolute()}")
        else:
            found.append(argument)
    return found


def deployment(workspace: engine.Workspace, stack: str) -> Deployment:
    """Return what the engine says is deployed: how many resources, and the stack's outputs."""
    found = Deployment(stack)
    for resource in state(workspace, stack):
        package = resource["type"].partition(":")[0]
        if resource.get("custom") and package in found.resources:
            found.resources[package] += 1
    found.outputs = json.loads(workspace.ask("stack", "output", "--json", stack=stack))
    return found


def state(workspace: engine.Workspace, stack: str) -> list[dict[str, Any]]:
    """Return the resources in the state of *stack*."""
    exported = json.loads(workspace.ask("stack", "export", stack=stack))
    resources: list[dict[str, Any]] = exported["deployment"].get("resources", [])
    return resources


def _clouds(options: argparse.Namespace, folder: Path, progress: Progress) -> Kept:
    clouds = kept.find(folder)
    if clouds is not None:
        if not clouds.has(options.source, options.engine):
            raise BadInput(
                [
                    "--source, --engine: the clouds are up with another source; give the same "
                    f"again, or `{_again('destroy', options)}` first"
                ]
            )
        return clouds
    # What an earlier one left of state is about clouds that are gone.
    shutil.rmtree(folder, ignore_errors=True)
    with progress.act("clouds", "Starting both clouds"):
        return kept.start(folder, options.stack, options.source, options.engine, progress.say)


def _workspace(folder: Path, aws: str, google: str, region: str) -> engine.Workspace:
    variables = engine.environment_of(aws, google, region)
    workspace = engine.Workspace(_PROJECT, folder, variables)
    workspace.prepare()
    return workspace


def local_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stack's configuration for clouds that are where the environment says."""
    return stack_file.with_option(
        stack_file.without_endpoints(dict(config)),
        stack_file.HANDLERS,
        path=stack_file.LOCAL_PACKAGES,
    )


def _buckets(workspace: engine.Workspace, stack: str) -> list[str]:
    return [each["id"] for each in state(workspace, stack) if each["type"] == _BUCKET]


def _again(command: str, options: argparse.Namespace) -> str:
    stack = "" if options.stack == "local" else f" --stack {options.stack}"
    return f"python -m rehearsal {command}{stack}"


def _what_next(clouds: Kept, options: argparse.Namespace, config: stack_file.Config) -> str:
    stack = "" if options.stack == "local" else f" --stack {options.stack}"
    where = report.endpoints(
        aws=clouds.aws,
        google=clouds.google,
        account=clouds.account,
        region=clouds.region,
        project=clouds.project,
    )
    return (
        f"\nEverything is up, to be looked at:\n\n{where}\n"
        f"pulumi  .venv/bin/python -m rehearsal pulumi{stack} -- stack\n\n"
        f"{_NO_DATABASE if stack_file.REPLICATION in config else ''}"
        f"`.venv/bin/{_again('destroy', options)}` destroys it and ends the clouds."
    )
