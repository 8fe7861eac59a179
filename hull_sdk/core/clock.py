"""The door to time: clocks, and the formats in which times travel.

Everything that asks for the time asks a :class:`Clock`. Times inside the package are Unix seconds
(``float``) or aware UTC datetimes; the functions here are the only ones that read and write their text forms.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

__all__ = [
    "VIRTUAL_START",
    "Clock",
    "OffsetClock",
    "SystemClock",
    "VirtualClock",
    "iso_millis",
    "iso_seconds",
    "parse_http_date",
    "parse_time",
]

#: Where a virtual clock starts unless it is told otherwise.
VIRTUAL_START: Final = datetime(2024, 1, 1, tzinfo=UTC)

#: Numbers below this are Unix seconds, the others Unix milliseconds.
SECONDS_LIMIT: Final = 10**11

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?", re.DOTALL)
_SPACED_ZONE = re.compile(r"\s+(UTC|Z|[+-]\d{2}:?\d{2})$")


class Clock(ABC):
    """Tells the time; pass one where a component takes ``clock=``."""

    @abstractmethod
    def time(self) -> float:
        """Return the current time in Unix seconds, for example ``1704448800.25``."""

    @abstractmethod
    def monotonic(self) -> float:
        """Return seconds that never run backwards, for measuring durations."""

    @property
    def steady(self) -> bool:
        """``True`` when nobody sets it, and it stands still for nobody, without saying so: machines' clocks are not."""
        return False

    def now(self) -> datetime:
        """Return the current time as an aware UTC datetime."""
        return datetime.fromtimestamp(self.time(), UTC)


class SystemClock(Clock):
    """The machine's own clock."""

    def time(self) -> float:
        """Return the machine's time in Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class VirtualClock(Clock):
    """A clock that stands still until somebody moves it.

    Args:
        start: Aware datetime at which it starts; 2024-01-01T00:00:00Z by default.
    """

    def __init__(self, start: datetime = VIRTUAL_START) -> None:
        self._start = start.timestamp()
        self._elapsed = 0.0

    @property
    def steady(self) -> bool:
        """``True``: whoever moves it does what falls due on the way."""
        return True

    def time(self) -> float:
        """Return the virtual time in Unix seconds."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Return the virtual seconds since the start."""
        return self._elapsed

    def move_to(self, monotonic_s: float) -> None:
        """Move forward to a point on :meth:`monotonic`; a point in the past changes nothing.

        Args:
            monotonic_s: Seconds since the start, for example ``3600.0``.
        """
        self._elapsed = max(self._elapsed, monotonic_s)


class OffsetClock(Clock):
    """Another clock, shifted: moves domain time without touching the clock underneath.

    Args:
        base: The clock underneath.
    """

    def __init__(self, base: Clock) -> None:
        self.base = base
        self.offset_s: float = 0.0

    @property
    def steady(self) -> bool:
        """As the clock underneath; whoever shifts this one says so."""
        return self.base.steady

    def time(self) -> float:
        """Return the shifted time in Unix seconds."""
        return self.base.time() + self.offset_s

    def monotonic(self) -> float:
        """Return the shifted monotonic seconds."""
        return self.base.monotonic() + self.offset_s

    def shift(self, seconds: float) -> None:
        """Move forward by ``seconds``, for example ``60.0``."""
        self.offset_s += seconds


def iso_millis(moment: datetime | float) -> str:
    """Write a time the way firehose messages carry it.

    Args:
        moment: Aware datetime or Unix seconds.

    Returns:
        For example ``"2024-01-05T10:00:01.000Z"``.
    """
    if isinstance(moment, datetime):
        return _iso(moment, "milliseconds")
    return _iso_of(round(moment * 1e6) // 1000)


def iso_seconds(moment: datetime | float) -> str:
    """Write a time the way reports carry it.

    Args:
        moment: Aware datetime or Unix seconds.

    Returns:
        For example ``"2024-01-05T10:00:01Z"``.
    """
    if isinstance(moment, datetime):
        return _iso(moment, "seconds")
    return _iso_second_of(moment)


def parse_time(value: Any) -> datetime | None:
    """Read a time in any form that the protocol knows (section "Dates" of ``docs/protocol.md``).

    Args:
        value: ISO 8601 text with ``T`` or a blank, with or without a zone (then UTC); Unix seconds or
            milliseconds as a number or as text; an aware or naive datetime.

    Returns:
        An aware UTC datetime, or ``None`` when the value is no time.
    """
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _from_number(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not _ISO_DATE.fullmatch(text):
        return _from_number(float(text)) if _NUMBER.fullmatch(text) else None
    if len(text.split()) > 1:
        text = _SPACED_ZONE.sub(_join_zone, text)
    try:
        return _in_utc(datetime.fromisoformat(text))
    except ValueError:
        return None


def parse_http_date(text: str) -> datetime | None:
    """Read the date form of HTTP headers, for example ``"Fri, 05 Jan 2024 10:00:00 GMT"``."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to load; whoever has a socket has it already

    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _join_zone(match: re.Match[str]) -> str:
    return "Z" if match[1] in {"UTC", "Z"} else match[1]


@lru_cache(maxsize=16)  # what is sent together was mostly made in the same few milliseconds
def _iso_of(millis: int) -> str:
    seconds, rest = divmod(millis, 1000)
    return f"{_start_of(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=16)  # one moment stands in several fields of a report
def _iso_second_of(moment: float) -> str:
    return f"{_start_of(round(moment * 1e6) // 1_000_000)}Z"


@lru_cache(maxsize=16)
def _start_of(seconds: int) -> str:
    return _iso(seconds, "seconds").removesuffix("Z")


def _iso(moment: datetime | float, unit: Literal["seconds", "milliseconds"]) -> str:
    moment = moment.astimezone(UTC) if isinstance(moment, datetime) else datetime.fromtimestamp(moment, UTC)
    return moment.isoformat("T", unit).removesuffix("+00:00") + "Z"


def _in_utc(moment: datetime) -> datetime | None:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first or last day of the calendar, in another zone
        return None


def _from_number(number: float) -> datetime | None:
    try:
        seconds = float(number) if abs(number) < SECONDS_LIMIT else number / 1000
        return _EPOCH + timedelta(0, seconds)
    except (OverflowError, ValueError):  # too large, infinite or NaN
        return None
