"""The fast lane of ingestion: messages about active users are applied ahead of others that wait for the same lock.

Rules: section "Fast lane" of ``docs/protocol.md``. Threads compete for the organization's lock, and one that works
through a large batch would take it again and again; so ordinary messages step aside while an urgent one waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock, RLock
from hull_sdk.platform.identity import EntityClaims
from hull_sdk.platform.messages import ParsedMessage

__all__ = ["ACTIVE_S", "FastLane"]

#: How long a user who is marked active is served first, in seconds.
ACTIVE_S: Final = 600.0

#: How often in a row an ordinary message steps aside, and for how long each time, in seconds.
_MOST_WAITS: Final = 100
_WAIT_S: Final = 0.0005
#: Identifiers of active users that are remembered before the outdated ones are dropped.
_SWEEP_AT: Final = 10_000


class FastLane:
    """Whose messages go first in one organization.

    Args:
        runtime: Whose tasks sleep.
        lock: The organization's lock.
    """

    def __init__(self, runtime: Runtime, lock: RLock) -> None:
        self._runtime = runtime
        self._lock = lock
        self._counting = Lock()
        self._waiting = 0
        self._active: dict[tuple[str, str], float] = {}

    @contextmanager
    def turn(self, message: ParsedMessage, now: float) -> Iterator[None]:
        """Hold the organization's lock for one message.

        Args:
            message: The message that is to be applied.
            now: Unix seconds of domain time.
        """
        if not self._is_urgent(message, now):
            self._give_way()
            with self._lock:
                yield
            return
        self._count(1)
        with self._lock:
            self._count(-1)
            yield

    def _is_urgent(self, message: ParsedMessage, now: float) -> bool:
        user = message.subject.user
        if user is None or not (message.subject.active or self._active):
            return False
        keys = _keys(user)
        if message.subject.active:
            self._remember(keys, now)
            return True
        return any(self._active.get(key, 0.0) > now for key in keys)

    def _remember(self, keys: list[tuple[str, str]], now: float) -> None:
        with self._counting:
            if len(self._active) > _SWEEP_AT:
                self._active = {key: until for key, until in self._active.items() if until > now}
            self._active.update(dict.fromkeys(keys, now + ACTIVE_S))

    def _give_way(self) -> None:
        for _ in range(_MOST_WAITS):
            if not self._waiting:
                return
            self._runtime.tasks.sleep(_WAIT_S)

    def _count(self, step: int) -> None:
        with self._counting:
            self._waiting += step


def _keys(user: EntityClaims) -> list[tuple[str, str]]:
    found = ((name, getattr(user, name)) for name in ("id", "external_id", "handle", "anonymous_id"))
    return [(name, value) for name, value in found if value is not None]
