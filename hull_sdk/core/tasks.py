"""The door to threads: work that runs in the background, on real threads or on a virtual clock.

Background work is written once, as a *step*: a function that does what is due and returns how many seconds
it can wait until it wants to be called again (``None``: until somebody wakes it). :class:`ThreadTasks` gives
every step a daemon thread; ``core.virtual_tasks`` calls the same steps in one thread and moves its clock instead
of waiting.

A step never holds a lock while it waits for something, and nothing here is held across a call of foreign code.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Condition, Lock, RLock
from typing import Any, ClassVar, TypeVar

from hull_sdk.core.clock import Clock, SystemClock
from hull_sdk.core.crew import Crew
from hull_sdk.core.futures import Future, resolve
from hull_sdk.core.logs import emit

__all__ = [
    "Condition",
    "Future",
    "Lock",
    "Outcome",
    "RLock",
    "Step",
    "Tasks",
    "ThreadTasks",
    "Worker",
    "current_thread_id",
    "guarded",
    "outcome_of",
    "resolve",
    "settle",
]

T = TypeVar("T")

#: Does what is due; returns seconds until the next call, or ``None`` to sleep until woken.
Step = Callable[[], float | None]

#: What became of a function: its result, or the error that it raised.
Outcome = tuple[T, None] | tuple[None, BaseException]

_log = logging.getLogger(__name__)

#: A step that raised is tried again after this pause.
FAILED_STEP_PAUSE_S = 1.0

#: The thread of a step that sleeps until woken ends after this pause; the next wake starts another.
IDLE_THREAD_S = 10.0


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

    #: ``True`` when only waiting moves the clock: nothing runs meanwhile, and nothing is left to wait for at the end.
    virtual: ClassVar[bool] = False

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
    def run_within(
        self, timeout_s: float, function: Callable[..., T], *args: Any, name: str = "hull-task"
    ) -> Outcome[T] | None:
        """Run a function beside the caller, with a copy of its context variables, and wait for its end.

        Args:
            timeout_s: Seconds to wait; a function that takes longer goes on.
            function: What to run.
            *args: Its arguments.
            name: For logs and thread lists.

        Returns:
            Its result or its error, ``None`` when it did not end in time.
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


def settle(future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Call a function and give its result, or whatever it raised, to a Future.

    Args:
        future: Who gets it.
        function: What to call.
        args: Its arguments.
    """
    resolve(future, *outcome_of(function, args))


def outcome_of(function: Callable[..., T], args: tuple[Any, ...]) -> Outcome[T]:
    """Call a function and return its result, or whatever it raised.

    Args:
        function: What to call.
        args: Its arguments.
    """
    try:
        return function(*args), None
    except BaseException as err:  # noqa: BLE001 - whoever waits for it gets it
        return None, err


def _tell(outcomes: SimpleQueue[Outcome[T]], function: Callable[..., T], args: tuple[Any, ...]) -> None:
    outcomes.put(outcome_of(function, args))


def guarded(step: Step, name: str) -> float | None:
    """Call a step; one that fails is logged, and tried again after a pause.

    Args:
        step: What to call.
        name: For the log.

    Returns:
        The seconds until the next call, as the step says.
    """
    try:
        return step()
    except Exception as err:  # noqa: BLE001 - a worker outlives a failed step; the failure is logged and tried again
        emit(_log, logging.ERROR, "task.failed", {"task": name}, exc_info=err)
        return FAILED_STEP_PAUSE_S


class ThreadTasks(Tasks):
    """Background work on daemon threads and the machine's clock.

    Args:
        clock: The clock that components read; the machine's own by default.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._crew = Crew()

    @property
    def clock(self) -> Clock:
        """The clock that components read."""
        return self._clock

    def worker(self, step: Step, *, name: str, background: bool = False) -> Worker:  # noqa: ARG002
        """Prepare a step on a thread of its own, started when first woken."""
        return _ThreadWorker(step, name)

    def spawn(self, function: Callable[..., T], *args: Any, name: str = "hull-task") -> Future[T]:
        """Start a function on a daemon thread, an idle one if there is one."""
        future: Future[T] = Future(self)
        self._crew.run(partial(contextvars.copy_context().run, settle, future, function, args), name)
        return future

    def run_within(
        self, timeout_s: float, function: Callable[..., T], *args: Any, name: str = "hull-task"
    ) -> Outcome[T] | None:
        """Run a function on a daemon thread and block until it has ended or the time has run out."""
        # A Future would have to be made complete, which takes longer than all the rest.
        outcomes: SimpleQueue[Outcome[T]] = SimpleQueue()
        self._crew.run(partial(contextvars.copy_context().run, _tell, outcomes, function, args), name)
        try:
            return outcomes.get(timeout=timeout_s)
        except Empty:
            return None

    def wait(self, future: concurrent.futures.Future[Any], timeout_s: float | None = None) -> bool:
        """Block until the Future is done or the time has run out."""
        # As concurrent.futures.wait does for many, which needs a lock and an event of its own for that.
        with suppress(TimeoutError, concurrent.futures.CancelledError):
            concurrent.futures.Future.exception(future, timeout_s)
        return future.done()

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
            delay = guarded(self._step, self._name)
