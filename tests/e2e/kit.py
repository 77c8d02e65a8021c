"""The real engine, as the tests use it: commands run, events read, state looked at."""

from __future__ import annotations

import copy
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from rehearsal import cast, engine, kept_stack, scenario, stack_file, stage
from rehearsal.deploy import Deployment
from rehearsal.outcome import Outcome
from rehearsal.progress import Progress
from rehearsal.replication import surroundings

ROOT = Path(__file__).resolve().parents[2]

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_PATIENCE_SECONDS = 600

# With these changes, the stack `local` has the replication route and no other.
ALONE = {"snapshot": None, "bigquery": None}


@dataclass(frozen=True)
class Step:
    """What the engine does, or would do, with one resource."""

    op: str
    type: str
    name: str
    urn: str
    diff: Mapping[str, str]
    """Property path -> kind (`update`, `add-replace`, ...)."""

    @property
    def short(self) -> str:
        """`Table shop.users`: enough for a person to know it by."""
        return f"{self.type.rsplit(':', 1)[-1]} {self.name}"


@dataclass(frozen=True)
class Run:
    """A pulumi command as it ended."""

    status: int
    text: str
    events: list[dict[str, Any]] = field(repr=False)

    @property
    def steps(self) -> list[Step]:
        """All steps, in the order in which they began."""
        return [
            _step(event["resourcePreEvent"]["metadata"])
            for event in self.events
            if "resourcePreEvent" in event
        ]

    @property
    def done(self) -> list[Step]:
        """All steps, in the order in which they were done."""
        return [
            _step(event["resOutputsEvent"]["metadata"])
            for event in self.events
            if "resOutputsEvent" in event
        ]

    @property
    def changes(self) -> list[Step]:
        """The steps that change something of a resource with a provider."""
        return [
            step
            for step in self.steps
            if step.op not in ("same", "read", "refresh") and step.type.startswith(("aws:", "gcp:"))
        ]

    def inputs(self, type_: str) -> list[dict[str, Any]]:
        """The inputs that the resources of a type have now, or would have."""
        begun = [e["resourcePreEvent"]["metadata"] for e in self.events if "resourcePreEvent" in e]
        return [each["new"]["inputs"] for each in begun if each["type"] == type_ and each["new"]]

    def short(self, *ops: str) -> set[str]:
        """The resources with one of these operations."""
        return {step.short for step in self.changes if step.op in ops}

    @property
    def messages(self) -> list[str]:
        """What the engine warns of, and its errors."""
        return [
            event["diagnosticEvent"]["message"]
            for event in self.events
            if event.get("diagnosticEvent", {}).get("severity") in ("warning", "error")
        ]

    def succeeded(self) -> Run:
        """Assert that it ended well; returns itself."""
        assert self.status == 0, "\n".join(self.messages) or self.text[-5000:]
        return self


def _step(metadata: Mapping[str, Any]) -> Step:
    diff = {path: each["diffKind"] for path, each in (metadata.get("detailedDiff") or {}).items()}
    urn = metadata["urn"]
    return Step(metadata["op"], metadata["type"], urn.split("::", 3)[3], urn, diff)


