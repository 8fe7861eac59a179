"""A connector application under test, on a virtual clock, with a platform of a few lines on the other side."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask, jsonify, request

from hull_sdk import Connector
from hull_sdk.core.net import Network, Response, WsgiNetwork, host_of
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.infra import RecordingInstrumentation
from hull_sdk.wire.signatures import public_pem, sign_notification, signature_headers

HOST = "acme.hullapp.test"
FIREHOSE_HOST = "firehose.hullapp.test"
KEY_URL = f"https://{HOST}/api/v1/notification_keys/k1"
CONNECTOR_ID = "5a7962e2793d3e942a03b29a"
OTHER_ID = "5a7962e2793d3e942a03b29b"
SECRET = "c0nnector-s3cret"
HOST_SECRET = "a long random text of the host"
CREDENTIALS = {"id": CONNECTOR_ID, "organization": HOST, "secret": SECRET}
BUYERS = {"id": "5b0000000000000000000001", "name": "Buyers", "type": "users_segment"}
CUSTOMERS = {"id": "5b0000000000000000000002", "name": "Customers", "type": "accounts_segment"}


class StubPlatform:
    """Answers what a connector asks, and keeps what it is sent."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self.key = key
        self.connector: dict[str, Any] = {"id": CONNECTOR_ID, "name": "Shop", "private_settings": {}, "settings": {}}
        self.segments = {"users_segments": [BUYERS], "accounts_segments": [CUSTOMERS]}
        self.statuses: list[Any] = []
        self.messages: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.fail_with: int | None = None
        self.key_answer: Callable[[], Any] = lambda: public_pem(self.key)
        self.firehose_answer: Callable[[list[Any]], Any] = lambda batch: jsonify(accepted=len(batch), rejected=[])
        self.app = Flask("stub-platform")
        self.app.before_request(self._note)
        rules = {
            "/api/v1/notification_keys/<_id>": self._key,
            f"/api/v1/{CONNECTOR_ID}": self._connector,
            f"/api/v1/{OTHER_ID}": lambda: jsonify({**self.connector, "id": OTHER_ID}),
            f"/api/v1/{CONNECTOR_ID}/status": self._status,
            "/api/v1/app": self._connector,
            "/api/v1/<name>": lambda name: jsonify(self.segments[name]),
            "/": self._firehose,
        }
        for rule, view in rules.items():
            self.app.add_url_rule(rule, rule, view, methods=["GET", "POST", "PUT"])

    def _note(self):
        self.requests.append(f"{request.method} {request.path}")
        if self.fail_with is not None:
            return jsonify(status=self.fail_with, message="no"), self.fail_with
        wrong = request.headers.get("Hull-Access-Token") not in {None, SECRET}
        return (jsonify(status=401, message="wrong secret"), 401) if wrong else None

    def _key(self, _id):
        return self.key_answer()

    def _connector(self):
        if request.method == "PUT":
            self.connector = {**self.connector, **request.get_json()}
        return jsonify(self.connector)

    def _status(self):
        self.statuses.append(request.get_json())
        return jsonify({})

    def _firehose(self):
        batch = request.get_json()["batch"]
        answer = self.firehose_answer(batch)
        self.messages += batch
        return answer


class StubNetwork(Network):
    """Takes requests from any thread to the stub platform, one at a time."""

    def __init__(self, net: WsgiNetwork) -> None:
        self._net = net
        self._lock = threading.Lock()

    def send(self, request) -> Response:
        """Send one request."""
        with self._lock:
            return self._net.send(request)


