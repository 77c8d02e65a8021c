"""How each Pulumi resource type of the program comes to exist in the local clouds.

One driver per type token. Drivers speak the providers' wire form (camelCase property names) to
the local clouds' public APIs, and to nothing else: they import nothing of the program.
"""

from rehearsal.drivers import (
    aws_compute,
    aws_events,
    aws_identity,
    aws_storage,
    google_bigquery,
    google_identity,
    google_project,
)
from rehearsal.drivers.registry import Clouds, Created, DriverError, create, invoke

__all__ = [
    "Clouds",
    "Created",
    "DriverError",
    "aws_compute",
    "aws_events",
    "aws_identity",
    "aws_storage",
    "create",
    "google_bigquery",
    "google_identity",
    "google_project",
    "invoke",
]
