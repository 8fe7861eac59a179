"""The door to threads: work that runs in the background, on real threads or on a virtual clock.

Background work is written once, as a *step*: a function that does what is due and returns how many seconds
it can wait until it wants to be called again (``None``: until somebody wakes it). :class:`ThreadTasks` gives
every step a daemon thread; :class:`VirtualTasks` calls the same steps in one thread, in an order that repeats,
and moves its clock instead of waiting.

A step never holds a lock while it waits for something, and nothing here is held across a call of foreign code.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import heapq
import itertools
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Condition, Lock, RLock
from typing import Any, TypeVar

from hull_sdk.core.clock import Clock, SystemClock, VirtualClock
from hull_sdk.core.futures import Future, resolve, running_loop
from hull_sdk.core.logs import emit

__all__ = [
    "Condition",
    "Future",
    "Lock",
    "RLock",
    "Step",
    "Tasks",
    "ThreadTasks",
    "VirtualTasks",
    "Worker",
    "current_thread_id",
    "resolve",
]

T = TypeVar("T")

#: Does what is due; returns seconds until the next call, or ``None`` to sleep until woken.
Step = Callable[[], float | None]

_log = logging.getLogger(__name__)

#: A step that raised is tried again after this pause.
FAILED_STEP_PAUSE_S = 1.0

#: The thread of a step that sleeps until woken ends after this pause; the next wake starts another.
IDLE_THREAD_S = 10.0

#: A wait without a timeout on a virtual clock gives up after this much virtual time.
VIRTUAL_PATIENCE_S = 7 * 86_400.0


def current_thread_id() -> int:
    """Return a number that tells the calling thread from all others that are alive."""
    return threading.get_ident()


class Worker(ABC):
    """A running step."""

    @abstractmethod
    def wake(self) -> None:
        """Have the step called soon; calls that come while it runs are kept as one.

        Raises:
            RuntimeError: No thread can be started, as while the interpreter ends; the next wake tries again.
        """

    @abstractmethod
    def stop(self) -> None:
        """Call the step no more; one that is running ends by itself."""


class Tasks(ABC):
    """Starts background work and waits for it."""

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """The clock that this work goes by."""

    @abstractmethod
    def worker(self, step: Step, *, name: str, background: bool = False) -> Worker:
        """Prepare a step; it runs when woken for the first time.

        Args:
            step: See :data:`Step`. An exception is logged and the step tried again a second later.
            name: For logs and thread lists, for example ``"hull-sender-0"``.
            background: ``True`` for work that recurs for ever, such as schedules: nobody waits for it
                to be done.

        Returns:
            The worker, asleep.
        """

    @abstractmethod
    def spawn(self, function: Callable[..., T], *args: Any, name: str = "hull-task") -> Future[T]:
        """Start a function beside the caller, with a copy of the caller's context variables.

        Args:
            function: What to run.
            *args: Its arguments.
            name: For logs and thread lists.

        Returns:
            A Future with its result or its exception.
        """

    @abstractmethod
    def wait(self, future: concurrent.futures.Future[Any], timeout_s: float | None = None) -> bool:
        """Wait until a Future is done.

        Args:
            future: What to wait for.
            timeout_s: Seconds to wait; ``None`` waits as long as it takes.

        Returns:
            ``True`` when it is done, ``False`` when the time ran out.
        """

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Let time pass; on a virtual clock, work that falls due meanwhile is done."""

    @abstractmethod
    def apart(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in a thread of its own, with the caller's context variables, and wait for its end.

        For what cannot run in this thread, such as a second event loop.

        Args:
            function: What to run; on a virtual clock it may wait.
            *args: Its arguments.

        Returns:
            What it returns.
        """

    @abstractmethod
    def expect(self, future: Future[Any]) -> None:
        """Take note that something waits for a Future without blocking this thread.

        Args:
            future: What is waited for.
        """

    def future(self) -> Future[Any]:
        """Return a fresh Future whose waiting runs through this object."""
        return Future(self)


def _settle(future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        result = function(*args)
    except BaseException as err:  # noqa: BLE001 - whoever waits for the Future gets it
        resolve(future, None, err)
    else:
        resolve(future, result)


class ThreadTasks(Tasks):
    """Background work on daemon threads and the machine's clock.

    Args:
        clock: The clock that components read; the machine's own by default.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = SystemClock() if clock is None else clock

    @property
    def clock(self) -> Clock:
        """The clock that components read."""
        return self._clock

    def worker(self, step: Step, *, name: str, background: bool = False) -> Worker:  # noqa: ARG002
        """Prepare a step on a thread of its own, started when first woken."""
        return _ThreadWorker(step, name)

    def spawn(self, function: Callable[..., T], *args: Any, name: str = "hull-task") -> Future[T]:
        """Start a function on a new daemon thread."""
        future: Future[T] = Future(self)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(_settle, future, function, args), name=name, daemon=True).start()
        return future

    def wait(self, future: concurrent.futures.Future[Any], timeout_s: float | None = None) -> bool:
        """Block until the Future is done or the time has run out."""
        return bool(concurrent.futures.wait([future], timeout_s).done)

    def sleep(self, seconds: float) -> None:
        """Block for some seconds."""
        time.sleep(max(0.0, seconds))

    def apart(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in a thread of its own and wait for its end."""
        return self.spawn(function, *args, name="hull-apart").result()

    def expect(self, future: Future[Any]) -> None:
        """Do nothing: the threads that produce it go on."""


class _ThreadWorker(Worker):
    def __init__(self, step: Step, name: str) -> None:
        self._step = step
        self._name = name
        self._condition = Condition()
        self._thread: threading.Thread | None = None
        self._woken = False
        self._stopped = False

    def wake(self) -> None:
        with self._condition:
            self._woken = True
            # A thread is dead after a fork, in the child, and after a step that raised SystemExit.
            if (self._thread is None or not self._thread.is_alive()) and not self._stopped:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                thread.start()
                self._thread = thread
            self._condition.notify_all()

    def stop(self) -> None:
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def _run(self) -> None:
        delay: float | None = 0.0
        while True:
            with self._condition:
                if not self._woken and not self._stopped and delay != 0.0:
                    self._condition.wait(IDLE_THREAD_S if delay is None else delay)
                if self._stopped:
                    return
                if not self._woken and delay is None:
                    self._thread = None
                    return
                self._woken = False
            delay = _guarded(self._step, self._name)


def _guarded(step: Step, name: str) -> float | None:
    try:
        return step()
    except Exception as err:  # noqa: BLE001 - a worker outlives a failed step; the failure is logged and tried again
        emit(_log, logging.ERROR, "task.failed", {"task": name}, exc_info=err)
        return FAILED_STEP_PAUSE_S


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
        self.call_at(self.clock.monotonic(), lambda: context.run(_settle, future, function, args))
        return future

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
            _settle(future, function, args)

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
            delay = _guarded(self._step, self._name)
        finally:
            self._running = False
        if self._woken:
            self._schedule(0.0)
        elif delay is not None:
            self._schedule(max(0.0, delay))
