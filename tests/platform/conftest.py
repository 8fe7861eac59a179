from __future__ import annotations

import pytest
from delivery_kit import FakeConnector, Sender

from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.net import Request
from hull_sdk.platform import Platform


@pytest.fixture
def platform(signing_key):
    """A platform on a virtual clock."""
    platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
    yield platform
    platform.close()


@pytest.fixture
def organization(platform):
    """An organization whose API answers on the virtual network."""
    organization = platform.create_organization("acme.hullapp.test", admin_secret="the operators secret")
    platform.runtime.net.mount("acme.hullapp.test", platform.wsgi_app)
    return organization


@pytest.fixture
def fake():
    """A connector that answers as a test says and keeps what it was sent."""
    return FakeConnector()


@pytest.fixture
def connector(organization, fake):
    """That connector, installed."""
    return organization.install(fake)


@pytest.fixture
def send(organization, connector):
    """A sender of firehose messages in the connector's name."""
    return Sender(organization, connector)


@pytest.fixture
def call(platform):
    """A function that calls the platform's API and returns status and decoded answer."""
    from delivery_kit import decode

    from hull_sdk.core import json

    def call(method, path, body=None, *, raw=None, host="acme.hullapp.test", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        data = raw if raw is not None else None if body is None else json.dumps(body)
        response = platform.runtime.net.send(
            Request(method=method, url=f"https://{host}{path}", headers=names, body=data)
        )
        return response.status, decode(response.body)

    return call


@pytest.fixture
def credentials(connector):
    """The headers of the connector."""
    return {"Hull_App_Id": connector.id, "Hull_Access_Token": connector.secret}


@pytest.fixture
def admin():
    """The headers of the operator."""
    return {"Hull_Access_Token": "the operators secret"}
