"""The cache on Redis or Valkey: what one process stores, all see.

Values travel as JSON. Every key has a time limit, so the server's memory is bounded by what is stored within these
times; it is the server's own configuration that says what happens beyond.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final
from urllib.parse import quote

from hull_sdk.core import json
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.infra.cache import Cache
from hull_sdk.infra.entries import Found, Path, Rate
from hull_sdk.infra.redis_store import TIMEOUT_S, RedisStore

__all__ = ["MAX_VALUE_BYTES", "RedisCache", "RedisEntries"]

#: Largest value, as JSON, in bytes.
MAX_VALUE_BYTES: Final = 8_388_608
#: What all keys begin with.
PREFIX: Final = "hull"

#: Longest time that a value is kept, in seconds: about a year.
MAX_TTL_S: Final = 366 * 86_400.0
#: A fetch that takes longer than this stores nothing, in milliseconds.
FETCH_MS: Final = 600_000
#: Keys that would be longer than this are written as a digest.
MAX_KEY_CHARS: Final = 512

#: A value begins with this, so that it never looks like a fetch that was announced in its place.
_VALUE: Final = b"="
_FETCH: Final = b"~"

_ADD: Final = """
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 1) == '=' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
#: Also how a fetch settles: its announcement is what it expects to find. An empty value forgets the key.
_REPLACE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
_ANNOUNCE: Final = """
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 1) == '=' then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""
#: The latest turns, the last one first, and until when there is none; in microseconds of the server's clock.
_TURN: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local calls, per, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local turn = math.max(now, tonumber(redis.call('GET', KEYS[2]) or 0), tonumber(redis.call('LINDEX', KEYS[1], 0) or 0))
local full = redis.call('LINDEX', KEYS[1], calls - 1)
if full then turn = math.max(turn, full + per) end
local wait = turn - now
if wait > most then return wait end
redis.call('LPUSH', KEYS[1], string.format('%.0f', turn))
redis.call('LTRIM', KEYS[1], 0, calls - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil((wait + per) / 1000))
return wait
"""
_HOLD: Final = """
local time = redis.call('TIME')
local till = time[1] * 1000000 + time[2] + ARGV[1]
if till <= tonumber(redis.call('GET', KEYS[1]) or 0) then return end
redis.call('SET', KEYS[1], string.format('%.0f', till), 'PX', math.ceil(ARGV[1] / 1000))
"""


