"""Event contexts: what stands beside an event's properties, arranged in a fixed schema.

Rules: section "Events" of ``docs/protocol.md``. Contexts are arranged while a message is read, before any lock. What
a sender puts into a field itself is kept; the rest is read from user agent, addresses and campaign parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

from hull_sdk.core.logs import emit
from hull_sdk.platform.useragents import parse_useragent

__all__ = ["Locator", "context_text", "event_context"]

_log = logging.getLogger(__name__)

_OBJECTS: Final = ("device", "os", "browser", "location", "campaign", "page", "referrer")
_LOCATION: Final = ("latitude", "longitude")
_LOCATED: Final = (
    "country",
    "city",
    "timezone",
    "longitude",
    "latitude",
    "region",
    "countryname",
    "regionname",
    "zipcode",
)
_CAMPAIGN: Final = {
    "utm_term": "term",
    "utm_medium": "medium",
    "utm_campaign": "name",
    "utm_content": "content",
    "utm_source": "source",
}
#: Addresses that say "a server made this call".
_NO_ADDRESS: Final = frozenset({"", "0"})
#: Most parameters of an address that are looked at.
_MAX_PARAMETERS: Final = 200


class Locator(Protocol):
    """Tells where an IP address is; there is none by default, and a table may be plugged in."""

    def locate(self, address: str) -> Mapping[str, Any] | None:
        """Return where an address is.

        Args:
            address: A valid IPv4 or IPv6 address.

        Returns:
            Any of ``country`` (such as ``"FR"``), ``city``, ``timezone``, ``longitude``, ``latitude``, ``region``,
            ``countryname``, ``regionname`` and ``zipcode``; ``None`` when it is not known.
        """
        ...


def event_context(sent: Mapping[str, Any], locator: Locator | None = None) -> dict[str, Any]:
    """Arrange what stands beside an event's properties in the fixed schema of event contexts.

    Args:
        sent: For example ``{"ip": "203.0.113.9", "url": "https://acme.test/pricing", "referer": None}``.
        locator: Finds the location of the ``ip``, or ``None``.

    Returns:
        For example ``{"ip": "203.0.113.9", "page": {"url": ..., "host": "acme.test", "path": "/pricing"}}``;
        fields without a value are absent.
    """
    context: dict[str, Any] = {name: dict(sent[name]) for name in _OBJECTS if isinstance(sent.get(name), Mapping)}
    address = context_text(sent.get("ip"))
    if address is not None and address not in _NO_ADDRESS:
        context["ip"] = address
    useragent = context_text(sent.get("useragent"))
    if useragent is not None:
        context["useragent"] = useragent
        for name, parsed in parse_useragent(useragent).items():
            _fill(context, name, parsed)
    url = context_text(sent.get("url"))
    referrer = context_text(sent.get("referrer")) or context_text(sent.get("referer"))
    _fill(context, "page", _page(url))
    _fill(context, "referrer", _referrer(referrer))
    _fill(context, "campaign", _campaign(url))
    given = {name: sent[name] for name in _LOCATION if isinstance(sent.get(name), int | float)}
    if given:
        context["location"] = {**context.get("location", {}), **given}
    if "ip" in context:
        _fill(context, "location", _located(context["ip"], locator))
    return context


def context_text(value: Any) -> str | None:
    """Return a value of a context as text; ``None`` for what is no text and no number, or empty."""
    if value is None or isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def _fill(context: dict[str, Any], name: str, found: Mapping[str, Any]) -> None:
    """Add what was found to an object of the context; what the sender put there stays."""
    if found:
        context[name] = {**found, **context.get(name, {})}


def _page(url: str | None) -> dict[str, Any]:
    if url is None:
        return {}
    try:
        parts = urlsplit(url)
    except ValueError:
        return {"url": url}
    return {"url": url, "host": parts.hostname or "", "path": parts.path}


def _referrer(url: str | None) -> dict[str, Any]:
    campaign = _campaign(url)
    return {**_page(url), "campaign": campaign} if campaign else _page(url)


def _campaign(url: str | None) -> dict[str, str]:
    try:
        query = "" if url is None else urlsplit(url).query
        found = dict(parse_qsl(query, max_num_fields=_MAX_PARAMETERS))
    except ValueError:
        return {}
    return {field: found[name] for name, field in _CAMPAIGN.items() if name in found}


def _located(address: str, locator: Locator | None) -> dict[str, Any]:
    if locator is None:
        return {}
    try:
        found = locator.locate(str(ip_address(address)))
    except ValueError:
        return {}
    except Exception as err:  # noqa: BLE001 - a table that fails costs the location, never the event
        emit(_log, logging.WARNING, "locator.failed", {"error": type(err).__name__}, exc_info=err)
        return {}
    return {} if found is None else {name: found[name] for name in _LOCATED if found.get(name) is not None}
