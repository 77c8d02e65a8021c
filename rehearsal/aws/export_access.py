"""The permissions an export's role needs, tried through an access check.

"Providing access to an Amazon S3 bucket using an IAM role" of the Amazon RDS user guide names the
S3 actions. Of the KMS actions those are tried that writing and reading back an encrypted object
takes, and those that the guide demands of the key's policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: (role ARN, action, resource ARN, condition context) -> None, or PermissionError.
Authorize = Callable[[str, str, str, dict[str, str]], None]

_OBJECT_ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")
_BUCKET_ACTIONS = ("s3:ListBucket", "s3:GetBucketLocation")
_KEY_ACTIONS = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")


class KeyRefused(PermissionError):
    """The role may not use the export's key."""


@dataclass(frozen=True)
class ExportAccess:
    """The access of one role to one bucket and one key."""

    authorize: Authorize
    role_arn: str
    bucket: str
    key_arn: str
    region: str

    def check_all(self, root: str, identifier: str) -> None:
        """Every permission an export needs, on the object it writes last."""
        for action in _BUCKET_ACTIONS:
            context = {"s3:prefix": f"{root}/"} if action == "s3:ListBucket" else {}
            self._try(action, f"arn:aws:s3:::{self.bucket}", context)
        for action in _OBJECT_ACTIONS:
            self._on_object(action, f"{root}/export_info_{identifier}.json")
        for action in _KEY_ACTIONS:
            self._on_key(action)

    def check_write(self, key: str) -> None:
        """What writing one object takes; tried once per table, since all its objects are alike."""
        self._on_object("s3:PutObject", key)
        self._on_key("kms:GenerateDataKey")

    def _on_object(self, action: str, key: str) -> None:
        encryption = {
            "s3:x-amz-server-side-encryption": "aws:kms",
            "s3:x-amz-server-side-encryption-aws-kms-key-id": self.key_arn,
        }
        context = encryption if action == "s3:PutObject" else {}
        self._try(action, f"arn:aws:s3:::{self.bucket}/{key}", context)

    def _on_key(self, action: str) -> None:
        via_s3 = {"kms:ViaService": f"s3.{self.region}.amazonaws.com"}
        try:
            self._try(action, self.key_arn, {} if action == "kms:DescribeKey" else via_s3)
        except PermissionError as refused:
            raise KeyRefused(str(refused)) from None

    def _try(self, action: str, resource: str, context: Mapping[str, str]) -> None:
        full = {"aws:SecureTransport": "true", **context}
        self.authorize(self.role_arn, action, resource, full)


def key_arn(key: str, account: str, region: str) -> str:
    """The ARN of a key given by ARN, by id, or by alias."""
    if key.startswith("arn:"):
        return key
    resource = key if key.startswith("alias/") else f"key/{key}"
    return f"arn:aws:kms:{region}:{account}:{resource}"
