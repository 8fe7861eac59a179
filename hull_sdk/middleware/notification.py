"""Smart notifications: believed only when the platform signed every byte of them.

Rules: sections "Signatures" and "Refused notifications" of ``docs/protocol.md``. A body is decoded after the signature
over its raw bytes has been verified. While the key is not known yet, its organization is looked at first, to refuse
one that is not allowed without any outgoing call. For that a small body is decoded; a large one is only searched, since
hostile JSON takes many times its size in memory.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Final

from hull_sdk.core.net import HostPatterns
from hull_sdk.errors import NotificationError
from hull_sdk.middleware.base import Arrival, Extension, RequestFacts
from hull_sdk.middleware.credentials import check_organization
from hull_sdk.middleware.keys import KeyUrl, checked_key_url
from hull_sdk.wire.notifications import (
    Notification,
    missing_signature_headers,
    organizations_named,
    parse_notification,
    unsupported_signature_version,
)
from hull_sdk.wire.signatures import (
    HEADER_KEY_URL,
    HEADER_SIGNATURE,
    HEADER_VERSION,
    SIGNATURE_VERSION,
    check_notification_id,
    verify_body,
)

__all__ = ["read_notification"]

#: Largest body that is decoded before its signature has been verified, in bytes.
MAX_UNVERIFIED_BYTES: Final = 256 * 1024
#: So many organizations are looked at in a larger one, which could name a million.
MAX_NAMED: Final = 1000


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
    body, trust = b"" if facts.body is None else facts.body, extension.trust
    if extension.skip_signature_validation:
        return _decoded(body, trust)
    signature, key_url = _signature(facts, trust)
    check = partial(
        verify_body,
        signature,
        body=body,
        now=extension.runtime.clock.time(),
        accept_unbound=extension.accept_unbound_signatures,
    )
    before_asking = partial(_check_organization, body, trust)
    signed_id = extension.keys.check_with_key(key_url, signature, check, before_asking=before_asking)
    notification = _decoded(body, trust)
    check_notification_id(signed_id, notification["notification_id"])
    return notification


def _decoded(body: bytes, trust: HostPatterns) -> Notification:
    if not body:
        raise NotificationError("MISSING_NOTIFICATION", "the request has no body")
    notification = parse_notification(body)
    check_organization(notification["configuration"]["organization"], trust)
    return notification


def _check_organization(body: bytes, trust: HostPatterns) -> None:
    """Refuse a body of an organization that is not allowed, for which nobody is asked for a key."""
    if len(body) <= MAX_UNVERIFIED_BYTES:
        _decoded(body, trust)
    else:
        _check_named(body, trust)


def _check_named(body: bytes, trust: HostPatterns) -> None:
    """Refuse a body that names no allowed organization; which one counts is known after it was verified."""
    found = None
    for found in islice(organizations_named(body), MAX_NAMED):
        if trust.allows(found):
            return
    if found is None:
        raise NotificationError("MISSING_CONFIGURATION", "the body names no organization in a configuration")
    check_organization(found, trust)


def _signature(facts: RequestFacts, trust: HostPatterns) -> tuple[str, KeyUrl]:
    version = facts.header(HEADER_VERSION)
    if version != SIGNATURE_VERSION:
        raise unsupported_signature_version(version)
    found = {name: facts.header(name) or "" for name in (HEADER_SIGNATURE, HEADER_KEY_URL)}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise missing_signature_headers(missing)
    return found[HEADER_SIGNATURE], checked_key_url(found[HEADER_KEY_URL], trust)
