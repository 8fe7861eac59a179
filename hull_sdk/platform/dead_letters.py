"""Dead letters: messages that a connector could not or would not take, kept until somebody sends them again.

Rules: section "Flow control" of ``docs/protocol.md``. Plain state; the organization's lock is held around every call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from hull_sdk.core.clock import iso_millis
from hull_sdk.errors import InvalidArgumentError

__all__ = ["DeadLetter", "DeadLetters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One message that was given up.

    Args:
        id: Its own id, for redelivery.
        connector_id: Whom it was for.
        channel: For example ``"user:update"``.
        lane: ``"fast"`` or ``"normal"``.
        key: The entity's id.
        notification_id: The notification that it was last part of.
        message: The message, byte for byte as it was.
        reason: Why it was given up.
        at: Domain time of that, in Unix seconds.
    """

    id: str
    connector_id: str
    channel: str
    lane: str
    key: str
    notification_id: str
    message: dict[str, Any]
    reason: str
    at: float

    def to_wire(self) -> dict[str, Any]:
        """Return the form in which it is listed."""
        return {
            "id": self.id,
            "connector_id": self.connector_id,
            "channel": self.channel,
            "lane": self.lane,
            "entity_id": self.key,
            "notification_id": self.notification_id,
            "message_id": self.message["message_id"],
            "message": self.message,
            "reason": self.reason,
            "at": iso_millis(self.at),
        }


class DeadLetters:
    """The dead letters of one organization, in the order in which they died."""

    STATE: ClassVar[dict[str, Any]] = {"_letters": dict[str, DeadLetter]}

    def __init__(self) -> None:
        self._letters: dict[str, DeadLetter] = {}

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, letter: DeadLetter) -> None:
        """Keep one more."""
        self._letters[letter.id] = letter

    def of(self, connector_id: str) -> list[DeadLetter]:
        """Return those of one connector."""
        return [letter for letter in self._letters.values() if letter.connector_id == connector_id]

    def all(self) -> list[DeadLetter]:
        """Return all of them."""
        return list(self._letters.values())

    def take(self, connector_id: str, ids: Iterable[str] | None = None) -> list[DeadLetter]:
        """Remove and return dead letters, to send them again.

        Args:
            connector_id: Whose.
            ids: Which of them; all when ``None``.

        Raises:
            InvalidArgumentError: An id is not among this connector's dead letters; then none is removed.
        """
        own = {letter.id: letter for letter in self.of(connector_id)}
        wanted = list(own) if ids is None else list(dict.fromkeys(ids))
        for each in wanted:
            if each not in own:
                raise InvalidArgumentError(
                    f"{each!r} is no dead letter of this connector; list them with GET /{connector_id}/dead_letters"
                )
        return [self._letters.pop(each) for each in wanted]

    def drop_entity(self, key: str) -> None:
        """Forget those about an entity that was deleted."""
        for letter in [letter for letter in self._letters.values() if letter.key == key]:
            del self._letters[letter.id]

    def drop(self, connector_id: str) -> None:
        """Forget those of a connector that was removed."""
        for letter in self.of(connector_id):
            del self._letters[letter.id]
