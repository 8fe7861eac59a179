"""Faults on purpose, on the firehose, the API and deliveries."""

from __future__ import annotations

import pytest

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.platform import Faults

ANN = {"email": "ann@acme.test"}


def batch(send, body=None):
    """Return the body of a firehose request."""
    return {"batch": [send.message("traits", body or {"plan": "pro"}, user=ANN)]}


@pytest.fixture
def post(call, credentials, send):
    """A function that posts one message to the firehose."""
    return lambda: call("POST", "/api/v1/firehose", batch(send), **credentials)


def test_errors_end_after_their_number_of_requests(platform, call, credentials, send):
    """Requests that a fault hits are answered with its status and not applied."""
    platform.faults.add("error", target="firehose", status=503, times=2)
    statuses = [call("POST", "/", batch(send), **credentials)[0] for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert platform.organizations["acme.hullapp.test"].record_counts["applied"] == 1


def test_errors_end_with_their_time(platform, call, credentials):
    """A duration runs on the runtime's clock, not on domain time."""
    platform.faults.add("error", target="api", for_ms=5000)
    assert call("GET", "/api/v1/app", **credentials)[0] == 500
    platform.shift(3600)
    assert call("GET", "/api/v1/app", **credentials)[0] == 500
    platform.runtime.tasks.sleep(5)
    assert call("GET", "/api/v1/app", **credentials)[0] == 200


@pytest.mark.parametrize(("kind", "applied"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection_is_seen_as_one(platform, organization, post, kind, applied):
    """Before the commit nothing is applied, after it everything; the client cannot tell."""
    platform.faults.add(kind, target="firehose", times=1)
    with pytest.raises(NetworkError):
        post()
    assert organization.record_counts["applied"] == applied


def test_a_repeated_request_after_a_lost_answer_changes_nothing(platform, call, credentials, send):
    """The same message ids are accepted a second time and applied once."""
    platform.faults.add("drop_after", target="firehose", times=1)
    body = {"batch": [send.message("traits", {"n": {"operation": "inc"}}, user=ANN)]}
    with pytest.raises(NetworkError):
        call("POST", "/", body, **credentials)
    assert call("POST", "/", body, **credentials) == (200, {"accepted": 1, "rejected": []})
    assert send.organization.user_report(ANN)["traits_n"] == 1


@pytest.mark.parametrize(
    ("kind", "applied", "seconds"),
    [("timeout_before", 0, 30), ("timeout_after", 1, 30), ("drop_before", 0, 0), ("reorder", 0, 0)],
)
def test_a_connection_breaks_at_once_or_after_a_wait(platform, organization, post, kind, applied, seconds):
    """A timeout lets time pass before the connection breaks; what was to be applied has been by then."""
    platform.faults.add(kind, target="firehose", times=1)
    began = platform.runtime.clock.monotonic()
    with pytest.raises(NetworkError):
        post()
    assert platform.runtime.clock.monotonic() - began == seconds
    assert organization.record_counts["applied"] == applied


def test_an_error_after_the_commit_hides_that_all_is_applied(organization, platform, post):
    """The answer is the error, with the pause that it asks for; the same messages are applied once."""
    platform.faults.add("error_after", target="firehose", status=429, retry_after_s=7, times=1)
    assert post()[0] == 429
    assert organization.record_counts["applied"] == 1


def test_a_rate_limit_says_how_long_to_wait(platform, call, credentials, organization, send):
    """A 429 carries Retry-After, to callers of the API and as the answer to a notification."""
    from hull_sdk.core.net import Request

    platform.faults.add("error", target="api", status=429, retry_after_s=7, times=1)
    url = "https://acme.hullapp.test/api/v1/app"
    assert platform.runtime.net.send(Request(method="GET", url=url)).headers["retry-after"] == "7"
    platform.faults.add("error", target="delivery", status=429, retry_after_s=20, times=1)
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    first, second = platform.deliveries
    assert (first.status, second.status) == (429, 200)
    assert 20 <= second.at - first.at <= 22


def test_a_delay_answers_late(platform, post):
    """A delayed request is applied and answered when its time has come."""
    platform.faults.add("delay", target="firehose", delay_ms=2500, times=1)
    began = platform.runtime.clock.monotonic()
    assert post()[0] == 200
    assert platform.runtime.clock.monotonic() - began == 2.5


def test_a_reordered_request_arrives_after_later_ones(platform, call, credentials, organization, send):
    """The caller sees a broken connection; what it sends meanwhile is applied first, the held one after it."""
    first, second = batch(send, {"plan": "free"}), batch(send, {"plan": "pro"})
    platform.faults.add("reorder", target="firehose", delay_ms=5000, times=1)
    with pytest.raises(NetworkError):
        call("POST", "/", first, **credentials)
    assert call("POST", "/", second, **credentials)[0] == 200
    assert organization.user_report(ANN)["traits_plan"] == "pro"
    platform.advance(seconds=5)
    assert organization.user_report(ANN)["traits_plan"] == "free"
    assert call("POST", "/", first, **credentials)[0] == 200
    assert organization.record_counts["applied"] == 2


def test_a_duplicate_is_a_second_request(platform, call, credentials, organization, send):
    """A duplicated batch arrives twice and is applied once; the caller gets one answer."""
    platform.faults.add("duplicate", target="firehose", times=1)
    body = batch(send)
    assert call("POST", "/", body, **credentials) == (200, {"accepted": 1, "rejected": []})
    assert organization.record_counts["applied"] == 1
    assert organization.trace(body["batch"][0]["message_id"]).repeats == 1


def test_a_held_notification_arrives_after_its_retry(platform, fake, send):
    """A reordered delivery is tried again at once and reaches the connector a second time, late."""
    platform.faults.add("reorder", target="delivery", delay_ms=60_000, times=1)
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert [d.outcome for d in platform.deliveries] == ["failed", "next"]
    assert len(fake.bodies) == 2
    assert len(set(fake.bodies)) == 1
    assert platform.runtime.clock.monotonic() == 60


def test_faults_are_listed_with_what_their_kind_uses(platform):
    """Kinds that wait tell for how long, errors tell what they answer."""
    platform.faults.add("timeout_after", target="api")
    platform.faults.add("error", target="firehose", status=503, times=2)
    assert [fault.to_wire() for fault in platform.faults.active()] == [
        {"target": "api", "kind": "timeout_after", "times": None, "delay_ms": 30_000.0},
        {"target": "firehose", "kind": "error", "times": 2, "status": 503, "retry_after_s": None},
    ]


def test_faults_of_delivery(platform, fake, send):
    """Errors and dropped connections are retried with the same bytes; a duplicate arrives twice."""
    for kind in ("error", "drop_before", "drop_after", "duplicate"):
        platform.faults.add(kind, target="delivery", times=1)
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert [d.outcome for d in platform.deliveries] == ["failed", "failed", "failed", "next"]
    assert [d.status for d in platform.deliveries] == [500, None, None, 200]
    assert len(fake.bodies) == 3
    assert len(set(fake.bodies)) == 1
    assert fake.headers[1] == fake.headers[2]


def test_a_dropped_connection_over_http(served_platform):
    """A real client sees a broken connection too."""
    from hull_sdk.core.net import Request

    net = served_platform.runtime.net
    url = f"http://{served_platform.address}/api/v1/app"
    served_platform.faults.add("drop_after", target="api", times=1)
    with pytest.raises(NetworkError):
        net.send(Request(method="GET", url=url))
    assert net.send(Request(method="GET", url=url)).status == 401


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"kind": "rain", "target": "api"}, "'rain'"),
        ({"kind": "error", "target": "moon"}, "'moon'"),
        ({"kind": "error", "target": "api", "status": 404}, "404"),
        ({"kind": "error", "target": "api", "times": 0}, "at least 1"),
        ({"kind": "error", "target": "api", "for_ms": -1}, "above 0"),
        ({"kind": "error", "target": "api", "retry_after_s": 0.5}, "whole number"),
        ({"kind": "drop_after", "target": "api", "retry_after_s": 5}, "no answer of its own"),
        ({"kind": "delay", "target": "api", "delay_ms": 0}, "above 0"),
        ({"kind": "delay", "target": "api", "delay_ms": 600_001}, "at most 600000"),
        ({"kind": "error", "target": "api", "delay_ms": 5}, "'error' does not wait"),
        ({"kind": "error"}, "'target'"),
        ({"kind": "error", "target": "api", "whatever": 1}, "no keys beside"),
    ],
)
def test_malformed_faults_are_refused(options, problem):
    """The error names the value and the rule."""
    with pytest.raises(InvalidArgumentError, match=problem):
        Faults(Runtime.virtual()).add_wire(options)


def test_faults_are_used_up_in_order_and_can_be_cleared():
    """Faults of one target queue up; clearing ends all."""
    faults = Faults(Runtime.virtual())
    faults.add("drop_before", target="api", times=1)
    faults.add("error", target="api")
    assert [faults.take("api").kind for _ in range(3)] == ["drop_before", "error", "error"]
    assert faults.take("firehose") is None
    faults.clear()
    assert faults.take("api") is None
