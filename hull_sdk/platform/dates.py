"""Relative dates in queries, such as ``now-30d`` or ``now-1M/M``.

Rules: section "Queries" of ``docs/protocol.md``.
"""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta
from typing import Any, Final

from hull_sdk.core.clock import parse_time
from hull_sdk.errors import InvalidArgumentError

__all__ = ["is_relative", "parse_bound"]

_RELATIVE: Final = re.compile(r"now((?:[+-]\d{1,6}[yMwdhHms])*)(?:/([yMwdhHms]))?")
_STEP: Final = re.compile(r"([+-])(\d+)([yMwdhHms])")
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "H": 3_600, "m": 60, "s": 1}
_MONTHS: Final = {"y": 12, "M": 1}


def is_relative(value: Any) -> bool:
    """Tell whether a bound counts from now."""
    return isinstance(value, str) and value.startswith("now")


def parse_bound(value: Any, now: datetime) -> datetime | None:
    """Read a date of a query.

    Args:
        value: ISO 8601 text, Unix time, or ``now`` with steps and rounding: ``now-30d``, ``now+1h``, ``now-1d/d``
            (y years, M months, w weeks, d days, h hours, m minutes, s seconds).
        now: Aware datetime to count from.

    Returns:
        An aware UTC datetime, or ``None`` when the value is no date.

    Raises:
        InvalidArgumentError: It begins with ``now`` and cannot be read.
    """
    if not is_relative(value):
        return parse_time(value)
    match = _RELATIVE.fullmatch(value)
    if match is None:
        raise InvalidArgumentError(f"{value!r} is no relative date; write it like 'now-30d', 'now+1h' or 'now-1d/d'")
    moment = now
    try:
        for sign, amount, unit in _STEP.findall(match[1]):
            moment = _shift(moment, int(sign + amount), unit)
    except (OverflowError, ValueError) as err:
        raise InvalidArgumentError(f"{value!r} leaves the calendar (years 1 to 9999); use a smaller step") from err
    return moment if match[2] is None else _round(moment, match[2])


def _shift(moment: datetime, amount: int, unit: str) -> datetime:
    if unit in _SECONDS:
        return moment + timedelta(seconds=amount * _SECONDS[unit])
    months = moment.year * 12 + moment.month - 1 + amount * _MONTHS[unit]
    year, month = divmod(months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _round(moment: datetime, unit: str) -> datetime:
    moment = moment.replace(microsecond=0)
    if unit == "s":
        return moment
    moment = moment.replace(second=0)
    if unit == "m":
        return moment
    moment = moment.replace(minute=0)
    if unit in "hH":
        return moment
    moment = moment.replace(hour=0)
    if unit == "w":
        return moment - timedelta(days=moment.weekday())
    if unit == "M":
        return moment.replace(day=1)
    return moment.replace(month=1, day=1) if unit == "y" else moment
