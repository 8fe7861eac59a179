"""A connector and a platform of its own in one process, until somebody interrupts them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask

from hull_sdk import Connector
from hull_sdk.testing import serve_locally

MANIFEST = {"name": "Tried", "private_settings": [{"name": "api_key", "type": "string"}]}


class Interrupted(Connector):
    """Asks the platform about itself where it would serve, and is interrupted then."""

    capsys: pytest.CaptureFixture[str]

    def start_app(self, app, **_options):
        address = urlsplit(self.capsys.readouterr().out.strip())
        given = {name: values[0] for name, values in parse_qs(address.query).items()}
        headers = {"Hull-App-Id": given["ship"], "Hull-Access-Token": given["secret"]}
        self.api = f"http://{given['organization']}/api/v1/app"
        self.found = requests.get(self.api, headers=headers, timeout=10).json()
        self.page = f"{address.scheme}://{address.netloc}{address.path}"
        raise KeyboardInterrupt


def create_app(connector):
    """Return an app without routes of its own."""
    return connector.setup_app(Flask("tried"))


@pytest.mark.shows_secrets("output", reason="the page's address is for the operator of a platform that ends with it")
def test_it_installs_the_connector_and_ends_quietly_when_interrupted(capsys):
    """The printed address holds what the platform takes; after an interrupt nothing is raised, and nobody listens."""

    def connect(*, port, **options):
        made = Interrupted(manifest=MANIFEST, port=port, **options)
        made.capsys = capsys
        connectors.append(made)
        return made

    connectors = []
    serve_locally(create_app, connect, port=8099, page="/settings", private_settings={"api_key": "k"})
    (connector,) = connectors
    assert connector.page == "http://127.0.0.1:8099/settings"
    assert (connector.found["name"], connector.found["private_settings"]) == ("Tried", {"api_key": "k"})
    with pytest.raises(requests.ConnectionError):
        requests.get(connector.api, timeout=10)
