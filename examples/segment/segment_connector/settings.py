"""Settings as manifest.json declares them; written by ``hull types``, do not edit."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict, cast

from hull_sdk import Context

__all__ = ["PrivateSettings", "Settings", "private_settings", "settings"]


_PRIVATE_SETTINGS: Final[dict[str, Any]] = {
    "synchronized_segments": [],
    "synchronized_account_segments": ["ALL"],
    "synchronized_properties": [],
    "synchronized_account_properties": [],
    "send_events": [],
    "forward_events": False,
    "enabled_with_segment": False,
}


class PrivateSettings(TypedDict):
    """The connector's private settings."""

    #: Of the Segment source that Hull sends to. Nothing is sent without it.
    write_key: str | None
    #: Users in these segments are sent to Segment; ALL sends all users.
    synchronized_segments: list[str]
    #: Accounts in these segments are sent to Segment.
    synchronized_account_segments: list[str]
    #: Sent beside the list of segments.
    synchronized_properties: list[str]
    #: Account attributes
    synchronized_account_properties: list[str]
    #: Events that are sent to Segment; all when the list is empty.
    send_events: list[str]
    #: Send events that came from Segment, too. Not for a workspace in which Hull
    #: is a destination.
    forward_events: bool
    #: When it is set, only calls that Segment signed with it are accepted.
    shared_secret: str | None
    enabled_with_segment: bool


def private_settings(ctx: Context) -> PrivateSettings:
    """Return the private settings of a context's connector."""
    stored = ctx.ship["private_settings"]
    given = {name: value for name, value in stored.items() if value is not None}
    found = {**_PRIVATE_SETTINGS, **given}
    values = {name: found.get(name) for name in PrivateSettings.__annotations__}
    return cast("PrivateSettings", values)


_SETTINGS: Final[dict[str, Any]] = {
    "handle_pages": False,
    "handle_screens": False,
    "handle_accounts": False,
    "public_id_field": "external_id",
    "public_account_id_field": "external_id",
    "ignore_segment_userId": False,
}


class Settings(TypedDict):
    """The connector's settings that browsers may read."""

    #: Store page calls
    handle_pages: bool
    #: Store screen calls
    handle_screens: bool
    #: Leave it off when your users are in several groups: the account of the last
    #: group call wins.
    handle_accounts: bool
    public_id_field: Literal["external_id", "id"]
    public_account_id_field: Literal["external_id", "id"]
    ignore_segment_userId: bool


def settings(ctx: Context) -> Settings:
    """Return the settings that browsers may read of a context's connector."""
    stored = ctx.ship["settings"]
    given = {name: value for name, value in stored.items() if value is not None}
    found = {**_SETTINGS, **given}
    values = {name: found.get(name) for name in Settings.__annotations__}
    return cast("Settings", values)
