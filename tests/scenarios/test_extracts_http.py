"""Batch extracts over real HTTP: a connector that is served, a platform that is served, threads and sockets."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask

from hull_sdk import Client, Connector
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.platform.server import serve_app

PEOPLE = 250


def test_an_extract_travels_over_http(served_platform):
    """The file is fetched from the platform's own address, in parts, by a connector in the same process."""
    seen: list[str] = []
    organization = served_platform.create_organization("acme.example")
    connector = Connector(
        host_secret="a secret of the host for tests",
        manifest={"name": "Http", "tags": ["batch"]},
        allowed_organizations=[served_platform.address],
    )
    app = Flask("http")
    handler = smart_notifier_handler({"user:update": lambda _ctx, m: seen.extend(u["user"]["email"] for u in m)})
    app.register_blueprint(handler, url_prefix="/batch")
    connector.setup_app(app)
    with ExitStack() as stack:
        server = serve_app(app, served_platform.runtime.tasks, "127.0.0.1", 0)
        stack.callback(server.close)
        stack.callback(connector.close, 10.0)
        installed = organization.install(server.url)
        client = Client(id=installed.id, secret=installed.secret, organization=served_platform.address)
        stack.callback(client.close)
        for number in range(PEOPLE):
            client.as_user({"email": f"p{number}@acme.example"}).traits({"n": number})
        client.flush(30)
        organization.send_batch(installed)
        assert served_platform.wait_until_idle(30)
        assert served_platform.extract_runs[-1].outcome == "done"
        assert app.extensions["hull"].queue.stop(30) == 0
    assert len(set(seen)) == len(seen) == PEOPLE
