"""The Google Cloud services the stack uses, switched on."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

SERVICES = (
    "bigquery.googleapis.com",
    "bigquerydatatransfer.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "secretmanager.googleapis.com",
    "sts.googleapis.com",
)


@dataclass(frozen=True, kw_only=True)
class GoogleServicesArgs:
    """The project."""

    project: str


class GoogleServices(pulumi.ComponentResource):
    """Enables services, and never disables one: others in the project may use it."""

    def __init__(
        self, name: str, args: GoogleServicesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:google-services:GoogleServices", name, {}, opts)
        for service in SERVICES:
            gcp.projects.Service(
                service,
                service=service,
                project=args.project,
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
