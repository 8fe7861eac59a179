"""From an event of Hull to one of Customer.io; pure functions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from customerio_connector.customers import unix_seconds
from hull_sdk.infra import parse_time
from hull_sdk.types import Event

__all__ = ["PAGE", "event_of", "ulid"]

#: What Hull calls page views.
PAGE: Final = "page"

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(f"[0-7][{_DIGITS}]{{25}}")
_TIME_BITS: Final = 48
_NAME_BYTES: Final = 10


def event_of(event: Event) -> dict[str, Any]:
    """Return an event as Customer.io takes it.

    Args:
        event: As it stands in a notification.

    Returns:
        ``{"name", "data", "id", "timestamp"}``, and ``type`` for page views. Customer.io takes each ``id`` once.
    """
    name = str(event["event"])
    sent: dict[str, Any] = {"name": name, "data": dict(event.get("properties") or {})}
    if name == PAGE:
        sent = _page(event, sent["data"])
    sent["id"] = ulid(str(event["event_id"]), event.get("created_at"))
    seconds = unix_seconds(event.get("created_at"))
    return sent if seconds is None else {**sent, "timestamp": seconds}


def ulid(event_id: str, at: Any = None) -> str:
    """Return the id of an event in the form that Customer.io asks for, the same one for the same event.

    Args:
        event_id: Hull's; one that has the form is taken as it is.
        at: When it happened.
    """
    if _ULID.fullmatch(event_id):
        return event_id
    moment = parse_time(at)
    milliseconds = 0 if moment is None else max(0, int(moment.timestamp() * 1000)) % (1 << _TIME_BITS)
    name = int.from_bytes(hashlib.sha256(event_id.encode(errors="surrogatepass")).digest()[:_NAME_BYTES])
    number = milliseconds << 8 * _NAME_BYTES | name
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


def _page(event: Event, properties: dict[str, Any]) -> dict[str, Any]:
    context: Mapping[str, Any] = event.get("context") or {}
    page, referrer = context.get("page") or {}, context.get("referrer") or {}
    url = properties.get("url") or page.get("url") or PAGE
    came_from = properties.get("referrer") or referrer.get("url")
    data = {**properties, **({"referrer": came_from} if came_from else {})}
    return {"type": "page", "name": str(url), "data": data}
