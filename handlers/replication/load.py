"""Load: take what Firehose has put into S3 to the cluster.

Called with messages of a queue, each an event of EventBridge that tells of an object. A message
whose object could not be loaded is reported, comes again, and in the end is in the dead-letter
queue; the others are done (AWS, "Implementing partial batch responses"). Folders and empty objects
are skipped; an object that was loaded before changes nothing.

Metrics: `LoadRows` (lines read), `LoadUpserts`, `LoadDeletes`, `LoadStale` (lines that later
changes of their keys had overtaken), `LoadDuplicates` (objects that had been loaded),
`LoadFailures` (messages), and `LoadLag`: the seconds from an object's event to its commit.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.config import Config

from replication import metrics
from replication.database import Credentials, Database, iam_token, secret, verified
from replication.flow import Flow, certificates, configured
from replication.invocation import Context, seconds_left, variable
from replication.loading import SECONDS_NEEDED, Loaded, Loader, LoadFailed
from replication.objects import StoredObject
from replication.statements import s3_source
from shared import telemetry
from shared.errors import FerryError, InvalidInput


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the function needs of the world."""

    service: str
    flow: str
    loader: Loader
    logger: Logger
    now: Callable[[], float] = field(default=time.time)


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the loader for this function's environment."""
    service, region = variable("SERVICE_NAME"), variable("AWS_REGION")
    flow = configured()
    return Services(
        service=service,
        flow=flow.name,
        loader=Loader(
            flow,
            _database(flow, region),
            lambda stored: s3_source(region, stored.bucket, stored.key),
        ),
        logger=telemetry.logger(service),
    )


def handler(event: Mapping[str, Any], context: Context) -> Any:
    """Answer the event source mapping."""
    return load(event, services(), seconds_left(context))


def load(event: Mapping[str, Any], services: Services, seconds_left: Callable[[], float]) -> Any:
    """Load the objects of a batch; report the messages that are to come again."""
    counts = Counter({**_counts(Loaded()), "LoadFailures": 0})
    lags: list[float] = []

    def one(record: SQSRecord) -> None:  # Powertools calls it by this name
        try:
            loaded, lag = _load_one(record.body, services, seconds_left)
        except Exception as error:
            counts["LoadFailures"] += 1
            _tell(services.logger, record, error)
            raise
        if loaded:
            counts.update(_counts(loaded))
            lags.extend([] if loaded.duplicate else [lag])

    answer = process_partial_response(
        event=dict(event),
        record_handler=one,
        processor=BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False),
    )
    metrics.emit(services.service, services.flow, counts, {"LoadLag": lags})
    return answer


def _load_one(
    body: str, services: Services, seconds_left: Callable[[], float]
) -> tuple[Loaded | None, float]:
    """Load a message's object, unless it is to be skipped; return its lag as well."""
    stored = StoredObject.parse(body)
    if not stored.key.startswith(f"loads/{services.flow}/"):
        raise InvalidInput(f"{stored} is not below loads/{services.flow}/")
    if stored.is_empty:
        services.logger.info("skipped an empty object", extra={"object": str(stored)})
        return None, 0.0
    if seconds_left() < SECONDS_NEEDED:
        raise LoadFailed("no time was left to this invocation")
    loaded = services.loader.load(stored, seconds_left)
    lag = services.now() - stored.created
    services.logger.info(
        "loaded",
        extra={
            "object": str(stored),
            "lines": loaded.lines,
            "upserts": loaded.upserts,
            "deletes": loaded.deletes,
            "duplicate": loaded.duplicate,
            "lag": round(lag, 3),
        },
    )
    return loaded, lag


def _counts(loaded: Loaded) -> dict[str, int]:
    return {
        "LoadRows": loaded.lines,
        "LoadUpserts": loaded.upserts,
        "LoadDeletes": loaded.deletes,
        "LoadStale": loaded.stale,
        "LoadDuplicates": int(loaded.duplicate),
    }


def _tell(logger: Logger, message: SQSRecord, error: Exception) -> None:
    """Log why an object was not loaded. Errors that are not ours are named, not quoted."""
    reason = str(error) if isinstance(error, FerryError) else type(error).__name__
    logger.error(
        "an object was not loaded",
        extra={"message_id": message.message_id, "object": _name(message.body), "reason": reason},
    )


def _name(body: str) -> str | None:
    try:
        return str(StoredObject.parse(body))
    except InvalidInput:
        return None


def _database(flow: Flow, region: str) -> Database:
    host, user = variable("DATABASE_HOST"), variable("DATABASE_USER")
    port = int(variable("DATABASE_PORT"))
    return Database(
        host=host,
        port=port,
        database=flow.database,
        credentials=_credentials(host, port, user, region),
        tls=verified(certificates()),
    )


def _credentials(host: str, port: int, user: str, region: str) -> Credentials:
    arn = os.environ.get("DATABASE_SECRET_ARN")
    if arn:
        config = Config(connect_timeout=3.0, read_timeout=5.0, retries={"total_max_attempts": 2})
        return secret(boto3.client("secretsmanager", config=config), arn, user)
    return iam_token(boto3.client("rds"), host, port, user, region)
