"""Schedules: paths of a connector that the platform calls again and again.

Rules: section "Manifest" of ``docs/protocol.md``. Cron lines are read in UTC, intervals count from the
installation. Calls of one schedule never overlap; times missed while the platform slept, or while a call took too long,
are made up for by one call.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

from cronsim import CronSim, CronSimError

from hull_sdk.core.clock import Clock, iso_millis
from hull_sdk.core.logs import emit
from hull_sdk.core.net import Request
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import RLock, Worker
from hull_sdk.platform.carrier import ANSWER_BYTES, Carrier
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.history import History
from hull_sdk.platform.packing import pack
from hull_sdk.wire.manifest import Schedule

__all__ = ["ScheduleRun", "Schedules", "next_time"]

_log = logging.getLogger(__name__)

#: Longest wait for the answer of a scheduled call, in seconds.
TIMEOUT_S: Final = 300.0

#: A due time that comes this soon, in seconds, has come: clocks are no more exact.
_TICK_S: Final = 0.001


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


def next_time(schedule: Schedule, after: float, start: float) -> float | None:
    """Return when a schedule is due next.

    Args:
        schedule: Cron line or interval.
        after: Unix seconds; the answer is later than this.
        start: Unix seconds from which intervals count.

    Returns:
        Unix seconds; ``None`` when the cron line never comes again.
    """
    return next(_times(schedule, after, start), None)


def _times(schedule: Schedule, after: float, start: float) -> Iterator[float]:
    if schedule.type == "interval":
        step = float(schedule.value) * 60
        while True:
            after = start + (int((after - start) / step + 1e-9) + 1) * step
            yield after
    with suppress(CronSimError):
        for moment in CronSim(schedule.value, datetime.fromtimestamp(after, UTC)):
            yield moment.timestamp()


class _Timer:
    """When a schedule of a connector is due; a cron line is parsed once, as long as no time is missed."""

    def __init__(self, connector: Connector, schedule: Schedule, start: float) -> None:
        self.connector = connector
        self.schedule = schedule
        self._start = start
        self._times: Iterator[float] = iter(())
        self._request: Request | None = None
        self._host: str | None = None
        self.due_at = self._after(start)

    def packed(self) -> dict[str, Any]:
        """Return schedule and times as plain data."""
        return {"schedule": pack(self.schedule), "start": self._start, "due_at": self.due_at}

    def go_on(self, plain: Mapping[str, Any]) -> None:
        """Take over the times that were saved."""
        self._start, self.due_at, self._times = plain["start"], plain["due_at"], iter(())

    def request(self, host: str) -> Request:
        """Return the call, which names the organization's host; it changes only with that."""
        if self._request is None or self._host != host:
            self._request, self._host = _call_of(self.connector, self.schedule, host), host
        return self._request

    def take(self, due_at: float, now: float) -> float:
        """Return the time that has come, and move on to the next one that has not."""
        self.due_at = self._after(max(now, due_at))
        return due_at

    def _after(self, moment: float) -> float | None:
        found = next(self._times, None)
        if found is None or found <= moment:
            self._times = _times(self.schedule, moment, self._start)
            found = next(self._times, None)
        return found


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
        self._workers: dict[str, list[Worker]] = {}
        self._timers: dict[str, list[_Timer]] = {}
        #: The latest calls, in order.
        self.runs: History[ScheduleRun] = History(history)

    def packed(self) -> dict[str, Any]:
        """Return when everything is due as plain data."""
        return {connector_id: pack(timers) for connector_id, timers in self._timers.items()}

    def start(self, connector: Connector, known: Iterable[Mapping[str, Any]] = ()) -> None:
        """Follow a connector's manifest, in place of what it said before.

        Args:
            connector: Whose.
            known: What :meth:`packed` returned for it: these schedules go on where they were.
        """
        self.stop(connector.id)
        now = self._clock.time()
        timers = [_Timer(connector, each, now) for each in connector.schedules()]
        for timer, saved in itertools.product(timers, known):
            if saved["schedule"] == pack(timer.schedule):
                timer.go_on(saved)
        workers = [
            self._runtime.tasks.worker(
                functools.partial(self._step, timer),
                name=f"hull-schedule-{connector.id}-{timer.schedule.url}",
                background=True,
            )
            for timer in timers
        ]
        with self._lock:
            self._workers[connector.id], self._timers[connector.id] = workers, timers
        for worker in workers:
            worker.wake()

    def stop(self, connector_id: str) -> None:
        """Call a connector's schedules no more."""
        with self._lock:
            workers = self._workers.pop(connector_id, [])
            self._timers.pop(connector_id, None)
        for worker in workers:
            worker.stop()

    def wake(self) -> None:
        """Look at every schedule again, after domain time was moved."""
        with self._lock:
            workers = [worker for each in self._workers.values() for worker in each]
        for worker in workers:
            worker.wake()

    def close(self) -> None:
        """Call nothing any more."""
        for connector_id in list(self._workers):
            self.stop(connector_id)

    def _step(self, timer: _Timer) -> float | None:
        now = self._clock.time()
        if timer.due_at is None:
            return None
        if timer.due_at - now > _TICK_S:
            return timer.due_at - now
        self._call(timer, timer.take(timer.due_at, now), now)
        return 0.0

    def _call(self, timer: _Timer, due_at: float, now: float) -> None:
        connector = timer.connector
        reply = self._carrier.send(connector, timer.request(self._dialled_host()))
        run = ScheduleRun(
            sequence=self._next_sequence(),
            organization=self._host,
            connector_id=connector.id,
            url=timer.schedule.url,
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


def _call_of(connector: Connector, schedule: Schedule, host: str) -> Request:
    credentials = {"ship": connector.id, "id": connector.id, "organization": host, "secret": connector.secret}
    return Request(
        method="POST",
        url=connector.url_of(schedule.url, credentials),
        headers={"Content-Type": "application/json"},
        body=b"{}",
        timeout_s=TIMEOUT_S,
        max_bytes=ANSWER_BYTES,
    )
