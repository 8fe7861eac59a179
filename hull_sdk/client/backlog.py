"""What waits in a sender, over all its lanes, and what became of the rest.

One lock guards a sender's whole state. It is held for a few instructions at a time: never while waiting, sending
or calling the user's code.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hull_sdk.core.logs import emit
from hull_sdk.core.tasks import Future, Lock, Tasks, current_thread_id, resolve
from hull_sdk.errors import HullError

if TYPE_CHECKING:
    from hull_sdk.client.lane import Lane

__all__ = ["Backlog", "FlushResult", "Message"]

_log = logging.getLogger(__name__)

#: So many errors are kept for the next flush; the counts stay exact.
_MAX_ERRORS: Final = 100


@dataclass(slots=True, eq=False)
class Message:
    """One message that waits to be accepted.

    Args:
        data: The whole message as JSON.
        future: Its outcome.
        message_id: Made before the first try.
        queued_at: Seconds on the clock's ``monotonic``.
        key: Messages with equal keys keep their order.
        sequence: Its place among all messages of its lane, from 1.
    """

    data: bytes
    future: Future[str]
    message_id: str
    queued_at: float
    key: int
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What became of the messages since the flush before.

    Args:
        sent: Messages that the platform accepted.
        failed: Messages that were given up, refused or dropped.
        pending: Messages queued before this flush that still wait.
        errors: Why messages failed, the latest hundred; and why those that are pending were not taken yet.
        dropped: How many of the failed ones a full queue dropped, see ``overflow`` of the client.
    """

    sent: int = 0
    failed: int = 0
    pending: int = 0
    errors: list[HullError] = field(default_factory=list)
    dropped: int = 0


class Backlog:
    """Counts what waits and what was settled; every method but :meth:`report` expects the lock to be held.

    Args:
        max_messages: Messages that may wait.
        max_bytes: Bytes that may wait.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.lock: Lock = Lock()
        self.messages: int = 0
        self._bytes = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._sent = self._dropped = 0
        self._reported = (0, 0, 0)
        #: Messages given up or refused since the start.
        self.failed: int = 0
        #: Threads that are running the callbacks of Futures now.
        self.callback_threads: list[int] = []
        #: The lanes of the keys of all that waits ...
        self.lane_of: dict[int, Lane] = {}
        #: ... how many messages wait beside the first, of keys that have more than one ...
        self.further: dict[int, int] = {}
        #: ... and where a message of any other key goes; ``None`` while that has to be chosen.
        self.filling: Lane | None = None
        self._errors: deque[HullError] = deque(maxlen=_MAX_ERRORS)
        self._room: Future[None] | None = None

    def admit(self, message: Message, *, force: bool = False) -> bool:
        """Count a message in, if there is room.

        Args:
            message: The message.
            force: ``True`` for a caller that must not be made to wait.
        """
        size = self._bytes + len(message.data)
        if not force and (self.messages >= self._max_messages or size > self._max_bytes):
            return False
        self.messages += 1
        self._bytes = size
        return True

    def settle(self, messages: list[Message], errors: Mapping[int, HullError]) -> Future[None] | None:
        """Count messages out.

        Args:
            messages: What was answered or given up.
            errors: Errors of those that failed, by index.

        Returns:
            What callers that wait for room wait for; to be resolved without the lock.
        """
        self.messages -= len(messages)
        self._sent += len(messages) - len(errors)
        self.failed += len(errors)
        self._errors.extend(errors.values())
        self._release(messages)
        room, self._room = self._room, None
        return room

    def drop(self, message: Message, error: HullError, *, waited: bool) -> None:
        """Count a message as dropped.

        Args:
            message: The message.
            error: Why.
            waited: ``True`` when it was counted in before.
        """
        if waited:
            self.messages -= 1
            self._release([message])
        self.failed += 1
        self._dropped += 1
        self._errors.append(error)

    def _release(self, messages: list[Message]) -> None:
        lane_of, further = self.lane_of, self.further
        for message in messages:
            self._bytes -= len(message.data)
            key = message.key
            if key not in further:
                del lane_of[key]
            elif further[key] > 1:
                further[key] -= 1
            else:
                del further[key]

    def tell(self, messages: list[Message], errors: Mapping[int, HullError]) -> None:
        """Resolve the Futures of messages, which runs their callbacks; the lock is not held.

        Args:
            messages: What was answered, given up or dropped.
            errors: Errors of those that failed, by index.
        """
        thread = current_thread_id()
        self.callback_threads.append(thread)
        try:
            for index, message in enumerate(messages):
                try:
                    resolve(message.future, message.message_id, errors.get(index) if errors else None)
                except SystemExit as err:  # raised by a callback; it must not keep the others waiting
                    emit(_log, logging.ERROR, "firehose.callback_failed", {"error": repr(err)})
        finally:
            self.callback_threads.remove(thread)

    def room(self, tasks: Tasks) -> Future[None]:
        """Return what is resolved when messages have been counted out."""
        if self._room is None:
            self._room = tasks.future()
        return self._room

    def report(self, pending: int, reasons: list[HullError]) -> FlushResult:
        """Hand out the counts since the last report.

        Args:
            pending: Messages that the report's reader still waits for.
            reasons: Why they were not taken yet.
        """
        with self.lock:
            counts = (self._sent, self.failed, self._dropped)
            sent, failed, dropped = (now - before for now, before in zip(counts, self._reported, strict=True))
            self._reported = counts
            errors = [*self._errors, *reasons]
            self._errors.clear()
        return FlushResult(sent, failed, pending, errors, dropped)
