"""Stream: take the changes of a DynamoDB table to the delivery stream.

Answers with the lowest sequence number that was not accepted, if any: Lambda goes on from there,
and what came before is done (AWS, "Configuring partial batch response with DynamoDB and Lambda").
When Firehose has finally not accepted a change, nothing after it is sent.

A change that cannot be carried is reported in the same way, until the event source mapping gives up
and hands it to its on-failure destination. Lambda then hands over all that followed it in the batch
as well; so what followed is sent all the same, and comes again only as duplicates.

Metrics: `StreamRecords` (accepted), `StreamResends`, and `StreamFailures` (not accepted or not
carried).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict

from aws_lambda_powertools import Logger

from replication import metrics
from replication.changes import Change, NotCarried, change_of, key_hash
from replication.delivery import (
    SECONDS_TO_SPARE,
    Delivery,
    DeliveryRefused,
    deliveries,
    requests_of,
)
from replication.flow import configured
from replication.invocation import Context, seconds_left, variable
from shared import telemetry


class Failure(TypedDict):
    """From where on Lambda is to try again."""

    itemIdentifier: str


class Answer(TypedDict):
    """What an event source mapping with `ReportBatchItemFailures` reads."""

    batchItemFailures: list[Failure]


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the function needs of the world."""

    service: str
    flow: str
    delivery: Callable[[], Delivery]
    logger: Logger


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the clients for this function's environment."""
    service = variable("SERVICE_NAME")
    return Services(
        service=service,
        flow=configured().name,
        delivery=deliveries(variable("DELIVERY_STREAM")),
        logger=telemetry.logger(service),
    )


def handler(event: Mapping[str, Any], context: Context) -> Answer:
    """Answer the event source mapping."""
    return deliver(event["Records"], services(), seconds_left(context))


def deliver(
    records: Sequence[Mapping[str, Any]], services: Services, seconds_left: Callable[[], float]
) -> Answer:
    """Send what can be sent; say from where on to try again."""
    changes, not_carried = _changes(records, services.logger)
    delivery = services.delivery()
    not_sent = _send(changes, delivery, services.logger, seconds_left)
    failed = [*not_carried, *not_sent]
    metrics.emit(
        services.service,
        services.flow,
        {
            "StreamRecords": len(changes) - len(not_sent),
            "StreamResends": delivery.resent,
            "StreamFailures": len(failed),
        },
    )
    if not failed:
        return Answer(batchItemFailures=[])
    return Answer(batchItemFailures=[Failure(itemIdentifier=min(failed, key=int))])


def _changes(
    records: Sequence[Mapping[str, Any]], logger: Logger
) -> tuple[list[Change], list[str]]:
    """Return the changes, and the sequences of those that cannot be carried."""
    changes: list[Change] = []
    not_carried: list[str] = []
    for record in records:
        try:
            changes.append(change_of(record))
        except NotCarried as reason:
            sequence = str(record["dynamodb"]["SequenceNumber"])
            not_carried.append(sequence)
            logger.error(
                "a change cannot be carried",
                extra={"sequence": sequence, "key": key_hash(record), "reason": str(reason)},
            )
    return changes, not_carried


def _send(
    changes: Sequence[Change],
    delivery: Delivery,
    logger: Logger,
    seconds_left: Callable[[], float],
) -> list[str]:
    """Send the changes in order; return the sequences of those that were not accepted."""
    data = [change.data for change in changes]
    for request in requests_of(data):
        if request.start and seconds_left() < SECONDS_TO_SPARE:
            left, reason = list(request), "no time is left"
        else:
            left, reason = _send_one(data, request, delivery, seconds_left)
        if left:
            waiting = [changes[index].number for index in [*left, *range(request.stop, len(data))]]
            logger.warning(
                "changes were not accepted",
                extra={"changes": len(waiting), "sequence": waiting[0], "reason": reason},
            )
            return waiting
    return []


def _send_one(
    data: Sequence[bytes], request: range, delivery: Delivery, seconds_left: Callable[[], float]
) -> tuple[list[int], str]:
    """Send one request; return the indexes of what was not accepted, and why."""
    try:
        left = delivery.send(data[request.start : request.stop], seconds_left)
    except DeliveryRefused as refused:
        return list(request), str(refused)
    return [request.start + index for index in left], "Firehose did not accept them in time"
