"""The alarms of a flow: what is late, what failed, and what could not be carried."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.flow_load import FlowLoad
from components.flow_stream import FlowStream
from components.metric_alarm import (
    PERIOD_SECONDS,
    Audience,
    Metric,
    above,
    of_function,
    silent,
    waiting,
)

_MINUTE_MS = 60_000
# Lambda asks a stream four times a second, changes or not. Three periods, for metrics are late.
_UNREAD_PERIODS = 3
# A file that fails comes again every half hour. One failure alone has mended itself.
_FAILURES_SECONDS = 7200


@dataclass(frozen=True, kw_only=True)
class FlowAlarmsArgs:
    """The flow that is watched and its DynamoDB table, how late it may be, and who hears of it."""

    flow: str
    table: str
    stream: FlowStream
    load: FlowLoad
    service: str
    lag_minutes: int
    audience: Audience


class FlowAlarms(pulumi.ComponentResource):
    """Alarms on each place where changes can wait, and on each where they can end up instead."""

    def __init__(
        self, name: str, args: FlowAlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("data-ferry:flow-alarms:FlowAlarms", name, {}, opts)
        self._name, self._args = name, args
        self._on_lag()
        self._on_failures()
        self.register_outputs({})

    def _on_lag(self) -> None:
        args, minutes = self._args, self._args.lag_minutes
        self._above(
            "iterator-age",
            of_function("IteratorAge", args.stream.stream_function, "Maximum"),
            minutes * _MINUTE_MS,
            f"The stream of flow {args.flow} is read more than {minutes} minutes late.",
        )
        # How old a change is, Lambda says only of those that it reads.
        silent(
            f"{self._name}-stream-unread",
            self,
            Metric(
                namespace="AWS/DynamoDB",
                name="SuccessfulRequestLatency",
                dimensions={"TableName": args.table, "Operation": "GetRecords"},
                statistic="SampleCount",
            ),
            f"The stream of flow {args.flow} has not been read for "
            f"{_UNREAD_PERIODS * PERIOD_SECONDS // 60} minutes.",
            args.audience,
            period_seconds=PERIOD_SECONDS,
            periods=_UNREAD_PERIODS,
        )
        self._above(
            "delivery-age",
            Metric(
                namespace="AWS/Firehose",
                name="DeliveryToS3.DataFreshness",
                dimensions={"DeliveryStreamName": args.stream.delivery_stream},
                statistic="Maximum",
            ),
            minutes * 60,
            f"Changes of flow {args.flow} wait in Firehose for more than {minutes} minutes.",
        )
        self._above(
            "load-lag",
            Metric(
                namespace="AWS/SQS",
                name="ApproximateAgeOfOldestMessage",
                dimensions={"QueueName": args.load.queue_name},
                statistic="Maximum",
            ),
            minutes * 60,
            f"A file of flow {args.flow} has waited for its load for {minutes} minutes.",
        )

    def _on_failures(self) -> None:
        args = self._args
        # Of its own accord SQS soon leaves such a message out of the age of the oldest one.
        self._above(
            "load-failures",
            _own("LoadFailures", args),
            1,
            f"Loads of flow {args.flow} fail again and again.",
            _FAILURES_SECONDS,
        )
        self._above(
            "dead-letters",
            waiting(args.load.dead_letter_queue_name),
            0,
            f"A file of flow {args.flow} could not be loaded and waits in the dead-letter queue.",
        )
        self._above(
            "discarded",
            Metric(
                namespace="AWS/Lambda",
                name="OnFailureDestinationDeliveredEventCount",
                dimensions={"EventSourceMappingUUID": args.stream.mapping_id},
                statistic="Sum",
            ),
            0,
            f"Changes of flow {args.flow} did not reach Firehose and were kept on S3.",
        )
        self._above(
            "failed-records",
            _own("RecordsFailed", args),
            0,
            f"Changes of flow {args.flow} are not as its schema and columns want them; they are "
            "kept below processing-failed/.",
        )
        self._above(
            "lost",
            of_function("DestinationDeliveryFailures", args.stream.stream_function),
            0,
            f"Changes of flow {args.flow} reached neither Firehose nor the bucket for failures.",
        )
        self._above(
            "stream-throttles",
            of_function("Throttles", args.stream.stream_function),
            0,
            f"The stream function of flow {args.flow} is throttled; its changes wait meanwhile.",
        )
        for metric, words in (("Errors", "fails"), ("Throttles", "is throttled")):
            self._above(
                f"transform-{metric.lower()}",
                of_function(metric, args.stream.transform_function),
                0,
                f"The transformation of flow {args.flow} {words}; after its retries the changes "
                "are kept below processing-failed/.",
            )

    def _above(
        self,
        alarm: str,
        metric: Metric,
        threshold: float,
        what: str,
        period_seconds: int = PERIOD_SECONDS,
    ) -> None:
        name, audience = f"{self._name}-{alarm}", self._args.audience
        above(name, self, metric, threshold, what, audience, period_seconds)


def _own(name: str, args: FlowAlarmsArgs) -> Metric:
    return Metric(
        namespace="data-ferry",
        name=name,
        dimensions={"service": args.service, "flow": args.flow},
        statistic="Sum",
    )
