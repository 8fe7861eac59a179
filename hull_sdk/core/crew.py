"""Threads that wait a moment for the next function when they are done with one.

To start a thread, which waits until it runs, costs more than much of what a connector does with a notification.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from hull_sdk.core.forks import watch_forks

__all__ = ["Crew"]

#: How long a thread waits for its next function, in seconds.
IDLE_S: Final = 10.0
#: Its name meanwhile.
IDLE_NAME: Final = "idle-hull-thread"

#: What a thread runs next, and its name for that time.
_Work = tuple[Callable[..., object], str]


class Crew:
    """Runs functions side by side, each on a daemon thread; there are as many as run at the same time."""

    def __init__(self) -> None:
        self.after_fork()
        watch_forks(self)

    def after_fork(self) -> None:
        """Begin without threads: those of the parent do not exist in a child process."""
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Work]] = []

    def run(self, function: Callable[..., object], name: str) -> None:
        """Run a function beside the caller.

        Args:
            function: What to run; it raises nothing.
            name: Of its thread, for logs and thread lists, for example ``"hull-handler"``.

        Raises:
            RuntimeError: No thread can be started, as while the interpreter ends.
        """
        with self._lock:
            # The one that waits shortest, so that those too many come to their end.
            inbox = self._idle.pop() if self._idle else None
        started = inbox is not None
        if inbox is None:
            inbox = SimpleQueue()
        inbox.put((function, name))
        if not started:
            threading.Thread(target=self._serve, args=(inbox,), name=name, daemon=True).start()

    def _serve(self, inbox: SimpleQueue[_Work]) -> None:
        thread = threading.current_thread()
        work: _Work | None = inbox.get()
        while work is not None:
            function, thread.name = work
            function()
            del work, function  # nothing of it shall live on while this waits
            thread.name = IDLE_NAME
            with self._lock:
                self._idle.append(inbox)
            work = self._next(inbox)

    def _next(self, inbox: SimpleQueue[_Work]) -> _Work | None:
        try:
            return inbox.get(timeout=IDLE_S)
        except Empty:
            with self._lock:
                if inbox in self._idle:
                    self._idle.remove(inbox)
                    return None
            return inbox.get()  # somebody has just taken this one