class World:
    """A runtime, the stub platform on its network, and connector applications set up for both."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self.runtime = Runtime.virtual(seed=1)
        assert isinstance(self.runtime.net, WsgiNetwork)
        self.net = self.runtime.net
        self.platform = StubPlatform(key)
        for host in (HOST, FIREHOSE_HOST):
            self.net.mount(host, self.platform.app)
        self.instrumentation = RecordingInstrumentation()
        self.extensions: list[Any] = []
        self._connectors: list[Connector] = []
        self._notifications = 0

    def app(self, *blueprints, setup: bool = True, **options) -> Flask:
        """Return an application with the blueprints mounted at ``/b0``, ``/b1`` ..., set up with a connector."""
        app = Flask("shop")
        for index, blueprint in enumerate(blueprints):
            app.register_blueprint(blueprint, url_prefix=f"/b{index}")
        return self.setup(app, **options) if setup else app

    def setup(self, app: Flask, connector: Connector | None = None, **options) -> Flask:
        """Set an application up and move it to the virtual runtime."""
        if connector is None:
            connector = self.connector(**options)
        connector.setup_app(app)
        return self.adopt(app)

    def adopt(self, app: Flask) -> Flask:
        """Move an application that was set up to the virtual runtime."""
        extension = app.extensions["hull"]
        extension.runtime.become(self.runtime)
        self.extensions.append(extension)
        return app

    def threaded(self, app: Flask, **options) -> Flask:
        """Set an application up on real threads and the machine's clock, with the same stub platform."""
        connector = self.connector(**options)
        connector.setup_app(app)
        app.extensions["hull"].runtime.become(
            Runtime(tasks=ThreadTasks(), ids=self.runtime.ids, net=StubNetwork(self.net))
        )
        self._connectors.append(connector)
        return app

    def connector(self, **options) -> Connector:
        """Return a connector that trusts the stub platform."""
        defaults: dict[str, Any] = {
            "host_secret": HOST_SECRET,
            "manifest": {"name": "Web Shop"},
            "allowed_organizations": ["*.hullapp.test"],
            "instrumentation": self.instrumentation,
        }
        return Connector(**{**defaults, **options})

    def notification(self, messages=None, channel="user:update", **fields) -> dict[str, Any]:
        """Return the body of a notification with an id of its own."""
        self._notifications += 1
        return {
            "notification_id": f"n-{self._notifications}",
            "configuration": CREDENTIALS,
            "connector": self.platform.connector,
            "channel": channel,
            "messages": [user_message("u1")] if messages is None else messages,
            "segments": [BUYERS],
            "users_segments": [BUYERS],
            "accounts_segments": [CUSTOMERS],
            **fields,
        }

    def headers(self, body: bytes, notification_id: str, *, key=None, key_url=KEY_URL, now=None) -> dict[str, str]:
        """Return the headers of a signed notification."""
        signing_key = self.platform.key if key is None else key
        at = self.runtime.clock.time() if now is None else now
        signature = sign_notification(signing_key, notification_id, body, at)
        return {"Content-Type": "application/json", **signature_headers(signature, key_url)}

    def notify(self, app: Flask, notification=None, path="/b0", **signing):
        """Deliver a signed notification and return the response."""
        notification = self.notification() if notification is None else notification
        body = json.dumps(notification).encode()
        headers = self.headers(body, notification["notification_id"], **signing)
        return app.test_client().post(path, data=body, headers=headers)

    def notify_threaded(self, app: Flask, notification=None, path="/b0"):
        """Deliver a notification that is signed by the machine's clock and return the response."""
        return self.notify(app, notification, path, now=time.time())

    def asked(self) -> list[str]:
        """Return the hosts of all outgoing requests, in order."""
        return [host_of(exchange.request.url) for exchange in self.net.exchanges]

    def metric_names(self) -> list[str]:
        """Return the names of all metrics, in order."""
        return [record.name for record in self.instrumentation.metrics]

    def close(self) -> None:
        """Close what the applications opened."""
        for extension in self.extensions:
            extension.senders.close(0.0)
        for connector in self._connectors:
            connector.close()


def query(**changes) -> str:
    """Return a query string with the connector's credentials, some of them changed or, with ``None``, left out."""
    values = {"ship": CONNECTOR_ID, "organization": HOST, "secret": SECRET, **changes}
    return urlencode({name: value for name, value in values.items() if value is not None})


def user_message(user_id: str, **fields) -> dict[str, Any]:
    """Return a message about a user."""
    return {
        "message_id": f"m-{user_id}",
        "user": {"id": user_id, "email": f"{user_id}@acme.example", "traits_plan": "pro"},
        "account": {},
        "segments": [],
        "segment_ids": [],
        "account_segments": [],
        "events": [],
        "changes": {"is_new": False},
        **fields,
    }
