"""The workspace in which the real engine works, as far as it shows without one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from rehearsal import engine
from tests.rehearsal.playing import ROOT

STACK = "mine"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> engine.Workspace:
    """One whose `pulumi` does nothing, and does it well."""
    pulumi = tmp_path / "tools" / ".tools" / "bin" / "pulumi"
    pulumi.parent.mkdir(parents=True)
    pulumi.write_text("#!/bin/sh\nexit 0\n")
    pulumi.chmod(0o755)
    monkeypatch.setattr(engine, "_ROOT", tmp_path / "tools")
    found = engine.Workspace(ROOT, tmp_path / "workspace")
    found.prepare()
    return found


def locked(workspace: engine.Workspace, content: str) -> Path:
    lock = workspace.folder / f"state/.pulumi/locks/organization/data-ferry/{STACK}/one.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(content)
    return lock


def test_the_lock_of_an_engine_that_was_killed_is_taken_away(workspace) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = locked(workspace, json.dumps({"pid": gone.pid}))
    assert workspace.run("up", stack=STACK) == 0
    assert not lock.exists()


def test_the_lock_of_an_engine_that_works_stays(workspace) -> None:
    lock = locked(workspace, json.dumps({"pid": os.getpid()}))
    assert workspace.run("up", stack=STACK) == 0
    assert lock.exists()


@pytest.mark.parametrize("content", ['{"pid": "x"}', "{}", "[]", "", '{"pi'])
def test_a_lock_that_cannot_be_read_stays(workspace, content: str) -> None:
    """It may only be being written."""
    lock = locked(workspace, content)
    assert workspace.run("up", stack=STACK) == 0
    assert lock.exists()


def test_a_lock_of_somebody_elses_process_stays(workspace, monkeypatch) -> None:
    lock = locked(workspace, json.dumps({"pid": 1}))

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        workspace.run("up", stack=STACK)
    assert lock.exists()


def test_the_language_host_is_told_of_no_virtual_environment(workspace) -> None:
    """It would look for it in the workspace, and make one there."""
    settings = yaml.safe_load((workspace.folder / "Pulumi.yaml").read_text())
    assert settings["runtime"] == "python"
    assert settings["main"] == str(ROOT)
    assert settings["options"] == {"refresh": "always"}


def test_the_users_own_accounts_and_proxies_are_left_out(workspace, monkeypatch) -> None:
    for name in ("AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "PULUMI_ACCESS_TOKEN"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("NO_PROXY", "internal")
    environment = workspace.environment(STACK)
    assert "mine" not in {v for k, v in environment.items() if k != "PULUMI_STACK"}
    assert environment["PULUMI_STACK"] == STACK
    assert environment["NO_PROXY"] == environment["no_proxy"] == "internal,127.0.0.1,localhost"
