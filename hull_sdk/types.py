"""The shapes that travel, for annotating handlers: counterparts of the Flow types of the Node generation."""

from __future__ import annotations

from hull_sdk.wire.entities import Claims, EntityKind
from hull_sdk.wire.firehose import FirehoseMessage, MessageType
from hull_sdk.wire.notifications import (
    AccountMessage,
    AccountReport,
    Changes,
    Configuration,
    ConnectorObject,
    Event,
    Notification,
    Segment,
    SegmentChanges,
    UserMessage,
    UserReport,
)

__all__ = [
    "AccountMessage",
    "AccountReport",
    "Changes",
    "Claims",
    "Configuration",
    "ConnectorObject",
    "EntityKind",
    "Event",
    "FirehoseMessage",
    "MessageType",
    "Notification",
    "Segment",
    "SegmentChanges",
    "UserMessage",
    "UserReport",
]
