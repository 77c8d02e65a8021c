"""Rehearsals as a user starts them, in this process, and what they leave behind."""

from __future__ import annotations

import fcntl
import io
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from rehearsal import cli

ROOT = Path(__file__).resolve().parents[2]


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


def command(*arguments: str, folder: Path) -> Played:
    """Run the command line with these arguments alone."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            status = cli.main(arguments)
        except SystemExit as ended:  # argparse
            status = int(ended.code or 0)
    return Played(status, output.getvalue(), errors.getvalue(), folder)


def rehearse(folder: Path, *arguments: str) -> Played:
    """Play a day with these arguments and every output that there is, all in *folder*."""
    outputs = ("--json", folder / "out.json", "--html", folder / "out.html", "--keep", folder)
    return command("run", *arguments, *map(str, outputs), folder=folder)


def once(
    factory: pytest.TempPathFactory, worker: str, name: str, play: Callable[[Path], Played]
) -> Played:
    """Play once for all tests that look at it, also where they run in several processes."""
    base = factory.getbasetemp() if worker == "master" else factory.getbasetemp().parent
    folder = base / f"played-{name}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / "played.pickle"
        if not kept.exists():
            kept.write_bytes(pickle.dumps(play(folder)))
        played: Played = pickle.loads(kept.read_bytes())
    return played


def config_of(stack: str) -> dict[str, Any]:
    """Return the configuration of a committed stack."""
    return dict(yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"])


def project_with(
    monkeypatch: pytest.MonkeyPatch, folder: Path, stack: str, content: dict[str, Any] | str
) -> Path:
    """Let the command line find a project that has this stack, besides everything committed.

    *content* is the stack's configuration, or the very text of its file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    path = folder / f"Pulumi.{stack}.yaml"
    path.unlink(missing_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump({"config": content}))
    monkeypatch.setattr(cli, "_PROJECT", folder)
    return folder
