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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import boto3
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

_HERE = ("127.0.0.1", "localhost")

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


def s3_of(endpoint: str, region: str) -> Any:
    """Return a client of the local S3, with the deployer's credentials."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=AWS_KEY,
        aws_secret_access_key=AWS_KEY,
    )


def empty(s3: Any, bucket: str) -> int:
    """Delete all objects, as somebody must before a bucket can be destroyed; returns how many."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
    return len(keys)


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
        # No virtual environment: the language host would look for it, and make it, in this folder.
        here = {"main": str(self.project), "runtime": "python"}
        (self.folder / "Pulumi.yaml").write_text(
            yaml.safe_dump({**settings, **here}, sort_keys=False)
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

    def run(self, *arguments: str, stack: str) -> int:
        """Run `pulumi` for everyone to see; returns its exit status.

        After a Ctrl-C, which the terminal sends to the engine too, the engine is waited for: it
        lets what is under way end, writes that down and gives its lock back.
        """
        self._unlock()
        interrupted = False
        with subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(stack),
            stdin=subprocess.DEVNULL,
        ) as process:
            while process.returncode is None:
                try:
                    process.wait()
                except KeyboardInterrupt:
                    interrupted = True
        if interrupted:
            raise KeyboardInterrupt
        return process.returncode

    def _unlock(self) -> None:
        """Take away the locks of engines that were killed, and of no other."""
        for lock in self._state.glob(".pulumi/locks/**/*.json"):
            try:
                os.kill(int(json.loads(lock.read_text())["pid"]), 0)
            except ProcessLookupError:
                lock.unlink(missing_ok=True)
            except (OSError, ValueError, KeyError, TypeError):
                # Somebody else's process, or a lock that is only being written: pulumi will tell.
                continue

    def start(self, *arguments: str, stack: str, output: IO[str]) -> subprocess.Popen[str]:
        """Start `pulumi` in a session of its own; *output* takes all that it prints."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(stack),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self, *arguments: str, stack: str = "") -> str:
        """Run `pulumi` and return its standard output; raises RuntimeError where it fails."""
        answer = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(stack),
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if answer.returncode != 0:
            reason = (answer.stderr or answer.stdout).strip()
            raise RuntimeError(f"pulumi {' '.join(arguments)}: {reason}")
        return answer.stdout

    def command(self, *arguments: str) -> list[str]:
        """Return a command line that never waits for an answer."""
        return [str(cli()), *arguments, "--non-interactive"]

    def environment(self, stack: str = "") -> dict[str, str]:
        """Return the environment in which everything here runs, for *stack* if one is named."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        # The Python of the rehearsal runs the program: it has the dependencies.
        path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        # A proxy would be asked for this very machine.
        past = ",".join(filter(None, (os.environ.get("NO_PROXY"), *_HERE)))
        here = {"NO_PROXY": past, "no_proxy": past}
        return {
            **kept,
            **here,
            **self.clouds,
            **({"PULUMI_STACK": stack} if stack else {}),
            "PATH": os.pathsep.join(path),
            "DATA_FERRY_PYTHON": sys.executable,
            "PULUMI_HOME": str(self._home),
            "PULUMI_BACKEND_URL": f"file://{self._state}",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    @property
    def _home(self) -> Path:
        return self.folder / "home"

    @property
    def _state(self) -> Path:
        return self.folder / "state"
