"""As whom BigQuery's transfer service works: a service account, and the service's own agent.

Google, "Authorize transfers as a service account" and "Required permissions" of the Amazon S3
transfers: the account that owns a transfer holds what a creator of transfers needs; the agent
makes tokens for it, and starts the load itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from export_identity import shorten

MAX_ACCOUNT_ID = 30
_SERVICE = "bigquerydatatransfer.googleapis.com"

# What roles/bigquery.admin would bring, cut down to what Google lists for Amazon S3 transfers.
PROJECT_PERMISSIONS = (
    "bigquery.jobs.create",
    "bigquery.transfers.get",
    "bigquery.transfers.update",
)
# Creating a transfer adds the agent to the dataset's policy in the owner's name.
DATASET_PERMISSIONS = (
    "bigquery.datasets.get",
    "bigquery.datasets.getIamPolicy",
    "bigquery.datasets.setIamPolicy",
    "bigquery.datasets.update",
)


@dataclass(frozen=True, kw_only=True)
class TransferIdentityArgs:
    """The project; its number is part of the agent's address."""

    project: str
    project_number: pulumi.Input[str]


class TransferIdentity(pulumi.ComponentResource):
    """The service account of all transfers, and the agent's right to act as it.

    `grants` are what must exist before a transfer config does: Google checks them when a config
    is created, and the provider takes a refusal for a delay and tries for twenty minutes.
    """

    email: pulumi.Output[str]
    member: pulumi.Output[str]
    agent_member: pulumi.Output[str]
    dataset_role: pulumi.Output[str]
    grants: Sequence[pulumi.Resource]

    def __init__(
        self, name: str, args: TransferIdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:transfer-identity:TransferIdentity", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = gcp.serviceaccount.Account(
            name,
            account_id=shorten(name, MAX_ACCOUNT_ID),
            display_name="data-ferry transfers from Amazon S3",
            project=args.project,
            opts=child,
        )
        project_role = _custom_role(f"{name}-project", args.project, PROJECT_PERMISSIONS, child)
        dataset_role = _custom_role(f"{name}-dataset", args.project, DATASET_PERMISSIONS, child)
        identity = gcp.projects.ServiceIdentity(
            name, service=_SERVICE, project=args.project, opts=child
        )
        # The address is computed: the service may answer with an empty one.
        agent = pulumi.Output.concat(
            "serviceAccount:service-",
            args.project_number,
            "@gcp-sa-bigquerydatatransfer.iam.gserviceaccount.com",
        )
        after_identity = pulumi.ResourceOptions(parent=self, depends_on=[identity])
        self.grants = (
            gcp.projects.IAMMember(
                f"{name}-account",
                project=args.project,
                role=project_role.name,
                member=account.member,
                opts=child,
            ),
            # An agent made by an API call, unlike one made by use, comes without its role.
            gcp.projects.IAMMember(
                f"{name}-agent",
                project=args.project,
                role="roles/bigquerydatatransfer.serviceAgent",
                member=agent,
                opts=after_identity,
            ),
            gcp.serviceaccount.IAMMember(
                f"{name}-agent",
                service_account_id=account.name,
                role="roles/iam.serviceAccountTokenCreator",
                member=agent,
                opts=after_identity,
            ),
        )
        self.email = account.email
        self.member = account.member
        self.agent_member = agent
        self.dataset_role = dataset_role.name
        self.register_outputs({"email": self.email})


def _custom_role(
    name: str, project: str, permissions: Sequence[str], opts: pulumi.ResourceOptions
) -> gcp.projects.IAMCustomRole:
    return gcp.projects.IAMCustomRole(
        name,
        role_id=shorten(name, 64).replace("-", "_"),
        title=name,
        project=project,
        permissions=permissions,
        opts=opts,
    )
