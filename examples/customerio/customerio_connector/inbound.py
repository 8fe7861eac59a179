"""From Customer.io to Hull: who may call the webhook, and what becomes of a call."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

from flask import Response, has_request_context, request

from customerio_connector.activity import Skip, activity_of
from customerio_connector.settings import private_settings
from hull_sdk import Context
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers import json_body
from hull_sdk.types import RequestParts

__all__ = ["ANSWER_S", "WEBHOOK_PATH", "check_call", "limit_body", "receive"]

WEBHOOK_PATH: Final = "/webhook"
#: So long Hull may take at most; the way there and back is part of the second within which Customer.io has its answer.
ANSWER_S: Final = 0.8
#: Bytes of the largest webhook that is read.
MAX_BYTES: Final = 512 * 1024


def limit_body() -> None:
    """Read no more of a webhook than is sensible."""
    if _is_webhook():
        request.max_content_length = MAX_BYTES


def check_call(ctx: Context) -> Response | None:
    """Refuse webhooks without a token, without the signature that the settings ask for, or that are no JSON object.

    Args:
        ctx: The context; nobody has read the body yet.
    """
    if not _is_webhook():
        return None
    if ctx.config is None:
        return _refusal("The token is missing; copy the whole webhook address from the connector's page", 401)
    body = request.get_data(cache=True)
    key = private_settings(ctx)["webhook_signing_key"]
    if key and not _is_signed(body, key):
        ctx.metric.increment("ship.incoming.invalid_signature")
        return _refusal("The signature is missing or wrong; compare the webhook signing key in the settings", 401)
    if request.method == "POST" and not isinstance(json_body(request, force=True), dict):
        return _refusal("The body is no JSON object", 400)
    return None


def receive(ctx: Context, webhook: RequestParts) -> Any:
    """Take one webhook; it is answered with success once Hull has its event.

    Args:
        ctx: The context.
        webhook: The decoded webhook.

    Returns:
        ``"ok"``, also for one that is no event here, such as "Send Test" may send.
    """
    logger = ctx.client.logger
    try:
        activity = activity_of(webhook["body"], private_settings(ctx)["user_id_mapping"], request.get_data(cache=True))
        user = ctx.client.as_user(activity.claims)
        user.track(activity.name, activity.properties, activity.context)
    except Skip as skipped:
        logger.info("incoming.event.skip", {"reason": str(skipped)})
    except InvalidArgumentError as err:  # too large, for example; no repetition would help
        ctx.metric.increment("ship.incoming.errors")
        return _refused(ctx, err)
    else:
        told = {"event": activity.name, "event_id": activity.context["event_id"]}
        user.logger.info("incoming.event.success", told)
        ctx.metric.increment("ship.incoming.events")
    return "ok"


def _refused(ctx: Context, err: InvalidArgumentError) -> Response:
    ctx.client.logger.error("incoming.event.error", {"reason": err.message})
    return _refusal(err.message, 400)


def _is_webhook() -> bool:
    # Jobs, which bring batches, have a context without a request.
    return has_request_context() and request.path.rstrip("/") == WEBHOOK_PATH


def _is_signed(body: bytes, key: str) -> bool:
    # An old webhook is no danger: its event has the same id and changes nothing a second time.
    signed = b"v0:" + request.headers.get("X-CIO-Timestamp", "").strip().encode() + b":" + body
    expected = hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
    given = request.headers.get("X-CIO-Signature", "").strip().lower()
    return hmac.compare_digest(expected.encode(), given.encode())


def _refusal(reason: str, status: int) -> Response:
    return Response(reason, status, mimetype="text/plain")
