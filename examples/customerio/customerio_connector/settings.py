"""Settings as manifest.json declares them; written by ``hull types``, do not edit."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict, cast

from hull_sdk import Context

__all__ = ["PrivateSettings", "private_settings"]


_PRIVATE_SETTINGS: Final[dict[str, Any]] = {
    "region": "us",
    "synchronized_segments": [],
    "enable_user_deletion": False,
    "user_id_mapping": "external_id",
    "synchronized_attributes": [],
    "events_filter": [],
    "anonymous_events": False,
    "max_attribute_name_length": 150,
    "max_attribute_value_length": 1000,
    "max_identifier_value_length": 150,
}


class PrivateSettings(TypedDict):
    """The connector's private settings."""

    #: In Customer.io: Integrations, Customer.io API. Nothing is sent without it.
    site_id: str | None
    #: The one that belongs to the site ID.
    api_key: str | None
    #: Where Customer.io keeps the data of your workspace.
    region: Literal["us", "eu"]
    #: When it is set, only e-mail activity that Customer.io signed with it is
    #: accepted.
    webhook_signing_key: str | None
    #: Only users in these segments are sent; ALL sends all users, an empty list
    #: nobody.
    synchronized_segments: list[str]
    #: Deletes those from Customer.io that were sent and are in none of the
    #: segments any more, or deleted.
    enable_user_deletion: bool
    #: The attribute that identifies a person in Customer.io: external_id, or id,
    #: Hull's own.
    user_id_mapping: str
    #: Sent beside the e-mail address, the time of creation and the list of
    #: segments.
    synchronized_attributes: list[str]
    #: Events that are sent; page views are called page. None when the list is
    #: empty.
    events_filter: list[str]
    #: Also send the events of users without an e-mail address, as anonymous ones.
    anonymous_events: bool
    max_attribute_name_length: int
    max_attribute_value_length: int
    max_identifier_value_length: int


def private_settings(ctx: Context) -> PrivateSettings:
    """Return the private settings of a context's connector."""
    stored = ctx.ship["private_settings"]
    given = {name: value for name, value in stored.items() if value is not None}
    found = {**_PRIVATE_SETTINGS, **given}
    values = {name: found.get(name) for name in PrivateSettings.__annotations__}
    return cast("PrivateSettings", values)
