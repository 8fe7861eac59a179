"""Settings as manifest.json declares them; written by ``hull types``, do not edit."""

from __future__ import annotations

from typing import Any, Final, TypedDict, cast

from hull_sdk import Context

__all__ = ["PrivateSettings", "private_settings"]


_PRIVATE_SETTINGS: Final[dict[str, Any]] = {"large_from": 100, "sync_minutes": 60}


class PrivateSettings(TypedDict):
    """The connector's private settings."""

    client_id: str | None
    client_secret: str | None
    oauth_tokens: dict[str, Any] | None
    #: Who is sent
    sent_segments: list[str] | None
    large_from: int
    sync_minutes: int
    last_sync: float | None


def private_settings(ctx: Context) -> PrivateSettings:
    """Return the private settings of a context's connector."""
    stored = ctx.ship["private_settings"]
    given = {name: value for name, value in stored.items() if value is not None}
    found = {**_PRIVATE_SETTINGS, **given}
    values = {name: found.get(name) for name in PrivateSettings.__annotations__}
    return cast("PrivateSettings", values)
