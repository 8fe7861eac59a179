"""Log lines of one connector on their way to the platform, posted in batches and in order."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from hull_sdk.client.logs import LogSource
from hull_sdk.core.logs import emit
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import HullError, TransientError

__all__ = ["Mailbox"]

_log = logging.getLogger(__name__)

#: A request carries at most so many lines ...
BATCH_LINES: Final = 500
#: ... of so many bytes.
BATCH_BYTES: Final = 1_000_000
#: Time for one request, in seconds.
TIMEOUT_S: Final = 10.0
#: No request gets less time than this.
_LEAST_TIMEOUT_S: Final = 0.001
_RETRY: Final = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Args:
        entry: With ``message``, ``level``, ``data``, ``context`` and ``timestamp``.
        size: Bytes of its JSON.
    """

    entry: dict[str, Any]
    size: int


@dataclass(slots=True)
class Tally:
    """What waits in all mailboxes of a handler.

    Args:
        lines: How many lines, those under way left out.
    """

    lines: int = 0


class Mailbox:
    """The lines of one connector; unless a method says otherwise, the handler's lock is held.

    Args:
        tally: Shared by all mailboxes of the handler.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._lines: deque[Line] = deque()
        self._batch: list[dict[str, Any]] = []
        self._source: LogSource | None = None
        self._due_at = 0.0
        self._dropped = 0
        self._attempt = 0
        self._started_at = 0.0
        #: ``True`` when the platform refused the last batch for good.
        self.is_refused: bool = False
        #: ``True`` while a request is under way.
        self.is_busy: bool = False

    def __len__(self) -> int:
        return len(self._lines) + len(self._batch)

    @property
    def queued(self) -> int:
        """How many lines wait, those under way left out."""
        return len(self._lines)

    def add(self, line: Line, source: LogSource, wait_s: float) -> bool:
        """Append a line.

        Args:
            line: The line.
            source: Who wrote it; its connection is used.
            wait_s: How long it may wait for others, in seconds.

        Returns:
            ``True`` when the sending has to be woken.
        """
        self._source = source
        self._lines.append(line)
        self._tally.lines += 1
        if len(self) == 1:
            self._due_at = source.runtime.clock.monotonic() + wait_s
        elif len(self) == BATCH_LINES:
            self.hurry()
        return len(self) in {1, BATCH_LINES}

    def hurry(self) -> None:
        """Have lines sent now, unless they wait for another try."""
        if not self._attempt:
            self._due_at = 0.0

    def drop_oldest(self) -> None:
        """Forget the oldest line that is not under way."""
        self._lines.popleft()
        self._tally.lines -= 1
        self._dropped += 1

    def wait_s(self) -> float:
        """Return the seconds until lines are to be sent; needs no lock."""
        source = self._source
        return 0.0 if source is None else max(0.0, self._due_at - source.runtime.clock.monotonic())

    def send(self, lock: Lock, deadline: float) -> None:
        """Send one batch, if none is under way.

        Args:
            lock: The handler's, which is not held.
            deadline: The request ends before this point on the clock's ``monotonic``.
        """
        with lock:
            source = self._source
            if self.is_busy or source is None or not len(self):
                return
            batch = self._next_batch(source)
            timeout_s = min(TIMEOUT_S, max(_LEAST_TIMEOUT_S, deadline - source.runtime.clock.monotonic()))
            self.is_busy = True
        error: HullError | None = None
        try:
            path = f"{source.config.id}/logs"
            source.transport.request("POST", path, {"logs": batch}, timeout_s=timeout_s, retry=None)
        except HullError as err:
            error = err
        finally:
            self.is_busy = False
        with lock:
            refused = self._follow(source, error)
        if refused:
            fields = {"lines": len(batch), "id": source.config.id, "organization": source.config.organization}
            emit(_log, logging.WARNING, "logs.refused", {**fields, "error": str(error)})

    def _next_batch(self, source: LogSource) -> list[dict[str, Any]]:
        if self._batch:
            return self._batch
        self._attempt, self._started_at = 0, source.runtime.clock.monotonic()
        batch, size = self._batch, 0
        if self._dropped:
            batch.append({"message": "logs.dropped", "level": "warn", "data": {"lines": self._dropped}})
            self._dropped = 0
        while self._lines and len(batch) < BATCH_LINES and size < BATCH_BYTES:
            line = self._lines.popleft()
            size += line.size
            batch.append(line.entry)
            self._tally.lines -= 1
        return batch

    def _follow(self, source: LogSource, error: HullError | None) -> bool:
        """Say what becomes of the batch; return ``True`` when it is the first one to be refused."""
        clock = source.runtime.clock
        if isinstance(error, TransientError):
            self._attempt += 1
            delay = _RETRY.delay(self._attempt, source.runtime.ids, error.retry_after)
            if clock.monotonic() + delay - self._started_at <= _RETRY.total_s:
                self._due_at = clock.monotonic() + delay
                return False
        is_first = error is not None and not self.is_refused
        self.is_refused = error is not None
        self._batch = []
        self._attempt = 0
        self._due_at = clock.monotonic()
        return is_first
