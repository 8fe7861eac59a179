"""From a webhook of Customer.io to an event of Hull; pure functions.

Two forms are known: the present one names an object and what happened to it (``object_type``, ``metric``), the older
one has both in one word (``event_type``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from customerio_connector.customers import SOURCE
from hull_sdk.infra import parse_time

__all__ = ["Activity", "Skip", "activity_of"]

#: What is known to happen, and the name of the event that it is in Hull.
_NAMES: Final = {
    "customer_subscribed": "Customer Subscribed",
    "customer_unsubscribed": "Customer Unsubscribed",
    "email_attempted": "Email Attempted",
    "email_bounced": "Email Bounced",
    "email_clicked": "Email Link Clicked",
    "email_converted": "Email Converted",
    "email_deferred": "Email Deferred",
    "email_delivered": "Email Delivered",
    "email_drafted": "Email Drafted",
    "email_dropped": "Email Dropped",
    "email_failed": "Email Failed",
    "email_opened": "Email Opened",
    "email_sent": "Email Sent",
    "email_spammed": "Email Marked as Spam",
    "email_unsubscribed": "Unsubscribed",
}
#: Properties that the older form has under another name.
_RENAMED: Final = {"delivery_id": "email_id", "recipient": "email_address", "subject": "email_subject"}
#: Begins where a word begins, so that a long text is not searched from each of its letters.
_ADDRESS = re.compile(r"(?<![^@\s<>,;\"])[^@\s<>,;\"]{1,200}@[^@\s<>,;\".]{1,63}(?:\.[^@\s<>,;\".]{1,63})+")
_HULL_ID = re.compile(r"[0-9a-f]{24}")


class Skip(Exception):  # noqa: N818 - nothing went wrong
    """A webhook that means nothing to this connector, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One event.

    Args:
        claims: Whose it is.
        name: Of the event.
        properties: Of the event.
        context: Its id, time and source.
    """

    claims: dict[str, str]
    name: str
    properties: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)


def activity_of(webhook: Mapping[str, Any], user_id_mapping: str, body: bytes) -> Activity:
    """Return the event that a webhook tells of.

    Args:
        webhook: The decoded body.
        user_id_mapping: Which attribute is the customer id.
        body: As it came; equal ones without an id are one event.

    Raises:
        Skip: It tells of none, for the reason that it names.
    """
    is_old = "event_type" in webhook
    kind = webhook["event_type"] if is_old else f"{webhook.get('object_type')}_{webhook.get('metric')}"
    name = _NAMES.get(str(kind))
    data = webhook.get("data")
    if name is None:
        raise Skip(f"{kind!r:.100} is no e-mail activity")
    if not isinstance(data, Mapping):
        raise Skip("it has no data")
    claims = _claims(data, user_id_mapping)
    if not claims:
        raise Skip("it names nobody: there is neither an address nor a customer id that Hull could know")
    renamed = {} if is_old else _RENAMED
    properties = {str(renamed.get(key, key)): value for key, value in data.items()}
    return Activity(claims=claims, name=name, properties=properties, context=_context(webhook, body))


def _claims(data: Mapping[str, Any], user_id_mapping: str) -> dict[str, str]:
    identifiers = data.get("identifiers")
    known: Mapping[str, Any] = identifiers if isinstance(identifiers, Mapping) else {}
    claims = {}
    customer_id = _text(data.get("customer_id")) or _text(known.get("id"))
    if customer_id is not None and _is_claim(user_id_mapping, customer_id):
        claims[user_id_mapping] = customer_id
    # A message may go to somebody else than the person whom it is about.
    address = _address(known.get("email")) or _address(data.get("recipient")) or _address(data.get("email_address"))
    return claims if address is None else {**claims, "email": address}


def _is_claim(user_id_mapping: str, customer_id: str) -> bool:
    """Tell whether a customer id says who somebody is in Hull; one of other attributes does not."""
    return user_id_mapping == "external_id" or (user_id_mapping == "id" and bool(_HULL_ID.fullmatch(customer_id)))


def _context(webhook: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    # What Customer.io repeats has to be the same event then.
    event_id = _text(webhook.get("event_id")) or hashlib.sha256(body).hexdigest()[:40]
    # The address of a server says nothing about the person.
    context = {"event_id": event_id, "source": SOURCE, "ip": "0"}
    at = webhook.get("timestamp")
    return context if parse_time(at) is None else {**context, "created_at": at}


def _address(value: Any) -> str | None:
    """Return the first e-mail address in a text, as Hull keeps it."""
    found = _ADDRESS.search(value) if isinstance(value, str) else None
    return None if found is None else found[0].lower()


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None
