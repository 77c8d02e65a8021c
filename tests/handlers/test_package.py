"""The packages: the same bytes from the same source, and only what belongs in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import package
from package import PACKAGES, Package, PackageError, Platform, build, locked, main

LOAD, REPLICATION = PACKAGES
LAMBDA = Platform.parse("lambda", "python3.12", "arm64")
LOCAL = Platform.parse("local", "", "")


def install(wanted: Platform, requirements: Path, directory: Path) -> None:
    """What pip leaves: two packages, and much that differs from run to run."""
    for name, text in {
        "google/auth/aws.py": "A = 1",
        "google/auth/__pycache__/aws.cpython-312.pyc": str(os.urandom(4)),
        "bin/jp.py": f"#!{sys.executable}",
        "google_auth-2.dist-info/METADATA": "Name: google-auth",
        "google_auth-2.dist-info/RECORD": str(os.urandom(4)),
        "google_auth-2.dist-info/INSTALLER": "pip",
        "google_auth-2.dist-info/licenses/LICENSE": "Apache",
    }.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def copied(to: Path) -> Path:
    """The source of the packages, somewhere else, written at another time."""
    locks = [each.lock for each in PACKAGES]
    for name in (*locks, "handlers/load", "handlers/replication", "handlers/shared"):
        source, target = package.ROOT / name, to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.write_bytes(source.read_bytes())
    for folder in ("load", "replication"):
        cache = to / f"handlers/{folder}/__pycache__"
        cache.mkdir()
        (cache / "plan.cpython-311.pyc").write_bytes(os.urandom(8))
    return to


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as zipped:
        return zipped.namelist()


def test_the_command_builds_every_package(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr(package, "build", lambda each, wanted, say: built.append(each.name))
    assert main(["--target", "local"]) == 0
    assert built == ["load.zip", "replication.zip"]


@pytest.mark.parametrize("wanted", PACKAGES, ids=lambda each: each.name)
def test_the_same_source_gives_the_same_bytes(tmp_path: Path, wanted: Package) -> None:
    first = build(wanted, LAMBDA, root=copied(tmp_path / "a"), install=install)
    second = build(wanted, LAMBDA, root=copied(tmp_path / "elsewhere" / "b"), install=install)
    assert first == tmp_path / "a" / "build" / "lambda" / wanted.name
    assert digest(first) == digest(second)


def test_only_what_belongs_is_in_it(tmp_path: Path) -> None:
    archive = build(LOAD, LAMBDA, root=copied(tmp_path), install=install)
    found = names(archive)
    assert found == sorted(found)
    assert {"load/plan.py", "load/settle.py", "shared/google.py", "google/auth/aws.py"} <= {*found}
    assert {name for name in found if "dist-info" in name} == {
        "google_auth-2.dist-info/METADATA",
        "google_auth-2.dist-info/licenses/LICENSE",
    }
    assert not [n for n in found if "__pycache__" in n or n.startswith(("bin/", "tests/"))]
    with zipfile.ZipFile(archive) as zipped:
        for info in zipped.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.external_attr >> 16 == 0o100644


def test_a_package_holds_its_route_and_what_that_needs(tmp_path: Path) -> None:
    found = names(build(REPLICATION, LAMBDA, root=copied(tmp_path), install=install))
    handlers = {f"replication/{name}.py" for name in ("stream", "transform", "load", "resend")}
    assert handlers <= {*found}
    assert [name for name in found if name.startswith("shared/")] == [
        *("shared/__init__.py", "shared/errors.py", "shared/retry.py", "shared/telemetry.py"),
    ]
    assert not [name for name in found if name.startswith("load/")]


def test_a_package_is_built_from_its_own_lock(tmp_path: Path) -> None:
    asked: dict[str, str] = {}
    root = copied(tmp_path)
    for wanted in PACKAGES:

        def remembering(
            target: Platform, requirements: Path, directory: Path, name: str = wanted.name
        ) -> None:
            asked[name] = requirements.read_text()
            install(target, requirements, directory)

        build(wanted, LAMBDA, root=root, install=remembering)
    assert "google-auth==" in asked["load.zip"]
    assert "google-auth==" not in asked["replication.zip"]
    assert {"pymysql", "fastjsonschema"} <= {
        line.partition("==")[0] for line in asked["replication.zip"].splitlines()
    }


def test_it_is_built_again_only_when_something_changed(tmp_path: Path) -> None:
    root = copied(tmp_path)
    said: list[str] = []

    def again() -> str:
        return digest(build(LOAD, LAMBDA, root=root, install=install, say=said.append))

    first = again()
    assert again() == first
    assert said[-1].endswith("is up to date")
    (root / "handlers/load/plan.py").write_text("changed = True")
    changed = again()
    assert changed != first
    assert "MB unzipped" in said[-1]
    (root / "build/lambda/load.zip").write_bytes(b"tampered with")
    assert again() == changed
    other = Platform.parse("lambda", "python3.12", "x86_64")
    build(LOAD, other, root=root, install=install, say=said.append)
    assert not said[-1].endswith("is up to date")


def test_a_build_that_fails_leaves_the_last_good_one(tmp_path: Path) -> None:
    root = copied(tmp_path)
    first = digest(build(LOAD, LAMBDA, root=root, install=install))
    (root / "handlers/load/plan.py").write_text("changed = True")

    def failing(wanted: Platform, requirements: Path, directory: Path) -> None:
        raise PackageError("no network")

    with pytest.raises(PackageError, match="no network"):
        build(LOAD, LAMBDA, root=root, install=failing)
    assert digest(root / "build/lambda/load.zip") == first
    assert sorted(p.name for p in (root / "build/lambda").iterdir()) == [
        "load.zip",
        "load.zip.json",
    ]


def test_a_package_over_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "MAX_UNZIPPED", 1_000)
    with pytest.raises(PackageError, match="MB unzipped; Lambda takes"):
        build(LOAD, LAMBDA, root=copied(tmp_path), install=install)


LOCK = """\
# compiled
cffi==2.1.1 ; platform_python_implementation != 'PyPy' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via cryptography
pycparser==3.11 ; python_full_version < '3.11' \\
    --hash=sha256:cc
