"""Files that a stack's configuration names: below the project's folder, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from settings.errors import Problems, show


def read_text(name: str, root: Path, path: str, right: str, problems: Problems) -> str | None:
    """Return a file's text, or nothing and note why; `right` is YAML that would be right."""
    try:
        file = (root / name).resolve()
        if file.is_relative_to(root.resolve()):
            return file.read_text(encoding="utf-8-sig")
        problem = f"{name} is outside the project's folder"
    except FileNotFoundError:
        problem = f"there is no file {name} in the project's folder"
    except UnicodeDecodeError as error:
        problem = f"{name} is not UTF-8 text, at byte {error.start}"
    except OSError as error:
        problem = f"{name} cannot be read: {error.strerror}"
    except ValueError:
        problem = f"{show(name)} cannot be the name of a file"
    problems.add(path, problem, right)
    return None
