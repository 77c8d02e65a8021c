"""Local clouds that outlive the command that starts them, and the way to speak to them.

They are a process of their own. It tells where it is in a file that only its owner can read, and
takes orders on a connection of 127.0.0.1 whose key is in that file: play a day, or end.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from rehearsal import scenario, stage
from rehearsal.cast import Cast
from rehearsal.deploy import Deployment
from rehearsal.errors import RehearsalFailed
from rehearsal.outcome import Outcome
from rehearsal.progress import Progress

_FILE, _LOG = "clouds.json", "clouds.log"
_START_SECONDS, _STOP_SECONDS = 60.0, 30.0
_ANSWER_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_DOORKEEPERS = 8

#: What `rehearsal up` reads when it has no `--source`.
SOURCE_VARIABLE = "REHEARSAL_SOURCE"

# Source identifier -> the tables that the stack declares of it.
Expected = Mapping[str, tuple[str, ...]]

_one_day_at_a_time = threading.Lock()


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
    source: str
    """A digest of the source they were started with; it may hold a password."""

    def play(self, deployment: Deployment, expected: Expected, progress: Progress) -> Outcome:
        """Let a day be played; raises RehearsalFailed with the reason where it cannot be.

        *expected* are the tables that the stack now declares.
        """
        with self.call("play", deployment, expected) as line:
            return _listen(line, progress)

    def call(self, order: str, *arguments: Any) -> Connection:
        """Give an order; the answer is still to be received."""
        line = Client(("127.0.0.1", self.door), authkey=bytes.fromhex(self.key))
        line.send((order, arguments))
        return line

    def has(self, source: str | None, engine: str | None) -> bool:
        """Say whether they were started with this source."""
        return hmac.compare_digest(self.source, _digest(self.key, source, engine))


def find(folder: Path) -> Kept | None:
    """Return the clouds that *folder* tells of, if they are still up.

    Raises RehearsalFailed for clouds that are up and do not answer.
    """
    try:
        with (folder / _FILE).open() as told:
            if not _is_held(told):
                return None
            content = told.read()
    except FileNotFoundError:
        return None
    try:
        kept = Kept(**json.loads(content))
        _within(_ANSWER_SECONDS, lambda: _ping(kept))
    except (OSError, EOFError, AuthenticationError, TypeError, ValueError) as error:
        raise RehearsalFailed(
            f"clouds are up (process {_pid_in(content)}), but do not answer; "
            f"`destroy --force` ends them ({type(error).__name__})"
        ) from None
    return kept


def _ping(kept: Kept) -> None:
    with kept.call("ping") as line:
        line.recv()


def _within(seconds: float, call: Callable[[], None]) -> None:
    """Make a call that may hang; TimeoutError when it does."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if failures:
        raise failures[0]


def _pid_in(content: str) -> int | None:
    try:
        return int(json.loads(content)["pid"])
    except (ValueError, KeyError, TypeError):
        return None


def _digest(key: str, source: str | None, engine: str | None) -> str:
    return hmac.digest(bytes.fromhex(key), json.dumps([source, engine]).encode(), "sha256").hex()


def _is_held(told: IO[str]) -> bool:
    """Say whether the process that wrote the file is still there.

    One that was killed leaves its file behind, and its number and its port to others.
    """
    try:
        fcntl.flock(told, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def start(
    folder: Path,
    stack: str,
    source: str | None,
    engine: str | None,
    says: Callable[[str], None],
) -> Kept:
    """Start clouds for *stack* in the background; raises RehearsalFailed when they do not come up.

    *source* and *engine* are what `--source` and `--engine` say. The source may hold a password,
    so it goes by the environment: everyone can read the arguments of a process.
    """
    options = ["--engine", engine] if engine else []
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
            env={**os.environ, **({SOURCE_VARIABLE: source} if source else {})},
        )
    end = time.monotonic() + _START_SECONDS
    try:
        while time.monotonic() < end and process.poll() is None:
            if (folder / _FILE).exists() and (kept := find(folder)) is not None:
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


def kill(folder: Path) -> bool:
    """End the clouds of *folder* without a word to them; tells whether any were up."""
    try:
        with (folder / _FILE).open() as told:
            # The lock says that the number in the file is still theirs.
            pid = _pid_in(told.read()) if _is_held(told) else None
    except FileNotFoundError:
        return False
    if pid is None:
        return False
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        end = time.monotonic() + _STOP_SECONDS
        while _is_running(pid) and time.monotonic() < end:
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


def serve(
    cast: Cast,
    stack: str,
    clouds: stage.Stage,
    folder: Path,
    source: str | None,
    engine: str | None,
) -> None:
    """Tell *folder* of the running *clouds*, and take orders until one is to end."""
    key = secrets.token_bytes(32)
    end = threading.Event()
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
                source=_digest(key.hex(), source, engine),
            ),
        ),
    ):
        # Some at a time: who knocks and then keeps silent holds up nobody else.
        for _ in range(_DOORKEEPERS):
            threading.Thread(
                target=_take_orders, args=(listener, cast, clouds, end), daemon=True
            ).start()
        end.wait()


def _take_orders(listener: Listener, cast: Cast, clouds: stage.Stage, end: threading.Event) -> None:
    while not end.is_set():
        # Whoever knocks without the key, or goes away early, is no reason to end.
        with suppress(OSError, EOFError, AuthenticationError), listener.accept() as line:
            order, arguments = line.recv()
            if order == "play":
                deployment, expected = arguments
                with _one_day_at_a_time:
                    _play(cast, clouds, deployment, expected, line)
            else:
                line.send(order)
            if order == "stop":
                end.set()


def _play(
    cast: Cast, clouds: stage.Stage, deployment: Deployment, expected: Expected, line: Connection
) -> None:
    actors = [replace(each, expected=expected.get(each.identifier, ())) for each in cast.actors]
    now = replace(cast, actors=actors)
    try:
        line.send(("outcome", scenario.play_day(now, clouds, deployment, _Telling(line))))
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
