"""Sessions of users, and how a merge joins them."""

from __future__ import annotations

import pytest
from ingestion_kit import CONNECTOR, Bench

VISITOR = {"anonymous_id": "v"}


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def visit(bench, user, session, at, url="https://acme.test/", **body):
    """Track a visit within a session, at an hour of a day."""
    bench.track(user, "Visited", created_at=f"2024-01-0{at}T00:00:00Z", url=url, _sid=session, **body)


def test_a_report_tells_of_the_first_and_the_latest_session(bench):
    """Start, address, referrer and sender of both; later events of a session change nothing."""
    visit(bench, VISITOR, "s1", 1, "https://acme.test/a", referer="https://search.test/")
    visit(bench, VISITOR, "s1", 2, "https://acme.test/b")
    visit(bench, VISITOR, "s2", 3, "https://acme.test/c")
    report = bench.report(**VISITOR)
    assert {name: value for name, value in report.items() if "_session_" in name} == {
        "first_session_started_at": "2024-01-01T00:00:00Z",
        "first_session_id": "s1",
        "first_session_platform_id": CONNECTOR.id,
        "first_session_initial_url": "https://acme.test/a",
        "first_session_initial_referrer": "https://search.test/",
        "latest_session_started_at": "2024-01-03T00:00:00Z",
        "latest_session_id": "s2",
        "latest_session_platform_id": CONNECTOR.id,
        "latest_session_initial_url": "https://acme.test/c",
    }


def test_events_that_come_late_find_their_place(bench):
    """The order of arrival plays no part, only the times of the events."""
    visit(bench, VISITOR, "s2", 3)
    visit(bench, VISITOR, "s1", 2)
    visit(bench, VISITOR, "s1", 1, "https://acme.test/landing")
    report = bench.report(**VISITOR)
    assert (report["first_session_id"], report["latest_session_id"]) == ("s1", "s2")
    assert report["first_session_initial_url"] == "https://acme.test/landing"


def test_the_sign_up_belongs_to_the_latest_session_when_a_user_becomes_known(bench):
    """An e-mail or an external_id fixes it; sessions after it change it no more."""
    visit(bench, VISITOR, "s1", 1)
    visit(bench, VISITOR, "s2", 2)
    assert "signup_session_id" not in bench.report(**VISITOR)
    bench.traits({**VISITOR, "email": "ann@acme.test"})
    visit(bench, VISITOR, "s3", 3)
    report = bench.report(**VISITOR)
    assert (report["signup_session_id"], report["latest_session_id"]) == ("s2", "s3")


def test_a_merge_keeps_the_earlier_first_and_the_later_latest(bench):
    """Sessions are the exception to the rule that the recipient keeps its own values."""
    visit(bench, {"external_id": "1"}, "s2", 2)
    visit(bench, VISITOR, "s1", 1)
    visit(bench, VISITOR, "s3", 3)
    bench.traits({"external_id": "1", **VISITOR})
    report = bench.report(external_id="1")
    found = [report[f"{name}_session_id"] for name in ("first", "signup", "latest")]
    assert found == ["s1", "s2", "s3"]


def test_events_without_a_session_leave_none(bench):
    """Server calls start no session, and traits cannot write one."""
    bench.track(VISITOR, "Billed")
    record = bench.traits(VISITOR, {"first_session_id": "forged"})
    assert "derived" in record.notes[0]
    assert not [name for name in bench.report(**VISITOR) if "_session_" in name]
