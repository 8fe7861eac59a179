"""The shapes that travel, for annotating handlers: counterparts of the Flow types of the Node generation.

``THullUserUpdateMessage`` is :class:`UserMessage`, ``THullUserIdent`` :class:`UserClaims`, ``THullUserAttributes``
:data:`Attributes`, ``THullUser`` :data:`UserReport`, ``THullReqContext`` :class:`hull_sdk.Context`; the others have the
name that one would guess.
"""

from __future__ import annotations

from hull_sdk.wire.entities import Claims, EntityKind
from hull_sdk.wire.extracts import ExtractNotice, ExtractRequest
from hull_sdk.wire.firehose import FirehoseMessage, MessageType
from hull_sdk.wire.notifications import (
    AccountDeletion,
    AccountMessage,
    AccountReport,
    Changes,
    Configuration,
    ConnectorObject,
    Event,
    Notification,
    Segment,
    SegmentChanges,
    UserDeletion,
    UserMessage,
    UserReport,
)
from hull_sdk.wire.shapes import (
    AccountClaims,
    AttributeOperation,
    Attributes,
    AttributesChanges,
    AttributeValue,
    LegacyMessage,
    LegacyNotification,
    Manifest,
    ManifestChannel,
    ManifestSchedule,
    ManifestSetting,
    ManifestStatus,
    ManifestSubscription,
    MessageResponse,
    ObjectClaims,
    ObjectReport,
    RequestParts,
    ResultStatus,
    SmartNotifierAnswer,
    StatusAnswer,
    UserClaims,
    WireFlowControl,
)

__all__ = [
    "AccountClaims",
    "AccountDeletion",
    "AccountMessage",
    "AccountReport",
    "AttributeOperation",
    "AttributeValue",
    "Attributes",
    "AttributesChanges",
    "Changes",
    "Claims",
    "Configuration",
    "ConnectorObject",
    "EntityKind",
    "Event",
    "ExtractNotice",
    "ExtractRequest",
    "FirehoseMessage",
    "LegacyMessage",
    "LegacyNotification",
    "Manifest",
    "ManifestChannel",
    "ManifestSchedule",
    "ManifestSetting",
    "ManifestStatus",
    "ManifestSubscription",
    "MessageResponse",
    "MessageType",
    "Notification",
    "ObjectClaims",
    "ObjectReport",
    "RequestParts",
    "ResultStatus",
    "Segment",
    "SegmentChanges",
    "SmartNotifierAnswer",
    "StatusAnswer",
    "UserClaims",
    "UserDeletion",
    "UserMessage",
    "UserReport",
    "WireFlowControl",
]
