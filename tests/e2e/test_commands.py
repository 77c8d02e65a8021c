"""What `make up STACK=local`, `make down STACK=local` and `make preview` call, as a user does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from rehearsal import kept
from tests.e2e.kit import ALONE, changed
from tests.rehearsal.playing import command, config_of, project_with

_PATIENCE_SECONDS = 30.0
BUCKETS = {"ferry-mine-rds-exports-111122223333", "ferry-mine-replication-111122223333"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project whose stack `local` listens on any free ports."""
    config = {
        key: value
        for key, value in config_of("local").items()
        if key != "aws:endpoints" and not key.endswith("CustomEndpoint")
    }
    folder = project_with(tmp_path / "project", "mine", config)
    (folder / ".tools").symlink_to(Path(__file__).resolve().parents[2] / ".tools")
    return folder


def test_deploy_leaves_everything_to_be_looked_at_until_destroy(
    project: Path, tmp_path: Path
) -> None:
    folder = project / ".rehearsal" / "mine"
    try:
        told = interrupted_deploy(project, folder)
        assert "interrupted" in told
        assert "The clouds stay up: go on with `python -m rehearsal deploy --stack mine`" in told
        assert not list(folder.glob("state/.pulumi/locks/**/*.json")), "the lock was not given back"
        until(lambda: processes_of(folder) == [], "everything that the engine had started to end")

        deployed = command("deploy", "--stack", "mine", folder=tmp_path, project=project)
        assert deployed.status == 0, deployed.output + deployed.errors
        assert "All well: as many rows in source, export and BigQuery" in deployed.output
        assert "112 AWS and 39 Google resources" in deployed.output
        clouds = kept.find(folder)
        assert clouds is not None
        s3 = boto3.client(
            "s3",
            endpoint_url=clouds.aws,
            region_name=clouds.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        assert {b["Name"] for b in s3.list_buckets()["Buckets"]} == BUCKETS
        # Nobody has written to the table: this is what a delivery would have left.
        s3.put_object(
            Bucket="ferry-mine-replication-111122223333", Key="processing-failed/x", Body=b"{}"
        )
        client = bigquery.Client(
            clouds.project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": clouds.google},
        )
        rows = client.query("SELECT COUNT(*) FROM `ferry_mine_rds_data.users`").result()
        assert [tuple(row) for row in rows] == [(2000,)]
        client.close()

        again = command("deploy", "--stack", "mine", folder=tmp_path, project=project)
        assert again.status == 0, again.output + again.errors
        assert "190 unchanged" in again.output

        asked = command(
            *("pulumi", "--stack", "mine", "--", "stack", "output", "--json"),
            folder=tmp_path,
            project=project,
        )
        assert asked.status == 0, asked.errors
        assert json.loads(asked.output)["transfer_configs"] == 5

        destroyed = command("destroy", "--stack", "mine", folder=tmp_path, project=project)
        assert destroyed.status == 0, destroyed.output + destroyed.errors
        for bucket in BUCKETS:
            assert f"Emptied bucket {bucket}" in destroyed.errors
        assert "replication-111122223333: 1 objects" in destroyed.errors
        # The catalog went with the bucket's objects: the refresh has found it gone.
        assert re.findall(r"(\d+) deleted", destroyed.output) == ["1", "189"]
        assert kept.find(folder) is None
        assert not folder.exists()
    finally:
        kept.stop(folder)


def interrupted_deploy(project: Path, folder: Path) -> str:
    """Press Ctrl-C while the engine works: everything in the foreground gets it."""
    with subprocess.Popen(
        [sys.executable, "-m", "rehearsal", "deploy", "--stack", "mine"],
        cwd=project,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # A shell lets what it runs in the background ignore Ctrl-C, and so all that starts there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "aws:iam:Role" in line and "created" in line:
                os.killpg(process.pid, signal.SIGINT)
                break
        lines += process.stdout
    assert process.returncode == 130, "".join(lines)
    return "".join(lines)


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)


def processes_of(folder: Path) -> list[str]:
    """Return what works in a workspace, but for the clouds."""
    mark = f"PULUMI_HOME={folder}".encode()
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
    return found


def test_an_engine_that_was_killed_locks_nobody_out(project: Path, tmp_path: Path) -> None:
    folder = project / ".rehearsal" / "mine"
    try:
        deployed = command(
            "deploy", "--stack", "mine", "--no-play", folder=tmp_path, project=project
        )
        assert deployed.status == 0, deployed.output + deployed.errors
        gone = subprocess.Popen(["true"])
        gone.wait()
        lock = folder / "state/.pulumi/locks/organization/data-ferry/mine/left.json"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(json.dumps({"pid": gone.pid, "username": "me", "hostname": "here"}))
        again = command("deploy", "--stack", "mine", "--no-play", folder=tmp_path, project=project)
        assert again.status == 0, again.output + again.errors
        assert not lock.exists()
    finally:
        kept.stop(folder)


def test_a_stack_without_the_snapshot_route_is_deployed_and_no_day_is_played(
    project: Path, tmp_path: Path
) -> None:
    file = project / "Pulumi.mine.yaml"
    config = changed(yaml.safe_load(file.read_text())["config"], **ALONE)
    file.write_text(yaml.safe_dump({"config": config}))
    folder = project / ".rehearsal" / "mine"
    try:
        deployed = command("deploy", "--stack", "mine", folder=tmp_path, project=project)
        assert deployed.status == 0, deployed.output + deployed.errors
        assert "Stack mine has no snapshot route: no day is played." in deployed.output
        assert "warning" not in (deployed.output + deployed.errors).lower()
        destroyed = command("destroy", "--stack", "mine", folder=tmp_path, project=project)
        assert destroyed.status == 0, destroyed.output + destroyed.errors
        assert not folder.exists()
    finally:
        kept.stop(folder)


def test_files_are_those_where_the_user_is(project: Path, tmp_path: Path) -> None:
    planned = command(
        *("pulumi", "--stack", "local", "--", "preview", "--import-file", "import.json"),
        folder=tmp_path,
        project=project,
    )
    assert planned.status == 0, planned.output + planned.errors
    listed = json.loads((project / "import.json").read_text())["resources"]
    assert "aws:s3/bucket:Bucket" in {each["type"] for each in listed}


def test_a_fresh_clone_has_all_that_a_preview_needs(project: Path, tmp_path: Path) -> None:
    """Nothing was built yet: neither packages, nor the authority that the cluster is trusted by."""
    (project / "build").unlink()
    # Packages are built beside the handlers.
    handlers = project / "handlers"
    original = handlers.resolve()
    handlers.unlink()
    shutil.copytree(original, handlers)
    shown = command(
        *("pulumi", "--stack", "local", "--", "preview", "--diff"), folder=tmp_path, project=project
    )
    assert shown.status == 0, shown.output + shown.errors
    assert "190 to create" in shown.output
    assert "warning" not in (shown.output + shown.errors).lower()
    assert (project / "build" / "local" / "rds-ca.pem").is_file()


def test_a_pulumi_command_has_clouds_and_a_state_of_its_own(project: Path, tmp_path: Path) -> None:
    shown = command(
        *("pulumi", "--stack", "stg", "--", "preview", "--diff"), folder=tmp_path, project=project
    )
    assert shown.status == 0, shown.output + shown.errors
    assert "147 to create" in shown.output
    assert "warning" not in (shown.output + shown.errors).lower()
    assert "encryptionsalt" not in (project / "Pulumi.stg.yaml").read_text()
    assert not (project / ".rehearsal").exists()
