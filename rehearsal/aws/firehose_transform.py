"""Transformation of records by a Lambda function, and what becomes of those it does not transform.

Sources: Amazon Data Firehose developer guide, "Transform source data", "Required parameters for
data transformation", "Handle failure in data transformation" and, for codes and messages, "Monitor
Amazon Data Firehose using CloudWatch Logs" (Lambda invocation errors). Where these are silent,
objects that the service wrote in 2026 are followed, as recorded at
https://github.com/floci-io/floci/pull/3393 and in the public captures of radkawar/stackd:

- failed invocations are retried, whatever the reason; an answer of the function is final;
- a record that is not returned, or is returned twice, fails alone, and ids that were not asked for
  are overlooked; a result or data that cannot be understood fails the whole batch;
- the function is called `lambdaARN` in the error record, where the guide writes `lambdaArn`.

Not known, and inferred: the codes of a request over Lambda's 6 MB and of Lambda's own errors.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rehearsal.aws.firehose_buffer import Record
from rehearsal.aws.firehose_settings import Transformation
from rehearsal.aws.functions import PayloadTooLarge, ThrottledError


class Answer(Protocol):
    """What a function answers: its JSON, or `error` and a JSON that describes it."""

    @property
    def payload(self) -> bytes:
        """Return the JSON."""

    @property
    def error(self) -> str | None:
        """Return what Lambda says of an error, None where there is none."""


Invoke = Callable[[str, bytes], Answer]
"""Invokes a function by its ARN as `functions.Functions.invoke` does, with its errors."""


@dataclass(frozen=True)
class Failure:
    """An error code with its message."""

    code: str
    message: str


ASSUME_DENIED = Failure(
    "Lambda.AssumeRoleAccessDenied",
    "Access was denied. Ensure that the trust policy for the provided IAM role allows Firehose to "
    "assume the role.",
)
INVOKE_DENIED = Failure(
    "Lambda.InvokeAccessDenied",
    "Access was denied. Ensure that the access policy allows access to the Lambda function.",
)
_NOT_FOUND = Failure(
    "Lambda.ResourceNotFound",
    "The specified Lambda function does not exist. Use a different function that does exist.",
)
_THROTTLED = Failure(
    "Lambda.InvokeLimitExceeded",
    "The Lambda concurrent execution limit is exceeded. Increase the concurrent execution limit.",
)
_FUNCTION_ERROR = Failure(
    "Lambda.FunctionError",
    "The Lambda function was successfully invoked but it returned an error result.",
)
_NOT_JSON = Failure(
    "Lambda.JsonProcessingException",
    "There was an error parsing returned records from the Lambda function. Ensure that the "
    "returned records follow the status model required by Firehose.",
)
_WRONG_FORMAT = Failure(
    "Lambda.FunctionError",
    "Check your function and make sure the output is in required format. In addition to that, "
    "make sure the processed records contain valid result status of Dropped, Ok, or "
    "ProcessingFailed",
)
_MISSING = Failure(
    "Lambda.MissingRecordId",
    "One or more record Ids were not returned. Ensure that the Lambda function returns all "
    "received record Ids.",
)
_DUPLICATED = Failure(
    "Lambda.DuplicatedRecordId",
    "Multiple records were returned with the same record ID. Ensure that the Lambda function "
    "returns unique record IDs for each record.",
)
_FAILED_STATUS = Failure("Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record")
_NO_DATA = Failure(
    "Lambda.InvalidReturnFormat",
    "The data field cannot be null when the SourceType is DirectPut or KinesisStreamAsSource and "
    "processing result is Ok. The value field cannot be null when the SourceType is MSKAsSource "
    "and processing result is Ok.",
)


class InvocationDenied(Exception):
    """The processor's role may not invoke the function."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _BatchFailed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass
