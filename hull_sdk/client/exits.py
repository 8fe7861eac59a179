"""The end of the process: what is queued is sent before it, and what could not be sent is counted in one line.

This module holds the package's only state of a module: a weak set of what has to know about exits and forks.
"""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from hull_sdk.core.process import EndHook, after_fork_in_child, in_main_thread, write_error_line

__all__ = ["Exits", "ForkAware", "OpenSender", "exits"]


class ForkAware(Protocol):
    """Something that holds a lock."""

    def after_fork(self) -> None:
        """Start afresh in a child process, touching no lock of the parent's."""


class OpenSender(ForkAware, Protocol):
    """Something that has to be sent before the process ends."""

    @property
    def waiting(self) -> int:
        """Messages that would be lost if the process ended now."""
        ...

    def begin_exit(self) -> None:
        """Start sending at once, without waiting for anything."""

    def finish_exit(self) -> int:
        """Go on sending in the calling thread, as long as the sender's exit timeout allows.

        Returns:
            Messages that were not sent.
        """
        ...


class Exits:
    """Flushes the open senders at the end of the process.

    A sender joins when it is made; the process's end is watched from the first message on, until all that sent
    something are closed.
    """

    def __init__(self) -> None:
        self._senders: WeakSet[OpenSender] = WeakSet()
        self._others: WeakSet[ForkAware] = WeakSet()
        self._hook = EndHook(self.flush)
        #: ``True`` once nothing is left to install.
        self.armed = False
        self._flushed = False

    def join(self, sender: OpenSender) -> None:
        """Have a sender flushed at the end, and told of forks."""
        self._senders.add(sender)

    def watch_forks(self, member: ForkAware) -> None:
        """Have something told of forks."""
        self._others.add(member)

    def leave(self, sender: OpenSender) -> None:
        """Forget a sender that is closed and empty; when no other has messages, SIGTERM is given back."""
        self._senders.discard(sender)
        if self.armed and not any(other.waiting for other in self._open()):
            self._hook.uninstall()
            self.armed = False

    def arm(self) -> None:
        """Take part in the end of this process; called after every message until all is installed."""
        self.armed = self._hook.install()

    def flush(self) -> None:
        """Send what is queued, in the calling thread, and write one line if not all could be sent."""
        lost = 0
        with self._hook.holding():
            senders = self._open()
            for sender in senders:
                sender.begin_exit()
            for sender in senders:
                lost += sender.finish_exit()
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
        for member in (*self._senders, *self._others):
            member.after_fork()

    def _open(self) -> list[OpenSender]:
        while True:
            try:
                return list(self._senders)
            except RuntimeError:  # another thread has just made a sender; a lock could be held by who is interrupted
                continue


#: The process's one watch over its end.
exits = Exits()
after_fork_in_child(exits.after_fork)
