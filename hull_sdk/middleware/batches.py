"""The batches of an application: one batcher for each endpoint and connector, handed over before a stop.

What is held here was answered already. It outlives a graceful stop and the normal end of a process, not a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

from hull_sdk.client.exits import exits
from hull_sdk.core.forks import watch_forks
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import TransientError
from hull_sdk.infra import Batcher

__all__ = ["Batches"]

#: Beyond so many batchers the empty ones are forgotten.
MAX_BATCHERS: Final = 1000


class Batches:
    """The batchers of an application.

    Args:
        runtime: Clock and tasks.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = Lock()
        self._batchers: dict[Hashable, Batcher[Any]] = {}
        self._stopped = False
        watch_forks(self)

    def add(self, key: Hashable, item: Any, make: Callable[[], Batcher[Any]], size_bytes: int = 0) -> None:
        """Take an item.

        Args:
            key: Whose batch it joins.
            item: Anything.
            make: Returns a batcher when the key has none yet.
            size_bytes: What the item counts towards the bytes of a batch.

        Raises:
            QueueFullError: Too many items wait already; this one was not taken.
            TransientError: The application is being stopped; the item was not taken (status 503).
        """
        with self._lock:
            if self._stopped:
                raise TransientError("the connector is being stopped and takes no more items", status=503)
            if len(self._batchers) >= MAX_BATCHERS:
                self._batchers = {known: batcher for known, batcher in self._batchers.items() if len(batcher)}
            batcher = self._batchers.get(key)
            if batcher is None:
                batcher = self._batchers[key] = make()
            batcher.add(item, size_bytes)
        exits.arm_for(self._runtime.tasks)

    def drain(self, key: Hashable, timeout_s: float) -> bool:
        """Hand over what a batch holds now, and wait until that is done.

        Args:
            key: Whose batch.
            timeout_s: Longest wait in seconds.

        Returns:
            ``False`` when it was not done in time.
        """
        with self._lock:
            batcher = self._batchers.get(key)
        return batcher is None or batcher.drain(timeout_s)

    @property
    def waiting(self) -> int:
        """Items that would be lost if the process ended now."""
        return sum(len(batcher) for batcher in list(self._batchers.values()))

    def stop(self, timeout_s: float) -> int:
        """Take no more items and hand over what is held.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            How many items could not be handed over; they are logged by number.
        """
        clock = self._runtime.clock
        until = clock.monotonic() + timeout_s
        with self._lock:
            self._stopped = True
            batchers = list(self._batchers.values())
        for batcher in batchers:
            batcher.flush(0.0)
        return sum(batcher.stop(max(0.0, until - clock.monotonic())) for batcher in batchers)

    def after_fork(self) -> None:
        """Start empty in a child process: the parent hands over what it took."""
        self._lock = Lock()
        self._batchers = {}
        self._stopped = False
