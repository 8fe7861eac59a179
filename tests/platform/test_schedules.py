"""Schedules: when connectors are called, and that calls never overlap."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from delivery_kit import FakeConnector

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.schedules import next_time
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
