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
    Notice,
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
        args, flow, minutes = self._args, self._args.flow, self._args.lag_minutes
        self._above(
            "iterator-age",
            of_function("IteratorAge", args.stream.stream_function, "Maximum"),
            minutes * _MINUTE_MS,
            Notice(
                f"The stream of flow {flow} is read more than {minutes} minutes late.",
                "the-stream-is-read-late",
            ),
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
            Notice(
                f"The stream of flow {flow} has not been read for "
                f"{_UNREAD_PERIODS * PERIOD_SECONDS // 60} minutes.",
                "the-stream-is-not-read",
            ),
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
            Notice(
                f"Changes of flow {flow} wait in Firehose for more than {minutes} minutes.",
                "changes-wait-in-firehose",
            ),
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
            Notice(
                f"A file of flow {flow} has waited for its load for {minutes} minutes.",
                "files-wait-for-their-load",
            ),
        )

    def _on_failures(self) -> None:
        args, flow = self._args, self._args.flow
        # Of its own accord SQS soon leaves such a message out of the age of the oldest one.
        self._above(
            "load-failures",
            _own("LoadFailures", args),
            1,
            Notice(f"Loads of flow {flow} fail again and again.", "files-wait-for-their-load"),
            _FAILURES_SECONDS,
        )
        self._above(
            "dead-letters",
            waiting(args.load.dead_letter_queue_name),
            0,
            Notice(
                f"A file of flow {flow} could not be loaded and waits in the dead-letter queue.",
                "dead-letters",
            ),
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
            Notice(
                f"Changes of flow {flow} did not reach Firehose and were kept on S3.",
                "discarded-changes",
            ),
        )
        self._above(
            "failed-records",
            _own("RecordsFailed", args),
            0,
            Notice(
                f"Changes of flow {flow} are not as its schema and columns want them; they are "
                "kept below processing-failed/.",
                "refused-changes",
            ),
        )
        self._above(
            "lost",
            of_function("DestinationDeliveryFailures", args.stream.stream_function),
            0,
            Notice(
                f"Changes of flow {flow} reached neither Firehose nor the bucket for failures.",
                "lost-changes",
            ),
        )
        self._above(
            "stream-throttles",
            of_function("Throttles", args.stream.stream_function),
            0,
            Notice(
                f"The stream function of flow {flow} is throttled; its changes wait meanwhile.",
                "the-stream-is-not-read",
            ),
        )
        for metric, words in (("Errors", "fails"), ("Throttles", "is throttled")):
            self._above(
                f"transform-{metric.lower()}",
                of_function(metric, args.stream.transform_function),
                0,
                Notice(
                    f"The transformation of flow {flow} {words}; after its retries the changes "
                    "are kept below processing-failed/.",
                    "the-transformation-fails",
                ),
            )

    def _above(
        self,
        alarm: str,
        metric: Metric,
        threshold: float,
        notice: Notice,
        period_seconds: int = PERIOD_SECONDS,
    ) -> None:
        name, audience = f"{self._name}-{alarm}", self._args.audience
        above(name, self, metric, threshold, notice, audience, period_seconds)


def _own(name: str, args: FlowAlarmsArgs) -> Metric:
    return Metric(
        namespace="data-ferry",
        name=name,
        dimensions={"service": args.service, "flow": args.flow},
        statistic="Sum",
    )
