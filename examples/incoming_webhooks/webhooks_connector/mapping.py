"""From a webhook to a user, an account and an event; pure functions.

A place in a webhook is written as the names on the way to it, with dots between them; a number is the position in a
list: ``customer.contacts.0.email``. Text in quotes stands for itself: ``"Paid"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Found", "find", "mapped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a webhook says.

    Args:
        user: Identifiers of the user, none when it names nobody.
        attributes: Of the user.
        account: Identifiers of the account.
        account_attributes: Of the account.
        event: Name of the event, or ``None``.
        properties: Of the event.
        event_id: Of the event, or ``None``.
        created_at: When the event happened, as the webhook writes it, or ``None``.
    """

    user: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    account: dict[str, str] = field(default_factory=dict)
    account_attributes: dict[str, Any] = field(default_factory=dict)
    event: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    event_id: str | None = None
    created_at: Any = None


def mapped(body: Any, settings: Mapping[str, Any]) -> Found:
    """Return what a webhook says, by the places that the settings name.

    Args:
        body: The decoded webhook.
        settings: The connector's private settings.
    """
    return Found(
        user=_claims(body, settings, "user", ("external_id", "email", "anonymous_id")),
        attributes=_attributes(body, settings["user_attributes"]),
        account=_claims(body, settings, "account", ("external_id", "domain")),
        account_attributes=_attributes(body, settings["account_attributes"]),
        event=_text(find(body, settings["event_name"])),
        properties=_values(body, settings["event_properties"]),
        event_id=_text(find(body, settings["event_id"])),
        created_at=find(body, settings["event_time"]),
    )


def find(body: Any, place: str | None) -> Any:
    """Return what stands at a place.

    Args:
        body: The decoded webhook.
        place: For example ``"customer.plan"``; ``None`` or an empty text is no place.

    Returns:
        The value, or ``None`` when there is none.
    """
    place = (place or "").strip()
    if not place:
        return None
    if len(place) > 1 and place[0] == place[-1] == '"':
        return place[1:-1]
    value = body
    for name in place.split("."):
        value = _inner(value, name)
    return value


def _inner(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        return value[int(name)]
    return None


def _claims(body: Any, settings: Mapping[str, Any], kind: str, names: tuple[str, ...]) -> dict[str, str]:
    found = {name: _text(find(body, settings[f"{kind}_{name}"])) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _values(body: Any, places: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name; what the webhook does not have is left as it is in Hull."""
    found = {name: find(body, place) for name, place in places.items() if isinstance(place, str)}
    return {name: value for name, value in found.items() if value is not None}


def _attributes(body: Any, places: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as what they are: an object that looks like an operation of Hull's is none in a webhook."""
    return {
        name: {"operation": "set", "value": value} if isinstance(value, Mapping) and "operation" in value else value
        for name, value in _values(body, places).items()
    }


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None
