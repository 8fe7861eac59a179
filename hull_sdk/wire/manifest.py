"""The manifest: how a connector describes itself, and the rules for reading it.

Rules: section "Manifest" of ``docs/protocol.md``. Keys that are not listed are kept and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.manifest_schema import CONNECTOR_STATUSES, ManifestSchema, is_time, is_time_zone
from hull_sdk.wire.problems import problems_in, show_problems
from hull_sdk.wire.setting_values import setting_problems

__all__ = [
    "CONNECTOR_STATUSES",
    "SETTING_KEYS",
    "SMART_TAGS",
    "Schedule",
    "SettingsKey",
    "Subscription",
    "check_settings",
    "is_smart",
    "load_manifest",
    "schedules",
    "setting_defaults",
    "setting_value",
    "subscriptions",
]

#: Either tag selects smart delivery.
SMART_TAGS: Final = frozenset({"smart-notifier", "kraken"})

SettingsKey = Literal["settings", "private_settings"]

#: The settings that an installation has values of.
SETTING_KEYS: Final[tuple[SettingsKey, ...]] = ("settings", "private_settings")


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where notifications go.

    Args:
        url: Path on the connector, for example ``"/smart-notifier"``.
        channels: Names of channels; ``None`` means all.
        segments: By channel, the settings that list the segments whose members are told of; others are not.
        events: By channel, the settings that list the events which are told; others are not.
    """

    url: str
    channels: frozenset[str] | None
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def wants(self, channel: str) -> bool:
        """Tell whether a channel is sent there."""
        return self.channels is None or channel in self.channels


@dataclass(frozen=True, slots=True)
class Schedule:
    """A path that the platform calls again and again.

    Args:
        url: Path on the connector, for example ``"/status"``.
        type: ``"cron"`` or ``"interval"``.
        value: A cron line such as ``"*/5 * * * *"``, or minutes such as ``"5"``.
        timezone: Whose clocks a cron line means, for example ``"Europe/Paris"``; an interval knows none.
        method: How it is called: ``"POST"``, ``"PUT"`` or ``"GET"``.
    """

    url: str
    type: Literal["cron", "interval"]
    value: str
    timezone: str = "UTC"
    method: str = "POST"


def load_manifest(value: Any) -> dict[str, Any]:
    """Check a manifest.

    Args:
        value: The decoded ``manifest.json``.

    Returns:
        The manifest, unknown keys included.

    Raises:
        InvalidArgumentError: It breaks a rule; the message has a line for each, with the JSON path, what was found,
            what was expected and the way out.
    """
    problems = problems_in(value, ManifestSchema())
    if problems:
        raise InvalidArgumentError(show_problems("the manifest", problems))
    return dict(value)


def check_settings(manifest: Mapping[str, Any], key: SettingsKey, values: Mapping[str, Any]) -> None:
    """Hold the settings of an installation against the manifest.

    Args:
        manifest: A checked manifest.
        key: Which of the two lists.
        values: Names and values; names that the manifest does not declare and ``None`` are fine.

    Raises:
        InvalidArgumentError: A value is not what the manifest declares; the message has a line for each, without
            the values, which may be secrets.
    """
    problems = setting_problems(manifest, key, values)
    if problems:
        raise InvalidArgumentError(show_problems("the installation", problems))


def subscriptions(manifest: Mapping[str, Any]) -> list[Subscription]:
    """Return a manifest's subscriptions; one without ``channels`` takes all of them."""
    return [_subscription(entry) for entry in manifest.get("subscriptions") or []]


def _subscription(entry: Mapping[str, Any]) -> Subscription:
    listed, conditions = entry.get("channels"), entry.get("conditions") or {}
    described = [each if isinstance(each, Mapping) else {"channel": each} for each in listed or []]
    only = (conditions.get("channels") or {}).get("only")
    names = [
        frozenset(found)
        for found in (None if listed is None else [each["channel"] for each in described], only)
        if found is not None
    ]
    return Subscription(
        entry["url"],
        frozenset.intersection(*names) if names else None,
        {channel: tuple(settings) for channel, settings in (conditions.get("segments") or {}).items()},
        {
            each["channel"]: tuple(each["events-whitelist"])
            for each in described
            if each.get("events-whitelist") is not None
        },
    )


def schedules(manifest: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]] | None = None) -> list[Schedule]:
    """Return a manifest's schedules, those of its status included.

    Args:
        manifest: A checked manifest.
        settings: ``{"settings": {...}, "private_settings": {...}}`` of an installation, for times that are settings.
    """
    status = manifest.get("status")
    timed = [
        *(manifest.get("schedules") or []),
        *(manifest.get("statuses") or []),
        *([] if status is None else [status]),
    ]
    found = (_schedule(entry, {} if settings is None else settings) for entry in timed)
    return list(dict.fromkeys(schedule for schedule in found if schedule is not None))


def is_smart(manifest: Mapping[str, Any]) -> bool:
    """Tell whether a manifest asks for smart notifications."""
    return not SMART_TAGS.isdisjoint(manifest.get("tags") or [])


def setting_defaults(manifest: Mapping[str, Any], key: SettingsKey) -> dict[str, Any]:
    """Return the default values of a manifest's settings, by name.

    Args:
        manifest: A checked manifest.
        key: Which of the two lists.
    """
    return {entry["name"]: entry["default"] for entry in manifest.get(key) or [] if "default" in entry}


def _schedule(entry: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]) -> Schedule | None:
    kind = entry.get("type")
    if kind is None:
        return None
    for value in (setting_value(entry.get("value_from"), settings), entry.get("value"), entry.get("default")):
        if value is not None and is_time(kind, value):
            zone = _time_zone(entry, settings) if kind == "cron" else "UTC"
            return Schedule(entry["url"], kind, str(value).strip(), zone, entry.get("method", "POST").upper())
    return None


def _time_zone(entry: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the zone that a setting names, else the entry's own, else UTC."""
    named = (setting_value(entry.get("timezone_from"), settings), entry.get("timezone"))
    return next((str(zone) for zone in named if is_time_zone(zone)), "UTC")


def setting_value(name: str | None, settings: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return the value of a setting that a manifest names, with or without the list that it is in.

    Args:
        name: For example ``"private_settings.every"`` or ``"every"``.
        settings: ``{"settings": {...}, "private_settings": {...}}`` of an installation.
    """
    if name is None:
        return None
    where, _, inner = name.partition(".")
    if inner and where in settings:
        return settings[where].get(inner)
    return next((values[name] for values in settings.values() if values.get(name) is not None), None)
