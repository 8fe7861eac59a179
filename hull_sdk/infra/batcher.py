"""Collects items and hands them over in batches, by number, by size and by age; nothing is lost on the way.

Items are kept in memory: a process that is killed takes them along, one that stops gracefully does not.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hull_sdk.core.forks import watch_forks
from hull_sdk.core.logs import emit
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future, Lock, Worker
from hull_sdk.errors import InvalidArgumentError, QueueFullError, TransientError

__all__ = ["Batcher"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    item: T
    size_bytes: int
    since: float


class Batcher(Generic[T]):
    """Collects items; one flush runs at a time, in the order in which the items came.

    A batch is handed over when ``max_size`` items or ``max_bytes`` bytes are there, or when the oldest item is
    ``max_age_ms`` old. A flush that raises keeps its items; the same batch is tried again with backoff, and everything
    behind it waits, so that the order stays.

    Example::

        batcher = Batcher(lambda rows: session.post("/rows", json=rows), max_size=100)
        batcher.add({"id": 1})
        batcher.stop(timeout_s=10)

    Args:
        flush: Receives a list of items on a thread of the batcher's own.
        max_size: Most items in one batch.
        max_bytes: Most bytes in one batch, by the sizes told to :meth:`add`; an item that is larger goes alone.
        max_age_ms: Longest time that an item waits for others, in milliseconds.
        max_pending: Most items kept while flushes fail or are slow; :meth:`add` then raises.
        retry: Pauses between the tries of a failing flush.
        name: For logs and thread lists.
        runtime: Clock and tasks; the machine's own by default. May be assigned before the first item.

    Raises:
        InvalidArgumentError: A limit is not positive.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Any],
        *,
        max_size: int = 100,
        max_bytes: int = 1_000_000,
        max_age_ms: float = 10_000,
        max_pending: int = 100_000,
        retry: RetryPolicy | None = None,
        name: str = "hull-batcher",
        runtime: Runtime | None = None,
    ) -> None:
        limits = {"max_size": max_size, "max_bytes": max_bytes, "max_age_ms": max_age_ms, "max_pending": max_pending}
        for option, value in limits.items():
            if value <= 0:
                raise InvalidArgumentError(f"{option} is {value!r}; it must be more than 0")
        self.runtime: Runtime = Runtime.system() if runtime is None else runtime
        self._hand_over = flush
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._max_age_s = max_age_ms / 1000
        self._max_pending = max_pending
        self._retry = RetryPolicy() if retry is None else retry
        self._name = name
        self._lock = Lock()
        self._held: deque[_Held[T]] = deque()
        self._bytes = 0
        self._added = 0
        self._drains: list[tuple[int, Future[Any]]] = []
        self._failures = 0
        self._failed_size = 0
        self._retry_at = 0.0
        self._worker: Worker | None = None
        self._stopped = False
        watch_forks(self)

    def after_fork(self) -> None:
        """Start empty in a child process: the parent hands over what it took."""
        self._lock = Lock()
        self._held = deque()
        self._bytes = self._added = self._failures = self._failed_size = 0
        self._drains = []
        self._worker = None

    def __len__(self) -> int:
        return len(self._held)

    def add(self, item: T, size_bytes: int = 0) -> None:
        """Take an item.

        Args:
            item: Anything.
            size_bytes: What it counts towards ``max_bytes``.

        Raises:
            QueueFullError: ``max_pending`` items wait already; this one was not taken.
            TransientError: The batcher has been stopped; the item was not taken.
        """
        with self._lock:
            if self._stopped:
                raise TransientError("the batcher has been stopped and takes no more items", status=503)
            if len(self._held) >= self._max_pending:
                raise QueueFullError(f"{len(self._held)} items wait to be flushed, the limit; try again later")
            self._held.append(_Held(item, size_bytes, self.runtime.clock.monotonic()))
            self._bytes += size_bytes
            self._added += 1
            due = len(self._held) == 1 or self._is_full()
        if due:
            self._wake()

    def flush(self, timeout_s: float = 10.0) -> int:
        """Hand over what is held now, without waiting for more, and wait until that is done.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            How many items are still held; 0 when everything went, and nothing came meanwhile.
        """
        self.drain(timeout_s)
        return len(self._held)

    def drain(self, timeout_s: float = 10.0) -> bool:
        """Hand over what is held now, whatever comes meanwhile, and wait until that is done.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            ``False`` when it was not done in time.
        """
        with self._lock:
            if not self._held:
                return True
            done = self.runtime.tasks.future()
            self._drains.append((self._added, done))
        try:
            self._wake()
        except RuntimeError:  # while the interpreter ends no thread begins, and none runs the step
            self._run_here(timeout_s)
        else:
            self.runtime.tasks.wait(done, timeout_s)
        return done.done()

    def stop(self, timeout_s: float = 10.0) -> int:
        """Take no more items, hand over what is held, and end.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            How many items could not be handed over; they are logged as a warning by number.
        """
        with self._lock:
            self._stopped = True
        left = self.flush(timeout_s)
        if self._worker is not None:
            self._worker.stop()
        if left:
            emit(_log, logging.WARNING, "batcher.stopped.unfinished", {"batcher": self._name, "items": left})
        return left

    def _wake(self) -> None:
        with self._lock:
            if self._worker is None:
                self._worker = self.runtime.tasks.worker(self._step, name=self._name)
            worker = self._worker
        worker.wake()

    def _run_here(self, timeout_s: float) -> None:
        until = self.runtime.clock.monotonic() + timeout_s
        pause = self._step()
        while pause is not None and self.runtime.clock.monotonic() + pause < until:
            self.runtime.tasks.sleep(pause)
            pause = self._step()

    def _step(self) -> float | None:
        with self._lock:
            pause = self._pause()
            batch = self._batch() if pause == 0.0 else []
        if not batch:
            return pause
        try:
            self._hand_over([held.item for held in batch])
        except Exception as err:  # noqa: BLE001 - the items are kept and tried again; the failure is logged
            return self._keep(err, len(batch))
        return self._forget(batch)

    def _pause(self) -> float | None:
        """Return seconds until the next batch is due; ``None`` when nothing is held."""
        if not self._held:
            return None
        now = self.runtime.clock.monotonic()
        if self._failures:
            return max(0.0, self._retry_at - now)
        if self._drains or self._is_full():
            return 0.0
        return max(0.0, self._held[0].since + self._max_age_s - now)

    def _is_full(self) -> bool:
        return len(self._held) >= self._max_size or self._bytes >= self._max_bytes

    def _batch(self) -> list[_Held[T]]:
        if self._failures:  # what came meanwhile would make it another batch
            return list(itertools.islice(self._held, self._failed_size))
        batch: list[_Held[T]] = []
        size = 0
        for held in self._held:
            size += held.size_bytes
            if len(batch) == self._max_size or (batch and size > self._max_bytes):
                break
            batch.append(held)
        return batch

    def _keep(self, err: Exception, count: int) -> float:
        wanted = err.retry_after if isinstance(err, TransientError) else None
        self._failures += 1
        self._failed_size = count
        delay = self._retry.delay(self._failures, self.runtime.ids, wanted)
        self._retry_at = self.runtime.clock.monotonic() + delay
        fields = {"batcher": self._name, "items": count, "attempt": self._failures, "retry_in_s": round(delay, 3)}
        emit(_log, logging.WARNING, "batcher.flush.failed", fields, exc_info=err)
        return delay

    def _forget(self, batch: list[_Held[T]]) -> float | None:
        self._failures = 0
        with self._lock:
            for held in batch:
                self._held.popleft()
                self._bytes -= held.size_bytes
            flushed = self._added - len(self._held)
            done = [future for until, future in self._drains if until <= flushed]
            self._drains = [drain for drain in self._drains if drain[0] > flushed]
            pause = self._pause()
        for future in done:
            future.set_result(None)
        return pause
