"""`make preview`: on whose clouds it looks."""

from __future__ import annotations

import json
import sys

import pytest

from tests.scripts.kit import Ended, Tree

PULUMI = """
if [ "$1" = whoami ]; then
    exit "${STRANGER:-0}"
elif [ "$1 $2" = "stack ls" ]; then
    [ -n "${STACKS:-}" ] || { echo "error: no credentials" >&2; exit 1; }
    echo "$STACKS"
else
    echo "pulumi $*" >> "$CALLS"
    exit "${STATUS:-0}"
fi
"""
# Runs what is a question, and tells of what would be done.
PYTHON = f"""
[ "$1" != -c ] || exec "{sys.executable}" "$@"
echo "python $*" >> "$CALLS"
exit "${{STATUS:-0}}"
"""

# What the loads have changed since the last deployment is not of interest.
HOW = "--diff --refresh=false"
REAL = [
    "python -m handlers.package --architecture x86_64",
    f"pulumi preview --stack stg {HOW}",
]
LOCAL = [f"python -m rehearsal pulumi --stack stg -- preview {HOW}"]
SAYS = (
    "Stack stg is not in a backend you are logged in to: a preview on local clouds, with nothing "
    "deployed yet.\n"
)


@pytest.fixture
def tree(tmp_path) -> Tree:
    tree = Tree(tmp_path).holding("scripts/preview.sh")
    for stack in ("local", "stg"):
        (tree.root / f"Pulumi.{stack}.yaml").touch()
    tree.fake(".tools/bin/pulumi", PULUMI)
    tree.fake(".venv/bin/python", PYTHON)
    return tree


def preview(tree: Tree, stack: str, clouds: str, **variables: str) -> Ended:
    return tree.run(
        "scripts/preview.sh",
        stack,
        BIN=".venv/bin",
        PACKAGE="--architecture x86_64",
        CLOUDS=clouds,
        **variables,
    )


def stacks(*names: str) -> str:
    return json.dumps([{"name": name, "current": False} for name in names])


# Pulumi Cloud puts the organisation before some.
@pytest.mark.parametrize("known", [stacks("prod", "stg"), stacks("acme/stg")])
def test_a_stack_of_ones_own_backend_is_previewed_there(tree, known) -> None:
    done = preview(tree, "stg", "auto", STACKS=known)
    assert (done.status, done.err, tree.calls) == (0, "", REAL)


@pytest.mark.parametrize("known", ["[]", stacks("prod", "stgx", "acme/prod")])
def test_one_that_is_not_there_is_previewed_on_local_clouds(tree, known) -> None:
    done = preview(tree, "stg", "auto", STACKS=known)
    assert (done.status, done.err, tree.calls) == (0, SAYS, LOCAL)


def test_who_is_logged_in_nowhere_sees_local_clouds(tree) -> None:
    done = preview(tree, "stg", "auto", STRANGER="1")
    assert (done.status, done.err, tree.calls) == (0, SAYS, LOCAL)


@pytest.mark.parametrize("variables", [{}, {"STRANGER": "1", "PULUMI_BACKEND_URL": "s3://state"}])
def test_a_backend_that_cannot_be_asked_is_an_error_to_see(tree, variables) -> None:
    """Credentials that have expired are no reason to show a plan of local clouds."""
    done = preview(tree, "stg", "auto", **variables)
    assert (done.status, done.err, tree.calls) == (1, "error: no credentials\n", [])


def test_the_local_stack_is_always_on_local_clouds(tree) -> None:
    done = preview(tree, "local", "auto", STACKS=stacks("local"))
    assert (done.status, done.err) == (0, "")
    assert tree.calls == [f"python -m rehearsal pulumi --stack local -- preview {HOW}"]


@pytest.mark.parametrize(("clouds", "calls"), [("real", REAL), ("local", LOCAL)])
@pytest.mark.parametrize("known", ["", stacks("stg")])
def test_clouds_chooses(tree, clouds, calls, known) -> None:
    done = preview(tree, "stg", clouds, STACKS=known)
    assert (done.status, done.err, tree.calls) == (0, "", calls)


@pytest.mark.parametrize("clouds", ["", "moon", "Real"])
def test_clouds_that_there_are_not_are_refused(tree, clouds) -> None:
    done = preview(tree, "stg", clouds, STACKS=stacks("stg"))
    assert (done.status, done.out, done.err) == (
        2,
        "",
        f"CLOUDS={clouds}: one of auto, real, local\n",
    )
    assert tree.calls == []


@pytest.mark.parametrize("clouds", ["auto", "real", "local"])
def test_a_stack_without_a_file_is_refused(tree, clouds) -> None:
    done = preview(tree, "nosuch", clouds, STACKS=stacks("nosuch"))
    assert (done.status, done.out, tree.calls) == (2, "", [])
    assert done.err == "There is no Pulumi.nosuch.yaml; stacks here: local stg\n"


@pytest.mark.parametrize("clouds", ["real", "local"])
def test_a_preview_that_fails_fails(tree, clouds) -> None:
    assert preview(tree, "stg", clouds, STATUS="7").status == 7
