"""What a rehearsal says of itself: it is never better than what it has seen."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from rehearsal import report
from rehearsal.outcome import Export, Outcome, Problem, TableOutcome


def table(exported: int | None) -> TableOutcome:
    return TableOutcome(
        source="shop-local",
        name="shop.users",
        dataset="d",
        table="users",
        source_rows=3,
        exported_rows=exported,
        loaded_rows=exported,
        files=1,
        bytes=99,
        state="SUCCEEDED",
    )


def shown(outcome: Outcome) -> str:
    text = StringIO()
    report.show(outcome, Console(file=text, width=240))
    return text.getvalue()


def test_nothing_carried_is_not_all_well() -> None:
    assert not Outcome("local").is_good
    assert "Nothing was carried" in shown(Outcome("local"))


def test_a_problem_is_not_all_well() -> None:
    outcome = Outcome("local", tables=[table(3)], problems=[Problem("shop.users", "late", "why")])
    assert not outcome.is_good
    assert "shop.users: late: why" in shown(outcome)


def test_what_became_of_odd_values_is_told() -> None:
    entry = {"name": "shop.users", "rows": 3, "files": 1, "bytes": 99, "notes": ["1 zero date"]}
    outcome = Outcome(
        "local", exports=[Export("shop-local", "x", "COMPLETE", [entry])], tables=[table(3)]
    )
    assert outcome.is_good
    assert "note  shop.users: 1 zero date" in shown(outcome)


def test_rows_that_differ_are_not_equal() -> None:
    assert table(3).is_equal
    assert not table(2).is_equal
    assert not table(None).is_equal
