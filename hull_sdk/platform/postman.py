"""Notifications on their way: frozen into bytes once, and sent in the form that their connector asks for.

Rules: sections "Notifications" and "Legacy notifications" of ``docs/protocol.md``. When something is sent, and what its
answer leads to, is the matter of ``delivery``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.runtime import Runtime
from hull_sdk.platform.carrier import Carrier, Reply
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.landlord import Host
from hull_sdk.platform.lanes import Outgoing
from hull_sdk.platform.legacy import envelope_of, legacy_answer
from hull_sdk.platform.notifications import notification_body
from hull_sdk.wire.flow_control import Answer, parse_answer

__all__ = ["Postman"]

_TOO_LARGE: Final = 413


class Postman:
    """Freezes and sends the notifications of one organization.

    Args:
        organization: Whose.
        runtime: Clock and ids.
        carrier: Signs and sends.
    """

    def __init__(self, organization: Host, *, runtime: Runtime, carrier: Carrier) -> None:
        self._organization = organization
        self._runtime = runtime
        self._carrier = carrier

    def frozen(
        self,
        connector: Connector,
        channel: str,
        messages: list[dict[str, Any]],
        keys: list[str],
        *,
        notification_id: str | None = None,
        parent_id: str | None = None,
        encoded: Iterable[bytes] | None = None,
    ) -> Outgoing:
        """Return a notification whose bytes stay the same on every try.

        Args:
            connector: Whom it is for.
            channel: For example ``"user:update"``.
            messages: With their ids.
            keys: The entity of each message.
            notification_id: Its id; a fresh one when ``None``.
            parent_id: The notification that it is a part of.
            encoded: The messages in JSON, if that has been made.
        """
        notification_id = self._runtime.ids.uuid() if notification_id is None else notification_id
        body = notification_body(
            notification_id=notification_id,
            parent_id=parent_id,
            configuration={
                "id": connector.id,
                "organization": self._organization.dialled_host(),
                "secret": connector.secret,
            },
            connector=connector.to_wire(with_secret=True),
            channel=channel,
            messages=map(json.dumps, messages) if encoded is None else encoded,
            catalog=self._organization.catalog(),
        )
        return Outgoing(id=notification_id, parent_id=parent_id, messages=messages, keys=keys, body=body)

    def send(self, connector: Connector, channel: str, outgoing: Outgoing) -> tuple[Reply, Answer] | None:
        """Send a notification once, and read the answer in the form in which it was sent.

        Returns:
            What came back, and what it asks for; ``None`` when the connector does not subscribe to the channel any
            more.
        """
        subscription, host = connector.subscription(channel), self._organization.dialled_host()
        if subscription is None:
            return None
        if connector.legacy:
            pushed = self._push(connector, channel, subscription.url, outgoing, host)
            return pushed, legacy_answer(pushed.status)
        reply = self._carrier.notify(connector, connector.url_of(subscription.url), outgoing.id, outgoing.body, host)
        return reply, Answer(None) if reply.status is None else parse_answer(reply.body)

    def _push(self, connector: Connector, channel: str, path: str, outgoing: Outgoing, host: str) -> Reply:
        if len(outgoing.messages) > 1:  # frozen when the manifest still had its tag
            return Reply(_TOO_LARGE, error="legacy notifications have one message each")
        envelope = envelope_of(channel, connector.id, outgoing.id, outgoing.messages[0], self._runtime.clock.time())
        return self._carrier.push(connector, connector.url_of(path, connector.credentials(host)), envelope, host)
