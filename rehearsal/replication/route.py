"""One flow of a deployed stack: what can be done to it, and what can be seen of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rehearsal import deploy, stage
from rehearsal.aws.aurora import Aurora
from rehearsal.errors import RehearsalFailed
from rehearsal.replication import failures, flows, owner
from rehearsal.replication.comparison import Differences, compare
from rehearsal.replication.failures import Refused
from rehearsal.replication.flows import Flow
from rehearsal.replication.items import from_boto3
from rehearsal.replication.traffic import Traffic
from rehearsal.replication.writer import Writer
from rehearsal.stack_file import Config

_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 900.0


class Route:
    """The flow, once the owner of the cluster has done their part of the deployment."""

    def __init__(
        self,
        clouds: stage.Stage,
        deployment: deploy.Deployment,
        config: Config,
        flow: Flow,
        password: str | None = None,
    ) -> None:
        """Take a stage that was built with a database for the stack's cluster.

        *password* is that of the user who loads, None where tokens are used.
        """
        if clouds.aurora is None:
            raise ValueError("the stage was built without a database")
        self.aurora: Aurora = clouds.aurora
        self.aws = clouds.aws
        self.flow = flow
        self.bucket = str(deployment.outputs["replication_bucket"])
        self.outputs: Mapping[str, Any] = deployment.outputs["flows"][flow.name]
        cluster = flows.cluster(config) or {}
        owner.make_user(self.aurora, str(cluster["user"]), password, [flow.database])
        owner.give_access(
            self.aws,
            str(cluster["identifier"]),
            deployment.outputs,
            modified=bool(cluster.get("modify")),
        )

    def write(
        self, shares: Iterable[Traffic], gate: Callable[[int], None] = lambda written: None
    ) -> None:
        """Write traffic to the table; `gate` is told before each request how much is written."""
        Writer(self.aws.client("dynamodb"), self.flow.table, gate).write(shares)

    def settle(self, say: Callable[[], None] = lambda: None) -> None:
        """Wait until nothing is on its way: not in the stream, not in Firehose, not in a queue."""
        began = time.monotonic()
        while True:
            self.aws.event_sources.wait_idle(_PATIENCE_SECONDS)
            self.aws.firehose.flush()
            if self.aws.event_sources.is_idle() and self.aws.firehose.is_idle():
                return
            if time.monotonic() - began > _PATIENCE_SECONDS:
                raise RehearsalFailed(f"changes are still on their way after {_PATIENCE_SECONDS} s")
            say()
            time.sleep(_LOOK_SECONDS)

    def differences(self) -> Differences:
        """Hold the table against its copy."""
        flow = self.flow
        return compare(
            self.items(), self._rows(), {"columns": flow.columns, "key": flow.key_columns}
        )

    def refused(self) -> Refused:
        """Read what was kept of changes that the schema or the columns did not take."""
        return failures.read(self.aws.client("s3"), self.bucket, self.flow.name)

    def discarded(self) -> list[str]:
        """List the batches that Lambda gave up on and kept."""
        return failures.discarded(self.aws.client("s3"), self.bucket)

    def objects(self) -> int:
        """Count the files that were written to be loaded."""
        pages = self.aws.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.bucket, Prefix=f"loads/{self.flow.name}/")
        return sum(page["KeyCount"] for page in found)

    def dead_letters(self) -> int:
        """Count the files that could not be loaded."""
        url, name = self.outputs["dead_letter_queue"], "ApproximateNumberOfMessages"
        answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def items(self) -> Iterator[Mapping[str, Any]]:
        """Read the whole table."""
        pages = self.aws.client("dynamodb").get_paginator("scan")
        for page in pages.paginate(TableName=self.flow.table, ConsistentRead=True):
            yield from map(from_boto3, page["Items"])

    def _rows(self) -> list[tuple[Any, ...]]:
        """Return the rows of the copy; none where no load has made it yet."""
        names = ", ".join(f"`{column['name']}`" for column in self.flow.columns)
        with (
            self.aurora.master(self.flow.database) as connection,
            connection.cursor() as cursor,
        ):
            if not cursor.execute("SHOW TABLES LIKE %s", (self.flow.target,)):
                return []
            cursor.execute(f"SELECT {names} FROM `{self.flow.target}`")  # noqa: S608
            return list(cursor.fetchall())
