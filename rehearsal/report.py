"""Shows an outcome: a table for people, JSON for scripts, a page for a browser."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from rich import filesize
from rich.console import Console, JustifyMethod
from rich.markup import escape as plain
from rich.table import Table

from rehearsal.outcome import Outcome, TableOutcome

_LOG_WIDTH = 240
_COLUMNS = ("source", "table", "in source", "exported", "in BigQuery", "files", "size", "state")


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


def show(outcome: Outcome, console: Console) -> None:
    """Print the tables, the problems and a last line that says how it went."""
    # A source of its own in every row helps only where there are several.
    first = 0 if len({row.source for row in outcome.tables}) > 1 else 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _COLUMNS[first:]:
        name = column in ("source", "table")
        # Where the terminal is narrow, names are folded; numbers and states stay whole.
        justify: JustifyMethod = "left" if name or column == "state" else "right"
        table.add_column(column, justify=justify, no_wrap=not name, overflow="fold")
    for row in outcome.tables:
        style = None if row.is_equal and row.state == "SUCCEEDED" else "red"
        table.add_row(*(plain(cell) for cell in _cells(row)[first:]), style=style)
    console.print()
    console.print(table)
    for export in outcome.exports:
        for told in export.tables:
            for note in told.get("notes", []):
                console.print(
                    f"note  {plain(told['name'])}: {plain(note)}", soft_wrap=True, highlight=False
                )
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
    console.print(_last_line(outcome), highlight=False, soft_wrap=True)


def write_json(outcome: Outcome, path: Path) -> None:
    """Write the outcome for scripts; OSError when *path* cannot be written."""
    path.write_text(json.dumps(outcome.as_json(), indent=2) + "\n")


def write_html(outcome: Outcome, path: Path) -> None:
    """Write one self-contained page; OSError when *path* cannot be written."""
    rows = "".join(
        f"<tr class='{'good' if row.is_equal and row.state == 'SUCCEEDED' else 'bad'}'>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(row))
        + "</tr>"
        for row in outcome.tables
    )
    problems = "".join(
        f"<li><b>{escape(p.table)}</b>: {escape(p.kind)}: {escape(p.message)}</li>"
        for p in outcome.problems
    )
    path.write_text(
        _PAGE.format(
            stack=escape(outcome.stack),
            verdict=escape(_last_line(outcome)),
            head="".join(f"<th>{column}</th>" for column in _COLUMNS),
            rows=rows,
            problems=f"<h2>Problems</h2><ul>{problems}</ul>" if problems else "",
        )
    )


def _cells(row: TableOutcome) -> list[str]:
    return [
        row.source,
        row.name,
        _number(row.source_rows),
        _number(row.exported_rows),
        _number(row.loaded_rows),
        _number(row.files),
        filesize.decimal(row.bytes),
        row.state,
    ]


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _last_line(outcome: Outcome) -> str:
    rows = sum(table.loaded_rows or 0 for table in outcome.tables)
    made = f"{outcome.resources.get('aws', 0)} AWS and {outcome.resources.get('gcp', 0)} Google"
    total = outcome.seconds.get("total", 0.0)
    what = f"{len(outcome.tables)} tables, {rows:,} rows, {made} resources, {total:.1f} s"
    if outcome.is_good:
        return f"All well: as many rows in source, export and BigQuery, for every table ({what})."
    if not outcome.problems:
        return f"Nothing was carried ({what})."
    count = len(outcome.problems)
    return f"{count} problem{'s' if count > 1 else ''} ({what})."


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>data-ferry: {stack}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
       padding: 0 1rem; color: #1c2733; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ padding: .4rem .8rem; border-bottom: 1px solid #d7dee5; text-align: left; }}
th:nth-child(n+3):nth-child(-n+7), td:nth-child(n+3):nth-child(-n+7) {{ text-align: right;
  font-variant-numeric: tabular-nums; }}
tr.bad td {{ background: #fdecea; }}
</style></head><body>
<h1>Rehearsal of stack {stack}</h1>
<p>{verdict}</p>
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
{problems}
</body></html>
"""
