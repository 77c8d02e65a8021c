"""Bad input: exit status 2, one line for each mistake on stderr, and nothing is created."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rehearsal import cli, engine, faults, kept, kept_stack, scenario
from tests.rehearsal.playing import config_of, project_with

PASSWORD = "hush-Hush9x"
# What `pulumi stack ls --json` says of a stack.
LOCAL = '[{"name": "local", "current": false}]'

# Runs many commands in one process, as each would load the whole of Pulumi's SDK again.
MANY_COMMANDS = """
import contextlib, io, json, sys
from rehearsal import cli
told = {}
for stack in sys.argv[2:]:
    out, err = io.StringIO(), io.StringIO()
    folder = sys.argv[1]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(["run", "--stack", stack, "--keep", folder, "--json", folder + "/o.json",
                           "--html", folder + "/o.html"])
    told[stack] = [status, out.getvalue(), err.getvalue()]
print(json.dumps(told))
"""


def database(path: Path, script: str = "CREATE TABLE t (id INTEGER)") -> str:
    with closing(sqlite3.connect(path)) as made:
        made.executescript(script)
    return f"sqlite:///{path}"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run a command that is refused; returns the lines it tells."""
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    lines = told.err.splitlines()
    assert all(lines)
    return lines


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:///{folder}/missing.db", "there is no file"),
        ("sqlite:///{folder}", "there is no file"),
        ("sqlite:///{folder}/text.db", "not a database"),
        ("sqlite:///{folder}/empty.db", "has no tables"),
        ("sqlite:///{folder}/views.db", "has no tables"),
        ("sqlite://", "names no database"),
        ("oracle://me:" + PASSWORD + "@host/shop", "oracle databases cannot be read"),
        ("me:" + PASSWORD + "@host/shop", "no database URL"),
        ("", "no database URL"),
        ("mysql+pymysql://me:" + PASSWORD + "@127.0.0.1:{port}/shop", "check that the server"),
        ("postgresql+psycopg://me:" + PASSWORD + "@127.0.0.1:{port}/shop", "check that the"),
        ("mysql+pymysql://me:" + PASSWORD + "@127.0.0.1:{port}/", "names no database"),
        ("mysql://127.0.0.1:{port}/shop?user=me&password=" + PASSWORD, "check that the server"),
    ],
)
def test_a_source_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    (tmp_path / "text.db").write_text("id,name\n" * 200)
    database(tmp_path / "empty.db", "")
    database(tmp_path / "views.db", "CREATE VIEW v AS SELECT 1")
    before = sorted(tmp_path.iterdir())
    outputs = ("--json", tmp_path / "o.json", "--html", tmp_path / "o.html", "--keep", tmp_path)
    source = url.format(folder=tmp_path, port=closed_port())
    (line,) = refused(capsys, "run", "--source", source, *map(str, outputs))
    assert line.startswith("--source: ")
    assert reason in line
    assert PASSWORD not in line
    assert sorted(tmp_path.iterdir()) == before


def test_up_refuses_a_source_in_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"sqlite:///{tmp_path}/missing.db"
    assert "there is no file" in refused(capsys, "up", "--source", source)[0]


def test_a_server_cannot_be_read_as_the_other_engine(capsys: pytest.CaptureFixture[str]) -> None:
    source = f"mysql+pymysql://me:{PASSWORD}@127.0.0.1/shop"
    (line,) = refused(capsys, "run", "--source", source, "--engine", "postgresql")
    assert "use --engine mysql" in line
    assert PASSWORD not in line


def test_an_unknown_fault_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(capsys, "run", "--fault", "earthquake")
    assert line.startswith("--fault earthquake: ")
    assert all(name in line for name in faults.FAULTS["snapshot"])


