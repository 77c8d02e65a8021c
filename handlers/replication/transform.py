"""Transform: validate the records of a Firehose buffer and make CSV of them.

**Where a reason goes.** Firehose keeps a record answered as `ProcessingFailed` below its error
prefix, as `rawData` beside a fixed `errorCode` (``Lambda.ProcessingFailedStatus``) and
`errorMessage` (``ProcessingFailed status set for record``); nothing the function says has a place
there (AWS, "Handle failure in data transformation", and objects seen in public issues). Whether
`rawData` is what the function was given or what it returned is not documented, so a reason in the
returned data would risk the record. The function therefore writes the record and its reason to an
object of its own (see `reasons`), and then answers `Dropped`: Firehose counts the record as done
and keeps no second copy. If that object cannot be written, the answer is `ProcessingFailed` with
the record's own data: it is then below the same prefix without its reason, which is in the log.

**Size.** A synchronous answer has at most 6 MB (AWS, "Transform source data in Amazon Data
Firehose"). CSV is usually shorter than JSON, but quotes are doubled. A record whose line no longer
fits, counting all others as if they were to be returned as they came, is failed with that reason.

Metrics: `RecordsTransformed` and `RecordsFailed`.
"""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypedDict

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from replication import metrics
from replication.conversion import Unfit
from replication.flow import configured
from replication.invocation import Context, variable
from replication.lines import LineWriter, line_writer, sequence_of
from replication.reasons import Poison, Reasons
from shared import telemetry

MAX_RESPONSE = 6 * 1024 * 1024 - 1024
REASONS_LOGGED = 5

_ENVELOPE = len('{"recordId": "", "result": "ProcessingFailed", "data": ""}, ')
_TOO_LARGE = "the line does not fit into the function's answer of 6 MB; send the record again"


class Transformed(TypedDict):
    """What became of a record."""

    recordId: str
    result: str
    data: str


class Answer(TypedDict):
    """What Firehose reads."""

    records: list[Transformed]


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the function needs of the world."""

    service: str
    flow: str
    line: LineWriter
    reasons: Reasons
    logger: Logger


@lru_cache(maxsize=1)
def services() -> Services:
    """Return the clients for this function's environment, and the flow's line writer."""
    service, bucket = variable("SERVICE_NAME"), variable("BUCKET")
    flow = configured()
    config = Config(
        retries={"mode": "standard", "max_attempts": 3}, connect_timeout=3.0, read_timeout=15.0
    )
    return Services(
        service=service,
        flow=flow.name,
        line=line_writer(flow),
        reasons=Reasons(boto3.client("s3", config=config), bucket, flow.name),
        logger=telemetry.logger(service),
    )


def handler(event: Mapping[str, Any], context: Context) -> Answer:
    """Answer Firehose."""
    return transform(event, services())


def transform(event: Mapping[str, Any], services: Services) -> Answer:
    """Transform a buffer: every record comes back, in order."""
    records = event["records"]
    answers, failed = _lines(records, services.line)
    if failed:
        _fail(event, answers, failed, services)
    metrics.emit(
        services.service,
        services.flow,
        {"RecordsTransformed": len(records) - len(failed), "RecordsFailed": len(failed)},
    )
    return Answer(records=answers)


def _lines(
    records: Sequence[Mapping[str, str]], line: LineWriter
) -> tuple[list[Transformed], dict[int, str]]:
    """Return an answer for each record, and the reasons of those that have failed, by index."""
    answers: list[Transformed] = []
    failed: dict[int, str] = {}
    room = MAX_RESPONSE - _size(records)
    for record in records:
        data = record["data"]
        try:
            encoded = b2a_base64(line(a2b_base64(data)), newline=False).decode()
            grown = len(encoded) - len(data)
            if grown > room:
                raise Unfit(_TOO_LARGE)
        except Exception as error:
            failed[len(answers)] = _reason(error)
            answers.append(
                {"recordId": record["recordId"], "result": "ProcessingFailed", "data": data}
            )
        else:
            room -= grown
            answers.append({"recordId": record["recordId"], "result": "Ok", "data": encoded})
    return answers, failed


def _size(records: Sequence[Mapping[str, str]]) -> int:
    """Return the size of an answer that gives all records back as they came."""
    ids = sum([len(record["recordId"]) for record in records])
    return ids + sum([len(record["data"]) for record in records]) + len(records) * _ENVELOPE


def _reason(error: Exception) -> str:
    """Return why a record failed. No record may take the others of its buffer along."""
    if isinstance(error, Unfit):
        return str(error)
    if isinstance(error, NotBase64):
        return "the record is not base64"
    if isinstance(error, UnicodeEncodeError):
        return "the record has half a surrogate pair, which is no text"
    return f"the record could not be transformed ({type(error).__name__})"


def _fail(
    event: Mapping[str, Any],
    answers: list[Transformed],
    failed: Mapping[int, str],
    services: Services,
) -> None:
    """Store the failed records with their reasons; drop them once that is done."""
    poison = [
        Poison(
            record_id=answers[index]["recordId"],
            sequence=_sequence(answers[index]["data"]),
            reason=reason,
            raw_data=answers[index]["data"],
        )
        for index, reason in failed.items()
    ]
    reasons = Counter(failed.values()).most_common(REASONS_LOGGED)
    told = {"records": len(poison), "reasons": [f"{count} x {text}" for text, count in reasons]}
    try:
        key = services.reasons.store(str(event.get("invocationId")), poison)
    except (BotoCoreError, ClientError) as error:
        services.logger.error(
            "records failed, and their reasons could not be stored",
            extra={**told, "error": type(error).__name__},
        )
        return
    services.logger.warning("records failed", extra={**told, "object": key})
    for index in failed:
        answers[index]["result"], answers[index]["data"] = "Dropped", ""


def _sequence(data: str) -> str | None:
    try:
        return sequence_of(a2b_base64(data))
    except NotBase64:
        return None
