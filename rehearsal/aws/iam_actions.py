"""From an HTTP request to the IAM actions it needs.

Actions, resources and condition keys are those of the Service Authorization Reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/). Only what the routes use is
listed; `requirements` returns None for the rest, and the guard refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from rehearsal.aws.principals import Encryption, Encryptions, Principals

EXPORT_SERVICE = "export.rds.amazonaws.com"


@dataclass(frozen=True)
class Requirement:
    """One authorization a request needs."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A request as ministack's handlers get it."""

    service: str
    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: bytes

    @property
    def operation(self) -> str:
        """Return the API operation's name, or method and path where a protocol has none."""
        target = self.headers.get("x-amz-target", "")
        if target:
            return target.rsplit(".", 1)[-1]
        action = self.form.get("Action")
        return action or f"{self.method} {self.path}"

    @property
    def form(self) -> dict[str, str]:
        """Return the parameters of a query-protocol request."""
        pairs = {**self.query}
        if "form-urlencoded" in self.headers.get("content-type", ""):
            pairs |= parse_qs(self.body.decode(errors="replace"), keep_blank_values=True)
        return {name: values[0] for name, values in pairs.items() if values}

    @property
    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body, {} when there is none."""
        try:
            data = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}


class Actions:
    """Knows what each request of our routes needs."""

    def __init__(
        self, account: str, region: str, principals: Principals, encryptions: Encryptions
    ) -> None:
        self._account = account
        self._region = region
        self._principals = principals
        self._encryptions = encryptions
        self._services: dict[str, Callable[[Request], list[Requirement] | None]] = {
            "events": self._events,
            "firehose": self._firehose,
            "kms": self._kms,
            "lambda": self._lambda,
            "logs": self._logs,
            "rds": self._rds,
            "s3": self._s3,
            "sns": self._sns,
            "secretsmanager": self._secretsmanager,
            "sqs": self._sqs,
            "states": self._states,
            "sts": self._sts,
        }

    def requirements(self, request: Request) -> list[Requirement] | None:
        """Return what *request* needs; None when nothing is known of it."""
        service = self._services.get(request.service)
        return service(request) if service else None

    def _arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self._region}:{self._account}:{resource}"

    # --- S3 -----------------------------------------------------------------------------------

    def _s3(self, request: Request) -> list[Requirement] | None:
        bucket, _, key = request.path.lstrip("/").partition("/")
        if not bucket:
            return [Requirement("s3:ListAllMyBuckets", "*")] if request.method == "GET" else None
        sub = {name for name in request.query if name in _SUBRESOURCES}
        if key:
            return self._s3_object(request, bucket, key, sub)
        return self._s3_bucket(request, bucket, sub)

    def _s3_bucket(self, request: Request, bucket: str, sub: set[str]) -> list[Requirement] | None:
        arn = f"arn:aws:s3:::{bucket}"
        if request.method == "POST" and sub == {"delete"}:
            keys = _deleted_keys(request.body)
            return [Requirement("s3:DeleteObject", f"{arn}/{key}") for key in keys]
        if request.method not in ("GET", "HEAD"):
            return None
        listing = {
            context: request.query[name][0]
            for name, context in _LISTING_CONTEXT.items()
            if name in request.query
        }
        if not sub:
            return [Requirement("s3:ListBucket", arn, listing)]
        action = {
            "location": "s3:GetBucketLocation",
            "versions": "s3:ListBucketVersions",
            "uploads": "s3:ListBucketMultipartUploads",
            "encryption": "s3:GetEncryptionConfiguration",
        }.get("+".join(sorted(sub)))
        return [Requirement(action, arn, listing)] if action else None

    def _s3_object(
        self, request: Request, bucket: str, key: str, sub: set[str]
    ) -> list[Requirement] | None:
        arn = f"arn:aws:s3:::{bucket}/{key}"
        how = (request.method, "+".join(sorted(sub)))
        if how in (("GET", ""), ("HEAD", ""), ("GET", "partNumber"), ("HEAD", "partNumber")):
            return self._read(bucket, key, "s3:GetObject")
        if how in (("GET", "versionId"), ("HEAD", "versionId")):
            return self._read(bucket, key, "s3:GetObjectVersion")
        if how in (("PUT", ""), ("POST", "uploads"), ("PUT", "partNumber+uploadId")):
            return self._write(request, bucket, key, multipart=how != ("PUT", ""))
        if how == ("POST", "uploadId"):
            return self._write(request, bucket, key, multipart=True)
        action = {
            ("DELETE", ""): "s3:DeleteObject",
            ("DELETE", "versionId"): "s3:DeleteObjectVersion",
            ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
            ("GET", "uploadId"): "s3:ListMultipartUploadParts",
            ("GET", "tagging"): "s3:GetObjectTagging",
            ("PUT", "tagging"): "s3:PutObjectTagging",
        }.get(how)
        return [Requirement(action, arn)] if action else None

    def _read(self, bucket: str, key: str, action: str) -> list[Requirement]:
        needs = [Requirement(action, f"arn:aws:s3:::{bucket}/{key}")]
        encryption = self._encryptions.of_object(bucket, key)
        return [*needs, self._through_s3("kms:Decrypt", encryption)] if encryption else needs

    def _write(
        self, request: Request, bucket: str, key: str, *, multipart: bool
    ) -> list[Requirement]:
        needs = []
        source = unquote(request.headers.get("x-amz-copy-source", "")).lstrip("/").split("?")[0]
        if source:
            source_bucket, _, source_key = source.partition("/")
            needs += self._read(source_bucket, source_key, "s3:GetObject")
        needs.append(Requirement("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}"))
        if "x-amz-tagging" in request.headers:
            needs.append(Requirement("s3:PutObjectTagging", f"arn:aws:s3:::{bucket}/{key}"))
        encryption = self._encryptions.of_write(bucket, key, request.headers)
        if encryption:
            needs.append(self._through_s3("kms:GenerateDataKey", encryption))
            if multipart:
                # S3 reads the encrypted parts before it puts them together: S3 User Guide,
                # "Uploading and copying objects using multipart upload", API permissions.
                needs.append(self._through_s3("kms:Decrypt", encryption))
        return needs

    def _through_s3(self, action: str, encryption: Encryption) -> Requirement:
        context = {
            "kms:ViaService": f"s3.{self._region}.amazonaws.com",
            "kms:CallerAccount": self._account,
            "kms:EncryptionContext:aws:s3:arn": encryption.context_arn,
            "kms:EncryptionContextKeys": ["aws:s3:arn"],
        }
        return Requirement(action, encryption.key_arn, context)

    # --- KMS ----------------------------------------------------------------------------------

    def _kms(self, request: Request) -> list[Requirement] | None:
        if request.operation not in _KMS_OPERATIONS:
            return None
        record = self._principals.key(str(request.json.get("KeyId", "")))
        key_arn = record["Arn"] if record else str(request.json.get("KeyId", ""))
        return [Requirement(f"kms:{request.operation}", key_arn, self._kms_context(request))]

    def _kms_context(self, request: Request) -> dict[str, Any]:
        pairs = request.json.get("EncryptionContext") or {}
        context: dict[str, Any] = {
            f"kms:EncryptionContext:{name}": value for name, value in pairs.items()
        }
        return {
            **context,
            "kms:EncryptionContextKeys": list(pairs),
            "kms:CallerAccount": self._account,
        }

    # --- RDS ----------------------------------------------------------------------------------

    def _rds(self, request: Request) -> list[Requirement] | None:
        form = request.form
        if request.operation == "StartExportTask":
            return self._start_export(form)
        if request.operation in ("DescribeExportTasks", "CancelExportTask"):
            return [Requirement(f"rds:{request.operation}", form.get("SourceArn", "*"))]
        types = _RDS_RESOURCES.get(request.operation)
        if types is None:
            return None
        # With an identifier the request is about that resource, without one about all of them
        # (inferred: the reference only lists the resource types).
        named = [
            self._arn("rds", f"{kind}:{form[member]}") for member, kind in types if member in form
        ]
        needs = [
            Requirement(f"rds:{request.operation}", arn)
            for arn in named or [self._arn("rds", f"{types[0][1]}:*")]
        ]
        if request.operation == "AddRoleToDBCluster":
            passed = {"iam:PassedToService": "rds.amazonaws.com"}
            needs.append(Requirement("iam:PassRole", form.get("RoleArn", "*"), passed))
        return needs

    def _start_export(self, form: Mapping[str, str]) -> list[Requirement]:
        key = self._principals.key(form.get("KmsKeyId", ""))
        key_arn = key["Arn"] if key else form.get("KmsKeyId", "")
        via = {
            "kms:ViaService": f"rds.{self._region}.amazonaws.com",
            "kms:CallerAccount": self._account,
        }
        return [
            Requirement("rds:StartExportTask", form.get("SourceArn", "*")),
            Requirement(
                "iam:PassRole", form.get("IamRoleArn", "*"), {"iam:PassedToService": EXPORT_SERVICE}
            ),
            # StartExportTask API reference, KmsKeyId: the caller needs these two on the key.
            Requirement("kms:DescribeKey", key_arn, via),
            Requirement("kms:CreateGrant", key_arn, {**via, "kms:GrantIsForAWSResource": True}),
        ]

    # --- messages, functions, machines ----------------------------------------------------------

    def _events(self, request: Request) -> list[Requirement] | None:
        if request.operation != "PutEvents":
            return None
        return [
            Requirement(
                "events:PutEvents",
                self._bus(entry.get("EventBusName") or "default"),
                {"events:source": entry.get("Source"), "events:detail-type": entry["DetailType"]}
                if entry.get("DetailType")
                else {"events:source": entry.get("Source")},
            )
            for entry in request.json.get("Entries", [])
        ]

    def _bus(self, name: str) -> str:
        return name if name.startswith("arn:") else self._arn("events", f"event-bus/{name}")

    def _sns(self, request: Request) -> list[Requirement] | None:
        if request.operation != "Publish":
            return None
        topic = request.form.get("TopicArn") or request.form.get("TargetArn", "*")
        context = {"kms:EncryptionContext:aws:sns:topicArn": topic}
        key = self._principals.topic_key(topic)
        return [Requirement("sns:Publish", topic), *self._message_key("sns", key, context)]

    def _sqs(self, request: Request) -> list[Requirement] | None:
        if request.operation not in _SQS_OPERATIONS:
            return None
        action = request.operation.removesuffix("Batch")
        name = str(request.json.get("QueueUrl") or request.form.get("QueueUrl", ""))
        name = str(request.json.get("QueueName") or name.rsplit("/", 1)[-1])
        arn = self._arn("sqs", name)
        needs = [Requirement(f"sqs:{action}", arn)]
        if action in ("SendMessage", "ReceiveMessage"):
            context = {"kms:EncryptionContext:aws:sqs:arn": arn}
            needs += self._message_key("sqs", self._principals.queue_key(arn), context)
        return needs

    def _message_key(
        self, service: str, key: str | None, context: Mapping[str, Any]
    ) -> list[Requirement]:
        """Return what sending through an encrypted topic or queue needs on its key."""
        if key is None:
            return []
        full = {
            "kms:ViaService": f"{service}.{self._region}.amazonaws.com",
            "kms:CallerAccount": self._account,
            **context,
        }
        return [Requirement(action, key, full) for action in ("kms:GenerateDataKey", "kms:Decrypt")]

    def _states(self, request: Request) -> list[Requirement] | None:
        member = _STATES_OPERATIONS.get(request.operation)
        if member is None:
            return None
        return [Requirement(f"states:{request.operation}", str(request.json.get(member, "*")))]

    def _lambda(self, request: Request) -> list[Requirement] | None:
        parts = unquote(request.path).strip("/").split("/")
        if request.method != "POST" or parts[1:2] != ["functions"] or parts[3:] != ["invocations"]:
            return None
        name = parts[2]
        arn = name if name.startswith("arn:") else self._arn("lambda", f"function:{name}")
        if "Qualifier" in request.query:
            arn += f":{request.query['Qualifier'][0]}"
        return [Requirement("lambda:InvokeFunction", arn)]

    def _firehose(self, request: Request) -> list[Requirement] | None:
        operation, asked = request.operation, request.json
        if operation == "ListDeliveryStreams":
            return [Requirement("firehose:ListDeliveryStreams", "*")]
        if operation not in _FIREHOSE_OPERATIONS:
            return None
        stream = self._arn("firehose", f"deliverystream/{asked.get('DeliveryStreamName', '*')}")
        needs = [Requirement(f"firehose:{operation}", stream)]
        if operation == "CreateDeliveryStream" and asked.get("Tags"):
            needs.append(Requirement("firehose:TagDeliveryStream", stream))
        passed = {"iam:PassedToService": "firehose.amazonaws.com"}
        roles = dict.fromkeys(_roles_within(asked))
        return [*needs, *(Requirement("iam:PassRole", role, passed) for role in roles)]

    def _secretsmanager(self, request: Request) -> list[Requirement] | None:
        """Secrets under AWS's own key, which its service may use for whoever may read the secret.

        AWS, "Secret encryption and decryption in AWS Secrets Manager".
        """
        secret = str(request.json.get("SecretId", ""))
        if request.operation != "GetSecretValue" or not secret.startswith("arn:"):
            return None
        return [Requirement("secretsmanager:GetSecretValue", secret)]

    def _logs(self, request: Request) -> list[Requirement] | None:
        if request.operation not in _LOGS_OPERATIONS:
            return None
        group = request.json.get("logGroupName", "*")
        stream = request.json.get("logStreamName")
        resource = f"log-group:{group}" + (f":log-stream:{stream}" if stream else "")
        return [Requirement(f"logs:{request.operation}", self._arn("logs", resource))]

    def _sts(self, request: Request) -> list[Requirement] | None:
        if request.operation == "GetCallerIdentity":
            return []  # needs no permission: STS API reference
        if request.operation == "AssumeRole" and "Policy" not in request.form:
            return [Requirement("sts:AssumeRole", request.form.get("RoleArn", "*"))]
        return None


_SUBRESOURCES = frozenset(
    {
        *("acl", "attributes", "cors", "delete", "encryption", "legal-hold", "lifecycle"),
        *("location", "logging", "notification", "object-lock", "ownershipControls", "partNumber"),
        *("policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment"),
        *("restore", "retention", "select", "tagging", "torrent", "uploadId", "uploads"),
        *("versionId", "versioning", "versions", "website"),
    }
)
_LISTING_CONTEXT = {
    "prefix": "s3:prefix",
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
}
_KMS_OPERATIONS = frozenset(
    {"Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"}
)
_RDS_RESOURCES = {
    "DescribeDBClusterSnapshots": (
        ("DBClusterSnapshotIdentifier", "cluster-snapshot"),
        ("DBClusterIdentifier", "cluster"),
    ),
    "DescribeDBSnapshots": (("DBSnapshotIdentifier", "snapshot"), ("DBInstanceIdentifier", "db")),
    "DescribeDBClusters": (("DBClusterIdentifier", "cluster"),),
    "DescribeDBInstances": (("DBInstanceIdentifier", "db"),),
    "ModifyDBCluster": (("DBClusterIdentifier", "cluster"),),
    "AddRoleToDBCluster": (("DBClusterIdentifier", "cluster"),),
    "RemoveRoleFromDBCluster": (("DBClusterIdentifier", "cluster"),),
    "DescribeDBSubnetGroups": (("DBSubnetGroupName", "subgrp"),),
    **dict.fromkeys(
        (
            "CreateDBClusterParameterGroup",
            "DeleteDBClusterParameterGroup",
            "DescribeDBClusterParameterGroups",
            "DescribeDBClusterParameters",
            "ModifyDBClusterParameterGroup",
            "ResetDBClusterParameterGroup",
        ),
        (("DBClusterParameterGroupName", "cluster-pg"),),
    ),
}
_SQS_OPERATIONS = frozenset(
    {
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage"),
        *("DeleteMessageBatch", "GetQueueAttributes", "GetQueueUrl"),
    }
)
_STATES_OPERATIONS = {
    "StartExecution": "stateMachineArn",
    "ListExecutions": "stateMachineArn",
    "DescribeStateMachine": "stateMachineArn",
    "DescribeExecution": "executionArn",
    "GetExecutionHistory": "executionArn",
    "StopExecution": "executionArn",
}
_FIREHOSE_OPERATIONS = frozenset(
    {
        *("CreateDeliveryStream", "DeleteDeliveryStream", "DescribeDeliveryStream"),
        *("UpdateDestination", "TagDeliveryStream", "UntagDeliveryStream"),
        *("ListTagsForDeliveryStream", "StartDeliveryStreamEncryption"),
        *("StopDeliveryStreamEncryption", "PutRecord", "PutRecordBatch"),
    }
)
_LOGS_OPERATIONS = frozenset({"CreateLogGroup", "CreateLogStream", "PutLogEvents"})


def _roles_within(settings: Any) -> Iterator[str]:
    """Yield the roles that settings of a delivery stream hand to Firehose."""
    if isinstance(settings, list):
        for entry in settings:
            yield from _roles_within(entry)
    if isinstance(settings, dict):
        if "RoleARN" in settings:
            yield str(settings["RoleARN"])
        if settings.get("ParameterName") == "RoleArn":
            yield str(settings.get("ParameterValue"))
        for value in settings.values():
            yield from _roles_within(value)


def _deleted_keys(body: bytes) -> list[str]:
    root = ElementTree.fromstring(body)  # noqa: S314 - only local clients send it
    return [
        element.text or ""
        for element in root.iter()
        if element.tag.rsplit("}", 1)[-1] == "Key" and element.text
    ]