def test_a_fault_of_another_route_is_told_with_its_route(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (line,) = refused(capsys, "run", "--fault", "poison")
    assert line.startswith("--fault poison: is a fault of --route replication; ")
    (line,) = refused(capsys, "run", "--route", "replication", "--fault", "export-failed")
    assert "is a fault of --route snapshot; " in line
    assert all(name in line for name in faults.FAULTS["replication"])


def test_options_of_another_route_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    lines = refused(capsys, "run", "--route", "replication", "--source", "x", "--keep", "y")
    assert [line.partition(":")[0] for line in lines] == ["--source", "--keep"]
    (line,) = refused(capsys, "run", "--changes", "7")
    assert line == "--changes: has no effect with --route snapshot; leave it out"


def test_a_stack_without_the_route_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(capsys, "run", "--route", "replication", "--stack", "stg")
    assert line == (
        "--route replication: the stack stg has the route snapshot alone; try --stack local"
    )


def test_a_table_for_a_fault_that_takes_none(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = refused(capsys, "run", "--fault", "export-limit:shop.users")
    assert "write --fault export-limit" in line


@pytest.mark.parametrize("fault", ["table-missing", "table-skipped", "transfer-failed"])
def test_a_fault_that_would_strike_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    source = database(tmp_path / "shop.db")
    (line,) = refused(capsys, "run", "--source", source, "--fault", f"{fault}:shop.users")
    assert line.startswith(f"--fault {fault}:shop.users: ")
    assert line.endswith("declared are shop.t")


@pytest.mark.parametrize("command", ["run", "up", "deploy", "destroy"])
def test_an_unknown_stack_is_told_with_those_there_are(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (line,) = refused(capsys, command, "--stack", "porduction")
    assert line.startswith("--stack porduction: ")
    assert line.endswith("stacks here: local, prod, stg")


def test_outputs_that_cannot_be_written_are_told_before_an_hours_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    outputs = {"--json": tmp_path / "no" / "o.json", "--html": tmp_path, "--keep": file / "deep"}
    lines = refused(capsys, "run", *(str(x) for pair in outputs.items() for x in pair))
    assert [line.split(":")[0] for line in lines] == [f"{o} {path}" for o, path in outputs.items()]
    assert sorted(tmp_path.iterdir()) == [file]


def test_a_folder_in_the_place_of_bigquerys_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bigquery.duckdb").mkdir()
    (line,) = refused(capsys, "run", "--keep", str(tmp_path))
    assert line.startswith(f"--keep {tmp_path}: ")


def test_a_folder_to_keep_is_not_made_for_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "new" / "folder"
    refused(capsys, "run", "--keep", str(keep), "--json", str(tmp_path / "no" / "o.json"))
    refused(capsys, "run", "--keep", str(keep), "--source", f"sqlite:///{tmp_path}/missing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--speed", "9"],
        ["run", "--engine", "oracle"],
        ["run", "--json"],
        ["deploy", "now"],
        ["deploy", "--engine", "oracle"],
        ["destroy", "--source", "sqlite:///shop.db"],
        ["pulumi"],
        ["pulumi", "--stack", "stg", "--"],
    ],
)
def test_an_unknown_command_or_option_is_told_with_the_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("usage: python -m rehearsal")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", "--stack --source --engine --route --json --html --keep --fault --changes --seed"),
        ("up", "--stack --source --engine"),
        ("deploy", "--stack --source --engine --no-play"),
        ("destroy", "--stack --force"),
        ("pulumi", "--stack"),
    ],
)
def test_help_names_every_option(
    capsys: pytest.CaptureFixture[str], command: str, options: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for option in (*options.split(), "--help"):
        assert re.search(rf"^  .*{option}\b", text, re.MULTILINE), option
    if command == "run":
        words = " ".join(text.split())
        assert "exit status: 0 all well" in words
        names = [*faults.SNAPSHOT, *faults.REPLICATION]
        # A name that is cut at its hyphen cannot be copied.
        assert all(re.search(rf"^  {name} +\S", text, re.MULTILINE) for name in names)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("deploy", "Everything stays up to be looked at until `destroy`."),
        ("destroy", "Empties the buckets, runs the real `pulumi destroy` and ends the clouds"),
        ("pulumi", "example: python -m rehearsal pulumi --stack stg -- preview --diff"),
    ],
)
def test_help_tells_what_becomes_of_the_clouds(
    capsys: pytest.CaptureFixture[str], command: str, words: str
) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert words in " ".join(capsys.readouterr().out.split())


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    for command in ("run", "up", "deploy", "destroy", "pulumi"):
        assert re.search(rf"^    {command} +\S", text, re.MULTILINE), command


# --- the commands that use the real engine


@pytest.fixture
def untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder of kept clouds; nothing may be in it or be started at the end."""
    started: list[str] = []

    def start(*_: object) -> kept.Kept:
        started.append("clouds")
        return UP

    def package(*_: object) -> None:
        started.append("packages")

    folder = tmp_path / "kept"
    monkeypatch.setattr(kept_stack, "_FOLDER", folder)
    monkeypatch.setattr(kept, "start", start)
    monkeypatch.setattr(scenario, "package_handlers", package)
    yield folder
    assert started == []
    assert not folder.exists()


UP = kept.Kept(
    pid=1,
    stack="local",
    aws="http://127.0.0.1:1",
    google="http://127.0.0.1:1",
    region="eu-west-1",
    account="000000000000",
    project="local-project",
    door=1,
    key="00",
    source="00",
)


def engine_at(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let *script* be the `pulumi` there is."""
    pulumi = folder / ".tools" / "bin" / "pulumi"
    pulumi.parent.mkdir(parents=True)
    pulumi.write_text(f"#!/bin/sh\n{script}\n")
    pulumi.chmod(0o755)
    monkeypatch.setattr(engine, "_ROOT", folder)


