"""Shows an outcome: a table for people, JSON for scripts, a page for a browser."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, JustifyMethod
from rich.markup import escape as plain
from rich.table import Table

from rehearsal.outcome import Problem
from rehearsal.sheet import Sheet

_LOG_WIDTH = 240


def console() -> Console:
    """Standard output; what is not a terminal has no width that a table would have to fit."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_LOG_WIDTH)


def endpoints(*, aws: str, google: str, account: str, region: str, project: str) -> str:
    """Return how to reach the local clouds, for people to copy from."""
    return "\n".join(
        [
            f"AWS           {aws}  (account {account}, {region})",
            f"Google Cloud  {google}  (project {project})",
            "",
            f"aws     AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test aws --endpoint-url {aws} "
            f"--region {region} s3 ls",
            f"boto3   boto3.client('s3', endpoint_url='{aws}', region_name='{region}', "
            "aws_access_key_id='test', aws_secret_access_key='test')",
            f"google  bigquery.Client('{project}', credentials=AnonymousCredentials(), "
            f"client_options={{'api_endpoint': '{google}'}})",
            "        (pip install google-cloud-bigquery; from google.cloud import bigquery; "
            "from google.auth.credentials import AnonymousCredentials)",
        ]
    )


class Shown(Protocol):
    """An outcome of any route."""

    stack: str
    problems: list[Problem]

    def sheet(self) -> Sheet:
        """Return what people see of it."""

    def as_json(self) -> dict[str, Any]:
        """Return what scripts see of it."""


def show(outcome: Shown, console: Console) -> None:
    """Print the table, the notes, the problems and a last line that says how it went."""
    sheet = outcome.sheet()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in sheet.columns:
        # Where the terminal is narrow, names are folded; numbers and states stay whole.
        text = column in sheet.texts
        justify: JustifyMethod = "left" if text else "right"
        whole = not text or column == "state"
        table.add_column(column, justify=justify, no_wrap=whole, overflow="fold")
    for line in sheet.lines:
        table.add_row(*map(plain, line.cells), style=None if line.is_well else "red")
    console.print()
    console.print(table)
    for note in sheet.notes:
        console.print(f"note  {plain(note)}", soft_wrap=True, highlight=False)
    if outcome.problems:
        console.print()
        for problem in outcome.problems:
            console.print(
                f"[red]problem[/red]  {plain(problem.table)}: {problem.kind}: "
                f"{plain(problem.message)}",
                soft_wrap=True,
                highlight=False,
            )
    console.print()
    console.print(sheet.verdict, highlight=False, soft_wrap=True, markup=False)


def write_json(outcome: Shown, path: Path) -> None:
    """Write the outcome for scripts; OSError when *path* cannot be written."""
    path.write_text(json.dumps(outcome.as_json(), indent=2) + "\n")


def write_html(outcome: Shown, path: Path) -> None:
    """Write one self-contained page; OSError when *path* cannot be written."""
    sheet = outcome.sheet()
    classes = ["" if column in sheet.texts else " class='number'" for column in sheet.columns]
    rows = "".join(
        f"<tr class='{'good' if line.is_well else 'bad'}'>"
        + "".join(
            f"<td{c}>{escape(cell)}</td>" for c, cell in zip(classes, line.cells, strict=True)
        )
        + "</tr>"
        for line in sheet.lines
    )
    heads = zip(classes, sheet.columns, strict=True)
    notes = "".join(f"<li>{escape(note)}</li>" for note in sheet.notes)
    problems = "".join(
        f"<li><b>{escape(p.table)}</b>: {escape(p.kind)}: {escape(p.message)}</li>"
        for p in outcome.problems
    )
    path.write_text(
        _PAGE.format(
            stack=escape(outcome.stack),
            verdict=escape(sheet.verdict),
            head="".join(f"<th{c}>{escape(column)}</th>" for c, column in heads),
            rows=rows,
            notes=f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "",
            problems=f"<h2>Problems</h2><ul>{problems}</ul>" if problems else "",
        )
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>data-ferry: {stack}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
       padding: 0 1rem; color: #1c2733; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ padding: .4rem .8rem; border-bottom: 1px solid #d7dee5; text-align: left; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr.bad td {{ background: #fdecea; }}
</style></head><body>
<h1>Rehearsal of stack {stack}</h1>
<p>{verdict}</p>
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
{notes}
{problems}
</body></html>
"""
