"""Who calls the local AWS: access keys, sessions, and the policies ministack keeps for them."""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from rehearsal.aws.access import Document, Identity, load
from rehearsal.aws.emulator import Emulator

DEPLOYER_KEY = "test"
"""Access key id and secret of the deployer, who may do everything."""

_EVERYTHING: Document = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class UnknownKey(Exception):
    """The access key does not exist or is not active."""


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of a role."""

    access_key: str
    secret_key: str
    token: str


@dataclass(frozen=True)
class Caller:
    """The principal behind an access key, and the secret its requests must be signed with."""

    arn: str
    secret: str
    token: str | None = None
    is_deployer: bool = False


class Principals:
    """Reads users, roles, keys, sessions and resource policies out of ministack's state."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.root = f"arn:aws:iam::{emulator.account}:root"

    def caller(self, access_key: str) -> Caller:
        """Return who holds *access_key*; UnknownKey when nobody may use it."""
        if access_key == DEPLOYER_KEY:
            return Caller(self.root, DEPLOYER_KEY, is_deployer=True)
        session = self._emulator.sts._sessions.get(access_key)
        if session and "Arn" in session:
            return Caller(session["Arn"], session["SecretAccessKey"], session.get("SessionToken"))
        with self._emulator.scope():
            key = self._emulator.iam._access_keys.get(access_key)
            if key is None or key["Status"] != "Active":
                raise UnknownKey(access_key)
            user = self._emulator.iam._users.get(key["UserName"])
        if user is None:
            raise UnknownKey(access_key)
        return Caller(user["Arn"], key["SecretAccessKey"])

    def session(self, role_arn: str, name: str) -> Credentials:
        """Give out temporary credentials of a role, as an AWS service that assumed it would."""
        role_name = role_arn.rsplit("/", 1)[-1]
        alphabet = string.ascii_uppercase + string.digits
        credentials = Credentials(
            "ASIA" + "".join(secrets.choice(alphabet) for _ in range(16)),
            secrets.token_urlsafe(30),
            secrets.token_urlsafe(60),
        )
        arn = f"arn:aws:sts::{self._emulator.account}:assumed-role/{role_name}/{name}"
        # ministack's own store of sessions: its GetCallerIdentity reads it, its reset clears it.
        self._emulator.sts._sessions[credentials.access_key] = {
            "Arn": arn,
            "UserId": f"AROA{role_name.upper()[:17]:X<17}:{name}",
            "SecretAccessKey": credentials.secret_key,
            "SessionToken": credentials.token,
        }
        return credentials

    def identity(self, principal_arn: str) -> Identity:
        """Return the user, role or role session with its identity policies."""
        if principal_arn == self.root:
            return Identity(self.root, self.root, (_EVERYTHING,))
        kind, _, rest = principal_arn.split(":", 5)[5].partition("/")
        with self._emulator.scope():
            if kind == "assumed-role":
                return self._role(rest.split("/")[0], principal_arn)
            if kind == "role":
                return self._role(rest.rsplit("/", 1)[-1], principal_arn)
            if kind == "user":
                return self._user(rest.rsplit("/", 1)[-1], principal_arn)
        raise PermissionError(f"The principal {principal_arn} does not exist")

    def _role(self, name: str, arn: str) -> Identity:
        role = self._emulator.iam._roles.get(name)
        if role is None:
            raise PermissionError(f"The role {name} of {arn} does not exist")
        documents = [*role["InlinePolicies"].values(), *self._attached(role)]
        boundary = role.get("PermissionsBoundary")
        return Identity(
            arn,
            role["Arn"],
            tuple(load(document) for document in documents),
            load(self._managed(boundary)) if boundary else None,
        )

    def _user(self, name: str, arn: str) -> Identity:
        iam = self._emulator.iam
        user = iam._users.get(name)
        if user is None:
            raise PermissionError(f"The user {name} of {arn} does not exist")
        documents = [*(iam._user_inline_policies.get(name) or {}).values(), *self._attached(user)]
        for group in iam._groups.values():
            if name in group["Users"]:
                documents += self._attached(group)
                documents += (iam._group_inline_policies.get(group["GroupName"]) or {}).values()
        return Identity(arn, user["Arn"], tuple(load(document) for document in documents))

    def _attached(self, entity: Mapping[str, Any]) -> list[Any]:
        return [self._managed(arn) for arn in entity.get("AttachedPolicies", ())]

    def _managed(self, arn: str) -> Any:
        policy = self._emulator.iam._lookup_policy(arn)
        if policy is None:
            raise PermissionError(f"The attached policy {arn} does not exist")
        return policy["Versions"][policy["DefaultVersionId"]]["Document"]

    def trust_policy(self, role_arn: str) -> Document | None:
        """Return the trust policy of a role, None when there is no such role."""
        with self._emulator.scope():
            role = self._emulator.iam._roles.get(role_arn.rsplit("/", 1)[-1])
        if role is None or role["Arn"] != role_arn:
            return None
        return load(role["AssumeRolePolicyDocument"])

    def resource_policy(self, action: str, resource: str) -> Document | None:
        """Return the policy of the bucket, topic or queue that *resource* names or is in."""
        service = action.split(":", 1)[0]
        text = None
        with self._emulator.scope():
            if resource.startswith("arn:aws:s3:::"):
                bucket = resource.removeprefix("arn:aws:s3:::").split("/", 1)[0]
                text = self._emulator.s3._bucket_policies.get(bucket)
            elif service == "sns":
                topic = self._emulator.sns._topics.get(resource)
                text = (topic or {}).get("attributes", {}).get("Policy")
            elif service == "sqs":
                queue = self._emulator.sqs._queue_by_arn(resource)
                text = (queue or {}).get("attributes", {}).get("Policy")
        return load(text) if text else None

    def key(self, reference: str) -> Mapping[str, Any] | None:
        """Return a KMS key's record by id, ARN, alias or alias ARN."""
        with self._emulator.scope():
            record: Mapping[str, Any] | None = self._emulator.kms._resolve_key(reference)
        return record

    def topic_key(self, topic_arn: str) -> str | None:
        """Return the customer's key that a topic is encrypted with, if it is."""
        with self._emulator.scope():
            topic = self._emulator.sns._topics.get(topic_arn)
        return self._customer_key(topic)

    def queue_key(self, queue_arn: str) -> str | None:
        """Return the customer's key that a queue is encrypted with, if it is."""
        with self._emulator.scope():
            queue = self._emulator.sqs._queue_by_arn(queue_arn)
        return self._customer_key(queue)

    def _customer_key(self, resource: Mapping[str, Any] | None) -> str | None:
        reference = ((resource or {}).get("attributes") or {}).get("KmsMasterKeyId")
        if not reference or "alias/aws/" in reference:
            return None
        record = self.key(reference)
        return str(record["Arn"] if record else reference)

    def key_policy(self, key_arn: str) -> Document | None:
        """Return the policy of a KMS key, None when there is no such key."""
        record = self.key(key_arn)
        return load(record["Policy"]) if record else None


