"""A connector on npm hull, with signature validation on, against the platform over HTTP."""

from __future__ import annotations

import jwt
import pytest

from hull_sdk import Client
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.wire.signatures import public_pem

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

EMAIL = "ann@acme.example"


@pytest.fixture
def organization(served_platform):
    """An organization of the platform, with a segment."""
    organization = served_platform.create_organization("acme.hullapp.test")
    organization.create_segment("user", "Everybody", query={"match_all": {}})
    return organization


@pytest.fixture
def install(served_platform, organization, start_connector):
    """Return a function that starts a Node connector and installs it; its manifest is read from it."""

    def install(**options):
        client = {
            "protocol": "http",
            "firehoseUrl": f"http://{served_platform.address}/api/v1/firehose",
            "flushAfter": 20,
        }
        node = start_connector(clientConfig=client, **options)
        return node, organization.install(node.url)

    return install


@pytest.fixture
def send(served_platform, organization):
    """Send attributes of Ann with our own client, and let the platform deliver what follows from it."""
    sender = organization.install("http://127.0.0.1:9", name="Sender", manifest={"name": "Sender"})
    client = Client(id=sender.id, secret=sender.secret, organization=served_platform.address)

    def send(**traits):
        client.as_user({"email": EMAIL}).traits(traits)
        assert client.flush(20).sent == 1
        served_platform.run_until_idle()

    yield send
    client.close()


def smart(platform, connector):
    """Return the deliveries of user messages to a connector."""
    return [d for d in platform.deliveries if d.connector_id == connector.id and d.channel == "user:update"]


def test_the_manifest_is_read(install):
    """The platform reads the manifest that npm hull serves."""
    _, connector = install()
    assert connector.name == "Node Lead Scoring"


def test_the_round_trip(install, send, organization):
    """A write reaches the Node connector's handler with its context, and what it writes back is applied."""
    node, connector = install()
    send(visits=3)
    called = node.facts("called")
    (first, *_) = [fact for fact in called if fact["channel"] == "user:update"]
    assert (first["ship"], first["segments"]) == (connector.id, ["Everybody"])
    (message,) = first["messages"]
    assert (message["user"]["email"], message["user"]["traits_visits"]) == (EMAIL, 3)
    assert [segment["name"] for segment in message["changes"]["segments"]["entered"]] == ["Everybody"]
    assert message["changes"]["is_new"] is True
    assert organization.user_report({"email": EMAIL})["traits_node_score"] == 30


def test_its_flow_control_is_obeyed(install, send, served_platform):
    """The flow control of the Node connector's answers is what the platform goes by."""
    _, connector = install()
    send(visits=3)
    assert {delivery.answer["flow_control"]["type"] for delivery in smart(served_platform, connector)} == {"next"}
    assert {delivery.status for delivery in smart(served_platform, connector)} == {200}


def test_a_failed_notification_comes_again(install, send, organization):
    """The Node connector's retry brings the same notification again until it succeeds."""
    node, _ = install(failFirst=2)
    send(visits=3)
    called = [fact for fact in node.facts("called") if fact["channel"] == "user:update"]
    first = [fact for fact in called if fact["notification_id"] == called[0]["notification_id"]]
    assert len(first) == 3
    assert first[0]["messages"] == first[1]["messages"] == first[2]["messages"]
    assert organization.user_report({"email": EMAIL})["traits_node_score"] == 30


def test_no_signature_is_refused(install, send):
    """The package npm hull verifies every signature of ours and refuses none."""
    node, _ = install()
    send(visits=3)
    send(visits=4)
    assert node.facts("refused") == []


def test_the_connector_is_told_of_its_settings(install, served_platform, organization):
    """A change of its private settings reaches the Node connector as ship:update."""
    node, connector = install()
    sender = Client(id=connector.id, secret=connector.secret, organization=served_platform.address)
    sender.put(connector.id, {"private_settings": {"size": 2}})
    sender.close()
    served_platform.run_until_idle()
    ship = [fact for fact in node.facts("called") if fact["channel"] == "ship:update"][-1]
    assert ship["messages"][0]["private_settings"]["size"] == 2


def test_the_connector_ends_cleanly(install):
    """On SIGTERM the Node connector ends with code 0, and the platform does not mind."""
    node, _ = install()
    assert node.process.stop() == 0


def test_the_key_is_on_the_platforms_own_host(served_platform):
    """Chosen deviation: the key's address lies on the platform's host, holds the key's id, and answers GET and POST."""
    url = served_platform.key_url(served_platform.address)
    assert url == f"http://{served_platform.address}/api/v1/notification_keys/{served_platform.key_id}"
    network = HttpNetwork()
    answers = [network.send(Request(method=method, url=url)) for method in ("GET", "POST")]
    network.close()
    assert {(answer.status, answer.body) for answer in answers} == {
        (200, public_pem(served_platform.signing_key).encode())
    }


def test_the_signature_covers_the_body(install, send):
    """Chosen deviation: our signatures hold the body's digest, which Node ignores and verifies no less for it."""
    node, _ = install()
    send(visits=3)
    (notified, *_) = [fact for fact in node.facts("called") if fact["channel"] == "user:update"]
    assert "body_sha256" in jwt.decode(notified["signature"], options={"verify_signature": False})
