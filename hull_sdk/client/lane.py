"""A lane: messages that keep their order, sent one batch at a time by one step.

A batch is cut when enough messages wait or the oldest has waited long enough, and is repeated unchanged until it
is accepted, refused or too old; nothing overtakes it meanwhile.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from hull_sdk.client.backlog import Backlog, Message
from hull_sdk.client.config import SendingOptions
from hull_sdk.client.delivery import Accepted, Delivery, Refused, TooLarge, TryAgain, Verdict
from hull_sdk.client.stepping import Stepper
from hull_sdk.core.logs import emit
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import resolve
from hull_sdk.errors import HullError, RejectedError
from hull_sdk.wire.firehose import BATCH_BYTES, BATCH_MESSAGES, Rejection

__all__ = ["Lane"]

_log = logging.getLogger(__name__)

#: Waits shorter than this are over: rounding must not make a step wait for nothing.
_INSTANT_S: Final = 1e-6
#: No request gets less time than this.
_LEAST_TIMEOUT_S: Final = 0.001


class Lane:
    """One ordered queue of a sender.

    Args:
        name: Of its thread.
        backlog: Shared by all lanes of the sender; its lock guards the state of this one too.
        delivery: Posts batches.
        options: When to send, and how patiently.
        runtime: Clock, ids and work.
        on_resolved: Called without the lock after Futures were resolved.
    """

    def __init__(
        self,
        name: str,
        *,
        backlog: Backlog,
        delivery: Delivery,
        options: SendingOptions,
        runtime: Runtime,
        on_resolved: Callable[[], None],
    ) -> None:
        self._backlog = backlog
        self._delivery = delivery
        self._options = options
        self._runtime = runtime
        self._on_resolved = on_resolved
        self._queue: deque[Message] = deque()
        self._queue_bytes = 0
        self._batch: list[Message] = []
        self._batch_limit = BATCH_MESSAGES
        self._attempt = 0
        self._started_at = 0.0
        self._retry_at = 0.0
        self._pause_asked = False
        self._busy = False
        self._send_up_to = 0
        self._stepper = Stepper(self.step, name, runtime, backlog.lock)
        self._passed = 0
        #: Why the batch is being repeated.
        self.error: HullError | None = None
        #: Messages put in since the start, and how far all of them are resolved.
        self.queued: int = 0
        self.resolved: int = 0
        #: ``True`` when no thread could be started for it.
        self.stranded: bool = False
        #: ``True`` while the process ends: nothing is logged, since the end is reported in one line.
        self.ending = False

    def add(self, message: Message) -> bool:
        """Append a message; the lock is held.

        Returns:
            ``True`` when the lane has to be woken.
        """
        size = len(message.data)
        self._queue.append(message)
        self._queue_bytes += size
        self.queued += 1
        message.sequence = self.queued
        if self._busy:
            return False
        waiting = len(self._queue)
        if waiting in {1, self._options.flush_at} or self.stranded:
            return True
        return self._queue_bytes - size < BATCH_BYTES <= self._queue_bytes

    def fitness(self) -> tuple[int, int]:
        """Return what is least for the lane that a further message fits best; the lock is held.

        That is the one whose next request is being filled, else an idle one, else the one where least waits, and last
        of all one that repeats a batch.
        """
        waiting = len(self._queue)
        if self.error is not None:
            return 3, waiting
        if self._busy or self._batch or waiting >= self._batch_limit or self._queue_bytes >= BATCH_BYTES:
            return 2, waiting
        return (0 if waiting else 1), 0

    def hurry(self) -> None:
        """Have what waits now sent without waiting for more; the lock is held."""
        self._send_up_to = self.queued

    def cut_pause_short(self) -> None:
        """Try a failed batch again at once, unless the platform asked for the pause; the lock is held."""
        if not self._pause_asked:
            self._retry_at = 0.0

    def drop(self) -> int:
        """Forget what waits; the lock is held.

        Returns:
            How many messages that were.
        """
        dropped = self.waiting(self.queued)
        self._queue.clear()
        self._batch = []
        self._queue_bytes = 0
        self._passed = self.resolved = self.queued
        return dropped

    @property
    def oldest(self) -> Message | None:
        """The message that has waited longest, unless it is under way; the lock is held."""
        return self._queue[0] if self._queue else None

    def take_oldest(self) -> Message:
        """Remove the message that has waited longest; the lock is held."""
        message = self._queue.popleft()
        self._queue_bytes -= len(message.data)
        return message

    def skip(self) -> None:
        """Count what was taken out as resolved, unless something before it still waits; the lock is held."""
        self.resolved += self._advance()

    @property
    def is_ready(self) -> bool:
        """``True`` when a request can begin: none is under way and none has to be repeated; the lock is held."""
        return not self._busy and not self._batch

    @property
    def answered(self) -> int:
        """How far messages are answered, given up or dropped, none before them left out; the lock is held."""
        head = self._batch[0] if self._batch else self.oldest
        return self.queued if head is None else head.sequence - 1

    def waiting(self, up_to: int) -> int:
        """Return how many of the first ``up_to`` messages are neither answered nor given up; the lock is held."""
        return sum(message.sequence <= up_to for messages in (self._batch, self._queue) for message in messages)

    def wake(self) -> None:
        """Have the step called soon."""
        self.stranded = not self._stepper.wake()

    def stop(self) -> None:
        """End the thread, if there is one."""
        self._stepper.stop()

    def step(self, deadline: float = math.inf) -> float | None:
        """Send one batch if one is due.

        Args:
            deadline: The request ends before this point on the clock's ``monotonic``.

        Returns:
            Seconds until the next batch is due; ``None`` when nothing waits or a batch is under way.
        """
        clock = self._runtime.clock
        with self._backlog.lock:
            now = clock.monotonic()
            wait = self._wait_s(now)
            if wait is None or wait > 0.0:
                return wait
            batch = self._current_batch(now)
            self._turn(busy=True)
        try:
            timeout_s = max(_LEAST_TIMEOUT_S, min(self._options.timeout_s, deadline - now))
            verdict = self._delivery.post([message.data for message in batch], timeout_s)
        except BaseException:  # an interrupt; the batch stays
            self._turn(busy=False)
            raise
        self._follow(verdict, batch)
        with self._backlog.lock:
            return self._wait_s(clock.monotonic())

    def _turn(self, *, busy: bool) -> None:
        """Begin or end a request, after which another lane may be the one to fill."""
        self._busy = busy
        self._backlog.filling = None

    def _advance(self) -> int:
        before, self._passed = self._passed, self.answered
        return self._passed - before

    def _wait_s(self, now: float) -> float | None:
        if self._busy or not (self._batch or self._queue):
            return None
        if self._batch:
            wait = self._retry_at - now
        elif self._is_full():
            return 0.0
        else:
            wait = self._queue[0].queued_at + self._options.flush_after_ms / 1000 - now
        return wait if wait > _INSTANT_S else 0.0

    def _is_full(self) -> bool:
        return (
            len(self._queue) >= self._options.flush_at
            or self.answered < self._send_up_to
            or self._queue_bytes >= BATCH_BYTES
        )

    def _current_batch(self, now: float) -> list[Message]:
        if self._batch:
            return self._batch
        queue, batch, size = self._queue, self._batch, 0
        if self._queue_bytes + len(queue) <= BATCH_BYTES and len(queue) <= self._batch_limit:  # all of it, mostly
            batch.extend(queue)
            queue.clear()
            size = self._queue_bytes
        while queue and len(batch) < self._batch_limit:
            more = len(queue[0].data)
            if batch and size + len(batch) + more >= BATCH_BYTES:
                break
            size += more
            batch.append(queue.popleft())
        self._queue_bytes -= size
        self._attempt = 0
        self._started_at = now
        self._retry_at = 0.0
        return batch

    def _follow(self, verdict: Verdict, batch: list[Message]) -> None:
        if isinstance(verdict, Accepted):
            self._accept(verdict, batch)
        elif isinstance(verdict, TooLarge):
            self._split(batch)
        elif isinstance(verdict, TryAgain):
            self._retry(verdict, batch)
        else:
            self._give_up(verdict, batch)

    def _accept(self, verdict: Accepted, batch: list[Message]) -> None:
        errors = _rejected(batch, verdict.rejections) if verdict.rejections else {}
        for error in errors.values():
            fields = {"message_id": error.message_id, "code": error.code, "reason": error.reason}
            self._warn(logging.ERROR, "firehose.rejected", fields)
        self._batch_limit = min(BATCH_MESSAGES, self._batch_limit + 1)
        self._finish(batch, errors)

    def _split(self, batch: list[Message]) -> None:
        if len(batch) == 1:
            reason = f"the platform answered 413 to this message of {len(batch[0].data)} bytes alone"
            error = RejectedError("TOO_LARGE", reason, message_id=batch[0].message_id)
            fields = {"message_id": error.message_id, "code": error.code, "reason": error.reason}
            self._warn(logging.ERROR, "firehose.rejected", fields)
            self._finish(batch, {0: error})
            return
        half = len(batch) // 2
        with self._backlog.lock:
            self._queue.extendleft(reversed(batch[half:]))
            self._queue_bytes += sum(len(message.data) for message in batch[half:])
            self._batch = batch[:half]
            self._batch_limit = half
            self._attempt = 0
            self._retry_at = 0.0
            self._turn(busy=False)

    def _retry(self, verdict: TryAgain, batch: list[Message]) -> None:
        now = self._runtime.clock.monotonic()
        policy, error = self._options.retry, verdict.error
        delay = policy.delay(self._attempt + 1, self._runtime.ids, error.retry_after)
        if now + delay - self._started_at > policy.total_s:
            self._give_up(Refused(error), batch)
            return
        fields = {"messages": len(batch), "attempt": self._attempt + 1, "delay_s": round(delay, 3), "error": str(error)}
        self._warn(logging.WARNING, "firehose.retry", fields)
        with self._backlog.lock:
            self._attempt += 1
            self._retry_at = now + delay
            self._pause_asked = error.retry_after is not None
            self.error = error
            self._turn(busy=False)

    def _give_up(self, verdict: Refused, batch: list[Message]) -> None:
        fields = {"messages": len(batch), "attempt": self._attempt + 1, "error": str(verdict.error)}
        self._warn(logging.ERROR, "firehose.lost", fields)
        self._finish(batch, dict.fromkeys(range(len(batch)), verdict.error))

    def _finish(self, batch: list[Message], errors: Mapping[int, HullError]) -> None:
        with self._backlog.lock:
            if self._batch is not batch:  # dropped meanwhile
                self._turn(busy=False)
                return
            self._batch = []
            self.error = None
            passed = self._advance()
            room = self._backlog.settle(batch, errors)
            # From here on a callback may flush: the next batch of this lane can be sent from within it.
            self._turn(busy=False)
        if room is not None:
            resolve(room, None)
        self._backlog.tell(batch, errors)
        with self._backlog.lock:
            self.resolved += passed
        self._on_resolved()

    def _warn(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if not self.ending:
            emit(_log, level, event, fields)


def _rejected(batch: list[Message], rejections: list[Rejection]) -> dict[int, RejectedError]:
    """Find the refused messages: by their ids, or by their places when the platform names no id."""
    places = {message.message_id: index for index, message in enumerate(batch)}
    errors = {}
    for rejection in rejections:
        index = rejection.index if rejection.message_id is None else places.get(rejection.message_id, -1)
        if 0 <= index < len(batch):
            message_id = batch[index].message_id
            errors[index] = RejectedError(rejection.code, rejection.reason, message_id=message_id)
    return errors
