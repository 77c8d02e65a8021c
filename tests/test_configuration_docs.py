"""The configuration reference says what the program checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import settings
from settings import reference
from settings.schema import StackShape
from tests.project import with_certificates

ROOT = Path(__file__).resolve().parents[1]


def test_the_committed_page_is_the_one_the_models_give() -> None:
    committed = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert committed == reference.reference(), "run  python -m settings.reference"


def test_every_key_has_a_meaning_and_an_example() -> None:
    rows = [line for line in reference.reference().splitlines() if line.startswith("| `")]
    assert len(rows) > len(StackShape.model_fields)
    for row in rows:
        _, key, kind, required, _, meaning, example, _ = row.replace("\\|", "").split("|")
        assert all(cell.strip() for cell in (key, kind, required, meaning, example)), row


def test_the_examples_are_right(tmp_path: Path) -> None:
    """Every example of a top-level key, put together, is a stack that loads."""
    config = {"aws:region": "eu-west-1"}
    for name, field in StackShape.model_fields.items():
        assert field.examples
        config[f"data-ferry:{name}"] = field.examples[0]
    assert settings.load("prod", config, with_certificates(tmp_path))


def test_the_complete_flow_is_right(tmp_path: Path) -> None:
    example = reference.reference().partition("```yaml\n")[2].partition("```")[0]
    config = {"aws:region": "eu-west-1", "data-ferry:service": "shop", **yaml.safe_load(example)}
    replication = settings.load("prod", config, with_certificates(tmp_path)).replication
    assert replication is not None
    (flow,) = replication.flows
    assert [column.name for column in flow.columns] == ["page_id", "at", "device", "price"]


def test_the_examples_of_single_keys_are_right() -> None:
    rows = [line for line in reference.reference().splitlines() if line.startswith("| `")]
    for row in rows:
        for example in row.rsplit("|", 2)[1].split(" or "):
            assert yaml.safe_load(example.strip().strip("`")) is not None, row


def test_check_tells_whether_the_page_is_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "FILE", tmp_path / "docs" / "configuration.md")
    assert reference.main(["--check"]) == 1
    assert "python -m settings.reference" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    reference.FILE.write_text("something else", encoding="utf-8")
    assert reference.main(["--check"]) == 1
