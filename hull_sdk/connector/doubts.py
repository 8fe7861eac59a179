"""What is allowed in a manifest, but leaves a connector waiting for notifications that never come.

Rules: section "Manifest" of ``docs/protocol.md``. Nothing is refused here; manifests that break a rule are refused when
they are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hull_sdk.wire.manifest import is_smart, subscriptions
from hull_sdk.wire.manifest_schema import SETTING_LISTS, known_keys, near_key
from hull_sdk.wire.notifications import CHANNELS

__all__ = ["manifest_doubts"]


def manifest_doubts(manifest: Mapping[str, Any] | None, handled: Collection[str] | None) -> dict[str, str]:
    """Return why notifications may never arrive.

    Args:
        manifest: The checked manifest, or ``None`` when the application serves none.
        handled: Channels that its ``smart_notifier_handler`` has functions for; ``None`` when it has no such handler.

    Returns:
        Reasons by the name of the event under which they are logged, for example
        ``{"connector.manifest.untagged": "..."}``.
    """
    found: dict[str, str] = {}
    if handled is not None and manifest is None:
        found["connector.manifest.missing"] = (
            "there is a smart_notifier_handler and no manifest; pass Connector(manifest=...) or put manifest.json "
            "beside the application"
        )
    elif handled is not None and manifest is not None and not is_smart(manifest):
        found["connector.manifest.untagged"] = (
            "there is a smart_notifier_handler, but without the tag the platform tells what the manifest subscribes to "
            'in the legacy form, which that handler refuses; add "tags": ["smart-notifier"]'
        )
    deaf = [] if handled is None or manifest is None else _not_subscribed(manifest, handled)
    if deaf:
        found["connector.manifest.not_subscribed"] = (
            f"there is a function for {', '.join(map(repr, deaf))}, but the manifest subscribes to no such channel"
        )
    unknown = sorted(_channels({} if manifest is None else manifest) - set(CHANNELS))
    if unknown:
        found["connector.manifest.unknown_channel"] = (
            f"the manifest subscribes to {', '.join(map(repr, unknown))}; known are {', '.join(CHANNELS)}"
        )
    misspelt = {key: near_key(key) for key in ({} if manifest is None else manifest).keys() - set(known_keys())}
    meant = [f"{key!r} (did you mean {near!r}?)" for key, near in sorted(misspelt.items()) if near is not None]
    if meant:
        found["connector.manifest.unknown_key"] = f"the manifest has keys that nobody reads: {', '.join(meant)}"
    undeclared = _undeclared({} if manifest is None else manifest)
    if undeclared:
        found["connector.manifest.unknown_setting"] = (
            f"settings_sections shows {', '.join(map(repr, undeclared))}, which the manifest does not declare"
        )
    return found


def _not_subscribed(manifest: Mapping[str, Any], handled: Collection[str]) -> list[str]:
    found = subscriptions(manifest)
    return [] if not found else sorted(channel for channel in handled if not any(s.wants(channel) for s in found))


def _undeclared(manifest: Mapping[str, Any]) -> list[str]:
    declared = {
        f"{key}.{entry.get('name')}" for key in (*SETTING_LISTS, "json") for entry in manifest.get(key) or [] if entry
    }
    shown = {name for section in manifest.get("settings_sections") or [] for name in section.get("properties") or []}
    return sorted(shown - declared)


def _channels(manifest: Mapping[str, Any]) -> set[str]:
    return {name for each in subscriptions(manifest) if each.channels is not None for name in each.channels}
