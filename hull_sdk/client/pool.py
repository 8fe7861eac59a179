"""Senders by connector: one each for as many connectors as are busy, the others flushed and let go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from hull_sdk.client.backlog import FlushResult
from hull_sdk.client.config import ClientConfig
from hull_sdk.client.sender import FLUSH_TIMEOUT_S, Sender
from hull_sdk.core.forks import watch_forks
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import InvalidArgumentError

__all__ = ["SenderPool"]

_Key = tuple[str, str, str, str]

#: Senders that a pool keeps unless it is told otherwise.
MAX_SENDERS: Final = 64


class SenderPool:
    """Keeps the senders of many connectors, the least recently used ones only until they are empty.

    Clients with the same firehose URL, organization, id and secret get the same sender; its options are those of
    the client that came first.

    Args:
        runtime: Given to the senders.
        max_senders: Senders kept although they are empty.

    Raises:
        InvalidArgumentError: ``max_senders`` is below 1.
    """

    def __init__(self, runtime: Runtime, max_senders: int = MAX_SENDERS) -> None:
        if max_senders < 1:
            raise InvalidArgumentError(f"max_senders is {max_senders!r}; pass a whole number from 1")
        self._runtime = runtime
        self._max_senders = max_senders
        self._closed = False
        self._lock = Lock()
        self._senders: OrderedDict[_Key, Sender] = OrderedDict()
        # Evicted, but not empty yet: if such a connector comes back, it gets its sender back and keeps its order.
        self._leaving: dict[_Key, Sender] = {}
        self._gone = FlushResult()
        watch_forks(self)

    def __len__(self) -> int:
        return len(self._senders)

    @property
    def is_closed(self) -> bool:
        """``True`` once the pool takes no more messages."""
        return self._closed

    def get(self, config: ClientConfig) -> Sender:
        """Return the sender of a connector; call it for each message, never keep what it returns.

        Args:
            config: Whose sender.

        Raises:
            InvalidArgumentError: The pool was closed.
        """
        key = config.sender_key
        with self._lock:
            sender = self._senders.get(key)
            if sender is not None:
                self._senders.move_to_end(key)
                return sender
            if self._closed:
                raise InvalidArgumentError("the senders were closed and take no more messages; make a new pool")
            sender = self._leaving.pop(key, None)
            if sender is None:
                sender = Sender(config, self._runtime)
            self._senders[key] = sender
            evicted = self._evict()
        for other in evicted:
            other.hurry()
        self._let_go()
        return sender

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> FlushResult:
        """Send what waits in all senders and wait for the outcome.

        Args:
            timeout_s: Longest wait in seconds, for all together.

        Returns:
            The sum of all senders' results.
        """
        senders = self._all()
        for sender in senders:
            sender.hurry()
        deadline = self._runtime.clock.monotonic() + timeout_s
        return self._with_gone(sender.flush(deadline - self._runtime.clock.monotonic()) for sender in senders)

    def close(self, timeout_s: float = FLUSH_TIMEOUT_S) -> FlushResult:
        """Take no more messages and send what waits.

        Args:
            timeout_s: Longest wait in seconds, for all together.

        Returns:
            The sum of all senders' results, of those let go since the last flush too.
        """
        with self._lock:
            self._closed = True
        senders = self._all()
        for sender in senders:
            sender.hurry()
        deadline = self._runtime.clock.monotonic() + timeout_s
        result = self._with_gone(sender.close(deadline - self._runtime.clock.monotonic()) for sender in senders)
        with self._lock:
            self._senders.clear()
            self._leaving.clear()
        return result

    def after_fork(self) -> None:
        """Start with a fresh lock in a child process."""
        self._lock = Lock()

    def _all(self) -> list[Sender]:
        with self._lock:
            return [*self._senders.values(), *self._leaving.values()]

    def _with_gone(self, results: Iterable[FlushResult]) -> FlushResult:
        result = _sum(results)
        with self._lock:
            gone, self._gone = self._gone, FlushResult()
        return _sum((gone, result))

    def _evict(self) -> list[Sender]:
        evicted = []
        while len(self._senders) > self._max_senders:
            key, sender = self._senders.popitem(last=False)
            self._leaving[key] = sender
            evicted.append(sender)
        return evicted

    def _let_go(self) -> None:
        # Under the lock, so that none is closed that has just been given out again.
        with self._lock:
            idle = [key for key, sender in self._leaving.items() if sender.close_if_idle()]
            closed = [self._leaving.pop(key) for key in idle]
        results = [sender.flush(0.0) for sender in closed]
        if results:
            with self._lock:
                self._gone = _sum((self._gone, *results))


def _sum(results: Iterable[FlushResult]) -> FlushResult:
    sent = failed = pending = dropped = 0
    errors = []
    for result in results:
        sent, failed, pending = sent + result.sent, failed + result.failed, pending + result.pending
        dropped += result.dropped
        errors.extend(result.errors)
    return FlushResult(sent, failed, pending, errors, dropped)
