"""A MariaDB server of our own, set up as Aurora MySQL 3 is: one process, one folder, one port.

Aurora's defaults, as far as a client sees them:

- `sql_mode` is NO_ENGINE_SUBSTITUTION and *not* strict: "this is default for most mysql 8.0
  implementations, but it is not default for Aurora RDS" (github.com/pulumi/
  pulumi-self-hosted-installers/pull/640; github.com/awsdocs/amazon-rds-user-guide/issues/160 for
  the value). A session or a parameter group that wants errors has to say so.
- utf8mb4, REPEATABLE READ, UTC, packets of up to 64 MiB: MySQL 8.0's own (MySQL 8.0 Reference
  Manual, "Server System Variables"). Its collation utf8mb4_0900_ai_ci MariaDB has not: the nearest
  takes its place, which likewise ignores case and accents and does not pad.

What MariaDB does otherwise than MySQL 8 (its own SQL, optimizer, JSON and error texts) stays so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pymysql

from rehearsal.errors import BadInput

MAX_PACKET_BYTES = 64 * 1024 * 1024

_PROGRAMS = ("mariadbd", "mysqld")
_INSTALLER = "mariadb-install-db"
# As scripts/databases.sh looks for them: servers are often not on an ordinary user's path.
_FOLDERS = (*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin")
_STARTS_WITHIN_SECONDS = 60.0
_STOPS_WITHIN_SECONDS = 20.0


class MariaDb:
    """A MariaDB server on 127.0.0.1; its root user has no password.

    It runs as whoever rehearses, root included: its data lie in a folder of theirs that another
    user may not even reach.
    """

    def __init__(self, folder: Path) -> None:
        """Take *folder*, which must exist and be empty; BadInput where MariaDB is not installed."""
        self._program = find(*_PROGRAMS)
        self._installer = find(_INSTALLER)
        self.folder = folder.resolve()
        self.files = self.folder / "files"
        """The one folder that SQL may read files from."""
        self.port = free_port()
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, on the data and the port it had before; returns when it answers."""
        if self._process is not None:
            raise RuntimeError("the MariaDB server runs already")
        if not self._data.exists():
            self._install()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self._await_answer(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the server to end and wait for it; one that does not run is stopped."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOPS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End the server at once (SIGKILL): a crash, after which `start` recovers the data."""
        if self._process is not None:
            self._process.kill()
        self._reap()

    @property
    def is_running(self) -> bool:
        """Tell whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def connect(self, user: str = "root", password: str = "") -> pymysql.Connection:
        """Return a connection past the front, by default of root; each statement commits."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=user, password=password, autocommit=True
        )

    def __enter__(self) -> MariaDb:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- inside -----------------------------------------------------------------------------

    def _install(self) -> None:
        self.files.mkdir()
        options = ("--auth-root-authentication-method=normal", "--skip-test-db")
        done = subprocess.run(
            [self._installer, *self._common(), *options],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise RuntimeError(f"{self._installer} failed:\n{done.stdout}{done.stderr}")

    def _common(self) -> list[str]:
        # A server that root starts refuses to run unless it is told that this is meant.
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        return ["--no-defaults", f"--datadir={self._data}", "--skip-name-resolve", *as_root]

    def _command(self) -> list[str]:
        return [
            self._program,
            *self._common(),
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            # Below the data: the path of a socket has 107 characters at most.
            *("--socket=socket", "--pid-file=pid", "--skip-log-bin"),
            # A killed process loses no commit, as Aurora's storage loses none; a power cut may.
            *("--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M"),
            *("--sql-mode=NO_ENGINE_SUBSTITUTION", "--transaction-isolation=REPEATABLE-READ"),
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_520_nopad_ci",
            *("--default-time-zone=+00:00", f"--max-allowed-packet={MAX_PACKET_BYTES}"),
            # The front gives files to load; nobody else does, and none from elsewhere.
            *("--local-infile=OFF", f"--secure-file-priv={self.files}"),
        ]

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN_SECONDS
        while True:
            try:
                return self.connect().close()
            except pymysql.Error as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    told = self._log.read_text(errors="replace")
                    raise RuntimeError(f"MariaDB gives no answer ({error}):\n{told}") from error
                time.sleep(0.02)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None


def find(*names: str) -> str:
    """Return the path of the first installed program of *names*; BadInput when there is none."""
    for name in names:
        found = shutil.which(name, path=os.pathsep.join(_FOLDERS))
        if found:
            return found
    raise BadInput(
        [
            f"{names[0]} is not installed, and Aurora MySQL is rehearsed with a MariaDB server: "
            "`make databases` installs it on Debian and Ubuntu"
        ]
    )


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
