"""Schedules: when connectors are called, and that calls never overlap."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from delivery_kit import FakeConnector

from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.ids import SeededIds
from hull_sdk.core.net import WsgiNetwork
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform import Platform
from hull_sdk.platform.timers import next_time
from hull_sdk.wire.manifest import Schedule

NOON = datetime(2024, 1, 1, 12, 0, tzinfo=UTC).timestamp()


def scheduled(*schedules):
    """Return a connector with schedules of URL, type and value."""
    return FakeConnector({"schedules": [{"url": url, "type": kind, "value": value} for url, kind, value in schedules]})


def test_a_cron_line_and_an_interval_are_called(platform, organization):
    """Both kinds are POSTed with the connector's credentials in the query, at their times."""
    fake = scheduled(("/hourly", "cron", "0 * * * *"), ("/often", "interval", "20"))
    connector = organization.install(fake)
    platform.advance(hours=3)
    assert len(fake.paths("/hourly")) == 3
    assert len(fake.paths("/often")) == 9
    method, _, query = fake.paths("/hourly")[0]
    assert method == "POST"
    assert parse_qs(query) == {
        "ship": [connector.id],
        "id": [connector.id],
        "organization": ["acme.hullapp.test"],
        "secret": [connector.secret],
    }
    runs = platform.schedule_runs
    assert [run.due_at for run in runs] == sorted(run.due_at for run in runs)
    assert all(run.status == 200 and abs(run.at - run.due_at) < 0.01 for run in runs)


def test_a_schedule_is_called_by_its_method(platform, organization):
    """GET has no body, PUT an empty object; a changed method begins the schedule anew, and an unknown one is refused."""
    entry = {"url": "/sync", "type": "interval", "value": "5"}
    fake = FakeConnector({"schedules": [{**entry, "method": "get"}, {**entry, "url": "/put", "method": "PUT"}]})
    connector = organization.install(fake)
    platform.advance(minutes=5)
    assert [call[0] for call in fake.paths("/sync")] == ["GET"]
    assert [call[0] for call in fake.paths("/put")] == ["PUT"]
    fake.manifest = {"schedules": [entry]}
    organization.update_manifest(connector)
    platform.advance(minutes=5)
    assert [call[0] for call in fake.paths("/sync")] == ["GET", "POST"]
    fake.manifest = {"schedules": [{**entry, "method": "TRACE"}]}
    with pytest.raises(
        InvalidArgumentError, match=r'schedules\[0\]\.method is "TRACE", expected one of GET, POST, PUT'
    ):
        organization.update_manifest(connector)


def test_a_status_with_a_time_is_asked_for(platform, organization):
    """As a schedule is, by itself or in a list; one without a time is not called."""
    timed = {"url": "/status", "type": "interval", "value": "5"}
    fake = FakeConnector({"status": timed, "statuses": [{**timed, "url": "/two"}, {"url": "/three"}]})
    organization.install(fake)
    platform.advance(minutes=10)
    assert [(path, method) for method, path, _ in fake.calls if path != "/manifest.json"] == [
        ("/two", "POST"),
        ("/status", "POST"),
    ] * 2


def test_schedules_need_no_smart_delivery_and_do_not_keep_a_platform_busy(platform, organization):
    """A run until idle does not wait for the next scheduled time."""
    organization.install(scheduled(("/hourly", "cron", "0 * * * *")))
    before = platform.clock.time()
    platform.run_until_idle()
    assert platform.clock.time() == before


def test_missed_times_are_made_up_for_once(platform, organization):
    """Domain time that jumps over many due times causes one call."""
    fake = scheduled(("/hourly", "cron", "0 * * * *"))
    organization.install(fake)
    platform.shift(10 * 3600 + 60)
    platform.run_until_idle()
    platform.advance(seconds=1)
    assert len(fake.paths("/hourly")) == 1
    platform.advance(hours=1)
    assert len(fake.paths("/hourly")) == 2


def test_a_failing_schedule_is_recorded_and_goes_on(platform, organization):
    """An endpoint that crashes is called again at its next time."""
    fake = scheduled(("/hourly", "cron", "0 * * * *"))

    def crash(*_args):
        raise OSError("gone")

    organization.install(crash, manifest=fake.manifest)
    platform.advance(hours=2)
    assert [(r.status, r.error is not None) for r in platform.schedule_runs] == [(None, True)] * 2


