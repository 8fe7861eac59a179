"""Background work without threads: the steps of ``core.tasks``, called in one thread on a virtual clock.

The order of calls repeats, and the clock moves instead of anybody waiting: a year takes as long as its calls.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.futures import Future, resolve, running_loop
from hull_sdk.core.tasks import Outcome, Step, Tasks, Worker, guarded, outcome_of, settle

__all__ = ["VirtualTasks"]

T = TypeVar("T")

#: A wait without a timeout on a virtual clock gives up after this much virtual time.
VIRTUAL_PATIENCE_S = 7 * 86_400.0


class _Timer:
    __slots__ = ("action", "background", "cancelled")

    def __init__(self, action: Callable[[], None], *, background: bool) -> None:
        self.action: Callable[[], None] = action
        self.background: bool = background
        self.cancelled: bool = False


class VirtualTasks(Tasks):
    """Background work in the caller's thread, on a virtual clock.

    Work runs when somebody waits: :meth:`wait`, :meth:`sleep`, :meth:`run_until_idle`. Work that falls due at
    the same moment runs in the order in which it was asked for, so the same calls give the same run.

    Args:
        clock: The clock to move; a fresh one by default.
    """

    virtual = True

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self._clock = VirtualClock() if clock is None else clock
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()
        self._foreground = 0
        self._thread = threading.get_ident()

    @property
    def clock(self) -> VirtualClock:
        """The clock that waiting moves."""
        return self._clock

    def worker(self, step: Step, *, name: str, background: bool = False) -> Worker:
        """Prepare a step that runs when the clock reaches it."""
        return _VirtualWorker(self, step, name, background=background)

    def spawn(self, function: Callable[..., T], *args: Any, name: str = "hull-task") -> Future[T]:  # noqa: ARG002
        """Run a function when somebody next waits."""
        future: Future[T] = Future(self)
        context = contextvars.copy_context()
        self.call_at(self.clock.monotonic(), lambda: context.run(settle, future, function, args))
        return future

    def run_within(
        self,
        timeout_s: float,
        function: Callable[..., T],
        *args: Any,
        name: str = "hull-task",  # noqa: ARG002
    ) -> Outcome[T] | None:
        """Run a function and what is due before it, moving the clock, until it has ended or the time has run out."""
        # A Future would have to be made complete, which takes longer than all the rest.
        outcomes: list[Outcome[T]] = []
        context, now = contextvars.copy_context(), self.clock.monotonic()
        self.call_at(now, lambda: outcomes.append(context.run(outcome_of, function, args)))
        while not outcomes and self._run_next(now + timeout_s):
            pass
        return outcomes[0] if outcomes else None

    def call_at(self, when: float, action: Callable[[], None], *, background: bool = False) -> _Timer:
        """Have something called when the clock reaches a point.

        Args:
            when: A point on the clock's ``monotonic``, in seconds.
            action: What to call.
            background: See :meth:`worker`.

        Returns:
            A handle for :meth:`cancel`.
        """
        timer = _Timer(action, background=background)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        self._foreground += not background
        return timer

    def cancel(self, timer: _Timer) -> None:
        """Forget a call that has not happened yet."""
        if not timer.cancelled:
            timer.cancelled = True
            self._foreground -= not timer.background

    def wait(self, future: concurrent.futures.Future[Any], timeout_s: float | None = None) -> bool:
        """Do the work that is due, moving the clock, until the Future is done or the time has run out."""
        limit = self.clock.monotonic() + (VIRTUAL_PATIENCE_S if timeout_s is None else timeout_s)
        while not future.done():
            if self._run_next(limit):
                continue
            if timeout_s is None:
                raise RuntimeError(
                    "waited for a result that nothing on the virtual clock produces; "
                    "pass a timeout, or look for work that waits for itself"
                )
            self.clock.move_to(limit)
            return False
        return True

    def sleep(self, seconds: float) -> None:
        """Move the clock, doing what falls due on the way."""
        limit = self.clock.monotonic() + max(0.0, seconds)
        while self._run_next(limit):
            pass
        self.clock.move_to(limit)

    def apart(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in a thread that has the clock to itself, since the caller waits for its end."""
        owner, future = self._thread, Future[T](self)

        def borrow() -> None:
            self._thread = threading.get_ident()
            settle(future, function, args)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(borrow,), name="hull-apart", daemon=True)
        thread.start()
        thread.join()
        self._thread = owner
        return future.result()

    def expect(self, future: Future[Any]) -> None:
        """Have the event loop that runs in this thread produce the Future: nobody else would move the clock."""
        loop = running_loop()
        if loop is not None and not future.done():
            loop.call_soon(self._produce, future)

    def _produce(self, future: Future[Any]) -> None:
        try:
            self.wait(future)
        except Exception as err:  # noqa: BLE001 - whoever waits for the Future gets it, instead of waiting for ever
            resolve(future, None, err)

    def run_until_idle(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Do work, moving the clock, until only work that recurs for ever is left.

        Args:
            should_stop: Asked after every piece of work; ``True`` ends the run early.
        """
        while self._foreground > 0 and self._run_next(None):
            if should_stop():
                return

    @property
    def idle(self) -> bool:
        """``True`` when nothing but work that recurs for ever is left."""
        return self._foreground == 0

    def _run_next(self, limit: float | None) -> bool:
        if threading.get_ident() != self._thread:
            raise RuntimeError("a virtual clock belongs to the thread that made it; use ctx.submit instead of a thread")
        while self._timers:
            when, _, timer = self._timers[0]
            if timer.cancelled:
                heapq.heappop(self._timers)
                continue
            if limit is not None and when > limit:
                return False
            heapq.heappop(self._timers)
            timer.cancelled = True
            self._foreground -= not timer.background
            self.clock.move_to(when)
            timer.action()
            return True
        return False


class _VirtualWorker(Worker):
    def __init__(self, tasks: VirtualTasks, step: Step, name: str, *, background: bool) -> None:
        self._tasks = tasks
        self._step = step
        self._name = name
        self._background = background
        self._timer: _Timer | None = None
        self._running = False
        self._woken = False
        self._stopped = False

    def wake(self) -> None:
        self._woken = True
        if not self._running:
            self._schedule(0.0)

    def stop(self) -> None:
        self._stopped = True
        self._unschedule()

    def _schedule(self, delay: float) -> None:
        self._unschedule()
        if not self._stopped:
            self._timer = self._tasks.call_at(
                self._tasks.clock.monotonic() + delay,
                self._run,
                background=self._background and not self._woken,
            )

    def _unschedule(self) -> None:
        if self._timer is not None:
            self._tasks.cancel(self._timer)
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        self._running = True
        self._woken = False
        try:
            delay = guarded(self._step, self._name)
        finally:
            self._running = False
        if self._woken:
            self._schedule(0.0)
        elif delay is not None:
            self._schedule(max(0.0, delay))
