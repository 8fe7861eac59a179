"""Due times: cron lines in time zones, where clocks change, and clocks that are set."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from delivery_kit import FakeConnector
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.clock import Clock, VirtualClock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform import Platform
from hull_sdk.platform.timers import SET_BACK_S, Timer, next_time
from hull_sdk.wire.manifest import Schedule, load_manifest, schedules

#: Zone, cron line, local day, and the due times of that day, each as it is told there.
CHANGES = [
    # Clocks go from 02:00 to 03:00: what is skipped comes at the first moment that there is.
    ("Europe/Paris", "30 2 * * *", "2026-03-29", ["03:00+02:00"]),
    ("Europe/Paris", "0 2,3 * * *", "2026-03-29", ["03:00+02:00"]),
    ("Europe/Paris", "59 1 * * *", "2026-03-29", ["01:59+01:00"]),
    ("Europe/Paris", "0 9 * * *", "2026-03-29", ["09:00+02:00"]),
    ("Europe/Paris", "*/30 2 * * *", "2026-03-29", []),
    ("Europe/Paris", "0 */2 * * *", "2026-03-29", [f"{h:02}:00{'+01:00' if h < 2 else '+02:00'}" for h in (0, *range(4, 24, 2))]),
    # From 03:00 to 02:00: a named time comes once, the first time; what has a star comes whenever clocks show it.
    ("Europe/Paris", "30 2 * * *", "2026-10-25", ["02:30+02:00"]),
    ("Europe/Paris", "0 3 * * *", "2026-10-25", ["03:00+01:00"]),
    ("Europe/Paris", "*/30 2 * * *", "2026-10-25", ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]),
    ("Europe/Paris", "0 9 * * *", "2026-10-25", ["09:00+01:00"]),
    # Other continents, the other half of the year, and the other direction of a day.
    ("America/New_York", "15 2 * * *", "2026-03-08", ["03:00-04:00"]),
    ("America/New_York", "15 1 * * *", "2026-11-01", ["01:15-04:00"]),
    ("Australia/Sydney", "30 2 * * *", "2026-10-04", ["03:00+11:00"]),
    ("Australia/Sydney", "30 2 * * *", "2026-04-05", ["02:30+11:00"]),
    ("America/Santiago", "0 0 * * *", "2026-09-06", ["01:00-03:00"]),
    # Half hours: the whole zone, and the change itself.
    ("Asia/Kolkata", "0 9 * * *", "2026-03-29", ["09:00+05:30"]),
    ("Asia/Kathmandu", "0 */12 * * *", "2026-03-29", ["00:00+05:45", "12:00+05:45"]),
    ("America/St_Johns", "30 2 * * *", "2026-03-08", ["03:00-02:30"]),
    ("America/St_Johns", "30 1 * * *", "2026-11-01", ["01:30-02:30"]),
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-04", ["02:30+11:00"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2026-04-05", ["01:45+11:00"]),
    ("Australia/Lord_Howe", "*/15 1 * * *", "2026-04-05", ["01:00+11:00", "01:15+11:00", "01:30+11:00", "01:45+11:00", "01:30+10:30", "01:45+10:30"]),
    # Zones that change nothing.
    ("UTC", "30 2 * * *", "2026-03-29", ["02:30+00:00"]),
    ("Asia/Tokyo", "30 2 * * *", "2026-10-25", ["02:30+09:00"]),
]  # fmt: skip


def due_on(zone: str, line: str, day: str) -> list[float]:
    """Return the due times of a local day, in Unix seconds."""
    start = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo(zone))
    end = (start + timedelta(days=1)).timestamp()
    timer, found = Timer(Schedule("/x", "cron", line, zone), start.timestamp() - 1), []
    while timer.due_at is not None and timer.due_at < end:
        found.append(timer.due_at)
        timer.take(timer.due_at)
    return found


@pytest.mark.parametrize(("zone", "line", "day", "expected"), CHANGES)
def test_a_cron_line_means_the_clocks_of_its_zone(zone, line, day, expected):
    """On days on which clocks are changed too: a skipped time comes right after, and a repeated one once."""
    told = [datetime.fromtimestamp(each, ZoneInfo(zone)) for each in due_on(zone, line, day)]
    assert [each.isoformat(timespec="minutes").partition("T")[2] for each in told] == expected


ZONES = ("Europe/Paris", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")


@given(
    st.sampled_from(ZONES),
    st.sampled_from(["*", "*/20", "0", "15,45"]),
    st.sampled_from(["*", "*/3", "1-3"]),
    st.integers(0, 364),
)
def test_a_line_with_a_star_comes_whenever_the_clocks_show_it(zone, minute, hour, day):
    """Held against a look at the clock each minute, at any three days of a year."""
    if "*" not in (minute[0], hour[0]):
        minute = "*/5"
    start = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).timestamp()
    minutes, hours = matching(minute, 60), matching(hour, 24)
    local = [(start + 60 * n, datetime.fromtimestamp(start + 60 * n, ZoneInfo(zone))) for n in range(1, 3 * 1440)]
    expected = [at for at, moment in local if moment.minute in minutes and moment.hour in hours]
    assert due_between(Schedule("/x", "cron", f"{minute} {hour} * * *", zone), start, start + 3 * 86_400) == expected


@given(st.sampled_from(ZONES), st.integers(0, 59), st.integers(0, 23), st.integers(0, 360))
def test_a_named_time_comes_once_a_day(zone, minute, hour, day):
    """Every local day has it once, whatever is done to the clocks, and each due time is later than the one before."""
    start = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).timestamp()
    found = due_between(Schedule("/x", "cron", f"{minute} {hour} * * *", zone), start, start + 4 * 86_400)
    days = [datetime.fromtimestamp(each, ZoneInfo(zone)).date() for each in found]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))
    assert all(later > earlier for earlier, later in pairwise(found))
    assert len(found) in {3, 4, 5}


@given(
    st.sampled_from(ZONES),
    st.sampled_from(["30 1 * * *", "15,45 2 * * *", "*/20 * * * *", "0 */2 * * *"]),
    st.integers(0, 86_400),
)
def test_the_next_time_is_later_wherever_one_looks_from(zone, line, second):
    """Also from within the hour that comes twice, and for one that looks from any second."""
    for day in ("2026-10-24", "2026-11-01", "2026-04-04", "2026-03-29"):
        after = datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp() + second
        found = next_time(Schedule("/x", "cron", line, zone), after, 0)
        assert after < found <= after + 26 * 3600


def due_between(schedule, start, end):
    """Return the due times in between, found one after the other."""
    timer = Timer(schedule, start)

    def times():
        while True:
            yield timer.due_at
            timer.take(timer.due_at)

    return list(takewhile(lambda each: each < end, times()))


def matching(field, size):
    """Return the numbers that a field of a cron line stands for."""
    if field.startswith("*"):
        return range(0, size, int(field.partition("/")[2] or 1))
    if "-" in field:
        first, last = map(int, field.split("-"))
        return range(first, last + 1)
    return [int(each) for each in field.split(",")]


# A manifest may leave the zone to a setting.


def entry(**more):
    """Return a schedule at nine."""
    return {"url": "/x", "type": "cron", "value": "0 9 * * *", **more}


@pytest.mark.parametrize(
    ("more", "settings", "zone"),
    [
        ({}, {}, "UTC"),
        ({"timezone": "Europe/Paris"}, {}, "Europe/Paris"),
        ({"timezone": "Europe/Paris", "timezone_from": "zone"}, {"zone": "Asia/Tokyo"}, "Asia/Tokyo"),
        ({"timezone": "Europe/Paris", "timezone_from": "private_settings.zone"}, {"zone": "Mars/Base"}, "Europe/Paris"),
        ({"timezone_from": "zone"}, {"zone": "../../etc/passwd"}, "UTC"),
        ({"timezone_from": "zone"}, {"zone": "Europe"}, "UTC"),
        ({"timezone_from": "zone"}, {"zone": None}, "UTC"),
        ({"type": "interval", "value": "5", "timezone": "Europe/Paris"}, {}, "UTC"),
    ],
)
def test_the_zone_of_a_schedule(more, settings, zone):
    """It is the setting's that the manifest names, else its own, else UTC; what is no zone is passed over."""
    manifest = load_manifest({"schedules": [entry(**more)]})
    (found,) = schedules(manifest, {"private_settings": settings, "settings": {}})
    assert found.timezone == zone