@dataclass(frozen=True)
class Encryption:
    """How an object is, or would be, encrypted with a customer's key."""

    key_arn: str
    context_arn: str


class Encryptions:
    """Finds the KMS keys that reads and writes of S3 objects need."""

    def __init__(self, emulator: Emulator, principals: Principals) -> None:
        self._emulator = emulator
        self._principals = principals

    def of_object(self, bucket: str, key: str) -> Encryption | None:
        """Return the encryption of a stored object, None when no customer key is in it."""
        with self._emulator.scope():
            stored = self._emulator.s3._buckets.get(bucket, {}).get("objects", {}).get(key)
        return None if stored is None else self._from(stored["preserved_headers"], bucket, key)

    def of_write(self, bucket: str, key: str, headers: Mapping[str, str]) -> Encryption | None:
        """Return the encryption a new object would get from its request or its bucket."""
        if "x-amz-server-side-encryption" in headers:
            return self._from(headers, bucket, key)
        with self._emulator.scope():
            default = self._emulator.s3._bucket_default_sse_headers(bucket)
        return self._from(default, bucket, key)

    def _from(self, headers: Mapping[str, str], bucket: str, key: str) -> Encryption | None:
        reference = headers.get("x-amz-server-side-encryption-aws-kms-key-id")
        if headers.get("x-amz-server-side-encryption") != "aws:kms" or not reference:
            return None
        record = self._principals.key(reference)
        bucket_arn = f"arn:aws:s3:::{bucket}"
        context = bucket_arn if self._bucket_key(bucket) else f"{bucket_arn}/{key}"
        return Encryption(record["Arn"] if record else reference, context)

    def _bucket_key(self, bucket: str) -> bool:
        with self._emulator.scope():
            text = self._emulator.s3._bucket_encryption.get(bucket)
        if not text:
            return False
        root = ElementTree.fromstring(text)  # noqa: S314 - written by our own deployer
        return any(
            element.tag.endswith("BucketKeyEnabled") and (element.text or "").strip() == "true"
            for element in root.iter()
        )
