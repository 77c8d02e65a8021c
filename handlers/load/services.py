"""The clients a function works with, made once for as long as its environment lives."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config

from load.bigquery import BigQuery
from load.request import Context, LoadRequest
from load.transfer import Transfers
from shared import telemetry
from shared.environment import Environment
from shared.google import CONNECTIONS, Google
from shared.storage import Storage


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the steps of a load need of the world."""

    service: str
    storage: Callable[[str], Storage]
    transfers: Transfers
    bigquery: BigQuery
    logger: Logger


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the clients for this function's environment."""
    environment = Environment.parse(os.environ)
    google = Google(environment)
    s3 = boto3.client(
        "s3",
        config=Config(
            max_pool_connections=CONNECTIONS, retries={"mode": "standard", "max_attempts": 5}
        ),
    )
    return Services(
        service=environment.service,
        storage=lambda bucket: Storage(s3, bucket),
        transfers=Transfers(google),
        bigquery=BigQuery(google, environment.project),
        logger=telemetry.logger(environment.service),
    )


def logger_for(services: Services, request: LoadRequest) -> Logger:
    """Return the logger, every line of which now names the export."""
    services.logger.append_keys(source=request.source, export_task=request.export_task)
    return services.logger


def seconds_left(context: Context) -> Callable[[], float]:
    """Return a clock that says how long this call may go on."""
    return lambda: context.get_remaining_time_in_millis() / 1000
