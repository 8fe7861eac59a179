"""The cache: values with an age limit, leases, and one fetch for many waiters.

In memory values are stored as they are, never copied: whoever changes a value that came out of the cache changes it
for everybody, and nothing is shared between processes. ``RedisCache`` takes the same calls and shares its values.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hull_sdk.core.forks import watch_forks
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future, Lock, current_thread_id
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.infra.entries import Entries, Found, MemoryEntries, Path
from hull_sdk.infra.rate_limit import WAIT_S, RateLimit

__all__ = ["Cache"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A fetch that is going on in this process."""

    id: str
    future: Future[Any]
    thread: int


#: The fetches inside which the caller runs, also in threads that were started from them.
_inside: contextvars.ContextVar[tuple[_Flight, ...]] = contextvars.ContextVar("hull_cache_flights", default=())


class _Flights:
    """The fetches of a cache and its scoped views in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._flights: dict[Path, _Flight] = {}
        watch_forks(self)

    def after_fork(self) -> None:
        self._lock = Lock()
        self._flights = {}

    def join(self, path: Path, mine: _Flight) -> _Flight:
        with self._lock:
            return self._flights.setdefault(path, mine)

    def forget(self, path: Path, flight: _Flight | None = None) -> None:
        with self._lock:
            if flight is None or self._flights.get(path) is flight:
                self._flights.pop(path, None)


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
        self._scope: Path = ()
        self._flights = _Flights()
        self._entries: Entries = MemoryEntries(max_items, Runtime.system() if runtime is None else runtime)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(ttl_s={self._ttl_s:g}, scope={'/'.join(self._scope)!r})"

    @property
    def shared(self) -> bool:
        """``True`` when other processes see the same values."""
        return False

    @property
    def runtime(self) -> Runtime:
        """Clock and tasks, one for a cache and all its scoped views."""
        return self._entries.runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._entries.runtime = runtime

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
        found = self._entries.get(self._path(key))
        return default if found is None else found.value

    def set(self, key: str, value: Any, ttl_s: float | None = None) -> None:
        """Store a value; a fetch of the same key that is going on will not replace it.

        Args:
            key: For example ``"segments"``.
            value: Anything; stored as it is.
            ttl_s: Seconds that it is kept; ``None`` takes the cache's time.

        Raises:
            InvalidArgumentError: ``ttl_s`` is not positive.
        """
        path = self._path(key)
        self._entries.set(path, value, self._ttl(ttl_s))
        self._flights.forget(path)

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
        return self._entries.add(self._path(key), value, self._ttl(ttl_s))

    def replace(self, key: str, expected: Any, value: Any, ttl_s: float | None = None) -> bool:
        """Store a value if the one that is there is the expected one; nobody can come between.

        Args:
            key: For example ``"lease:5a79c3"``.
            expected: What the caller believes to be there, as it was stored.
            value: What to store; ``None`` forgets the key.
            ttl_s: Seconds that the value is kept; ``None`` takes the cache's time.

        Returns:
            ``True`` when it was stored, ``False`` when there was another value or none.

        Raises:
            InvalidArgumentError: ``ttl_s`` is not positive.
        """
        return self._entries.replace(self._path(key), expected, value, self._ttl(ttl_s))

    def delete(self, key: str) -> None:
        """Forget a value; a fetch of the same key that is going on will not bring it back.

        Args:
            key: For example ``"segments"``; a key without a value is no error.
        """
        path = self._path(key)
        self._entries.delete(path)
        self._flights.forget(path)

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
        found = self._entries.get(path)
        if found is None:
            return self._share(path, fetch, ttl)
        value: T = found.value
        return value

    def rate_limit(self, name: str, *, calls: int, per_s: float, wait_s: float = WAIT_S) -> RateLimit:
        """Return a limit for calls that everybody makes who asks this cache, or a view of its scope, for the same name.

        Example::

            limit = cache.rate_limit("crm/workspace-7", calls=100, per_s=1)
            limit.acquire()  # waits for its turn

        Args:
            name: What is limited; no value of the cache is in its way.
            calls: How many calls.
            per_s: In how many seconds.
            wait_s: How long a call waits for its turn at most, in seconds.

        Raises:
            InvalidArgumentError: A number is out of range.
        """
        return RateLimit(self._entries, self._path(name), calls=calls, per_s=per_s, wait_s=wait_s)

    def _share(self, path: Path, fetch: Callable[[], T], ttl_s: float) -> T:
        tasks, ids = self.runtime.tasks, self.runtime.ids
        mine = _Flight(ids.uuid(), tasks.future(), current_thread_id())
        running = self._flights.join(path, mine)
        if running is mine:
            return self._fly(mine, path, fetch, ttl_s)
        if running.thread == current_thread_id() or running in _inside.get():
            return fetch()
        shared: T = running.future.result()
        return shared

    def _fly(self, flight: _Flight, path: Path, fetch: Callable[[], T], ttl_s: float) -> T:
        token = _inside.set((*_inside.get(), flight))
        try:
            value = self._fetched(flight, path, fetch, ttl_s)
        except BaseException as err:
            self._flights.forget(path, flight)
            flight.future.set_exception(err if isinstance(err, Exception) else _interrupted(path))
            raise
        finally:
            _inside.reset(token)
        self._flights.forget(path, flight)
        flight.future.set_result(value)
        return value

    def _fetched(self, flight: _Flight, path: Path, fetch: Callable[[], T], ttl_s: float) -> T:
        found = self._entries.announce(path, flight.id)
        if found is not None:
            known: T = found.value
            return known
        try:
            value = fetch()
        except BaseException:
            self._entries.settle(path, flight.id, None, ttl_s)
            raise
        self._entries.settle(path, flight.id, Found(value), ttl_s)
        return value

    def _path(self, key: str) -> Path:
        return (*self._scope, key)

    def _ttl(self, ttl_s: float | None) -> float:
        return self._ttl_s if ttl_s is None else _checked_ttl(ttl_s)


def _checked_ttl(ttl_s: float) -> float:
    if not ttl_s > 0 or math.isnan(ttl_s):
        raise InvalidArgumentError(f"ttl_s is {ttl_s!r}; it must be more than 0 seconds (delete() forgets a value)")
    return ttl_s


def _interrupted(path: Path) -> TransientError:
    return TransientError(f"the fetch of {path[-1]!r} was interrupted; try again")
