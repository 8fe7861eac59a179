"""Where a cache keeps its values: what every place can do, and the one in memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cachetools import TLRUCache

from hull_sdk.core.clock import Clock
from hull_sdk.core.forks import watch_forks
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock

__all__ = ["MICROSECONDS", "Entries", "Found", "MemoryEntries", "Path", "Rate"]

#: In a second; turns are counted in whole ones, so that every place counts alike.
MICROSECONDS: Final = 1_000_000

#: The namespaces of a scope and the key in it.
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A value that is there, which may be ``None``.

    Args:
        value: The value.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class Rate:
    """How many turns are given out in which time.

    Args:
        calls: So many turns.
        per_us: In so many microseconds.
    """

    calls: int
    per_us: int


class Entries(Protocol):
    """What a cache needs of the place where its values are; each call happens at one moment for everybody."""

    runtime: Runtime

    def get(self, path: Path) -> Found | None:
        """Return what is stored, ``None`` when nothing is."""

    def set(self, path: Path, value: Any, ttl_s: float) -> None:
        """Store a value; a fetch that was announced for it ends without effect."""

    def add(self, path: Path, value: Any, ttl_s: float) -> bool:
        """Store a value unless there is one, and tell whether that happened."""
        ...

    def replace(self, path: Path, expected: Any, value: Any, ttl_s: float) -> bool:
        """Store a value (``None``: forget it) if the one that is there equals ``expected``, and tell whether it did."""
        ...

    def delete(self, path: Path) -> None:
        """Forget a value; a fetch that was announced for it ends without effect."""

    def announce(self, path: Path, fetch_id: str) -> Found | None:
        """Return what is stored; when nothing is, note that this fetch, and no earlier one, may store it."""

    def settle(self, path: Path, fetch_id: str, found: Found | None, ttl_s: float) -> None:
        """Store what a fetch found (``None``: it failed), unless somebody else has stored or deleted meanwhile."""

    def turn(self, path: Path, rate: Rate, most_us: int) -> int:
        """Return the microseconds until the next turn, which is taken unless they are more than ``most_us``."""
        ...

    def hold(self, path: Path, pause_us: int) -> None:
        """Let the next turn come after so many microseconds at the earliest."""


@dataclass(frozen=True, slots=True)
class _Entry:
    found: Found
    ttl_s: float


@dataclass(slots=True)
class _Turns:
    """The latest turns that were given out, oldest first, and when nothing of them matters any more (microseconds)."""

    given: deque[int] = field(default_factory=deque)
    held_until: int = 0
    ends_at: int = 0

    def next(self, now: int, rate: Rate) -> int:
        """Return when the next turn comes: not before an earlier one, and not within the time of a full limit."""
        latest = self.given[-1] if self.given else 0
        over_at = self.given[-rate.calls] + rate.per_us if len(self.given) >= rate.calls else 0
        return max(now, self.held_until, latest, over_at)

    def give(self, turn: int, rate: Rate) -> None:
        """Note a turn."""
        self.given.append(turn)
        while len(self.given) > rate.calls:
            self.given.popleft()
        self.ends_at = max(self.ends_at, turn + rate.per_us)

    def hold(self, until: int) -> None:
        """Give out no turn until then."""
        self.held_until = max(self.held_until, until)
        self.ends_at = max(self.ends_at, until)


def _expires_at(_path: Path, entry: _Entry, now: float) -> float:
    return now + entry.ttl_s


class MemoryEntries:
    """Values in this process, as they are; the least recently used ones make room for new ones.

    Args:
        max_items: Number of values kept.
        runtime: Whose clock their ages follow; may be assigned later.
    """

    def __init__(self, max_items: int, runtime: Runtime) -> None:
        self.runtime = runtime
        self._max_items = max_items
        self._lock = Lock()
        self._fetches: dict[Path, str] = {}
        self._clock: Clock | None = None
        self._kept: TLRUCache[Any, _Entry] | None = None
        watch_forks(self)

    def after_fork(self) -> None:
        """Start empty in a child process."""
        self._lock = Lock()
        self._fetches = {}
        self._kept = None

    @property
    def _entries(self) -> TLRUCache[Any, _Entry]:
        """The entries; those made under another clock are forgotten, because their ages mean nothing now."""
        clock = self.runtime.clock
        if self._kept is None or self._clock is not clock:
            self._kept = TLRUCache(self._max_items, ttu=_expires_at, timer=clock.monotonic)
            self._clock = clock
        return self._kept

    def get(self, path: Path) -> Found | None:
        """Return what is stored."""
        with self._lock:
            return self._find(path)

    def set(self, path: Path, value: Any, ttl_s: float) -> None:
        """Store a value."""
        with self._lock:
            self._put(path, value, ttl_s)

    def add(self, path: Path, value: Any, ttl_s: float) -> bool:
        """Store a value unless there is one."""
        with self._lock:
            if self._find(path) is not None:
                return False
            self._put(path, value, ttl_s)
            return True

    def replace(self, path: Path, expected: Any, value: Any, ttl_s: float) -> bool:
        """Store or forget a value if the one that is there is the expected one."""
        with self._lock:
            found = self._find(path)
            if found is None or found.value != expected:
                return False
            if value is None:
                self._drop(path)
            else:
                self._put(path, value, ttl_s)
            return True

    def delete(self, path: Path) -> None:
        """Forget a value."""
        with self._lock:
            self._drop(path)

    def announce(self, path: Path, fetch_id: str) -> Found | None:
        """Return what is stored, or note a fetch."""
        with self._lock:
            found = self._find(path)
            if found is None:
                self._fetches[path] = fetch_id
            return found

    def settle(self, path: Path, fetch_id: str, found: Found | None, ttl_s: float) -> None:
        """Store what a fetch found, if it is still the one that may."""
        with self._lock:
            if self._fetches.get(path) != fetch_id:
                return
            del self._fetches[path]
            if found is not None:
                self._put(path, found.value, ttl_s)

    def turn(self, path: Path, rate: Rate, most_us: int) -> int:
        """Return the microseconds until the next turn, which is taken unless they are too many."""
        with self._lock:
            turns, now = self._turns(path)
            turn = turns.next(now, rate)
            if turn - now <= most_us:
                turns.give(turn, rate)
                self._keep(path, turns, now)
            return turn - now

    def hold(self, path: Path, pause_us: int) -> None:
        """Let the next turn come after so many microseconds at the earliest."""
        with self._lock:
            turns, now = self._turns(path)
            turns.hold(now + pause_us)
            self._keep(path, turns, now)

    def _turns(self, path: Path) -> tuple[_Turns, int]:
        entry = self._entries.get((path,))  # a path within a path is no value's
        now = round(self.runtime.clock.monotonic() * MICROSECONDS)
        return (_Turns() if entry is None else entry.found.value), now

    def _keep(self, path: Path, turns: _Turns, now: int) -> None:
        self._entries[(path,)] = _Entry(Found(turns), (turns.ends_at - now) / MICROSECONDS)

    def _find(self, path: Path) -> Found | None:
        entry = self._entries.get(path)
        return None if entry is None else entry.found

    def _put(self, path: Path, value: Any, ttl_s: float) -> None:
        self._fetches.pop(path, None)
        self._entries[path] = _Entry(Found(value), ttl_s)

    def _drop(self, path: Path) -> None:
        self._fetches.pop(path, None)
        self._entries.pop(path, None)