@pytest.mark.parametrize(
    "arguments", [("deploy",), ("destroy",), ("pulumi", "--", "preview")], ids=lambda a: a[0]
)
@pytest.mark.parametrize("stack", ["porduction", "..", ".", "", "/", "../kept", "local.lock"])
def test_what_is_no_stack_starts_and_deletes_nothing(
    untouched: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    stack: str,
) -> None:
    """`destroy` deletes a folder of the stack's name."""
    mine = tmp_path / "mine"
    mine.touch()
    command, *rest = arguments
    named = str(tmp_path) if stack == "/" else stack
    (line,) = refused(capsys, command, "--stack", named, *rest)
    assert line.startswith(f"--stack {named}: there is no ")
    assert line.endswith("stacks here: local, prod, stg")
    assert mine.exists()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:///{folder}/missing.db", "there is no file"),
        ("oracle://me:" + PASSWORD + "@host/shop", "oracle databases cannot be read"),
        ("mysql+pymysql://me:" + PASSWORD + "@127.0.0.1:{port}/shop", "check that the server"),
    ],
)
def test_a_source_that_cannot_be_read_deploys_nothing(
    untouched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, reason: str
) -> None:
    source = url.format(folder=tmp_path, port=closed_port())
    (line,) = refused(capsys, "deploy", "--source", source)
    assert line.startswith("--source: ")
    assert reason in line
    assert PASSWORD not in line


@pytest.mark.parametrize(
    "arguments", [("deploy",), ("pulumi", "--", "preview")], ids=lambda a: a[0]
)
def test_without_a_pulumi_it_is_told_how_to_get_one(
    untouched: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.setattr(engine, "_ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(capsys, *arguments) == ["there is no pulumi here; `make pulumi` provides one"]


@pytest.mark.parametrize("option", [("--source", "sqlite:///{}"), ("--engine", "postgresql")])
def test_clouds_that_are_up_have_their_source_already(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: tuple[str, str],
) -> None:
    monkeypatch.setattr(kept_stack, "_FOLDER", tmp_path)
    monkeypatch.setattr(kept, "find", lambda _folder: UP)
    monkeypatch.setattr(scenario, "package_handlers", lambda *_: None)
    engine_at(tmp_path, monkeypatch, "exit 1")
    database(tmp_path / "shop.db")
    name, value = option
    (line,) = refused(capsys, "deploy", name, value.format(tmp_path / "shop.db"))
    assert line == (
        "--source, --engine: the clouds are up with another source; give the same again, or "
        "`python -m rehearsal destroy` first"
    )


def test_destroying_where_nothing_is_up_clears_away_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kept_stack, "_FOLDER", tmp_path)
    for stack in ("local", "stg"):
        (tmp_path / stack / "state").mkdir(parents=True)
    assert cli.main(["destroy"]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        "No clouds are up for stack local; nothing is left to destroy.\n",
    )
    assert [left.name for left in tmp_path.iterdir()] == ["stg"]


NOTHING_LEFT = "Both clouds have ended; nothing is left."
STAY = (
    "pulumi destroy failed; the clouds stay up to be looked at, until "
    "`python -m rehearsal destroy --force`"
)


@pytest.mark.parametrize(
    ("options", "stacks", "ended", "last"),
    [
        # Left by a `deploy` that was interrupted early.
        ([], "[]", True, NOTHING_LEFT),
        ([], LOCAL, False, STAY),
        (["--force"], LOCAL, True, "Both clouds have ended."),
    ],
)
def test_destroying_ends_the_clouds_unless_something_is_left_on_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    stacks: str,
    ended: bool,
    last: str,
) -> None:
    stopped: list[Path] = []

    def kill(folder: Path) -> bool:
        stopped.append(folder)
        return True

    monkeypatch.setattr(kept, "kill", kill)
    (tmp_path / "kept" / "local").mkdir(parents=True)
    monkeypatch.setattr(kept_stack, "_FOLDER", tmp_path / "kept")
    monkeypatch.setattr(kept, "find", lambda _folder: UP)
    monkeypatch.setattr(kept, "stop", stopped.append)
    engine_at(
        tmp_path,
        monkeypatch,
        f"""case "$1 $2" in
    "stack ls") echo '{stacks}' ;;
    "stack export") echo '{{"deployment": {{}}}}' ;;
    *) exit 1 ;;
esac""",
    )
    assert cli.main(["destroy", *options]) == (0 if ended else 1)
    assert capsys.readouterr().err.splitlines()[-1] == last
    assert bool(stopped) is ended
    assert (tmp_path / "kept" / "local").exists() is not ended