def test_an_unknown_zone_is_refused():
    """The error names the key, the value's kind and an example."""
    with pytest.raises(InvalidArgumentError, match=re.escape("$.schedules[0].timezone is ")) as caught:
        load_manifest({"schedules": [entry(timezone="Mars/Base")]})
    assert "Europe/Paris" in caught.value.message


def test_a_connector_is_called_at_its_local_time(platform, organization):
    """Nine in the morning in Paris stays nine in the morning, when the setting says so and when clocks change."""
    fake = FakeConnector({"schedules": [entry(timezone_from="private_settings.zone")]})
    connector = organization.install(fake, private_settings={"zone": "Europe/Paris"})
    platform.advance(days=120)
    due = [datetime.fromtimestamp(run.due_at, ZoneInfo("Europe/Paris")) for run in platform.schedule_runs]
    assert len(fake.paths("/x")) == len(due) == 120
    assert {(each.hour, each.minute) for each in due} == {(9, 0)}
    assert len({each.utcoffset() for each in due}) == 2
    organization.update_connector(connector, {"private_settings": {"zone": "Asia/Tokyo"}})
    platform.advance(days=2)
    assert datetime.fromtimestamp(platform.schedule_runs[-1].due_at, ZoneInfo("Asia/Tokyo")).hour == 9


