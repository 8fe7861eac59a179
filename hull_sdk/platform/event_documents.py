"""Events as they are indexed: flat contexts, and properties with a field for each type.

Rules: section "Search" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis
from hull_sdk.platform.fields import Document, event_fields, flat_context, is_date_text
from hull_sdk.platform.store import StoredEvent

__all__ = ["event_catalogue", "event_document", "raw_event"]


def event_document(event: StoredEvent, moment: datetime, user: Callable[[str], Document]) -> Document:
    """Return what a query about events is evaluated on.

    Args:
        event: The event.
        moment: What relative dates count from.
        user: Returns the document of a user.
    """
    return Document(event_fields(event.to_wire()), tuple, moment, lambda: user(event.user_id))


def raw_event(event: StoredEvent, index: str) -> dict[str, Any]:
    """Return an event in the form in which it is indexed.

    Args:
        event: The event.
        index: Name of the index.

    Returns:
        For example ``{"_id": ..., "event": "Ordered", "context": {"page_url": ...}, "props": [{"field_name": "sku",
        "text_value": "A1"}], ...}``.
    """
    item = event.item
    return {
        "_id": event.id,
        "_type": "event",
        "_index": index,
        "_score": None,
        "event": item["event"],
        "created_at": item["created_at"],
        "indexed_at": iso_millis(event.indexed_at),
        "user_id": event.user_id,
        "app_id": item["app_id"],
        "app_name": item["app_name"],
        "source": item["event_source"],
        "type": item["event_type"],
        "session_id": item["session_id"],
        "props": [_property(name, value) for name, value in item["properties"].items() if value is not None],
        "context": flat_context(item["context"]),
    }


def event_catalogue(events: Iterable[StoredEvent]) -> list[dict[str, Any]]:
    """Return the names of events, each with its properties and when it came first and last.

    Args:
        events: In order of arrival.

    Returns:
        ``[{"name", "created_at", "updated_at", "properties": [...], "emitted"}]`` by name; ``emitted`` marks the events
        that the platform makes itself.
    """
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        at = iso_millis(event.indexed_at)
        fresh = {"name": event.item["event"], "created_at": at, "properties": set(), "emitted": not event.tracked}
        entry = found.setdefault(event.item["event"], fresh)
        entry["updated_at"] = at
        entry["properties"].update(event.item["properties"])
    return [{**entry, "properties": sorted(entry["properties"])} for _, entry in sorted(found.items())]


def _property(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"field_name": name, "bool_value": value}
    if isinstance(value, int | float):
        return {"field_name": name, "num_value": value}
    if is_date_text(value):
        return {"field_name": name, "date_value": value}
    text = value if isinstance(value, str) else json.dumps(value).decode()
    return {"field_name": name, "text_value": text}
