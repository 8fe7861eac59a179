"""Results message by message: one bad record neither fails nor repeats its batch.

Rules: section "Flow control" of ``docs/protocol.md`` (``responses``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from hull_sdk.client import Outbox
from hull_sdk.context import Context
from hull_sdk.core.logs import emit
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers.endpoint import call, check_callable
from hull_sdk.middleware import checked_count, log_rejected
from hull_sdk.outcomes import judge, not_accepted, report
from hull_sdk.wire.flow_control import RESULT_STATUSES, MessageResult

__all__ = ["for_each"]

#: Share of the deadline that is kept for waiting until everything is accepted.
SETTLE_SHARE: Final = 0.1
#: Share of the deadline that is kept for answering.
ANSWER_SHARE: Final = 0.02

#: Results that what the platform says of the message's writes may change.
_DONE: Final = frozenset({"ok", "skip"})

_log = logging.getLogger(__name__)

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Handled:
    """What a function said of a message, the record of what it sent, and when the message may come again."""

    result: MessageResult
    outbox: Outbox | None = None
    retry_in_ms: float | None = None


def for_each(
    ctx: Context,
    messages: Sequence[Message],
    function: Callable[[Any], Any],
    *,
    key: Callable[[Any], Hashable] | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Handle messages one by one and say what became of each.

    Example::

        def on_users(ctx, messages):
            return for_each(ctx, messages, lambda message: update_contact(ctx, message["user"]), limit=4)

    A function that returns has done its message (``ok``). It may return a status (``"skip"``) or
    ``{"status", "reason"}``. A :class:`~hull_sdk.errors.TransientError` asks for this message again, a
    :class:`~hull_sdk.errors.LogicError` makes it a dead letter, and any other exception is reported and asks for it
    again. A message whose write the platform refuses for good becomes an ``error``, one whose writes were not
    accepted in time a ``retry``. Messages that are not begun shortly before the deadline are retried too. When messages
    come again, the next notification comes a second later at the earliest, or after the longest ``retry_after`` of the
    errors, even if ``set_flow_control`` names a shorter pause.

    A message that is handled again, after an error, a timeout or the death of its process, changes nothing twice: what
    its function sends through ``ctx.client`` has ids made from the message, and the platform applies each id once. So
    a function may count (``inc``) and track. What it does elsewhere is its own affair.

    Args:
        ctx: The context.
        messages: The messages of a handler, each with its ``message_id``: those of ``user:update`` and
            ``account:update`` have one, those about connectors and segments may come without.
        function: ``f(message)``, plain or ``async``; inside, ``ctx.client`` records what this message sends.
        key: Messages with equal keys are handled one after the other, in their order; by default those about the
            same user or account.
        limit: How many keys are handled at the same time; one when ``None``.

    Returns:
        ``[{"message_id", "status", "reason"}]`` in the order of the messages, for a handler to return.

    Raises:
        InvalidArgumentError: ``function`` is no function, ``limit`` is below 1, or a message has no ``message_id``.
    """
    check_callable(function, "the function of for_each")
    if limit is not None:
        checked_count("limit", limit)
    lanes = _lanes(messages, _entity_of if key is None else key)
    handled: dict[int, _Handled] = {}
    source = _Shared(iter(lanes))
    work = partial(_work, ctx, function, source, handled)
    others = [ctx.submit(work) for _ in range(min(1 if limit is None else limit, len(lanes)) - 1)]
    work()
    for other in others:
        other.result()
    for one in handled.values():
        if one.retry_in_ms is not None:
            ctx.smart_notifier_response.wait_at_least(one.retry_in_ms)
    results = _settled(ctx, [handled[index] for index in range(len(messages))])
    return [result.to_wire() for result in results]


class _Shared:
    """Lanes that several threads take from."""

    def __init__(self, lanes: Iterator[list[tuple[int, Message]]]) -> None:
        self._lanes = lanes
        self._lock = Lock()

    def take(self) -> list[tuple[int, Message]] | None:
        with self._lock:
            return next(self._lanes, None)


def _lanes(messages: Sequence[Message], key: Callable[[Any], Hashable]) -> list[list[tuple[int, Message]]]:
    lanes: dict[Hashable, list[tuple[int, Message]]] = {}
    for index, message in enumerate(messages):
        if not isinstance(message.get("message_id"), str):
            raise InvalidArgumentError(
                f"message {index} has no message_id; pass messages of user:update or account:update as a handler gets "
                "them, and go through others, such as those about segments, without for_each"
            )
        lanes.setdefault(key(message), []).append((index, message))
    return list(lanes.values())


def _entity_of(message: Message) -> Hashable:
    entity = message.get("user") or message.get("account") or {}
    entity_id: Hashable = entity.get("id")
    return message["message_id"] if entity_id is None else entity_id


def _work(ctx: Context, function: Callable[[Any], Any], source: _Shared, handled: dict[int, _Handled]) -> None:
    while (lane := source.take()) is not None:
        for index, message in lane:
            handled[index] = _handle(ctx, function, message)


def _handle(ctx: Context, function: Callable[[Any], Any], message: Message) -> _Handled:
    message_id = message["message_id"]
    if ctx.remaining_s() < ctx.timeout_s * SETTLE_SHARE:
        return _Handled(MessageResult(message_id, "retry", "the deadline came before its turn"))
    with ctx.collect(message_id) as outbox:
        try:
            handled = _Handled(_read(message_id, call(function, message)))
        except Exception as err:  # noqa: BLE001 - an error decides about its own message only
            handled = _failed(ctx, message_id, err)
    return replace(handled, outbox=outbox)


def _read(message_id: str, returned: Any) -> MessageResult:
    if isinstance(returned, Mapping) and "status" in returned:
        return MessageResult.parse({**returned, "message_id": message_id})
    if isinstance(returned, str) and returned in RESULT_STATUSES:
        return MessageResult(message_id, returned)
    return MessageResult(message_id, "ok")


def _failed(ctx: Context, message_id: str, err: Exception) -> _Handled:
    verdict = judge(err)
    result = MessageResult(message_id, verdict.outcome.message, verdict.reason)
    if result.status == "error":
        fields = {"message_id": message_id, "reason": verdict.reason, "request_id": ctx.request_id}
        emit(_log, logging.WARNING, "connector.message.error", fields)
        return _Handled(result)
    report(err, verdict, ctx.instrumentation, ctx)
    return _Handled(result, retry_in_ms=verdict.flow_control.in_ms)


def _settled(ctx: Context, handled: list[_Handled]) -> list[MessageResult]:
    # In time the wait ends before the deadline, so that what is done counts. A late one has nothing to lose any more:
    # its answer is stored for the next delivery.
    clock = ctx.runtime.clock
    remaining = ctx.remaining_s()
    until = clock.monotonic() + (ctx.timeout_s if remaining <= 0.0 else remaining - ctx.timeout_s * ANSWER_SHARE)
    return [_settle(ctx, one, max(0.0, until - clock.monotonic())) for one in handled]


def _settle(ctx: Context, one: _Handled, timeout_s: float) -> MessageResult:
    if one.outbox is None:
        return one.result
    settlement = one.outbox.settle(timeout_s)
    refusals = [log_rejected(ctx, error) for error in settlement.rejected]
    if one.result.status not in _DONE:
        return one.result
    if settlement.pending or settlement.failed:
        return replace(one.result, status="retry", reason=not_accepted(settlement.pending, settlement.failed).message)
    if refusals:
        return replace(one.result, status="error", reason="; ".join(f"{r['code']}: {r['reason']}" for r in refusals))
    return one.result
