"""Takes a webhook: it is answered once Hull has what it says."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from flask import Response, has_request_context, request

from hull_sdk import Context
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers import json_body
from hull_sdk.infra import parse_time
from hull_sdk.types import RequestParts
from webhooks_connector.mapping import Found, mapped
from webhooks_connector.settings import private_settings

__all__ = ["WEBHOOK_PATH", "check_call", "limit_body", "receive"]

WEBHOOK_PATH = "/webhook"
#: Bytes of the largest webhook that is read.
MAX_BYTES = 1024 * 1024


def limit_body() -> None:
    """Read no more of a webhook than is sensible."""
    if _is_webhook():
        request.max_content_length = MAX_BYTES


def check_call(ctx: Context) -> Response | None:
    """Refuse webhooks that are not signed, where the settings ask for it, or are no JSON.

    Args:
        ctx: The context; nobody has read the body yet.
    """
    if not _is_webhook() or ctx.config is None:
        return None
    settings = private_settings(ctx)
    if settings["shared_secret"] and not _is_signed(settings["shared_secret"], settings["signature_header"]):
        ctx.metric.increment("ship.incoming.invalid_signature")
        return Response("the signature is missing or wrong", 401, mimetype="text/plain")
    if request.method == "POST" and json_body(request, force=True) is None:
        return Response("the body is no JSON", 400, mimetype="text/plain")
    return None


def receive(ctx: Context, parts: RequestParts) -> Any:
    """Write what a webhook says.

    Args:
        ctx: The context.
        parts: The decoded webhook.

    Returns:
        What was written, for example ``{"written": ["user", "event"]}``; nothing when it names nobody, which is logged.
    """
    found = mapped(parts["body"], private_settings(ctx))
    try:
        written = _write(ctx, found)
    except InvalidArgumentError as err:  # too large, for example; no repetition would help
        return _refusal(ctx, err.message)
    ctx.metric.increment("ship.incoming.webhooks")
    if written:
        ctx.client.logger.info("incoming.webhook.success", {"written": written})
    else:
        ctx.client.logger.info("incoming.webhook.skip", {"reason": "no identifier is where the settings say"})
    return {"written": written}


def _write(ctx: Context, found: Found) -> list[str]:
    written = []
    user = ctx.client.as_user(found.user) if found.user else None
    says_only_who = not found.account and found.event is None
    if user is not None and (found.attributes or says_only_who):
        user.traits(found.attributes)
        written.append("user")
    if found.account:
        account = ctx.client.as_account(found.account) if user is None else user.account(found.account)
        account.traits(found.account_attributes)
        written.append("account")
    if user is not None and found.event is not None:
        user.track(found.event, found.properties, _event_context(ctx, found))
        written.append("event")
    return written


def _refusal(ctx: Context, reason: str) -> Response:
    ctx.client.logger.error("incoming.webhook.error", {"reason": reason})
    return Response(reason, 400, mimetype="text/plain")


def _event_context(ctx: Context, found: Found) -> dict[str, Any]:
    # A service repeats a webhook that was not answered in time; it has to be the same event then.
    event_id = found.event_id or hashlib.sha256(request.get_data(cache=True)).hexdigest()[:40]
    context = {"source": "webhooks", "event_id": event_id, "ip": "0"}
    if found.created_at is None:
        return context
    if parse_time(found.created_at) is None:  # Hull would refuse the event
        reason = f"{found.created_at!r:.100} is no time; the event has that of its arrival"
        ctx.client.logger.warning("incoming.event.warning", {"reason": reason})
        return context
    return {**context, "created_at": found.created_at}


def _is_webhook() -> bool:
    return has_request_context() and request.path.rstrip("/") == WEBHOOK_PATH


def _is_signed(secret: str, header: str) -> bool:
    expected = hmac.new(secret.encode(), request.get_data(cache=True), hashlib.sha256).hexdigest()
    given = request.headers.get(header, "").strip().lower().removeprefix("sha256=")
    return hmac.compare_digest(expected.encode(), given.encode())
