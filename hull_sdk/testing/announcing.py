"""Notifications that a test words itself, signed and sent as the platform does it.

Rules: sections "Notifications" and "Signatures" of ``docs/protocol.md``. Nothing comes of the answer here: no retry, no
dead letter, no delivery in the platform's list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hull_sdk.core.net import Request
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.notifications import completed_message, notification_body, with_message_id
from hull_sdk.wire.signatures import sign_notification, signature_headers

if TYPE_CHECKING:
    from hull_sdk.platform import Connector, Organization, Platform

__all__ = ["announcement"]


def announcement(
    platform: Platform,
    organization: Organization,
    connector: Connector,
    channel: str,
    messages: Sequence[Mapping[str, Any]],
) -> Request:
    """Return the request that tells a connector of some messages.

    Args:
        platform: Signs it.
        organization: Whose segments it lists.
        connector: Whom to tell.
        channel: For example ``"user:update"``.
        messages: What each says; parts that every message of the channel has are added empty.

    Raises:
        InvalidArgumentError: The connector's manifest subscribes to no such channel.
    """
    subscription = connector.subscription(channel)
    if subscription is None:
        raise InvalidArgumentError(
            f"the manifest has no subscription to the channel {channel!r}; add one to subscriptions"
        )
    host, notification_id = organization.dialled_host(), platform.runtime.ids.uuid()
    body = notification_body(
        notification_id=notification_id,
        parent_id=None,
        configuration={"id": connector.id, "organization": host, "secret": connector.secret},
        connector=connector.to_wire(with_secret=True),
        channel=channel,
        messages=[with_message_id(completed_message(channel, message), notification_id)[1] for message in messages],
        catalog=organization.catalog(),
    )
    signature = sign_notification(platform.signing_key, notification_id, body, platform.runtime.clock.time())
    headers = {**signature_headers(signature, platform.key_url(host)), "Content-Type": "application/json"}
    return Request(method="POST", url=connector.url_of(subscription.url), headers=headers, body=body)
