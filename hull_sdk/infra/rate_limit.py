"""Rate limits: so many calls in so much time, by all processes that share a cache.

Every call takes the next turn, and turns are given out in the order in which they are asked for. Their times are those
of the cache: on a shared store the server's own, so that the clocks of the hosts do not matter.
"""

from __future__ import annotations

from typing import Any, Final

from hull_sdk.core.checks import is_number, is_whole
from hull_sdk.errors import InvalidArgumentError, RateLimitError
from hull_sdk.infra.entries import MICROSECONDS, Entries, Path, Rate

__all__ = ["WAIT_S", "RateLimit"]

#: How long a call waits for its turn unless it is told otherwise, in seconds.
WAIT_S: Final = 5.0
#: Most calls that a limit counts; each of them is remembered for the limit's time.
MAX_CALLS: Final = 10_000
#: Longest time that a limit counts over, and longest pause, in seconds.
MAX_S: Final = 86_400.0


class RateLimit:
    """So many calls in so much time; made by ``ctx.rate_limit`` and ``Cache.rate_limit``.

    In no stretch of ``per_s`` seconds are more turns given out than ``calls``, to whichever thread or process.

    Args:
        entries: Where the turns are counted.
        path: Where in it.
        calls: How many calls.
        per_s: In how many seconds.
        wait_s: How long a call waits for its turn at most, in seconds.

    Raises:
        InvalidArgumentError: A number is out of range.
    """

    def __init__(self, entries: Entries, path: Path, *, calls: int, per_s: float, wait_s: float = WAIT_S) -> None:
        if not is_whole(calls, 1, MAX_CALLS):
            raise InvalidArgumentError(
                f"calls is {calls!r}; it must be a whole number from 1 to {MAX_CALLS}: of larger limits take the share "
                "of a shorter time, for example 1000 in 1 s instead of 60000 in 60 s"
            )
        if not is_number(per_s, most=MAX_S, above=0.0):
            raise InvalidArgumentError(f"per_s is {per_s!r}; it must be more than 0 and at most {MAX_S:g} seconds")
        if not is_number(wait_s, 0.0, MAX_S):
            raise InvalidArgumentError(f"wait_s is {wait_s!r}; it must be 0 to {MAX_S:g} seconds")
        self.calls = calls
        self.per_s = per_s
        self.wait_s = wait_s
        self._entries = entries
        self._path = path
        self._rate = Rate(calls, max(1, _microseconds(per_s)))

    def __repr__(self) -> str:
        return f"RateLimit({self._path[-1]!r}, calls={self.calls}, per_s={self.per_s:g}, wait_s={self.wait_s:g})"

    def acquire(self) -> None:
        """Wait for the next turn and take it.

        Raises:
            RateLimitError: It comes later than ``wait_s``, and was not taken; ``retry_after`` says when it comes.
            NetworkError: The store that is shared cannot be reached (status 503).
        """
        wait = self._entries.turn(self._path, self._rate, _microseconds(self.wait_s))
        if wait > _microseconds(self.wait_s):
            raise self._full(wait / MICROSECONDS)
        if wait > 0:
            self._entries.runtime.tasks.sleep(wait / MICROSECONDS)

    def hold(self, seconds: float) -> None:
        """Give out no turn for some time, because the other service has asked for a pause.

        Args:
            seconds: For example the ``retry_after`` of its answer; a day at most.

        Raises:
            NetworkError: The store that is shared cannot be reached (status 503).
        """
        if seconds > 0:
            self._entries.hold(self._path, _microseconds(min(seconds, MAX_S)))

    def _full(self, wait_s: float) -> RateLimitError:
        extra: dict[str, Any] = {"limit": self._path[-1], "calls": self.calls, "per_s": self.per_s}
        return RateLimitError(
            f"{self._path[-1]!r} takes {self.calls} calls in {self.per_s:g} s; the next turn comes in {wait_s:.3g} s, "
            f"which is more than wait_s={self.wait_s:g}",
            extra,
            retry_after=wait_s,
        )


def _microseconds(seconds: float) -> int:
    return round(seconds * MICROSECONDS)
