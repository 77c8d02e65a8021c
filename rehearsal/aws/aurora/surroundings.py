"""What a local Aurora needs of the local AWS around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.aws.principals import Caller


@dataclass(frozen=True)
class Surroundings:
    """The account, and what is asked of it.

    `client` gives a boto3 client of a service with the deployer's rights, `client_as` one with
    those of a role that an AWS service assumes (PermissionError where it may not); `caller` finds
    who has an access key (UnknownKey where nobody has); `authorize` raises PermissionError for
    what a principal may not do; `report` takes a line for the rehearsal's problems.
    """

    account: str
    region: str
    client: Callable[[str], Any]
    client_as: Callable[[str, str, str, Mapping[str, Any]], Any]
    caller: Callable[[str], Caller]
    authorize: Callable[[str, str, str, Mapping[str, Any]], None]
    report: Callable[[str], None]
