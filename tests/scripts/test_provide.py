"""`make pulumi`: where a pulumi comes from, and that nothing half-made takes its place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scripts.kit import Ended, Tree

SDK = "3.272.0"
NEWER = "v3.274.1"

GO = """
echo "go $*" >> "$CALLS"
case "$1 $2" in
    "list -deps") [ "${BREAKS:-}" != modules ] || { echo "proxy: no such host" >&2; exit 1; }
        echo one; echo two ;;
    "list -m") echo "$MODULES" ;;
    "build -v")
        while [ "$1" != -o ]; do shift; done
        echo "#!/bin/sh\necho ${BUILDS:-v3.274.1}" > "$2"
        chmod +x "$2"
        [ "${2##*/}" != "${BREAKS:-}" ] || { echo "link: out of memory" >&2; exit 1; } ;;
esac
"""

# Fetches an installer that makes what it was told to, as get.pulumi.com's does.
CURL = """
echo "curl $*" >> "$CALLS"
[ "${BREAKS:-}" != network ] || { echo "curl: (6) Could not resolve host" >&2; exit 6; }
while [ "$1" != -o ]; do shift; done
cat > "$2" <<'END'
echo "install.sh $*" >> "$CALLS"
[ "${BREAKS:-}" != installer ] || { echo "error: no such version" >&2; exit 1; }
[ "$1" = --version ] && given=$2
while [ "$1" != --install-root ]; do shift; done
mkdir -p "$2/bin"
for name in pulumi pulumi-language-python pulumi-language-python-exec; do
    [ "$name" != "${BREAKS:-}" ] || continue
    [ "$name" = pulumi ] || [ "${BREAKS:-}" != hosts ] || continue
    echo "#!/bin/sh\necho v${INSTALLS:-$given}" > "$2/bin/$name"
    chmod +x "$2/bin/$name"
