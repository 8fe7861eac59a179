"""The outbox: what one request or job has sent, and whether all of it arrived."""

from __future__ import annotations

from dataclasses import dataclass, field

from hull_sdk.client.sender import FLUSH_TIMEOUT_S, Sender
from hull_sdk.core.forks import watch_forks
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future, Lock
from hull_sdk.errors import RejectedError
from hull_sdk.wire.firehose import MENDABLE_CODES

__all__ = ["Outbox", "Settlement"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of the messages that went through an outbox since it was last settled.

    Args:
        accepted: Messages that the platform took.
        rejected: Messages that it refused for good, one error each.
        failed: Messages that were given up, or refused for what somebody can mend, one error each.
        pending: Messages whose outcome was not known in time.
    """

    accepted: int = 0
    rejected: list[RejectedError] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)
    pending: int = 0


class Outbox:
    """Collects the Futures of everything that is sent through one client and its scoped copies.

    Only the unsettled ones are kept, so an outbox may live as long as a worker does.

    Args:
        runtime: Clock and waiting.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = Lock()
        self._waiting: dict[Future[str], Sender] = {}
        self._accepted = 0
        self._rejected: list[RejectedError] = []
        self._failed: list[Exception] = []
        watch_forks(self)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, future: Future[str], sender: Sender) -> None:
        """Remember a message until its outcome is known.

        Args:
            future: Its outcome.
            sender: Where it waits.
        """
        self._waiting[future] = sender
        future.when_done(lambda _: self._record(future))

    def settle(self, timeout_s: float = FLUSH_TIMEOUT_S, *, here: bool = False) -> Settlement:
        """Have everything sent at once and wait for the outcomes.

        Args:
            timeout_s: Longest wait in seconds.
            here: ``True`` sends what one request takes in the calling thread, if there is time for a whole request.
                That costs less, but holds up a thread for which others wait: what a request or a callback does
                beyond its time comes on top of ``timeout_s``.

        Returns:
            What became of the messages since the last call; those pending now are counted again by the next.
        """
        if not self._waiting:
            return self._take(0)
        tasks = self._runtime.tasks
        deadline = tasks.clock.monotonic() + timeout_s
        waiting = dict(self._waiting)
        senders = set(waiting.values())
        for sender in senders:
            sender.hurry(here_for_s=timeout_s if here and len(senders) == 1 else 0.0)
        # The last one first: it mostly ends as the others do, and each wait wakes this thread once.
        for future in reversed(waiting):
            if not future.done():
                tasks.wait(future, max(0.0, deadline - tasks.clock.monotonic()))
        pending = 0
        for future in waiting:
            if future.done():
                self._record(future)
            else:
                pending += 1
        return self._take(pending)

    def after_fork(self) -> None:
        """Forget what the parent sent, in a child process: the parent waits for it."""
        self._lock = Lock()
        self._waiting = {}
        self._take(0)

    def _record(self, future: Future[str]) -> None:
        # Called by the sender and by settle, in either order; whoever removes the Future counts it.
        error = None if future.cancelled() else future.exception()
        with self._lock:
            if self._waiting.pop(future, None) is None:
                return
            if isinstance(error, RejectedError) and error.code not in MENDABLE_CODES:
                self._rejected.append(error)
            elif isinstance(error, Exception):
                self._failed.append(error)
            else:
                self._accepted += 1

    def _take(self, pending: int) -> Settlement:
        with self._lock:
            settlement = Settlement(self._accepted, self._rejected, self._failed, pending)
            self._accepted, self._rejected, self._failed = 0, [], []
        return settlement
