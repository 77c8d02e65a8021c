"""The workflows hold what docs/production.md promises: pinned actions, few rights, no stored keys.

actionlint (scripts/actionlint.sh) checks that they are workflows at all; this checks our rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
STACK_ACTION = ROOT / ".github" / "actions" / "pulumi-stack" / "action.yml"
FILES = [*WORKFLOWS, STACK_ACTION]
USES_STACK_ACTION = "./.github/actions/pulumi-stack"
PINNED = re.compile(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
# A pull request's title, branch and body are its author's, and a script takes them for code.
EXPRESSION_IN_SCRIPT = re.compile(r"\$\{\{")


def name_of(path: Path) -> str:
    return path.name if path in WORKFLOWS else path.parent.name


def load(path: Path) -> dict[Any, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def triggers(workflow: dict[Any, Any]) -> dict[str, Any]:
    """Return what a workflow is started by; YAML 1.1 reads the key `on` as true."""
    found = workflow[True]
    assert isinstance(found, dict)
    return found


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found = load(path)["jobs"]
    assert isinstance(found, dict)
    return found


def every_job() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in jobs(path).items():
            yield f"{path.name}: {name}", job


def steps(path: Path) -> Iterator[dict[str, Any]]:
    if path == STACK_ACTION:
        yield from load(path)["runs"]["steps"]
    else:
        for job in jobs(path).values():
            yield from job["steps"]


def readies_a_stack(job: dict[str, Any]) -> bool:
    return any(step.get("uses") == USES_STACK_ACTION for step in job["steps"])


def committed_stacks() -> set[str]:
    stacks = {path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml")}
    return stacks - {"local"}


def sdk_version() -> str:
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    (pin,) = [line for line in lines if line.startswith("pulumi==")]
    return pin.removeprefix("pulumi==").strip()


def test_the_workflows_are_there() -> None:
    assert {"ci", "deploy", "drift", "preview"} <= {path.stem for path in WORKFLOWS}
    assert STACK_ACTION.is_file()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_other_peoples_actions_are_pinned_by_commit(path: Path) -> None:
    used = re.findall(r"^\s*(?:-\s+)?uses:\s*(.+?)\s*$", path.read_text(encoding="utf-8"), re.M)
    assert len(used) == sum("uses" in step for step in steps(path)), "a `uses:` was not found"
    loose = [use for use in used if use != USES_STACK_ACTION and not PINNED.fullmatch(use)]
    assert not loose, f"pin by the full commit, with its version behind it: {loose}"


def test_one_action_has_one_version_everywhere() -> None:
    versions: dict[str, set[str]] = {}
    for path in FILES:
        for action, pin in re.findall(r"uses:\s*([^.\s@]\S*)@(.+)", path.read_text("utf-8")):
            versions.setdefault(action, set()).add(pin.strip())
    assert {action: pins for action, pins in versions.items() if len(pins) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_workflow_has_no_rights_but_those_of_its_jobs(path: Path) -> None:
    assert load(path).get("permissions") == {}
    for name, job in jobs(path).items():
        assert isinstance(job.get("permissions"), dict), f"{name} does not say what it needs"
        assert job["permissions"].get("contents") == "read", name


def test_tokens_for_the_clouds_only_where_a_stack_is_readied() -> None:
    for name, job in every_job():
        wants = job["permissions"].get("id-token") == "write"
        assert wants == readies_a_stack(job), name


def test_only_the_preview_may_write_and_only_a_comment() -> None:
    written = {
        f"{name}: {right}"
        for name, job in every_job()
        for right, access in job["permissions"].items()
        if access == "write" and right != "id-token"
    }
    assert written == {"preview.yml: preview: pull-requests"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_secret_is_stored(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = set(re.findall(r"\bsecrets\s*(?:\.\s*(\w+)|\[)", text))
    assert used <= {"GITHUB_TOKEN"}
    assert "secrets: inherit" not in text
    assert not re.search(r"passphrase|access[-_]key|credentials[-_]json", text, re.I)


def test_every_job_ends() -> None:
    for name, job in every_job():
        assert 0 < job.get("timeout-minutes", 0) <= 60, name


def test_no_workflow_runs_a_forks_code_with_our_rights() -> None:
    for path in WORKFLOWS:
        assert not {"pull_request_target", "workflow_run"} & triggers(load(path)).keys(), path.name
        if "pull_request" in triggers(load(path)):
            for name, job in jobs(path).items():
                own = "github.event.pull_request.head.repo.full_name == github.repository"
                assert not readies_a_stack(job) or own in job["if"], f"{path.name}: {name}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_scripts_hold_no_expressions(path: Path) -> None:
    for step in steps(path):
        assert not EXPRESSION_IN_SCRIPT.search(step.get("run", "")), (
            f"{step.get('name')}: pass it by env"
        )


def test_a_checkout_keeps_no_token() -> None:
    checkouts = [
        step
        for path in FILES
        for step in steps(path)
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert len(checkouts) == sum(1 for _ in every_job())
    assert all(step.get("with", {}).get("persist-credentials") is False for step in checkouts)


def test_the_cli_is_of_the_sdks_version() -> None:
    installs = {
        f"{name_of(path)}: {step['name']}": str(step.get("with", {}).get("pulumi-version"))
        for path in FILES
        for step in steps(path)
        if step.get("uses", "").startswith("pulumi/actions@")
    }
    assert any(place.startswith("pulumi-stack") for place in installs)
    assert {place: v for place, v in installs.items() if v != sdk_version()} == {}


@pytest.mark.parametrize("workflow", ["preview", "drift"])
def test_every_committed_stack_is_looked_at(workflow: str) -> None:
    (job,) = jobs(ROOT / ".github" / "workflows" / f"{workflow}.yml").values()
    matrix = job["strategy"]["matrix"]["include"]
    assert {entry["stack"] for entry in matrix} == committed_stacks()
    assert len(matrix) == len(committed_stacks())
    assert job["strategy"]["fail-fast"] is False
    for entry in matrix:
        prefix = f"{entry['stack'].upper()}_"
        own = [value for key, value in entry.items() if key != "stack"]
        assert all(f"vars.{prefix}" in value for value in own), "another stack's variable"
        assert not any("DEPLOY" in value for value in own), "looking takes no right to change"


def test_every_committed_stack_is_deployed_behind_its_environment() -> None:
    deploy = jobs(ROOT / ".github" / "workflows" / "deploy.yml")
    updates = {
        name: job
        for name, job in deploy.items()
        if any("pulumi up" in step.get("run", "") for step in job["steps"])
    }
    assert updates.keys() == committed_stacks()
    for stack, job in updates.items():
        assert job["environment"] == stack
        assert job["concurrency"] == {"group": f"deploy-{stack}", "cancel-in-progress": False}
        assert any(f"pulumi up --stack {stack} " in step.get("run", "") for step in job["steps"])
        (ready,) = [step for step in job["steps"] if step.get("uses") == USES_STACK_ACTION]
        assert f"vars.{stack.upper()}_AWS_DEPLOY_ROLE" in ready["with"]["aws-role"]
        assert f"vars.{stack.upper()}_GOOGLE_DEPLOY_ACCOUNT" in ready["with"]["google-account"]
    assert "stg" in updates["prod"]["needs"]


def test_only_a_deployment_changes_anything() -> None:
    for path in WORKFLOWS:
        for step in steps(path):
            changes = re.search(r"pulumi (up|destroy|refresh|import|state)\b", step.get("run", ""))
            changes_too = step.get("with", {}).get("command") not in {None, "preview"}
            assert path.name == "deploy.yml" or not (changes or changes_too), step.get("name")


def test_the_drift_check_reads_the_clouds_and_fails_on_a_difference() -> None:
    (job,) = jobs(ROOT / ".github" / "workflows" / "drift.yml").values()
    script = " ".join(step.get("run", "") for step in job["steps"])
    assert "pulumi preview" in script
    assert {"--refresh", "--expect-no-changes", "--diff"} <= set(script.split())


def test_the_page_names_every_variable() -> None:
    page = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    used = {
        name for path in WORKFLOWS for name in re.findall(r"\bvars\.(\w+)", path.read_text("utf-8"))
    }
    listed = set(re.findall(r"^\| `([A-Z][A-Z_]+)` \|", page, re.M))
    assert used == listed


def scripts_of(file: str, job: str) -> str:
    steps_of_job = jobs(WORKFLOWS[0].parent / file)[job]["steps"]
    return "\n".join(step.get("run", "") for step in steps_of_job)


def test_what_people_read_is_without_a_refresh_and_what_looks_for_drift_is_with_one() -> None:
    """docs/decisions/0015: updates refresh by themselves; a preview would tell of every load."""
    (comment,) = [
        step
        for step in jobs(WORKFLOWS[0].parent / "preview.yml")["preview"]["steps"]
        if step.get("with", {}).get("command") == "preview"
    ]
    assert comment["env"] == {"PULUMI_OPTION_REFRESH": "false"}
    assert "--refresh=false" in scripts_of("deploy.yml", "prod-preview")
    assert "--refresh --expect-no-changes" in scripts_of("drift.yml", "drift")
    for job in ("stg", "prod"):
        assert "pulumi up" in scripts_of("deploy.yml", job)
        assert "--refresh=false" not in scripts_of("deploy.yml", job)
    assert yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["options"] == {"refresh": "always"}


def test_prod_is_not_taken_back_to_a_commit_that_main_has_left_behind() -> None:
    script = scripts_of("deploy.yml", "prod")
    assert script.index("commits/main") < script.index("pulumi up")
    assert '"$newest" != "$GITHUB_SHA"' in script
