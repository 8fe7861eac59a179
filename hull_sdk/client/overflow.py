"""What becomes of messages for which a full queue has no room: some are dropped, and that is always reported.

A dropped message fails its Future, counts in the next flush and in a line of the log. What a request under way holds
is never dropped, and what stays keeps its order.
"""

from __future__ import annotations

import logging
from typing import Final

from hull_sdk.client.backlog import Backlog, Message
from hull_sdk.client.config import ClientConfig
from hull_sdk.client.lane import Lane
from hull_sdk.client.lanes import Lanes
from hull_sdk.client.stepping import Stepper
from hull_sdk.core.logs import emit
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import MessageDroppedError

__all__ = ["DropReport", "Overflow"]

_log = logging.getLogger(__name__)

#: A burst of drops is over, and reported, when nothing was dropped for so long ...
QUIET_S: Final = 1.0
#: ... or when it has lasted so long.
LONGEST_BURST_S: Final = 10.0


class Overflow:
    """Makes room in a full queue by dropping.

    Args:
        config: Whose queue, and which policy.
        backlog: What waits; its lock guards everything here.
        lanes: Where it waits.
        runtime: Clock and background work.
    """

    def __init__(self, config: ClientConfig, backlog: Backlog, lanes: Lanes, runtime: Runtime) -> None:
        self._oldest_first = config.sending.overflow == "drop_oldest"
        self._backlog = backlog
        self._lanes = lanes
        self.report: DropReport = DropReport(config, backlog, runtime)

    def squeeze_in(self, message: Message) -> tuple[Lane | None, list[Message]]:
        """Queue a message in the place of older ones, or drop it; the lock is held.

        Args:
            message: What has no room.

        Returns:
            The lane that has to be woken, if one has, and the dropped messages, for :meth:`tell`.
        """
        dropped = []
        while self._oldest_first and (crowded := self._oldest_lane()) is not None:
            oldest = crowded.take_oldest()
            dropped.append(oldest)
            self._backlog.drop(oldest, self._error(oldest), waited=True)
            if self._backlog.admit(message):
                return self._lanes.add(message), dropped
        self._backlog.drop(message, self._error(message), waited=False)
        return None, [*dropped, message]

    def tell(self, dropped: list[Message]) -> None:
        """Fail the Futures of dropped messages and count them for the log; the lock is not held."""
        self.report.count(len(dropped))
        self._backlog.tell(dropped, {index: self._error(message) for index, message in enumerate(dropped)})
        with self._backlog.lock:
            for lane in self._lanes:
                lane.skip()

    def _oldest_lane(self) -> Lane | None:
        crowded = [lane for lane in self._lanes if lane.oldest is not None]
        return min(crowded, key=_age_of_oldest, default=None)

    def _error(self, message: Message) -> MessageDroppedError:
        policy = "drop_oldest" if self._oldest_first else "drop_newest"
        return MessageDroppedError(
            f"message {message.message_id!r} was dropped, since the queue was full (overflow={policy!r}): "
            "raise queue_size or workers, or have the call wait with overflow='raise'",
            {"message_id": message.message_id},
        )


class DropReport:
    """Writes one line for each burst of drops.

    Args:
        config: Whose queue.
        backlog: Its lock guards the counts.
        runtime: Clock and background work.
    """

    def __init__(self, config: ClientConfig, backlog: Backlog, runtime: Runtime) -> None:
        self._config = config
        self._lock = backlog.lock
        self._runtime = runtime
        self._stepper = Stepper(self._step, "hull-sender-drops", runtime, backlog.lock)
        self._count = 0
        self._first_at = self._last_at = 0.0

    def count(self, messages: int) -> None:
        """Count drops; the lock is not held."""
        now = self._runtime.clock.monotonic()
        with self._lock:
            begins = self._count == 0
            self._count += messages
            self._last_at = now
            if begins:
                self._first_at = now
        if begins and not self._stepper.wake():
            self.write()

    def write(self) -> None:
        """Write the line of a burst that goes on, if there is one."""
        count = self.take()
        if count:
            fields = {"messages": count, "overflow": self._config.sending.overflow}
            who = {"organization": self._config.organization, "id": self._config.id}
            emit(_log, logging.WARNING, "firehose.dropped", {**fields, **who})

    def take(self) -> int:
        """Return how many drops were not reported yet, and forget them."""
        with self._lock:
            count, self._count = self._count, 0
        return count

    def close(self) -> None:
        """Write what is left and end the thread."""
        self.write()
        self._stepper.stop()

    def _step(self) -> float | None:
        now = self._runtime.clock.monotonic()
        with self._lock:
            if not self._count:
                return None
            wait = min(self._last_at + QUIET_S, self._first_at + LONGEST_BURST_S) - now
        if wait > 0.0:
            return wait
        self.write()
        return None


def _age_of_oldest(lane: Lane) -> float:
    return 0.0 if lane.oldest is None else lane.oldest.queued_at