@dataclass
class Stack:
    """A stack of the project on running clouds, in a workspace of its own."""

    name: str
    workspace: engine.Workspace
    clouds: stage.Stage
    cast: cast.Cast
    config: dict[str, Any]

    def set(self, **changes: Any) -> None:
        """Change the configuration, as `changed` says."""
        self.config = changed(self.config, **changes)
        self.workspace.configure(self.name, self.config)

    def pulumi(self, *arguments: str) -> Run:
        """Run a command that tells its events as JSON."""
        streaming = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
        done = self._done(*arguments, "--json", environment=streaming)
        return Run(done.returncode, done.stdout + done.stderr, list(events_in(done.stdout)))

    def plain(self, *arguments: str) -> Run:
        """Run a command as a person does, and take what it prints."""
        done = self._done(*arguments)
        return Run(done.returncode, done.stdout + done.stderr, [])

    def _done(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.workspace.command(*arguments),
            cwd=self.workspace.folder,
            env={**self.workspace.environment(self.name), **(environment or {})},
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )

    def preview(self, *arguments: str) -> Run:
        return self.pulumi("preview", *arguments)

    def up(self, *arguments: str) -> Run:
        return self.pulumi("up", "--yes", "--skip-preview", *arguments)

    def refresh(self, *arguments: str) -> Run:
        return self.pulumi("refresh", "--yes", "--skip-preview", *arguments)

    def destroy(self, *arguments: str) -> Run:
        return self.pulumi("destroy", "--yes", "--skip-preview", *arguments)

    def adopt(self, found: Callable[[str, str], str | None], file: Path) -> Run:
        """Import what exists already of what an update would make; as docs/production.md says.

        *found* returns the provider's id of a resource, by its type and name, or None.
        """
        self.plain("preview", "--import-file", str(file)).succeeded()
        listed = json.loads(file.read_text())
        for each in listed["resources"]:
            name = each.get("logicalName", each["name"])
            if "id" in each and (identifier := found(each["type"], name)):
                each["id"] = identifier
        # Components and providers have no id, and stay as what the others belong to.
        listed["resources"] = [
            each for each in listed["resources"] if each.get("id") != "<PLACEHOLDER>"
        ]
        file.write_text(json.dumps(listed))
        return self.plain(
            *("import", "--file", str(file), "--yes", "--protect=false", "--generate-code=false")
        )

    def export(self, *arguments: str) -> dict[str, Any]:
        """Return the state: its `deployment`."""
        told = self.workspace.ask("stack", "export", *arguments, stack=self.name)
        deployment: dict[str, Any] = json.loads(told)["deployment"]
        return deployment

    def resources(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the resources in the state."""
        found: list[dict[str, Any]] = self.export(*arguments).get("resources", [])
        return found

    def counts(self) -> Counter[str]:
        """Return how many resources of each package are in the state."""
        kinds = (each["type"].partition(":")[0] for each in self.resources() if each.get("custom"))
        return Counter(kind for kind in kinds if kind in ("aws", "gcp"))

    def deployment(self) -> Deployment:
        return kept_stack.deployment(self.workspace, self.name)

    def play_day(self) -> Outcome:
        """Let a day go by: snapshot, export, load."""
        quiet = Progress(Console(quiet=True))
        declared = cast.from_sample(self.config, None, ROOT, self.workspace.folder)
        expected = {each.identifier: each.expected for each in declared.actors}
        actors = [replace(each, expected=expected[each.identifier]) for each in self.cast.actors]
        now = replace(self.cast, actors=actors)
        return scenario.play_day(now, self.clouds, self.deployment(), quiet)

    def empty_buckets(self) -> None:
        """What has to be done by hand before a bucket can be destroyed."""
        s3 = self.clouds.aws.client("s3")
        for bucket in s3.list_buckets()["Buckets"]:
            engine.empty(s3, bucket["Name"])


def changed(config: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Return *config* with changes: `snapshot={"prefix": "x"}` sets a key of a mapping.

    None takes the whole mapping away.
    """
    found = dict(config)
    for key, value in changes.items():
        full = f"data-ferry:{key}"
        old = found.pop(full, None)
        if value is not None:
            both = {**old, **value} if isinstance(old, dict) else value
            found[full] = copy.deepcopy(both)
    return found


def events_in(text: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a JSON stream, without the other lines that a program may print."""
    for line in text.splitlines():
        if line.startswith("{") and '"timestamp"' in line:
            yield json.loads(line)


@contextmanager
def stack_on_clouds(folder: Path, name: str, **changes: Any) -> Iterator[Stack]:
    """Start both clouds for a committed stack, with a new workspace and an empty state.

    What the stack looks up is there; *changes* of its configuration are as `changed` has them.
    """
    config = changed(stack_file.load(ROOT, name), **changes)
    config = surroundings.with_certificates(config, ROOT)
    played = cast.from_sample(config, None, ROOT, folder)
    with stage.built(played, folder / "bigquery.duckdb") as clouds:
        variables = engine.environment_of(
            clouds.aws.endpoint, clouds.google.endpoint, clouds.aws.region
        )
        workspace = engine.Workspace(ROOT, folder / "workspace", variables)
        workspace.prepare()
        stack = Stack(name, workspace, clouds, played, kept_stack.local_config(played.config))
        stack.set()
        yield stack
