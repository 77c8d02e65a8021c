"""Rehearsals as a user starts them, and what they leave behind."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pytest
import yaml

Made = TypeVar("Made")

ROOT = Path(__file__).resolve().parents[2]

_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Played:
    """What a command left: its exit status, what it printed, and the files of its outputs."""

    status: int
    output: str
    errors: str
    folder: Path

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "out.json").read_text()))

    @property
    def html(self) -> str:
        return (self.folder / "out.html").read_text()

    @property
    def told(self) -> str:
        """Everything that anyone can read of it."""
        return "\n".join((self.output, self.errors, json.dumps(self.json), self.html))

    def problems(self) -> dict[str, tuple[str, str]]:
        """Return kind and message of the problems by table."""
        return {p["table"]: (p["kind"], p["message"]) for p in self.json["problems"]}

    @contextmanager
    def bigquery(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The tables that were kept, times in UTC."""
        path = str(self.folder / "bigquery.duckdb")
        with closing(duckdb.connect(path, read_only=True)) as database:
            database.execute("SET TimeZone = 'UTC'")
            yield database

    def table(self, name: str, order: str = "id") -> tuple[dict[str, str], list[tuple[Any, ...]]]:
        """Return a table's column types and its rows in order, from the only dataset there is."""
        (dataset,) = {load["dataset"] for load in self.json["loads"]}
        with self.bigquery() as database:
            described = database.execute(f'DESCRIBE "{dataset}"."{name}"').fetchall()
            rows = database.execute(f'FROM "{dataset}"."{name}" ORDER BY "{order}"').fetchall()
        return {column: str(type_) for column, type_, *_ in described}, rows


def command(*arguments: str, folder: Path, project: Path = ROOT) -> Played:
    """Run the command line with these arguments alone, in a process of its own."""
    # The width of the tests' own terminal, and colours, are none of a log's business.
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    return Played(done.returncode, done.stdout, done.stderr, folder)


def rehearse(folder: Path, *arguments: str, project: Path = ROOT) -> Played:
    """Play a day with these arguments and every output that there is, all in *folder*."""
    outputs = ("--json", folder / "out.json", "--html", folder / "out.html", "--keep", folder)
    return command("run", *arguments, *map(str, outputs), folder=folder, project=project)


def once(
    factory: pytest.TempPathFactory, worker: str, name: str, make: Callable[[Path], Made]
) -> Made:
    """Make something once for all tests that look at it, also where these run in processes."""
    base = factory.getbasetemp() if worker == "master" else factory.getbasetemp().parent
    folder = base / f"played-{name}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / "made.pickle"
        if not kept.exists():
            kept.write_bytes(pickle.dumps(make(folder)))
        made: Made = pickle.loads(kept.read_bytes())
    return made


def config_of(stack: str) -> dict[str, Any]:
    """Return the configuration of a committed stack."""
    return dict(yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"])


def project_with(folder: Path, stack: str, content: dict[str, Any] | str) -> Path:
    """Return a copy of the project that has this stack besides the committed ones.

    *content* is the stack's configuration, or the very text of its file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for entry in ROOT.iterdir():
        if entry.name == "rehearsal":
            # Copied, as the command line looks for stacks beside its own folder.
            shutil.copytree(entry, folder / entry.name)
        elif not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    text = content if isinstance(content, str) else yaml.safe_dump({"config": content})
    (folder / f"Pulumi.{stack}.yaml").write_text(text)
    return folder
