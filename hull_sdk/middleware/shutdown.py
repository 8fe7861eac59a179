"""The end of an application: what was begun is finished, each thing before what it needs, within one deadline.

Requests may still fill batches, batches may enqueue jobs, and all of them send; so requests end first, then batches are
handed over, then jobs are run, and the senders come last. Each leaves a share of the time to those behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from hull_sdk.client.exits import exits
from hull_sdk.core.tasks import VirtualTasks
from hull_sdk.infra import MemoryQueue, Queue

if TYPE_CHECKING:
    from hull_sdk.middleware.base import Extension

__all__ = ["DEFAULT_SHUTDOWN_S", "Shutdown"]

#: How long an application takes to end at most, in seconds; less than servers wait before they kill it.
DEFAULT_SHUTDOWN_S: Final = 30.0

Stage = Literal["requests", "batches", "jobs", "senders"]

#: What each stage leaves to those behind it of 30 seconds, in seconds; of less, a share as large.
_LEFT_S: Final[dict[Stage, float]] = {"requests": 9.0, "batches": 7.0, "jobs": 5.0, "senders": 0.0}


class Shutdown:
    """Ends an application once.

    Args:
        extension: What the application shares.
    """

    def __init__(self, extension: Extension) -> None:
        self._extension = extension
        self._until: float | None = None
        self._share = 1.0
        self._done = False
        #: ``True`` while the process ends: nobody may wait for senders, whose turn comes afterwards.
        self.ending: bool = False
        exits.join_application(self)

    def begin(self, timeout_s: float | None = None) -> None:
        """Let the deadline count from now; later calls change nothing.

        Args:
            timeout_s: Longest time in seconds; the application's when ``None``.
        """
        if self._until is None:
            total = self._extension.shutdown_timeout_s if timeout_s is None else timeout_s
            self._until = self._extension.runtime.clock.monotonic() + total
            self._share = min(1.0, total / DEFAULT_SHUTDOWN_S)

    def left_s(self, stage: Stage) -> float:
        """Return how long a stage may take from now, in seconds.

        Args:
            stage: Which; the shutdown must have begun.
        """
        until = 0.0 if self._until is None else self._until
        return max(0.0, until - self._share * _LEFT_S[stage] - self._extension.runtime.clock.monotonic())

    @property
    def waiting(self) -> int:
        """Items and jobs that would be lost if the process ended now; none on a virtual clock."""
        return self._extension.batches.waiting + _jobs(self._extension.queue) if self._is_real() else 0

    def finish(self) -> None:
        """Hand over batches, run jobs, send what is queued, and close; what is left is logged. Requests are over."""
        if self._done:
            return
        self.begin()
        self._finish_work()
        self._extension.senders.close(self.left_s("senders"))
        self._extension.leases.stop()
        self._extension.instrumentation.close(self.left_s("senders"))
        exits.leave(self)

    def finish_exit(self) -> int:
        """Hand over batches and run jobs before the process ends; the senders' turn comes afterwards.

        Returns:
            Items that were not handed over; jobs are logged one by one.
        """
        if self._done or not self._is_real():
            return 0
        self.ending = True
        self.begin()
        try:
            return self._finish_work()
        except KeyboardInterrupt:  # whoever asks twice does not want to wait
            return self.waiting

    def after_fork(self) -> None:
        """Start afresh in a child process."""
        self._until = None
        self._done = self.ending = False

    def _finish_work(self) -> int:
        self._done = True
        left = self._extension.batches.stop(self.left_s("batches"))
        self._extension.queue.stop(self.left_s("jobs"))
        return left

    def _is_real(self) -> bool:
        return not isinstance(self._extension.runtime.tasks, VirtualTasks)


def _jobs(queue: Queue) -> int:
    """Return the jobs that this process holds; a queue elsewhere loses none."""
    return len(queue) if isinstance(queue, MemoryQueue) else 0
