"""From Hull to Segment: the users of a notification together, and a result for each of them."""

from __future__ import annotations

from typing import Any, Final

from hull_sdk import Context
from hull_sdk.errors import ApiError, TransientError
from hull_sdk.types import RequestParts, UserMessage
from segment_connector.outbound_mapping import Outcome, calls_of
from segment_connector.segment_api import MAX_CALL_BYTES, SegmentApi, batches, encoded
from segment_connector.settings import private_settings, settings

__all__ = ["send_users"]

#: Users in the next notification, and the pause before it.
SIZE: Final = 100
PAUSE_MS: Final = 1
#: What a batch takes at most, in seconds; with less time left it waits for the next notification.
BATCH_S: Final = 13
#: Pause after a failure, in seconds, when Segment names none.
RETRY_S: Final = 1


def send_users(ctx: Context, messages: list[UserMessage], batch: RequestParts | None) -> list[dict[str, Any]]:
    """Send users, their accounts and their events.

    Args:
        ctx: The context.
        messages: Of a notification, or made from the rows of an extract.
        batch: The call that brought the extract; ``None`` for notifications.

    Returns:
        A result for each message: what Segment could not take now comes again, what it refuses for good is kept aside.
    """
    ctx.smart_notifier_response.set_flow_control(type="next", size=SIZE, in_ms=PAUSE_MS)
    write_key = private_settings(ctx)["write_key"]
    if not write_key:
        return _results(messages, {}, default="skip")
    chosen = {**settings(ctx), **private_settings(ctx)}
    outcomes = {each["message_id"]: calls_of(each, chosen, is_batch=batch is not None) for each in messages}
    _log_skipped(ctx, messages, outcomes)
    failures: dict[str, tuple[str, str]] = {}
    _send_all(ctx, SegmentApi(ctx, write_key), _encoded(ctx, outcomes, failures), failures)
    for message in messages:
        if message["message_id"] not in failures:
            _log_sent(ctx, message, outcomes[message["message_id"]])
    return _results(messages, failures)


def _encoded(
    ctx: Context, outcomes: dict[str, Outcome], failures: dict[str, tuple[str, str]]
) -> list[tuple[str, bytes]]:
    calls = []
    for message_id, outcome in outcomes.items():
        for call in outcome.calls:
            text = encoded(call)
            if len(text) <= MAX_CALL_BYTES:
                calls.append((message_id, text))
                continue
            reason = f"the {call['type']} call has {len(text)} bytes; Segment takes {MAX_CALL_BYTES}"
            ctx.client.logger.error("outgoing.call.error", {"reason": reason, "message_id": call["messageId"]})
            failures[message_id] = ("error", reason)
    return calls


def _send_all(
    ctx: Context, api: SegmentApi, calls: list[tuple[str, bytes]], failures: dict[str, tuple[str, str]]
) -> None:
    """Send batch by batch; after one that has to come again nothing overtakes it."""
    stopped: str | None = None
    for batch in batches(calls):
        if stopped is None:
            stopped = _send(ctx, api, batch, failures)
        if stopped is not None:
            for message_id, _ in batch:
                failures[message_id] = ("retry", stopped)


def _send(
    ctx: Context, api: SegmentApi, batch: list[tuple[str, bytes]], failures: dict[str, tuple[str, str]]
) -> str | None:
    """Send one batch; return why it has to come again, or ``None``."""
    if ctx.remaining_s() < BATCH_S:
        return "there was no time left for it"
    try:
        api.send([call for _, call in batch])
    except TransientError as err:
        ctx.metric.increment("connector.transient_error")
        retry_after = RETRY_S if err.retry_after is None else err.retry_after
        ctx.smart_notifier_response.wait_at_least(retry_after * 1000)
        return err.message
    except ApiError as err:
        return _split(ctx, api, batch, failures, err)
    return None


def _split(
    ctx: Context,
    api: SegmentApi,
    batch: list[tuple[str, bytes]],
    failures: dict[str, tuple[str, str]],
    refusal: ApiError,
) -> str | None:
    """Find the call for which Segment refuses a batch, so that it takes the others."""
    if len(batch) == 1:
        ctx.client.logger.error("outgoing.call.error", {"reason": refusal.message})
        failures[batch[0][0]] = ("error", refusal.message)
        return None
    middle = len(batch) // 2
    first = _send(ctx, api, batch[:middle], failures)
    return first if first is not None else _send(ctx, api, batch[middle:], failures)


def _results(
    messages: list[UserMessage], failures: dict[str, tuple[str, str]], default: str = "ok"
) -> list[dict[str, Any]]:
    found = []
    for message in messages:
        status, reason = failures.get(message["message_id"], (default, ""))
        found.append({"message_id": message["message_id"], "status": status, **({"reason": reason} if reason else {})})
    return found


def _log_skipped(ctx: Context, messages: list[UserMessage], outcomes: dict[str, Outcome]) -> None:
    for message in messages:
        outcome = outcomes[message["message_id"]]
        logger = ctx.client.as_user(message["user"]).logger
        if outcome.skipped is not None:
            logger.info("outgoing.user.skip", {"reason": outcome.skipped})
        for name, reason in outcome.skipped_events:
            logger.info("outgoing.event.skip", {"event": name, "reason": reason})


def _log_sent(ctx: Context, message: UserMessage, outcome: Outcome) -> None:
    logger = ctx.client.as_user(message["user"]).logger
    for call in outcome.calls:
        what = {"identify": "user", "group": "account"}.get(call["type"], "event")
        event = f"outgoing.{what}.success"
        logger.info(event, {"type": call["type"], "message_id": call["messageId"]})
        ctx.metric.increment(f"ship.outgoing.{what}s")
