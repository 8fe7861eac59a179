"""Clocks, and the text forms in which times travel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.clock import (
    VIRTUAL_START,
    Clock,
    OffsetClock,
    SystemClock,
    VirtualClock,
    iso_millis,
    iso_seconds,
    parse_http_date,
    parse_time,
)

MOMENT = datetime(2024, 1, 5, 10, 0, 1, tzinfo=UTC)
moments = st.datetimes(timezones=st.just(UTC))


def test_the_system_clock_tells_the_machines_time():
    """The machine's clock tells a time after this was written, and its durations never run backwards."""
    clock = SystemClock()
    assert clock.time() > MOMENT.timestamp()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


def test_a_virtual_clock_stands_still_until_it_is_moved():
    """The clock starts where it is told, moves forward by exactly what it is told, and never back."""
    clock = VirtualClock()
    assert clock.now() == VIRTUAL_START
    clock.move_to(90.5)
    assert (clock.monotonic(), clock.now()) == (90.5, VIRTUAL_START + timedelta(seconds=90.5))
    clock.move_to(10)
    assert clock.monotonic() == 90.5


def test_a_virtual_clock_can_start_anywhere():
    """The start may be any aware moment; durations still count from zero."""
    clock = VirtualClock(MOMENT)
    assert (clock.now(), clock.monotonic()) == (MOMENT, 0.0)


def test_an_offset_clock_moves_without_its_base():
    """Shifting moves the outer clock only, and the base's own movement adds to it."""
    base = VirtualClock(MOMENT)
    clock = OffsetClock(base)
    clock.shift(60)
    base.move_to(5)
    assert (clock.monotonic(), base.monotonic()) == (65, 5)
    assert clock.now() == MOMENT + timedelta(seconds=65)


def test_every_clock_is_a_clock():
    """All three can stand where a clock is asked for."""
    assert all(issubclass(kind, Clock) for kind in (SystemClock, VirtualClock, OffsetClock))


def test_a_clock_says_whether_it_moves_only_as_announced():
    """The machine's clock may be set without a word; a virtual one is not, and a shifted one is as the one beneath."""
    clocks = (SystemClock(), VirtualClock(), OffsetClock(SystemClock()), OffsetClock(VirtualClock()))
    assert [clock.steady for clock in clocks] == [False, True, False, True]


@pytest.mark.parametrize(
    ("moment", "millis", "seconds"),
    [
        (MOMENT, "2024-01-05T10:00:01.000Z", "2024-01-05T10:00:01Z"),
        (MOMENT.timestamp(), "2024-01-05T10:00:01.000Z", "2024-01-05T10:00:01Z"),
        (MOMENT + timedelta(microseconds=987_654), "2024-01-05T10:00:01.987Z", "2024-01-05T10:00:01Z"),
        (MOMENT.astimezone(timezone(timedelta(hours=-5))), "2024-01-05T10:00:01.000Z", "2024-01-05T10:00:01Z"),
        (datetime(33, 1, 2, tzinfo=UTC), "0033-01-02T00:00:00.000Z", "0033-01-02T00:00:00Z"),
        (0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"),
        (1704448801.999999, "2024-01-05T10:00:01.999Z", "2024-01-05T10:00:01Z"),
        (-0.25, "1969-12-31T23:59:59.750Z", "1969-12-31T23:59:59Z"),
    ],
)
def test_times_are_written_in_utc_with_four_digit_years(moment, millis, seconds):
    """Messages carry milliseconds, reports seconds; both are cut, not rounded, and always in UTC."""
    assert (iso_millis(moment), iso_seconds(moment)) == (millis, seconds)


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-05T10:00:01Z",
        "2024-01-05T10:00:01",
        "2024-01-05 10:00:01",
        "2024-01-05 10:00:01 UTC",
        "2024-01-05 10:00:01 Z",
        "2024-01-05 10:00:01 +0000",
        "2024-01-05 12:00:01 +02:00",
        "2024-01-05T12:00:01+02:00",
        "2024-01-05T05:00:01-0500",
        "2024-01-05T10:00:01.000Z",
        "  2024-01-05T10:00:01Z ",
        "1704448801",
        "1704448801.0",
        "1704448801000",
        1704448801,
        1704448801.0,
        1704448801000,
        MOMENT,
        MOMENT.replace(tzinfo=None),
        MOMENT.astimezone(timezone(timedelta(hours=3))),
    ],
)
def test_every_form_that_the_protocol_knows_is_read(text):
    """ISO 8601 with and without zone, Unix seconds and milliseconds, and datetimes give the same moment in UTC."""
    parsed = parse_time(text)
    assert parsed == MOMENT
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-05", datetime(2024, 1, 5, tzinfo=UTC)),
        (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (-86_400, datetime(1969, 12, 31, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1.25, datetime(1970, 1, 1, 0, 0, 1, 250_000, tzinfo=UTC)),
    ],
)
def test_the_borders_of_the_forms(value, expected):
    """A bare day is midnight; numbers from 10^11 are milliseconds; negative and broken seconds are kept."""
    assert parse_time(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "soon",
        "2024-13-01",
        "2024-01-05X10:00:00",
        "2024-W01-1",
        "05/01/2024",
        "\u0661\u0662\u0663",
        "1e9",
        "nan",
        [],
        {},
        float("nan"),
        float("inf"),
        -float("inf"),
        10**400,
        10**30,
        "9" * 400,
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:00:00-05:00",
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_what_is_no_time_gives_none(value):
    """Other texts, other types, numbers beyond the calendar and moments before its first day are no times."""
    assert parse_time(value) is None


@given(moments)
def test_a_written_time_is_read_back(moment):
    """Reading what was written gives the same moment, cut to milliseconds or seconds."""
    assert parse_time(iso_millis(moment)) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert parse_time(iso_seconds(moment)) == moment.replace(microsecond=0)


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.datetimes(timezones=st.timezones())))
def test_reading_a_time_never_raises(value):
    """Whatever stands where a time is expected, it is an aware moment or None."""
    parsed = parse_time(value)
    assert parsed is None or parsed.utcoffset() == timedelta(0)


def test_dates_of_http_headers_are_read():
    """The date form of HTTP headers is read, with GMT where no zone is named; others give None."""
    assert parse_http_date("Fri, 05 Jan 2024 10:00:01 GMT") == MOMENT
    assert parse_http_date("Fri, 05 Jan 2024 10:00:01 -0000") == MOMENT
    assert parse_http_date("Fri, 05 Jan 2024 12:00:01 +0200") == MOMENT
    assert [parse_http_date(text) for text in ("", "soon", "120", "Fri, 99 Jan 2024 10:00:01 GMT")] == [None] * 4


@given(st.text(max_size=60))
def test_reading_a_header_date_never_raises(text):
    """Whatever a server sends as a date gives an aware moment or None."""
    parsed = parse_http_date(text)
    assert parsed is None or parsed.tzinfo is not None
