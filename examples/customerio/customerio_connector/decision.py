"""What a message of Hull means for Customer.io; pure functions.

Which of the persons are there, and what they were sent last, stands in the users' own attributes ``customerio/...``,
which the connector writes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from customerio_connector.customers import SOURCE, Customer, anonymous_id, attribute, customer_id, customer_of, size
from customerio_connector.events import event_of
from customerio_connector.settings import PrivateSettings
from hull_sdk.types import Event, UserMessage

__all__ = ["Decision", "Refused", "decide", "leaving", "newest"]

_EVERYBODY: Final = frozenset({"ALL", "all_segments"})
#: Ids that would lead to another address.
_PATHS: Final = frozenset({".", ".."})


class Refused(Exception):  # noqa: N818 - the message is refused, and the reason said
    """A user whom Customer.io can never take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done.

    Args:
        delete: Id of the person to be deleted, or ``None``.
        customer: The person to be sent, or ``None``.
        is_known: Whether Customer.io has the person.
        customer_id: Whom the events are about; ``None`` for anonymous ones.
        anonymous_id: The same for anonymous events.
        events: What to send, in order.
        fingerprint: To be written back with ``customer``.
        skipped: Why nothing is sent about the user, or ``None``.
        skipped_events: Names of events that are not sent, with the reason.
    """

    delete: str | None = None
    customer: Customer | None = None
    is_known: bool = False
    customer_id: str | None = None
    anonymous_id: str | None = None
    events: tuple[dict[str, Any], ...] = ()
    fingerprint: str | None = None
    skipped: str | None = None
    skipped_events: tuple[tuple[str, str], ...] = ()


def decide(message: UserMessage, settings: PrivateSettings, *, is_batch: bool = False) -> Decision:
    """Return what a message of ``user:update`` leads to.

    Args:
        message: User, account, segments and events.
        settings: The connector's settings.
        is_batch: ``True`` when an operator sends users by hand: they are sent even if nothing has changed.

    Raises:
        Refused: Customer.io could not take the user's id.
    """
    user: Mapping[str, Any] = message["user"]
    if not _is_chosen(message.get("segment_ids"), settings["synchronized_segments"]):
        return leaving(user, settings)
    if _own(user, "suppressed_at") is not None:
        return Decision(skipped="the user is suppressed")
    is_known = _is_known(user)
    events, skipped = _events(message.get("events") or (), settings["events_filter"])
    if not user.get("email") and not is_known:
        if not settings["anonymous_events"]:
            return Decision(skipped="the user has no e-mail address")
        why = None if events else "the user has no e-mail address, and no events that are sent"
        return Decision(anonymous_id=anonymous_id(user), events=events, skipped=why, skipped_events=skipped)
    identifier = _checked_id(customer_id(user, settings), settings)
    if identifier is None:
        return Decision(skipped=f"the user has no {settings['user_id_mapping']}, which is the customer id")
    customer = customer_of(message, settings, identifier)
    fingerprint = customer.fingerprint(settings["site_id"] or "")
    is_news = is_batch or not is_known or _own(user, "hash") != fingerprint
    return Decision(
        customer=customer if is_news else None,
        is_known=is_known,
        customer_id=identifier,
        events=events,
        fingerprint=fingerprint,
        skipped=None if is_news or events else "nothing has changed",
        skipped_events=skipped,
    )


def newest(messages: Iterable[UserMessage]) -> dict[str, UserMessage]:
    """Return the last message about each user, by the user's id, with the events of all of them.

    Args:
        messages: Of one notification, in its order.
    """
    found: dict[str, UserMessage] = {}
    for message in messages:
        user_id = str(message["user"]["id"])
        earlier = found.get(user_id)
        events = [*(earlier.get("events") or () if earlier else ()), *(message.get("events") or ())]
        unique = {event["event_id"]: event for event in events}
        found[user_id] = {**message, "events": list(unique.values())}
    return found


def leaving(user: Mapping[str, Any], settings: PrivateSettings) -> Decision:
    """Return what becomes of a user who is in no whitelisted segment, or does not exist any more.

    Args:
        user: As it was last.
        settings: The connector's settings.
    """
    outside = "the user is in none of the whitelisted segments"
    if not settings["enable_user_deletion"]:
        return Decision(skipped=outside)
    if _own(user, "deleted_at") is not None:
        return Decision(skipped="the user was already deleted")
    identifier = _own(user, "id") or customer_id(user, settings)
    if not _is_known(user) or identifier is None:
        return Decision(skipped=outside)
    return Decision(delete=str(identifier))


def _is_known(user: Mapping[str, Any]) -> bool:
    return _own(user, "created_at") is not None and _own(user, "deleted_at") is None


def _events(events: Iterable[Event], chosen: Iterable[str]) -> tuple[tuple[dict[str, Any], ...], tuple[Any, ...]]:
    wanted = frozenset(chosen)
    sent, skipped = [], []
    for event in events:
        if event.get("event_source") == SOURCE:
            skipped.append((event["event"], "it came from Customer.io"))
        elif event["event"] not in wanted:
            skipped.append((event["event"], "it is not in the list of events"))
        else:
            sent.append(event_of(event))
    return tuple(sent), tuple(skipped)


def _checked_id(identifier: str | None, settings: PrivateSettings) -> str | None:
    if identifier is None:
        return None
    longest = settings["max_identifier_value_length"]
    if (length := size(identifier)) > longest:
        raise Refused(f"the customer id has {length} bytes; Customer.io takes {longest}")
    if identifier in _PATHS or not _is_utf8(identifier):
        raise Refused(f"the customer id is {identifier!r}, which no address can hold")
    return identifier


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def _own(user: Mapping[str, Any], name: str) -> Any:
    return attribute(user, f"{SOURCE}/{name}")


def _is_chosen(segment_ids: Iterable[Any] | None, chosen: Iterable[str]) -> bool:
    wanted = set(chosen)
    return not wanted.isdisjoint(_EVERYBODY) or not wanted.isdisjoint(segment_ids or ())