# What happens after time has jumped.

HOURLY = {"schedules": [{"url": "/hourly", "type": "cron", "value": "0 * * * *"}]}


class SetClock(Clock):
    """A wall clock that somebody sets; the monotonic one goes on as it did."""

    def __init__(self, base):
        self.base, self.offset = base, 0.0

    def time(self):
        return self.base.time() + self.offset

    def monotonic(self):
        return self.base.monotonic()


@pytest.fixture
def hourly(platform, organization, monkeypatch):
    """A connector with an hourly schedule, and the domain's wall clock, which can be set."""
    clock = SetClock(organization.schedules._clock)
    monkeypatch.setattr(organization.schedules, "_clock", clock)
    fake = FakeConnector(HOURLY)
    organization.install(fake)
    return clock, fake


def test_a_clock_set_forward_over_due_times_is_noticed_and_causes_one_call(platform, hourly):
    """Nobody has to say so: within a quarter of an hour there is one call for all that was missed, then one an hour."""
    clock, fake = hourly
    platform.advance(hours=1)
    clock.offset += 30 * 3600 + 600
    platform.advance(minutes=15)
    assert len(fake.paths("/hourly")) == 2
    platform.advance(hours=3)
    assert len(fake.paths("/hourly")) == 5
    late = platform.schedule_runs[1]
    assert late.due_at < late.at - 28 * 3600


def test_a_clock_set_back_a_little_repeats_no_due_time(platform, hourly):
    """What was called stays called; the next call is at the first due time that was not."""
    clock, fake = hourly
    platform.advance(hours=2)
    clock.offset -= 1800 + 3600
    platform.advance(minutes=85)
    assert len(fake.paths("/hourly")) == 2
    platform.advance(minutes=65)
    assert len(fake.paths("/hourly")) == 3
    due = [run.due_at for run in platform.schedule_runs]
    assert [round(later - earlier) for earlier, later in pairwise(due)] == [3600, 3600]


def test_a_clock_set_back_far_is_followed(platform, hourly):
    """A clock that was a year ahead does not silence a schedule for a year."""
    clock, fake = hourly
    clock.offset += 365 * 86_400
    platform.advance(hours=2)
    before = len(fake.paths("/hourly"))
    clock.offset -= 365 * 86_400
    platform.advance(hours=3)
    assert len(fake.paths("/hourly")) == before + 3


def test_an_interval_follows_too_and_keeps_its_rhythm():
    """Its due times count from the installation, before and after a clock is set, also to before it was installed."""
    timer = Timer(Schedule("/x", "interval", "10"), 1_000_000.0)
    assert timer.look(1_000_000.0 - SET_BACK_S - 1) == 1_000_000.0 - SET_BACK_S
    assert timer.look(1_000_000.0 - SET_BACK_S - 1_000) == 1_000_000.0 - SET_BACK_S


def test_what_stays_as_it_was_goes_on_as_it_was(platform, organization):
    """A changed setting or manifest moves the schedules that it concerns; the others keep their due times."""
    other = {"url": "/other", "type": "interval", "value": "60"}
    fake = FakeConnector(
        {"schedules": [other, {"url": "/mine", "type": "interval", "value_from": "every", "default": 60}]}
    )
    connector = organization.install(fake)
    for every in (50, 40, 30):
        platform.advance(minutes=25)
        organization.update_connector(connector, {"private_settings": {"every": every}})
    assert len(fake.paths("/other")) == 1
    assert len(fake.paths("/mine")) == 0
    platform.advance(minutes=25)
    organization.update_manifest(connector)
    platform.advance(minutes=20)
    assert (len(fake.paths("/other")), len(fake.paths("/mine"))) == (2, 1)


def test_after_a_stop_there_is_one_call_for_all_that_was_missed(platform, organization, signing_key):
    """A platform that was down over five due times makes one call when it goes on, and is in step again."""
    fake = FakeConnector(HOURLY)
    organization.install(fake)
    platform.advance(hours=1)
    saved = platform.packed()
    platform.close()
    clock = VirtualClock(datetime.fromtimestamp(platform.clock.time() + 5 * 3600 + 60, UTC))
    again = Platform(clock=clock, signing_key=signing_key)
    for host, app in platform.runtime.net._apps.items():
        again.runtime.net.mount(host, app)
    again.restore(saved)
    again.advance(minutes=1)
    assert len(fake.paths("/hourly")) == 2
    again.advance(hours=2)
    assert len(fake.paths("/hourly")) == 4
    again.close()
