"""The sender: takes messages from any thread and sends them in the background, losing none quietly.

Messages wait in a bounded queue, spread over lanes in such a way that those with equal claims keep their order.
Rules: section "Firehose" of ``docs/protocol.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hull_sdk.client.backlog import Backlog, FlushResult, Message
from hull_sdk.client.config import ClientConfig
from hull_sdk.client.delivery import Delivery
from hull_sdk.client.exits import exits
from hull_sdk.client.lane import Lane
from hull_sdk.client.lanes import Lanes
from hull_sdk.client.overflow import Overflow
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future, current_thread_id, resolve
from hull_sdk.errors import HullError, InvalidArgumentError, QueueFullError

__all__ = ["FlushResult", "Message", "Sender", "SenderClosedError"]

#: How long a flush or a close waits unless it is told otherwise, in seconds.
FLUSH_TIMEOUT_S: Final = 10.0
#: How often a flush within a callback looks whether other lanes are done, in seconds.
_CALLBACK_PAUSE_S: Final = 0.01


class SenderClosedError(InvalidArgumentError):
    """Raised when a message is given to a sender that was closed; make a new client."""


@dataclass(slots=True, eq=False)
class _Watch:
    """What a flush waits for: each lane has to come so far."""

    targets: list[tuple[Lane, int]]
    reached: Future[None]

    def is_reached(self) -> bool:
        return all(lane.resolved >= count for lane, count in self.targets)

    def is_answered(self) -> bool:
        return all(lane.answered >= count for lane, count in self.targets)

    def pending(self) -> int:
        return sum(lane.waiting(count) for lane, count in self.targets)

    def reasons(self) -> list[HullError]:
        return [lane.error for lane, count in self.targets if lane.error is not None and lane.waiting(count)]


class Sender:
    """Sends the messages of one connector to one firehose.

    Args:
        config: Where to, as whom, and how patiently.
        runtime: Clock, ids, background work and network.
    """

    def __init__(self, config: ClientConfig, runtime: Runtime) -> None:
        self._config = config
        self._options = config.sending
        self._runtime = runtime
        self._delivery = Delivery(config, runtime)
        self._closed = False
        self._exit_deadline = math.inf
        self._failed_before_exit = 0
        self._begin()
        exits.join(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Sender {self._config.organization} {self._config.id} {state}, {self._backlog.messages} waiting>"

    def put(self, message: Message) -> None:
        """Queue a message.

        Args:
            message: What to send; its Future gets the outcome.

        Raises:
            QueueFullError: The queue stayed full for ``block_s`` seconds; the message was not queued. With another
                ``overflow`` than ``"raise"`` a message is dropped instead, at once.
            SenderClosedError: The sender was closed.
        """
        if not self._enqueue(message):
            self._make_room(message)
        if not exits.armed and not self._runtime.tasks.virtual:
            exits.arm()
        exits.flush_late()

    @property
    def waiting(self) -> int:
        """Messages that would be lost if the process ended now; none on a virtual clock."""
        return 0 if self._runtime.tasks.virtual else self._backlog.messages

    def hurry(self, *, here_for_s: float = 0.0) -> None:
        """Have everything that waits sent now, without waiting for it.

        Args:
            here_for_s: If a whole request has time in so many seconds, the calling thread makes one, callbacks of
                Futures included; it spares waking another thread and waiting for it.
        """
        here = here_for_s >= self._options.timeout_s
        with self._backlog.lock:
            waking = [lane for lane in self._lanes if lane.queued > lane.answered]
            for lane in waking:
                lane.hurry()
            own = next((lane for lane in waking if lane.is_ready), None) if here else None
        for lane in waking:
            if lane is not own:
                lane.wake()
        if own is not None:
            self._step_here(own)

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> FlushResult:
        """Send everything that waits now, and wait for the outcome.

        Args:
            timeout_s: Longest wait in seconds; the messages that still wait then are sent later.

        Returns:
            What became of the messages since the last flush.
        """
        deadline = self._runtime.clock.monotonic() + max(0.0, timeout_s)
        watch = self._watch()
        self.hurry()
        if self._in_callback() or any(lane.stranded for lane in self._lanes):
            self._work(watch, deadline)
        elif not watch.reached.done():
            self._runtime.tasks.wait(watch.reached, max(0.0, timeout_s))
        return self._report(watch)

    def close(self, timeout_s: float = FLUSH_TIMEOUT_S) -> FlushResult:
        """Take no more messages, and send what waits.

        Args:
            timeout_s: Longest wait in seconds. What still waits then is tried on in the background.

        Returns:
            What became of the messages since the last flush.
        """
        self._closed = True
        result = self.flush(timeout_s)
        self.close_if_idle()
        return result

    def close_if_idle(self) -> bool:
        """Close for good, unless messages wait.

        Returns:
            ``True`` when the sender is closed now, ``False`` when it is left as it was.
        """
        with self._backlog.lock:
            if self._backlog.messages:
                return False
            self._closed = True
        for lane in self._lanes:
            lane.stop()
        self._overflow.report.close()
        exits.leave(self)
        return True

    def begin_exit(self, left_s: float) -> None:
        """Start sending at once, for the end of the process.

        Args:
            left_s: How long that may take at most, in seconds; less counts than ``exit_timeout_s``, not more.
        """
        if self._runtime.tasks.virtual:
            return
        self._exit_deadline = self._runtime.clock.monotonic() + min(self._options.exit_timeout_s, left_s)
        unreported = self._overflow.report.take()
        with self._backlog.lock:
            self._failed_before_exit = self._backlog.failed - unreported
            for lane in self._lanes:
                lane.ending = True
                lane.cut_pause_short()
        self.hurry()

    def finish_exit(self) -> int:
        """Send in the calling thread until all is sent or the exit timeout has passed.

        Returns:
            Messages that were not sent; they are dropped.
        """
        if self._runtime.tasks.virtual:
            return 0
        watch = self._watch()
        try:
            self._work(watch, self._exit_deadline)
        except KeyboardInterrupt:  # whoever asks twice does not want to wait
            self._exit_deadline = -math.inf
        with self._backlog.lock:
            return sum(lane.drop() for lane in self._lanes) + self._backlog.failed - self._failed_before_exit

    def after_fork(self) -> None:
        """Start with an empty queue in a child process: the parent sends what the parent queued."""
        self._begin()

    def _begin(self) -> None:
        self._backlog = Backlog(self._options.queue_size, self._options.queue_bytes)
        self._watches: list[_Watch] = []
        lanes = [self._lane(number) for number in range(self._options.workers)]
        self._lanes = Lanes(lanes, self._backlog, self._options.flush_at)
        self._overflow = Overflow(self._config, self._backlog, self._lanes, self._runtime)

    def _lane(self, number: int) -> Lane:
        return Lane(
            f"hull-sender-{number}",
            backlog=self._backlog,
            delivery=self._delivery,
            options=self._options,
            runtime=self._runtime,
            on_resolved=self._on_resolved,
        )

    def _in_callback(self) -> bool:
        return current_thread_id() in self._backlog.callback_threads

    def _enqueue(self, message: Message) -> bool:
        with self._backlog.lock:
            if self._closed:
                raise SenderClosedError("the client was closed and takes no more messages; make a new one")
            # A callback runs in a lane's thread: if it waited for room, it might wait for itself.
            if not (self._backlog.admit(message) or (self._in_callback() and self._backlog.admit(message, force=True))):
                return False
            due = self._lanes.add(message)
        if due is not None:
            due.wake()
        return True

    def _make_room(self, message: Message) -> None:
        if self._options.overflow == "raise":
            self._enqueue_when_there_is_room(message)
            return
        self.hurry()
        with self._backlog.lock:
            due, dropped = self._overflow.squeeze_in(message)
        self._overflow.tell(dropped)
        self._on_resolved()
        if due is not None:
            due.wake()

    def _enqueue_when_there_is_room(self, message: Message) -> None:
        tasks = self._runtime.tasks
        deadline = tasks.clock.monotonic() + self._options.block_s
        while True:
            with self._backlog.lock:
                room = self._backlog.room(tasks)
            if self._enqueue(message):
                return
            self.hurry()
            remaining = deadline - tasks.clock.monotonic()
            if remaining <= 0.0 or not tasks.wait(room, remaining):
                raise QueueFullError(
                    f"{self._backlog.messages} messages wait and none was sent within {self._options.block_s:g} s; "
                    "this one was not queued: try again later, or raise queue_size, workers or block_s"
                )

    def _watch(self) -> _Watch:
        with self._backlog.lock:
            targets = [(lane, lane.queued) for lane in self._lanes if lane.resolved < lane.queued]
            watch = _Watch(targets, self._runtime.tasks.future())
            if targets:
                self._watches.append(watch)
        if not targets:
            resolve(watch.reached, None)
        return watch

    def _on_resolved(self) -> None:
        if not self._watches:
            return
        with self._backlog.lock:
            reached = [watch for watch in self._watches if watch.is_reached()]
            self._watches = [watch for watch in self._watches if watch not in reached]
        for watch in reached:
            resolve(watch.reached, None)

    def _step_here(self, lane: Lane) -> None:
        try:
            lane.step()
        finally:
            with self._backlog.lock:
                left = lane.queued > lane.answered
            if left:  # to be repeated, or more than one request takes
                lane.wake()

    def _work(self, watch: _Watch, deadline: float) -> None:
        """Run the lanes' steps in the calling thread, beside their own threads if there are any."""
        tasks = self._runtime.tasks
        in_callback = self._in_callback()
        try:
            while not (self._is_answered(watch) if in_callback else watch.is_reached()):
                delays = [lane.step(deadline) for lane in self._lanes]
                remaining = deadline - tasks.clock.monotonic()
                if remaining <= 0.0:
                    return
                pause = min(delay for delay in (remaining, *delays) if delay is not None)
                if in_callback:  # what it waits for is not what the watch waits for: its own batch counts as done
                    pause = min(pause, _CALLBACK_PAUSE_S)
                if pause > 0.0 and not watch.reached.done():
                    tasks.wait(watch.reached, pause)
        finally:
            with self._backlog.lock:
                waking = [lane for lane in self._lanes if lane.queued > lane.answered]
            for lane in waking:
                lane.wake()

    def _is_answered(self, watch: _Watch) -> bool:
        with self._backlog.lock:
            return watch.is_answered()

    def _report(self, watch: _Watch) -> FlushResult:
        with self._backlog.lock:
            self._watches = [other for other in self._watches if other is not watch]
            pending, reasons = watch.pending(), watch.reasons()
        return self._backlog.report(pending, reasons)