pycparser==3.12 ; python_full_version >= '3.11' \\
    --hash=sha256:dd
colorama==1.0 ; sys_platform == 'win32' --hash=sha256:ee
requests[socks]==2.34.2 --hash=sha256:ff
"""


def test_markers_are_judged_for_the_platform_not_for_the_builder() -> None:
    chosen = [
        "cffi==2.1.1 --hash=sha256:aa --hash=sha256:bb",
        "pycparser==3.12 --hash=sha256:dd",
        "requests[socks]==2.34.2 --hash=sha256:ff",
    ]
    assert locked(LOCK, LAMBDA, LOAD.lock) == chosen
    old = Platform.parse("lambda", "python3.10", "arm64")
    assert "pycparser==3.11 --hash=sha256:cc" in locked(LOCK, old, LOAD.lock)


def test_a_requirement_without_a_hash_is_refused() -> None:
    with pytest.raises(PackageError, match=r"^x\.txt: requests==2\.34\.2 is locked without a hash"):
        locked("requests==2.34.2\n", LAMBDA, "x.txt")


def test_wheels_are_chosen_for_the_runtimes_glibc() -> None:
    options = LAMBDA.pip_options()
    assert options[0] == "--platform=manylinux_2_34_aarch64"
    assert options[-4:] == [
        "--platform=manylinux2014_aarch64",
        "--python-version=3.12",
        "--implementation=cp",
        "--ignore-requires-python",
    ]
    old = Platform.parse("lambda", "python3.11", "x86_64").pip_options()
    assert old[0] == "--platform=manylinux_2_26_x86_64"
    assert LOCAL.pip_options() == []


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
            "    requests==2.34.2 from https://x/requests.whl (from -r r.txt (line 3)):\n",
            r"requests==2\.34\.2: not the file that is locked",
        ),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'\n"
            "ERROR: No matching distribution found for requests==2.34.2",
            "pip cannot reach its package index",
        ),
        (
            "ERROR: Could not find a version\n"
            "ERROR: No matching distribution found for cffi==2.1.1\n",
            r"no wheel of cffi==2\.1\.1 for python3\.12 on arm64",
        ),
        ("/usr/bin/python: No module named pip\n", "has no pip; make a virtual environment"),
        ("ERROR: disk is full\nmore\n", "pip failed: ERROR: disk is full"),
        ("", "pip failed: without a word"),
    ],
)
def test_what_pip_says_becomes_one_line(stderr: str, said: str, tmp_path: Path) -> None:
    interpreter = tmp_path / "python"
    (tmp_path / "stderr").write_text(stderr)
    interpreter.write_text(f"#!/bin/sh\ncat {tmp_path}/stderr >&2\nexit 1\n")
    interpreter.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(interpreter))
        with pytest.raises(PackageError, match=said) as caught:
            package.pip_install(LAMBDA, tmp_path / "r.txt", tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments", [["--runtime", "nodejs22.x"], ["--runtime", "python3.12; rm"]]
)
def test_a_wrong_runtime_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith("cannot build the lambda package: --runtime")


@pytest.mark.parametrize(
    ("wanted", "vendored"),
    [
        (LOAD, "google.auth, requests, aws_lambda_powertools"),
        (REPLICATION, "pymysql, fastjsonschema, aws_lambda_powertools"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_the_real_package_runs_alone(tmp_path: Path, wanted: Package, vendored: str) -> None:
    """Installed for this Python, unzipped, and every module imported without this repository."""
    archive = build(wanted, LOCAL, output=tmp_path / "out")
    code = tmp_path / "code"
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(code)
    own = [
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in names(archive)
        if name.startswith(("shared/", f"{wanted.sources[0]}/"))
    ]
    program = (
        "import importlib, sys; sys.path[:0] = [sys.argv[1]]\n"
        "for name in sys.argv[2:]:\n"
        "    module = importlib.import_module(name)\n"
        "    assert module.__file__.startswith(sys.argv[1]), module.__file__\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(code), *own, *vendored.split(", ")],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(own) > 10
    assert done.returncode == 0, done.stderr
