"""Local clouds that outlive the command that starts them, and the way to speak to them.

They are a process of their own. It tells where it is in a file that only its owner can read, and
takes orders on a connection of 127.0.0.1 whose key is in that file: play a day, or end.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import IO

from rich.console import Console

from rehearsal import scenario, stage
from rehearsal.cast import Cast
from rehearsal.deploy import Deployment
from rehearsal.errors import RehearsalFailed
from rehearsal.outcome import Outcome
from rehearsal.progress import Progress

_FILE, _LOG = "clouds.json", "clouds.log"
_START_SECONDS, _STOP_SECONDS = 60.0, 30.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Kept:
    """Clouds that are up: their process, their endpoints, and the door to them."""

    pid: int
    stack: str
    aws: str
    google: str
    region: str
    account: str
    project: str
    door: int
    key: str

    def play(self, deployment: Deployment, progress: Progress) -> Outcome:
        """Let a day be played; raises RehearsalFailed with the reason where it cannot be."""
        with self.call("play", deployment) as line:
            return _listen(line, progress)

    def call(self, order: str, deployment: Deployment | None = None) -> Connection:
        """Give an order; the answer is still to be received."""
        line = Client(("127.0.0.1", self.door), authkey=bytes.fromhex(self.key))
        line.send((order, deployment))
        return line


def find(folder: Path) -> Kept | None:
    """Return the clouds that *folder* tells of, if they are still up."""
    try:
        with (folder / _FILE).open() as told:
            if not _is_held(told):
                return None
            kept = Kept(**json.load(told))
        with kept.call("ping") as line:
            line.recv()
    except (OSError, EOFError, AuthenticationError, TypeError, ValueError):
        return None
    return kept


def _is_held(told: IO[str]) -> bool:
    """Say whether the process that wrote the file is still there.

    One that was killed leaves its file behind, and its number and its port to others.
    """
    try:
        fcntl.flock(told, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def start(folder: Path, stack: str, options: Sequence[str], says: Callable[[str], None]) -> Kept:
    """Start clouds for *stack* in the background; raises RehearsalFailed when they do not come up.

    *options* are those of `rehearsal up` that choose the source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILE).unlink(missing_ok=True)
    with (folder / _LOG).open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "rehearsal", "up", "--stack", stack, *options),
                *("--keep-in", str(folder)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end = time.monotonic() + _START_SECONDS
    try:
        while time.monotonic() < end and process.poll() is None:
            kept = find(folder)
            if kept is not None:
                return kept
            says("Starting both clouds")
            time.sleep(_LOOK_SECONDS)
    except BaseException:
        # Ctrl-C, most likely: nobody would know of clouds that come up after all.
        process.terminate()
        raise
    if process.poll() is None:
        process.kill()
    raise RehearsalFailed((folder / _LOG).read_text().strip() or "the clouds do not start")


def stop(folder: Path) -> bool:
    """End the clouds of *folder* and wait until they are gone; tells whether any were up."""
    kept = find(folder)
    if kept is None:
        return False
    with kept.call("stop") as line:
        line.recv()
    end = time.monotonic() + _STOP_SECONDS
    while _is_running(kept.pid):
        if time.monotonic() > end:
            raise RehearsalFailed(f"the clouds (process {kept.pid}) do not end; kill them by hand")
        time.sleep(_LOOK_SECONDS)
    return True


def _is_running(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def serve(cast: Cast, stack: str, clouds: stage.Stage, folder: Path) -> None:
    """Tell *folder* of the running *clouds*, and take orders until the process is ended."""
    key = secrets.token_bytes(32)
    with (
        Listener(("127.0.0.1", 0), authkey=key) as listener,
        _told(
            folder,
            Kept(
                pid=os.getpid(),
                stack=stack,
                aws=clouds.aws.endpoint,
                google=clouds.google.endpoint,
                region=clouds.aws.region,
                account=clouds.aws.account,
                project=clouds.project,
                door=listener.address[1],
                key=key.hex(),
            ),
        ),
    ):
        while True:
            # Whoever knocks without the key, or goes away early, is no reason to end.
            with suppress(OSError, EOFError, AuthenticationError), listener.accept() as line:
                order, deployment = line.recv()
                if order == "play":
                    _play(cast, clouds, deployment, line)
                else:
                    line.send(order)
                if order == "stop":
                    return


def _play(cast: Cast, clouds: stage.Stage, deployment: Deployment, line: Connection) -> None:
    try:
        line.send(("outcome", scenario.play_day(cast, clouds, deployment, _Telling(line))))
    except RehearsalFailed as failure:
        line.send(("failed", str(failure)))
    except Exception as failure:
        traceback.print_exc()
        what = f"unexpected {type(failure).__name__}: {failure}; {_LOG} says where"
        line.send(("failed", what))


class _Telling(Progress):
    """Tells the one who gave the order how far it is."""

    def __init__(self, line: Connection) -> None:
        super().__init__(Console(quiet=True))
        self._line = line

    @contextmanager
    def act(self, key: str, title: str) -> Iterator[None]:
        """Tell of the beginning and of the end."""
        self._line.send(("begin", (key, title)))
        with super().act(key, title):
            yield
        self._line.send(("end", None))

    def say(self, text: str) -> None:
        """Tell of what is between."""
        self._line.send(("say", text))


def _listen(line: Connection, progress: Progress) -> Outcome:
    """Show the progress of what goes on elsewhere, until its outcome arrives."""
    with ExitStack() as act:
        while True:
            kind, value = line.recv()
            if kind == "outcome":
                outcome: Outcome = value
                return outcome
            if kind == "failed":
                raise RehearsalFailed(value)
            if kind == "begin":
                act.enter_context(progress.act(*value))
            elif kind == "end":
                act.close()
            else:
                progress.say(value)


@contextmanager
def _told(folder: Path, kept: Kept) -> Iterator[None]:
    path = folder / _FILE
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with unfinished.open("w") as told:
        fcntl.flock(told, fcntl.LOCK_EX)
        told.write(json.dumps(asdict(kept)))
        told.flush()
        unfinished.rename(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
