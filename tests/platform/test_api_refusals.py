"""Bad values in requests are refused with 400, the value and the rule, and never make the platform fail."""

from __future__ import annotations

import pytest

YEAR_MS = 365 * 86_400_000


@pytest.fixture(autouse=True)
def controls(platform):
    """Test controls, switched on."""
    platform.test_controls = True


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/api/v1/users_segments", {"id": {}, "name": "All", "query": {}}, "the id of a segment is {}"),
        ("/api/v1/users_segments", {"id": "", "name": "All", "query": {}}, "text that is not empty"),
        ("/api/v1/search/user_reports", {"sort": {"email": []}}, "the order of 'email' is []"),
        ("/api/v1/search/events", {"sort": [{"created_at": {"order": {}}}]}, "use 'asc' or 'desc'"),
        ("/_platform/faults", {"kind": "delay", "target": None}, "the fault's target is None"),
        ("/_platform/clock", {"advance_ms": 3.2e307}, "it ends with the year 9000"),
        ("/_platform/clock", {"advance_ms": 8000 * YEAR_MS}, "it ends with the year 9000"),
    ],
)
def test_a_bad_value_of_a_body_is_named_with_its_rule(call, organization, admin, path, body, message):
    """The answer is a 400 that says what was found and what is wanted."""
    status, answer = call("POST", path, body, **admin)
    assert (status, message in answer["message"]) == (400, True), answer


@pytest.mark.parametrize(
    "query", ["limit=" + "9" * 5000, "limit=%C2%B2", "since=%C2%B2", "until=1.2.3", "since=" + "9" * 400]
)
def test_a_bad_parameter_of_the_log_is_named_with_its_rule(call, organization, admin, query):
    """Digits that are none, and numbers without end, are refused like other nonsense."""
    status, answer = call("GET", f"/api/v1/logs?{query}", **admin)
    assert (status, query.partition("=")[0] in answer["message"]) == (400, True), answer


def test_domain_time_reaches_far_into_the_future(call, organization):
    """Thousands of years are fine, and nothing moves when too much is asked for."""
    assert call("POST", "/_platform/clock", {"advance_ms": 1000 * YEAR_MS})[0] == 200
    before = call("GET", "/_platform/clock")[1]
    assert call("POST", "/_platform/clock", {"advance_ms": 1e15})[0] == 400
    assert call("GET", "/_platform/clock")[1] == before
