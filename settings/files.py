"""Files that a stack's configuration names: below the project's folder, and nowhere else."""

from __future__ import annotations

import difflib
from pathlib import Path

from settings.errors import show

# Of one like `orders` in place of `order`; what is less alike may well be another's file.
_LIKENESS = 0.8


class FileError(Exception):
    """Why there is no text of a file; `meant` is the name of one that may be meant."""

    def __init__(self, problem: str, meant: str | None = None) -> None:
        """Keep both; the exception's text is the problem."""
        super().__init__(problem)
        self.meant = meant


def read_text(name: str, root: Path) -> str:
    """Return the text of a file below `root`, or raise `FileError`."""
    try:
        file = (root / name).resolve()
        if file.is_relative_to(root.resolve()):
            return file.read_text(encoding="utf-8-sig")
        problem = f"{name} is outside the project's folder"
    except FileNotFoundError:
        problem = f"there is no file {name} in the project's folder"
        raise FileError(problem, _nearest(Path(name), root)) from None
    except UnicodeDecodeError as error:
        problem = f"{name} is not UTF-8 text, at byte {error.start}"
    except OSError as error:
        problem = f"{name} cannot be read: {error.strerror}"
    except ValueError:
        problem = f"{show(name)} cannot be the name of a file"
    raise FileError(problem)


def _nearest(name: Path, root: Path) -> str | None:
    """Return the file with the same ending, in the same folder, whose name is most alike."""
    try:
        files = [file for file in (root / name.parent).iterdir() if file.is_file()]
    except OSError:
        return None
    stems = sorted(file.stem for file in files if file.suffix == name.suffix)
    near = difflib.get_close_matches(name.stem, stems, n=1, cutoff=_LIKENESS)
    return (name.parent / f"{near[0]}{name.suffix}").as_posix() if near else None
