"""What really leaves the process: an envelope to Sentry over HTTP, packets to an agent of Datadog over UDP."""

from __future__ import annotations

import json
import socket

import pytest
from connector_world import CONNECTOR_ID, HOST, SECRET, World, query
from sentry_server import sentry_server

from hull_sdk.errors import TransientError
from hull_sdk.handlers import action_handler
from hull_sdk.infra import Instrumentation

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiI1YTc5In0.c2lnbmF0dXJl"
TAGS = {
    "source": "ship",
    "ship_version": "1.2.0",
    "ship_name": "Web Shop",
    "ship_env": "staging",
    "hull_host": "hullapp.test",
    "organization": HOST,
    "ship": CONNECTOR_ID,
}


@pytest.fixture
def world(signing_key):
    """A connector whose instrumentation the test makes."""
    found = World(signing_key)
    yield found
    found.close()


@pytest.fixture
def sentry():
    """A server that keeps what Sentry's library posts, as path and text."""
    with sentry_server() as server:
        yield server


@pytest.fixture
def agent():
    """A socket that agents' packets come to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


def packets(agent, number):
    """Return so many packets."""
    return [agent.recv(65_536).decode() for _ in range(number)]


def environ(sentry=None, agent=None):
    """Return the variables that switch on what is given."""
    found = {"HULL_ENV": "staging"}
    if sentry is not None:
        found["SENTRY_URL"] = f"http://public@127.0.0.1:{sentry.server_port}/42"
    if agent is not None:
        found |= {"DD_AGENT_HOST": "127.0.0.1", "DD_DOGSTATSD_PORT": str(agent.getsockname()[1])}
    return found


def fail(world, error, **options):
    """Have a connector's action fail, and close what was sent."""
    instrumentation = Instrumentation.from_env(environ(**options))

    def handle(ctx, _request):
        api_key = "hunter2-in-a-local-variable"
        ctx.metric.event("about to fail", f"with {api_key[:0]}{TOKEN}", {"password": "hunter2"})
        raise error

    manifest = {"name": "Web Shop", "version": "1.2.0"}
    app = world.app(action_handler(handle), instrumentation=instrumentation, manifest=manifest)
    response = app.test_client().post(f"/b0?{query()}")
    instrumentation.close(5)
    return response


def test_an_error_reaches_sentry_as_an_envelope(world, sentry):
    """The unexpected error of a handler arrives at Sentry's address with the connector's tags and no secret."""
    error = ValueError(f"refused: secret={SECRET} {TOKEN}")
    assert fail(world, error, sentry=sentry).status_code == 500
    ((path, text),) = sentry.posts
    assert path == "/api/42/envelope/"
    _, kind, payload = text.split("\n")[:3]
    event = json.loads(payload)
    assert json.loads(kind)["type"] == "event"
    assert (event["environment"], event["tags"]) == ("staging", TAGS)
    assert event["exception"]["values"][-1]["value"] == "refused: secret=*** ***"
    assert event["contexts"]["hull"]["code"] == "HULL_ERR_UNHANDLED"
    for secret in (SECRET, TOKEN, "hunter2"):
        assert secret not in text


def test_an_expected_error_does_not_reach_sentry(world, sentry):
    """A transient error is counted and logged; nobody is woken."""
    assert fail(world, TransientError("busy"), sentry=sentry).status_code == 400
    assert sentry.posts == []


@pytest.mark.shows_secrets("error", reason="an error of its own with a token in its text")
def test_metrics_reach_an_agent_as_packets(world, agent):
    """Each metric and event is a packet of its own with the connector's tags and no secret."""
    assert fail(world, TransientError(f"busy {TOKEN}"), agent=agent).status_code == 400
    request, event, failure = packets(agent, 3)
    tags = [f"{name}:{value.replace(' ', '_')}" for name, value in TAGS.items()]
    assert request.strip() == f"connector.request:1|c|#{','.join(tags)}"
    assert event.startswith("_e{13,")
    assert failure.startswith("connector.transient_error:1|c|#")
    assert {"error_name:transient_error", "error_message:busy"} <= set(failure.strip().partition("#")[2].split(","))
    assert TOKEN not in event
    assert "hunter2" not in event


@pytest.mark.attack("header and log injection")
def test_a_tag_cannot_forge_a_packet(agent):
    """What separates the parts of a packet is replaced in names and tags."""
    metric = Instrumentation.from_env(environ(agent=agent))
    metric.metric({"list": "a,b|c\n#evil:9|c"}).value("q len|gth\nx:1|c", 2.5)
    (packet,) = packets(agent, 1)
    assert packet.strip() == "q_len_gth_x_1_c:2.5|g|#list:a_b_c_evil:9_c"
    metric.close()


def test_nothing_is_sent_when_nothing_is_configured(world, monkeypatch):
    """Without variables no socket is even made, whatever happens."""
    monkeypatch.setattr(socket, "socket", lambda *_args, **_options: pytest.fail("a socket was made"))
    assert fail(world, ValueError("odd")).status_code == 500
