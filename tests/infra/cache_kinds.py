"""The kinds of caches that the contracts run over, and how time passes in each."""

from __future__ import annotations

from typing import Any

from valkey_server import ValkeyServer

from hull_sdk.core.runtime import Runtime
from hull_sdk.infra import Cache, RedisCache


class MemoryKind:
    """Caches in memory, whose time is a virtual clock."""

    def __init__(self) -> None:
        self.runtime = Runtime.virtual()

    def cache(self, **options: Any) -> Cache:
        return Cache(runtime=self.runtime, **options)

    def threaded(self) -> Cache:
        return Cache()

    def age(self, seconds: float) -> None:
        self.runtime.tasks.sleep(seconds)


class ValkeyKind:
    """Caches on Valkey, whose time passes second by second by taking it off every key."""

    def __init__(self, server: ValkeyServer) -> None:
        self.runtime = Runtime.virtual()
        self._url = server.url
        self._client = server.client()
        self._opened: list[RedisCache] = []

    def cache(self, **options: Any) -> Cache:
        self._opened.append(RedisCache(self._url, runtime=self.runtime, **options))
        return self._opened[-1]

    def threaded(self) -> Cache:
        self._opened.append(RedisCache(self._url))
        return self._opened[-1]

    def age(self, seconds: float) -> None:
        while seconds > 0:
            step = min(1.0, seconds)
            seconds -= step
            for key in self._client.scan_iter():
                self._age_turns(key, round(step * 1e6))
                self._client.pexpire(key, self._client.pttl(key) - round(step * 1000))
            self.runtime.tasks.sleep(step)

    def _age_turns(self, key: bytes, step_us: int) -> None:
        if key.startswith(b"hull:@hold:"):
            self._client.set(key, int(self._client.get(key)) - step_us, keepttl=True)
        elif key.startswith(b"hull:@turns:"):
            for index, turn in enumerate(self._client.lrange(key, 0, -1)):
                self._client.lset(key, index, int(turn) - step_us)

    def close(self) -> None:
        self._client.close()
        for cache in self._opened:
            cache.close()
