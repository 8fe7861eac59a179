"""Sends what connectors log to the platform, whose log then shows it beside what came in.

Only lines of a client's ``logger`` are taken, each with the credentials of the client that wrote it; the lines about
their sending are never sent. Rules: section "REST" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
import math
from typing import Final

from hull_sdk.client.capture import log_line
from hull_sdk.client.exits import exits
from hull_sdk.client.logs import LogSource, speaker
from hull_sdk.client.mailbox import Line, Mailbox, Tally
from hull_sdk.client.stepping import Stepper
from hull_sdk.core import json
from hull_sdk.core.checks import is_number, is_whole
from hull_sdk.core.logs import fields_of, printable
from hull_sdk.core.process import write_error_line
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import InvalidArgumentError

__all__ = ["PlatformLogHandler"]

#: A line is at most so long; the data of a longer one is left out.
MAX_LINE_BYTES: Final = 32_000
#: How often a flush looks whether another thread has sent what it holds, in seconds.
_PAUSE_S: Final = 0.01


class PlatformLogHandler(logging.Handler):
    """A handler for the logger ``hull_sdk.client`` that posts lines to the platform, in batches, in the background.

    It takes the lines of all clients in the process. A line may arrive twice when an answer is lost. Beyond
    ``max_lines`` the oldest are dropped, and the next batch says how many.

    Args:
        level: Least level that is sent.
        max_lines: Lines that may wait, in all.
        flush_after_ms: How long a line waits for others, in milliseconds.
        close_timeout_s: How long ``close``, and with it the end of the process, waits for what is left, in seconds.

    Raises:
        InvalidArgumentError: A number is out of its range.

    Example:
        ``logging.getLogger("hull_sdk.client").addHandler(PlatformLogHandler())``
    """

    def __init__(
        self,
        level: int | str = logging.INFO,
        *,
        max_lines: int = 10_000,
        flush_after_ms: float = 1000,
        close_timeout_s: float = 5.0,
    ) -> None:
        super().__init__(level)
        if not is_whole(max_lines, 1):
            raise InvalidArgumentError(f"max_lines is {max_lines!r}; pass a whole number from 1")
        for name, value in (("flush_after_ms", flush_after_ms), ("close_timeout_s", close_timeout_s)):
            if not is_number(value, 0):
                raise InvalidArgumentError(f"{name} is {value!r}; pass a number from 0")
        self._max_lines = max_lines
        self._flush_after_s = flush_after_ms / 1000
        self._close_timeout_s = close_timeout_s
        self._closed = False
        self._exit_deadline = 0.0
        self._begin()
        exits.join(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line; one that was not written by a client's logger is passed over."""
        source = speaker.get()
        if source is None or self._closed:
            return
        try:
            self._queue(_line_of(record, source), source)
        except Exception:  # noqa: BLE001 - logging must not break what logs; its own hook reports the error
            self.handleError(record)

    def flush(self, timeout_s: float | None = None) -> None:
        """Send what waits, in the calling thread.

        Args:
            timeout_s: Longest wait in seconds; ``close_timeout_s`` by default.
        """
        runtime = self._runtime
        if runtime is None:
            return
        clock = runtime.clock
        deadline = clock.monotonic() + (self._close_timeout_s if timeout_s is None else timeout_s)
        with self._queue_lock:
            for box in self._boxes.values():
                box.hurry()
        while boxes := self._waiting_boxes():
            pause = self._send(boxes, deadline)
            remaining = deadline - clock.monotonic()
            if remaining <= 0.0:
                return
            runtime.tasks.sleep(min(max(pause, _PAUSE_S), remaining) if pause else 0.0)

    def close(self) -> None:
        """Take no more lines, send what waits, and say on standard error how many lines could not be sent."""
        if not self._closed:
            self._closed = True
            self.flush()
            lost = self._drop_all()
            if lost:
                write_error_line(f"hull_sdk: {_counted(lost)} not sent to the platform before the handler was closed")
            if self._stepper is not None:
                self._stepper.stop()
            exits.leave(self)
        super().close()

    @property
    def waiting(self) -> int:
        """Lines that would be lost if the process ended now; none on a virtual clock."""
        runtime = self._runtime
        return 0 if runtime is None or runtime.tasks.virtual else sum(len(box) for box in self._waiting_boxes())

    def begin_exit(self, left_s: float) -> None:
        """Start to count the time that the end of the process has for lines.

        Args:
            left_s: How long that is at most, in seconds; less counts than ``close_timeout_s``, not more.
        """
        if self._runtime is not None:
            self._exit_deadline = self._runtime.clock.monotonic() + min(self._close_timeout_s, left_s)

    def finish_exit(self) -> int:
        """Send what waits before the process ends.

        Returns:
            Lines that were not sent; they are dropped.
        """
        runtime = self._runtime
        if runtime is None or runtime.tasks.virtual:
            return 0
        self.flush(self._exit_deadline - runtime.clock.monotonic())
        return self._drop_all()

    def after_fork(self) -> None:
        """Start with an empty queue in a child process: the parent sends what the parent queued."""
        self._begin()

    def _begin(self) -> None:
        self._queue_lock = Lock()
        self._boxes: dict[tuple[str, str, str], Mailbox] = {}
        self._tally = Tally()
        self._runtime: Runtime | None = None
        self._stepper: Stepper | None = None

    def _wake(self, runtime: Runtime) -> None:
        with self._queue_lock:
            stepper, old = self._stepper, None
            if stepper is None or self._runtime is not runtime:
                old, stepper = stepper, Stepper(self._step, "hull-logs", runtime, Lock())
                self._stepper, self._runtime = stepper, runtime
        if old is not None:
            old.stop()
        stepper.wake()

    def _step(self) -> float | None:
        boxes = self._waiting_boxes()
        return self._send(boxes) if boxes else None

    def _send(self, boxes: list[Mailbox], deadline: float = math.inf) -> float:
        """Send what is due, one batch of each; return the seconds until more is."""
        for box in boxes:
            if box.wait_s() == 0.0:
                box.send(self._queue_lock, deadline)
        return min(_PAUSE_S if box.is_busy else box.wait_s() for box in boxes)

    def _waiting_boxes(self) -> list[Mailbox]:
        with self._queue_lock:
            self._boxes = {key: box for key, box in self._boxes.items() if len(box) or box.is_refused}
            return [box for box in self._boxes.values() if len(box)]

    def _queue(self, line: Line, source: LogSource) -> None:
        with self._queue_lock:
            key = (source.config.api_base, source.config.id, source.config.secret)
            box = self._boxes.setdefault(key, Mailbox(self._tally))
            begins = box.add(line, source, self._flush_after_s)
            while self._tally.lines > self._max_lines:
                max(self._boxes.values(), key=lambda each: each.queued).drop_oldest()
        if begins:
            self._wake(source.runtime)
        exits.arm_for(source.runtime.tasks)

    def _drop_all(self) -> int:
        with self._queue_lock:
            lost = sum(len(box) for box in self._boxes.values())
            self._boxes, self._tally = {}, Tally()
        return lost


def _line_of(record: logging.LogRecord, source: LogSource) -> Line:
    fields = fields_of(record)
    now = source.runtime.clock.time()
    entry = printable(log_line(record.levelno, record.getMessage(), fields.get("data"), fields.get("context", {}), now))
    size = len(json.dumps(entry))
    if size > MAX_LINE_BYTES:
        entry["message"] = entry["message"][: MAX_LINE_BYTES // 10]
        entry["data"] = f"{size} bytes were left out"
        size = len(json.dumps(entry))
    return Line(entry, size)


def _counted(lines: int) -> str:
    return "1 log line was" if lines == 1 else f"{lines} log lines were"
