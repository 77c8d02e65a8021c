"""The command line of the rehearsal."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from rehearsal import cast, faults, kept, kept_stack, ports, report, scenario, stack_file, stage
from rehearsal.errors import BadInput, RehearsalFailed
from rehearsal.outcome import Outcome, Problem
from rehearsal.progress import Progress
from rehearsal.replication import scenario as replication
from rehearsal.replication.outcome import ReplicationOutcome

GOOD, PROBLEM, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

_PROJECT = Path(__file__).resolve().parent.parent
_DATABASE = "bigquery.duckdb"
_CHANGES, _MOST_CHANGES = 5_000, 1_000_000

SomeOutcome = TypeVar("SomeOutcome", Outcome, ReplicationOutcome)

_ABOUT = """\
Rehearses data-ferry on this machine: deploys the very program that `pulumi up` deploys, to a local
AWS and a local Google Cloud, and plays a day through it."""

_EXAMPLES = """\
examples:
  python -m rehearsal run
      the bundled sample database, through the stack `local`
  python -m rehearsal run --source sqlite:////data/shop.db --keep out
      every table of a SQLite file; afterwards the tables are in out/bigquery.duckdb
  python -m rehearsal run --source postgresql+psycopg://me@localhost/ledger --json out.json
  python -m rehearsal run --fault table-skipped:shop.users
      what it looks like when RDS leaves a table out
  python -m rehearsal run --route replication --changes 20000 --fault everything
      DynamoDB to Aurora, while functions die, deliveries come twice and the database crashes
  python -m rehearsal deploy
      the same with the real Pulumi engine; leaves everything up until `destroy`

