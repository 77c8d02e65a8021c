"""No secret in plain text: not in the state, not in a plan, not in what a command prints."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.e2e.kit import Stack


def secret_values(stack: Stack) -> set[str]:
    """Every secret value that was made, as the clouds and the decrypted state know them."""
    shown = stack.resources("--show-secrets")
    keys = [r["outputs"] for r in shown if r["type"] == "aws:iam/accessKey:AccessKey"]
    values = {_open(outputs["secret"]) for outputs in keys}
    google = stack.clouds.google_api
    project = f"/v1/projects/{stack.clouds.project}"
    for secret in google.get(f"{project}/secrets")["secrets"]:
        name = secret["name"].rsplit("/", 1)[-1]
        answer = google.get(f"{project}/secrets/{name}/versions/latest:access")
        values.add(base64.b64decode(answer["payload"]["data"]).decode())
    # The key's id is kept as a secret in Secret Manager too, but is none: it is in every request.
    return {value for value in values if not value.startswith(("AKIA", "LKIA", "ASIA"))}


def _open(value: Any) -> str:
    return str(json.loads(value["plaintext"])) if isinstance(value, dict) else str(value)


def assert_hidden(values: set[str], text: str, where: str) -> None:
    for value in values:
        for form in (value, base64.b64encode(value.encode()).decode(), json.dumps(value)[1:-1]):
            assert form not in text, f"a secret is in {where}"


def test_no_secret_is_anywhere_in_plain_text(local: Stack) -> None:
    runs = {"the plan": local.plain("preview", "--diff").succeeded()}
    runs["the update's events"] = local.up().succeeded()
    values = secret_values(local)
    assert values
    assert all(len(value) >= 40 for value in values)

    local.set(snapshot={"reader_key_generation": 2})
    runs["a rotation's plan"] = local.plain("preview", "--diff").succeeded()
    runs["a rotation's events"] = local.up().succeeded()
    values |= secret_values(local)
    assert len(values) == 2
    runs["a refresh"] = local.plain("refresh", "--yes", "--diff").succeeded()
    runs["the outputs"] = local.plain("stack", "output", "--json").succeeded()
    local.empty_buckets()
    state = json.dumps(local.export())
    files = {path: path.read_bytes().decode("latin-1") for path in _files(local.workspace.folder)}
    for kind in ("stacks", "backups", "history"):
        assert any(f"/.pulumi/{kind}/" in str(path) for path in files), kind
    runs["the destruction"] = local.plain("destroy", "--yes", "--diff").succeeded()

    assert_hidden(values, state, "the exported state")
    for path, text in files.items():
        assert_hidden(values, text, str(path))
    for where, run in runs.items():
        assert_hidden(values, run.text, where)
    # They were there to be told, and were not.
    assert all("[secret]" in runs[where].text for where in ("the plan", "a rotation's plan"))


def _files(folder: Path) -> list[Path]:
    """State, its backups and its history, settings, logs."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
