"""Conditions of a subscription: which messages a connector wants, and which events in them.

Rules: section "Notifications" of ``docs/protocol.md``. They are looked at when a message is made, with the
settings of that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from hull_sdk.platform.connectors import Connector
from hull_sdk.wire.manifest import Subscription, setting_value

__all__ = ["wanted_part"]

#: What stands for all segments in a setting.
_EVERYBODY: Final = frozenset({"ALL", "all_segments"})


def wanted_part(connector: Connector, channel: str, message: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a connector wants to be told.

    Args:
        connector: Whose subscription and settings decide.
        channel: For example ``"user:update"``.
        message: The message about a user or account, with everything in it.

    Returns:
        The message, without the events that are not wanted; ``None`` when it is not wanted at all.
    """
    subscription = connector.subscription(channel)
    if subscription is None or not (subscription.segments.get(channel) or subscription.events.get(channel)):
        return message
    settings = {"private_settings": connector.private_settings_in_force(), "settings": connector.settings_in_force()}
    if not _concerns(message, _listed(subscription.segments.get(channel, ()), settings)):
        return None
    return _with_events(message, subscription, channel, settings)


def _with_events(
    message: dict[str, Any], subscription: Subscription, channel: str, settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    wanted = _listed(subscription.events.get(channel, ()), settings)
    if wanted is None or not message.get("events"):
        return message
    events = [event for event in message["events"] if event["event"] in wanted]
    return {**message, "events": events} if events or any(message["changes"].values()) else None


def _listed(names: Iterable[str], settings: Mapping[str, Mapping[str, Any]]) -> frozenset[str] | None:
    """Return the given names, for those of settings what these list; ``None`` when one is not set, or none is given."""
    values = [setting_value(name, settings) if name.partition(".")[0] in settings else [name] for name in names]
    if not values or not all(isinstance(value, list) for value in values):
        return None
    return frozenset(str(each) for value in values for each in value)


def _concerns(message: Mapping[str, Any], wanted: frozenset[str] | None) -> bool:
    """Tell whether a message is about a member of wanted segments, or about one who has just left them."""
    if wanted is None or not wanted.isdisjoint(_EVERYBODY):
        return True
    ids = {*message.get("segment_ids", ()), *message.get("account_segment_ids", ())}
    for side in ("segments", "account_segments"):
        ids.update(segment["id"] for segment in message.get("changes", {}).get(side, {}).get("left", ()))
    return not wanted.isdisjoint(ids)