def changed(**keys: Any) -> dict[str, Any]:
    """Return the local stack with some of its own keys replaced; None leaves one out."""
    config = config_of("local")
    config |= {f"data-ferry:{key}": value for key, value in keys.items()}
    return {key: value for key, value in config.items() if value is not None}


SOURCE: dict[str, Any] = config_of("local")["data-ferry:snapshot"]["sources"][0]
BIGQUERY: dict[str, Any] = config_of("local")["data-ferry:bigquery"]
NO_TABLES = {**SOURCE, "databases": {"shop": []}}

# Stack -> its configuration, and the place that each line begins with.
WRONG: dict[str, tuple[dict[str, Any] | str, list[str]]] = {
    "unknown": (changed(bigqery={}), ["data-ferry:bigqery: "]),
    "deep": (
        changed(bigquery={**BIGQUERY, "datset": "x"}),
        ["data-ferry:bigquery.datset: "],
    ),
    "missing": (changed(service=None), ["data-ferry:service: "]),
    "half": (changed(bigquery=None), ["data-ferry:bigquery: "]),
    "region": ({k: v for k, v in changed().items() if k != "aws:region"}, ["aws:region: "]),
    "regions": ({**changed(), "aws:region": ["eu-west-1"]}, ["aws:region: "]),
    "type": (
        changed(snapshot={"sources": [SOURCE], "retention_days": "a week"}),
        ["data-ferry:snapshot.retention_days: "],
    ),
    "listed": (changed(snapshot=[SOURCE]), ["data-ferry:snapshot: "]),
    "worded": (changed(bigquery="EU"), ["data-ferry:bigquery: "]),
    "numbered": (changed(bigquery={**BIGQUERY, "project": 7}), ["data-ferry:bigquery.project: "]),
    "dataset": (
        changed(bigquery={**BIGQUERY, "dataset": "shop-data"}),
        ["data-ferry:bigquery.dataset: "],
    ),
    "twins": (
        changed(snapshot={"sources": [SOURCE, {**SOURCE, "databases": {"crm": ["leads"]}}]}),
        ["data-ferry:snapshot.sources[1].cluster: "],
    ),
    "tableless": (
        changed(snapshot={"sources": [NO_TABLES]}),
        ["data-ferry:snapshot.sources[0].databases.shop: "],
    ),
    "sourceless": (changed(snapshot={"sources": []}), ["data-ferry:snapshot.sources: "]),
    "engineless": (
        changed(snapshot={"sources": [{**SOURCE, "engine": "oracle"}]}),
        ["data-ferry:snapshot.sources[0].engine: "],
    ),
    "fileless": (
        changed(
            snapshot={"sources": [{"cluster": "c", "engine": "mysql", "tables_file": "no.txt"}]}
        ),
        ["data-ferry:snapshot.sources[0].tables_file: "],
    ),
    "all": (
        changed(
            snapshot={"sources": [NO_TABLES], "retention_days": "a week", "color": "red"},
            bigquery={**BIGQUERY, "dataset": "shop-data"},
            service="Shop!",
        ),
        [
            "data-ferry:bigquery.dataset: ",
            "data-ferry:service: ",
            "data-ferry:snapshot.color: ",
            "data-ferry:snapshot.retention_days: ",
            "data-ferry:snapshot.sources[0].databases.shop: ",
        ],
    ),
    "garbled": ("config: {a: [", ["Pulumi.garbled.yaml: "]),
}


def test_every_mistake_in_a_stack_is_told_and_nothing_is_created(tmp_path: Path) -> None:
    project = project_with(tmp_path / "project", "first", "config: {}")
    for stack, (content, _) in WRONG.items():
        text = content if isinstance(content, str) else json.dumps({"config": content})
        (project / f"Pulumi.{stack}.yaml").write_text(text)
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MANY_COMMANDS, str(outputs), *WRONG],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert done.stderr == ""
    assert list(outputs.iterdir()) == []
    for stack, (_, places) in WRONG.items():
        status, out, err = told[stack]
        assert (status, out) == (2, ""), (stack, out, err)
        # Before the mistakes there may be what was done by then.
        lines = sorted(line for line in err.splitlines() if not line.startswith("  "))
        assert len(lines) == len(places), (stack, err)
        assert all(map(str.startswith, lines, places)), (stack, err)
        # And what would be right.
        assert stack == "garbled" or all("; write  " in line for line in lines), (stack, err)
        assert "Traceback" not in err
