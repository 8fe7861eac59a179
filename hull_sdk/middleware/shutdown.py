"""The end of an application: what was begun is finished, each thing before what it needs, within one deadline.

Requests may still fill batches, batches may enqueue jobs, and all of them send; so requests end first, then batches are
handed over, then jobs are run, and the senders come last. Each leaves a share of the time to those behind it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final, Literal, Protocol

from hull_sdk.client.exits import exits
from hull_sdk.core.tasks import current_thread_id
from hull_sdk.infra import MemoryQueue, Queue

if TYPE_CHECKING:
    from hull_sdk.middleware.base import Extension

__all__ = ["DEFAULT_SHUTDOWN_S", "Server", "Shutdown"]

#: How long an application takes to end at most, in seconds; less than servers wait before they kill it.
DEFAULT_SHUTDOWN_S: Final = 30.0

Stage = Literal["requests", "batches", "jobs", "senders"]

#: What each stage leaves to those behind it of 30 seconds, in seconds; of less, a share as large.
_LEFT_S: Final[dict[Stage, float]] = {"requests": 9.0, "batches": 7.0, "jobs": 5.0, "senders": 0.0}

#: What the last logs, errors and metrics get at the end of the process, also when the time is over, in seconds.
MIN_REPORT_S: Final = 0.5

#: How often it is looked whether another thread has finished what is held, in seconds.
_LOOK_S: Final = 0.05


class Server(Protocol):
    """A server that ends this process by its own rules, and kills what takes too long."""

    def patience_s(self) -> float:
        """Return how long a process that is told to stop now has until it is killed, in seconds."""
        ...

    def last_patience_s(self) -> float:
        """Return the same for a process whose requests are over, and which ends."""
        ...


class Shutdown:
    """Ends an application once.

    Args:
        extension: What the application shares.
    """

    def __init__(self, extension: Extension) -> None:
        self._extension = extension
        #: Who serves, if it limits the time; set before the stop begins.
        self.server: Server | None = None
        self.after_fork()
        exits.join_application(self)

    def after_fork(self) -> None:
        """Start afresh in a child process."""
        self._until = math.inf
        self._share = 1.0
        self._closed = False
        # The first number goes to the thread that finishes what is held; a lock could be held by who is interrupted.
        self._turns = itertools.count()
        self._finisher: int | None = None
        self._left: int | None = None
        #: ``True`` while the process ends: nobody may wait for senders, whose turn comes afterwards.
        self.ending: bool = False

    @property
    def begun(self) -> bool:
        """``True`` once the deadline counts."""
        return self._until < math.inf

    def begin(self, timeout_s: float | None = None) -> None:
        """Let the deadline count from now; later calls change nothing.

        Args:
            timeout_s: Longest time in seconds; when ``None``, the application's, or the server's if that is shorter.
        """
        if not self.begun:
            total = self._total_s() if timeout_s is None else timeout_s
            self._share = min(1.0, total / DEFAULT_SHUTDOWN_S)
            self._until = self._now() + total

    def left_s(self, stage: Stage) -> float:
        """Return how long a stage may take from now, in seconds; without end before the shutdown has begun.

        Args:
            stage: Which.
        """
        return max(0.0, self._until - self._share * _LEFT_S[stage] - self._now())

    @property
    def waiting(self) -> int:
        """Items and jobs that would be lost if the process ended now; none on a virtual clock."""
        return 0 if self._virtual else self._extension.batches.waiting + _jobs(self._extension.queue)

    def finish(self) -> None:
        """Hand over batches, run jobs, send what is queued, and close; what is left is logged. Requests are over."""
        if self._closed:
            return
        self._closed = True
        self.begin()
        self._finish_work()
        self._extension.senders.close(self.left_s("senders"))
        self._extension.leases.stop()
        self._extension.instrumentation.close(self.left_s("senders"))
        exits.leave(self)

    def finish_early(self) -> None:
        """Hand over batches, run jobs and send, beside requests that take longer than their share.

        Whoever serves goes on waiting for these; what they send is sent, but they can leave nothing behind.
        """
        self._finish_work()
        self._extension.senders.flush(self.left_s("senders"))

    def finish_exit(self) -> int:
        """Hand over batches and run jobs before the process ends; the senders' turn comes afterwards.

        Returns:
            Items that were not handed over; jobs are logged one by one.
        """
        if self._closed or self.ending or self._virtual:
            return 0
        self.ending = True
        self.begin()
        if self.server is not None:
            self._until = min(self._until, self._now() + self.server.last_patience_s())
        try:
            return self._finish_work()
        except KeyboardInterrupt:  # whoever asks twice does not want to wait
            return self.waiting

    def close_exit(self) -> None:
        """Send the last errors and metrics, when all else is done."""
        if not self._closed and not self._virtual:
            self._extension.instrumentation.close(max(MIN_REPORT_S, self.left_s("senders")))

    def _total_s(self) -> float:
        own = self._extension.shutdown_timeout_s
        return own if self.server is None else min(own, self.server.patience_s())

    def _finish_work(self) -> int:
        """Finish what is held, once; of two threads, the second waits for the first."""
        if next(self._turns) > 0:
            return self._await_finisher()
        self._finisher = current_thread_id()
        left = self._extension.batches.stop(self.left_s("batches"))
        self._extension.queue.stop(self.left_s("jobs"))
        self._left = left
        return left

    def _await_finisher(self) -> int:
        # When its time is over, it still has to name what is left.
        until = self._now() + self.left_s("jobs") + MIN_REPORT_S
        # A signal may have interrupted that very thread, which then cannot go on.
        while self._left is None and self._finisher != current_thread_id() and self._now() < until:
            self._extension.runtime.tasks.sleep(_LOOK_S)
        return self.waiting if self._left is None else self._left

    @property
    def _virtual(self) -> bool:
        return self._extension.runtime.tasks.virtual

    def _now(self) -> float:
        return self._extension.runtime.clock.monotonic()


def _jobs(queue: Queue) -> int:
    """Return the jobs that this process holds; a queue elsewhere loses none."""
    return len(queue) if isinstance(queue, MemoryQueue) else 0
