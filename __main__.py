"""The program: from a stack's settings to the routes they switch on, and the stack's outputs."""

from __future__ import annotations

import asyncio
import gc

import pulumi

from routes.foundation import lay
from routes.replication import replication_route
from routes.snapshot import snapshot_route
from settings import Settings, SettingsError, from_pulumi


def settings_or_stop() -> Settings:
    """Return the stack's settings; without a traceback, all that is wrong with them."""
    try:
        return from_pulumi()
    except SettingsError as error:
        raise pulumi.RunError("\n".join(error.errors)) from None


# Everything made here lives to the end, which a collector that looks for garbage every few hundred
# objects does not know: in a stack of a thousand tables it takes a third of the time.
gc.set_threshold(50_000, 20, 50)

settings = settings_or_stop()
foundation = lay(settings)
made: dict[str, pulumi.Input[object]] = {"alerts_topic": foundation.alerts.topic_arn}
if settings.snapshot is not None and settings.bigquery is not None:
    made |= snapshot_route(foundation, settings.snapshot, settings.bigquery)
if settings.replication is not None:
    made |= replication_route(foundation, settings.replication)


async def outputs() -> pulumi.Inputs:
    """Return the stack's outputs, once every registration above has started.

    Without that pause the SDK would find nothing to wait for but the resources' outputs, some
    fifty of them per table, and look through all that are pending at each step of the way.
    """
    await asyncio.sleep(0)
    return made


pulumi.run(outputs)
