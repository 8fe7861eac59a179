"""The deadline of handlers: a function runs beside the request, which waits for it only so long.

A function cannot be stopped. One that is late goes on; whoever started it decides what becomes of its result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from hull_sdk.client import Outbox, Settlement
from hull_sdk.context import Context
from hull_sdk.core.logs import emit
from hull_sdk.core.masking import mask_text
from hull_sdk.errors import RejectedError
from hull_sdk.outcomes import deadline_passed, judge, not_accepted, report

__all__ = ["log_rejected", "run_within_deadline", "settle", "settle_outbox"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


def run_within_deadline(context: Context, function: Callable[[], T]) -> T:
    """Run a function of a handler and wait for it until the deadline of its request.

    Args:
        context: Whose request it is; it is the current context inside the function.
        function: What to run; context variables and the request are those of the caller.

    Returns:
        The function's result.

    Raises:
        TransientError: It did not end in time (status 503); it goes on, and if it fails later, that is reported.
        Exception: Whatever the function raised in time.
    """
    tasks, left_s = context.runtime.tasks, context.remaining_s()
    outcome = tasks.run_within(left_s, _reporting_late, context, function, name="hull-handler")
    if outcome is None or _is_late(context):
        raise deadline_passed(context.timeout_s)
    result, error = outcome
    if error is None:
        return cast("T", result)
    try:
        raise error
    finally:
        del outcome, error  # or the error would hold, through its traceback, this call and with it a notification


def settle(context: Context, timeout_s: float, *, here: bool = False) -> list[dict[str, Any]]:
    """Wait until the platform has accepted what was sent through ``ctx.client``.

    Args:
        context: Whose client.
        timeout_s: Longest wait in seconds.
        here: ``True`` sends in the calling thread, for functions that :func:`run_within_deadline` runs.

    Returns:
        ``{"code", "reason", "message_id"}`` of each message that the platform refused for good; each is logged.

    Raises:
        TransientError: Something was not accepted in time or failed whole (status 503).
    """
    settlement = context.settle(timeout_s, here=here)
    return [] if settlement is None else _accepted(context, settlement)


def settle_outbox(context: Context, outbox: Outbox, timeout_s: float) -> list[dict[str, Any]]:
    """Wait until the platform has accepted what a block of ``ctx.collect`` sent; as :func:`settle`.

    Args:
        context: Whose.
        outbox: What the block sent.
        timeout_s: Longest wait in seconds.
    """
    return _accepted(context, outbox.settle(timeout_s))


def _accepted(context: Context, settlement: Settlement) -> list[dict[str, Any]]:
    errors = [log_rejected(context, error) for error in settlement.rejected]
    if settlement.pending or settlement.failed:
        raise not_accepted(settlement.pending, settlement.failed)
    return errors


def log_rejected(context: Context, error: RejectedError) -> dict[str, Any]:
    """Log a message that the platform refused for good.

    Args:
        context: Who sent it.
        error: The refusal.

    Returns:
        Its entry under ``errors`` of the answer.
    """
    entry = {"code": error.code, "reason": mask_text(error.reason), "message_id": error.message_id}
    emit(_log, logging.ERROR, "connector.message.rejected", {**entry, "request_id": context.request_id})
    return entry


def _reporting_late(context: Context, function: Callable[[], T]) -> T:
    with context.active():
        try:
            return function()
        except Exception as err:
            if _is_late(context):
                report(err, judge(err), context.instrumentation, context)
            raise


def _is_late(context: Context) -> bool:
    return context.remaining_s() <= 0.0
