"""A cache in memory: values with an age limit, leases, and one fetch for many waiters.

Values are stored as they are, never copied: whoever changes a value that came out of the cache changes it for
everybody. Nothing is shared between processes; a store on Redis takes the same calls.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cachetools import TLRUCache

from hull_sdk.core.clock import Clock
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future, Lock, current_thread_id
from hull_sdk.errors import InvalidArgumentError, TransientError

__all__ = ["Cache"]

T = TypeVar("T")

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    value: Any
    ttl_s: float


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A fetch that is going on."""

    future: Future[Any]
    thread: int


#: The fetches inside which the caller runs, also in threads that were started from them.
_inside: contextvars.ContextVar[tuple[_Flight, ...]] = contextvars.ContextVar("hull_cache_flights", default=())


def _expires_at(_key: _Key, entry: _Entry, now: float) -> float:
    return now + entry.ttl_s


class _Store:
    """What a cache and its scoped views share."""

    def __init__(self, max_items: int, runtime: Runtime) -> None:
        self.runtime = runtime
        self.lock = Lock()
        self.flights: dict[_Key, _Flight] = {}
        self._max_items = max_items
        self._clock: Clock | None = None
        self._entries: TLRUCache[_Key, _Entry] | None = None

    @property
    def entries(self) -> TLRUCache[_Key, _Entry]:
        """The entries; those made under another clock are forgotten, because their ages mean nothing now."""
        clock = self.runtime.clock
        if self._entries is None or self._clock is not clock:
            self._entries = TLRUCache(self._max_items, ttu=_expires_at, timer=clock.monotonic)
            self._clock = clock
        return self._entries


