"""The names that every resource of a stack is made of, checked before a cloud refuses one."""

from __future__ import annotations

import re

from settings.errors import Problems, show, snippet
from settings.schema import NAMESPACE

# Google, "Workload identity pools": an id has 4 to 32 characters. It is the shortest of the names
# that cannot be shortened, so that what fits it fits the buckets and functions too. Stacks without
# a pool are held to it as well: they can be given the snapshot route later, and the names of flows
# are as long as it leaves room for.
_MIN_POOL_ID = 4
_MAX_POOL_ID = 32


def default_dataset(service: str, stack: str) -> str:
    """Return the dataset of a stack that names none."""
    return f"{service}_{stack}_rds_data".replace("-", "_")


def check_names(service: str | None, stack: str, problems: Problems) -> None:
    """Note a stack's name that could not be part of the resources' names.

    Amazon S3, "Bucket naming rules": lower-case letters, digits and hyphens.
    """
    if not re.fullmatch(r"[a-z0-9](-?[a-z0-9])*", stack):
        legal = re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-") or "prod"
        problems.add(
            f"stack {stack}",
            f"{show(stack)} becomes part of every resource's name, and so has to be lower-case "
            "letters, digits and single hyphens",
            f"pulumi stack rename {legal}",
        )
    if service is None:
        return
    name = f"{service}-{stack}"
    if len(name) > _MAX_POOL_ID:
        _too_long(service, stack, problems)
    elif len(name) < _MIN_POOL_ID:
        problems.add(
            f"{NAMESPACE}:service",
            f"{name} would name the workload identity pool, which needs {_MIN_POOL_ID} characters",
            snippet(f"{NAMESPACE}:service", f"{service}-data"),
        )


def _too_long(service: str, stack: str, problems: Problems) -> None:
    name = f"{service}-{stack}"
    room = _MAX_POOL_ID - len(stack) - 1
    shorter = service[: max(room, 0)].rstrip("-")
    right = snippet(f"{NAMESPACE}:service", shorter)
    if len(shorter) < 3:
        right = f"pulumi stack rename {stack[: _MAX_POOL_ID - len(service) - 1].rstrip('-')}"
    problems.add(
        f"{NAMESPACE}:service",
        f"{name} has {len(name)} characters and would name the workload identity pool, which has "
        f"at most {_MAX_POOL_ID}",
        right,
    )
