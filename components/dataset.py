"""The BigQuery dataset the tables live in, and who may write to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

DATA_EDITOR = "roles/bigquery.dataEditor"


@dataclass(frozen=True, kw_only=True)
class Writer:
    """An identity and the roles it has on the dataset."""

    member: pulumi.Input[str]
    roles: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class DatasetArgs:
    """The dataset, and its writers by the name they have in the stack."""

    project: str
    dataset_id: str
    location: str
    description: str
    protect: bool
    writers: Mapping[str, Writer]


class Dataset(pulumi.ComponentResource):
    """A dataset that is never deleted with its contents.

    Members are added one by one. An authoritative list would remove the transfer service's agent,
    which Google adds when a transfer is created. `grants` exist before any transfer config, so
    that this program and Google never write the dataset's policy at the same moment: the provider
    reads and writes it whole.
    """

    dataset_id: pulumi.Output[str]
    location: pulumi.Output[str]
    grants: Sequence[pulumi.Resource]

    def __init__(
        self, name: str, args: DatasetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:dataset:Dataset", name, {}, opts)
        dataset = gcp.bigquery.Dataset(
            name,
            dataset_id=args.dataset_id,
            project=args.project,
            location=args.location,
            description=args.description,
            delete_contents_on_destroy=False,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.grants = tuple(
            gcp.bigquery.DatasetIamMember(
                f"{name}-{writer_name}-{role_name}",
                project=args.project,
                dataset_id=dataset.dataset_id,
                role=role,
                member=writer.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for writer_name, writer in args.writers.items()
            for role_name, role in writer.roles.items()
        )
        self.dataset_id = dataset.dataset_id
        self.location = dataset.location.apply(lambda location: location or args.location)
        self.register_outputs({"dataset_id": self.dataset_id, "location": self.location})
