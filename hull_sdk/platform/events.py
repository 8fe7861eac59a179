"""Events: tracked ones, and the few that the platform makes itself.

Rules: section "Events" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hull_sdk.core.clock import iso_seconds, parse_time
from hull_sdk.platform.event_contexts import context_text
from hull_sdk.platform.messages import Track
from hull_sdk.wire.attributes import cast

__all__ = [
    "ATTRIBUTES_CHANGED",
    "SEGMENTS_CHANGED",
    "USER_CREATED",
    "USER_MERGED",
    "Source",
    "builtin_item",
    "tracked_item",
]

USER_CREATED: Final = "User created"
USER_MERGED: Final = "User merged"
SEGMENTS_CHANGED: Final = "Segments changed"
#: Of attributes whose changes the operator has tracked; stored and searched, told to no connector.
ATTRIBUTES_CHANGED: Final = "Attributes changed"

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Source:
    """The connector behind a message.

    Args:
        id: Connector id, or ``None`` for the platform itself.
        name: Its name, or ``None``.
    """

    id: str | None = None
    name: str | None = None


def tracked_item(
    track: Track, *, event_id: str, at: float, anonymous_id: str | None, source: Source, since: Any = None
) -> dict[str, Any]:
    """Build the stored form of a tracked event.

    Args:
        track: What was sent.
        event_id: Its id.
        at: Unix seconds of the event.
        anonymous_id: The visitor's id, unless the context names one (``_bid``).
        source: The connector that sent it.
        since: When the user was created, for ``days_since_signup``.
    """
    context = track.context
    moment = at if track.created_at is None else track.created_at.timestamp()
    return {
        "event_id": event_id,
        "event": track.event,
        "created_at": cast("date", at if track.created_at is None else track.created_at),
        "event_source": context_text(context.get("source")),
        "event_type": context_text(context.get("type")),
        "anonymous_id": context_text(context.get("_bid")) or anonymous_id,
        "session_id": context_text(context.get("_sid")) or context_text(context.get("sessionId")),
        "app_id": source.id,
        "app_name": source.name,
        "properties": dict(track.properties),
        "context": {**track.arranged, **_signup_age(moment, since)},
    }


def builtin_item(
    name: str, properties: Mapping[str, Any], *, event_id: str, at: float, source: Source, since: Any = None
) -> dict[str, Any]:
    """Build the stored form of an event that the platform makes; its ``event_source`` is ``None``.

    Args:
        name: :data:`USER_CREATED`, :data:`USER_MERGED`, :data:`SEGMENTS_CHANGED` or :data:`ATTRIBUTES_CHANGED`.
        properties: What it says.
        event_id: Its id.
        at: Unix seconds.
        source: The connector whose message caused it.
        since: When the user was created, for ``days_since_signup``; only where the event is to tell it.
    """
    return {
        "event_id": event_id,
        "event": name,
        "created_at": iso_seconds(at),
        "event_source": None,
        "event_type": "attributes_changed" if name == ATTRIBUTES_CHANGED else None,
        "anonymous_id": None,
        "session_id": None,
        "app_id": source.id,
        "app_name": source.name,
        "properties": dict(properties),
        "context": _signup_age(at, since),
    }


def _signup_age(at: float, since: Any) -> dict[str, int]:
    created = parse_time(since)
    return {} if created is None else {"days_since_signup": max(0, int((at - created.timestamp()) // _DAY_S))}
