"""The real Pulumi engine on the local clouds: a workspace of its own, and the environment for it.

A workspace is a folder with the project file, a copy of the stacks' settings, the state (a file
backend) and the plugins. Nothing in it reaches the user's own Pulumi: not the login, not the
plugins, not the stack files in the tree, into which the engine writes the salt of a secret.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from rehearsal.errors import BadInput
from rehearsal.google_api import DEPLOYER_TOKEN
from rehearsal.provider.__main__ import PACKAGES, version_of

# State on this machine, about clouds that live as long as a process: it needs a passphrase, and
# no secret one.
_PASSPHRASE = "rehearsal"  # noqa: S105
AWS_KEY = "test"
_ROOT = Path(__file__).resolve().parent.parent
_PLUGINS = _ROOT / "rehearsal" / "provider"
# What belongs to the user's accounts must not decide anything here.
_FOREIGN = ("AWS_", "GOOGLE_", "CLOUDSDK_", "PULUMI_")

# The Google APIs' paths below the one local server, by the provider's name for each.
_GOOGLE_ENDPOINTS = {
    "BIG_QUERY": "/bigquery/v2/",
    "BIGQUERY_DATA_TRANSFER": "/v1/",
    "SECRET_MANAGER": "/v1/",
    "SERVICE_USAGE": "/v1/",
    "IAM_BETA": "/v1/",
    "RESOURCE_MANAGER": "/v1/",
}


def cli() -> Path:
    """Return the `pulumi` to use: the one `make pulumi` provides, else the one on the PATH.

    Raises BadInput where there is none.
    """
    provided = _ROOT / ".tools" / "bin" / "pulumi"
    found = str(provided) if provided.is_file() else shutil.which("pulumi")
    if found is None:
        raise BadInput(["there is no pulumi here; `make pulumi` provides one"])
    return Path(found)


def environment_of(aws: str, google: str, region: str) -> dict[str, str]:
    """Return what points both providers at local clouds at these endpoints.

    The variables are the official providers' own.
    """
    return {
        "AWS_ENDPOINT_URL": aws,
        "AWS_REGION": region,
        "AWS_ACCESS_KEY_ID": AWS_KEY,
        "AWS_SECRET_ACCESS_KEY": AWS_KEY,
        "GOOGLE_OAUTH_ACCESS_TOKEN": DEPLOYER_TOKEN,
        **{
            f"GOOGLE_{api}_CUSTOM_ENDPOINT": f"{google}{path}"
            for api, path in _GOOGLE_ENDPOINTS.items()
        },
    }


@dataclass(frozen=True)
class Workspace:
    """A folder in which `pulumi` works on the program of *project*, against the local clouds."""

    project: Path
    folder: Path
    clouds: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Write the project file, and let the engine find the plugins; harmless to do again."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._state.mkdir(exist_ok=True)
        settings: dict[str, Any] = yaml.safe_load((self.project / "Pulumi.yaml").read_text())
        (self.folder / "Pulumi.yaml").write_text(
            yaml.safe_dump({**settings, "main": str(self.project)}, sort_keys=False)
        )
        for package in PACKAGES:
            plugin = self._home / "plugins" / f"resource-{package}-v{version_of(package)}"
            plugin.mkdir(parents=True, exist_ok=True)
            executable = plugin / f"pulumi-resource-{package}"
            executable.unlink(missing_ok=True)
            executable.symlink_to(_PLUGINS / executable.name)

    def configure(self, stack: str, config: Mapping[str, Any]) -> None:
        """Set the configuration of *stack*, and make the stack if there is none yet."""
        path = self.folder / f"Pulumi.{stack}.yaml"
        known = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**known, "config": dict(config)}, sort_keys=False))
        if not self.has(stack):
            self.ask("stack", "init", stack)

    def has(self, stack: str) -> bool:
        """Say whether there is a state of *stack*, be it an empty one."""
        return any(each["name"] == stack for each in json.loads(self.ask("stack", "ls", "--json")))

    def run(
        self, *arguments: str, output: int | IO[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `pulumi` here and return how it ended; *output* takes both of its streams."""
        return subprocess.run(
            [str(cli()), *arguments],
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            check=False,
        )

    def start(self, *arguments: str, output: IO[str]) -> subprocess.Popen[str]:
        """Start `pulumi` here, as the leader of a process group of its own."""
        return subprocess.Popen(
            [str(cli()), *arguments],
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self, *arguments: str) -> str:
        """Run `pulumi` and return its standard output; raises RuntimeError where it fails."""
        answer = subprocess.run(
            [str(cli()), *arguments],
            cwd=self.folder,
            env=self.environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if answer.returncode != 0:
            reason = (answer.stderr or answer.stdout).strip()
            raise RuntimeError(f"pulumi {' '.join(arguments)}: {reason}")
        return answer.stdout

    def environment(self) -> dict[str, str]:
        """Return the environment in which everything here runs."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        # The Python of the rehearsal runs the program: it has the dependencies.
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        return {
            **kept,
            **self.clouds,
            "PATH": os.pathsep.join(path),
            "DATA_FERRY_PYTHON": sys.executable,
            "PULUMI_HOME": str(self._home),
            "PULUMI_BACKEND_URL": f"file://{self._state}",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            # The state is written whole at each step; nobody needs it twice.
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        }

    @property
    def _home(self) -> Path:
        return self.folder / "home"

    @property
    def _state(self) -> Path:
        return self.folder / "state"


def arguments_for(command: Sequence[str], stack: str) -> list[str]:
    """Return a `pulumi` command line for *stack*, one that never waits for an answer."""
    return [*command, "--stack", stack, "--non-interactive"]