class Outcome:
    """What became of a batch: records to deliver, and lines for the error output.

    `failures` are what the log group is told of; a record that the function itself calls
    ProcessingFailed is not among them.
    """

    delivered: list[Record] = field(default_factory=list)
    failed: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Transformer:
    """Transforms the batches of one delivery stream."""

    def __init__(
        self,
        stream_arn: str,
        region: str,
        *,
        invoke: Invoke,
        authorize: Callable[[Transformation], None],
        pause: Callable[[int], None],
    ) -> None:
        """`authorize` raises InvocationDenied; `pause` waits before the retry of that number."""
        self._stream_arn = stream_arn
        self._region = region
        self._invoke = invoke
        self._authorize = authorize
        self._pause = pause

    def transform(self, by: Transformation, records: Sequence[Record]) -> Outcome:
        """Return what becomes of *records*."""
        outcome = Outcome()
        for attempt in range(1, by.retries + 2):
            if attempt > 1:
                self._pause(attempt - 1)
            answer = self._try(by, records)
            if not isinstance(answer, Failure):
                break
            outcome.failures.append(answer)
        verdicts = (
            [answer] * len(records)
            if isinstance(answer, Failure)
            else _verdicts(answer, records, outcome)
        )
        self._sort(by.function, records, verdicts, attempt, outcome)
        return outcome

    def _try(self, by: Transformation, records: Sequence[Record]) -> bytes | Failure:
        """Invoke the function once; return its answer, or why there is none."""
        try:
            self._authorize(by)
            answer = self._invoke(by.function, self._event(records))
        except InvocationDenied as error:
            return error.failure
        except ThrottledError:
            return _THROTTLED
        except PayloadTooLarge as error:
            return Failure("Lambda.RequestEntityTooLargeException", str(error))
        except LookupError:
            return _NOT_FOUND
        except Exception as error:  # no record may be lost to a mistake
            return Failure("Lambda.InternalServerError", f"{type(error).__name__}: {error}")
        return _FUNCTION_ERROR if answer.error else answer.payload

    def _event(self, records: Sequence[Record]) -> bytes:
        """Return the event of one invocation; a retry has the same record ids in another one."""
        event = {
            "invocationId": str(uuid.uuid4()),
            "deliveryStreamArn": self._stream_arn,
            "region": self._region,
            "records": [
                {
                    "recordId": record.id,
                    "approximateArrivalTimestamp": record.arrived,
                    "data": base64.b64encode(record.data).decode(),
                }
                for record in records
            ],
        }
        return json.dumps(event, separators=(",", ":")).encode()

    @staticmethod
    def _sort(
        function: str,
        records: Sequence[Record],
        verdicts: Sequence[bytes | Failure | None],
        attempts: int,
        outcome: Outcome,
    ) -> None:
        """Put each record where its verdict says: data to deliver, a failure, None for dropped."""
        now, ended = time.monotonic(), int(time.time() * 1000)
        for record, verdict in zip(records, verdicts, strict=True):
            if isinstance(verdict, Failure):
                line = _error_line(function, record, verdict, attempts, ended)
                outcome.failed.append(record._replace(data=line, since=now))
            elif verdict is not None:
                outcome.delivered.append(record._replace(data=verdict, since=now))


def _error_line(
    function: str, record: Record, failure: Failure, attempts: int, ended: int
) -> bytes:
    line = {
        "rawData": base64.b64encode(record.data).decode(),
        "errorCode": failure.code,
        "errorMessage": failure.message,
        "attemptsMade": attempts,
        "arrivalTimestamp": record.arrived,
        "attemptEndingTimestamp": ended,
        "lambdaARN": function,
    }
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


# --- the function's answer ------------------------------------------------------------------------


def _verdicts(
    payload: bytes, records: Sequence[Record], outcome: Outcome
) -> list[bytes | Failure | None]:
    """Return data, failure or None (dropped) for each record; tell *outcome* of the failures."""
    try:
        returned = _returned(payload)
        counts = Counter(entry["recordId"] for entry in returned)
        by_id = {entry["recordId"]: _verdict(entry) for entry in returned}
    except _BatchFailed as error:
        outcome.failures.append(error.failure)
        return [error.failure] * len(records)
    verdicts = [
        _DUPLICATED if counts[record.id] > 1 else by_id.get(record.id, _MISSING)
        for record in records
    ]
    kinds = dict.fromkeys(each for each in verdicts if isinstance(each, Failure))
    outcome.failures += [kind for kind in kinds if kind is not _FAILED_STATUS]
    return verdicts


def _returned(payload: bytes) -> list[dict[str, Any]]:
    """Return the records of an answer; an answer that has none leaves all of them out."""
    try:
        answer = json.loads(payload)
    except ValueError:
        raise _BatchFailed(_NOT_JSON) from None
    records = answer.get("records") if isinstance(answer, dict) else None
    if records is None:
        return []
    if not isinstance(records, list) or not all(
        isinstance(each, dict) and isinstance(each.get("recordId"), str) for each in records
    ):
        raise _BatchFailed(_NOT_JSON)
    return records


def _verdict(entry: dict[str, Any]) -> bytes | Failure | None:
    result, data = entry.get("result"), entry.get("data")
    if result == "Dropped":
        return None
    if result == "ProcessingFailed":
        return _FAILED_STATUS
    if result != "Ok":
        raise _BatchFailed(_WRONG_FORMAT)
    if data is None:
        return _NO_DATA
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _BatchFailed(_WRONG_FORMAT) from None
