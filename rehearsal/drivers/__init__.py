"""How each Pulumi resource type of the program comes to exist in the local clouds.

One driver per type token. Drivers speak the providers' wire form (camelCase property names) to
the local clouds' public APIs, and to nothing else: they import nothing of the program.
"""

from rehearsal.drivers import (
    aws_bucket_settings,
    aws_compute,
    aws_events,
    aws_identity,
    aws_keys,
    aws_messaging,
    aws_storage,
    aws_watching,
    google_bigquery,
    google_iam,
    google_identity,
    google_project,
    google_secrets,
    google_transfer,
)
from rehearsal.drivers.registry import (
    Clouds,
    Created,
    DriverError,
    NotFound,
    create,
    delete,
    invoke,
    read,
    update,
    with_defaults,
)

__all__ = [
    "Clouds",
    "Created",
    "DriverError",
    "NotFound",
    "aws_bucket_settings",
    "aws_compute",
    "aws_events",
    "aws_identity",
    "aws_keys",
    "aws_messaging",
    "aws_storage",
    "aws_watching",
    "create",
    "delete",
    "google_bigquery",
    "google_iam",
    "google_identity",
    "google_project",
    "google_secrets",
    "google_transfer",
    "invoke",
    "read",
    "update",
    "with_defaults",
]
