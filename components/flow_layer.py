"""What the functions of a flow know of it, as a Lambda layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws


class FlowLayer(pulumi.ComponentResource):
    """The mapping of a flow, and the certificates of the cluster's CA.

    A layer, for it has room for any schema, needs neither a permission nor a network path to be
    read, and changes in one step with its function.
    """

    arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        flow: Mapping[str, Any],
        ca_bundle: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("data-ferry:flow-layer:FlowLayer", name, {}, opts)
        description = json.dumps(flow, ensure_ascii=False, sort_keys=True)
        layer = aws.lambda_.LayerVersion(
            name,
            layer_name=name,
            description="The mapping of a flow of the replication route",
            code=pulumi.AssetArchive(
                {
                    "python/ferry_flow/flow.json": pulumi.StringAsset(description),
                    "python/ferry_flow/rds-ca.pem": pulumi.FileAsset(ca_bundle),
                }
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn = layer.arn
        self.register_outputs({"arn": self.arn})
