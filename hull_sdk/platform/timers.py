"""Timers: when a schedule is due, by a cron line in a time zone or by an interval.

Rules: section "Schedules" of ``docs/protocol.md``. Intervals count from the installation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from hull_sdk.platform.packing import pack
from hull_sdk.wire.manifest import Schedule

__all__ = ["Timer", "next_time"]

#: A clock that was set back by more than this, in seconds, is followed: what was due before is due again.
SET_BACK_S: Final = 3 * 3600.0


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
    return _intervals(schedule, after, start) if schedule.type == "interval" else _cron_times(schedule, after)


def _intervals(schedule: Schedule, after: float, start: float) -> Iterator[float]:
    step = float(schedule.value) * 60
    while True:
        after = start + (math.floor((after - start) / step + 1e-9) + 1) * step
        yield after


def _cron_times(schedule: Schedule, after: float) -> Iterator[float]:
    # The library steps through UTC itself without asking whether clocks are set there.
    zone = UTC if schedule.timezone == "UTC" else ZoneInfo(schedule.timezone)
    moment = datetime.fromtimestamp(after, zone)
    with suppress(CronSimError):
        for found in CronSim(schedule.value, moment):
            due_at = found.timestamp()
            if due_at > after:  # where clocks are set back, a line that comes once may name the first of two moments
                after = due_at
                yield due_at


class Timer:
    """When a schedule is due; a cron line is parsed once, as long as no time is missed.

    Args:
        schedule: What it follows.
        start: Unix seconds from which it counts.
    """

    def __init__(self, schedule: Schedule, start: float) -> None:
        self.schedule = schedule
        self._start = start
        self._looked_at = start
        self._times: Iterator[float] = iter(())
        #: Unix seconds of the next due time; ``None`` when there is none.
        self.due_at: float | None = self._after(start)

    def packed(self) -> dict[str, Any]:
        """Return schedule and times as plain data."""
        return {
            "schedule": pack(self.schedule),
            "start": self._start,
            "looked_at": self._looked_at,
            "due_at": self.due_at,
        }

    def go_on(self, plain: Mapping[str, Any]) -> None:
        """Take over the times that were saved."""
        self._start, self._looked_at, self.due_at = plain["start"], plain["looked_at"], plain["due_at"]
        self._times = iter(())

    def look(self, now: float) -> float | None:
        """Return the next due time, ``None`` when there is none; follow a clock that was set back.

        Args:
            now: Unix seconds.
        """
        if now < self._looked_at - SET_BACK_S:
            self._times = iter(())
            self.due_at, self._looked_at = self._after(now), now
        self._looked_at = max(self._looked_at, now)
        return self.due_at

    def take(self, moment: float) -> None:
        """Move on to the first due time after a moment."""
        self.due_at = self._after(moment)

    def _after(self, moment: float) -> float | None:
        found = next(self._times, None)
        if found is None or found <= moment:
            self._times = _times(self.schedule, moment, self._start)
            found = next(self._times, None)
        return found
