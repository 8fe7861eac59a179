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
        ({"kind": "duplicate", "target": "api"}, "'delivery'"),
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
