"""Clouds that outlive the command that started them: found, spoken to, ended, and no others."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any

import boto3
import pytest
from rich.console import Console

from rehearsal import kept
from rehearsal.deploy import Deployment
from rehearsal.errors import RehearsalFailed
from rehearsal.kept import Kept
from rehearsal.progress import Progress
from tests.rehearsal.playing import ROOT

# Python warns of a process that outlives its Popen; these are meant to.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

# It says nothing of where to listen.
STACK = "stg"
_PATIENCE_SECONDS = 60


def quiet(_text: str) -> None:
    """For whoever wants to know of the start."""


def started(folder: Path, stack: str = STACK) -> Kept:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return kept.start(folder, stack, None, None, quiet)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("clouds")
    return path / "deep" / STACK


@pytest.fixture(scope="module")
def up(folder) -> Iterator[Kept]:
    clouds = started(folder)
    yield clouds
    kept.stop(folder)


def found(folder: Path) -> Kept | None:
    """Find the clouds of a folder, in a time that has a bound."""
    answers: list[Kept | None] = []
    thread = threading.Thread(target=lambda: answers.append(kept.find(folder)), daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    assert answers, "it waits for an answer of something else"
    return answers[0]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def identity(clouds: Kept) -> str:
    sts = boto3.client(
        "sts",
        endpoint_url=clouds.aws,
        region_name=clouds.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return str(sts.get_caller_identity()["Account"])


def test_they_are_up_and_found(folder, up) -> None:
    assert found(folder) == up
    assert up.stack == STACK
    assert identity(up) == up.account
    assert is_running(up.pid)
    assert up.pid != os.getpid()


def test_only_their_owner_can_read_how_to_order_them(folder, up) -> None:
    assert (folder / "clouds.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((folder / "clouds.json").read_text())["key"] == up.key


def test_nothing_is_up_where_nothing_was_started(tmp_path) -> None:
    assert found(tmp_path) is None
    assert found(tmp_path / "nowhere") is None
    assert kept.stop(tmp_path) is False


@pytest.mark.parametrize("order", ["ping", "play", "stop"])
def test_no_order_is_taken_without_the_key(folder, up, order) -> None:
    stranger = dataclasses.replace(up, key="00" * 32)
    with pytest.raises(AuthenticationError):
        stranger.call(order, Deployment(STACK))
    assert found(folder) == up


@pytest.mark.parametrize("words", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_they_outlive_whoever_knocks_and_goes(folder, up, words) -> None:
    with socket.create_connection(("127.0.0.1", up.door)) as line:
        line.sendall(words)
    assert found(folder) == up


def test_a_day_that_cannot_be_played_is_told_with_the_reason(folder, up) -> None:
    """Nothing is deployed on them."""
    acts: list[str] = []

    class Listening(Progress):
        def act(self, key: str, title: str) -> Any:
            acts.append(title)
            return super().act(key, title)

    with pytest.raises(RehearsalFailed) as failed:
        up.play(Deployment(STACK), {}, Listening(Console(quiet=True)))
    assert str(failed.value) == ("unexpected KeyError: 'export_machines'; clouds.log says where")
    assert "Traceback" in (folder / "clouds.log").read_text()
    assert acts == ["Exporting"]
    assert found(folder) == up


def stale(folder: Path, clouds: Kept, **changes: Any) -> Path:
    """Leave what clouds leave that could not clear away."""
    folder.mkdir(exist_ok=True)
    file = folder / "clouds.json"
    file.write_text(json.dumps({**dataclasses.asdict(clouds), **changes}))
    return file


def test_what_is_left_of_clouds_is_no_cloud_and_nobody_else_is_killed(tmp_path, up) -> None:
    """Their number and their port are others' by now."""
    with (
        subprocess.Popen(["sleep", "600"]) as other,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        try:
            stale(tmp_path, up, pid=other.pid, door=silent.getsockname()[1])
            assert found(tmp_path) is None
            assert kept.stop(tmp_path) is False
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1', '{"pid": 1, "colour": "red"}'])
def test_a_file_that_means_nothing_is_no_cloud(tmp_path, content) -> None:
    (tmp_path / "clouds.json").write_text(content)
    assert found(tmp_path) is None
    # If somebody holds it, as clouds of another version would, they are not passed over.
    with (tmp_path / "clouds.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RehearsalFailed, match=r"^clouds are up .*`destroy --force` ends them"):
            kept.find(tmp_path)


def test_they_are_started_anew_after_a_kill_and_end_when_told(tmp_path, monkeypatch) -> None:
    # What is killed leaves its files behind.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    killed = started(tmp_path)
    os.kill(killed.pid, signal.SIGKILL)
    os.waitpid(killed.pid, 0)
    assert (tmp_path / "clouds.json").exists()
    assert found(tmp_path) is None
    clouds = started(tmp_path)
    assert clouds.pid != killed.pid
    assert kept.stop(tmp_path) is True
    assert not is_running(clouds.pid)
    assert not (tmp_path / "clouds.json").exists()
    assert found(tmp_path) is None
    assert kept.stop(tmp_path) is False


def test_who_keeps_silent_at_the_door_holds_up_nobody(folder, up) -> None:
    with socket.create_connection(("127.0.0.1", up.door)):
        assert found(folder) == up


def test_they_know_what_they_were_started_with(up) -> None:
    assert up.has(None, None)
    assert not up.has("sqlite:////data/shop.db", None)
    assert not up.has(None, "postgresql")


def test_clouds_that_do_not_answer_are_told_of_and_can_be_killed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kept, "_ANSWER_SECONDS", 0.5)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    clouds = started(tmp_path)
    os.kill(clouds.pid, signal.SIGSTOP)
    try:
        with pytest.raises(RehearsalFailed, match=rf"process {clouds.pid}\), but do not answer"):
            kept.find(tmp_path)
    finally:
        monkeypatch.setattr(kept, "_STOP_SECONDS", 0.5)
        assert kept.kill(tmp_path) is True
    assert not is_running(clouds.pid)
    assert found(tmp_path) is None
    assert kept.kill(tmp_path) is False


def test_nobody_else_is_killed(tmp_path, up) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            stale(tmp_path, up, pid=other.pid)
            assert kept.kill(tmp_path) is False
            assert other.poll() is None
        finally:
            other.kill()


def test_a_source_is_not_among_the_arguments_that_everyone_can_read(tmp_path, monkeypatch) -> None:
    arguments: list[str] = []

    def popen(command: list[str], **named: Any) -> Any:
        arguments.extend(command)
        assert named["env"]["REHEARSAL_SOURCE"] == "mysql+pymysql://me:hidden@db/shop"
        raise InterruptedError

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(InterruptedError):
        kept.start(tmp_path, STACK, "mysql+pymysql://me:hidden@db/shop", "mysql", quiet)
    assert arguments[-4:-2] == ["--engine", "mysql"]
    assert "hidden" not in " ".join(arguments)


def test_a_start_that_fails_tells_why(tmp_path) -> None:
    with pytest.raises(RehearsalFailed) as failed:
        started(tmp_path, "nowhere")
    assert str(failed.value).startswith("--stack nowhere: there is no Pulumi.nowhere.yaml; ")
    assert found(tmp_path) is None


def test_a_start_that_is_interrupted_leaves_nothing_up(tmp_path, monkeypatch) -> None:
    start, processes = subprocess.Popen, []

    def popen(*arguments: Any, **named: Any) -> subprocess.Popen[Any]:
        processes.append(start(*arguments, **named))
        return processes[-1]

    def interrupt(_text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        kept.start(tmp_path, STACK, None, None, interrupt)
    (process,) = processes
    try:
        process.wait(_PATIENCE_SECONDS)
    finally:
        process.kill()
    assert not (tmp_path / "clouds.json").exists()
