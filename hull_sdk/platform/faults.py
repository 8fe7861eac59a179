"""Faults on purpose: what a test can break between the platform and those who talk to it.

A fault has a kind, a target (``"firehose"``, ``"api"`` or ``"delivery"``), and an end: a number of requests, a
duration, or neither (until :meth:`Faults.clear`). Durations and delays run on the machine's (or the virtual) clock,
which moving domain time leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from hull_sdk.core.checks import is_whole
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import InvalidArgumentError

__all__ = [
    "DELAY",
    "DROP_AFTER",
    "DROP_BEFORE",
    "DUPLICATE",
    "ERROR",
    "ERROR_AFTER",
    "KINDS",
    "REORDER",
    "TARGETS",
    "TIMEOUT_AFTER",
    "TIMEOUT_BEFORE",
    "Fault",
    "Faults",
]

T = TypeVar("T")

#: Answered with 429 or a 5xx; nothing is applied.
ERROR: Final = "error"
#: Everything is applied, but the answer is 429 or a 5xx.
ERROR_AFTER: Final = "error_after"
#: The connection breaks before anything is applied.
DROP_BEFORE: Final = "drop_before"
#: Everything is applied, but the answer is lost.
DROP_AFTER: Final = "drop_after"
#: The request hangs, and then the connection breaks; nothing is applied.
TIMEOUT_BEFORE: Final = "timeout_before"
#: Everything is applied, then the request hangs, and the connection breaks without an answer.
TIMEOUT_AFTER: Final = "timeout_after"
#: The request arrives late; it is answered as always.
DELAY: Final = "delay"
#: The same request arrives a second time while the first is on its way.
DUPLICATE: Final = "duplicate"
#: The connection breaks, and the request arrives later, after what was sent meanwhile.
REORDER: Final = "reorder"

KINDS: Final = (
    ERROR,
    ERROR_AFTER,
    DROP_BEFORE,
    DROP_AFTER,
    TIMEOUT_BEFORE,
    TIMEOUT_AFTER,
    DELAY,
    DUPLICATE,
    REORDER,
)
TARGETS: Final = ("firehose", "api", "delivery")

#: Kinds that wait, and for how long unless they say otherwise, in milliseconds.
_WAITING: Final[Mapping[str, float]] = {
    TIMEOUT_BEFORE: 30_000.0,
    TIMEOUT_AFTER: 30_000.0,
    DELAY: 1000.0,
    REORDER: 1000.0,
}
#: Kinds with an answer of their own.
_ANSWERING: Final = (ERROR, ERROR_AFTER)
#: Kinds whose request is answered as always.
_HARMLESS: Final = (DELAY, DUPLICATE)
#: Kinds whose request does not arrive while somebody waits for the answer.
_STOPPING: Final = (ERROR, DROP_BEFORE, TIMEOUT_BEFORE, REORDER)
_LONGEST_DELAY_MS: Final = 600_000.0
#: Longest wait for the second run of a duplicate, in seconds.
_PATIENCE_S: Final = 30.0

_OPTIONS: Final = ("target", "status", "times", "for_ms", "delay_ms", "retry_after_s")


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault.

    Args:
        kind: What happens to requests.
        target: Which ones.
        status: HTTP status of an ``"error"`` or ``"error_after"``.
        times: How many requests are left; ``None`` for no such end.
        until: Point on the runtime's monotonic clock at which it ends; ``None`` for no such end.
        delay_ms: How long a kind that waits waits, in milliseconds.
        retry_after_s: Header ``Retry-After`` of an error, in seconds; ``None`` for none.
    """

    kind: str
    target: str
    status: int = 500
    times: int | None = None
    until: float | None = None
    delay_ms: float = 0.0
    retry_after_s: int | None = None

    def over(self, now: float) -> bool:
        """Tell whether it has ended."""
        return (self.times is not None and self.times <= 0) or (self.until is not None and now >= self.until)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of its answer beside the usual ones."""
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}

    def to_wire(self) -> dict[str, Any]:
        """Return the form in which it is listed; only what its kind makes use of."""
        found: dict[str, Any] = {"target": self.target, "kind": self.kind, "times": self.times}
        if self.kind in _ANSWERING:
            found |= {"status": self.status, "retry_after_s": self.retry_after_s}
        if self.kind in _WAITING:
            found["delay_ms"] = self.delay_ms
        return found


class Faults:
    """The faults of one platform, used up in the order in which they were added.

    Args:
        runtime: Whose clock and work they use.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = Lock()
        self._active: list[Fault] = []

    def add(
        self,
        kind: str,
        *,
        target: str,
        status: int = 500,
        times: int | None = None,
        for_ms: float | None = None,
        delay_ms: float | None = None,
        retry_after_s: int | None = None,
    ) -> Fault:
        """Add a fault.

        Args:
            kind: One of ``KINDS``.
            target: ``"firehose"``, ``"api"`` or ``"delivery"``.
            status: HTTP status of an ``"error"`` or ``"error_after"``, 429 or 500 to 599.
            times: Number of requests that it hits, at least 1.
            for_ms: How long it lasts, in milliseconds.
            delay_ms: How long a ``"delay"``, ``"reorder"`` or timeout takes, in milliseconds, up to 600,000; by
                default 1000, and 30,000 for a timeout.
            retry_after_s: ``Retry-After`` of an ``"error"`` or ``"error_after"``, in whole seconds.

        Raises:
            InvalidArgumentError: A value breaks its rule.

        Example:
            >>> platform.faults.add("error", target="firehose", status=429, retry_after_s=5, times=3)
        """
        _check_kind(kind, target)
        _check_end(times, for_ms)
        _check_answer(kind, status, retry_after_s)
        _check_delay(kind, delay_ms)
        until = None if for_ms is None else self._runtime.clock.monotonic() + for_ms / 1000
        fault = Fault(
            kind=kind,
            target=target,
            status=status,
            times=times,
            until=until,
            delay_ms=_WAITING.get(kind, 0.0) if delay_ms is None else delay_ms,
            retry_after_s=retry_after_s,
        )
        with self._lock:
            self._active.append(fault)
        return fault

    def add_wire(self, value: Any) -> Fault:
        """Add a fault in its JSON form.

        Args:
            value: For example ``{"target": "firehose", "kind": "error", "status": 500, "for_ms": 5000}``.

        Raises:
            InvalidArgumentError: A key is unknown or a value breaks its rule.
        """
        known = ("kind", *_OPTIONS)
        if not isinstance(value, Mapping) or not {"kind", "target"} <= set(value) <= set(known):
            raise InvalidArgumentError(
                f"a fault is {value!r}; it must be an object with 'kind' and 'target' and no keys beside {known}"
            )
        options = {key: value[key] for key in _OPTIONS if key == "target" or value.get(key) is not None}
        return self.add(value["kind"], **options)

    def take(self, target: str) -> Fault | None:
        """Return the fault that hits the request at hand, and count it.

        Args:
            target: What kind of request it is.
        """
        if not self._active:  # as mostly
            return None
        with self._lock:
            now = self._runtime.clock.monotonic()
            self._active = [fault for fault in self._active if not fault.over(now)]
            fault = next((each for each in self._active if each.target == target), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
            return fault

    def strike(self, fault: Fault, run: Callable[[], T], *, refuse: Callable[[Fault], T], cut: Callable[[], T]) -> T:
        """Let a fault hit a request.

        Args:
            fault: From :meth:`take`.
            run: Lets the request through and returns its answer; may be called twice, also after this returned.
            refuse: Makes the answer of an error.
            cut: Makes what is left of a broken connection.

        Returns:
            What whoever asked gets to see.
        """
        tasks, delay_s, kind = self._runtime.tasks, fault.delay_ms / 1000, fault.kind
        if kind in {DELAY, TIMEOUT_BEFORE}:
            tasks.sleep(delay_s)
        second = tasks.spawn(run, name="hull-duplicate") if kind == DUPLICATE else None
        answers = [] if kind in _STOPPING else [run()]
        if second is not None:
            tasks.wait(second, _PATIENCE_S)
        if kind == TIMEOUT_AFTER:
            tasks.sleep(delay_s)
        if kind == REORDER:
            self._later(delay_s, run)
        if kind in _HARMLESS:
            return answers[0]
        return refuse(fault) if kind in _ANSWERING else cut()

    def active(self) -> list[Fault]:
        """Return the faults that have not ended."""
        now = self._runtime.clock.monotonic()
        with self._lock:
            return [fault for fault in self._active if not fault.over(now)]

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._active = []

    def _later(self, delay_s: float, run: Callable[[], Any]) -> None:
        waits: Iterator[float] = iter((delay_s,))

        def step() -> float | None:
            wait = next(waits, None)
            if wait is None:
                run()
            return wait

        self._runtime.tasks.worker(step, name="hull-reorder").wake()


def _check_kind(kind: Any, target: Any) -> None:
    if target not in TARGETS:
        raise InvalidArgumentError(f"the fault's target is {target!r}; use one of {', '.join(TARGETS)}")
    if kind not in KINDS:
        raise InvalidArgumentError(f"the fault's kind is {kind!r}; use one of {', '.join(KINDS)}")


def _check_end(times: Any, for_ms: Any) -> None:
    if times is not None and not is_whole(times, 1):
        raise InvalidArgumentError(f"the fault's times is {times!r}; it must be a whole number of at least 1")
    if for_ms is not None and (isinstance(for_ms, bool) or not isinstance(for_ms, int | float) or not for_ms > 0):
        raise InvalidArgumentError(f"the fault's for_ms is {for_ms!r}; it must be a number above 0")


def _check_answer(kind: str, status: Any, retry_after_s: Any) -> None:
    if not (is_whole(status, 429, 429) or is_whole(status, 500, 599)):
        raise InvalidArgumentError(f"the fault's status is {status!r}; it must be 429, or 500 to 599")
    if retry_after_s is None:
        return
    if kind not in _ANSWERING:
        raise InvalidArgumentError(
            f"retry_after_s is for {' and '.join(_ANSWERING)}; {kind!r} has no answer of its own"
        )
    if not is_whole(retry_after_s, 0):
        raise InvalidArgumentError(
            f"the fault's retry_after_s is {retry_after_s!r}; it must be a whole number of at least 0"
        )


def _check_delay(kind: str, delay_ms: Any) -> None:
    if delay_ms is None:
        return
    if kind not in _WAITING:
        raise InvalidArgumentError(f"delay_ms is for {', '.join(_WAITING)}; {kind!r} does not wait")
    if isinstance(delay_ms, bool) or not isinstance(delay_ms, int | float) or not 0 < delay_ms <= _LONGEST_DELAY_MS:
        raise InvalidArgumentError(
            f"the fault's delay_ms is {delay_ms!r}; it must be above 0 and at most {_LONGEST_DELAY_MS:g}"
        )
