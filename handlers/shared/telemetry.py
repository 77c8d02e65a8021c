"""Logs and metrics, both through Powertools: structured lines on standard output."""

from __future__ import annotations

from collections.abc import Mapping

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "data-ferry"


def logger(service: str) -> Logger:
    """Return the function's logger."""
    return Logger(service=service)


def emit(service: str, table: str, values: Mapping[str, int]) -> None:
    """Write one table's metrics as one line of embedded metric format.

    A line has one set of dimensions and at most 100 values (AWS, "Embedded metric format
    specification"): a line for each table, whose few values belong together.
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=service)
    metrics.add_dimension(name="table", value=table)
    for name, value in values.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    metrics.flush_metrics()
