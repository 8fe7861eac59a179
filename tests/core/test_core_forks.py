"""A child that was forked while another thread held a lock works on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from hull_sdk.client import SenderPool
from hull_sdk.core.forks import lazy, watch_forks
from hull_sdk.core.runtime import Runtime
from hull_sdk.infra import Batcher, Cache, MemoryQueue
from hull_sdk.infra.leases import Leases
from hull_sdk.middleware.batches import Batches

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]

PATIENCE_S = 10


def in_child(function: Callable[[], object]) -> bool:
    """Tell whether a function returns something true in a forked child, in time."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE_S)
        done = False
        try:
            done = bool(function())
        finally:
            os._exit(0 if done else 1)
    return os.waitpid(pid, 0)[1] == 0


class Holder:
    """A thread that holds locks until the end of a ``with`` block."""

    def __init__(self, *locks) -> None:
        self._locks = locks
        self._held, self._let_go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, name="test-holder")

    def __enter__(self) -> None:
        self._thread.start()
        assert self._held.wait(PATIENCE_S)

    def __exit__(self, *_error: object) -> None:
        self._let_go.set()
        self._thread.join(PATIENCE_S)

    def _hold(self) -> None:
        for lock in self._locks:
            lock.acquire()
        self._held.set()
        self._let_go.wait(PATIENCE_S)
        for lock in self._locks:
            lock.release()


def use_cache(cache):
    """Fetch through a cache."""
    return cache.get("kept") is None and cache.wrap("k", lambda: 5) == 5


def use_queue(queue):
    """Run a job."""
    ran = threading.Event()
    queue.work(lambda _job: ran.set())
    queue.enqueue("j", None, context={})
    return ran.wait(PATIENCE_S) and queue.stop(PATIENCE_S) == 0


def use_batcher(batcher):
    """Take an item and hand over what is held."""
    batcher.add("child's")
    return batcher.stop(PATIENCE_S) == 0


def use_batches(batches):
    """Take an item and hand over what is held."""
    batches.add("key", "item", lambda: Batcher(lambda _items: None))
    return batches.stop(PATIENCE_S) == 0


def use_leases(leases):
    """Take a lease and let it go."""
    lease = leases.take(Cache(), "key", {"run": 1})
    leases.stop()
    return lease is not None


COMPONENTS = {
    "cache": (Cache, lambda c: [c._entries._lock, c._flights._lock], use_cache),
    "queue": (MemoryQueue, lambda q: [q._lock], use_queue),
    "batcher": (lambda: Batcher(lambda _items: None), lambda b: [b._lock], use_batcher),
    "batches": (lambda: Batches(Runtime.system()), lambda b: [b._lock], use_batches),
    "leases": (lambda: Leases(Runtime.system()), lambda leases: [leases._lock], use_leases),
    "senders": (lambda: SenderPool(Runtime.system()), lambda p: [p._lock], lambda p: p.close(1).pending == 0),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_lock_that_is_held_during_a_fork_is_free_in_the_child(name):
    """A component whose lock another thread holds while the process forks can be used in the child."""
    make, locks_of, use = COMPONENTS[name]
    component = make()
    with Holder(*locks_of(component)):
        assert in_child(lambda: use(component))


def test_what_the_parent_took_stays_with_the_parent():
    """Jobs and items taken before a fork are done by the parent alone; the child starts empty."""
    done = []
    queue, batcher, cache = MemoryQueue(), Batcher(done.extend), Cache()
    queue.enqueue("job", 1, context={})
    batcher.add("item")
    cache.set("kept", 1)
    assert in_child(lambda: (len(queue), len(batcher), cache.get("kept")) == (0, 0, None))
    assert (len(queue), len(batcher), cache.get("kept")) == (1, 1, 1)
    queue.work(lambda job: done.append(job.payload))
    assert (queue.stop(PATIENCE_S), batcher.stop(PATIENCE_S)) == (0, 0)
    assert sorted(map(str, done)) == ["1", "item"]


def test_a_value_computed_once_needs_no_lock():
    """A lazy value that a thread computes during a fork can be computed in the child, and is kept."""
    begun, end = threading.Event(), threading.Event()

    class Slow:
        calls = 0

        def __init__(self, *, waits: bool) -> None:
            self.waits = waits

        @lazy
        def value(self) -> int:
            """The value."""
            self.calls += 1
            if self.waits:
                begun.set()
                end.wait(PATIENCE_S)
            return 7

    thread = threading.Thread(target=lambda: Slow(waits=True).value, name="test-slow")
    thread.start()
    assert begun.wait(PATIENCE_S)
    quick = Slow(waits=False)
    assert in_child(lambda: Slow(waits=False).value == 7)
    end.set()
    thread.join(PATIENCE_S)
    assert (quick.value, quick.value, quick.calls) == (7, 7, 1)
    assert Slow.value.__doc__ == "The value."


def test_a_member_that_is_gone_is_told_nothing():
    """Watching forks keeps nothing alive."""
    told = []

    class Member:
        def after_fork(self) -> None:
            told.append(self)

    kept = Member()
    watch_forks(kept)
    watch_forks(Member())
    assert in_child(lambda: told == [kept])
