"""What a message led to: changes, notifications that told of them, their answers, and what came back.

Rules: section "Traces" of ``docs/protocol.md``. Plain state; the organization's lock is held around every call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hull_sdk.core.clock import iso_millis
from hull_sdk.platform.attempts import Delivery
from hull_sdk.platform.dead_letters import DeadLetter
from hull_sdk.platform.notifications import changed_fields
from hull_sdk.platform.reports import EntityChange, View
from hull_sdk.platform.trace import Record

__all__ = ["Consequences", "Telling", "Tellings", "answers_to", "trace_of"]

#: Messages of which this is kept; older ones fall out.
_KEPT: Final = 10_000
#: Changes and notifications that are kept of one message: an account may have very many users.
_KEPT_EACH: Final = 100

_NOBODY: Final = View({})


class Consequences:
    """The changes that the latest messages made."""

    def __init__(self) -> None:
        self._changes: OrderedDict[str, list[EntityChange]] = OrderedDict()

    def keep(self, message_id: str | None, changes: list[EntityChange]) -> None:
        """Keep what a message changed."""
        if message_id is not None and changes:
            self._changes[message_id] = changes[:_KEPT_EACH]
            _trim(self._changes)

    def of(self, message_id: str) -> list[EntityChange]:
        """Return what a message changed, as far as that is kept."""
        return self._changes.get(message_id, [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A message of a notification that told of a firehose message.

    Args:
        connector_id: Whom it told.
        channel: For example ``"user:update"``.
        notification_id: The notification that it was part of first.
        message_id: Its own id, the same in every try and part.
    """

    connector_id: str
    channel: str
    notification_id: str
    message_id: str


class Tellings:
    """Which notification told of which message, of one organization."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, str], list[str]] = OrderedDict()
        self._told: OrderedDict[str, list[Telling]] = OrderedDict()

    def expect(self, connector_id: str, change: EntityChange) -> None:
        """Note that a connector is to be told of a change, or of nobody any more.

        Args:
            connector_id: Who is told.
            change: What happened; the causes of those who were absorbed pass on to the one who absorbed them.
        """
        if change.after is None:
            return
        key = (connector_id, change.entity_id)
        causes = [cause for absorbed in change.absorbed for cause in self._waiting.pop((connector_id, absorbed), ())]
        if change.cause is not None and not change.quiet:
            causes.append(change.cause)
        if causes:
            self._waiting[key] = [*self._waiting.get(key, ()), *causes][-_KEPT_EACH:]
            _trim(self._waiting, 10 * _KEPT)

    def told(self, connector_id: str, channel: str, key: str, notification_id: str, message_id: str) -> None:
        """Note that a notification tells of an entity."""
        telling = Telling(
            connector_id=connector_id, channel=channel, notification_id=notification_id, message_id=message_id
        )
        for cause in dict.fromkeys(self._waiting.pop((connector_id, key), ())):
            known = self._told.setdefault(cause, [])
            if len(known) < _KEPT_EACH:
                known.append(telling)
        _trim(self._told)

    def of(self, cause: str) -> list[Telling]:
        """Return what told of a firehose message."""
        return list(self._told.get(cause, ()))


def answers_to(records: Iterable[Record], notification_ids: set[str]) -> dict[str, list[Record]]:
    """Return the messages that connectors wrote while they handled notifications, by notification.

    Args:
        records: Final states of messages.
        notification_ids: Of which notifications; a request id ends with one.
    """
    found: dict[str, list[Record]] = {}
    for record in records if notification_ids else ():
        named = (record.request_id or "").rpartition(":")[2]
        if named in notification_ids:
            found.setdefault(named, []).append(record)
    return found


def trace_of(
    record: Record,
    *,
    changes: list[EntityChange],
    told: list[Telling],
    tries: Iterable[Delivery],
    dead: Iterable[DeadLetter],
    back: Mapping[str, list[Record]],
) -> dict[str, Any]:
    """Return everything that is known of a message as plain data.

    Args:
        record: Its final state.
        changes: What it changed.
        told: What told of it.
        tries: Tries of notifications, in order.
        dead: Dead letters.
        back: What connectors wrote, by notification.
    """
    wanted = {each.message_id for each in told}
    attempts: dict[str, list[Delivery]] = {}
    for delivery in tries if wanted else ():
        for message_id in wanted.intersection(delivery.message_ids):
            attempts.setdefault(message_id, []).append(delivery)
    letters = {letter.message["message_id"]: letter for letter in dead}
    return {
        **record.to_wire(),
        "changes": [_change_wire(change) for change in changes],
        "notifications": [
            _told_wire(each, attempts.get(each.message_id, []), letters.get(each.message_id), back) for each in told
        ],
    }


def _change_wire(change: EntityChange) -> dict[str, Any]:
    before, after = change.before or _NOBODY, change.after or _NOBODY
    return {
        "entity": {"type": change.kind, "id": change.entity_id},
        "is_new": change.is_new,
        "is_gone": change.after is None,
        "absorbed": list(change.absorbed),
        "fields": changed_fields(before.report, after.report),
        "segments": {
            "entered": [each for each in after.segment_ids if each not in before.segment_ids],
            "left": [each for each in before.segment_ids if each not in after.segment_ids],
        },
        "events": [event["event"] for event in change.events],
    }


def _told_wire(
    telling: Telling, tries: list[Delivery], letter: DeadLetter | None, back: Mapping[str, list[Record]]
) -> dict[str, Any]:
    return {
        "connector_id": telling.connector_id,
        "channel": telling.channel,
        "notification_id": telling.notification_id,
        "message_id": telling.message_id,
        "dead_letter": None if letter is None else {"id": letter.id, "reason": letter.reason},
        "tries": [_try_wire(each, telling.message_id) for each in tries],
        "came_back": [
            {"message_id": each.message_id, "type": each.type, "state": each.state}
            for each in back.get(telling.notification_id, [])
        ],
    }


def _try_wire(delivery: Delivery, message_id: str) -> dict[str, Any]:
    responses = delivery.answer.get("responses") if isinstance(delivery.answer, Mapping) else None
    own = [r for r in responses if isinstance(r, Mapping) and r.get("message_id") == message_id] if responses else []
    return {
        "notification_id": delivery.notification_id,
        "attempt": delivery.attempt,
        "at": iso_millis(delivery.at),
        "status": delivery.status,
        "error": delivery.error,
        "outcome": delivery.outcome,
        "response": own[0] if own else None,
    }


def _trim(kept: OrderedDict[Any, Any], most: int = _KEPT) -> None:
    while len(kept) > most:
        kept.popitem(last=False)  # a plain dict would look for its first key ever longer
