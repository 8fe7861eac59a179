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

    Args:
        tasks: Whose clock and work the waiting drives.
    """

    def __init__(self, tasks: Tasks) -> None:
        super().__init__()
        self._tasks = tasks

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the result in an ``async`` function, while its event loop does other work."""
        yield from _settled(self).__await__()
        return super().result(timeout=0)

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
        if not self.done():
            self._tasks.wait(self, timeout)
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
        if not self.done():
            self._tasks.wait(self, timeout)
        return super().exception(timeout=0)


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
