"""The places where the rehearsal changes ministack, all of them, and how they are put back.

ministack's version is pinned; `SEAMS` names what each seam relies on and a test looks for every one
of them, so that an upgrade that moves something fails there and not in the middle of a rehearsal.
"""

from __future__ import annotations

from typing import Any

SEAMS: dict[tuple[str, str], str] = {
    ("ministack.app", "SERVICE_HANDLERS"): "every service gets the guard; rds, states, events and "
    "lambda get our answers before ministack's, firehose gets no others",
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
    ("ministack.core.lambda_runtime", "_PYTHON_WORKER_SCRIPT"): "a function's process runs our "
    "runtime (`lambda_process`)",
    ("ministack.core.lambda_runtime.Worker", "_spawn"): "starts a process for us",
    ("ministack.services.lambda_svc", "_execute_function_warm"): "functions run in as many "
    "processes as they have invocations, and their errors are Lambda's",
    ("ministack.services.lambda_svc", "invalidate_worker"): "an update ends what waits of a "
    "function",
    ("ministack.services.lambda_svc", "_resolve_layer_zip"): "functions keep deleted layers",
    ("ministack.services.lambda_svc", "_delete_layer_version"): "deleted layers are remembered",
    ("ministack.services.lambda_svc", "_create_esm"): "mappings are ours, and so is what reads for "
    "them",
    ("ministack.services.lambda_svc", "_get_esm"): "as above",
    ("ministack.services.lambda_svc", "_update_esm"): "as above",
    ("ministack.services.lambda_svc", "_delete_esm"): "as above",
    ("ministack.services.lambda_svc", "_list_esms"): "as above",
    ("ministack.services.sqs", "_validate_redrive_policy"): "a redrive policy can be taken away",
    ("ministack.services.s3", "_fire_s3_event_async"): "events follow their request",
    ("ministack.services.eventbridge", "_dispatch_event"): "events of S3 have S3's form",
    ("ministack.services.dynamodb", "_build_change_record"): "stream records are DynamoDB's",
    ("ministack.services.dynamodb", "_emit_stream_event"): "a write that changes nothing leaves no "
    "record",
    ("ministack.services.dynamodb", "_update_counts"): "a write costs the same in a large table",
    ("ministack.services.dynamodb", "_next_stream_seq"): "numbers only grow",
    ("ministack.services.ec2", "parse_qs"): "a description that is emptied is not one left out",
    ("ministack.services.ec2", "_parse_ip_permissions"): "rules keep their prefix list",
    ("ministack.services.ec2", "_sg_rule_xml"): "rules tell their prefix list",
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
