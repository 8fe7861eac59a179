"""Futures that threads wait for, coroutines await, and a virtual clock is moved for."""

from __future__ import annotations

import concurrent.futures
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import asyncio

    from hull_sdk.core.tasks import Tasks

__all__ = ["Future", "resolve", "running_loop"]

T = TypeVar("T")


class Future(concurrent.futures.Future[T]):
    """The result of something sent or started; on a virtual clock, waiting for it makes it happen.

    An ``async`` function awaits it: ``await future``.

    What the standard library's class keeps, its lock above all, is made when something first asks for it: of the many
    thousand messages that a client sends, hardly one is ever waited for.

    Args:
        tasks: Whose clock and work the waiting drives.
    """

    _outcome: tuple[T, None] | tuple[Any, BaseException] | None = None
    _complete: bool = False

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    if not TYPE_CHECKING:  # which would take it for an attribute of every name

        def __getattr__(self, name: str) -> Any:
            """Make what the standard library's class keeps, since something asked for it."""
            self._make_complete()
            return object.__getattribute__(self, name)

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the result in an ``async`` function, while its event loop does other work."""
        yield from _settled(self).__await__()
        return super().result(timeout=0)

    def done(self) -> bool:
        """Tell whether there is an outcome."""
        return self._outcome is not None or super().done()

    def cancel(self) -> bool:
        """Give up waiting for it, unless it is done; what was sent or started is not stopped."""
        self._make_complete()
        return super().cancel()

    def set_result(self, result: T) -> None:
        """Give it its result; see :func:`resolve`."""
        self._settle((result, None))

    def set_exception(self, exception: BaseException | None) -> None:
        """Give it its error; see :func:`resolve`."""
        self._settle((None, Exception() if exception is None else exception))

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[T]], object]) -> None:
        """Have a function called when the work is done; asyncio waits for it this way too.

        Args:
            fn: Called with this Future, at once when it is done already.
        """
        self.when_done(fn)
        self._tasks.expect(self)

    def when_done(self, fn: Callable[[concurrent.futures.Future[T]], object]) -> None:
        """Have a function called when the work is done, without waiting for it: no virtual clock is moved.

        Args:
            fn: Called with this Future, at once when it is done already.
        """
        super().add_done_callback(fn)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result.

        Args:
            timeout: Seconds to wait; ``None`` waits as long as it takes.

        Returns:
            What was produced.

        Raises:
            TimeoutError: Nothing was produced in time.
            Exception: Whatever the work raised.
        """
        self._reach(timeout)
        return super().result(timeout=0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait, and return the error instead of raising it.

        Args:
            timeout: Seconds to wait; ``None`` waits as long as it takes.

        Returns:
            The error, or ``None`` when the work succeeded.

        Raises:
            TimeoutError: The work did not end in time.
        """
        self._reach(timeout)
        return super().exception(timeout=0)

    # Who settles it writes the outcome and then looks whether it is complete; who completes it says so and then looks
    # for the outcome. So one of them passes it on at least, whoever comes first, and no lock is needed. Attributes are
    # written where they are missing only: several threads may complete it at a time.

    def _settle(self, outcome: tuple[T, None] | tuple[Any, BaseException]) -> None:
        if vars(self).setdefault("_outcome", outcome) is not outcome:
            raise concurrent.futures.InvalidStateError("it has its outcome already")
        if self._complete:
            self._pass_on(*outcome)

    def _reach(self, timeout: float | None) -> None:
        if self.done():
            self._make_complete()  # who settled it may not have come to that yet
        else:
            self._tasks.wait(self, timeout)

    def _make_complete(self) -> None:
        self._complete = True
        # The lock, which the standard library makes first, comes last: who holds it finds all that it guards. To make
        # that only then could pass the outcome on in the midst of adding a callback, which nobody would call any more.
        if "_condition" not in vars(self):
            for name, value in reversed(vars(concurrent.futures.Future()).items()):
                vars(self).setdefault(name, value)
        if self._outcome is not None:
            self._pass_on(*self._outcome)

    def _pass_on(self, result: T, error: BaseException | None) -> None:
        with suppress(concurrent.futures.InvalidStateError):  # passed on by both, or cancelled before
            if error is None:
                super().set_result(result)
            else:
                super().set_exception(error)


def resolve(future: concurrent.futures.Future[T], result: T, error: BaseException | None = None) -> None:
    """Give a Future its outcome, unless it has one or was cancelled.

    Args:
        future: Who waits.
        result: Its result when there is no error.
        error: Its error.
    """
    try:
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    except concurrent.futures.InvalidStateError:
        return


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in the calling thread, ``None`` when there is none."""
    # Whoever runs a loop has loaded the library, which takes as long to load as much of the client.
    library = sys.modules.get("asyncio")
    find = getattr(library, "get_running_loop", None)
    try:
        return None if find is None else cast("asyncio.AbstractEventLoop", find())
    except RuntimeError:
        return None


async def _settled(future: concurrent.futures.Future[Any]) -> None:
    """Wait until a Future is done, while other coroutines go on; to be cancelled here leaves the Future alone.

    Args:
        future: What to wait for.
    """
    import asyncio  # noqa: PLC0415 - loaded already, or nobody could await

    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: object) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    await done.wait()
