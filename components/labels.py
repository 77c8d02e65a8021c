"""The one source of AWS tags and Google Cloud labels.

They reach every resource through the providers (``default_tags``, ``default_labels``), so nothing
can be created without them and no component repeats them. The settings accept only labels that
both clouds do.
"""

from __future__ import annotations

from collections.abc import Mapping


def stack_labels(service: str, stack: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of everything in the stack; the stack's own cannot be overridden."""
    return {**extra, "service": service, "stack": stack, "managed-by": "data-ferry"}
