"""Settings as manifest.json declares them; written by ``hull types``, do not edit."""

from __future__ import annotations

from typing import Any, Final, TypedDict, cast

from hull_sdk import Context

__all__ = ["PrivateSettings", "private_settings"]


_PRIVATE_SETTINGS: Final[dict[str, Any]] = {
    "user_attributes": {},
    "account_attributes": {},
    "event_properties": {},
    "signature_header": "X-Signature",
}


class PrivateSettings(TypedDict):
    """The connector's private settings."""

    #: Where it stands in the webhook, for example customer.id.
    user_external_id: str | None
    #: For example customer.contacts.0.email.
    user_email: str | None
    #: User: anonymous id
    user_anonymous_id: str | None
    #: Places by attribute, for example {"plan": "customer.plan"}.
    user_attributes: dict[str, Any]
    #: Account: external id
    account_external_id: str | None
    #: Account: domain
    account_domain: str | None
    #: Account: attributes
    account_attributes: dict[str, Any]
    #: A place, or a name in quotes, for example "Paid". Without it there is no
    #: event.
    event_name: str | None
    #: Without it two equal webhooks are one event.
    event_id: str | None
    #: Event: time
    event_time: str | None
    #: Event: properties
    event_properties: dict[str, Any]
    #: When it is set, the body has to be signed with it: HMAC-SHA256, in
    #: hexadecimal digits.
    shared_secret: str | None
    #: Header of the signature
    signature_header: str


def private_settings(ctx: Context) -> PrivateSettings:
    """Return the private settings of a context's connector."""
    stored = ctx.ship["private_settings"]
    given = {name: value for name, value in stored.items() if value is not None}
    found = {**_PRIVATE_SETTINGS, **given}
    values = {name: found.get(name) for name in PrivateSettings.__annotations__}
    return cast("PrivateSettings", values)