exit status: 0 all well, 1 a problem in the data or the pipeline, 2 bad input"""

_FAULTS = "\n\n".join(
    "\n".join(
        [f"faults of --route {route}:", *(f"  {name:<19} {what}" for name, what in kinds.items())]
    )
    for route, kinds in faults.FAULTS.items()
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    # What is to be ended has files and processes to clear away first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        return int(options.command(options, errors))
    except BadInput as error:
        for line in error.lines:
            errors.print(line, markup=False)
        return BAD_INPUT
    except RehearsalFailed as failure:
        errors.print(str(failure), markup=False)
        return PROBLEM
    except KeyboardInterrupt:
        errors.print("interrupted")
        return INTERRUPTED
    except Exception as error:
        if options.traceback:
            traceback.print_exc()
        else:
            what = " ".join(str(error).split())
            errors.print(f"unexpected {type(error).__name__}: {what}", markup=False)
            errors.print("run again with --traceback to see where, and please report it")
        return PROBLEM


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="{run,up,deploy,destroy,pulumi}"
    )
    run = commands.add_parser(
        "run",
        help="play a day and show what arrived",
        description=_ABOUT,
        epilog=f"{_FAULTS}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_source_options(run)
    run.add_argument(
        "--route",
        choices=list(faults.FAULTS),
        help="which of the stack's routes to play (default: snapshot, if the stack has it)",
    )
    run.add_argument("--json", type=Path, metavar="F", help="write the outcome for scripts")
    run.add_argument("--html", type=Path, metavar="F", help="write the outcome as a page")
    run.add_argument(
        "--keep", type=Path, metavar="DIR", help=f"leave BigQuery's tables in DIR/{_DATABASE}"
    )
    run.add_argument(
        "--fault",
        metavar="NAME[:TABLE]",
        help="play one of the faults listed below; TABLE is its victim, else the first",
    )
    traffic = run.add_argument_group("--route replication")
    traffic.add_argument(
        "--changes",
        type=_count,
        metavar="N",
        help=f"how many page views are written, changed and deleted (default: {_CHANGES:,})",
    )
    traffic.add_argument(
        "--seed", type=int, metavar="N", help="which page views, which faults (default: 0)"
    )
    run.set_defaults(command=_run)
    _add_engine_commands(commands)
    up = commands.add_parser(
        "up",
        help="keep both local clouds running and print how to reach them",
        description="Starts both local clouds, with the stack's source databases in the local RDS, "
        "and keeps them up until Ctrl-C. Nothing is deployed. They listen where the stack's "
        "endpoint settings say (aws:endpoints, gcp:bigQueryCustomEndpoint), else on free ports.",
    )
    _add_source_options(up)
    up.add_argument("--keep-in", type=Path, help=argparse.SUPPRESS)
    up.set_defaults(command=_up)
    return parser


def _add_engine_commands(commands: Any) -> None:
    """Add what needs the real engine: the `pulumi` of `make pulumi`, or one on the PATH."""
    deploy = commands.add_parser(
        "deploy",
        help="deploy with the real Pulumi engine, play a day, leave everything up",
        description="Starts both local clouds in the background (or finds them up), runs the real "
        "`pulumi up` on them, plays a day and shows the outcome. Everything stays up to be looked "
        "at until `destroy`.",
    )
    _add_source_options(deploy)
    deploy.add_argument(
        "--no-play", dest="play", action="store_false", help="deploy, and play no day"
    )
    deploy.set_defaults(command=kept_stack.deploy)
    destroy = commands.add_parser(
        "destroy",
        help="destroy what `deploy` deployed, and end the clouds",
        description="Empties the buckets, runs the real `pulumi destroy` and ends the clouds that "
        "`deploy` started.",
    )
    _add_stack_option(destroy)
    destroy.add_argument(
        "--force",
        action="store_true",
        help="end the clouds at once, without `pulumi destroy`: all in them is gone anyway",
    )
    destroy.set_defaults(command=kept_stack.destroy)
    pulumi = commands.add_parser(
        "pulumi",
        help="run any pulumi command on a stack, against the local clouds",
        description="Runs the real pulumi with the given arguments: on the clouds of `deploy` if "
        "it deployed this stack, else on clouds and a state of its own that end with the command.",
        epilog="example: python -m rehearsal pulumi --stack stg -- preview --diff",
    )
    _add_stack_option(pulumi)
    pulumi.add_argument("arguments", nargs="+", metavar="ARGUMENT", help="after --")
    pulumi.set_defaults(command=kept_stack.pulumi)


def _add_stack_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stack", default="local", metavar="S", help="a Pulumi.S.yaml (default: %(default)s)"
    )
    parser.add_argument("--traceback", action="store_true", help=argparse.SUPPRESS)


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    _add_stack_option(parser)
    parser.add_argument(
        "--source",
        metavar="URL",
        help="a SQLAlchemy URL (sqlite, mysql+pymysql, postgresql+psycopg) whose tables replace "
        "the declared ones; without it a bundled sample database is used",
    )
    parser.add_argument(
        "--engine",
        choices=["mysql", "postgresql"],
        help="the RDS engine to play (default: the database's own; mysql for SQLite)",
    )


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if not 1 <= value <= _MOST_CHANGES:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {_MOST_CHANGES:,}")
    return value


def _run(options: argparse.Namespace, errors: Console) -> int:
    config = stack_file.load(_PROJECT, options.stack)
    options.route = options.route or stack_file.routes(config)[0]
    fault = faults.parse(options.fault, options.route)
    _check_route(options, config)
    _check_outputs(options)
    if options.route == "replication":
        return _run_replication(options, fault, errors)
    return _run_snapshot(options, fault, errors)


def _check_route(options: argparse.Namespace, config: stack_file.Config) -> None:
    """Refuse a route that the stack has not, and options of another one, which would do nothing."""
    if options.route not in stack_file.routes(config):
        (other,) = stack_file.routes(config)
        told = f"the stack {options.stack} has the route {other} alone; try --stack local"
        raise BadInput([f"--route {options.route}: {told}"])
    foreign = {
        "snapshot": ("changes", "seed"),
        "replication": ("source", "engine", "keep"),
    }[options.route]
    if lines := [
        f"--{name}: has no effect with --route {options.route}; leave it out"
        for name in foreign
        if getattr(options, name) is not None
    ]:
        raise BadInput(lines)


def _run_replication(
    options: argparse.Namespace, fault: faults.FaultChoice | None, errors: Console
) -> int:
    how = replication.Play(
        changes=options.changes or _CHANGES,
        seed=options.seed or 0,
        fault=fault.name if fault else None,
    )
    with tempfile.TemporaryDirectory(prefix="data-ferry-") as folder:
        played = cast.of_stack(_PROJECT, Path(folder), options.stack, None, None)

        def play() -> ReplicationOutcome:
            return replication.play(
                _PROJECT, played, options.stack, Path(folder), Progress(errors), how
            )

        def failed(problem: Problem) -> ReplicationOutcome:
            return ReplicationOutcome(options.stack, problems=[problem])

        outcome = _played(options, play, failed)
        _tell(options, outcome, fault, errors)
    return GOOD if outcome.is_good else PROBLEM


def _played(
    options: argparse.Namespace,
    play: Callable[[], SomeOutcome],
    failed: Callable[[Problem], SomeOutcome],
) -> SomeOutcome:
    """Return the outcome of a play, or one that says why there is none."""
    try:
        return play()
    except BadInput:
        raise
    except Exception as failure:
        if options.traceback:
            raise
        what = " ".join(str(failure).split())
        if not isinstance(failure, RehearsalFailed):
            what = f"unexpected {type(failure).__name__}: {what}; see where with --traceback"
        return failed(Problem("the rehearsal", "failed", what))


def _tell(
    options: argparse.Namespace,
    outcome: report.Shown,
    fault: faults.FaultChoice | None,
    errors: Console,
) -> None:
    if fault is not None:
        what = faults.FAULTS[options.route][fault.name]
        errors.print(f"The fault played: {fault.name}, {what}.")
    report.show(outcome, report.console())
    if options.json is not None:
        report.write_json(outcome, options.json)
    if options.html is not None:
        report.write_html(outcome, options.html)


def _run_snapshot(
    options: argparse.Namespace, fault: faults.FaultChoice | None, errors: Console
) -> int:
    with tempfile.TemporaryDirectory(prefix="data-ferry-") as folder:
        played = cast.of_stack(
            _PROJECT, Path(folder), options.stack, options.source, options.engine
        )
        _check_fault(fault, played)
        database = Path(folder) / _DATABASE

        def play() -> Outcome:
            return scenario.play(_PROJECT, played, options.stack, database, Progress(errors), fault)

        def failed(problem: Problem) -> Outcome:
            return Outcome(options.stack, problems=[problem])

        outcome = _played(options, play, failed)
        _tell(options, outcome, fault, errors)
        if options.keep is not None:
            _keep(options.keep, database, errors)
    return GOOD if outcome.is_good else PROBLEM


def _check_fault(fault: faults.FaultChoice | None, played: cast.Cast) -> None:
    sources = stack_file.declared_sources(played.config)
    if all("databases" in source for source in sources):
        declared = [table for source in sources for table in stack_file.declared_tables(source)]
        faults.check_table(fault, declared)


def _check_outputs(options: argparse.Namespace) -> None:
    """Find out before an hour's work whether its results can be written; nothing is made yet."""
    lines = [
        f"--{name} {path}: {problem}"
        for name, path in (("json", options.json), ("html", options.html))
        if path is not None and (problem := _file_problem(path))
    ]
    if options.keep is not None and (problem := _folder_problem(options.keep)):
        lines.append(f"--keep {options.keep}: {problem}")
    if lines:
        raise BadInput(lines)


