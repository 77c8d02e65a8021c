"""Who may import whom: held by reading every file of the tree, run or not.

Each room of the house may import the rooms listed for it and itself, nothing else of ours. What a
room may import from elsewhere is its own affair, except for Pulumi: only what declares resources,
or plays the engine that makes them, may know of it.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Room -> the other rooms it may import.
RULES: dict[str, set[str]] = {
    "__main__": {"settings", "routes"},
    "routes": {"settings", "components"},
    "components": {"state_machines", "export_identity"},
    "settings": {"export_identity"},
    "state_machines": {"export_identity"},
    "export_identity": set(),
    # Packaged by itself: what a function imports must be in its package.
    "handlers": set(),
    # Runs the program and the packaged functions as a cloud would, and reaches into neither.
    "rehearsal": set(),
    "bench": {
        *("routes", "components", "settings", "state_machines", "export_identity"),
        *("handlers", "rehearsal"),
    },
    "tests": {
        *("__main__", "routes", "components", "settings", "state_machines", "export_identity"),
        *("handlers", "rehearsal", "bench"),
    },
    "scripts": set(),
}
PULUMI_ROOMS = {"__main__", "routes", "components", "settings", "rehearsal", "bench", "tests"}
PULUMI_PACKAGES = {"pulumi", "pulumi_aws", "pulumi_gcp"}
# Folders of handlers/ are packages at the root of what is packaged.
SHARED = "shared"
NOT_OURS = {"build", "node_modules"}


def python_files(root: Path) -> Iterator[Path]:
    """Yield every Python file below `root`, leaving out what is hidden, built or cached."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders if name[0] not in "._" and name not in NOT_OURS
        )
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def imported_modules(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of everything a module of `package` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, package)
            # `from . import a` at the top of the tree names modules only.
            yield from ((node.lineno, name) for name in [module] if name)
            yield from ((node.lineno, alias.name) for alias in node.names if not module)
        elif isinstance(node, ast.Call) and is_dynamic_import(node.func):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    above = parts[: len(parts) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def is_dynamic_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    return name in {"import_module", "__import__", "run_module"}


def broken_rules(root: Path) -> list[str]:
    """Return every import that breaks a rule: file, line, rule."""
    functions = handler_folders(root)
    found: dict[str, None] = {}
    for path in python_files(root):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        room = relative.parts[0].removesuffix(".py")
        if room not in RULES:
            found[f"{relative}:1: {room} is a room without a rule; give it one"] = None
            continue
        folders = relative.parts[:-1]
        package = ".".join(folders[1:] if room == "handlers" and folders[1:] else folders)
        tree = ast.parse(path.read_text(encoding="utf-8"), str(relative))
        for line, module in imported_modules(tree, package):
            rule = rule_against(relative, room, module, functions)
            if rule is not None:
                found[f"{relative}:{line}: {rule}"] = None
    return list(found)


def handler_folders(root: Path) -> set[str]:
    handlers = root / "handlers"
    return {file.parent.name for file in handlers.glob("*/*.py")} if handlers.is_dir() else set()


def rule_against(file: PurePosixPath, room: str, module: str, functions: set[str]) -> str | None:
    """Return the rule that an import breaks, if it does."""
    top = module.partition(".")[0]
    if top in PULUMI_PACKAGES and room not in PULUMI_ROOMS:
        return f"{room} may not know of Pulumi, and imports {module}"
    if room == "handlers":
        return rule_against_handler(file, module, functions)
    if top in functions and top not in RULES and room not in {"tests", "bench"}:
        return f"{room} may not import the function {top}, which is packaged by itself"
    if top in RULES and top != room and top not in RULES[room]:
        allowed = ", ".join(sorted(RULES[room])) or "nothing of ours"
        return f"{room} may import {allowed}, not {top}"
    return None


def rule_against_handler(file: PurePosixPath, module: str, functions: set[str]) -> str | None:
    """Return the rule broken by a handler: its own folder and `shared`, by their packaged names."""
    top, _, rest = module.partition(".")
    folder = file.parts[1] if len(file.parts) > 2 else None
    if folder is None:
        # The packaging tool is not packaged; it reads the folders as files.
        allowed = top not in (RULES.keys() | functions) or top == "handlers"
        return None if allowed else f"handlers/{file.name} may import nothing of ours, not {top}"
    if top == "handlers":
        return f"in its package {rest or top} is at the root: import it without handlers"
    if top in functions and top not in {folder, SHARED}:
        return f"handlers/{folder} may import its own folder and {SHARED}, not {top}"
    if top in RULES and top not in functions:
        return f"handlers/{folder} may import its own folder and {SHARED}, not {top}"
    return None


def test_no_file_of_the_tree_breaks_a_rule() -> None:
    broken = broken_rules(ROOT)
    assert not broken, "\n".join(["imports against the rules:", *broken])


def test_every_file_of_the_tree_is_read() -> None:
    read = {path.relative_to(ROOT).as_posix() for path in python_files(ROOT)}
    assert {"export_identity.py", "settings/load.py", "tests/test_imports.py"} <= read


BREAKS = [
    ("components/a.py", "import settings", "components may import"),
    ("components/a.py", "from settings.model import Source", "components may import"),
    ("components/deep/a.py", "from rehearsal import cli", "components may import"),
    ("components/a.py", "def f():\n    import handlers.load", "components may import"),
    ("components/a.py", "from ..settings import load", "components may import"),
    ("components/a.py", "import load.plan", "packaged by itself"),
    ("__main__.py", "import state_machines.export", "__main__ may import routes, settings"),
    ("__main__.py", "import components", "__main__ may import routes, settings"),
    ("__main__.py", "import export_identity", "__main__ may import routes, settings"),
    ("routes/a.py", "import state_machines.load", "routes may import components, settings"),
    ("components/a.py", "import routes.snapshot", "components may import"),
    ("settings/a.py", "import components", "settings may import export_identity"),
    ("export_identity.py", "import settings", "export_identity may import nothing of ours"),
    ("state_machines/a.py", "import components", "state_machines may import export_identity"),
    ("state_machines/a.py", "import pulumi", "may not know of Pulumi"),
    ("export_identity.py", "from pulumi_aws import s3", "may not know of Pulumi"),
    ("handlers/load/a.py", "import export_identity", "may import its own folder and shared"),
    ("handlers/load/a.py", "from copy_out import x", "may import its own folder and shared"),
    ("handlers/load/a.py", "from handlers.shared import x", "import it without handlers"),
    ("handlers/shared/a.py", "import load.plan", "handlers/shared may import"),
    ("handlers/load/a.py", "import pulumi", "may not know of Pulumi"),
    ("handlers/package.py", "import settings", "may import nothing of ours"),
    ("rehearsal/a.py", "import components", "rehearsal may import nothing of ours"),
    ("rehearsal/a.py", "from shared import x", "packaged by itself"),
    ("rehearsal/a.py", "__import__('settings')", "rehearsal may import nothing of ours"),
    ("rehearsal/a.py", "importlib.import_module('state_machines.load')", "nothing of ours"),
    ("bench/a.py", "import tests", "bench may import"),
    ("attic/a.py", "", "a room without a rule"),
]

HOLDS = [
    ("components/a.py", "from components import b\nfrom . import c\nimport export_identity"),
    ("components/a.py", "from state_machines import export\nimport pulumi_aws"),
    ("__main__.py", "import settings\nfrom routes import a\nimport pulumi"),
    ("routes/a.py", "import settings\nfrom components import a\nimport pulumi_aws"),
    ("settings/a.py", "from export_identity import source_key"),
    ("handlers/load/a.py", "from shared import b\nfrom load import c\nfrom . import d"),
    ("handlers/shared/a.py", "from shared import b"),
    ("rehearsal/a.py", "from rehearsal.aws import cloud\nimport pulumi"),
    ("tests/a.py", "import rehearsal, components, settings\nfrom load import plan"),
    (".venv/a.py", "import rehearsal"),
    ("build/lambda/a.py", "import rehearsal"),
]


def house(root: Path, file: str, source: str) -> Path:
    for name in ("handlers/load/plan.py", "handlers/shared/s.py", "handlers/copy_out/x.py", file):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / file).write_text(f"# first line\n{source}\n", encoding="utf-8")
    return root


@pytest.mark.parametrize(("file", "source", "rule"), BREAKS)
def test_a_broken_rule_is_told_with_file_and_line(
    tmp_path: Path, file: str, source: str, rule: str
) -> None:
    (line,) = broken_rules(house(tmp_path, file, source))
    number = 1 if not source else 3 if "def f" in source else 2
    assert line.startswith(f"{file}:{number}: ")
    assert rule in line


@pytest.mark.parametrize(("file", "source"), HOLDS)
def test_what_the_rules_allow_is_left_alone(tmp_path: Path, file: str, source: str) -> None:
    assert broken_rules(house(tmp_path, file, source)) == []
