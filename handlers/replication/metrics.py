"""The route's metrics: namespace `data-ferry`, dimensions `service` and `flow`.

A function writes one line of embedded metric format per invocation (AWS, "Embedded metric format
specification"), so that a sum counts everything and a sample is an invocation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from shared.telemetry import NAMESPACE


def emit(
    service: str,
    flow: str,
    counts: Mapping[str, int],
    seconds: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Write one line of metrics."""
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=service)
    metrics.add_dimension(name="flow", value=flow)
    for name, count in counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    for name, values in (seconds or {}).items():
        for value in values:
            metrics.add_metric(name=name, unit=MetricUnit.Seconds, value=value)
    metrics.flush_metrics()
