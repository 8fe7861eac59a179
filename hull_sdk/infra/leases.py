"""Leases: whoever holds a key works on it, and one that dies loses it soon.

A lease is a key of a cache with a short time limit. While its holder lives it is renewed, so that it lasts as long as
the work; after a crash it ends by itself. Ages are those of the cache: on a shared store the server's own, so that the
clocks of the hosts do not matter.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from hull_sdk.core.forks import watch_forks
from hull_sdk.core.logs import emit
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock, Worker
from hull_sdk.errors import NetworkError, TransientError
from hull_sdk.infra.cache import Cache

__all__ = ["LEASE_S", "RENEW_S", "Lease", "Leases"]

#: How long a lease lasts after its holder died, in seconds.
LEASE_S: Final = 30.0
#: How often a lease is renewed, in seconds: a store that is away for up to ``LEASE_S - RENEW_S`` costs no lease.
RENEW_S: Final = 5.0
#: The pause until the next try while the store cannot be reached, in seconds.
AWAY_S: Final = 1.0
#: How long it is tried to write the end of a lease, in seconds.
PATIENCE_S: Final = 600.0
#: The pause between two looks at a key that somebody else holds, in seconds.
_POLL_S: Final = 0.05

_log = logging.getLogger(__name__)


class Lease:
    """A key that is held until :meth:`end`; made by :class:`Leases`.

    Args:
        leases: Who renews it.
        cache: Where it is.
        key: Its key.
        value: What is stored there while it is held; no other holder stores an equal value.
    """

    def __init__(self, leases: Leases, cache: Cache, key: str, value: Any) -> None:
        self.key = key
        self._leases = leases
        self._cache = cache
        self._value = value
        self._last: tuple[Any, float | None] | None = None
        now = leases.runtime.clock.monotonic()
        #: When the next write is due, on the clock's ``monotonic``.
        self.due_at: float = now + RENEW_S
        self._give_up_at = now + PATIENCE_S

    def end(self, value: Any = None, ttl_s: float | None = None) -> None:
        """Hold the key no more.

        When the store cannot be reached, that is done as soon as it is back, while this process lives.

        Args:
            value: What to leave in its place; ``None`` leaves nothing.
            ttl_s: Seconds that the value is kept.

        Raises:
            InvalidArgumentError: The value cannot be stored.
        """
        self._end_with(value, ttl_s)
        self._leases.forget(self)
        try:
            self._finish(value, ttl_s)
        except NetworkError as err:
            emit(_log, logging.WARNING, "lease.delayed", {"lease": self.key, "reason": err.message})
            self._leases.keep(self)

    def abandon(self) -> None:
        """Give back what the store may yet take, since it was asked to and has not answered."""
        self._end_with(None, None)
        self._leases.keep(self)

    def write(self) -> bool:
        """Renew the lease, or write its end; return whether nothing is left to do.

        Raises:
            NetworkError: The store cannot be reached; nothing is known of the lease.
        """
        last = self._ending()
        if last is None:
            return self._renew()
        if self._leases.runtime.clock.monotonic() <= self._give_up_at:
            self._finish(*last)
        return True

    def _end_with(self, value: Any, ttl_s: float | None) -> None:
        now = self._leases.runtime.clock.monotonic()
        self._last, self._give_up_at, self.due_at = (value, ttl_s), now + PATIENCE_S, now + AWAY_S

    def _ending(self) -> tuple[Any, float | None] | None:
        return self._last

    def _renew(self) -> bool:
        if self._cache.replace(self.key, self._value, self._value, LEASE_S) or self._ending():
            return False
        # A store that was started anew has forgotten it; unless somebody was faster, it is taken back.
        back = self._cache.add(self.key, self._value, LEASE_S)
        last = self._ending()
        if last is not None:  # it ended meanwhile
            self._finish(*last)
        elif not back:
            emit(_log, logging.ERROR, "lease.lost", {"lease": self.key})
        return not back

    def _finish(self, value: Any, ttl_s: float | None) -> None:
        if self._cache.replace(self.key, self._value, value, ttl_s) or value is None:
            return
        # It has run out, or the store has forgotten it; whoever holds it now goes first.
        if not self._cache.add(self.key, value, ttl_s) and self._cache.get(self.key) != value:
            emit(_log, logging.ERROR, "lease.lost", {"lease": self.key})


class Leases:
    """Takes leases and renews those that are held, on a background step.

    Args:
        runtime: Clock, ids and tasks.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.after_fork()
        watch_forks(self)

    def __len__(self) -> int:
        return len(self._held)

    def after_fork(self) -> None:
        """Hold nothing: in a forked child the leases belong to the parent."""
        self._lock = Lock()
        self._held: set[Lease] = set()
        self._worker: Worker | None = None
        self._next_at = math.inf
        self._unused = True

    def take(self, cache: Cache, key: str, value: Any, *, expected: Any = None) -> Lease | None:
        """Hold a key unless somebody else does.

        Args:
            cache: Where; a shared one for leases among processes.
            key: For example ``"refresh"``.
            value: JSON-like; stored while the key is held. No other holder may store an equal one.
            expected: What is believed to be there; ``None``: nothing.

        Returns:
            The lease, or ``None`` when there was something else.

        Raises:
            NetworkError: The store cannot be reached; nothing is held, and what the store takes later is given back.
        """
        lease = Lease(self, cache, key, value)
        try:
            taken = cache.add(key, value, LEASE_S) if expected is None else cache.replace(key, expected, value, LEASE_S)
            # When the connection broke, the driver has asked twice, and the first call may have succeeded.
            if not taken and cache.get(key) != value:
                return None
        except NetworkError:
            # A store that hung does what it was asked when it goes on; then nobody would work, and all would wait.
            lease.abandon()
            raise
        self.keep(lease)
        return lease

    @contextmanager
    def holding(self, cache: Cache, key: str, *, wait_s: float) -> Iterator[Lease]:
        """Hold a key for a ``with`` block, when others hold it after a wait.

        Args:
            cache: Where; a shared one for locks among processes.
            key: For example ``"refresh"``.
            wait_s: Longest wait in seconds.

        Yields:
            The lease.

        Raises:
            TransientError: Somebody else held it all the time, or the store cannot be reached (status 503).
        """
        lease = self._wait_for(cache, key, wait_s)
        try:
            yield lease
        finally:
            lease.end()

    def keep(self, lease: Lease) -> None:
        """Write a lease whenever it is due."""
        with self._lock:
            self._held.add(lease)
            self._unused = False
            # A step that is awake looks again within this time; one more wake for each request would cost a switch.
            soon = self._next_at <= lease.due_at
            self._next_at = min(self._next_at, lease.due_at)
        if not soon:
            self._wake()

    def forget(self, lease: Lease) -> None:
        """Write a lease no more."""
        with self._lock:
            self._held.discard(lease)

    def stop(self) -> None:
        """Renew nothing any more; what is held ends with its time."""
        with self._lock:
            self._held.clear()
        if self._worker is not None:
            self._worker.stop()

    def _wait_for(self, cache: Cache, key: str, wait_s: float) -> Lease:
        clock = self.runtime.clock
        until = clock.monotonic() + wait_s
        value = {"holder": self.runtime.ids.uuid()}
        while (lease := self.take(cache, key, value)) is None:
            if clock.monotonic() >= until:
                raise TransientError(f"{key!r} was held by another for {wait_s:g} s; try again", status=503)
            self.runtime.tasks.sleep(_POLL_S)
        return lease

    def _wake(self) -> None:
        with self._lock:
            if self._worker is None:
                self._worker = self.runtime.tasks.worker(self._step, name="hull-leases", background=True)
            worker = self._worker
        worker.wake()

    def _step(self) -> float | None:
        now = self.runtime.clock.monotonic()
        try:
            for lease in self._due(now):
                self._write(lease, now)
        except NetworkError as err:
            emit(_log, logging.WARNING, "lease.delayed", {"leases": len(self._held), "reason": err.message})
            return self._pause(AWAY_S)
        return self._pause(0.0)

    def _due(self, now: float) -> list[Lease]:
        with self._lock:
            return [lease for lease in self._held if lease.due_at <= now]

    def _write(self, lease: Lease, now: float) -> None:
        if lease.write():
            self.forget(lease)
        lease.due_at = now + RENEW_S

    def _pause(self, at_least: float) -> float | None:
        now = self.runtime.clock.monotonic()
        with self._lock:
            if not self._held and self._unused:
                self._next_at = math.inf
                return None
            # Where nothing is held now, the next lease soon will be: to wake the step for it would cost more than it.
            due_at = min((lease.due_at for lease in self._held), default=now + RENEW_S)
            self._unused = not self._held
            pause = max(at_least, due_at - now)
            self._next_at = now + pause
            return pause