class Cache:
    """Keeps values for some time; the least recently used ones make room for new ones.

    Example::

        cache = Cache(ttl_s=60)
        contact_lists = cache.scoped(ctx.ship["id"])
        lists = contact_lists.wrap("lists", lambda: ctx.service.session.get("/lists").json())

    Args:
        ttl_s: Seconds that a value is kept unless it is stored with a time of its own.
        max_items: Number of values kept, over all scopes.
        runtime: Clock and tasks; the machine's own by default. May be assigned later.

    Raises:
        InvalidArgumentError: A limit is not positive.
    """

    def __init__(self, ttl_s: float = 60.0, max_items: int = 1000, runtime: Runtime | None = None) -> None:
        if max_items < 1:
            raise InvalidArgumentError(f"max_items is {max_items!r}; a cache keeps at least 1 item")
        self._ttl_s = _checked_ttl(ttl_s)
        self._scope: _Key = ()
        self._store = _Store(max_items, Runtime.system() if runtime is None else runtime)

    def __repr__(self) -> str:
        return f"Cache(ttl_s={self._ttl_s:g}, scope={'/'.join(self._scope)!r})"

    @property
    def runtime(self) -> Runtime:
        """Clock and tasks, one for a cache and all its scoped views."""
        return self._store.runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._store.runtime = runtime

    def scoped(self, namespace: str) -> Cache:
        """Return a view with keys of its own on the same store.

        Args:
            namespace: What the keys belong to, for example connector id and organization. Views of one
                namespace see the same values; the cache itself does not see them under its own keys.
        """
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__, _scope=(*self._scope, namespace))
        return view

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value.

        Args:
            key: For example ``"segments"``.
            default: Returned when there is none, or when it is too old.
        """
        with self._store.lock:
            entry = self._store.entries.get(self._path(key))
        return default if entry is None else entry.value

    def set(self, key: str, value: Any, ttl_s: float | None = None) -> None:
        """Store a value; a fetch of the same key that is going on will not replace it.

        Args:
            key: For example ``"segments"``.
            value: Anything; stored as it is.
            ttl_s: Seconds that it is kept; ``None`` takes the cache's time.

        Raises:
            InvalidArgumentError: ``ttl_s`` is not positive.
        """
        path, entry = self._path(key), self._entry(value, ttl_s)
        with self._store.lock:
            self._store.flights.pop(path, None)
            self._store.entries[path] = entry

    def add(self, key: str, value: Any, ttl_s: float | None = None) -> bool:
        """Store a value unless there is one; of several callers at once exactly one succeeds.

        Args:
            key: For example ``"lease:5a79c3"``.
            value: Anything but ``None``.
            ttl_s: Seconds that it is kept; ``None`` takes the cache's time.

        Returns:
            ``True`` when it was stored, ``False`` when there was a value.

        Raises:
            InvalidArgumentError: ``ttl_s`` is not positive.
        """
        path, entry = self._path(key), self._entry(value, ttl_s)
        with self._store.lock:
            entries = self._store.entries
            if entries.get(path) is not None:
                return False
            entries[path] = entry
            return True

    def delete(self, key: str) -> None:
        """Forget a value; a fetch of the same key that is going on will not bring it back.

        Args:
            key: For example ``"segments"``; a key without a value is no error.
        """
        path = self._path(key)
        with self._store.lock:
            self._store.flights.pop(path, None)
            self._store.entries.pop(path, None)

    def wrap(self, key: str, fetch: Callable[[], T], ttl_s: float | None = None) -> T:
        """Return the stored value, or fetch and store it; many callers at once share one fetch.

        Args:
            key: For example ``"segments"``.
            fetch: Called without arguments, outside every lock, when there is no value. It may itself wrap
                the same key: the inner call fetches for itself instead of waiting for the outer one.
            ttl_s: Seconds that the value is kept; ``None`` takes the cache's time.

        Returns:
            The value, also when it is ``None``.

        Raises:
            InvalidArgumentError: ``ttl_s`` is not positive.
            Exception: Whatever ``fetch`` raised, in every caller that waited for it; nothing is stored.
        """
        path, ttl = self._path(key), self._ttl(ttl_s)
        with self._store.lock:
            entry = self._store.entries.get(path)
            if entry is not None:
                value: T = entry.value
                return value
            mine = _Flight(self.runtime.tasks.future(), current_thread_id())
            running = self._store.flights.setdefault(path, mine)
        if running is mine:
            return self._fly(mine, path, fetch, ttl)
        if running.thread == current_thread_id() or running in _inside.get():
            return fetch()
        shared: T = running.future.result()
        return shared

    def _fly(self, flight: _Flight, path: _Key, fetch: Callable[[], T], ttl_s: float) -> T:
        token = _inside.set((*_inside.get(), flight))
        try:
            value = fetch()
        except BaseException as err:
            self._land(flight, path, None)
            flight.future.set_exception(err if isinstance(err, Exception) else _interrupted(path))
            raise
        finally:
            _inside.reset(token)
        self._land(flight, path, _Entry(value, ttl_s))
        flight.future.set_result(value)
        return value

    def _land(self, flight: _Flight, path: _Key, entry: _Entry | None) -> None:
        with self._store.lock:
            # Somebody who stored or deleted the key meanwhile has taken the flight off the list.
            if self._store.flights.get(path) is not flight:
                return
            del self._store.flights[path]
            if entry is not None:
                self._store.entries[path] = entry

    def _path(self, key: str) -> _Key:
        return (*self._scope, key)

    def _ttl(self, ttl_s: float | None) -> float:
        return self._ttl_s if ttl_s is None else _checked_ttl(ttl_s)

    def _entry(self, value: Any, ttl_s: float | None) -> _Entry:
        return _Entry(value, self._ttl(ttl_s))


def _checked_ttl(ttl_s: float) -> float:
    if not ttl_s > 0 or math.isnan(ttl_s):
        raise InvalidArgumentError(f"ttl_s is {ttl_s!r}; it must be more than 0 seconds (delete() forgets a value)")
    return ttl_s


def _interrupted(path: _Key) -> TransientError:
    return TransientError(f"the fetch of {path[-1]!r} was interrupted; try again")
