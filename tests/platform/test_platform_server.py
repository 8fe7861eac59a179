"""Serving a platform over HTTP."""

from __future__ import annotations

import threading

import pytest
from delivery_kit import FakeConnector
from waitress.channel import HTTPChannel

from hull_sdk.core import json
from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.net import Request
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.platform import Platform
from hull_sdk.platform.server import serve

ANN = {"io.hull.asUser": {"email": "ann@acme.test"}}


def test_a_served_platform_is_dialled_at_its_address(served_platform):
    """Notifications name an address and a key URL that answer."""
    organization = served_platform.create_organization("acme.hullapp.test")
    fake = FakeConnector()
    connector = organization.install(fake)
    organization.ingest({"type": "traits", "body": {"plan": "pro"}}, ANN, connector.id)
    served_platform.run_until_idle()
    configuration = fake.notifications[0]["configuration"]
    assert configuration["organization"] == served_platform.address
    net = served_platform.runtime.net
    url = f"http://{configuration['organization']}/api/v1/app"
    headers = {
        "Hull-Organization": configuration["organization"],
        "Hull-App-Id": configuration["id"],
        "Hull-Access-Token": configuration["secret"],
    }
    answer = net.send(Request(method="GET", url=url, headers=headers))
    assert (answer.status, json.loads(answer.body)["id"]) == (200, connector.id)
    key_url = fake.headers[0]["HTTP_X_HULL_SMART_NOTIFIER_SIGNATURE_PUBLIC_KEY_URL"]
    assert key_url.startswith(f"http://{served_platform.address}/")
    assert b"BEGIN PUBLIC KEY" in net.send(Request(method="GET", url=key_url)).body


def test_a_closed_server_answers_no_more(signing_key):
    """Closing ends open connections too, and can be done twice."""
    platform = Platform(signing_key=signing_key)
    server = serve(platform)
    net = platform.runtime.net
    assert net.send(Request(method="GET", url=f"{server.url}/api/v1/")).status == 401
    server.close()
    server.close()
    with pytest.raises(NetworkError):
        net.send(Request(method="GET", url=f"{server.url}/api/v1/", timeout_s=2))
    net.close()
    platform.close()


def test_a_thread_that_has_just_answered_may_end_while_the_server_closes(signing_key, monkeypatch, caplog):
    """It still tells the server's loop, which must be there: the number of a closed file may be another file's."""
    closing, service, close = threading.Event(), HTTPChannel.service, HTTPChannel.close

    def service_slowly(channel):
        service(channel)
        assert closing.wait(10)
        channel.server.pull_trigger()

    def close_and_tell(channel):
        close(channel)
        closing.set()

    monkeypatch.setattr(HTTPChannel, "service", service_slowly)
    monkeypatch.setattr(HTTPChannel, "close", close_and_tell)
    platform = Platform(signing_key=signing_key)
    server = serve(platform)
    assert platform.runtime.net.send(Request(method="GET", url=f"{server.url}/api/v1/")).status == 401
    server.close()
    platform.runtime.net.close()
    platform.close()
    assert closing.is_set()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("waitress")] == []


def test_another_address_may_be_dialled(signing_key):
    """Behind a proxy or in a container, connectors are told the address that they can reach."""
    platform = Platform(signing_key=signing_key)
    server = serve(platform, "0.0.0.0")
    assert server.address.startswith("127.0.0.1:")
    server.close()
    server = serve(platform, "localhost", address="hull.test:80")
    assert (platform.address, server.url) == ("hull.test:80", "http://hull.test:80")
    server.close()
    platform.close()


def test_a_port_that_is_taken_is_refused(served_platform):
    """The error names the address."""
    port = int(served_platform.address.partition(":")[2])
    with pytest.raises(InvalidArgumentError, match=f"cannot listen on 127.0.0.1:{port}"):
        serve(Platform(), "127.0.0.1", port)


def test_a_virtual_platform_cannot_be_served():
    """Its clock belongs to one thread."""
    with pytest.raises(InvalidArgumentError, match="virtual clock"):
        serve(Platform(clock=VirtualClock()))
