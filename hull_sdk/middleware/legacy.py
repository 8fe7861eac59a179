"""Legacy notifications: believed only when SNS signed them; whose they are, the query says.

Rules: section "Legacy notifications" of ``docs/protocol.md``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from hull_sdk.context import Context
from hull_sdk.errors import NotificationError
from hull_sdk.middleware.base import Arrival
from hull_sdk.wire.sns import parse_message, request_id, verify_message

__all__ = ["read_legacy_notification", "subject_of"]


def read_legacy_notification(arrival: Arrival) -> None:
    """Verify a legacy notification and keep its envelope as ``ctx.message``; other requests pass.

    Args:
        arrival: The request and its context.

    Raises:
        NotificationError: It is malformed, too large or not signed by SNS.
    """
    facts, extension, context = arrival.facts, arrival.extension, arrival.context
    if not facts.is_legacy or facts.is_notification:
        return
    if facts.body_error is not None:
        raise facts.body_error
    message = parse_message(b"" if facts.body is None else facts.body)
    now = extension.runtime.clock.time()
    if not extension.skip_signature_validation:
        url = message.get("SigningCertURL")
        if url is None or "Signature" not in message:
            raise NotificationError(
                "INVALID_SIGNATURE", "the message has no Signature or no SigningCertURL", status=401
            )
        extension.keys.check_with_certificate(url, extension.trust, partial(verify_message, message, now=now))
    context.message = message
    context.request_id = request_id(message, now)


def subject_of(context: Context) -> str:
    """Return what a notification of either generation is about, for example ``"ship:update"``; ``""`` if none.

    Args:
        context: The context after the notifications were read.
    """
    notification: Any = context.notification
    if notification is not None:
        return str(notification["channel"])
    message: Any = context.message
    return "" if message is None else str(message.get("Subject", ""))
