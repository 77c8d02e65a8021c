"""The reader's access key in Google's Secret Manager."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp


@dataclass(frozen=True, kw_only=True)
class ReaderSecretsArgs:
    """The key of the moment."""

    project: str
    access_key_id: pulumi.Input[str]
    secret_access_key: pulumi.Input[str]


class ReaderSecrets(pulumi.ComponentResource):
    """Two secrets, a version each; another key is another version, and the old one is destroyed.

    The transfer configs do not read them (the provider has no argument for that yet): they are
    for people and programs that need the same key, so that nobody makes a second one.
    """

    def __init__(
        self, name: str, args: ReaderSecretsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:reader-secrets:ReaderSecrets", name, {}, opts)
        self._keep(f"{name}-access_key_id", args.project, args.access_key_id)
        self._keep(f"{name}-secret_access_key", args.project, args.secret_access_key)
        self.register_outputs({})

    def _keep(self, name: str, project: str, value: pulumi.Input[str]) -> None:
        child = pulumi.ResourceOptions(parent=self)
        secret = gcp.secretmanager.Secret(
            name, secret_id=name, project=project, replication={"auto": {}}, opts=child
        )
        gcp.secretmanager.SecretVersion(
            name, secret=secret.id, secret_data=pulumi.Output.secret(value), opts=child
        )
