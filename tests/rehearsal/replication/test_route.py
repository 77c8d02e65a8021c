"""The replication route as a user plays it: what is written arrives, whatever goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.databases import need_mariadb
from tests.rehearsal.playing import ROOT, Played, command, config_of, project_with


def play(folder: Path, *arguments: str, project: Path = ROOT) -> Played:
    need_mariadb()
    outputs = ("--json", str(folder / "out.json"), "--html", str(folder / "out.html"))
    route = ("run", "--route", "replication")
    return command(*route, *arguments, *outputs, folder=folder, project=project)


def arrived(played: Played) -> dict[str, Any]:
    """Return the one flow of a rehearsal in which all went well."""
    assert played.status == 0, played.output + played.errors
    assert played.json["problems"] == []
    (flow,) = played.json["flows"]
    assert flow["differences"] == 0
    assert flow["items"] == flow["rows"] > 0
    return dict(flow)


def test_what_is_written_is_copied(tmp_path: Path) -> None:
    played = play(tmp_path, "--changes", "3000", "--seed", "3")
    flow = arrived(played)
    assert sum(flow["changes"].values()) == 3000
    assert all(flow["changes"][kind] for kind in ("inserts", "updates", "deletes"))
    assert flow["refused"] == {}
    assert flow["objects"] > 0
    assert played.json["resources"]["aws"] > 100
    assert "All well: each copy holds what its table holds" in played.output
    assert "page-views" in played.html


def test_everything_at_once_goes_wrong_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    flow = arrived(played := play(tmp_path, "--changes", "4000", "--fault", "everything"))
    struck = played.json["faults"]
    assert struck["rejected"] > 500
    assert struck["duplicated"] > 100
    assert struck["reordered"] > 1
    assert struck["crashed"] >= 1
    assert flow["changes"]["poison"] == 4
    assert sum(flow["refused"].values()) == 4
    assert "The fault played: everything" in played.errors


def test_a_cluster_that_its_owner_opens_by_hand(tmp_path: Path) -> None:
    """With `modify: false` and no parameter group of ours, the owner does all there is to do.

    Theirs is also a user with a password, which stays in its secret.
    """
    config = config_of("local")
    route = config["data-ferry:replication"]
    cluster = {
        "identifier": "theirs",
        "user": "loader",
        "ca_bundle": "tests/components/rds-ca.pem",
        "secret_arn": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:loader-a1B2c3",
    }
    flow = {**route["flows"]["page-views"], "create_table": False, "table": "their-views"}
    config["data-ferry:replication"] = {"cluster": cluster, "flows": {"views": flow}}
    project = project_with(tmp_path / "project", "theirs", config)
    played = play(tmp_path, "--stack", "theirs", "--changes", "400", project=project)
    assert arrived(played)["table"] == "their-views"


def test_a_stack_with_the_route_alone(tmp_path: Path) -> None:
    config = {
        key: value
        for key, value in config_of("local").items()
        if key not in ("data-ferry:snapshot", "data-ferry:bigquery")
    }
    project = project_with(tmp_path / "project", "alone", config)
    need_mariadb()
    outputs = ("--json", str(tmp_path / "out.json"), "--html", str(tmp_path / "out.html"))
    # It need not be named: it is the only route there is.
    played = command(
        *("run", "--stack", "alone", "--changes", "400", *outputs), folder=tmp_path, project=project
    )
    arrived(played)
    assert played.json["resources"]["gcp"] == 0


def test_a_table_that_the_traffic_does_not_fit_is_told_once_the_stack_is_right(
    tmp_path: Path,
) -> None:
    config = config_of("local")
    flow = config["data-ferry:replication"]["flows"]["page-views"]
    del flow["sort_key"]
    project = project_with(tmp_path / "project", "other", config)
    played = play(tmp_path, "--stack", "other", project=project)
    assert (played.status, played.output) == (2, "")
    assert played.errors.splitlines()[-1].startswith(
        "--route replication: the stack other deploys, but no flow of it has the key"
    )


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("schema: ", {"schema": {"type": "objekt"}}),
    ("schema: ", {"schema": "schemas/nowhere.json"}),
    ("columns.hits: ", {"columns": {"page_id": "varchar(9)", "session": "json", "hits": "text"}}),
    ("columns.page: is missing", {"partition_key": {"page": "S"}}),
]


WRONG_CLUSTERS = [
    ("ca_bundle: there is no file", {"ca_bundle": "certs/nowhere.pem"}),
    ("ca_bundle: README.md has no certificate", {"ca_bundle": "README.md"}),
    ("secret_arn: ", {"secret_arn": "analytics/ferry"}),
]


@pytest.mark.parametrize(("place", "changes"), WRONG_CLUSTERS)
def test_a_mistake_about_the_cluster_is_told_as_the_program_tells_it(
    tmp_path: Path, place: str, changes: dict[str, Any]
) -> None:
    config = config_of("local")
    config["data-ferry:replication"]["cluster"].update(changes)
    project = project_with(tmp_path / "project", "wrong", config)
    played = play(tmp_path, "--stack", "wrong", project=project)
    assert (played.status, played.output) == (2, "")
    assert f"data-ferry:replication.cluster.{place}" in played.errors


@pytest.mark.parametrize(("place", "changes"), WRONG)
def test_a_mistake_in_a_flow_is_one_line_and_nothing_is_created(
    tmp_path: Path, place: str, changes: dict[str, Any]
) -> None:
    config = config_of("local")
    flows = config["data-ferry:replication"]["flows"]
    flows["page-views"] = {**flows["page-views"], **changes}
    project = project_with(tmp_path / "project", "wrong", config)
    played = command("run", "--stack", "wrong", folder=tmp_path, project=project)
    assert (played.status, played.output) == (2, "")
    lines = [line for line in played.errors.splitlines() if line.startswith("data-ferry:")]
    assert any(place in line for line in lines), played.errors
    # Nobody but its owner knows what a schema is to say.
    assert all("; write  " in line or "schema: " in line for line in lines)
    assert "Traceback" not in played.errors
