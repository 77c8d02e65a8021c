"""Real MariaDB and PostgreSQL servers for tests, each on a private folder and a free port.

Import the fixtures `mariadb` and `postgresql` from a conftest. Both give a SQLAlchemy URL without
a database, of a user who may do everything.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from rehearsal.aws.aurora import MariaDb

_FOLDERS = (*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin")
_STARTS_WITHIN_SECONDS = 60.0


@pytest.fixture(scope="session")
def mariadb() -> Iterator[URL]:
    """A MariaDB server."""
    need_mariadb()
    with _folder("mariadb-", None) as folder, MariaDb(folder) as server:
        yield URL.create("mysql+pymysql", "root", None, "127.0.0.1", server.port)


def need_mariadb() -> None:
    """Skip the test where MariaDB is not installed; fail it where CI promises that."""
    _binary("mariadbd", "mariadb-server")
    _binary("mariadb-install-db", "mariadb-server")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL]:
    """A PostgreSQL server."""
    server = _binary("postgres", "postgresql")
    initdb = _binary("initdb", "postgresql")
    user = _service_user("postgres")
    with _folder("postgresql-", user) as folder:
        data = folder / "data"
        _run(
            [
                *(initdb, "-D", str(data), "-U", "admin", "-A", "trust", "-E", "UTF8"),
                *("--no-sync", "--locale=C.UTF-8"),
            ],
            user=user,
        )
        port = _free_port()
        command = [
            *(server, "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)),
            *("-c", "fsync=off", "-c", "timezone=Asia/Tokyo"),
        ]
        url = URL.create("postgresql+psycopg", "admin", None, "127.0.0.1", port)

        def ready() -> None:
            psycopg.connect(host="127.0.0.1", port=port, user="admin", dbname="postgres").close()

        with _serving(command, ready, psycopg.Error, folder / "log", user=user):
            yield url


def _binary(name: str, package: str) -> str:
    """The program's path; without it a test is skipped, but fails where CI promises it."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders = [*_FOLDERS, *map(str, versions)]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found:
        return found
    reason = f"{name} is not installed; on Debian: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _service_user(name: str) -> str | None:
    """Whom to become: neither server runs as root. None when this is not root."""
    if os.geteuid() != 0:
        return None
    for candidate in (name, "nobody"):
        try:
            return pwd.getpwnam(candidate).pw_name
        except KeyError:
            continue
    pytest.fail(f"run tests as an ordinary user, or create the user {name}")


@contextmanager
def _folder(prefix: str, user: str | None) -> Iterator[Path]:
    """A private folder below the system's temporary one, where any user may reach it."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        yield folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(command: list[str], user: str | None = None) -> None:
    done = subprocess.run(
        command,
        cwd="/",
        user=user,
        group=_group(user),
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _group(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


@contextmanager
def _serving(
    command: list[str],
    ready: Callable[[], None],
    not_ready: type[Exception],
    log: Path,
    user: str | None = None,
) -> Iterator[None]:
    """The server, from its first answer to the end of its process."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd="/",
            user=user,
            group=_group(user),
            extra_groups=[] if user else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _await(process, ready, not_ready, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(
    process: subprocess.Popen[bytes],
    ready: Callable[[], None],
    not_ready: type[Exception],
    log: Path,
) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
    while True:
        try:
            return ready()
        except not_ready as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{process.args!r} gives no answer ({error}):\n{log.read_text()}")
            time.sleep(0.05)
