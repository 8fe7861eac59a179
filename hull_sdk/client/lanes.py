"""The lanes of a sender: which of them a message goes to.

A key stays with a lane as long as one of its messages is unanswered there: that keeps their order. Everything else goes
where it fills a request, so that few messages share one, over one connection, and many keep all lanes at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hull_sdk.client.backlog import Backlog, Message
from hull_sdk.client.lane import Lane

__all__ = ["Lanes"]


class Lanes:
    """All lanes of a sender.

    Args:
        lanes: At least one.
        backlog: What waits in them; its lock guards everything here.
        flush_at: How many messages make a lane send.
    """

    def __init__(self, lanes: Sequence[Lane], backlog: Backlog, flush_at: int) -> None:
        self._lanes = lanes
        self._backlog = backlog
        self._flush_at = flush_at
        self._full_at = 0

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes)

    def add(self, message: Message) -> Lane | None:
        """Append a message to a lane; the lock is held.

        Returns:
            The lane, when it has to be woken.
        """
        backlog, key = self._backlog, message.key
        lane = backlog.lane_of.get(key)
        if lane is not None:
            backlog.further[key] = backlog.further.get(key, 0) + 1
        else:
            lane = backlog.filling
            if lane is None or lane.queued >= self._full_at:
                lane = self._choose()
            backlog.lane_of[key] = lane
        if not lane.add(message):
            return None
        backlog.filling = None
        return lane

    def _choose(self) -> Lane:
        """Choose the lane of the next messages, until a request begins or ends or so many went there as fill one."""
        lane = self._backlog.filling = min(self._lanes, key=Lane.fitness)
        self._full_at = lane.queued + self._flush_at
        return lane