def test_an_updated_manifest_changes_the_schedules(platform, organization):
    """Reading the manifest again replaces the old schedules."""
    fake = scheduled(("/old", "cron", "0 * * * *"))
    connector = organization.install(fake)
    fake.manifest = {"schedules": [{"url": "/new", "type": "interval", "value": 30}]}
    organization.update_manifest(connector)
    platform.advance(hours=1)
    assert fake.paths("/old") == []
    assert len(fake.paths("/new")) == 2


def test_a_removed_connector_is_not_called(platform, organization):
    """Uninstalling ends the schedules."""
    fake = scheduled(("/hourly", "cron", "0 * * * *"))
    organization.uninstall(organization.install(fake))
    platform.advance(hours=2)
    assert fake.paths("/hourly") == []


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [("cron", "*/5 * * * *", 300), ("cron", "30 14 * * *", 9000), ("interval", "5", 300), ("interval", "1", 60)],
)
def test_the_next_time_is_after_now(kind, value, expected):
    """A time that is now has been; the next one counts."""
    schedule = Schedule("/x", kind, value)
    assert next_time(schedule, NOON, NOON) == NOON + expected


def test_a_cron_line_that_never_comes_is_never_due():
    """The 30th of February has no next time."""
    assert next_time(Schedule("/x", "cron", "0 0 30 2 *"), NOON, NOON) is None


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("cron", "* * *", r'"\* \* \*", expected a cron line'),
        ("interval", "soon", '"soon", expected minutes'),
        ("interval", "-1", "from 1 to"),
        ("interval", "0.000001", "from 1 to"),
    ],
)
def test_malformed_schedules_are_refused_at_installation(organization, kind, value, problem):
    """The error names the schedule, its value and what to write instead."""
    with pytest.raises(InvalidArgumentError, match=problem):
        organization.install(scheduled(("/x", kind, value)))


@pytest.fixture(params=["Europe/Paris", "America/New_York"])
def local_time(request, monkeypatch):
    """The time of a place where clocks are changed, as the process's own."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01"])
def test_clock_changes_move_no_schedule(signing_key, local_time, day):
    """On days on which clocks change there, each hour of UTC comes once, as do an early time and every interval."""
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()
    platform = Platform(clock=VirtualClock(datetime.fromtimestamp(start - 1, UTC)), signing_key=signing_key)
    fake = scheduled(("/hourly", "cron", "0 * * * *"), ("/early", "cron", "30 1,2 * * *"), ("/often", "interval", "90"))
    platform.create_organization("acme.hullapp.test").install(fake)
    platform.advance(hours=24)
    due = {
        url: [run.due_at - start for run in platform.schedule_runs if run.url == url] for url in ("/hourly", "/early")
    }
    assert due["/hourly"] == [3600 * hour for hour in range(24)]
    assert due["/early"] == [5_400, 9_000]
    assert len(fake.paths("/often")) == 16
    assert len({datetime.fromtimestamp(start + 1800 * n).astimezone().utcoffset() for n in range(48)}) in {1, 2}
    platform.close()


def test_a_due_time_is_called_once_whoever_looks_at_it(signing_key):
    """Several threads that move time and look at the schedules at once cause one call for each due time."""
    tasks = ThreadTasks()
    runtime = Runtime(tasks=tasks, ids=SeededIds(0), net=WsgiNetwork(tasks.clock.time))
    platform = Platform(runtime=runtime, signing_key=signing_key)
    organization = platform.create_organization("acme.hullapp.test")
    fake = scheduled(("/often", "interval", "1"))
    organization.install(fake)
    for minute in range(1, 11):
        platform.shift(60)
        for each in [tasks.spawn(organization.wake) for _ in range(4)]:
            each.result(10)
        assert eventually(lambda count=minute: len(platform.schedule_runs) >= count)
    runs = platform.schedule_runs
    platform.close()
    assert len(fake.paths("/often")) == len(runs) == len({round(run.due_at) for run in runs}) == 10


def eventually(condition) -> bool:
    """Wait for what another thread does."""
    until = time.monotonic() + 10
    while not condition():
        if time.monotonic() > until:
            return False
    return True
