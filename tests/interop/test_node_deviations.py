"""Where we differ from npm hull on purpose: the same request to a connector of each generation."""

from __future__ import annotations

import json
import time

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.wire.signatures import generate_key, sign_notification, signature_headers

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

ID = "5a7962e2793d3e942a03b29a"
NOTIFICATION_ID = "0b5c6b3e-8f43-4f3a-9d6e-0a6a5c1f7e2d"


@pytest.fixture
def body(served_platform):
    """A notification without messages."""
    return {
        "notification_id": NOTIFICATION_ID,
        "configuration": {"id": ID, "organization": served_platform.address, "secret": "secret"},
        "connector": {"id": ID, "private_settings": {}, "settings": {}, "manifest": {}},
        "channel": "account:update",
        "messages": [],
        "segments": [],
        "accounts_segments": [],
    }


@pytest.fixture
def notify_node(start_connector):
    """Return a function that posts a notification to a connector on npm hull."""
    url = f"{start_connector(clientConfig={'protocol': 'http'}).url}/smart-notifier"
    network = HttpNetwork()

    def notify(raw, headers):
        answer = network.send(Request(method="POST", url=url, body=raw, headers=headers))
        return answer.status, answer.body

    yield notify
    network.close()


@pytest.fixture
def notify_ours(served_platform):
    """Return a function that posts a notification to a connector of ours, which trusts the one platform."""
    app = Flask("ours")
    handlers = smart_notifier_handler({"account:update": lambda _ctx, _messages: None})
    app.register_blueprint(handlers, url_prefix="/smart-notifier")
    connector = Connector(host_secret="long and random", allowed_organizations=[served_platform.address])
    connector.setup_app(app)

    def notify(raw, headers):
        answer = app.test_client().post("/smart-notifier", data=raw, headers=headers)
        return answer.status_code, answer.data

    yield notify
    connector.close()
    app.extensions["hull"].runtime.net.close()


def signed(platform, key, body):
    """Return the bytes of a notification, and its headers as a sender with this key and platform would make them."""
    raw = json.dumps(body).encode()
    signature = sign_notification(key, NOTIFICATION_ID, raw, time.time())
    headers = {"Content-Type": "application/json", **signature_headers(signature, platform.key_url(platform.address))}
    return raw, headers


def test_both_accept_what_the_platform_signed(served_platform, signing_key, body, notify_node, notify_ours):
    """What the platform signed is accepted by connectors of both generations."""
    raw, headers = signed(served_platform, signing_key, body)
    assert (notify_node(raw, headers)[0], notify_ours(raw, headers)[0]) == (200, 200)


def test_we_do_not_believe_a_key_that_the_request_names(serve_platform, body, notify_node, notify_ours):
    """Node believes whoever serves a key of his own; we refuse a key that lies on no allowed host."""
    forger_key = generate_key()
    raw, headers = signed(serve_platform(forger_key), forger_key, body)
    assert notify_node(raw, headers)[0] == 200
    status, answer = notify_ours(raw, headers)
    assert (status, json.loads(answer)["errors"][0]["code"]) == (401, "INVALID_SIGNATURE")


def test_we_do_not_accept_a_changed_body(served_platform, signing_key, body, notify_node, notify_ours):
    """Node accepts a body that was changed after it was signed; our signatures cover it, and we check."""
    raw, headers = signed(served_platform, signing_key, body)
    changed = raw.replace(b'"messages": []', b'"messages": [{}]')
    assert changed != raw
    assert notify_node(changed, headers)[0] == 200
    status, answer = notify_ours(changed, headers)
    assert (status, json.loads(answer)["errors"][0]["code"]) == (401, "INVALID_SIGNATURE")


def test_we_say_why_a_signature_is_refused(served_platform, body, notify_node, notify_ours):
    """Node answers a wrong signature with 500 and no reason; we answer 401, a reason, and when to try again."""
    raw, headers = signed(served_platform, generate_key(), body)
    assert notify_node(raw, headers) == (500, b"unhandled-error")
    status, answer = notify_ours(raw, headers)
    assert status == 401
    assert json.loads(answer)["flow_control"] == {"type": "retry", "in": 1000}
    assert json.loads(answer)["errors"][0]["reason"]
