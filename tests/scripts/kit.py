"""Shell scripts of the tree, run in a copy of their own with fakes for what they call."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What every system has. Nothing else of this one can be seen by the scripts.
_SYSTEM = (
    *("awk", "cat", "chmod", "cp", "dirname", "env", "head", "ls", "mkdir", "mktemp", "mv"),
    *("readlink", "rm", "sed", "sh", "sort", "tail", "tee", "touch", "wc"),
)
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line that it said."""
        return self.err.splitlines()[-1]


@dataclass(frozen=True)
class Tree:
    """A copy of a part of the project, and a PATH of nothing but the system and fakes."""

    root: Path
    path: list[Path] = field(default_factory=list)

    def holding(self, *names: str) -> Tree:
        """Copy files or folders of the project."""
        for name in names:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.root / name)
            else:
                shutil.copy(ROOT / name, self.root / name)
        return self

    def fake(self, place: str, script: str) -> Path:
        """Make an executable; it is called as it would be, and does what *script* says."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def run(self, script: str, *arguments: str, **variables: str) -> Ended:
        system = self.root / "system"
        if not system.exists():
            system.mkdir()
            for name in _SYSTEM:
                found = shutil.which(name)
                assert found is not None, name
                (system / name).symlink_to(found)
        done = subprocess.run(
            ["sh", str(self.root / script), *arguments],
            env={
                "PATH": os.pathsep.join(map(str, [*self.path, system])),
                "CALLS": str(self.root / "calls"),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @property
    def calls(self) -> list[str]:
        """What the fakes were called with, one line each."""
        written = self.root / "calls"
        return written.read_text().splitlines() if written.exists() else []
