"""Smart notifications: believed only when the platform signed every byte of them.

Rules: sections "Signatures" and "Refused notifications" of ``docs/protocol.md``. The body is decoded before its
signature is checked, for one purpose: to refuse an organization that is not allowed without any outgoing call.
Nothing else of it is used until the signature over the raw bytes has been verified.
"""

from __future__ import annotations

from hull_sdk.core.net import HostPatterns
from hull_sdk.errors import NotificationError
from hull_sdk.middleware.base import Arrival, Extension, RequestFacts
from hull_sdk.middleware.credentials import check_organization
from hull_sdk.middleware.keys import check_key_url
from hull_sdk.wire.notifications import (
    Notification,
    missing_signature_headers,
    parse_notification,
    unsupported_signature_version,
)
from hull_sdk.wire.signatures import (
    HEADER_KEY_URL,
    HEADER_SIGNATURE,
    HEADER_VERSION,
    SIGNATURE_VERSION,
    verify_notification,
)

__all__ = ["read_notification"]


def read_notification(arrival: Arrival) -> None:
    """Verify and decode a smart notification; other requests pass.

    Args:
        arrival: The request and its context.

    Raises:
        NotificationError: It is malformed, too large or not signed by the platform.
        CredentialsError: Its organization is not allowed.
    """
    facts, extension = arrival.facts, arrival.extension
    if not facts.is_notification:
        return
    if facts.body_error is not None:
        raise facts.body_error
    notification = _verified(facts, extension)
    context = arrival.context
    context.notification = notification
    context.request_id = f"smart-notifier:{int(extension.runtime.clock.time())}:{notification['notification_id']}"


def _verified(facts: RequestFacts, extension: Extension) -> Notification:
    body = b"" if facts.body is None else facts.body
    signature, key_url = ("", "")
    if not extension.skip_signature_validation:
        signature, key_url = _signature(facts, extension.trust)
    if not body:
        raise NotificationError("MISSING_NOTIFICATION", "the request has no body")
    notification = parse_notification(body)
    check_organization(notification["configuration"]["organization"], extension.trust)
    if extension.skip_signature_validation:
        return notification
    verify_notification(
        signature,
        extension.keys.key(key_url, signature, extension.trust),
        notification_id=notification["notification_id"],
        body=body,
        now=extension.runtime.clock.time(),
        accept_unbound=extension.accept_unbound_signatures,
    )
    return notification


def _signature(facts: RequestFacts, trust: HostPatterns) -> tuple[str, str]:
    version = facts.header(HEADER_VERSION)
    if version != SIGNATURE_VERSION:
        raise unsupported_signature_version(version)
    found = {name: facts.header(name) or "" for name in (HEADER_SIGNATURE, HEADER_KEY_URL)}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise missing_signature_headers(missing)
    check_key_url(found[HEADER_KEY_URL], trust)
    return found[HEADER_SIGNATURE], found[HEADER_KEY_URL]