def _file_problem(path: Path) -> str | None:
    if path.is_dir():
        return "is a folder; name a file in it"
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist; create it first"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return "may not be written to; name a file that may"
    return None


def _folder_problem(path: Path) -> str | None:
    """Say why no file can be left in a folder, of which as much as is missing can be made."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        return f"{there} is a file; name a folder to write to"
    if not os.access(there, os.W_OK):
        return f"the folder {there} may not be written to; name one that may"
    if (path / _DATABASE).is_dir():
        return f"{path / _DATABASE} is a folder; name another folder or remove it"
    return None


def _keep(folder: Path, database: Path, errors: Console) -> None:
    kept = folder / _DATABASE
    if database.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(database, kept)
        errors.print(f"BigQuery's tables are in {kept}", markup=False)
    else:
        # Those of an earlier run would be taken for this one's.
        kept.unlink(missing_ok=True)


def _up(options: argparse.Namespace, errors: Console) -> int:
    with tempfile.TemporaryDirectory(prefix="data-ferry-") as folder:
        # Taken out: it may hold a password, and what is started from here would inherit it.
        source = os.environ.pop(kept.SOURCE_VARIABLE, None) or options.source
        played = cast.of_stack(_PROJECT, Path(folder), options.stack, source, options.engine)
        where = ports.declared(played.config)
        with stage.built(played, Path(folder) / _DATABASE, ports=where) as clouds:
            if options.keep_in is not None:
                kept.serve(played, options.stack, clouds, options.keep_in, source, options.engine)
                return GOOD
            print(
                report.endpoints(
                    aws=clouds.aws.endpoint,
                    google=clouds.google.endpoint,
                    account=clouds.aws.account,
                    region=clouds.aws.region,
                    project=clouds.project,
                ),
                flush=True,
            )
            errors.print("Both clouds are up; stop them with Ctrl-C.")
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    errors.print("Both clouds have ended.")
    return GOOD
