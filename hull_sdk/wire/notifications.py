"""Smart notifications: the request that the platform makes to a connector, and the messages inside.

Rules: sections "Notifications" and "Refused notifications" of ``docs/protocol.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NotRequired, TypedDict

from hull_sdk.core import json
from hull_sdk.errors import NotificationError

__all__ = [
    "CHANNELS",
    "DELETION_CHANNELS",
    "ENTITY_CHANNELS",
    "ERROR_CODES",
    "MAX_BODY_BYTES",
    "MAX_NOTIFICATION_BYTES",
    "AccountDeletion",
    "AccountMessage",
    "AccountReport",
    "Changes",
    "Configuration",
    "ConnectorObject",
    "Event",
    "Notification",
    "Segment",
    "SegmentChanges",
    "UserDeletion",
    "UserMessage",
    "UserReport",
    "missing_signature_headers",
    "organizations_named",
    "parse_notification",
    "too_large",
    "unsupported_signature_version",
]

#: What the platform sends about users and accounts.
ENTITY_CHANNELS: Final = ("user:update", "account:update")
#: What it sends when one of them was deleted.
DELETION_CHANNELS: Final = ("user:delete", "account:delete")
#: What the platform sends; a handler is registered under one of these names.
CHANNELS: Final = (
    *ENTITY_CHANNELS,
    "ship:update",
    "users_segment:update",
    "users_segment:delete",
    "accounts_segment:update",
    "accounts_segment:delete",
    *DELETION_CHANNELS,
)

#: Largest notification that a connector reads, in bytes.
MAX_NOTIFICATION_BYTES: Final = 20 * 1024 * 1024

#: Largest body of any request that a connector reads unless it says otherwise, in bytes.
MAX_BODY_BYTES: Final = 2 * MAX_NOTIFICATION_BYTES

#: The organization in an object without nested ones, as a notification's ``configuration`` is.
_ORGANIZATION: Final = re.compile(rb'"configuration"\s*:\s*\{[^{}]*?"organization"\s*:\s*"([^"\\]{1,255})"')

#: Why a connector refuses a notification.
ERROR_CODES: Final = (
    "UNSUPPORTED_SIGNATURE_VERSION",
    "MISSING_SIGNATURE_HEADERS",
    "ENTITY_TOO_LARGE",
    "MISSING_NOTIFICATION",
    "MISSING_CONFIGURATION",
    "INVALID_SIGNATURE",
)

#: A flat report: ``id``, ``external_id``, ``email``, ``segment_ids`` ... and ``traits_*``.
UserReport = dict[str, Any]
#: A flat report: ``id``, ``external_id``, ``domain`` ... and the attributes without a prefix.
AccountReport = dict[str, Any]


class Configuration(TypedDict):
    """Whose notification it is: the connector's credentials."""

    id: str
    organization: str
    secret: str


class Segment(TypedDict):
    """A segment as connectors see it; ``type`` is ``users_segment`` or ``accounts_segment``."""

    id: str
    name: str
    type: str
    created_at: str
    updated_at: str
    query: NotRequired[dict[str, Any]]
    predicate: NotRequired[dict[str, Any]]
    stats: NotRequired[dict[str, int]]
    filtered: NotRequired[bool]


class ConnectorObject(TypedDict):
    """A connector as the platform describes it."""

    id: str
    name: str
    type: str
    source_url: str
    manifest: dict[str, Any]
    settings: dict[str, Any]
    private_settings: dict[str, Any]
    status: dict[str, Any]
    created_at: str
    updated_at: str
    secret: NotRequired[str]
    description: NotRequired[str]
    tags: NotRequired[list[str]]


class Event(TypedDict):
    """An event inside a user message."""

    event_id: str
    event: str
    created_at: str
    event_source: str | None
    event_type: str | None
    user_id: str
    properties: dict[str, Any]
    context: dict[str, Any]
    anonymous_id: NotRequired[str | None]
    session_id: NotRequired[str | None]
    app_id: NotRequired[str | None]
    track_id: NotRequired[str | None]
    ship_id: NotRequired[str | None]
    app_name: NotRequired[str | None]


class SegmentChanges(TypedDict, total=False):
    """Segments entered and left; a side without change is absent."""

    entered: list[Segment]
    left: list[Segment]


