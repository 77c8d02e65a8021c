"""What is looked up in the clouds, and told in one line when it is not there."""

from __future__ import annotations

from typing import NoReturn, TypeVar

import pulumi

_T = TypeVar("_T")


def found_or_stop(found: pulumi.Output[_T], where: str, what: str) -> pulumi.Output[_T]:
    """Return what a provider's function found; without it the preview fails with one line.

    The line begins with `where`, the key that names it, calls it `what`, and ends in the
    provider's reason. By itself the SDK would end the program with its own traceback. A
    `pulumi.RunError` of something that this look-up waited for is left as it is.
    """

    def stop(error: Exception) -> NoReturn:
        if isinstance(error, pulumi.RunError):
            raise error
        reason = " ".join(str(error).split())
        raise pulumi.RunError(f"{where}: {what} could not be looked up: {reason}") from None

    return found.recover(stop)
