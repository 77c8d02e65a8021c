"""The local Amazon Data Firehose: delivery streams that producers put records into, and S3.

It answers the whole API in ministack's place. Streams are ACTIVE, deleted and encrypted at once.
What it does not rehearse, and refuses: other sources and destinations than DirectPut and S3. What
it does not rehearse, and lets pass: limits of throughput ("Amazon Data Firehose Quota", developer
guide) and rates of API calls. Sources: the Amazon Data Firehose API reference; texts of errors are
the service's own where they are known.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.config import Config

from rehearsal.aws.access import Access
from rehearsal.aws.delivery_faults import DeliveryFaults
from rehearsal.aws.firehose_delivery import Authorize, Roles
from rehearsal.aws.firehose_pipeline import Surroundings
from rehearsal.aws.firehose_settings import Description, described, roles
from rehearsal.aws.firehose_shapes import (
    ApiError,
    Response,
    answer,
    check_request,
    constraint,
    invalid,
    operations,
    refusal,
)
from rehearsal.aws.firehose_stream import DeliveryStream
from rehearsal.aws.firehose_transform import Invoke
from rehearsal.aws.guard import Handler
from rehearsal.aws.principals import Credentials, Principals

RECORD_BYTES = 1_024_000
"""The data of one record, before base64."""

BATCH_RECORDS = 500
"""Records of one PutRecordBatch."""

BATCH_BYTES = 4 * 1024 * 1024
"""All data of one PutRecordBatch, before base64."""

STREAMS = 5_000
"""Delivery streams of an account in a Region."""

TAGS = 50
"""Tags of one delivery stream."""

Answer = dict[str, Any]
Request = Mapping[str, Any]

_DATA_OPERATIONS = ("PutRecord", "PutRecordBatch")


class LocalFirehose:
    """The delivery streams of an account."""

    def __init__(
        self,
        account: str,
        region: str,
        principals: Principals,
        access: Access,
        *,
        invoke: Invoke,
        authorize: Authorize,
        client: Callable[[str, Config, Credentials], Any],
        report: Callable[[str], None],
        faults: DeliveryFaults,
        wait_scale: float,
    ) -> None:
        """Nothing runs until the first delivery stream is made.

        `invoke` runs a function; `authorize` raises PermissionError for what a role may not do;
        `wait_scale` shortens all waits.
        """
        self._account = account
        self._principals = principals
        roles_of = Roles(
            account, principals, access, authorize=authorize, client=client, report=report
        )
        self._outside = Surroundings(region, invoke, roles_of, report, faults, wait_scale)
        self._lock = threading.RLock()
        self._streams: dict[str, DeliveryStream] = {}
        self._started: list[DeliveryStream] = []
        self._actions: dict[str, Callable[[Request], Answer]] = {
            "CreateDeliveryStream": self._create,
            "DescribeDeliveryStream": self._describe,
            "UpdateDestination": self._update,
            "DeleteDeliveryStream": self._delete,
            "ListDeliveryStreams": self._list,
            "TagDeliveryStream": self._tag,
            "UntagDeliveryStream": self._untag,
            "ListTagsForDeliveryStream": self._list_tags,
            "StartDeliveryStreamEncryption": self._encrypt,
            "StopDeliveryStreamEncryption": self._stop_encryption,
            "PutRecord": self._put_record,
            "PutRecordBatch": self._put_record_batch,
        }

    # --- what a rehearsal does with it ----------------------------------------------------------

    def flush(self, timeout: float = 300) -> bool:
        """Deliver all that is buffered now; False when some of it was not delivered in the time.

        What cannot be delivered is a problem of the rehearsal already, and is tried again later.
        Records that are not transformed are delivered below the prefix of errors.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            pipelines = [stream.pipeline for stream in self._streams.values()]
        flushes = [(pipeline, pipeline.begin_flush()) for pipeline in pipelines]
        delivered = [
            pipeline.wait_flushed(number, max(0, deadline - time.monotonic()))
            for pipeline, number in flushes
        ]
        return all(delivered)

    def is_idle(self) -> bool:
        """Tell whether no record waits or is on its way."""
        with self._lock:
            return all(stream.pipeline.is_idle for stream in self._streams.values())

    def close(self) -> None:
        """Stop every stream; `join` waits for their threads."""
        for stream in self._started:
            stream.pipeline.close()

    def join(self) -> None:
        """Wait for the threads of all streams to end, those of deleted ones as well."""
        for stream in self._started:
            stream.pipeline.join()
        self._outside.roles.close()

    # --- requests -------------------------------------------------------------------------------

    def wrap(self, _original: Handler) -> Handler:
        """Return what answers requests in ministack's place."""
        return self.handle

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any
    ) -> Response:
        """Answer a request of the Firehose API; nothing in here waits."""
        return self.respond(headers.get("x-amz-target", "").rpartition(".")[2], body)

    def respond(self, operation: str, body: bytes) -> Response:
        """Return the response to a request."""
        try:
            if operation not in operations():
                raise ApiError("UnknownOperationException", f"{operation} is no operation")
            request = _parsed(body)
            if operation not in _DATA_OPERATIONS:
                check_request(operation, request)
            return answer(self._actions[operation](request))
        except ApiError as error:
            return refusal(error)

    def _stream(self, request: Request) -> DeliveryStream:
        name = request.get("DeliveryStreamName")
        with self._lock:
            stream = self._streams.get(str(name))
        if stream is None:
            raise ApiError(
                "ResourceNotFoundException",
                f"Firehose {name} under account {self._account} not found.",
            )
        return stream

    # --- streams --------------------------------------------------------------------------------

    def _create(self, request: Request) -> Answer:
        name = request["DeliveryStreamName"]
        destination = described(_configuration(request))
        self._check_roles(name, destination)
        tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        encryption = self._encryption(request)
        with self._lock:
            if name in self._streams:
                raise ApiError(
                    "ResourceInUseException",
                    f"Firehose {name} under accountId {self._account} already exists",
                )
            if len(self._streams) >= STREAMS:
                raise ApiError(
                    "LimitExceededException",
                    f"The account has {STREAMS} delivery streams, which is the most",
                )
            stream = DeliveryStream(name, self._arn(name), destination, tags, self._outside)
            if encryption:
                stream.encryption = encryption
            self._streams[name] = stream
            self._started.append(stream)
        return {"DeliveryStreamARN": stream.arn}

    def _arn(self, name: str) -> str:
        return f"arn:aws:firehose:{self._outside.region}:{self._account}:deliverystream/{name}"

    def _check_roles(self, name: str, destination: Description) -> None:
        for role in dict.fromkeys(roles(destination)):
            try:
                self._outside.roles.assume(role, self._arn(name))
            except PermissionError:
                raise invalid(
                    f"Firehose is unable to assume role {role}. Please check the role provided."
                ) from None

    def _describe(self, request: Request) -> Answer:
        return {"DeliveryStreamDescription": self._stream(request).describe()}

    def _update(self, request: Request) -> Answer:
        update = _update_of(request)
        with self._lock:
            stream = self._stream(request)
            destination = stream.merged(
                request["CurrentDeliveryStreamVersionId"], request["DestinationId"], update
            )
            self._check_roles(stream.name, destination)
            stream.change(destination)
        return {}

    def _delete(self, request: Request) -> Answer:
        with self._lock:
            stream = self._stream(request)
            del self._streams[stream.name]
        lost = stream.pipeline.close()
        if lost:
            self._outside.report(f"{stream.arn} was deleted with {lost} records undelivered")
        return {}

    def _list(self, request: Request) -> Answer:
        after = request.get("ExclusiveStartDeliveryStreamName", "")
        limit = request.get("Limit", 10)
        kind = request.get("DeliveryStreamType", "DirectPut")
        with self._lock:
            names = sorted(self._streams) if kind == "DirectPut" else []
        names = [name for name in names if name > after]
        return {
            "DeliveryStreamNames": names[:limit],
            "HasMoreDeliveryStreams": len(names) > limit,
        }

    # --- tags and encryption --------------------------------------------------------------------

    def _tag(self, request: Request) -> Answer:
        stream = self._stream(request)
        tags = stream.tags | {tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}
        if len(tags) > TAGS:
            raise ApiError(
                "LimitExceededException", f"A delivery stream cannot have more than {TAGS} tags"
            )
        stream.tags = tags
        return {}

    def _untag(self, request: Request) -> Answer:
        stream = self._stream(request)
        gone = set(request["TagKeys"])
        stream.tags = {key: value for key, value in stream.tags.items() if key not in gone}
        return {}

    def _list_tags(self, request: Request) -> Answer:
        after, limit = request.get("ExclusiveStartTagKey", ""), request.get("Limit", TAGS)
        tags = sorted(self._stream(request).tags.items())
        shown = [{"Key": key, "Value": value} for key, value in tags if key > after]
        return {"Tags": shown[:limit], "HasMoreTags": len(shown) > limit}

    def _encrypt(self, request: Request) -> Answer:
        stream = self._stream(request)
        key = {"DeliveryStreamEncryptionConfigurationInput": {"KeyType": "AWS_OWNED_CMK"}}
        stream.encryption = self._encryption({**key, **request})
        return {}

    def _stop_encryption(self, request: Request) -> Answer:
        self._stream(request).encryption = {"Status": "DISABLED"}
        return {}

    def _encryption(self, request: Request) -> dict[str, str]:
        """Return the encryption a request asks for; nothing where it asks for none."""
        given = request.get("DeliveryStreamEncryptionConfigurationInput")
        if not given:
            return {}
        key = given.get("KeyARN")
        if (given["KeyType"] == "CUSTOMER_MANAGED_CMK") != bool(key):
            raise invalid(
                "KeyARN must be given for the KeyType CUSTOMER_MANAGED_CMK, and only then"
            )
        if key and self._principals.key(key) is None:
            raise ApiError("InvalidKMSResourceException", f"Key '{key}' does not exist")
        return {"Status": "ENABLED", **given}

    # --- records --------------------------------------------------------------------------------

    def _put_record(self, request: Request) -> Answer:
        data = _data(request.get("Record") or {}, "record")
        stream = self._stream(request)
        (record_id,) = stream.put([data])
        return {"RecordId": record_id, "Encrypted": stream.is_encrypted}

    def _put_record_batch(self, request: Request) -> Answer:
        entries = request.get("Records") or []
        if not 1 <= len(entries) <= BATCH_RECORDS:
            raise constraint(
                "records",
                f"Member must have length less than or equal to {BATCH_RECORDS}"
                if entries
                else "Member must have length greater than or equal to 1",
            )
        data = [_data(entry, f"records.{n}.member") for n, entry in enumerate(entries, 1)]
        if sum(map(len, data)) > BATCH_BYTES:
            raise invalid("Records size exceeds 4 MB limit")
        stream = self._stream(request)
        rejected = [self._outside.faults.rejects() for _ in data]
        ids = iter(stream.put(one for one, no in zip(data, rejected, strict=True) if not no))
        return {
            "FailedPutCount": sum(rejected),
            "Encrypted": stream.is_encrypted,
            "RequestResponses": [
                dict(_SLOW_DOWN) if no else {"RecordId": next(ids)} for no in rejected
            ],
        }


