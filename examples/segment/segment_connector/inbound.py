"""From Segment to Hull: each call is answered once Hull has it."""

from __future__ import annotations

from typing import Any, Final

from flask import Response

from hull_sdk import Context
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.types import RequestParts
from segment_connector.inbound_mapping import CallError, Skip, UnsupportedError, Write, normalized, writes
from segment_connector.settings import settings

__all__ = ["receive"]

#: What log lines call the objects that the types of calls are about.
_OBJECTS: Final = {"identify": "user", "group": "account", "alias": "user"}


def receive(ctx: Context, request: RequestParts) -> Any:
    """Take one call of Segment.

    Args:
        ctx: The context.
        request: The decoded call.

    Returns:
        ``"thanks"`` with status 200, also for a call that means nothing here; 400 or 501 for one that can never be
        taken, which Segment shows in the deliveries of the destination.
    """
    try:
        call = normalized(request["body"])
        for write in writes(call, dict(settings(ctx))):
            _write(ctx, write)
    except Skip as skipped:
        _log(ctx, call, "skip", reason=str(skipped))
        return "thanks"
    except (CallError, InvalidArgumentError) as refused:
        ctx.metric.increment("ship.incoming.errors")
        return _refusal(ctx, refused)
    _log(ctx, call, "success")
    return "thanks"


def _write(ctx: Context, write: Write) -> None:
    client = ctx.client
    user = None if write.user is None else client.as_user(write.user, active=write.active)
    if write.account is not None:
        account = client.as_account(write.account) if user is None else user.account(write.account)
        account.traits(write.traits)
        ctx.metric.increment("ship.incoming.accounts")
    elif user is not None and write.event is not None:
        user.track(write.event, write.properties, write.context)
        ctx.metric.increment("ship.incoming.events")
    elif user is not None:
        user.traits(write.traits)
        ctx.metric.increment("ship.incoming.users")


def _refusal(ctx: Context, refused: Exception) -> Response:
    ctx.client.logger.error("incoming.bogus.error", {"reason": str(refused)})
    return Response(str(refused), 501 if isinstance(refused, UnsupportedError) else 400, mimetype="text/plain")


def _log(ctx: Context, call: dict[str, Any], outcome: str, **data: Any) -> None:
    kind = str(call.get("type"))
    data = {"type": kind, "message_id": call.get("messageId"), **data}
    event = f"incoming.{_OBJECTS.get(kind, 'event')}.{outcome}"
    ctx.client.logger.info(event, data)
