"""Events: tracked ones, and the few that the platform makes itself.

Rules: section "Events" of ``docs/protocol.md``. Not done: user agents are not parsed and addresses are not located;
what a sender puts into those context fields is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from hull_sdk.core.clock import iso_seconds
from hull_sdk.platform.messages import Track
from hull_sdk.wire.attributes import cast

__all__ = ["SEGMENTS_CHANGED", "USER_CREATED", "USER_MERGED", "Source", "builtin_item", "event_context", "tracked_item"]

USER_CREATED: Final = "User created"
USER_MERGED: Final = "User merged"
SEGMENTS_CHANGED: Final = "Segments changed"

_CONTEXT_OBJECTS: Final = ("device", "os", "browser", "location", "campaign", "page", "referrer")
_LOCATION: Final = ("latitude", "longitude")
_CAMPAIGN: Final = {
    "utm_term": "term",
    "utm_medium": "medium",
    "utm_campaign": "name",
    "utm_content": "content",
    "utm_source": "source",
}
#: Addresses that say "a server made this call".
_NO_ADDRESS: Final = frozenset({"", "0"})


@dataclass(frozen=True, slots=True)
class Source:
    """The connector behind a message.

    Args:
        id: Connector id, or ``None`` for the platform itself.
        name: Its name, or ``None``.
    """

    id: str | None = None
    name: str | None = None


def tracked_item(track: Track, *, event_id: str, at: float, anonymous_id: str | None, source: Source) -> dict[str, Any]:
    """Build the stored form of a tracked event.

    Args:
        track: What was sent.
        event_id: Its id.
        at: Unix seconds of the event.
        anonymous_id: The visitor's id, unless the context names one (``_bid``).
        source: The connector that sent it.
    """
    context = track.context
    return {
        "event_id": event_id,
        "event": track.event,
        "created_at": cast("date", at if track.created_at is None else track.created_at),
        "event_source": _text(context.get("source")),
        "event_type": _text(context.get("type")),
        "anonymous_id": _text(context.get("_bid")) or anonymous_id,
        "session_id": _text(context.get("_sid")) or _text(context.get("sessionId")),
        "app_id": source.id,
        "app_name": source.name,
        "properties": dict(track.properties),
        "context": event_context(context),
    }


def builtin_item(
    name: str, properties: Mapping[str, Any], *, event_id: str, at: float, source: Source
) -> dict[str, Any]:
    """Build the stored form of an event that the platform makes; its ``event_source`` is ``None``.

    Args:
        name: :data:`USER_CREATED`, :data:`USER_MERGED` or :data:`SEGMENTS_CHANGED`.
        properties: What it says.
        event_id: Its id.
        at: Unix seconds.
        source: The connector whose message caused it.
    """
    return {
        "event_id": event_id,
        "event": name,
        "created_at": iso_seconds(at),
        "event_source": None,
        "event_type": None,
        "anonymous_id": None,
        "session_id": None,
        "app_id": source.id,
        "app_name": source.name,
        "properties": dict(properties),
        "context": {},
    }


def event_context(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Arrange what stands beside an event's properties in the fixed schema of event contexts.

    Args:
        sent: For example ``{"ip": "203.0.113.9", "url": "https://acme.test/pricing", "referer": None}``.

    Returns:
        For example ``{"ip": "203.0.113.9", "page": {"url": ..., "host": "acme.test", "path": "/pricing"}}``;
        fields without a value are absent.
    """
    context: dict[str, Any] = {
        name: dict(sent[name]) for name in _CONTEXT_OBJECTS if isinstance(sent.get(name), Mapping)
    }
    address = _text(sent.get("ip"))
    if address is not None and address not in _NO_ADDRESS:
        context["ip"] = address
    useragent = _text(sent.get("useragent"))
    if useragent is not None:
        context["useragent"] = useragent
    referrer = _text(sent.get("referrer")) or _text(sent.get("referer"))
    _add_page(context, "page", _text(sent.get("url")))
    _add_page(context, "referrer", referrer)
    location = {name: sent[name] for name in _LOCATION if isinstance(sent.get(name), int | float)}
    if location:
        context["location"] = {**context.get("location", {}), **location}
    campaign = _campaign(_text(sent.get("url")))
    if campaign:
        context["campaign"] = {**campaign, **context.get("campaign", {})}
    return context


def _add_page(context: dict[str, Any], name: str, url: str | None) -> None:
    if not url:
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        context[name] = {"url": url, **context.get(name, {})}
        return
    context[name] = {"url": url, "host": parts.hostname or "", "path": parts.path, **context.get(name, {})}


def _campaign(url: str | None) -> dict[str, str]:
    try:
        query = "" if url is None else urlsplit(url).query
    except ValueError:
        return {}
    found = dict(parse_qsl(query))
    return {field: found[name] for name, field in _CAMPAIGN.items() if name in found}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None
