"""The replication route: DynamoDB stream → Firehose → S3 → Aurora MySQL, a flow per table."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components.aurora import AuroraAccess, AuroraAccessArgs, AuroraCluster, look_up_cluster
from components.delivery_stream import Buffers
from components.flow_alarms import FlowAlarms, FlowAlarmsArgs
from components.flow_layer import FlowLayer
from components.flow_load import FlowLoad, FlowLoadArgs
from components.flow_stream import FlowStream, FlowStreamArgs, StreamReading
from components.load_network import LoadNetwork, LoadNetworkArgs
from components.look_ups import found_or_stop
from components.metric_alarm import Audience
from components.packaged_function import Packages
from components.replication_bucket import ReplicationBucket, ReplicationBucketArgs
from components.source_table import (
    KeyAttribute,
    SourceTable,
    SourceTableArgs,
    TableStream,
    look_up_table,
)
from routes.foundation import Foundation
from settings import Flow, Replication

_KEY = "data-ferry:replication"


def replication_route(on: Foundation, replication: Replication) -> dict[str, pulumi.Input[object]]:
    """Make the route; returns its stack outputs."""
    route = _Route(on, replication)
    flows = {flow.name: route.flow(flow) for flow in replication.flows}
    return {
        "replication_bucket": route.bucket.bucket,
        "aurora_role": route.access.role_arn,
        "aurora_parameter_group": route.access.parameter_group,
        "load_security_group": route.network.security_group_id,
        "flows": flows,
    }


class _Route:
    """What the flows share: the bucket, the cluster and the way to it."""

    def __init__(self, on: Foundation, replication: Replication) -> None:
        self._on = on
        self._replication = replication
        name = f"{on.base}-replication"
        self.bucket = ReplicationBucket(
            name,
            ReplicationBucketArgs(
                account_id=on.account_id,
                retention_days=replication.retention_days,
                failed_retention_days=replication.failed_retention_days,
                protect=on.production,
            ),
            on.in_aws,
        )
        self._cluster = self._look_up_cluster()
        self.access = AuroraAccess(
            f"{name}-aurora",
            AuroraAccessArgs(
                cluster=self._cluster,
                bucket_arn=self.bucket.arn,
                account_id=on.account_id,
                associate=replication.cluster.modify,
                parameter_group_family=replication.cluster.parameter_group_family,
            ),
            on.in_aws,
        )
        self.network = LoadNetwork(
            f"{name}-load",
            LoadNetworkArgs(
                cluster=self._cluster,
                open_cluster=replication.cluster.modify,
                to_secrets=replication.cluster.secret_arn is not None,
            ),
            on.in_aws,
        )
        self._failures = self._failure_bucket_arn()
        handlers = on.settings.handlers
        self._packages = Packages(
            path=handlers.path,
            runtime=handlers.runtime,
            architecture=handlers.architecture,
            service=on.base,
            log_retention_days=replication.log_retention_days,
        )

    def _look_up_cluster(self) -> AuroraCluster:
        cluster = self._replication.cluster
        return look_up_cluster(
            cluster.identifier,
            by_token=cluster.secret_arn is None,
            where=f"{_KEY}.cluster",
            provider=self._on.aws,
        )

    def _failure_bucket_arn(self) -> pulumi.Input[str]:
        name = self._replication.on_failure_bucket
        if name is None:
            return self.bucket.arn
        found = aws.s3.get_bucket_output(
            bucket=name, opts=pulumi.InvokeOutputOptions(provider=self._on.aws)
        )
        return found_or_stop(found, f"{_KEY}.on_failure_bucket", f"the bucket {name}").arn

    def flow(self, flow: Flow) -> dict[str, pulumi.Input[object]]:
        """Make one flow; returns what its operators need to know of it."""
        on, name = self._on, f"{self._on.base}-{flow.name}"
        layer = FlowLayer(name, flow.as_json(), self._replication.cluster.ca_bundle, on.in_aws)
        load = FlowLoad(f"{name}-load", self._load_args(flow, layer), on.in_aws)
        stream = FlowStream(name, self._stream_args(flow, layer, load), on.in_aws)
        FlowAlarms(
            name,
            FlowAlarmsArgs(
                flow=flow.name,
                table=flow.table,
                stream=stream,
                load=load,
                service=on.base,
                lag_minutes=self._replication.load_lag_minutes,
                audience=Audience(
                    topic_arn=on.alerts.topic_arn, runbook_url=on.settings.alerts.runbook_url
                ),
            ),
            on.in_aws,
        )
        return {
            "delivery_stream": stream.delivery_stream,
            "resend_function": stream.resend_function,
            "stream_mapping": stream.mapping_id,
            "load_function": load.function_name,
            "load_queue": load.queue_url,
            "dead_letter_queue": load.dead_letter_queue_url,
        }

    def _stream_args(self, flow: Flow, layer: FlowLayer, load: FlowLoad) -> FlowStreamArgs:
        return FlowStreamArgs(
            flow=flow.name,
            table=flow.table,
            source=self._source(flow),
            reading=StreamReading(
                batch_size=flow.batch_size,
                batching_window_seconds=flow.batching_window_seconds,
                parallelization_factor=flow.parallelization_factor,
                maximum_retry_attempts=flow.maximum_retry_attempts,
                maximum_record_age_seconds=flow.maximum_record_age_seconds,
            ),
            buffers=Buffers(
                transform_mib=flow.transform_buffer_mib,
                delivery_mib=flow.buffer_mib,
                delivery_seconds=flow.buffer_seconds,
            ),
            packages=self._packages,
            layer_arn=layer.arn,
            bucket=self.bucket.bucket,
            bucket_arn=self.bucket.arn,
            on_failure_bucket_arn=self._failures,
            on_failure_key_arn=self._replication.on_failure_key_arn,
            after=load,
            account_id=self._on.account_id,
            region=self._on.settings.region,
        )

    def _load_args(self, flow: Flow, layer: FlowLayer) -> FlowLoadArgs:
        cluster = self._replication.cluster
        return FlowLoadArgs(
            flow=flow.name,
            bucket=self.bucket.bucket,
            cluster=self._cluster,
            user=cluster.user,
            secret_arn=cluster.secret_arn,
            secret_key_arn=cluster.secret_key_arn,
            network=self.network.network,
            packages=self._packages,
            layer_arn=layer.arn,
            account_id=self._on.account_id,
            region=self._on.settings.region,
        )

    def _source(self, flow: Flow) -> TableStream:
        key = [KeyAttribute(name=each.name, type=each.type) for each in flow.key]
        if not flow.create_table:
            return look_up_table(flow.table, key, f"{_KEY}.flows.{flow.name}", self._on.aws)
        return SourceTable(
            f"{self._on.base}-{flow.name}",
            SourceTableArgs(table=flow.table, key=key, protect=self._on.production),
            self._on.in_aws,
        ).stream
