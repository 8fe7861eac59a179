"""The manifest: how a connector describes itself, and the rules for reading it.

Rules: section "Manifest" of ``docs/protocol.md``. Keys that are not listed are kept and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from marshmallow import INCLUDE, Schema, ValidationError, fields, validate

from hull_sdk.errors import InvalidArgumentError

__all__ = [
    "CONNECTOR_STATUSES",
    "SMART_TAGS",
    "Schedule",
    "Subscription",
    "is_smart",
    "load_manifest",
    "schedules",
    "setting_defaults",
    "subscriptions",
]

#: What a connector may say of itself, from good to bad.
CONNECTOR_STATUSES: Final = ("ok", "warning", "setupRequired", "error")

#: Either tag selects smart delivery.
SMART_TAGS: Final = frozenset({"smart-notifier", "kraken"})


class _Channel(fields.Raw):
    """A channel's name, or an object that holds it under ``channel``."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        name = value.get("channel") if isinstance(value, Mapping) else value
        if not isinstance(name, str) or not name:
            raise ValidationError('must be a channel\'s name or an object such as {"channel": "user:update"}')
        return super()._deserialize(value, *args, **kwargs)


class _Setting(Schema):
    class Meta:
        unknown = INCLUDE

    name = fields.String(required=True, validate=validate.Length(min=1))
    type = fields.String()
    default = fields.Raw(allow_none=True)


class _Subscription(Schema):
    class Meta:
        unknown = INCLUDE

    url = fields.String(required=True, validate=validate.Length(min=1))
    channels = fields.List(_Channel())


class _Schedule(Schema):
    class Meta:
        unknown = INCLUDE

    url = fields.String(required=True, validate=validate.Length(min=1))
    type = fields.String(required=True, validate=validate.OneOf(["cron", "interval"]))
    value = fields.Raw(required=True)


class _Manifest(Schema):
    class Meta:
        unknown = INCLUDE

    name = fields.String()
    description = fields.String()
    version = fields.String()
    source = fields.String()
    readme = fields.String()
    tags = fields.List(fields.String())
    settings = fields.List(fields.Nested(_Setting))
    private_settings = fields.List(fields.Nested(_Setting))
    subscriptions = fields.List(fields.Nested(_Subscription))
    schedules = fields.List(fields.Nested(_Schedule))


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where notifications go.

    Args:
        url: Path on the connector, for example ``"/smart-notifier"``.
        channels: Names of channels; ``None`` means all.
    """

    url: str
    channels: frozenset[str] | None

    def wants(self, channel: str) -> bool:
        """Tell whether a channel is sent there."""
        return self.channels is None or channel in self.channels


@dataclass(frozen=True, slots=True)
class Schedule:
    """A path that the platform calls again and again.

    Args:
        url: Path on the connector, for example ``"/status"``.
        type: ``"cron"`` or ``"interval"``.
        value: A cron line such as ``"*/5 * * * *"`` (UTC), or minutes such as ``"5"``.
    """

    url: str
    type: Literal["cron", "interval"]
    value: str


def load_manifest(value: Any) -> dict[str, Any]:
    """Check a manifest.

    Args:
        value: The decoded ``manifest.json``.

    Returns:
        The manifest, unknown keys included.

    Raises:
        InvalidArgumentError: It breaks a rule; the message names each path and rule.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"the manifest is {type(value).__name__}; it must be a JSON object")
    try:
        _Manifest().load(value)
    except ValidationError as err:
        raise InvalidArgumentError(f"the manifest is invalid: {_describe(err.messages)}") from err
    return dict(value)


def subscriptions(manifest: Mapping[str, Any]) -> list[Subscription]:
    """Return a manifest's subscriptions; one without ``channels`` takes all of them."""
    found = []
    for entry in manifest.get("subscriptions") or []:
        channels = entry.get("channels")
        names = None
        if channels is not None:
            names = frozenset(c["channel"] if isinstance(c, Mapping) else c for c in channels)
        found.append(Subscription(entry["url"], names))
    return found


def schedules(manifest: Mapping[str, Any]) -> list[Schedule]:
    """Return a manifest's schedules."""
    return [
        Schedule(entry["url"], entry["type"], str(entry["value"]).strip()) for entry in manifest.get("schedules") or []
    ]


def is_smart(manifest: Mapping[str, Any]) -> bool:
    """Tell whether a manifest asks for smart notifications."""
    return not SMART_TAGS.isdisjoint(manifest.get("tags") or [])


def setting_defaults(manifest: Mapping[str, Any], key: Literal["settings", "private_settings"]) -> dict[str, Any]:
    """Return the default values of a manifest's settings, by name.

    Args:
        manifest: A checked manifest.
        key: Which of the two lists.
    """
    return {entry["name"]: entry["default"] for entry in manifest.get(key) or [] if "default" in entry}


def _describe(messages: Any, path: str = "") -> str:
    if isinstance(messages, Mapping):
        return "; ".join(
            _describe(item, f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip("."))
            for key, item in messages.items()
        )
    return f"{path}: {' '.join(map(str, messages))}"