class RedisCache(Cache):
    """A cache that many processes share, on Redis or Valkey; it takes the same calls as ``Cache``.

    Values are JSON: dicts, lists, texts, finite numbers, booleans and ``None``, and what comes out is a copy. Within a
    process many callers share one fetch of :meth:`wrap`; other processes may fetch at the same time, and the one that
    began last stores its value. When the server cannot be reached, every call raises a ``NetworkError`` within the
    time limit, which answers a notification with ``retry``.

    Example::

        Connector(cache=RedisCache("redis://127.0.0.1:6379/0", ttl_s=300))

    Args:
        url: Address of the server; see ``docs/deploying.md``.
        ttl_s: Seconds that a value is kept unless it is stored with a time of its own; a year at most.
        prefix: What all keys begin with; connectors of different applications need not differ here.
        timeout_s: How long connecting, and every answer, may take, in seconds.
        max_value_bytes: Largest value, as JSON.
        runtime: Tasks; the machine's own by default. Ages follow the server's clock, whatever this one says.

    Raises:
        MissingExtraError: redis-py is not installed (extra ``redis``).
        InvalidArgumentError: The address or a limit breaks a rule.
    """

    def __init__(
        self,
        url: str,
        ttl_s: float = 60.0,
        *,
        prefix: str = PREFIX,
        timeout_s: float = TIMEOUT_S,
        max_value_bytes: int = MAX_VALUE_BYTES,
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(ttl_s=ttl_s, runtime=runtime)
        if max_value_bytes < 1:
            raise InvalidArgumentError(f"max_value_bytes is {max_value_bytes!r}; it must be at least 1")
        self._redis = RedisStore(url, timeout_s=timeout_s, answer_s=timeout_s)
        self._entries = RedisEntries(self._redis, prefix, max_value_bytes, self.runtime)

    def __repr__(self) -> str:
        return f"{super().__repr__().removesuffix(')')}, store={self._redis!r})"

    @property
    def shared(self) -> bool:
        """``True``: other processes see the same values."""
        return True

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self._redis.close()


class RedisEntries:
    """Values on a server, each with a time limit.

    Args:
        store: The connection.
        prefix: What all keys begin with.
        max_value_bytes: Largest value, as JSON.
        runtime: Kept for the cache.
    """

    def __init__(self, store: RedisStore, prefix: str, max_value_bytes: int, runtime: Runtime) -> None:
        self.runtime = runtime
        self.store = store
        self._prefix = prefix
        self._max_value_bytes = max_value_bytes
        self._add = store.script(_ADD)
        self._replace = store.script(_REPLACE)
        self._announce = store.script(_ANNOUNCE)
        self._turn = store.script(_TURN)
        self._hold = store.script(_HOLD)

    def get(self, path: Path) -> Found | None:
        """Return what is stored."""
        with self.store.reaching():
            return _found(self.store.client.get(self._key(path)))

    def set(self, path: Path, value: Any, ttl_s: float) -> None:
        """Store a value."""
        data = self._encode(path, value)
        with self.store.reaching():
            self.store.client.set(self._key(path), data, px=_milliseconds(ttl_s))

    def add(self, path: Path, value: Any, ttl_s: float) -> bool:
        """Store a value unless there is one."""
        args = [self._encode(path, value), _milliseconds(ttl_s)]
        with self.store.reaching():
            return bool(self._add(keys=[self._key(path)], args=args))

    def replace(self, path: Path, expected: Any, value: Any, ttl_s: float) -> bool:
        """Store or forget a value if the one that is there is the expected one."""
        data = b"" if value is None else self._encode(path, value)
        return self._exchange(path, self._encode(path, expected), data, _milliseconds(ttl_s))

    def delete(self, path: Path) -> None:
        """Forget a value."""
        with self.store.reaching():
            self.store.client.delete(self._key(path))

    def announce(self, path: Path, fetch_id: str) -> Found | None:
        """Return what is stored, or note a fetch."""
        with self.store.reaching():
            return _found(self._announce(keys=[self._key(path)], args=[_announcement(fetch_id), FETCH_MS]))

    def settle(self, path: Path, fetch_id: str, found: Found | None, ttl_s: float) -> None:
        """Store what a fetch found, if it is still the one that may."""
        data = b"" if found is None else self._encode(path, found.value)
        self._exchange(path, _announcement(fetch_id), data, _milliseconds(ttl_s))

    def turn(self, path: Path, rate: Rate, most_us: int) -> int:
        """Return the microseconds until the next turn, which is taken unless they are too many."""
        keys = [self._key(path, "@turns"), self._key(path, "@hold")]
        with self.store.reaching():
            return int(self._turn(keys=keys, args=[rate.calls, rate.per_us, most_us]))

    def hold(self, path: Path, pause_us: int) -> None:
        """Let the next turn come after so many microseconds at the earliest."""
        with self.store.reaching():
            self._hold(keys=[self._key(path, "@hold")], args=[pause_us])

    def _exchange(self, path: Path, expected: bytes, data: bytes, ttl_ms: int) -> bool:
        with self.store.reaching():
            return bool(self._replace(keys=[self._key(path)], args=[expected, data, ttl_ms]))

    def _key(self, path: Path, *kind: str) -> str:
        # A kind has a character that no quoted part has, so that it is in no value's way.
        key = ":".join((self._prefix, *kind, *(quote(part, safe="", errors="surrogatepass") for part in path)))
        if len(key) <= MAX_KEY_CHARS:
            return key
        return f"{self._prefix}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"

    def _encode(self, path: Path, value: Any) -> bytes:
        try:
            data = _VALUE + json.dumps(value)
        except (TypeError, ValueError) as err:
            raise InvalidArgumentError(
                f"the value of {path[-1]!r} cannot be shared between processes as JSON: {err}"
            ) from err
        if len(data) > self._max_value_bytes:
            raise InvalidArgumentError(
                f"the value of {path[-1]!r} has {len(data)} bytes as JSON, the limit is {self._max_value_bytes}; "
                "keep less, or raise max_value_bytes"
            )
        return data


def _found(data: bytes | None) -> Found | None:
    if data is None or data[:1] != _VALUE:
        return None
    return Found(json.loads(data[1:]))


def _announcement(fetch_id: str) -> bytes:
    return _FETCH + fetch_id.encode()


def _milliseconds(ttl_s: float) -> int:
    return max(1, math.ceil(min(ttl_s, MAX_TTL_S) * 1000))
