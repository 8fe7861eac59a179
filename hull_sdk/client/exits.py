"""The end of the process: what is queued is sent before it, and what could not be sent is counted in one line.

This module and ``hull_sdk.core.forks`` hold the package's only state of modules: weak sets of what has to know about
exits and forks.
"""

from __future__ import annotations

import math
from typing import Final, Literal, Protocol, TypeVar
from weakref import WeakSet

from hull_sdk.core.forks import ForkAware, watch_forks
from hull_sdk.core.process import EndHook, in_main_thread, write_error_line
from hull_sdk.core.tasks import Tasks

__all__ = ["Exits", "OpenApplication", "OpenSender", "exits"]


T = TypeVar("T")


class OpenSender(ForkAware, Protocol):
    """Something that has to be sent before the process ends."""

    @property
    def waiting(self) -> int:
        """Messages that would be lost if the process ended now."""
        ...

    def begin_exit(self, left_s: float) -> None:
        """Start sending at once, without waiting for anything.

        Args:
            left_s: How long the end may still take, in seconds; the sender's own exit timeout if that is shorter.
        """

    def finish_exit(self) -> int:
        """Go on sending in the calling thread, as long as there is time.

        Returns:
            Messages that were not sent.
        """
        ...


class OpenApplication(ForkAware, Protocol):
    """Something that holds items and jobs, which may still send: its turn comes before the senders'."""

    @property
    def waiting(self) -> int:
        """Items and jobs that would be lost if the process ended now."""
        ...

    def finish_exit(self) -> int:
        """Finish what is held, as long as the exit timeout allows.

        Returns:
            Items and jobs that were not finished.
        """
        ...

    def left_s(self, stage: Literal["senders"]) -> float:
        """Return how long the senders may take from now, in seconds; infinite when nothing limits them."""
        ...

    def close_exit(self) -> None:
        """Send the last errors and metrics, after the senders."""


class Exits:
    """Flushes the open senders at the end of the process.

    A sender joins when it is made; the process's end is watched from the first message on, until all that sent
    something are closed.
    """

    def __init__(self) -> None:
        self._senders: WeakSet[OpenSender] = WeakSet()
        self._applications: WeakSet[OpenApplication] = WeakSet()
        self._hook = EndHook(self.flush)
        #: ``True`` once nothing is left to install.
        self.armed: bool = False
        self._flushed = False
        watch_forks(self)

    def join(self, sender: OpenSender) -> None:
        """Have a sender flushed at the end, and told of forks."""
        self._senders.add(sender)
        watch_forks(sender)

    def join_application(self, application: OpenApplication) -> None:
        """Have an application finished at the end, before the senders are flushed, and told of forks."""
        self._applications.add(application)
        watch_forks(application)

    def leave(self, member: OpenSender | OpenApplication) -> None:
        """Forget what is closed and empty; when nothing else has messages, SIGTERM is given back."""
        for members in (self._senders, self._applications):
            members.discard(member)  # type: ignore[arg-type]  # only the set that holds it is changed
        if not self._has_waiting():
            self._hook.uninstall()
            self.armed = False
            if self._has_waiting():  # sent meanwhile by another thread, which saw that all was installed
                self.arm()

    def arm_for(self, tasks: Tasks) -> None:
        """Take part in the end of this process for work on real threads; on a virtual clock nothing is lost by it."""
        if not self.armed and not tasks.virtual:
            self.arm()

    def arm(self) -> None:
        """Take part in the end of this process; called after every message until all is installed."""
        if self._hook.install():  # never unset here: another thread than the main one has nothing to say about it
            self.armed = True

    def flush(self) -> None:
        """Send what is queued, in the calling thread, and write one line if not all could be sent."""
        lost = 0
        with self._hook.holding():
            applications = _all(self._applications)
            lost += sum(application.finish_exit() for application in applications)
            left_s = min((application.left_s("senders") for application in applications), default=math.inf)
            senders = _all(self._senders)  # only now: what was finished may have made one
            for sender in senders:
                sender.begin_exit(left_s)
            for sender in senders:
                lost += sender.finish_exit()
            for application in applications:
                application.close_exit()
            self._flushed = True
            if lost:
                messages = "1 message was" if lost == 1 else f"{lost} messages were"
                write_error_line(f"hull_sdk: {messages} not sent before the process ended")

    def flush_late(self) -> None:
        """Send what was queued after the flush at exit, by the exit functions that run after it."""
        if self._flushed and in_main_thread():
            self.flush()

    def after_fork(self) -> None:
        """Start afresh in a child process: the parent sends what the parent queued."""
        self.armed = self._flushed = False
        self._hook.forget_parent()

    def _has_waiting(self) -> bool:
        senders = any(sender.waiting for sender in _all(self._senders))
        return senders or any(application.waiting for application in _all(self._applications))


def _all(members: WeakSet[T]) -> list[T]:
    while True:
        try:
            return list(members)
        except RuntimeError:  # another thread has just made one; a lock could be held by who is interrupted
            continue


#: The process's one watch over its end.
exits: Final[Exits] = Exits()
