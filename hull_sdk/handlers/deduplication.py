"""Each notification is handled once: a lease while it is handled, and the finished answer afterwards.

Rules: section "Notifications" of ``docs/protocol.md``. With a cache in memory this holds within one process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hull_sdk.infra import Cache
from hull_sdk.outcomes import notification_body
from hull_sdk.wire.flow_control import DEFAULT_RETRY

__all__ = ["LEASE_S", "STORED_S", "Runs"]

#: How long a finished answer is kept, in seconds: as long as the platform may deliver a notification again.
STORED_S: Final = 86_400.0
#: How long a run may go on before another one may begin, in seconds; it ends with the function.
LEASE_S: Final = 3600.0

_RUNNING: Final = {"state": "running"}


class Runs:
    """What became of a connector's notifications.

    Args:
        cache: The part of the store that belongs to the connector.
    """

    def __init__(self, cache: Cache) -> None:
        self._states = cache.scoped("notifications")
        self._attempts = cache.scoped("attempts")

    def attempt(self, notification_id: str) -> int:
        """Return which try this would be, from 1."""
        tried: int = self._attempts.get(notification_id, 0)
        return tried + 1

    def once(self, notification_id: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Handle a notification unless that has been done or is being done.

        Args:
            notification_id: Which one.
            work: Handles it and returns the answer. One of the type ``next`` is stored; after any other one, and
                after an error, the next delivery is handled again.

        Returns:
            The answer, perhaps that of an earlier run; ``retry`` while one is going on.
        """
        if not self._states.add(notification_id, _RUNNING, LEASE_S):
            found: dict[str, Any] = self._states.get(notification_id, _RUNNING)
            answer: dict[str, Any] | None = found.get("answer")
            return notification_body(DEFAULT_RETRY) if answer is None else answer
        self._attempts.set(notification_id, self.attempt(notification_id), STORED_S)
        try:
            answer = work()
        except BaseException:
            self._states.delete(notification_id)
            raise
        if answer["flow_control"]["type"] == "next":
            self._states.set(notification_id, {"state": "done", "answer": answer}, STORED_S)
            self._attempts.delete(notification_id)
        else:
            self._states.delete(notification_id)
        return answer
