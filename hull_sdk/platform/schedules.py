"""Schedules: paths of a connector that the platform calls again and again.

Rules: section "Schedules" of ``docs/protocol.md``. Calls of one schedule never overlap; times missed while the
platform slept, or while a call took too long, are made up for by one call.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from hull_sdk.core.clock import Clock, iso_millis
from hull_sdk.core.logs import emit
from hull_sdk.core.net import Request
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import RLock, Worker
from hull_sdk.platform.carrier import ANSWER_BYTES, Carrier
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.history import History
from hull_sdk.platform.packing import pack
from hull_sdk.platform.timers import Timer
from hull_sdk.wire.manifest import Schedule

__all__ = ["ScheduleRun", "Schedules"]

_log = logging.getLogger(__name__)

#: Longest wait for the answer of a scheduled call, in seconds.
TIMEOUT_S: Final = 300.0

#: A due time that comes this soon, in seconds, has come: clocks are no more exact.
_TICK_S: Final = 0.001

#: A clock that is not steady is looked at this often at least, in seconds: a machine that slept, or was set, finds out.
_LOOK_S: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRun:
    """One call of a schedule.

    Args:
        sequence: Order on the whole platform.
        organization: The organization's host.
        connector_id: Whom it called.
        url: The schedule's path.
        due_at: The domain time for which it was due, in Unix seconds.
        at: The domain time at which it was made.
        status: HTTP status of the answer, ``None`` when nothing came back.
        error: Why nothing came back, or ``None``.
    """

    sequence: int
    organization: str
    connector_id: str
    url: str
    due_at: float
    at: float
    status: int | None
    error: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON, times as text."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "due_at": iso_millis(self.due_at), "at": iso_millis(self.at)}


@dataclass(eq=False, slots=True)
class _Round:
    """A schedule of a connector, the worker that calls it, and what it calls."""

    connector: Connector
    timer: Timer
    worker: Worker | None = None
    host: str | None = None
    request: Request | None = None

    def call(self, host: str) -> Request:
        """Return the call, which names the organization's host; it changes only with that."""
        if self.request is None or self.host != host:
            self.request, self.host = _call_of(self.connector, self.timer.schedule, host), host
        return self.request


class Schedules:
    """Calls the schedules of one organization's connectors.

    Args:
        host: The organization's host, for the records.
        runtime: Tasks and network.
        clock: Domain time.
        lock: The organization's lock.
        carrier: Sends the calls.
        dialled_host: Returns the host that connectors are told.
        next_sequence: Numbers the runs of the whole platform.
        history: Runs to keep; all when ``None``.
    """

    def __init__(
        self,
        host: str,
        *,
        runtime: Runtime,
        clock: Clock,
        lock: RLock,
        carrier: Carrier,
        dialled_host: Callable[[], str],
        next_sequence: Callable[[], int],
        history: int | None = None,
    ) -> None:
        self._host = host
        self._runtime = runtime
        self._clock = clock
        self._lock = lock
        self._carrier = carrier
        self._dialled_host = dialled_host
        self._next_sequence = next_sequence
        self._rounds: dict[str, list[_Round]] = {}
        #: The latest calls, in order.
        self.runs: History[ScheduleRun] = History(history)

    def packed(self) -> dict[str, Any]:
        """Return when everything is due as plain data."""
        return {connector_id: pack([each.timer for each in rounds]) for connector_id, rounds in self._rounds.items()}

    def start(self, connector: Connector) -> None:
        """Follow a connector's manifest and settings; schedules that stay as they were go on as they were."""
        with self._lock:
            old = {each.timer.schedule: each for each in self._rounds.get(connector.id, ())}
            kept = {each: found for each, found in old.items() if found.connector is connector}
            rounds = [
                kept.get(each) or self._round(connector, Timer(each, self._now())) for each in connector.schedules()
            ]
            self._rounds[connector.id] = rounds
        _stop(each for each in old.values() if each not in rounds)
        _wake(rounds)

    def restore(self, connector: Connector, known: Iterable[Mapping[str, Any]]) -> None:
        """Have the schedules of a connector go on where they were.

        Args:
            connector: Whose.
            known: What :meth:`packed` returned for it.
        """
        saved = list(known)
        with self._lock:
            for found in self._rounds.get(connector.id, ()):
                for plain in saved:
                    if plain["schedule"] == pack(found.timer.schedule):
                        found.timer.go_on(plain)
            _wake(self._rounds.get(connector.id, ()))

    def stop(self, connector_id: str) -> None:
        """Call a connector's schedules no more."""
        with self._lock:
            rounds = self._rounds.pop(connector_id, [])
        _stop(rounds)

    def wake(self) -> None:
        """Look at every schedule again, after domain time was moved."""
        with self._lock:
            rounds = [each for found in self._rounds.values() for each in found]
        _wake(rounds)

    def close(self) -> None:
        """Call nothing any more."""
        for connector_id in list(self._rounds):
            self.stop(connector_id)

    def _now(self) -> float:
        return self._clock.time()

    def _round(self, connector: Connector, timer: Timer) -> _Round:
        found = _Round(connector, timer)
        name = f"hull-schedule-{connector.id}-{timer.schedule.url}"
        found.worker = self._runtime.tasks.worker(functools.partial(self._step, found), name=name, background=True)
        return found

    def _step(self, found: _Round) -> float | None:
        with self._carrier.turn() as admitted:
            return self._look(found) if admitted else None

    def _look(self, found: _Round) -> float | None:
        now = self._now()
        due_at = found.timer.look(now)
        if due_at is not None and due_at - now <= _TICK_S:
            found.timer.take(max(now, due_at))
            self._call(found, due_at, now)
            now = self._now()  # the call took its time
            due_at = found.timer.look(now)
        if due_at is None:
            return None
        return due_at - now if self._clock.steady else min(due_at - now, _LOOK_S)

    def _call(self, found: _Round, due_at: float, now: float) -> None:
        connector = found.connector
        reply = self._carrier.send(connector, found.call(self._dialled_host()))
        run = ScheduleRun(
            sequence=self._next_sequence(),
            organization=self._host,
            connector_id=connector.id,
            url=found.timer.schedule.url,
            due_at=due_at,
            at=now,
            status=reply.status,
            error=reply.error,
        )
        with self._lock:
            self.runs.record(run)
        fine = reply.status is not None and reply.status < 400
        fields = {"connector_id": connector.id, "url": run.url, "status": run.status, "error": run.error}
        emit(_log, logging.DEBUG if fine else logging.WARNING, "schedule.called", fields)


def _stop(rounds: Iterable[_Round]) -> None:
    for each in rounds:
        if each.worker is not None:
            each.worker.stop()


def _wake(rounds: Iterable[_Round]) -> None:
    for each in rounds:
        if each.worker is not None:
            each.worker.wake()


def _call_of(connector: Connector, schedule: Schedule, host: str) -> Request:
    bare = schedule.method == "GET"
    return Request(
        method=schedule.method,
        url=connector.url_of(schedule.url, connector.credentials(host)),
        headers={} if bare else {"Content-Type": "application/json"},
        body=None if bare else b"{}",
        timeout_s=TIMEOUT_S,
        max_bytes=ANSWER_BYTES,
    )
