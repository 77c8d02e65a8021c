"""The places where the rehearsal changes ministack, all of them, and how they are put back.

ministack's version is pinned; `SEAMS` names what each seam relies on and a test looks for every one
of them, so that an upgrade that moves something fails there and not in the middle of a rehearsal.
"""

from __future__ import annotations

from typing import Any

SEAMS: dict[tuple[str, str], str] = {
    ("ministack.app", "SERVICE_HANDLERS"): "every service gets the guard; rds, states, events and "
    "lambda get our answers before ministack's",
    (
        "ministack.app",
        "_handle_special_data_plane_request",
    ): "routes beside SERVICE_HANDLERS, which only the deployer may take",
    ("ministack.services.stepfunctions", "_run_execution"): "our interpreter plays executions",
    ("ministack.services.eventbridge", "_invoke_target"): "targets are asked for permission",
    (
        "ministack.services.eventbridge",
        "_dispatch_to_stepfunctions",
    ): "executions get the names AWS gives them; what does not start is told",
    ("ministack.services.eventbridge", "_apply_input_transformer"): "AWS's quoting of placeholders",
    ("ministack.core.lambda_runtime", "subprocess"): "functions run in their own environment, with "
    "credentials of their role",
    ("ministack.core.lambda_runtime", "_PYTHON_WORKER_SCRIPT"): "the worker tells an exception's "
    "class",
    ("ministack.core.lambda_runtime.Worker", "invoke"): "what the worker told is remembered",
    ("ministack.services.lambda_svc", "_execute_function_warm"): "answers have the body AWS gives "
    "them, errors their class and trace",
}
"""(object, attribute) -> what is changed there and why."""


class Seams:
    """Replaces attributes of modules and puts the originals back."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, Any]] = []
        self._handlers: list[tuple[dict[str, Any], str, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set *name* of *owner*, which must exist."""
        self._before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def replace_item(self, owner: dict[str, Any], name: str, value: Any) -> None:
        """Set the item *name* of *owner*, which must exist."""
        self._handlers.append((owner, name, owner[name]))
        owner[name] = value

    def restore(self) -> None:
        """Put everything back, the last change first."""
        for owner, name, value in reversed(self._before):
            setattr(owner, name, value)
        for items, name, value in reversed(self._handlers):
            items[name] = value
        self._before.clear()
        self._handlers.clear()
