"""Reading ``Pulumi.<stack>.yaml``, and fitting it to the source at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal import stack_file
from rehearsal.errors import BadInput

SHOP = {"cluster": "shop", "engine": "mysql", "databases": {"shop": ["users", "orders"]}}
LEDGER = {
    "instance": "ledger",
    "engine": "postgresql",
    "databases": {"ledger": {"public": ["accounts"], "audit": ["entries"]}},
}


def refusal(project: Path, stack: str) -> str:
    with pytest.raises(BadInput) as refused:
        stack_file.load(project, stack)
    (line,) = refused.value.lines
    assert "\n" not in line
    return line


def test_the_configuration_is_read_with_whole_keys(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "encryptionsalt: v1\nconfig:\n  aws:region: eu-west-1\n  data-ferry:labels: {team: a}\n"
    )
    assert stack_file.load(tmp_path, "dev") == {
        "aws:region": "eu-west-1",
        "data-ferry:labels": {"team": "a"},
    }


def test_a_stack_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    for stack in ("stg", "dev"):
        (tmp_path / f"Pulumi.{stack}.yaml").write_text("config: {}")
    line = refusal(tmp_path, "porduction")
    assert line == ("--stack porduction: there is no Pulumi.porduction.yaml; stacks here: dev, stg")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"config: {a: [", "cannot be read as YAML"),
        (b"config:\n\t- tab", "cannot be read as YAML"),
        (b"config:\n  a: {b: 1, b: 2}", "cannot be read as YAML: the key b is there twice"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
        (b"", "below a `config:` key"),
        (b"- a list", "below a `config:` key"),
        (b"settings: {a: 1}", "below a `config:` key"),
        (b"config: [a, b]", "below a `config:` key"),
    ],
)
def test_a_file_that_is_no_stack_is_told_in_one_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_bytes(content)
    line = refusal(tmp_path, "dev")
    assert line.startswith("Pulumi.dev.yaml: ")
    assert reason in line


def test_a_folder_in_place_of_the_file_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").mkdir()
    assert refusal(tmp_path, "dev").startswith("Pulumi.dev.yaml: ")


@pytest.mark.parametrize(
    "snapshot",
    [None, "text", [], {}, {"sources": None}, {"sources": "text"}, {"sources": ["text", 1]}],
)
def test_sources_written_wrong_do_not_stop_the_program_from_telling_so(snapshot: object) -> None:
    assert stack_file.declared_sources({stack_file.SNAPSHOT: snapshot}) == []


def test_replaced_sources_leave_everything_else(tmp_path: Path) -> None:
    config = {"aws:region": "eu-west-1", stack_file.SNAPSHOT: {"sources": [SHOP], "prefix": "p"}}
    fitted = stack_file.with_sources(config, [LEDGER])
    assert fitted == {
        "aws:region": "eu-west-1",
        stack_file.SNAPSHOT: {"sources": [LEDGER], "prefix": "p"},
    }
    assert stack_file.declared_sources(config) == [SHOP]


def test_an_option_is_set_beside_the_others() -> None:
    config = {stack_file.BIGQUERY: {"project": "p", "location": "EU"}}
    assert stack_file.with_option(config, stack_file.BIGQUERY, location="US") == {
        stack_file.BIGQUERY: {"project": "p", "location": "US"}
    }
    assert stack_file.with_option({}, stack_file.HANDLERS, path="x") == {
        stack_file.HANDLERS: {"path": "x"}
    }
    assert config == {stack_file.BIGQUERY: {"project": "p", "location": "EU"}}


def test_a_source_is_declared_as_its_new_engine_has_it() -> None:
    as_postgresql = stack_file.under_engine(SHOP, "postgresql")
    assert as_postgresql == {
        "cluster": "shop",
        "engine": "postgresql",
        "databases": {"shop": {"public": ["users", "orders"]}},
    }
    assert stack_file.under_engine(as_postgresql, "mysql") == SHOP
    assert stack_file.under_engine(LEDGER, "mysql")["databases"] == {
        "ledger": ["accounts", "entries"]
    }
    assert stack_file.under_engine(LEDGER, "postgresql") == LEDGER
