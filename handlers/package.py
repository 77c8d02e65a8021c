"""Builds the Lambda packages of the functions: ``python -m handlers.package``.

One package per route, each with its own locked requirements (`PACKAGES`).

The same source gives the same bytes: exactly the locked wheels (their hashes are checked), sorted
entries, one time stamp, one mode, one compression. A package whose inputs have not changed is not
built again.

`--target lambda` is what `pulumi up` deploys; `--target local` holds the same for the Python that
runs this, to be played on this machine.

Rules encoded (AWS, "Lambda runtimes" and "Lambda quotas"): python3.12 and later run on Amazon
Linux 2023 (glibc 2.34), earlier ones on Amazon Linux 2 (glibc 2.26); unzipped, a package has at
most 250 MB. (PEP 600: a ``manylinux_2_N`` wheel needs glibc 2.N.)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
MAX_UNZIPPED = 250 * 1024 * 1024

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_LEVEL = 9
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
_OLDEST_GLIBC = 17
_VARYING = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


class PackageError(Exception):
    """Why a package cannot be built: one line."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """What a package holds: sources below handlers/, and the wheels of a lock."""

    name: str
    sources: tuple[str, ...]
    lock: str


PACKAGES = (
    Package(name="load.zip", sources=("load", "shared"), lock="requirements-lambda.txt"),
    Package(
        name="replication.zip",
        sources=(
            "replication",
            *("shared/__init__.py", "shared/errors.py", "shared/retry.py", "shared/telemetry.py"),
        ),
        lock="requirements-replication.txt",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What the package is to run on."""

    target: str
    runtime: str
    architecture: str

    @classmethod
    def parse(cls, target: str, runtime: str, architecture: str) -> Platform:
        """Check the names; the local target is this very interpreter, whatever is asked for."""
        if target == "local":
            runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
            return cls(target=target, runtime=runtime, architecture=sysconfig.get_platform())
        if not re.fullmatch(r"python3\.1\d", runtime):
            raise PackageError(f"--runtime {runtime} is not a Lambda runtime such as python3.12")
        if architecture not in _MACHINES:
            known = ", ".join(_MACHINES)
            raise PackageError(f"--architecture {architecture} is not one of {known}")
        return cls(target=target, runtime=runtime, architecture=architecture)

    @property
    def python(self) -> str:
        """Return the Python version, such as ``3.12``."""
        return self.runtime.removeprefix("python")

    def markers(self) -> dict[str, str]:
        """Return the values of environment markers: pip would take those of its own Python."""
        here = {key: str(value) for key, value in default_environment().items()}
        if self.target == "local":
            return here
        return here | {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": _MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def pip_options(self) -> list[str]:
        """Return what makes pip choose wheels for this platform, the newest glibc first.

        pip holds a wheel's `Requires-Python` against the Python it runs in, also when it installs
        for another one; which versions fit was settled when they were locked.
        """
        if self.target == "local":
            return []
        glibc = 34 if int(self.python.partition(".")[2]) >= 12 else 26
        machine = _MACHINES[self.architecture]
        tags = [f"manylinux_2_{minor}" for minor in range(glibc, _OLDEST_GLIBC - 1, -1)]
        platforms = [f"--platform={tag}_{machine}" for tag in [*tags, "manylinux2014"]]
        versions = [f"--python-version={self.python}", "--implementation=cp"]
        return [*platforms, *versions, "--ignore-requires-python"]


Install = Callable[[Platform, Path, Path], None]


def build(
    package: Package,
    wanted: Platform,
    *,
    root: Path = ROOT,
    output: Path | None = None,
    install: Install | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Build a package below `output` (``build/<target>``), or find it up to date."""
    directory = output or root / "build" / wanted.target
    archive = directory / package.name
    stamp = directory / f"{package.name}.json"
    inputs = _digest_inputs(package, wanted, root)
    if _is_current(archive, stamp, inputs):
        say(f"{archive} is up to date")
        return archive
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        vendored = Path(scratch) / "vendored"
        requirements = Path(scratch) / "requirements.txt"
        lock = (root / package.lock).read_text(encoding="utf-8")
        requirements.write_text(
            "\n".join(locked(lock, wanted, package.lock)) + "\n", encoding="utf-8"
        )
        where = f"{wanted.target}, {wanted.runtime}, {wanted.architecture}"
        say(f"installing the locked wheels of {package.name} ({where}) ...")
        (install or pip_install)(wanted, requirements, vendored)
        entries = {**_vendored(vendored), **_sources(package, root)}
        unzipped = sum(path.stat().st_size for path in entries.values())
        if unzipped > MAX_UNZIPPED:
            size, limit = (f"{each / 2**20:.0f} MB" for each in (unzipped, MAX_UNZIPPED))
            raise PackageError(f"{package.name}: {size} unzipped; Lambda takes {limit}")
        fresh = Path(scratch) / package.name
        _write(fresh, entries)
        stamp.unlink(missing_ok=True)
        fresh.replace(archive)
    sha256 = _sha256(archive)
    stamp.write_text(json.dumps({"inputs": inputs, "sha256": sha256}) + "\n", encoding="utf-8")
    say(
        f"{archive}: {archive.stat().st_size / 2**20:.1f} MB "
        f"({unzipped / 2**20:.1f} MB unzipped), sha256 {sha256[:16]}"
    )
    return archive


def locked(lock: str, wanted: Platform, name: str) -> list[str]:
    """Return a lock file's requirements that hold for a platform, without their markers.

    pip judges markers by the Python it runs in, also when it installs for another one: a package
    would then depend on who built it.
    """
    environment = wanted.markers()
    chosen = []
    for line in re.sub(r"\\\n", " ", lock).splitlines():
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        specifier, *hashes = re.split(r"\s+(?=--hash=)", text)
        requirement = Requirement(specifier)
        if not hashes:
            raise PackageError(f"{name}: {specifier} is locked without a hash")
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            chosen.append(" ".join([str(requirement), *(part.strip() for part in hashes)]))
    return chosen


def pip_install(wanted: Platform, requirements: Path, directory: Path) -> None:
    """Install exactly these wheels into a directory, with this Python's own pip."""
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-input", "--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:"),
        *("--target", str(directory), "-r", str(requirements)),
        *wanted.pip_options(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(_why(done.stderr, wanted))


def _why(stderr: str, wanted: Platform) -> str:
    """Return one line for what pip says in many."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        names = sorted({line.split(" ")[0] for line in lines if " from http" in line})
        which = ", ".join(names) or "a wheel"
        return f"{which}: not the file that is locked (its hash differs)"
    if any(word in stderr for word in ("NewConnectionError", "ConnectTimeout", "ProxyError")):
        return "pip cannot reach its package index; check the network and pip's configuration"
    missing = re.search(r"No matching distribution found for (\S+)", stderr)
    if missing:
        return f"no wheel of {missing[1]} for {wanted.runtime} on {wanted.architecture}"
    if "No module named pip" in stderr:
        return f"{sys.executable} has no pip; make a virtual environment that has (make setup)"
    errors = [line for line in lines if line.startswith("ERROR:")]
    return f"pip failed: {' '.join((errors or lines or ['without a word'])[-1].split())}"


def _sources(package: Package, root: Path) -> dict[str, Path]:
    """Return the functions' own modules by their name in the package."""
    handlers = root / "handlers"
    places = [handlers / source for source in package.sources]
    paths = (p for place in places for p in ([place] if place.is_file() else place.rglob("*.py")))
    return {path.relative_to(handlers).as_posix(): path for path in paths}


def _vendored(directory: Path) -> dict[str, Path]:
    """Return the installed files that belong in a package: no caches, scripts or varying notes."""
    found = {}
    for path in directory.rglob("*"):
        name = path.relative_to(directory)
        cached = "__pycache__" in name.parts or path.suffix == ".pyc"
        varying = name.parts[0].endswith(".dist-info") and path.name in _VARYING
        if path.is_file() and not cached and not varying and name.parts[0] != "bin":
            found[name.as_posix()] = path
    return found


def _write(archive: Path, entries: dict[str, Path]) -> None:
    with zipfile.ZipFile(archive, "w") as package:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = _MODE
            info.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(info, entries[name].read_bytes(), compresslevel=_LEVEL)


def _digest_inputs(package: Package, wanted: Platform, root: Path) -> str:
    """Return a digest of everything the package's bytes follow from."""
    parts: list[bytes] = [repr((package, wanted)).encode(), Path(__file__).read_bytes()]
    if wanted.target == "local":
        parts.append(f"{platform.python_implementation()} {platform.python_version()}".encode())
    parts.append((root / package.lock).read_bytes())
    for name, path in sorted(_sources(package, root).items()):
        parts += [name.encode(), path.read_bytes()]
    return _sha256_of(parts)


def _sha256_of(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_current(archive: Path, stamp: Path, inputs: str) -> bool:
    """Is the package there, as it was built, and built from these inputs?"""
    try:
        known = json.loads(stamp.read_text(encoding="utf-8"))
        return bool(known == {"inputs": inputs, "sha256": _sha256(archive)})
    except (OSError, ValueError):
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m handlers.package",
        description="Build the Lambda packages of the functions: build/<target>/*.zip.",
    )
    parser.add_argument(
        "--target",
        choices=("lambda", "local"),
        default="lambda",
        help="lambda: what pulumi up deploys; local: for this Python (default: %(default)s)",
    )
    parser.add_argument(
        "--runtime", default="python3.12", help="Lambda runtime (default: %(default)s)"
    )
    parser.add_argument(
        "--architecture",
        choices=tuple(_MACHINES),
        default="arm64",
        help="Lambda architecture (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        wanted = Platform.parse(options.target, options.runtime, options.architecture)
        for package in PACKAGES:
            build(package, wanted, say=lambda line: print(line, flush=True))
    except (PackageError, OSError) as error:
        print(f"cannot build the {options.target} package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