done
END
"""


@pytest.fixture
def tree(tmp_path) -> Tree:
    """A tree whose PATH has no pulumi, no curl and no Go."""
    tree = Tree(tmp_path, [tmp_path / "path"]).holding("scripts/pulumi")
    (tmp_path / "requirements.in").write_text(f"pulumi=={SDK}\npulumi-aws==7.51.1\n")
    return tree


def provide(tree: Tree, **variables: str) -> Ended:
    done = tree.run("scripts/pulumi/provide.sh", **variables)
    assert done.out == ""
    assert all(line.startswith("pulumi: ") for line in done.err.splitlines()), done.err
    # Whatever became of it, nothing is left lying about.
    assert {path.name for path in (tree.root / ".tools").iterdir()} <= {"bin"}
    return done


def on_path(tree: Tree, version: str) -> None:
    tree.fake("path/pulumi", f'[ "$1" = version ] && echo {version} || echo "ran $*"')
    tree.fake("path/pulumi-language-python", "")


def with_go(tree: Tree) -> dict[str, str]:
    modules = tree.root / "modules"
    tree.fake("modules/python/cmd/pulumi-language-python-exec", "echo exec")
    tree.fake("path/go", GO)
    return {"MODULES": str(modules)}


def provided(tree: Tree) -> list[str]:
    found = (tree.root / ".tools" / "bin").glob("*")
    return sorted(path.name for path in found)


def runs(tree: Tree, *arguments: str) -> str:
    command = [str(tree.root / ".tools" / "bin" / "pulumi"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


FITTING = ["v3.272.0", "3.272.0", "v3.272.1", "v3.1000.0", "v3.273.0-alpha.1690", "v3.273.0+dirty"]
OTHER = ["v3.271.9", "v3.99.0", "v2.999.0", "v4.0.0", "v30.272.0", "v3.271.0-alpha.9"]


@pytest.mark.parametrize("version", FITTING)
def test_a_fitting_one_on_the_path_is_used(tree, version) -> None:
    on_path(tree, version)
    done = provide(tree)
    assert (done.status, done.err) == (
        0,
        f"pulumi: using {version} from {tree.root}/path/pulumi\n",
    )
    assert runs(tree, "preview", "--diff") == "ran preview --diff"


@pytest.mark.parametrize("version", OTHER)
def test_one_that_does_not_fit_is_refused(tree, version) -> None:
    on_path(tree, version)
    done = provide(tree, PULUMI_FROM="path")
    assert done.status == 1
    assert done.err.splitlines()[0] == (
        f"pulumi: {tree.root}/path/pulumi is {version}, and the SDK {SDK} needs the like or a "
        "newer one"
    )
    assert provided(tree) == []


def test_one_that_tells_no_version_is_refused(tree) -> None:
    tree.fake("path/pulumi", "exit 127")
    done = provide(tree)
    assert done.status == 1
    assert f"{tree.root}/path/pulumi is of no version, and the SDK" in done.err


def test_one_without_a_language_host_is_refused(tree) -> None:
    tree.fake("path/pulumi", f"echo {NEWER}")
    done = provide(tree)
    assert done.status == 1
    assert f"{tree.root}/path/pulumi has no pulumi-language-python beside it" in done.err
    assert provided(tree) == []


def test_a_language_host_beside_the_file_that_a_link_leads_to_will_do(tree) -> None:
    """The CLI looks in the folder where it really is."""
    tree.fake("opt/pulumi", f"echo {NEWER}")
    tree.fake("opt/pulumi-language-python", "")
    (tree.root / "path").mkdir()
    (tree.root / "path" / "pulumi").symlink_to(tree.root / "opt" / "pulumi")
    assert provide(tree).status == 0


def test_a_second_run_finds_what_the_first_made(tree) -> None:
    variables = with_go(tree)
    assert provide(tree, **variables).status == 0
    calls = tree.calls
    shutil.rmtree(tree.root / "path")
    done = provide(tree, **variables)
    assert (done.status, done.err) == (0, f"pulumi: {NEWER} is in .tools/bin\n")
    assert tree.calls == calls


def test_one_that_a_new_sdk_has_outgrown_is_replaced(tree) -> None:
    old = tree.fake(".tools/bin/pulumi", "echo v3.200.0")
    on_path(tree, NEWER)
    done = provide(tree)
    assert done.err.splitlines() == [
        f"pulumi: what is in .tools/bin is v3.200.0, and the SDK {SDK} needs the like or a newer "
        "one",
        f"pulumi: using {NEWER} from {tree.root}/path/pulumi",
    ]
    assert runs(tree, "version") == NEWER
    assert old.exists()


def test_without_one_on_the_path_the_official_installer_is_asked(tree) -> None:
    tree.fake("path/curl", CURL)
    done = provide(tree, **with_go(tree))
    assert (done.status, done.last) == (0, f"pulumi: installed v{SDK} into .tools/bin")
    assert provided(tree) == ["pulumi", "pulumi-language-python", "pulumi-language-python-exec"]
    assert runs(tree, "version") == f"v{SDK}"
    fetched, installed = tree.calls
    assert fetched.endswith(" https://get.pulumi.com")
    assert installed.startswith(f"install.sh --version {SDK} --install-root ")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"BREAKS": "network"}, "the official installer cannot be reached"),
        ({"BREAKS": "installer"}, "the official installer failed: error: no such version"),
        ({"BREAKS": "pulumi"}, "what the official installer brought is of no version, and the SDK"),
        ({"BREAKS": "hosts"}, "pulumi-* is missing"),
        ({"INSTALLS": "3.1.0"}, "what the official installer brought is v3.1.0, and the SDK"),
    ],
)
def test_an_installer_that_fails_leaves_it_to_go(tree, variables, reason) -> None:
    tree.fake("path/curl", CURL)
    go = with_go(tree)
    # Only the installer is to break.
    tree.fake("path/go", f"unset BREAKS\n{GO}")
    done = provide(tree, **variables, **go)
    assert (done.status, done.last) == (0, f"pulumi: built {NEWER} into .tools/bin")
    assert f"pulumi: {reason}" in done.err


def test_without_either_it_is_built_with_go(tree) -> None:
    done = provide(tree, **with_go(tree))
    assert done.status == 0
    assert done.err.splitlines()[:2] == [
        "pulumi: none on the PATH",
        "pulumi: no curl to fetch the official installer with",
    ]
    assert done.last == f"pulumi: built {NEWER} into .tools/bin"
    assert provided(tree) == [
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-exec",
        "pulumi-language-python-host",
    ]
    wrapper = tree.root / "scripts/pulumi/language-host/pulumi-language-python"
    kept = tree.root / ".tools/bin/pulumi-language-python"
    assert kept.read_text() == wrapper.read_text()
    # The engine is told its own version: that of its modules.
    assert any(
        "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3." in call
        for call in tree.calls
    )


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"BREAKS": "modules"}, "its modules cannot be had: proxy: no such host"),
        ({"BREAKS": "pulumi"}, "building failed: link: out of memory"),
        ({"BREAKS": "pulumi-language-python-host"}, "building failed: link: out of memory"),
        ({"BUILDS": "v3.100.0"}, "what was built is v3.100.0, and the SDK"),
    ],
)
def test_a_build_that_fails_leaves_nothing(tree, variables, reason) -> None:
    done = provide(tree, **{**with_go(tree), **variables})
    assert done.status == 1
    assert f"pulumi: {reason}" in done.err
    assert done.last.startswith("pulumi: no pulumi to be had. Install version 3.272.0 or newer (")
    assert provided(tree) == []


def test_a_build_without_all_of_its_parts_leaves_nothing(tree) -> None:
    variables = with_go(tree)
    shutil.rmtree(tree.root / "modules")
    done = tree.run("scripts/pulumi/provide.sh", **variables)
    assert done.status == 1
    assert done.last.startswith("pulumi: no pulumi to be had. ")
    assert provided(tree) == []


def test_a_build_that_fails_leaves_what_was_there(tree) -> None:
    tree.fake(".tools/bin/pulumi", "echo v3.200.0")
    assert provide(tree, **with_go(tree), BREAKS="pulumi").status == 1
    assert provided(tree) == ["pulumi"]
    assert runs(tree, "version") == "v3.200.0"


def test_nowhere_to_get_one_from_is_told_in_the_last_line(tree) -> None:
    done = provide(tree)
    assert done.status == 1
    assert done.err.splitlines() == [
        "pulumi: none on the PATH",
        "pulumi: no curl to fetch the official installer with",
        "pulumi: no Go toolchain to build it with",
        "pulumi: no pulumi to be had. Install version 3.272.0 or newer "
        "(https://www.pulumi.com/docs/install/), or Go (https://go.dev/doc/install), and run make "
        "pulumi again.",
    ]


@pytest.mark.parametrize(
    ("way", "last"),
    [
        ("path", "using v3.273.0 from {}/path/pulumi"),
        ("installer", f"installed v{SDK} into .tools/bin"),
        ("go", f"built {NEWER} into .tools/bin"),
    ],
)
def test_pulumi_from_chooses_the_way_even_over_what_is_there(tree, way, last) -> None:
    tree.fake(".tools/bin/pulumi", "echo v3.999.0")
    on_path(tree, "v3.273.0")
    tree.fake("path/curl", CURL)
    done = provide(tree, **with_go(tree), PULUMI_FROM=way)
    assert (done.status, done.last) == (0, f"pulumi: {last.format(tree.root)}")


def test_pulumi_from_tries_no_other_way(tree) -> None:
    tree.fake("path/curl", CURL)
    done = provide(tree, **with_go(tree), PULUMI_FROM="path")
    assert done.status == 1
    assert tree.calls == []


def test_pulumi_from_nowhere_is_refused(tree) -> None:
    on_path(tree, NEWER)
    done = provide(tree, PULUMI_FROM="brew")
    assert (done.status, done.err) == (
        2,
        "pulumi: PULUMI_FROM=brew: one of path, installer, go\n",
    )


def test_the_one_of_the_tree_is_not_wrapped_around_itself(tree, tmp_path) -> None:
    """With .tools/bin on the PATH, it would call itself for ever."""
    tree.fake(".tools/bin/pulumi", f"echo {NEWER}")
    tree.fake(".tools/bin/pulumi-language-python", "")
    own = Tree(tmp_path, [Path(tmp_path, ".tools", "bin")])
    done = provide(own, PULUMI_FROM="path")
    assert done.status == 1
    assert done.err.startswith("pulumi: the one on the PATH is that of .tools/bin\n")
    assert runs(tree, "version") == NEWER