def _parsed(body: bytes) -> Request:
    try:
        request: Request = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("SerializationException", f"The body is not JSON: {error}") from None
    return request


_SLOW_DOWN = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}


def _data(entry: Mapping[str, Any], path: str) -> bytes:
    """Return the data of a record."""
    text = entry.get("Data")
    if text is None:
        raise constraint(f"{path}.data", "Member must not be null")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ApiError("SerializationException", "Record data is not base64") from None
    if len(data) > RECORD_BYTES:
        raise constraint(
            f"{path}.data", f"Member must have length less than or equal to {RECORD_BYTES}"
        )
    return data


def _configuration(request: Request) -> Mapping[str, Any]:
    """Return the configuration of the destination that a new stream is given."""
    kind = request.get("DeliveryStreamType", "DirectPut")
    if kind != "DirectPut":
        raise invalid(f"{kind}: the local Firehose knows only DirectPut")
    return _only_s3(request, "DestinationConfiguration")


def _update_of(request: Request) -> Mapping[str, Any]:
    return _only_s3(request, "DestinationUpdate")


def _only_s3(request: Request, ending: str) -> Mapping[str, Any]:
    """Return the settings of the one destination that a request has."""
    given = [name for name in request if name.endswith(ending)]
    for name in given:
        if name not in (f"ExtendedS3{ending}", f"S3{ending}"):
            raise invalid(f"{name}: the local Firehose delivers only to S3")
    if len(given) != 1:
        raise invalid("Exactly one destination configuration is supported for a Firehose")
    found: Mapping[str, Any] = request[given[0]]
    return found
