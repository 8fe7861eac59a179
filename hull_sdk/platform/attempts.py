"""Tries to deliver a notification: what is kept of each, and what is logged.

Rules: section "Notifications" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis
from hull_sdk.core.logs import emit
from hull_sdk.wire.flow_control import Answer

__all__ = ["UNTOLD", "Delivery", "log_attempt"]

_log = logging.getLogger(__name__)

#: Fields of a delivery that its plain form has no place for; the messages themselves stand there.
UNTOLD: Final = frozenset({"message_ids", "body"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One try to deliver a notification, and what came of it.

    Args:
        sequence: Order on the whole platform.
        organization: The organization's host.
        connector_id: Whom it was for.
        connector_name: Its name.
        channel: For example ``"user:update"``.
        lane: ``"fast"`` or ``"normal"``.
        notification_id: The same id means byte-identical messages.
        parent_notification_id: The notification that it is a part of, or ``None``.
        attempt: From 1.
        message_ids: Of the messages that were sent.
        body: The bytes of the notification; with the connector's secret, so they are shown nowhere.
        status: HTTP status, ``None`` when nothing came back.
        answer: The decoded answer, or ``None``.
        error: Why nothing came back, or ``None``.
        outcome: ``"next"``, ``"retry"``, ``"partial"``, ``"split"`` or ``"failed"``.
        at: Domain time of the start, in Unix seconds.
    """

    sequence: int
    organization: str
    connector_id: str
    connector_name: str
    channel: str
    lane: str
    notification_id: str
    parent_notification_id: str | None
    attempt: int
    message_ids: tuple[str, ...]
    body: bytes = field(repr=False)
    status: int | None
    answer: Any
    error: str | None
    outcome: str
    at: float

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was sent, decoded anew: objects for each message ever sent would keep the garbage collector busy."""
        found: list[dict[str, Any]] = json.loads(self.body)["messages"]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return what happened as JSON, times as text, without signatures and secrets."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in UNTOLD}
        return {**values, "messages": self.messages, "at": iso_millis(self.at)}


def log_attempt(delivery: Delivery, answer: Answer) -> None:
    """Log a try: what went well at the level debug, everything else as a warning.

    Args:
        delivery: The try.
        answer: What could be understood of the connector's answer.
    """
    fields = {
        "organization": delivery.organization,
        "connector_id": delivery.connector_id,
        "channel": delivery.channel,
        "notification_id": delivery.notification_id,
        "attempt": delivery.attempt,
        "messages": len(delivery.message_ids),
        "status": delivery.status,
        "outcome": delivery.outcome,
        "errors": list(answer.errors),
    }
    if delivery.error is not None:
        fields["error"] = delivery.error
    emit(_log, logging.DEBUG if delivery.outcome == "next" else logging.WARNING, "delivery.answered", fields)
    if answer.flow_control is not None and answer.flow_control.in_time is not None:
        emit(_log, logging.DEBUG, "delivery.in_time_ignored", {"connector_id": delivery.connector_id})
