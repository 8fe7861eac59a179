"""Faults on purpose: what a test can break between the platform and those who talk to it.

A fault has a kind, a target (``"firehose"``, ``"api"`` or ``"delivery"``), and an end: a number of requests, a
duration, or neither (until :meth:`Faults.clear`). Durations run on the machine's (or the virtual) clock, which moving
domain time leaves alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import InvalidArgumentError

__all__ = ["DROP_AFTER", "DROP_BEFORE", "DUPLICATE", "ERROR", "KINDS", "TARGETS", "Fault", "Faults"]

#: Answered with a 5xx; nothing is applied.
ERROR: Final = "error"
#: The connection breaks before anything is applied.
DROP_BEFORE: Final = "drop_before"
#: Everything is applied, but the answer is lost.
DROP_AFTER: Final = "drop_after"
#: The same notification is sent a second time while the first is on its way; deliveries only.
DUPLICATE: Final = "duplicate"

KINDS: Final = (ERROR, DROP_BEFORE, DROP_AFTER, DUPLICATE)
TARGETS: Final = ("firehose", "api", "delivery")


@dataclass(slots=True)
class Fault:
    """One fault.

    Args:
        target: Which requests.
        kind: What happens to them.
        status: HTTP status of an ``"error"``.
        times: How many requests are left; ``None`` for no such end.
        until: Point on the runtime's monotonic clock at which it ends; ``None`` for no such end.
    """

    target: str
    kind: str
    status: int = 500
    times: int | None = None
    until: float | None = None

    def over(self, now: float) -> bool:
        """Tell whether it has ended."""
        return (self.times is not None and self.times <= 0) or (self.until is not None and now >= self.until)

    def to_wire(self) -> dict[str, Any]:
        """Return the form in which it is listed."""
        return {"target": self.target, "kind": self.kind, "status": self.status, "times": self.times}


class Faults:
    """The faults of one platform, used up in the order in which they were added.

    Args:
        runtime: Whose clock durations run on.
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
    ) -> Fault:
        """Add a fault.

        Args:
            kind: One of :data:`KINDS`.
            target: ``"firehose"``, ``"api"`` or ``"delivery"``.
            status: HTTP status of an ``"error"``, 500 to 599.
            times: Number of requests that it hits, at least 1.
            for_ms: How long it lasts, in milliseconds.

        Raises:
            InvalidArgumentError: A value breaks its rule.

        Example:
            >>> platform.faults.add("error", target="firehose", status=503, times=3)
        """
        _check(target, kind, status, times, for_ms)
        until = None if for_ms is None else self._runtime.clock.monotonic() + for_ms / 1000
        fault = Fault(target, kind, status, times, until)
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
        known = ("kind", "target", "status", "times", "for_ms")
        if not isinstance(value, Mapping) or not {"kind", "target"} <= set(value) <= set(known):
            raise InvalidArgumentError(
                f"a fault is {value!r}; it must be an object with 'kind' and 'target' and no keys beside {known}"
            )
        options = {key: value[key] for key in known[1:] if value.get(key) is not None}
        return self.add(value["kind"], **options)

    def take(self, target: str) -> Fault | None:
        """Return the fault that hits the request at hand, and count it.

        Args:
            target: What kind of request it is.
        """
        with self._lock:
            now = self._runtime.clock.monotonic()
            self._active = [fault for fault in self._active if not fault.over(now)]
            fault = next((each for each in self._active if each.target == target), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
            return fault

    def active(self) -> list[Fault]:
        """Return the faults that have not ended."""
        now = self._runtime.clock.monotonic()
        with self._lock:
            return [fault for fault in self._active if not fault.over(now)]

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._active = []


def _check(target: Any, kind: Any, status: Any, times: Any, for_ms: Any) -> None:
    if target not in TARGETS:
        raise InvalidArgumentError(f"the fault's target is {target!r}; use one of {', '.join(TARGETS)}")
    if kind not in KINDS:
        raise InvalidArgumentError(f"the fault's kind is {kind!r}; use one of {', '.join(KINDS)}")
    if kind == DUPLICATE and target != "delivery":
        raise InvalidArgumentError(f"{DUPLICATE!r} is for the target 'delivery'; {target!r} has {', '.join(KINDS[:3])}")
    if isinstance(status, bool) or not isinstance(status, int) or not 500 <= status <= 599:
        raise InvalidArgumentError(f"the fault's status is {status!r}; it must be 500 to 599")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise InvalidArgumentError(f"the fault's times is {times!r}; it must be a whole number of at least 1")
    if for_ms is not None and (isinstance(for_ms, bool) or not isinstance(for_ms, int | float) or not for_ms > 0):
        raise InvalidArgumentError(f"the fault's for_ms is {for_ms!r}; it must be a number above 0")