class Changes(TypedDict):
    """What changed since the previous notification about an entity; values are ``[old, new]``."""

    is_new: bool
    user: NotRequired[dict[str, list[Any]]]
    account: dict[str, list[Any]]
    segments: NotRequired[SegmentChanges]
    account_segments: SegmentChanges


class UserMessage(TypedDict):
    """A message of the channel ``user:update``; ``matches_filter`` is added by the SDK."""

    message_id: str
    user: UserReport
    account: AccountReport
    segments: list[Segment]
    segment_ids: list[str]
    account_segments: list[Segment]
    account_segment_ids: list[str]
    events: list[Event]
    changes: Changes
    matches_filter: NotRequired[bool]


class AccountMessage(TypedDict):
    """A message of the channel ``account:update``; ``matches_filter`` is added by the SDK."""

    message_id: str
    account: AccountReport
    account_segments: list[Segment]
    account_segment_ids: list[str]
    changes: Changes
    matches_filter: NotRequired[bool]


class UserDeletion(TypedDict):
    """A message of the channel ``user:delete``: the user as he last was; ``matches_filter`` is added by the SDK."""

    message_id: str
    deleted_at: str
    user: UserReport
    account: AccountReport
    segments: list[Segment]
    segment_ids: list[str]
    account_segments: list[Segment]
    account_segment_ids: list[str]
    matches_filter: NotRequired[bool]


class AccountDeletion(TypedDict):
    """A message of the channel ``account:delete``: the account as it last was."""

    message_id: str
    deleted_at: str
    account: AccountReport
    account_segments: list[Segment]
    account_segment_ids: list[str]
    matches_filter: NotRequired[bool]


class Notification(TypedDict):
    """The body of a smart notification."""

    notification_id: str
    configuration: Configuration
    connector: ConnectorObject
    channel: str
    messages: list[Any]
    segments: list[Segment]
    users_segments: list[Segment]
    accounts_segments: list[Segment]
    parent_notification_id: NotRequired[str]


def parse_notification(body: bytes) -> Notification:
    """Decode and check the body of a notification.

    Args:
        body: The raw bytes, already verified.

    Raises:
        NotificationError: ``MISSING_NOTIFICATION`` or ``MISSING_CONFIGURATION``.
    """
    try:
        value = json.loads(body)
    except ValueError as err:
        raise NotificationError("MISSING_NOTIFICATION", f"the body is no JSON: {err}") from err
    if not isinstance(value, Mapping) or not isinstance(value.get("notification_id"), str):
        raise NotificationError("MISSING_NOTIFICATION", "the body is no notification: it has no notification_id")
    if not isinstance(value.get("channel"), str) or not isinstance(value.get("messages"), list):
        raise NotificationError("MISSING_NOTIFICATION", "the notification has no channel or no list of messages")
    configuration = value.get("configuration")
    if not isinstance(configuration, Mapping) or not all(
        isinstance(configuration.get(key), str) and configuration[key] for key in ("id", "organization", "secret")
    ):
        raise NotificationError(
            "MISSING_CONFIGURATION", "the notification's configuration needs id, organization and secret"
        )
    return value  # type: ignore[return-value]  # checked above; the rest is the platform's word


def organizations_named(body: bytes) -> Iterator[str]:
    """Find the organizations that a body names as its configuration's, without decoding it.

    Args:
        body: The raw bytes, which anybody may have written; what is found is no more than a hint.
    """
    return (match[1].decode(errors="replace") for match in _ORGANIZATION.finditer(body))


def unsupported_signature_version(version: str | None) -> NotificationError:
    """Return the error for a signature of another version, or of none."""
    return NotificationError(
        "UNSUPPORTED_SIGNATURE_VERSION", f"the signature version is {version!r}; only 'v1' is known"
    )


def missing_signature_headers(names: list[str]) -> NotificationError:
    """Return the error for a request that lacks signature headers."""
    return NotificationError("MISSING_SIGNATURE_HEADERS", f"missing headers: {', '.join(names)}")


def too_large(size: int | None, limit: int = MAX_NOTIFICATION_BYTES) -> NotificationError:
    """Return the error for a body over the limit; the platform then sends one message at a time."""
    found = "a body without a stated size" if size is None else f"{size} bytes"
    return NotificationError("ENTITY_TOO_LARGE", f"{found}; the limit is {limit} bytes", status=413, size=1)
