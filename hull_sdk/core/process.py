"""The door to the process itself: its end, its signals, its forks and its error stream.

Nothing here decides what happens at an end; :class:`EndHook` only makes sure that a callback runs before it, in the
calling thread, and that the process then ends the way it would have ended without us.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn

__all__ = ["EndHook", "after_fork_in_child", "end_process", "in_main_thread", "write_error_line"]

#: Code that takes locks which a callback may need; it never keeps one for longer than microseconds.
_LOCKING_CODE: Final = (
    "hull_sdk.client",
    "hull_sdk.core",
    "hull_sdk.infra",
    "concurrent.futures",
    "logging",
    "queue",
    "threading",
    "urllib3",
)

#: A signal that arrives inside such code is looked at again after this pause ...
_LOOK_AGAIN_S: Final = 0.01
#: ... at most so often: who is still inside after that is waiting there and holds no lock.
_MAX_LOOKS: Final = 20


def after_fork_in_child(callback: Callable[[], None]) -> None:
    """Have something called in every child process that ``os.fork`` makes, before anything else runs there.

    Args:
        callback: Must take no lock that another thread of the parent may have held.
    """
    os.register_at_fork(after_in_child=callback)


def in_main_thread() -> bool:
    """Tell whether the caller is the thread that the interpreter started with."""
    return threading.current_thread() is threading.main_thread()


def write_error_line(text: str) -> None:
    """Write one line to the standard error stream, if there is one.

    Args:
        text: Without a line feed.
    """
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except (OSError, ValueError):
        return


def end_process(code: int) -> NoReturn:
    """End this process at once, with its streams written out.

    For servers: tearing the interpreter down beneath threads that are inside a C library (TLS, say) can crash it.

    Args:
        code: The exit code.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class EndHook:
    """Runs a callback before the process ends: at a normal exit and before SIGTERM ends it.

    The exit code stays what it would have been. SIGTERM is only taken over from the default handler and only in
    the main thread; it still ends the process with that signal. A signal that arrives while the main thread is
    inside code that takes locks is handled a moment later, so that the callback never waits for a lock which the
    interrupted code holds.

    Args:
        callback: What to run; it must return by itself.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._exit_pid = -1
        self._looks = 0
        self._busy = False
        self._held_signal: int | None = None

    def install(self) -> bool:
        """Take part in the end of this process; may be called again and again.

        Returns:
            ``False`` when the caller is not the main thread and SIGTERM could not be taken over for that
            reason; ``True`` when there is nothing left to install.
        """
        if self._exit_pid != os.getpid():
            self._exit_pid = os.getpid()
            _at_exit(self._callback)
        if not in_main_thread():
            return False
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            try:
                signal.signal(signal.SIGTERM, self._on_signal)
            except ValueError:  # the main thread of a sub-interpreter receives no signals
                return True
        return True

    def uninstall(self) -> None:
        """Give SIGTERM back, when it is still ours and the caller is the main thread."""
        ours = signal.getsignal(signal.SIGTERM) == self._on_signal
        if ours and in_main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def forget_parent(self) -> None:
        """Start afresh in a child process."""
        self._looks = 0
        self._busy = False
        self._held_signal = None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Put off a SIGTERM that arrives within the block until its end."""
        outermost = not self._busy
        self._busy = True
        try:
            yield
        finally:
            if outermost:
                self._busy = False
                if self._held_signal is not None:
                    _end_as_unhandled(self._held_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._busy:
            self._held_signal = number
        elif _in_locking_code(frame) and self._looks < _MAX_LOOKS:
            self._looks += 1
            if not _send_again(number):
                self._held_signal = number
        else:
            self._held_signal = number
            with self.holding():
                self._callback()


def _at_exit(callback: Callable[[], None]) -> None:
    atexit.unregister(callback)
    atexit.register(callback)
    # The children that multiprocessing forks leave without the interpreter's exit, but not without its own.
    util: Any = sys.modules.get("multiprocessing.util")
    process: Any = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, callback, exitpriority=0)


def _in_locking_code(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_LOCKING_CODE):
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> bool:
    def send() -> None:
        time.sleep(_LOOK_AGAIN_S)
        os.kill(os.getpid(), number)

    try:
        threading.Thread(target=send, name="hull-signal", daemon=True).start()
    except RuntimeError:  # no new threads while the interpreter ends; the flush at exit sees the held signal
        return False
    return True


def _end_as_unhandled(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
